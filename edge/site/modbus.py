"""What a line to meters is, how it may fail, and the line of Modbus TCP; the only module that knows pymodbus.

A read ends with the words that were asked for or with a `ModbusError` that a technician can read. A TCP read without
an answer closes the connection, and the next one opens a new one: so no late answer is taken for a newer one, no
half-open connection is kept, and pymodbus never reconnects by itself. A unit behind a gateway can still be late: when
the gateway says that it did not answer, it is given time to do so before the next question. Modbus RTU is in
`rtu_line.py`; who may talk when is decided in `bus.py`.
"""

import asyncio
import os
from typing import TYPE_CHECKING, Protocol

from edge.domain.ports import EdgeError
from edge.site.rtu import Question

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient
    from pymodbus.pdu import ModbusPDU

ILLEGAL_DATA_ADDRESS = 2
ILLEGAL_DATA_VALUE = 3
NOBODY_THERE = (10, 11)
"""What a gateway answers itself, for a unit that it cannot reach or that does not answer."""

GUARD_S = 0.3
"""Silence after a gateway has said that a unit did not answer it."""

_EXCEPTION_NAMES = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}


class ModbusError(EdgeError):
    """A read did not bring the registers that were asked for."""


class ModbusSilent(ModbusError):
    """No connection, or no answer within the deadline."""


class LineDown(ModbusSilent):
    """Nobody can be asked: the serial port is not there, the gateway does not take the connection."""


class SettingsImpossible(LineDown):
    """The serial port is there and does not do this speed or parity."""


class ModbusRefused(ModbusError):
    """The device answered with an exception."""

    def __init__(self, exception_code: int, where: str) -> None:
        name = _EXCEPTION_NAMES.get(exception_code, "unknown")
        super().__init__(f"{where}: refused with Modbus exception {exception_code} ({name})")
        self.exception_code = exception_code


class ModbusWrongAnswer(ModbusError):
    """The device answered something else than what was asked."""


class Line(Protocol):
    """The way to one or more meters. One question at a time; `bus.py` sees to that."""

    @property
    def baudrate(self) -> int | None:
        """None: a network, where bytes cost nothing."""
        ...

    def patience_s(self, count: int, turnaround_s: float) -> float:
        """How long to wait for so many registers of a meter that thinks so long."""
        ...

    async def read(self, question: Question, within: float) -> tuple[int, ...]:
        """The words, `within` so many seconds. Raises ModbusSilent, ModbusRefused or ModbusWrongAnswer."""
        ...

    async def quiet(self) -> None:
        """Return when no answer to an earlier question is expected any more. Raises LineDown."""
        ...

    def close(self) -> None:
        """Nothing of the connection is left once the loop has turned; the next read opens it again."""
        ...


class TcpLine:
    """One TCP connection to a meter, or to a gateway that speaks Modbus TCP; opened when it is needed."""

    baudrate = None

    def __init__(self, host: str, port: int, patience_s: float) -> None:
        self._host = host
        self._port = port
        self._patience_s = patience_s
        self._client: AsyncModbusTcpClient | None = None
        self._packet = b""
        """What was received last."""
        self._transaction_id = 0
        """Of the last question."""
        self._silent_until = float("-inf")

    def patience_s(self, count: int, turnaround_s: float) -> float:  # noqa: ARG002 - a network has its own delays
        return self._patience_s

    async def read(self, question: Question, within: float) -> tuple[int, ...]:
        where = f"{self._host}:{self._port} {question}"
        await self.quiet()
        answer = await self._ask(question, within, where)
        # to pymodbus an answer with 0 is one to any question
        if answer.transaction_id != self._transaction_id:
            self.close()
            raise ModbusWrongAnswer(f"{where}: answered with transaction id {answer.transaction_id}, not with its own")
        if answer.isError():
            if answer.exception_code in NOBODY_THERE:
                self._silent_until = asyncio.get_running_loop().time() + GUARD_S
            raise ModbusRefused(answer.exception_code, where)
        if answer.function_code != question.function_code:
            self.close()
            raise ModbusWrongAnswer(f"{where}: answered with function code {answer.function_code}")
        if len(answer.registers) != question.count:
            self.close()
            raise ModbusWrongAnswer(f"{where}: answered with {len(answer.registers)} registers")
        # pymodbus does not look at what stands behind the words, and would keep it for the next answer
        if len(self._packet) != 9 + 2 * question.count:
            self.close()
            raise ModbusWrongAnswer(f"{where}: answered with more than its registers")
        return tuple(answer.registers)

    async def quiet(self) -> None:
        """Of a gateway's unit an answer may still be on the serial line, which some give to the next question."""
        if (wait_s := self._silent_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(wait_s)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _ask(self, question: Question, within: float, where: str) -> "ModbusPDU":
        from pymodbus.exceptions import ModbusException

        deadline = asyncio.get_running_loop().time() + within
        is_answered = False
        self._packet = b""
        try:
            client = await self._connected(deadline, within)
            read = client.read_holding_registers if question.function_code == 3 else client.read_input_registers
            async with asyncio.timeout_at(deadline):
                answer = await read(question.address, count=question.count, device_id=question.unit)
            is_answered = True
        except TimeoutError as error:
            if self._packet:
                raise ModbusWrongAnswer(f"{where}: {self._why_no_answer(question)}") from error
            happened = "no answer within" if client.connected else "connection closed by the device; waited"
            raise ModbusSilent(f"{where}: {happened} {within:g} s") from error
        except ModbusException as error:
            raise ModbusSilent(f"{where}: {error}") from error
        finally:
            if not is_answered:
                self.close()
        return answer

    async def _connected(self, deadline: float, within: float) -> "AsyncModbusTcpClient":
        if self._client is not None and self._client.connected:
            return self._client
        self.close()
        from pymodbus.client import AsyncModbusTcpClient

        # reconnect_delay 0: no task of pymodbus; its own timeout never comes before ours
        client = AsyncModbusTcpClient(
            self._host, port=self._port, timeout=60, retries=0, reconnect_delay=0, trace_packet=self._on_packet
        )
        self._client = client
        where = f"{self._host}:{self._port}"
        try:
            async with asyncio.timeout_at(deadline):
                # what client.connect() does, but for swallowing the reason why it failed
                await client.ctx.call_create()
        except TimeoutError as error:
            raise LineDown(f"{where}: no connection within {within:g} s") from error
        except OSError as error:
            raise LineDown(f"{where}: no connection: {why(error)}") from error
        return client

    def _on_packet(self, is_sending: bool, packet: bytes) -> bytes:
        """What pymodbus gets of what was received: nothing that it could not bear."""
        if is_sending:
            self._transaction_id = int.from_bytes(packet[:2], "big")
            return packet
        self._packet = packet
        return packet if _is_decodable(packet) else b""

    def _why_no_answer(self, question: Question) -> str:
        is_frame = len(self._packet) > 8 and self._packet[2:5] == b"\0\0\0" and self._packet[5] > 2
        if is_frame and self._packet[6] != question.unit:
            return f"unit {self._packet[6]} answered"
        return f"{len(self._packet)} bytes came that are no answer to it"


def _is_decodable(packet: bytes) -> bool:
    """False if a frame in it is complete and no answer to a read: header, unit, function code, number of bytes, words.

    pymodbus would raise in the loop's own callback, which ends in the log as a defect of ours. It passes over the
    answers to other questions and looks at what comes behind them as well.
    """
    while len(packet) >= 8:
        length = int.from_bytes(packet[4:6], "big")
        if len(packet) < 6 + length:
            return True  # more of it comes
        function_code = packet[7]
        if length < 3 or function_code & 0x7F not in (3, 4):
            return False
        if function_code <= 0x7F and 3 + packet[8] > length:
            return False
        packet = packet[6 + length :]
    return True


def why(error: OSError) -> str:
    """The reason of the operating system, without the number and the names that Python puts around it."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)

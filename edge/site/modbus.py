"""Reads registers over Modbus TCP, each within a deadline; the only module that knows pymodbus.

A read ends with the words that were asked for or with a `ModbusError` that a technician can read. A read without
an answer closes the connection, and the next one opens a new one: so no late answer is taken for a newer one, no
half-open connection is kept, and pymodbus never reconnects by itself.
"""

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge.domain.ports import EdgeError
from edge.site.registers import FunctionCode

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient
    from pymodbus.pdu import ModbusPDU

ILLEGAL_DATA_ADDRESS = 2

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


class ModbusRefused(ModbusError):
    """The device answered with an exception."""

    def __init__(self, exception_code: int, where: str) -> None:
        name = _EXCEPTION_NAMES.get(exception_code, "unknown")
        super().__init__(f"{where}: refused with Modbus exception {exception_code} ({name})")
        self.exception_code = exception_code


class ModbusWrongAnswer(ModbusError):
    """The device answered something else than what was asked."""


class ConnectionInvalid(EdgeError):
    """A meter's `connection` cannot be used; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    host: str
    port: int


def parse_connection(connection: str) -> TcpAddress:
    """`tcp://HOST:PORT`; without a port Modbus's own, 502."""
    expected = f"connection {connection!r}: expected tcp://HOST:PORT"
    try:
        url = urlsplit(connection)
        port = 502 if url.port is None else url.port
    except ValueError as error:
        raise ConnectionInvalid(f"{expected} ({error})") from error
    if url.scheme != "tcp" or not url.hostname or url.path or url.query or url.fragment or url.username is not None:
        raise ConnectionInvalid(expected)
    return TcpAddress(url.hostname, port)


class ModbusLink:
    """One TCP connection to a meter or gateway, opened when it is needed. One reader at a time."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout
        self._client: AsyncModbusTcpClient | None = None

    async def read(self, function_code: FunctionCode, address: int, count: int, unit: int) -> tuple[int, ...]:
        """`count` words from `address` on. Raises ModbusSilent, ModbusRefused or ModbusWrongAnswer."""
        kind = "holding" if function_code == 3 else "input"
        where = f"{self._host}:{self._port} unit {unit}: {count} {kind} registers from {address}"
        answer = await self._ask(function_code, address, count, unit, where)
        if answer.isError():
            raise ModbusRefused(answer.exception_code, where)
        if answer.function_code != function_code:
            self.close()
            raise ModbusWrongAnswer(f"{where}: answered with function code {answer.function_code}")
        if len(answer.registers) != count:
            self.close()
            raise ModbusWrongAnswer(f"{where}: answered with {len(answer.registers)} registers")
        return tuple(answer.registers)

    def close(self) -> None:
        """Nothing of the connection is left once the loop has turned."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _ask(self, function_code: FunctionCode, address: int, count: int, unit: int, where: str) -> "ModbusPDU":
        from pymodbus.exceptions import ModbusException

        deadline = asyncio.get_running_loop().time() + self._timeout_s
        is_answered = False
        try:
            client = await self._connected(deadline)
            read = client.read_holding_registers if function_code == 3 else client.read_input_registers
            async with asyncio.timeout_at(deadline):
                answer = await read(address, count=count, device_id=unit)
            is_answered = True
        except TimeoutError as error:
            happened = "no answer within" if client.connected else "connection closed by the device; waited"
            raise ModbusSilent(f"{where}: {happened} {self._timeout_s:g} s") from error
        except ModbusException as error:
            raise ModbusSilent(f"{where}: {error}") from error
        finally:
            if not is_answered:
                self.close()
        return answer

    async def _connected(self, deadline: float) -> "AsyncModbusTcpClient":
        if self._client is not None and self._client.connected:
            return self._client
        self.close()
        from pymodbus.client import AsyncModbusTcpClient

        # reconnect_delay 0: no task of pymodbus; its own timeout never comes before ours
        client = AsyncModbusTcpClient(
            self._host, port=self._port, timeout=2 * self._timeout_s, retries=0, reconnect_delay=0
        )
        self._client = client
        where = f"{self._host}:{self._port}"
        try:
            async with asyncio.timeout_at(deadline):
                # what client.connect() does, but for swallowing the reason why it failed
                await client.ctx.call_create()
        except TimeoutError as error:
            raise ModbusSilent(f"{where}: no connection within {self._timeout_s:g} s") from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            raise ModbusSilent(f"{where}: no connection: {reason}") from error
        return client

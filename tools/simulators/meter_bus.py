"""Several simulated meters on one wire: Modbus RTU on a pseudo-terminal or over TCP, or Modbus TCP as of a gateway.

Frames are made here by hand and on purpose not by the code under test, nor by a Modbus stack: a stack would not send
what real devices send when they are slow, restart or are badly wired (`Fault`). Time on the wire passes as it would at
`baudrate`; None: no time passes.
"""

import asyncio
import tomllib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

from simulators.pseudo_serial import PseudoSerial

Words = tuple[int, ...]
PROFILES = Path(__file__).parents[2] / "edge" / "site" / "meters"


class Registers(Protocol):
    def read(self, function_code: int, address: int, count: int) -> Words | int:
        """The words, or the code of a Modbus exception."""
        ...


class Image:
    """Registers that say what they were told: addresses and words. What is not there is 0 or refused."""

    def __init__(self, words: Mapping[int, int], *, max_read: int = 125, knows_gaps: bool = True) -> None:
        self.words = dict(words)
        self.max_read = max_read
        self.knows_gaps = knows_gaps
        """Whether registers between the known ones can be read."""

    def read(self, function_code: int, address: int, count: int) -> Words | int:
        if function_code not in (3, 4):
            return 1
        if not 0 < count <= self.max_read:
            return 3
        asked = range(address, address + count)
        if not self.knows_gaps and any(register not in self.words for register in asked):
            return 2
        if asked[0] > max(self.words) or asked[-1] < min(self.words):
            return 2
        return tuple(self.words.get(register, 0) for register in asked)


def golden_image(profile: str | Path) -> Image:
    """The registers that a meter profile gives as its example; `profile` is a name or a file."""
    path = profile if isinstance(profile, Path) else PROFILES / f"{profile}.toml"
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    runs = document["golden"]["regs"].items()
    words = {int(start, 0) + offset: word for start, run in runs for offset, word in enumerate(run)}
    return Image(words, max_read=document["read"].get("max_read", 125))


class Fault(StrEnum):
    SILENT = "silent"
    LATE = "late"
    """The answer comes when it is no longer expected: after `Meter.late_s`."""
    SHORT = "short"
    """The answer breaks off."""
    LONG = "long"
    """Bytes come after the answer."""
    FEWER = "fewer"
    """A sound answer with one register less than asked for."""
    MORE = "more"
    """A sound answer with one register more."""
    WRONG_UNIT = "wrong-unit"
    WRONG_FUNCTION = "wrong-function"
    WRONG_CHECKSUM = "wrong-checksum"
    """Modbus TCP has none: a sound answer there."""
    REFUSING = "refusing"
    """Exception 4, device failure."""
    PREVIOUS = "previous"
    """One answer behind: the first question is met with silence, each later one with the answer to the one before."""
    NOBODY = "nobody"
    """Exception 11: a gateway says that the unit did not answer it."""


@dataclass(eq=False)
class Meter:
    """One unit on the bus."""

    registers: Registers
    fault: Fault | None = None
    late_s: float = 0.45
    turnaround_s: float = 0.0
    frozen: dict[tuple[int, int, int], Words | int] | None = None
    _for_times: int | None = None
    _kept_back: bytes | None = None

    def misbehave(self, fault: Fault | None, *, times: int | None = None) -> None:
        """So many answers long; None: until told otherwise."""
        self.fault, self._for_times, self._kept_back = fault, times, None

    def freeze(self, is_frozen: bool = True) -> None:
        """Each answer is from now on what it was when it was asked for the first time."""
        self.frozen = {} if is_frozen else None

    def restart(self, seconds: float) -> None:
        """Silent for so long, as after a power cut."""
        self.misbehave(Fault.SILENT)
        asyncio.get_running_loop().call_later(seconds, self.misbehave, None)

    def next_fault(self) -> Fault | None:
        fault = self.fault
        if self._for_times is not None:
            self._for_times -= 1
            if self._for_times <= 0:
                self.misbehave(None)
        return fault

    def keep_back(self, reply: bytes) -> bytes | None:
        """The reply that was kept back before."""
        kept, self._kept_back = self._kept_back, reply
        return kept

    def answer(self, function_code: int, address: int, count: int) -> Words | int:
        said = self.registers.read(function_code, address, count)
        return said if self.frozen is None else self.frozen.setdefault((function_code, address, count), said)


@dataclass(frozen=True)
class Request:
    at: float
    """In the loop's time."""
    unit: int
    function_code: int
    address: int
    count: int


class MeterBus:
    """`async with MeterBus({1: Meter(…), 2: Meter(…)}).on_serial() as bus:` and then `bus.connection`."""

    def __init__(self, meters: Mapping[int, Meter], *, baudrate: int | None = None, only_at: int | None = None) -> None:
        self.meters = dict(meters)
        self.baudrate = baudrate
        self.only_at = only_at
        """The speed that the serial port has to be set to; at any other nothing is understood."""
        self.garbles = False
        """Something is said nevertheless."""
        self.requests: deque[Request] = deque(maxlen=100_000)
        self.connection = ""
        """For `[[meter]]`, once it is open."""
        self._serial: PseudoSerial | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self._heard = b""

    # ── three ways to be reached ─────────────────────────────────────────────────

    def open_serial(self) -> Self:
        self._serial = PseudoSerial(self._hear)
        self.connection = f"rtu://{self._serial.device}"
        return self

    async def open_rtu_over_tcp(self, host: str = "127.0.0.1", port: int = 0) -> Self:
        return await self._listen(self._serve_rtu, "rtu+tcp", host, port)

    async def open_tcp(self, host: str = "127.0.0.1", port: int = 0) -> Self:
        return await self._listen(self._serve_tcp, "tcp", host, port)

    async def _listen(self, serve, scheme: str, host: str, port: int) -> Self:
        self._server = await asyncio.start_server(serve, host, port)
        self.connection = f"{scheme}://{host}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def close(self) -> None:
        if self._serial is not None:
            self._serial.close()
            self._serial = None
        self.hang_up()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def hang_up(self) -> None:
        """Ends the connections; new ones are taken."""
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        for _ in range(3):
            await asyncio.sleep(0)
        if serving := {task for task in self._serving if task is not None}:
            await asyncio.wait(serving)  # a meter that still thinks about its answer

    def say(self, data: bytes) -> None:
        """Bytes that nobody asked for."""
        if self._serial is not None:
            self._serial.write(data)
        for writer in self._writers:
            writer.write(data)

    # ── RTU ─────────────────────────────────────────────────────────────────────

    async def _serve_rtu(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while data := await reader.read(4096):
                self._hear(data)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _hear(self, data: bytes) -> None:
        if self._serial is not None and self.only_at not in (None, self._serial.baudrate):
            self.say(b"\xfe\x00" if self.garbles else b"")
            return
        self._heard += data
        while len(self._heard) >= 8:
            frame = self._heard[:8]
            if checksum(frame[:6]) != frame[6:]:
                self._heard = self._heard[1:]  # somewhere in it a request begins
                continue
            self._heard = self._heard[8:]
            self._asked(frame)

    def _asked(self, frame: bytes) -> None:
        loop = asyncio.get_running_loop()
        unit, function_code = frame[0], frame[1]
        address, count = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
        self.requests.append(Request(loop.time(), unit, function_code, address, count))
        meter = self.meters.get(unit)
        fault = None if meter is None else meter.next_fault()
        if meter is None or fault is Fault.SILENT:
            return
        reply = rtu_answer(unit, function_code, meter.answer(function_code, address, count), fault)
        if fault is Fault.PREVIOUS and (reply := meter.keep_back(reply)) is None:
            return
        delay = meter.turnaround_s + self._on_wire(len(frame)) + (meter.late_s if fault is Fault.LATE else 0.0)
        self._send(reply, delay)

    def _send(self, reply: bytes, delay: float) -> None:
        """In pieces, as a serial port delivers them."""
        loop = asyncio.get_running_loop()
        if self.baudrate is None and delay == 0:
            self.say(reply)
            return
        for start in range(0, len(reply), 32):
            piece = reply[start : start + 32]
            delay += self._on_wire(len(piece))
            loop.call_later(delay, self.say, piece)

    def _on_wire(self, count: int) -> float:
        return 0.0 if self.baudrate is None else count * 11 / self.baudrate

    # ── Modbus TCP ──────────────────────────────────────────────────────────────

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._serving.add(me := asyncio.current_task())
        try:
            while True:
                await self._answer_tcp(await reader.readexactly(12), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            self._serving.discard(me)
            writer.close()

    async def _answer_tcp(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        unit, function_code = frame[6], frame[7]
        address, count = int.from_bytes(frame[8:10], "big"), int.from_bytes(frame[10:12], "big")
        self.requests.append(Request(asyncio.get_running_loop().time(), unit, function_code, address, count))
        meter = self.meters.get(unit)
        fault = None if meter is None else meter.next_fault()
        if meter is None or fault is Fault.SILENT:
            return
        await asyncio.sleep(meter.turnaround_s + (meter.late_s if fault is Fault.LATE else 0.0))
        # unit, function code and data are those of RTU; there is no checksum
        answer = rtu_answer(unit, function_code, meter.answer(function_code, address, count), fault)
        if fault is Fault.PREVIOUS and (answer := meter.keep_back(answer)) is None:
            return
        answer = answer if fault in (Fault.LONG, Fault.SHORT) else answer[:-2]
        writer.write(frame[:4] + len(answer).to_bytes(2, "big") + answer)


def rtu_answer(unit: int, function_code: int, said: Words | int, fault: Fault | None = None) -> bytes:
    """The frame of an answer, as a device with this fault sends it."""
    unit = unit + 1 if fault is Fault.WRONG_UNIT else unit
    function_code = function_code ^ 7 if fault is Fault.WRONG_FUNCTION else function_code
    if fault in (Fault.REFUSING, Fault.NOBODY):
        said = 4 if fault is Fault.REFUSING else 11
    elif fault in (Fault.FEWER, Fault.MORE) and not isinstance(said, int):
        said = said[:-1] if fault is Fault.FEWER else (*said, 0)
    if isinstance(said, int):
        frame = bytes([unit, function_code | 0x80, said])
    else:
        frame = bytes([unit, function_code, 2 * len(said)]) + b"".join(word.to_bytes(2, "big") for word in said)
    check = checksum(frame)
    if fault is Fault.WRONG_CHECKSUM:
        check = bytes([check[0] ^ 1, check[1]])
    frame += check
    if fault is Fault.SHORT:
        return frame[: len(frame) // 2]
    return frame + b"\x00\x01\x02" if fault is Fault.LONG else frame


def checksum(frame: bytes) -> bytes:
    """CRC-16/MODBUS bit by bit, low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def numbers(written: str) -> list[int]:
    """`1,3,5-8`."""
    return [number for part in written.split(",") if part for number in _range(part)]


def _range(part: str) -> Iterable[int]:
    low, _, high = part.partition("-")
    return range(int(low), int(high or low) + 1)

"""The simulated site's meter on Modbus TCP, light: the registers are `simulators/meter.py`'s, the server is this.

It may freeze (answers that no longer change), lie (values that cannot be, or are simply wrong), fall silent, or go
away with its connections.
"""

import asyncio
import random
import struct
from collections.abc import Callable
from enum import Enum

from simulators.meter import MeterSimulator

from tests.simulation.loop import SimLoop

METER = ("127.0.0.1", 5020)
HEADER = struct.Struct(">HHHBBHH")


class Mood(Enum):
    """What is wrong with the meter."""

    WELL = "well"
    FROZEN = "frozen"
    LYING = "lying"
    SILENT = "silent"


class SiteMeter:
    """`load_w` tells what flows through it now."""

    def __init__(self, loop: SimLoop, load_w: Callable[[], float]) -> None:
        self.mood = Mood.WELL
        self.reads = 0
        self._loop = loop
        self._load_w = load_w
        self._registers = MeterSimulator(*METER)
        self._chance = random.Random(f"{loop.seed}/meter")
        self._shown: dict[tuple[int, int], tuple[int, ...] | int] = {}
        self._server: asyncio.AbstractServer | None = None
        self._ends: dict[_ModbusEnd, None] = {}

    async def open(self) -> None:
        self._server = await self._loop.create_server(lambda: _ModbusEnd(self), *METER)

    def go_away(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in list(self._ends):
            end.transport.abort()

    def attach(self, end: "_ModbusEnd") -> None:
        self._ends[end] = None

    def detach(self, end: "_ModbusEnd") -> None:
        self._ends.pop(end, None)

    def answer(self, function_code: int, address: int, count: int) -> tuple[int, ...] | int | None:
        """The words, a Modbus exception, or None: nothing."""
        self.reads += 1
        if self.mood is Mood.SILENT:
            return None
        if self.mood is Mood.FROZEN and (address, count) in self._shown:
            return self._shown[address, count]
        if self.mood is Mood.LYING and self._chance.random() < 0.5:
            return tuple(self._chance.randrange(65_536) for _ in range(count))
        watts = self._load_w() * (10.0 if self.mood is Mood.LYING else 1.0) / 3
        self._registers.set(power_w=(watts, watts, watts))
        words = self._shown[address, count] = self._registers.read(function_code, address, count)
        return words


class _ModbusEnd(asyncio.Protocol):
    def __init__(self, meter: SiteMeter) -> None:
        self._meter = meter
        self._received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._meter.attach(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._meter.detach(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= HEADER.size:
            number, _, _, unit, function_code, address, count = HEADER.unpack_from(self._received)
            self._received = self._received[HEADER.size :]
            answer = self._meter.answer(function_code, address, count)
            if isinstance(answer, int):
                body = bytes((unit, function_code | 0x80, answer))
            elif answer is not None:
                body = bytes((unit, function_code, 2 * count)) + struct.pack(f">{count}H", *answer)
            else:
                continue
            self.transport.write(struct.pack(">HHH", number, 0, len(body)) + body)

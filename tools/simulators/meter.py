#!/usr/bin/env python3
"""A simulated site meter: an Eastron SDM630 on Modbus TCP, for tests, demos and technicians.

    python tools/simulators/meter.py --port 5020 --base-load 3000

Point `[[meter]]` at it with `connection = "tcp://127.0.0.1:5020"`. Register addresses are those of the manual,
written down here a second time and on purpose not taken from the meter profile. Several of them on one wire, some of
them faulty (`meter_bus.py`):

    python tools/simulators/meter.py --wire serial --units 1-10 --fault 4=silent --fault 7=late:0.5
"""

import argparse
import asyncio
import contextlib
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

Phases = tuple[float, float, float]

INPUT_REGISTERS = 4
MAX_READ = 80
REGISTERS = 382
"""The SDM630's input registers end here; those without a value read as 0."""


class MeterSimulator:
    """Set values with `set`, or give `load`, which tells the watts of each phase whenever the meter is read."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        unit: int = 1,
        load: Callable[[], Phases] | None = None,
        on_read: Callable[[int, int], None] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        """After `start` the port in use."""
        self.unit = unit
        self.load = load
        self.on_read = on_read
        """Told the first address and the number of registers of each read."""
        self.reads = 0
        self.voltage_v: Phases = (230.0, 230.0, 230.0)
        self.current_a: Phases = (0.0, 0.0, 0.0)
        self.power_w: Phases = (0.0, 0.0, 0.0)
        self.frequency_hz = 50.0
        self.energy_import_wh = 0.0
        self.energy_export_wh = 0.0
        self._counted_until: float | None = None
        self._is_frozen = False
        self._is_silent = False
        self._refusal: ExcCodes | None = None
        self._server: ModbusTcpServer | None = None

    @property
    def connection(self) -> str:
        """For `[[meter]]`."""
        return f"tcp://{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        return 0 if self._server is None else len(self._server.active_connections)

    async def start(self) -> None:
        self._begin_counting()
        device = SimDevice(
            id=self.unit,
            simdata=[SimData(0, count=REGISTERS, values=0, datatype=DataType.REGISTERS)],
            action=self._answer,
        )
        server = ModbusTcpServer(device, address=(self.host, self.port), trace_packet=self._on_packet)
        await server.serve_forever(background=True)
        self._server = server
        if self.port == 0:
            self.port = server.transport.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes the listener and every connection; `start` opens them again on the same port."""
        server, self._server = self._server, None
        if server is None:
            return
        self._count_energy()
        self._counted_until = None
        for connection in server.active_connections.values():
            connection.transport.abort()
        await server.shutdown()
        for _ in range(3):  # a question just received is answered into the void, then the sockets close
            await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def set(
        self,
        *,
        power_w: Phases | None = None,
        current_a: Phases | None = None,
        voltage_v: Phases | None = None,
        frequency_hz: float | None = None,
        energy_import_wh: float | None = None,
        energy_export_wh: float | None = None,
    ) -> None:
        """From now on. Currents follow the power unless they are given."""
        self._count_energy()
        if voltage_v is not None:
            self.voltage_v = voltage_v
        if power_w is not None:
            self.power_w = power_w
            self.current_a = tuple(abs(p) / u if u else 0.0 for p, u in zip(power_w, self.voltage_v, strict=True))
        if current_a is not None:
            self.current_a = current_a
        if frequency_hz is not None:
            self.frequency_hz = frequency_hz
        if energy_import_wh is not None:
            self.energy_import_wh = energy_import_wh
        if energy_export_wh is not None:
            self.energy_export_wh = energy_export_wh

    def freeze(self, is_frozen: bool = True) -> None:
        """Answers go on, with values that no longer change."""
        self._is_frozen = is_frozen

    def silent(self, is_silent: bool = True) -> None:
        """Connections are accepted, questions are not answered."""
        self._is_silent = is_silent

    def refuse(self, exception_code: int | None) -> None:
        """Each question is answered with this Modbus exception; None ends it."""
        self._refusal = None if exception_code is None else ExcCodes(exception_code)

    def read(self, function_code: int, address: int, count: int) -> tuple[int, ...] | int:
        """As a unit of a `MeterBus`: the words, or a Modbus exception."""
        self._begin_counting()
        if (refusal := self._refused(function_code, address, count)) is not None:
            return int(refusal)
        if address + count > REGISTERS:
            return int(ExcCodes.ILLEGAL_ADDRESS)
        registers = [0] * REGISTERS
        self._measure(registers, 0)
        return tuple(registers[address : address + count])

    def _refused(self, function_code: int, address: int, count: int) -> ExcCodes | None:
        self.reads += 1
        if self.on_read is not None:
            self.on_read(address, count)
        if self._refusal is not None:
            return self._refusal
        if function_code != INPUT_REGISTERS:
            return ExcCodes.ILLEGAL_FUNCTION
        return ExcCodes.ILLEGAL_VALUE if count > MAX_READ else None

    def _begin_counting(self) -> None:
        if self._counted_until is None:
            self._counted_until = asyncio.get_running_loop().time()

    async def _answer(
        self,
        function_code: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if set_values is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        if (refusal := self._refused(function_code, address, count)) is not None:
            return refusal
        if not self._is_frozen:
            self._measure(registers, start)
        return None

    def _measure(self, registers: list[int], start: int) -> None:
        self._count_energy()
        if self.load is not None:
            self.set(power_w=self.load())
        values = {
            0: self.voltage_v,
            6: self.current_a,
            12: self.power_w,
            46: (sum(self.current_a) / 3,),
            48: (sum(self.current_a),),
            52: (sum(self.power_w),),
            70: (self.frequency_hz, self.energy_import_wh / 1000, self.energy_export_wh / 1000),
            342: ((self.energy_import_wh + self.energy_export_wh) / 1000,),
        }
        for address, numbers in values.items():
            words = struct.unpack(f">{2 * len(numbers)}H", struct.pack(f">{len(numbers)}f", *numbers))
            registers[address - start : address - start + len(words)] = words

    def _count_energy(self) -> None:
        """The power since the last look, times the time since then."""
        if self._counted_until is None:
            return
        now = asyncio.get_running_loop().time()
        energy_wh = sum(self.power_w) * (now - self._counted_until) / 3600
        self._counted_until = now
        if energy_wh >= 0:
            self.energy_import_wh += energy_wh
        else:
            self.energy_export_wh -= energy_wh

    def _on_packet(self, is_sending: bool, packet: bytes) -> bytes:
        return b"" if is_sending and self._is_silent else packet


async def serve(options: argparse.Namespace) -> None:
    async with contextlib.AsyncExitStack() as stack:
        meters = await serve_bus(options, stack) if options.wire else [await serve_one(options, stack)]
        while True:
            await asyncio.sleep(60)
            for meter in meters:
                meter.set()
                print(
                    f"unit {meter.unit}: {sum(meter.power_w):.0f} W, import {meter.energy_import_wh:.0f} Wh, "
                    f"export {meter.energy_export_wh:.0f} Wh, {meter.reads} reads",
                    flush=True,
                )


def loaded(options: argparse.Namespace, unit: int) -> MeterSimulator:
    def print_read(address: int, count: int) -> None:
        which = f"unit {unit}: " if options.wire else ""
        print(f"{which}read {count} registers from {address}", flush=True)

    meter = MeterSimulator(options.host, options.port, unit=unit, on_read=print_read if options.verbose else None)
    per_phase = options.base_load / 3
    meter.set(power_w=(per_phase, per_phase, per_phase), energy_import_wh=options.energy)
    return meter


async def serve_one(options: argparse.Namespace, stack: contextlib.AsyncExitStack) -> MeterSimulator:
    meter = loaded(options, options.unit)
    try:
        await stack.enter_async_context(meter)
    except (RuntimeError, OSError, OverflowError) as error:
        sys.exit(f"cannot listen on {options.host}:{options.port}: {error}")
    print(f"SDM630 with {options.base_load:g} W: {meter.connection}, unit {meter.unit}", flush=True)
    return meter


async def serve_bus(options: argparse.Namespace, stack: contextlib.AsyncExitStack) -> list[MeterSimulator]:
    from simulators.meter_bus import Fault, Meter, MeterBus, numbers

    meters = {unit: loaded(options, unit) for unit in numbers(options.units or str(options.unit))}
    units = {unit: Meter(meter) for unit, meter in meters.items()}
    for written in options.fault:
        unit, _, kind = written.partition("=")
        kind, _, seconds = kind.partition(":")
        units[int(unit)].late_s = float(seconds or 0.45)
        units[int(unit)].misbehave(Fault(kind))
    bus = await stack.enter_async_context(MeterBus(units, baudrate=options.baudrate))
    try:
        if options.wire == "serial":
            bus.open_serial()
        elif options.wire == "rtu+tcp":
            await bus.open_rtu_over_tcp(options.host, options.port)
        else:
            await bus.open_tcp(options.host, options.port)
    except (OSError, OverflowError) as error:
        sys.exit(f"cannot listen on {options.host}:{options.port}: {error}")
    print(f"SDM630 with {options.base_load:g} W: {bus.connection}, units {', '.join(map(str, meters))}", flush=True)
    return list(meters.values())


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from simulators.meter_bus import Fault

    parser = argparse.ArgumentParser(
        description="Simulated site meters: Eastron SDM630 on Modbus TCP, or several on one wire. Ctrl-C ends it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=5020, help="port to listen on; 0 picks a free one")
    parser.add_argument("--unit", type=int, default=1, help="Modbus unit (device) number")
    parser.add_argument("--base-load", type=float, default=3000, help="watts, evenly on three phases; negative exports")
    parser.add_argument("--energy", type=float, default=0, help="import counter at the start, Wh")
    parser.add_argument("--verbose", action="store_true", help="a line for each read")
    parser.add_argument(
        "--wire", choices=["serial", "rtu+tcp", "tcp"], help="several meters: on a pseudo-terminal, or behind a gateway"
    )
    parser.add_argument("--units", metavar="1,3,5-8", help="with --wire: the units on it")
    parser.add_argument("--baudrate", type=int, default=9600, help="with --wire: how long bytes take")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="UNIT=KIND[:SECONDS]",
        help=f"with --wire: {', '.join(Fault)}",
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()

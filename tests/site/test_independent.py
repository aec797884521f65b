"""Against a Modbus stack that is neither ours nor the one under Modbus TCP here, in both directions.

modbus_tk as the device says whether we read as the standard has it; as the master, whether the simulators of the
other tests speak so.
"""

import asyncio
import os
import socket
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import resources
from importlib.util import find_spec
from itertools import pairwise

import pytest
from serial import Serial
from simulators.meter import MeterSimulator
from simulators.meter_bus import Fault, Meter, MeterBus, golden_image
from simulators.pseudo_serial import CrossedPorts

from edge.config import Meter as MeterSettings
from edge.config.connections import SerialSettings
from edge.domain.readings import Quality
from edge.site.installation import Installation
from edge.site.profiles import load_profile, profile_names
from edge.site.registers import FunctionCode
from tests.independent.runtime import must_be_there
from tests.site.polling import LoopClock, eventually
from tests.site.searching import search

if find_spec("modbus_tk") is None:
    missing = "modbus_tk is missing, a Modbus stack that we did not write: pip install -r requirements-test.lock"
    if must_be_there(os.environ):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing, allow_module_level=True)

from modbus_tk import defines, modbus, modbus_rtu, modbus_tcp  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the stack itself, on its own thread

SPACES = {3: defines.HOLDING_REGISTERS, 4: defines.ANALOG_INPUTS}


def runs_of(profile: str) -> dict[int, list[int]]:
    """The example of a profile: neighbouring registers by their first address."""
    text = resources.files("edge.site").joinpath("meters", f"{profile}.toml").read_text(encoding="utf-8")
    regs = {int(address): words for address, words in tomllib.loads(text)["golden"]["regs"].items()}
    runs: dict[int, list[int]] = {}
    for address in sorted(regs):
        before = next((start for start in runs if start + len(runs[start]) == address), None)
        if before is None:
            runs[address] = list(regs[address])
        else:
            runs[before] += regs[address]
    return runs


def without_gaps(runs: dict[int, list[int]]) -> dict[int, list[int]]:
    """One run from the first register to the last, unless they are far apart."""
    groups: list[list[int]] = [[min(runs)]]
    for before, after in pairwise(sorted(runs)):
        if after - before > 200:
            groups.append([])
        groups[-1].append(after)
    whole = {}
    for group in groups:
        words = [0] * (group[-1] + len(runs[group[-1]]) - group[0])
        for address in group:
            words[address - group[0] : address - group[0] + len(runs[address])] = runs[address]
        whole[group[0]] = words
    return whole


def fill(server: modbus.Server, unit: int, function_code: FunctionCode, runs: dict[int, list[int]]) -> None:
    slave = server.add_slave(unit)
    for address, words in runs.items():
        slave.add_block(str(address), SPACES[function_code], address, len(words))
        slave.set_values(str(address), address, words)


@asynccontextmanager
async def running(server: modbus.Server) -> AsyncIterator[None]:
    server.start()
    try:
        yield
    finally:
        await asyncio.get_running_loop().run_in_executor(None, server.stop)


@contextmanager
def rtu_server() -> Iterator[tuple[modbus.Server, str]]:
    with CrossedPorts() as ports:
        serial = Serial(ports.b, 115200, timeout=0.02)
        server = modbus_rtu.RtuServer(serial, error_on_missing_slave=False)
        server.set_timeout(0.02)
        try:
            yield server, f"rtu://{ports.a}?baudrate=115200&parity=N&stopbits=1"
        finally:
            with suppress(OSError):
                serial.close()


@contextmanager
def tcp_server() -> Iterator[tuple[modbus.Server, str]]:
    with socket.socket() as probe:  # the stack does not tell which port it got
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yield modbus_tcp.TcpServer(port, "127.0.0.1", error_on_missing_slave=False), f"tcp://127.0.0.1:{port}"


@asynccontextmanager
async def read_as(*meters: MeterSettings) -> AsyncIterator[Installation]:
    installation = Installation(meters, LoopClock(), lambda _meter, _reading: None)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(poller.run()) for poller in installation.pollers]
        try:
            yield installation
        finally:
            for task in running:
                task.cancel()


SERVERS: dict[str, Callable[[], object]] = {"rtu": rtu_server, "tcp": tcp_server}


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("name", profile_names())
async def test_each_profile_is_read_from_another_stack(name, kind):
    profile = load_profile(name)
    unit = profile.unit if kind == "rtu" else 1
    with SERVERS[kind]() as (server, connection):
        fill(server, unit, profile.values[0].function_code, without_gaps(runs_of(name)))
        async with running(server):
            meter = MeterSettings(id="m", profile=name, connection=connection, poll_interval=0.1)
            async with read_as(meter) as installation:
                await eventually(lambda: installation.pollers[0].state().quality == Quality.GOOD, within=20)
                state = installation.pollers[0].state()
    assert state.reading is not None
    assert state.reading.power_total_w is not None
    assert state.reading.energy_import_wh is not None


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_device_that_refuses_gaps_is_asked_around_them(kind):
    """modbus_tk refuses a request that touches a register it was not given: with the standard's exception 2."""
    with SERVERS[kind]() as (server, connection):
        fill(server, 1, 4, runs_of("eastron-sdm630"))
        async with running(server):
            meter = MeterSettings(id="m", profile="eastron-sdm630", connection=connection, poll_interval=0.05)
            async with read_as(meter) as installation:
                await eventually(lambda: installation.pollers[0].state().quality == Quality.GOOD, within=20)
                reading = installation.pollers[0].state().reading
    assert reading is not None
    assert reading.voltage_v == (230.5, 231.25, 229.75)
    assert reading.power_w == (3680.0, 2415.0, -150.0)
    assert (reading.energy_import_wh, reading.energy_export_wh) == (12_345_500, 125)


async def test_units_of_one_serial_line_are_told_apart_and_a_missing_one_is_silent():
    with rtu_server() as (server, connection):
        for unit, watts in ((1, 0x4566), (2, 0xC566)):
            runs = without_gaps(runs_of("eastron-sdm72"))
            runs[52][:2] = [watts, 0]
            fill(server, unit, 4, runs)
        async with running(server):
            meters = [
                MeterSettings(id=f"m{unit}", profile="eastron-sdm72", connection=connection, unit=unit, role="sub")
                for unit in (1, 2, 3)
            ]
            async with read_as(*meters) as installation:
                one, two, three = installation.pollers
                await eventually(lambda: one.state().quality == two.state().quality == Quality.GOOD, within=20)
                await eventually(lambda: three.state().failures > 0)
                assert one.state().reading.power_total_w == 3680.0
                assert two.state().reading.power_total_w == -3680.0
                assert "no answer within 0.3 s" in three.state().last_error


async def test_units_and_their_profiles_are_found_on_a_line_of_another_stack():
    with rtu_server() as (server, connection):
        fill(server, 2, 3, without_gaps(runs_of("schneider-iem3xxx")))
        fill(server, 4, 4, without_gaps(runs_of("eastron-sdm630")))
        async with running(server):
            result, _ = await search(connection, range(1, 6), settings=[SerialSettings(115200)])
    assert [(found.unit, found.fits[0].profile.id) for found in result.found] == [
        (2, "schneider-iem3xxx"),
        (4, "eastron-sdm630"),
    ]
    assert result.unclear == []


# ── the other stack asks, our simulators answer ───────────────────────────────────────────────


async def asked(master: modbus.Master, *question: int) -> tuple[int, ...]:
    """What the stack got for unit, function code, address and count; it waits on a thread of its own."""
    return await asyncio.get_running_loop().run_in_executor(None, master.execute, *question)


@asynccontextmanager
async def master_of(bus: MeterBus, kind: str) -> AsyncIterator[modbus.Master]:
    if kind == "rtu":
        bus.open_serial()
        master = modbus_rtu.RtuMaster(Serial(bus.connection.removeprefix("rtu://"), 115200))
    else:
        await bus.open_tcp()
        master = modbus_tcp.TcpMaster("127.0.0.1", int(bus.connection.rpartition(":")[2]))
    master.set_timeout(1.0)
    try:
        yield master
    finally:
        master.close()


@pytest.mark.parametrize("kind", SERVERS)
async def test_another_stack_understands_our_simulated_meters(kind):
    words = golden_image("eastron-sdm630").words
    meters = {1: Meter(golden_image("eastron-sdm630")), 2: Meter(MeterSimulator())}
    async with MeterBus(meters) as bus, master_of(bus, kind) as master:
        assert await asked(master, 1, 4, 0, 18) == tuple(words[address] for address in range(18))
        assert await asked(master, 2, 4, 70, 2) == (0x4248, 0)  # 50 Hz
        with pytest.raises(modbus.ModbusError) as refused:
            await asked(master, 2, 3, 0, 2)
        assert refused.value.get_exception_code() == defines.ILLEGAL_FUNCTION
        with pytest.raises(modbus.ModbusError) as refused:
            await asked(master, 1, 4, 0, 81)
        assert refused.value.get_exception_code() == defines.ILLEGAL_DATA_VALUE


async def test_another_stack_understands_our_simulated_meter_of_modbus_tcp():
    async with MeterSimulator() as meter:
        meter.set(voltage_v=(230.5, 231.25, 229.75))
        master = modbus_tcp.TcpMaster("127.0.0.1", meter.port)
        master.set_timeout(1.0)
        try:
            assert await asked(master, 1, 4, 0, 6) == (0x4366, 0x8000, 0x4367, 0x4000, 0x4365, 0xC000)
        finally:
            master.close()


@pytest.mark.parametrize("fault", [Fault.WRONG_CHECKSUM, Fault.SHORT, Fault.WRONG_UNIT])
async def test_another_stack_refuses_what_our_faulty_meters_say(fault):
    async with MeterBus({1: Meter(golden_image("eastron-sdm630"), fault)}) as bus, master_of(bus, "rtu") as master:
        with pytest.raises((modbus.ModbusInvalidResponseError, modbus.ModbusError)):
            await asked(master, 1, 4, 0, 18)

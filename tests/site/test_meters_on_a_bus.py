"""Meters that share a line: who is read how often, what the faults of one do to the others, and what is believed."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from simulators.meter import MeterSimulator
from simulators.meter_bus import Fault, Meter, MeterBus, golden_image

from edge.config import Meter as MeterSettings
from edge.config.connections import ConnectionInvalid
from edge.domain.readings import MeterState, Quality, SiteReading
from edge.site.installation import Installation
from edge.site.profiles import load_profile, profile_names
from tests.site.polling import LoopClock, eventually

WIRES = ("serial", "gateway", "tcp")


async def opened(bus: MeterBus, wire: str) -> MeterBus:
    if wire == "serial":
        return bus.open_serial()
    return await (bus.open_rtu_over_tcp() if wire == "gateway" else bus.open_tcp())


class Site:
    """Pollers at work, and what they handed on."""

    def __init__(self, meters: Sequence[MeterSettings]) -> None:
        self.readings: dict[str, list[SiteReading]] = {meter.id: [] for meter in meters}
        self.installation = Installation(
            meters, LoopClock(), lambda meter, reading: self.readings[meter].append(reading)
        )

    def state(self, meter: str) -> MeterState:
        return next(state for poller in self.installation.pollers if (state := poller.state()).id == meter)

    async def reads_once_more(self, meter: str) -> SiteReading:
        before = len(self.readings[meter])
        await eventually(lambda: len(self.readings[meter]) > before + 1)
        return self.readings[meter][-1]


@asynccontextmanager
async def site_of(*meters: MeterSettings) -> AsyncIterator[Site]:
    site = Site(meters)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(poller.run()) for poller in site.installation.pollers]
        try:
            yield site
        finally:
            for task in running:
                task.cancel()


def settings(name: str, connection: str, unit: int, **more: object) -> MeterSettings:
    more = {"profile": "eastron-sdm630", "role": "sub", "poll_interval": 0.05, "stale_after": 2.0} | more
    return MeterSettings(id=name, connection=connection, unit=unit, **more)  # type: ignore[arg-type]


def sdm630(power_w: float) -> Meter:
    meter = MeterSimulator()
    meter.set(power_w=(power_w, power_w, power_w))
    return Meter(meter)


# ── all profiles, on the wire ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", profile_names())
async def test_each_profile_is_read_from_its_example_on_each_kind_of_wire(name, wire):
    profile = load_profile(name)
    unit = 1 if wire == "tcp" else profile.unit
    async with MeterBus({unit: Meter(golden_image(name))}) as bus:
        await opened(bus, wire)
        meter = MeterSettings(id="m", profile=name, connection=bus.connection, poll_interval=0.05, stale_after=4.0)
        async with site_of(meter) as site:
            await eventually(lambda: site.readings["m"] != [] or site.state("m").last_error is not None)
            state = site.state("m")
    assert state.unit == unit
    assert state.last_error is None, state.last_error
    assert state.quality == Quality.GOOD
    assert state.reading is not None
    assert state.reading.power_total_w is not None
    assert state.reading.energy_import_wh is not None


# ── sharing ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wire", WIRES)
async def test_each_meter_of_a_line_is_told_its_own_values(wire):
    meters = {unit: sdm630(100.0 * unit) for unit in (1, 2, 3)}
    async with MeterBus(meters) as bus:
        await opened(bus, wire)
        async with site_of(*(settings(f"m{unit}", bus.connection, unit) for unit in meters)) as site:
            for unit in meters:
                assert (await site.reads_once_more(f"m{unit}")).power_total_w == 300.0 * unit
    for unit in meters:
        assert {reading.power_total_w for reading in site.readings[f"m{unit}"]} == {300.0 * unit}


async def test_on_one_line_there_is_one_question_at_a_time():
    async with MeterBus({unit: Meter(MeterSimulator(), turnaround_s=0.01) for unit in range(1, 6)}) as bus:
        bus.open_serial()
        async with site_of(*(settings(f"m{unit}", bus.connection, unit) for unit in bus.meters)) as site:
            for unit in bus.meters:
                await site.reads_once_more(f"m{unit}")
    asked_at = [request.at for request in bus.requests]
    assert all(after - before > 0.009 for before, after in pairwise(asked_at))


async def test_a_dead_meter_is_asked_less_and_less_and_the_others_are_read_on():
    meters = {unit: sdm630(100.0) for unit in (1, 2, 3)}
    meters[2].misbehave(Fault.SILENT)
    async with MeterBus(meters) as bus:
        bus.open_serial()
        async with site_of(
            settings("grid", bus.connection, 1, role="grid"),
            settings("dead", bus.connection, 2, poll_interval=0.2),
            settings("sub", bus.connection, 3),
        ) as site:
            await eventually(lambda: site.state("dead").failures >= 4)
            dead, grid, sub = (site.state(name) for name in ("dead", "grid", "sub"))
            assert dead.quality == Quality.ABSENT
            assert "unit 2: 18 input registers from 0: no answer" in str(dead.last_error) or "from 70" in str(
                dead.last_error
            )
            assert (grid.failures, sub.failures) == (0, 0)
            meters[2].misbehave(None)
            await eventually(lambda: site.state("dead").quality == Quality.GOOD)
    at = [request.at for request in bus.requests if request.unit == 2]
    first, second, third = (after - before for before, after in pairwise(at[:4]))
    assert first < second + 0.1 < third


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", Fault)
async def test_no_fault_of_one_meter_makes_a_wrong_reading_of_it_or_another(fault, wire):
    """Each meter's power tells whose it is and when it was measured."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    def clock_of(unit: int) -> Callable[[], tuple[float, float, float]]:
        return lambda: (1000.0 * unit, loop.time() - start, 0.0)

    simulators = {unit: MeterSimulator(load=clock_of(unit)) for unit in (1, 2)}
    meters = {unit: Meter(simulator, late_s=0.45) for unit, simulator in simulators.items()}
    async with MeterBus(meters) as bus:
        await opened(bus, wire)
        async with site_of(*(settings(f"m{unit}", bus.connection, unit) for unit in meters)) as site:
            ages: dict[str, list[float]] = {"m1": [], "m2": []}

            def check(meter: str, reading: SiteReading) -> None:
                measured_at = reading.power_w[1]
                assert measured_at is not None
                ages[meter].append(loop.time() - start - measured_at)

            for poller in site.installation.pollers:
                handed_on = poller._on_reading
                poller._on_reading = lambda meter, reading, then=handed_on: (
                    check(meter, reading),
                    then(meter, reading),
                )
            await site.reads_once_more("m1")
            meters[1].misbehave(fault, times=3)
            if wire != "tcp" or fault not in (Fault.LATE, Fault.WRONG_CHECKSUM):  # neither of them is a fault there
                await eventually(lambda: site.state("m1").failures > 0)
            await eventually(lambda: meters[1].fault is None)
            await eventually(lambda: site.state("m1").last_error is None)
            await site.reads_once_more("m1")
            await site.reads_once_more("m2")
    for unit in meters:
        assert {reading.power_w[0] for reading in site.readings[f"m{unit}"]} == {1000.0 * unit}
    # what was measured longer ago than a cycle takes would be a late answer
    slowest = 0.6 if fault is Fault.LATE and wire == "tcp" else 0.35
    assert max(ages["m1"] + ages["m2"]) < slowest


async def test_a_meter_that_restarts_is_read_again():
    async with MeterBus({1: sdm630(100.0)}) as bus:
        bus.open_serial()
        async with site_of(settings("m", bus.connection, 1)) as site:
            await site.reads_once_more("m")
            bus.meters[1].restart(0.5)
            await eventually(lambda: site.state("m").failures > 0)
            await site.reads_once_more("m")


async def test_settings_that_differ_on_one_line_are_refused_at_the_start():
    with pytest.raises(ConnectionInvalid, match="/dev/ttyUSB0: 9600 baud 8N1 and 19200 baud 8E1 at once"):
        Site([settings("a", "rtu:///dev/ttyUSB0", 1), settings("b", "rtu:///dev/ttyUSB0", 2, profile="abb-ab")])


async def test_a_connection_that_cannot_be_used_is_refused_at_the_start_with_the_meters_name():
    with pytest.raises(ConnectionInvalid, match='meter a: connection .*"http://" is not known'):
        Site([settings("a", "http://h", 1)])


async def test_ones_own_profile_is_read_over_a_serial_line_with_its_wiring(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        'id = "own"\nvendor = "x"\nmodels = ["y"]\nquality = "unverified"\nphases = 3\n'
        '[link]\nunit = 7\nbaud = 19200\nparity = "E"\n[read]\nfc = 3\nmin_gap_ms = 5\n[fields]\n'
        'i = { a = [10, 12, 14], t = "f32" }\np = { a = [20, 30, 40], minus = [22, 32, 42], t = "f32" }\n'
        'e_import = { sum = [50, 54], t = "u64", nan = [77] }\n'
        "[golden.regs]\n10 = [0x4120, 0, 0x41A0, 0, 0x41F0, 0]\n20 = [0x4120, 0, 0x4000, 0]\n"
        "30 = [0x4120, 0, 0x4000, 0]\n40 = [0x4120, 0, 0x4000, 0]\n50 = [0, 0, 0, 5, 0, 0, 0, 6]\n"
        "[golden.expect]\ni1 = 10\ni2 = 20\ni3 = 30\np1 = 8\np2 = 8\np3 = 8\ne_import = 11\n"
    )
    async with MeterBus({7: Meter(golden_image(own))}) as bus:
        bus.open_serial()
        meter = settings(
            "own", bus.connection, 7, profile=str(own), phases="L3L1L2", ct_ratio=2.0, invert=True, role="grid"
        )
        async with site_of(meter) as site:
            reading = await site.reads_once_more("own")
    assert reading.current_a == (40.0, 60.0, 20.0)
    assert reading.power_w == (-16.0, -16.0, -16.0)
    assert (reading.energy_import_wh, reading.energy_export_wh) == (None, 22)


def test_the_words_of_the_own_profile_above_are_what_they_are_said_to_be():
    assert struct.unpack(">ffff", bytes.fromhex("41200000 41A00000 41F00000 40000000")) == (10.0, 20.0, 30.0, 2.0)

"""What is found at an address: units, settings and fitting profiles; nothing is found where nothing is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from serial import Serial
from simulators.meter import MeterSimulator
from simulators.meter_bus import Fault, Image, Meter, MeterBus, golden_image

from edge.config.connections import SerialSettings
from edge.site.modbus import LineDown
from edge.site.probe import USUAL_SETTINGS, Search, steps, usual_first
from edge.site.profiles import profile_names
from tests.site.searching import NOW, PROFILES, places_at, search

WIRES = ("serial", "gateway", "tcp")


@asynccontextmanager
async def bus_of(meters: dict[int, Meter], wire: str, **more: int) -> AsyncIterator[MeterBus]:
    async with MeterBus(meters, **more) as bus:
        if wire == "serial":
            bus.open_serial()
        else:
            await (bus.open_rtu_over_tcp() if wire == "gateway" else bus.open_tcp())
        yield bus


# ── which profile it is ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("knows_gaps", [True, False])
@pytest.mark.parametrize("name", profile_names())
async def test_each_meter_is_recognised_as_itself(name, knows_gaps):
    image = golden_image(name)
    image.knows_gaps = knows_gaps
    async with bus_of({1: Meter(image)}, "tcp") as bus:
        result, _ = await search(bus.connection)
    (found,) = result.found
    assert found.fits[0].profile.id == name
    assert found.fits[0].reading.at == NOW


# the first of them has all that the others have
ALIKE = {"eastron-sdm630": {"eastron-sdm120", "eastron-sdm72"}, "cg-em24": {"cg-em3x0"}, "cg-em3x0": {"cg-em24"}}


@pytest.mark.parametrize("name", profile_names())
async def test_no_profile_fits_another_makers_meter(name):
    async with bus_of({1: Meter(golden_image(name))}, "tcp") as bus:
        result, _ = await search(bus.connection)
    others = {fit.profile.id for fit in result.found[0].fits} - {name}
    assert others <= ALIKE.get(name, {"eastron-sdm72"} if name == "eastron-sdm120" else set())


@pytest.mark.parametrize("wire", WIRES)
async def test_what_fits_is_told_with_what_it_reads_on_each_kind_of_wire(wire):
    meter = MeterSimulator()
    meter.set(power_w=(3680.0, 2415.0, -150.0), voltage_v=(230.5, 231.25, 229.75))
    async with bus_of({1: Meter(meter)}, wire) as bus:
        result, _ = await search(bus.connection)
    best, *others = result.found[0].fits
    assert best.profile.id == "eastron-sdm630"
    assert best.reading.power_w == (3680.0, 2415.0, -150.0)
    assert [fit.profile.id for fit in others] == ["eastron-sdm120", "eastron-sdm72"], "the more it reads, the better"


@pytest.mark.parametrize("words", [{0: 0}, dict.fromkeys(range(30000), 0), dict.fromkeys(range(30000), 65535)])
async def test_a_device_that_is_no_meter_is_found_and_fits_no_profile(words):
    async with bus_of({1: Meter(Image(words))}, "tcp") as bus:
        result, _ = await search(bus.connection)
    assert [(found.unit, found.fits) for found in result.found] == [(1, ())]


async def test_a_device_that_refuses_every_question_is_found():
    async with bus_of({1: Meter(golden_image("eastron-sdm630"), Fault.REFUSING)}, "serial") as bus:
        result, _ = await search(bus.connection)
    assert [(found.unit, found.fits) for found in result.found] == [(1, ())]


# ── which units ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wire", ["serial", "gateway"])
async def test_all_units_of_a_line_are_found_and_no_other(wire):
    meters = {unit: Meter(golden_image("eastron-sdm630")) for unit in (2, 5)}
    async with bus_of(meters, wire) as bus:
        result, told = await search(bus.connection, range(1, 7))
        assert {request.function_code for request in bus.requests} <= {3, 4}, "nothing is ever written"
    assert [found.unit for found in result.found] == [2, 5]
    assert any("unit 6: does it answer?" in words for words in told)


async def test_a_gateway_that_says_that_nobody_answered_is_no_unit():
    meters = {unit: Meter(golden_image("eastron-sdm630"), Fault.NOBODY) for unit in (1, 2, 3)}
    meters[2].misbehave(None)
    async with bus_of(meters, "tcp") as bus:
        result, _ = await search(bus.connection, (1, 2, 3))
    assert [found.unit for found in result.found] == [2]
    assert result.unclear == []


async def test_of_a_device_that_answers_to_every_unit_the_first_one_is_enough():
    meters = {unit: Meter(golden_image("siemens-pac")) for unit in range(1, 11)}
    async with bus_of(meters, "tcp") as bus:
        result, _ = await search(bus.connection, range(1, 11), first_only=True)
    assert [found.unit for found in result.found] == [1]


def test_the_units_that_meters_come_with_are_asked_first():
    assert usual_first((1, 2, 3, 126, 2), PROFILES) == ([1, 126], [2, 3])


@pytest.mark.parametrize("fault", [Fault.WRONG_CHECKSUM, Fault.SHORT, Fault.WRONG_UNIT, Fault.FEWER])
async def test_what_is_no_answer_is_told_and_is_no_unit(fault):
    async with bus_of({1: Meter(golden_image("eastron-sdm630"), fault)}, "gateway") as bus:
        result, _ = await search(bus.connection)
    assert result.found == []
    assert result.unclear[0].startswith("127.0.0.1:")


async def test_a_late_meter_is_not_taken_for_its_neighbour():
    meters = {unit: Meter(golden_image("eastron-sdm630")) for unit in (1, 2)}
    meters[1].late_s = 0.5
    meters[1].misbehave(Fault.LATE)
    async with bus_of(meters, "serial") as bus:
        result, _ = await search(bus.connection, (1, 2, 3), settings=USUAL_SETTINGS[:3])
    assert [found.unit for found in result.found] == [2]


# ── which settings ────────────────────────────────────────────────────────────────────────────


async def test_the_speed_that_is_answered_at_is_found_and_kept():
    meters = {unit: Meter(golden_image("cg-em24")) for unit in (1, 3)}
    async with bus_of(meters, "serial", only_at=38400) as bus:
        result, told = await search(bus.connection, (1, 2, 3))
    assert {(found.unit, found.settings) for found in result.found} == {
        (1, SerialSettings(38400)),
        (3, SerialSettings(38400)),
    }
    assert told[0] == "9600 baud 8N1, unit 1: does it answer?"
    later = told[told.index("38400 baud 8N1, unit 1: does it answer?") :]
    assert all(words.startswith("38400 baud 8N1, ") for words in later), "no other speed once one has answered"


async def test_what_was_heard_at_another_speed_is_forgotten_once_the_right_one_is_found():
    async with bus_of({1: Meter(golden_image("cg-em24"))}, "serial", only_at=19200) as bus:
        bus.garbles = True
        at_9600, at_19200 = SerialSettings(9600), SerialSettings(19200)
        result, _ = await search(bus.connection, settings=(at_9600,))
        assert (result.found, len(result.unclear)) == ([], 1)
        assert result.unclear[0].startswith(f"9600 baud 8N1: {bus.connection.removeprefix('rtu://')} unit 1: ")
        result, _ = await search(bus.connection, settings=(at_9600, at_19200))
        assert (result.found[0].settings, result.unclear) == (at_19200, [])


async def test_settings_that_a_port_cannot_do_are_passed_over_and_told_if_there_are_no_others():
    able, unable = SerialSettings(19200), SerialSettings(9600, "E")
    async with bus_of({1: Meter(golden_image("abb-ab"))}, "serial") as bus:
        # glibc says so of a pseudo-terminal's parity once nothing else changes
        Serial(bus.connection.removeprefix("rtu://"), 9600).close()
        with pytest.raises(LineDown, match="does not do 9600 baud 8E1$"):
            await search(bus.connection, settings=(unable,))
        result, told = await search(bus.connection, settings=(unable, able))
        assert [(found.unit, found.settings) for found in result.found] == [(1, able)]
        assert told[:2] == ["9600 baud 8E1, unit 1: does it answer?", "19200 baud 8N1, unit 1: does it answer?"]


async def test_a_port_that_cannot_be_opened_ends_the_search():
    with pytest.raises(LineDown, match="/dev/ttyNone: there is no such serial port"):
        await search("rtu:///dev/ttyNone")


async def test_a_line_that_breaks_is_told_and_not_taken_for_a_meter_that_fits_nothing():
    async with bus_of({1: Meter(golden_image("eastron-sdm630"))}, "serial") as bus:
        result = Search()
        with pytest.raises(LineDown):
            async for words in steps(places_at(bus.connection), (1,), PROFILES, lambda: NOW, result, first_only=False):
                if "is it cg-em24" in words:
                    bus._serial.close()
                    bus._serial = None
    assert [found.unit for found in result.found] == [1], "what was found before stays found"


@pytest.mark.parametrize("wire", WIRES)
async def test_the_line_is_free_after_the_search_also_when_it_is_given_up(wire):
    async with bus_of({1: Meter(golden_image("eastron-sdm630"), Fault.SILENT)}, wire) as bus:
        (place, *others) = places_at(bus.connection)
        async with asyncio.TaskGroup() as tasks:

            async def run() -> None:
                async for _ in steps([place, *others], (1,), PROFILES, lambda: NOW, Search(), first_only=False):
                    pass

            searching = tasks.create_task(run())
            while not bus.requests:
                await asyncio.sleep(0)
            searching.cancel()
        bus.meters[1].misbehave(None)
        result, _ = await search(bus.connection)  # a serial port is opened exclusively
    assert [found.unit for found in result.found] == [1]

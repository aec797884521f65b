"""`edge meter probe` beside a daemon: it probes the lines that it reads itself, and the grid meter comes first."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from simulators.meter import MeterSimulator
from simulators.meter_bus import Meter, MeterBus

from edge.config import Meter as MeterSettings
from tests.scenarios.site import Site, configuration

WIRES = ("serial", "gateway", "tcp")


def meters(*units: int) -> dict[int, Meter]:
    simulators = {unit: MeterSimulator() for unit in units}
    for unit, simulator in simulators.items():
        simulator.set(power_w=(100.0 * unit, 0.0, 0.0))
    return {unit: Meter(simulator, turnaround_s=0.04) for unit, simulator in simulators.items()}


@asynccontextmanager
async def site_at(folder, bus: MeterBus, wire: str) -> AsyncIterator[Site]:
    """A daemon that reads unit 5 as its grid meter and unit 7 as another one."""
    if wire == "serial":
        connection = bus.open_serial().connection + "?baudrate=9600"
    else:
        connection = (await (bus.open_tcp() if wire == "tcp" else bus.open_rtu_over_tcp())).connection
    grid = MeterSettings(id="grid", profile="eastron-sdm630", connection=connection, unit=5, role="grid")
    sub = MeterSettings(id="sub", profile="eastron-sdm630", connection=connection, unit=7, role="sub")
    async with Site(configuration(folder, meters=(grid, sub))).running() as site:
        await site.until("meter", lambda d: all(meter["quality"] == "good" for meter in d["meters"]))
        yield site


async def started(site: Site, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "--socket", str(site.config.api.socket), "meter", "probe", *words, "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def probe(site: Site, *words: str) -> tuple[int, dict]:
    process = await started(site, *words)
    out, err = await process.communicate()
    assert process.returncode is not None and b"Traceback" not in err, err.decode()
    return process.returncode, json.loads(out)


def address_of(bus: MeterBus) -> str:
    return bus.connection


@pytest.mark.parametrize("wire", WIRES)
async def test_the_grid_meter_is_read_every_second_while_the_daemon_probes_its_line(folder, wire):
    async with MeterBus(meters(5, 7, 30), baudrate=None if wire == "tcp" else 9600) as bus:
        async with site_at(folder, bus, wire) as site:
            loop = asyncio.get_running_loop()
            before = (await site.ask("meter", meter="grid"))["meters"][0]
            ages: list[float] = []
            begun = loop.time()
            async with asyncio.TaskGroup() as tasks:
                probing = tasks.create_task(probe(site, address_of(bus), "--units", "20-40", "--within", "2m"))
                while not probing.done():
                    ages.append((await site.ask("meter", meter="grid"))["meters"][0]["age_s"])
                    await asyncio.sleep(0.05)
            took = loop.time() - begun
            after, sub = (await site.ask("meter"))["meters"]
            code, found = probing.result()
    asked = [request.at for request in bus.requests if (request.unit, request.address) == (5, 0)]
    pauses = [later - earlier for earlier, later in pairwise(asked) if earlier > begun]
    readings = (after["polls"] - after["failures"]) - (before["polls"] - before["failures"])

    assert code == 0
    assert [(each["unit"], each["meter"]) for each in found["found"]] == [(30, None)]
    assert took > 5, "long enough to say something"
    assert readings >= 0.9 * took - 1
    assert max(ages) < 2.5, "seconds that the grid meter's newest reading ever was old; it counts for 5"
    assert max(pauses) < 2.5
    assert (after["failures"], sub["failures"], sub["quality"]) == (0, 0, "good")


@pytest.mark.parametrize("wire", WIRES)
async def test_meters_of_the_configuration_are_found_by_their_name(folder, wire):
    async with MeterBus(meters(5, 6, 7)) as bus, site_at(folder, bus, wire) as site:
        code, found = await probe(site, address_of(bus), "--units", "5-7")
    assert code == 0
    assert [(each["unit"], each["meter"]) for each in found["found"]] == [(5, "grid"), (6, None), (7, "sub")]
    assert [each["profiles"][0]["power_w"][0] for each in found["found"]] == [500.0, 600.0, 700.0]
    if wire == "serial":
        assert found["found"][1]["connection"] == f"{bus.connection}?baudrate=9600&parity=N&stopbits=1"


async def test_a_line_that_has_another_name_in_the_configuration_is_probed_by_the_daemon_too(folder):
    async with MeterBus(meters(5, 6, 7)) as bus, site_at(folder, bus, "serial") as site:
        by_id = folder / "usb-adapter"
        by_id.symlink_to(bus.connection.removeprefix("rtu://"))
        code, found = await probe(site, f"rtu://{by_id}", "--unit", "6")
    assert code == 0, found
    assert found["found"][0]["connection"].startswith(f"rtu://{by_id}?")


async def test_a_gateway_that_has_another_name_in_the_configuration_is_probed_by_the_daemon_too(folder):
    async with MeterBus(meters(5, 6, 7)) as bus, site_at(folder, bus, "gateway") as site:
        connections = len(bus._writers)
        code, found = await probe(site, bus.connection.replace("127.0.0.1", "localhost"), "--unit", "6")
        assert len(bus._writers) == connections == 1, "two on one gateway would take each other's answers"
    assert code == 0, found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda at: at + "?baudrate=19200", "The daemon reads /dev/pts/"),
        (lambda at: at + "?parity=E", "with 9600 baud 8N1."),
    ],
)
async def test_a_line_that_is_read_is_not_set_otherwise(folder, change, words):
    async with MeterBus(meters(5, 6, 7)) as bus, site_at(folder, bus, "serial") as site:
        code, said = await probe(site, change(bus.connection), "--unit", "6")
        assert (code, said["error"]["code"]) == (1, "in_use")
        assert words in said["error"]["message"]
        assert (await probe(site, bus.connection, "--baudrates", "19200"))[0] == 1
        assert (await probe(site, bus.connection, "--unit", "6", "--baudrates", "9600,19200"))[0] == 0


async def test_a_gateway_is_not_spoken_to_otherwise_while_it_is_read(folder):
    async with MeterBus(meters(5, 6, 7)) as bus, site_at(folder, bus, "gateway") as site:
        code, said = await probe(site, bus.connection.replace("rtu+tcp", "tcp"), "--unit", "6")
    assert (code, said["error"]["code"]) == (1, "in_use")
    assert said["error"]["message"] == f"The daemon reads {bus.connection} there."


async def test_a_line_that_the_daemon_does_not_read_is_probed_by_the_command(folder):
    async with MeterBus(meters(5, 7)) as bus, MeterBus(meters(3)) as other, site_at(folder, bus, "serial") as site:
        other.open_serial()
        asked = len([request for request in bus.requests if request.unit == 3])
        code, found = await probe(site, other.connection, "--unit", "3")
        assert asked == len([request for request in bus.requests if request.unit == 3]) == 0
    assert (code, [each["unit"] for each in found["found"]]) == (0, [3])


@pytest.mark.parametrize("wire", WIRES)
async def test_nothing_found_is_told_with_what_to_check(folder, wire):
    async with MeterBus(meters(5, 7)) as bus, site_at(folder, bus, wire) as site:
        code, said = await probe(site, address_of(bus), "--unit", "9")
        assert (code, said["error"]["code"]) == (1, "nothing_answered")
        assert "Tried: unit 9" in said["error"]["hint"]
        if wire == "serial":
            assert "with 9600 baud 8N1" in said["error"]["hint"]
        code, said = await probe(site, address_of(bus), "--units", "100-199", "--within", "1s")
        assert (code, said["error"]["code"]) == (5, "timed_out")


async def test_a_person_who_gives_up_ends_the_probing_and_the_meters_are_read_on(folder):
    async with MeterBus(meters(5, 7)) as bus, site_at(folder, bus, "serial") as site:
        process = await started(site, address_of(bus), "--units", "100-199")
        async with asyncio.timeout(20):
            while not any(request.unit >= 100 for request in bus.requests):
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        await process.communicate()
        before = await site.ask("meter")
        bus.requests.clear()
        await site.until(
            "meter",
            lambda d: all(
                now["polls"] >= then["polls"] + 3 for now, then in zip(d["meters"], before["meters"], strict=True)
            ),
        )
        assert {request.unit for request in bus.requests} == {5, 7}
        assert all(meter["quality"] == "good" for meter in (await site.ask("meter"))["meters"])


async def test_ones_own_profile_need_not_be_readable_by_the_daemon(folder):
    """It travels with the question: the daemon neither sees a person's files nor shall it open what it is told to."""
    own = folder / "mine.toml"
    own.write_text(
        'id = "mine"\nvendor = "x"\nmodels = []\nquality = "unverified"\nphases = 1\n[read]\nfc = 4\n'
        '[fields]\nu = { a = [0], t = "f32" }\np = { a = [12], t = "f32" }\n'
    )
    async with MeterBus(meters(5, 6, 7)) as bus, site_at(folder, bus, "serial") as site:
        code, found = await probe(site, address_of(bus), "--unit", "6", "--profile", str(own))
        refused = await site.ask("meter_probe")
    assert code == 0
    assert [fit["profile"] for fit in found["found"][0]["profiles"]] == [str(own)]
    assert refused["error"]["code"] == "unknown_command", "it is a stream"

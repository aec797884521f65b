"""Meters on a line, as a site has them: the whole daemon, a pseudo-terminal or a gateway, many units, some of them bad."""

import asyncio
import random
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from simulators.meter import MeterSimulator
from simulators.meter_bus import Fault, Meter, MeterBus

from edge.config import Meter as MeterSettings
from tests.scenarios.site import Site, configuration

DEAD = (3, 6, 9)
WINDOW_S = 12.0


def ten_meters() -> dict[int, Meter]:
    meters = {}
    for unit in range(1, 11):
        simulator = MeterSimulator()
        simulator.set(power_w=(100.0 * unit, 0.0, 0.0))
        meters[unit] = Meter(simulator, turnaround_s=0.04)
    for unit in DEAD:
        meters[unit].misbehave(Fault.SILENT)
    return meters


def settings(connection: str) -> tuple[MeterSettings, ...]:
    """The grid meter stands in the middle of the file and of the line."""
    return tuple(
        MeterSettings(
            id="grid" if unit == 5 else f"sub-{unit}",
            profile="eastron-sdm630",
            connection=connection,
            unit=unit,
            role="grid" if unit == 5 else "sub",
        )
        for unit in range(1, 11)
    )


async def opened(bus: MeterBus, wire: str) -> str:
    if wire == "serial":
        return bus.open_serial().connection + "?baudrate=9600"
    return (await bus.open_rtu_over_tcp()).connection


@pytest.mark.parametrize("wire", ["serial", "gateway"])
async def test_ten_meters_on_one_line_three_of_them_dead_the_grid_meter_is_read_every_second(folder, wire):
    async with MeterBus(ten_meters(), baudrate=9600) as bus:
        config = configuration(folder, meters=settings(await opened(bus, wire)))
        async with Site(config).running() as site:
            await site.until("meter", lambda d: all(m["failures"] > 0 for m in d["meters"] if m["unit"] in DEAD))
            await site.until(
                "meter", lambda d: all(m["quality"] == "good" for m in d["meters"] if m["unit"] not in DEAD)
            )
            ages, read = await watch(site)
            meters = (await site.ask("meter"))["meters"]
            status = await site.ask("status")
    fast = [request.at for request in bus.requests if (request.unit, request.address) == (5, 0)]
    pauses = [after - before for before, after in pairwise(fast)]

    assert max(ages) < 2.5, "seconds that the grid meter's newest reading ever was old; it counts for 5"
    assert read >= 0.9 * WINDOW_S, "readings of the grid meter, one a second"
    assert max(pauses) < 2.5

    for meter in meters:
        if meter["unit"] in DEAD:
            assert (meter["quality"], meter["read_at"], meter["power_w"]) == ("absent", None, [None, None, None])
            assert "no answer within" in meter["last_error"]
        else:
            assert meter["quality"] == "good"
            assert meter["power_w"] == [100.0 * meter["unit"], 0.0, 0.0]
    assert {alarm["subject"] for alarm in status["alarms"] if alarm["code"] == "meter_silent"} == {
        f"sub-{unit}" for unit in DEAD
    }
    assert [meter["id"] for meter in status["meters"] if meter["quality"] == "good"] == [
        "grid" if unit == 5 else f"sub-{unit}" for unit in range(1, 11) if unit not in DEAD
    ]


async def watch(site: Site) -> tuple[list[float], int]:
    """Ages of the grid meter's reading as `edge meter` tells them, and how many readings there were, in the window."""
    loop = asyncio.get_running_loop()
    ages, begin, end = [], None, loop.time() + WINDOW_S
    grid: dict = {}
    while loop.time() < end:
        grid = (await site.ask("meter", meter="grid"))["meters"][0]
        ages.append(grid["age_s"])
        begin = grid if begin is None else begin
        await asyncio.sleep(0.05)
    assert begin is not None
    good = [meter["polls"] - meter["failures"] for meter in (begin, grid)]
    return ages, good[1] - good[0]


# ── wrong answers ─────────────────────────────────────────────────────────────────────────────

HONEST = 30
"""The unit of the grid meter, which shares the line with a unit for each fault."""
SAID = {
    Fault.SILENT: "no answer within",
    Fault.LATE: "no answer within|answers later than|unit [0-9]+ answered|answered with|wrong",
    Fault.SHORT: "the answer ended after|bytes came that are no answer",
    Fault.LONG: "more bytes came after|answered with more than its registers",
    Fault.FEWER: "answered with [0-9]+ registers",
    Fault.MORE: "answered with [0-9]+ registers",
    Fault.WRONG_UNIT: "unit [0-9]+ answered",
    Fault.WRONG_FUNCTION: "answered with function code 3",
    Fault.WRONG_CHECKSUM: "the checksum of the answer is wrong",
    Fault.REFUSING: "device failure",
    Fault.NOBODY: "gateway target device failed to respond",
    Fault.PREVIOUS: "answered with|no answer within|answers later than",
}
"""What `edge meter` says of it."""


class Truth:
    """Meters whose power tells whose it is and when it was measured."""

    def __init__(self, faults: list[Fault]) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self.faults = dict(enumerate(faults, start=1))
        self.meters = {unit: Meter(MeterSimulator(load=self._load_of(unit))) for unit in (*self.faults, HONEST)}

    def now(self) -> float:
        return self._loop.time() - self._start

    def _load_of(self, unit: int) -> Callable[[], tuple[float, float, float]]:
        return lambda: (100.0 * unit, self.now(), 0.0)

    def check(self, document: dict, asked_at: float) -> None:
        """Each reading is of the meter that it is said to be of, and not older than it is said to be.

        No answer is late by less than 0.3 s.
        """
        for meter in document["meters"]:
            if meter["read_at"] is None:
                continue
            own, measured_at, nothing = meter["power_w"]
            fault = self.faults.get(meter["unit"], "none")
            assert (own, nothing) == (100.0 * meter["unit"], 0.0), f"{fault}: {meter}"
            assert meter["power_total_w"] == pytest.approx(own + measured_at, abs=0.1), f"{fault}: {meter}"
            assert meter["voltage_v"] == [230.0, 230.0, 230.0], f"{fault}: {meter}"
            assert asked_at - measured_at < meter["age_s"] + 0.25, f"{fault}: {meter}"


def has_failed_twice_more(before: dict, now: dict) -> bool:
    """Each meter but the honest one."""
    pairs = list(zip(before["meters"], now["meters"], strict=True))[:-1]
    return all(new["quality"] == "stale" and new["failures"] >= old["failures"] + 2 for old, new in pairs)


@pytest.mark.parametrize("wire", ["serial", "gateway", "tcp"])
async def test_no_late_short_or_wrong_answer_ever_becomes_a_reading(folder, wire):
    chance = random.Random(wire)
    truth = Truth([fault for fault in Fault if wire != "tcp" or fault is not Fault.WRONG_CHECKSUM])  # TCP has none
    async with MeterBus(truth.meters) as bus:
        connection = (await bus.open_tcp()).connection if wire == "tcp" else await opened(bus, wire)
        meters = tuple(
            MeterSettings(
                id=f"m{unit}",
                profile="eastron-sdm630",
                connection=connection.removesuffix("?baudrate=9600"),
                unit=unit,
                role="grid" if unit == HONEST else "sub",
                poll_interval=0.5,
                stale_after=2.0,
            )
            for unit in truth.meters
        )
        async with Site(configuration(folder, meters=meters)).running() as site:
            await site.until("meter", lambda d: all(meter["quality"] == "good" for meter in d["meters"]))
            honest = []

            async def look() -> dict:
                asked_at = truth.now()
                document = await site.ask("meter")
                truth.check(document, asked_at)
                honest.append(document["meters"][-1])
                return document

            # now and then, so that a good answer follows a bad one
            end = truth.now() + 8
            while truth.now() < end:
                unit = chance.choice(list(truth.faults))
                truth.meters[unit].late_s = chance.uniform(0.3, 1.5)
                truth.meters[unit].misbehave(truth.faults[unit], times=2 if truth.faults[unit] is Fault.PREVIOUS else 1)
                for _ in range(8):
                    await look()
                    await asyncio.sleep(0.05)
            # and for good
            for unit, fault in truth.faults.items():
                truth.meters[unit].late_s = 0.8 if wire == "tcp" else 0.45
                truth.meters[unit].misbehave(fault)
            before = await look()
            async with asyncio.timeout(60):
                while not has_failed_twice_more(before, await look()):
                    await asyncio.sleep(0.05)
            last = await look()
    for meter in last["meters"][:-1]:
        assert meter["quality"] == "stale"
        assert re.search(SAID[truth.faults[meter["unit"]]], meter["last_error"]), meter["last_error"]
    assert max(meter["age_s"] for meter in honest) < 2.0, "the faults of the others are not the grid meter's"
    assert {meter["quality"] for meter in honest} == {"good"}


async def test_a_meter_that_was_dead_is_read_once_it_answers_again(folder):
    meters = ten_meters()
    async with MeterBus(meters, baudrate=None) as bus:
        config = configuration(folder, meters=settings(await opened(bus, "serial"))[:3])
        async with Site(config).running() as site:
            await site.until("meter", lambda d: d["meters"][2]["failures"] > 1)
            meters[3].misbehave(None)
            await site.until("meter", lambda d: d["meters"][2]["quality"] == "good", within=30)


async def test_a_serial_adapter_that_is_missing_is_said_so_and_used_once_it_is_there(folder):
    device = folder / "ttyUSB0"
    async with MeterBus(ten_meters()) as bus:
        bus.open_serial()
        config = configuration(folder, meters=settings(f"rtu://{device}")[:2])
        async with Site(config).running() as site:
            said = await site.until("meter", lambda d: d["meters"][0]["last_error"])
            assert said.startswith(f"{device}: there is no such serial port; is the adapter plugged in?")
            device.symlink_to(bus.connection.removeprefix("rtu://"))
            await site.until("meter", lambda d: all(meter["quality"] == "good" for meter in d["meters"]))

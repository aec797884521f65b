"""The unmodified daemon through one virtual hour: two chargers, a cloud, a meter, an outage. Twice, the same trace."""

import asyncio
import contextlib
import random
from dataclasses import dataclass

import pytest
from simulators.charger import Charger
from simulators.csms import Csms
from simulators.meter import MeterSimulator

from edge.config import (
    Api,
    Authorization,
    ChargerDefaults,
    ChargerSettings,
    Config,
    Listener,
    Meter,
    Site,
    StoreSettings,
    Uplink,
)
from edge.daemon import build
from edge.world import World
from tests.scenarios.apart import apart
from tests.simulation.loop import SimLoop, run
from tests.simulation.world import SimClock, SimDisk, SimIds, SimNotify, SimOffload, folder_in_memory

HOUR = 3600.0
OUTAGE = (900.0, 2100.0)
"""From a quarter past to 35 minutes past."""
TRANSACTION = ("StartTransaction", "MeterValues", "StopTransaction")


@dataclass(frozen=True)
class Seen:
    """What an hour ended with."""

    sent: int
    received: int
    polls: int
    outage_backlog: int


def config(folder, csms: Csms, meter: MeterSimulator) -> Config:
    return Config(
        site=Site(id="depot-7"),
        listeners=(Listener("127.0.0.1", 8887, "/ocpp", 1),),
        uplink=Uplink(url=csms.url, identity="depot-7", security_profile=0),
        store=StoreSettings(path=folder / "edge.db"),
        chargers=ChargerDefaults(meter_interval=60),
        charger=tuple(ChargerSettings(f"CP-0{n}", password=b"0123456789abcde%d" % n, evses=(1, 1)) for n in (1, 2)),
        authorization=Authorization(offline="everyone"),
        meters=(Meter("grid", "eastron-sdm630", meter.connection),),
        api=Api(socket=None),
    )


async def hour(loop: SimLoop, folder, seed: int) -> Seen:
    clock, ids = SimClock(loop), SimIds(seed, "parties")
    world = World(clock, SimIds(seed, "edge"), SimDisk(loop).open_database, SimOffload(), SimNotify(loop))
    async with contextlib.AsyncExitStack() as stack:
        csms = await stack.enter_async_context(
            Csms(port=9000, utc_now=clock.utc_now, new_message_id=ids.message_id, first_transaction_id=500)
        )
        meter = await stack.enter_async_context(MeterSimulator(port=5020))
        meter.set(power_w=(4000.0, 3000.0, 2000.0), current_a=(17.5, 13.1, 8.7))
        daemon = build(config(folder, csms, meter), world)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        life = tasks.create_task(daemon.run())
        await daemon.ready.wait()
        chargers = [
            Charger(
                f"CP-0{n}",
                "ws://127.0.0.1:8887/ocpp",
                password=b"0123456789abcde%d" % n,
                meter_interval_s=60,
                utc_now=clock.utc_now,
                new_message_id=ids.message_id,
            )
            for n in (1, 2)
        ]
        for charger in chargers:
            await stack.enter_async_context(charger.running())
        end = loop.time() + HOUR - 300
        async with asyncio.TaskGroup() as drivers:
            for number, charger in enumerate(chargers):
                for connector in (1, 2):
                    chance = random.Random(f"{seed}/{number}/{connector}")
                    drivers.create_task(drive(charger, connector, chance, end))
            backlog = await outage(csms, chargers)
        await asyncio.sleep(120)
        check(csms, chargers)
        polls = daemon.inside.meters()[0].polls
        seen = Seen(sum(len(c.sent) for c in chargers), len(csms.received), polls, backlog)
        daemon.leave()
        await life
    return seen


async def drive(charger: Charger, connector: int, chance: random.Random, end: float) -> None:
    """One parking space: cars come, charge, and go."""
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        await asyncio.sleep(chance.uniform(20, 200))
        await charger.plug_in(connector)
        await charger.start_session(connector, f"TAG-{chance.randint(1, 9)}")
        await asyncio.sleep(chance.uniform(60, 600))
        await charger.stop_session(connector)
        await charger.unplug(connector)


async def outage(csms: Csms, chargers: list[Charger]) -> int:
    """How many messages the chargers were answered for that the cloud has not got when it is back."""
    await asyncio.sleep(OUTAGE[0])
    csms.refuse_connections(True)
    csms.cut()
    await asyncio.sleep(OUTAGE[1] - OUTAGE[0])
    answered = sum(one.answered for charger in chargers for one in charger.sent)
    arrived = [one for one in apart(csms.received) if one.action in TRANSACTION and one.connector != 0]
    csms.refuse_connections(False)
    return answered - len(arrived)


def check(csms: Csms, chargers: list[Charger]) -> None:
    """Everything arrived, once, in order, on its own connector."""
    assert csms.violations == []
    for number, charger in enumerate(chargers):
        assert charger.violations == []
        for connector in (1, 2):
            sent = [one for one in charger.sent if one.connector == connector]
            upstream = 2 * number + connector
            got = [one for one in apart(csms.received) if one.action in TRANSACTION and one.connector == upstream]
            assert [one.action for one in got] == [one.action for one in sent]
            assert all(one.answered for one in sent)
            energy = sum(tx.energy_wh for tx in csms.transactions.values() if tx.connector == upstream and tx.stop)
            stops = [one.payload["meterStop"] for one in sent if one.action == "StopTransaction"]
            starts = [one.payload["meterStart"] for one in sent if one.action == "StartTransaction"]
            assert energy == sum(stops) - sum(starts)  # to the watt-hour


def test_one_hour_with_an_outage_loses_nothing_and_the_same_seed_gives_the_same_trace():
    runs = []
    for seed in (1, 1, 2):
        with folder_in_memory() as folder:
            runs.append(run(lambda loop, seed=seed, folder=folder: hour(loop, folder, seed), seed=seed))
    first, again, other = runs
    assert first.trace.sha256() == again.trace.sha256()
    assert first.trace.sha256() != other.trace.sha256()
    assert first.value == again.value
    assert first.value.sent > 50
    assert first.value.outage_backlog > 20
    assert first.value.polls > 3500


@pytest.mark.parametrize("seed", [11, 12])
def test_the_hour_holds_when_the_ready_queue_is_shuffled(seed):
    with folder_in_memory() as folder:
        run(lambda loop: hour(loop, folder, seed), seed=seed, shuffle=random.Random(seed))

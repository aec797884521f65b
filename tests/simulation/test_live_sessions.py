"""No live session is ever ended: ten thousand of them, whose chargers give every reason to believe that they are dead.

Cars stand at a full battery for hours, pause, and go on; chargers say nothing for days, lose their connections, boot
and keep charging, tell flat registers, flap, replay what they have kept. The units are the daemon's own, and so is the
reconciler, on virtual time; only sockets are left out, whose pings would take longer than all the rest.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from simulators.wire import timestamp

from edge.chargers import endings, reconciler, records, starts, stops
from edge.chargers.said import Said
from edge.chargers.starts import Policy
from edge.config import Sessions
from edge.dialects.v16 import observe
from edge.domain import reconciliation
from edge.domain.authorization import OfflinePolicy, UplinkState
from edge.domain.events import (
    ChargerBooted,
    ConnectorStatusChanged,
    EnergyMeasured,
    TransactionEnded,
    TransactionStarted,
)
from edge.domain.ids import ChargerId, ChargerNo, ChargerTransactionId
from edge.ocppj.frames import Call, call_text
from edge.store import connectors, transactions
from edge.store.db import open_store
from edge.store.exchange import Moment
from tests.simulation.loop import SimLoop, run
from tests.simulation.world import SimClock, SimDisk, folder_in_memory

CHARGERS, ROUNDS, CONNECTORS = 25, 10, 2
SESSIONS = CHARGERS * ROUNDS * CONNECTORS
SEEDS = range(1, 21)
HOUR = 3600.0
POLICY = Policy(OfflinePolicy.EVERYONE, UplinkState.DOWN, 7000)


@dataclass
class Box:
    """A charger: what it says goes straight into the daemon's units."""

    site: "Site"
    id: ChargerId
    no: ChargerNo
    chance: random.Random
    is_online: bool = True
    left_at: float = 0.0
    messages: int = 0
    given: dict[int, int] = field(default_factory=dict)
    statuses: dict[int, str] = field(default_factory=dict)
    told: dict[int, str] = field(default_factory=dict)
    """The status of each connector that it has said last."""
    answers_triggers: bool = True

    async def say(self, action: str, **payload: object) -> dict:
        self.messages += 1
        message_id = f"{self.id}-{self.messages}"
        call = Call(message_id, action, payload, call_text(message_id, action, payload))
        said = Said(self.no, "1.6", call, self.site.moment())
        return await self.site.store.write(lambda db: _record(db, said, observe.observe(action, payload)))

    def now(self) -> str:
        return timestamp(self.site.clock.utc_now())

    async def status(self, connector: int, status: str) -> None:
        self.statuses[connector] = status
        if self.is_online:
            self.told[connector] = status
            await self.say(
                "StatusNotification", connectorId=connector, errorCode="NoError", status=status, timestamp=self.now()
            )

    async def values(self, connector: int, register: int, at: str | None = None) -> None:
        sampled = [{"value": str(register), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]
        entry = {"timestamp": at or self.now(), "sampledValue": sampled}
        await self.say("MeterValues", connectorId=connector, transactionId=self.given[connector], meterValue=[entry])

    def leave(self) -> None:
        self.is_online, self.left_at = False, self.site.loop.time()

    async def live(self) -> None:
        for _ in range(ROUNDS):
            async with asyncio.TaskGroup() as tasks:
                for connector in range(1, CONNECTORS + 1):
                    tasks.create_task(self._session(connector))

    async def _session(self, connector: int) -> None:
        chance, register = self.chance, 1_000_000 * connector + self.messages
        await asyncio.sleep(chance.uniform(1, HOUR))
        begun = await self.say(
            "StartTransaction", connectorId=connector, idTag="TAG", meterStart=register, timestamp=self.now()
        )
        self.given[connector] = begun["transactionId"]
        await self.status(connector, "Charging")
        for _ in range(chance.randrange(2, 6)):
            register += chance.choice((0, 0, 700, 5000))
            await chance.choice(DEEDS)(self, connector, register)
        await self._return()
        await self.say(
            "StopTransaction",
            transactionId=self.given[connector],
            meterStop=register,
            timestamp=self.now(),
            reason="Local",
        )
        await self.status(connector, "Finishing")
        await asyncio.sleep(chance.uniform(1, 300))
        await self.status(connector, "Available")

    async def _return(self) -> None:
        if not self.is_online:
            self.is_online = True
            for connector, status in self.statuses.items():
                await self.status(connector, status)


async def _stand_flat(box: Box, connector: int, register: int) -> None:
    """The same register, for hours."""
    for _ in range(box.chance.randrange(1, 6)):
        await asyncio.sleep(HOUR)
        if box.is_online:
            await box.values(connector, register)


async def _pause(box: Box, connector: int, register: int) -> None:
    """The car is full; later it goes on, or not."""
    await box.status(connector, box.chance.choice(("SuspendedEV", "SuspendedEVSE")))
    await asyncio.sleep(box.chance.uniform(HOUR, 9 * HOUR))
    await box.status(connector, "Charging")


async def _say_nothing(box: Box, _connector: int, _register: int) -> None:
    await asyncio.sleep(box.chance.uniform(HOUR, 30 * HOUR))


async def _lose_the_link(box: Box, _connector: int, _register: int) -> None:
    box.leave()
    await asyncio.sleep(box.chance.uniform(1, 20 * HOUR))
    await box._return()


async def _boot_and_go_on(box: Box, connector: int, register: int) -> None:
    """What it says of it differs: its statuses, values, or nothing at all."""
    box.leave()
    await asyncio.sleep(box.chance.uniform(1, HOUR))
    box.is_online = True
    await box.say("BootNotification", chargePointVendor="Live", chargePointModel="Box")
    match box.chance.randrange(3):
        case 0:
            for other, status in box.statuses.items():
                await box.status(other, status)
        case 1:
            await asyncio.sleep(30)
            await box.values(connector, register)
    for other, status in box.statuses.items():
        if status != box.told.get(other):
            await box.status(other, status)  # what has changed is told by the worst of them (1.6 §4.9)
    await asyncio.sleep(box.chance.uniform(1, 3 * HOUR))


async def _flap(box: Box, connector: int, _register: int) -> None:
    """Available for a moment, as a loose plug says it."""
    before = box.statuses[connector]
    await box.status(connector, box.chance.choice(("Available", "Finishing", "Unavailable", "Preparing", "Faulted")))
    await asyncio.sleep(box.chance.uniform(1, 120))
    await box.status(connector, "Charging" if before == "Available" else before)


async def _refuse_to_stop(box: Box, connector: int, _register: int) -> None:
    at, given = box.site.moment(), ChargerTransactionId(str(box.given[connector]))

    def refused(db) -> None:
        tx = transactions.by_charger_tx(db, box.no, given)
        endings.stop_answered(db, tx.no, is_accepted=False, at=at)

    await box.site.store.write(refused)
    await asyncio.sleep(box.chance.uniform(1, HOUR))


DEEDS: tuple[Callable[[Box, int, int], object], ...] = (
    _stand_flat, _pause, _say_nothing, _lose_the_link, _boot_and_go_on, _flap, _refuse_to_stop,
)  # fmt: skip


def _record(db, said: Said, event: object) -> dict:
    match event:
        case TransactionStarted():
            return dict(starts.record_start(db, said, event, POLICY).recorded.answer)
        case EnergyMeasured():
            return dict(records.record_values(db, said, event).answer)
        case TransactionEnded():
            return dict(stops.record_stop(db, said, event).answer)
        case ConnectorStatusChanged():
            return dict(records.record_status(db, said, event).answer)
        case ChargerBooted():
            return dict(records.record_boot(db, said, event, {}).answer)
    raise AssertionError(event)


class Site:
    """The store, the reconciler, and the boxes; also what the reconciler knows of who is there."""

    def __init__(self, loop: SimLoop, store) -> None:
        self.loop, self.store, self.clock = loop, store, SimClock(loop)
        self.boxes: dict[ChargerId, Box] = {}
        self.reconciler = reconciler.Reconciler(
            store, self, self.clock, self.moment, Sessions, lambda _stored: None, lambda: None, lambda _charger: 22_000.0, lambda _charger, _rule: None
        )  # fmt: skip

    def moment(self) -> Moment:
        return Moment(1, self.clock.utc_now(), round(self.loop.time() * 1000))

    # --- the roster

    def is_online(self, charger: ChargerId) -> bool:
        return self.boxes[charger].is_online

    def away_for(self, charger: ChargerId) -> float:
        box = self.boxes[charger]
        return 0.0 if box.is_online else self.loop.time() - box.left_at

    async def call(self, charger: ChargerId, action: str, payload: dict, **_: object) -> dict:
        box = self.boxes[charger]
        assert action == "TriggerMessage"
        if not box.answers_triggers:
            return {"status": "NotImplemented"}
        await box.status(payload["connectorId"], box.statuses[payload["connectorId"]])
        return {"status": "Accepted"}


async def _live(loop: SimLoop, folder: Path, seed: int) -> list[tuple]:
    """Sessions that were ended, or called ended, by anybody but their chargers."""
    store = await open_store(folder / "edge.db", SimDisk(loop).open_database, SimClock(loop))
    site = Site(loop, store)
    async with asyncio.TaskGroup() as tasks:
        daemon = [tasks.create_task(store.run()), tasks.create_task(site.reconciler.run())]
        async with asyncio.TaskGroup() as boxes:
            for number in range(1, CHARGERS + 1):
                name = ChargerId(f"CP-{number:02}")
                no = await store.write(lambda db, name=name: connectors.enrol(db, name, connectors.KNOWN, "file"))
                await store.write(lambda db, no=no: connectors.count(db, no, CONNECTORS))
                chance = random.Random(f"{seed}/{name}")
                site.boxes[name] = Box(site, name, no, chance, answers_triggers=chance.random() < 0.7)
                boxes.create_task(site.boxes[name].live())
        counted = await store.write(
            lambda db: db.execute("SELECT count(*) FROM tx WHERE state = 'ended'").fetchone()[0]
        )
        assert counted >= SESSIONS  # more: one that was ended went on as another
        found = await store.write(lambda db: db.execute(WRONG).fetchall())
        for task in daemon:
            task.cancel()
    await store.close()
    return found


WRONG = (
    "SELECT tx_no, end_rule, NULL FROM tx WHERE end_rule IS NOT NULL UNION ALL "
    "SELECT tx_no, NULL, text FROM exchange WHERE kind = 4 AND text LIKE '%concluded%'"
)


@pytest.fixture(autouse=True)
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks cost more than all messages."""
    monkeypatch.setattr(reconciler, "EVERY", 180.0)
    monkeypatch.setattr(reconciler, "IDLE", 180.0)


def _lived(seed: int) -> list[tuple]:
    with folder_in_memory() as folder:
        return run(lambda loop: _live(loop, folder, seed), seed=seed).value


@pytest.mark.parametrize("seed", SEEDS)
def test_no_live_session_is_ended(seed: int) -> None:
    assert _lived(seed) == []


def test_there_are_ten_thousand() -> None:
    assert len(SEEDS) * SESSIONS >= 10_000


@pytest.mark.parametrize("weak", [reconciliation.Evidence.BOOT, reconciliation.Evidence.STOP_REFUSED])
def test_it_goes_red_when_weak_evidence_is_enough(
    monkeypatch: pytest.MonkeyPatch, weak: reconciliation.Evidence
) -> None:
    monkeypatch.setattr(reconciliation.Evidence, "is_enough", property(lambda evidence: evidence is weak))
    assert _lived(1) != []

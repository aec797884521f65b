"""Three days without a cloud: how soon it knows everything, and that it knows it in order, whatever it refuses."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from simulators.charger import Charger
from simulators.wire import timestamp

from edge.config import Api, Authorization, ChargerSettings, Config, Listener, Site, StoreSettings, Uplink
from edge.daemon import build
from edge.domain.ids import ChargerId, ChargerTransactionId, IdToken
from edge.ocppj.frames import call_text
from edge.store import connectors, delivery, exchange, transactions
from edge.store.exchange import Kind, Moment, NewExchange
from edge.uplink import composing, outcomes
from edge.world import World, nobody_to_ask
from tests.scenarios.apart import sizes, values
from tests.simulation.cloud import CLOUD
from tests.simulation.loop import SimLoop, run
from tests.simulation.simulate import simulate
from tests.simulation.websocket_end import WebSocketEnd
from tests.simulation.world import SimClock, SimDisk, SimIds, SimNotify, SimOffload, folder_in_memory
from tests.simulation.yard import IDENTITY, yard
from tests.store.givens import opened

# --- 72 hours of 50 chargers

CHARGERS, SESSIONS = 50, 8
OUTAGE = timedelta(hours=72)
VALUE_EVERY = timedelta(minutes=4)
"""Each minute would show the same, and take four times as long."""
ROUND_TRIP_S = 0.1
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
STARTS_AND_STOPS = 2 * CHARGERS * SESSIONS


def test_three_days_of_fifty_chargers_are_delivered_in_a_tenth_of_the_time():
    with folder_in_memory() as folder:
        rows = fill(folder / "edge.db")

        async def main(loop: SimLoop) -> None:
            cloud = QuickCloud(loop)
            await cloud.open()
            daemon = build(depot(folder / "edge.db"), world(loop))
            async with asyncio.TaskGroup() as tasks:
                life = tasks.create_task(daemon.run())
                async with asyncio.timeout(24 * 3600):
                    while cloud.entries + cloud.counts["StartTransaction"] + cloud.counts["StopTransaction"] < rows:
                        await asyncio.sleep(1.0)
                await asyncio.sleep(20.0)  # acknowledgements ride along
                assert daemon.inside.oldest_waiting() is None
                daemon.leave()
                await life
            assert cloud.out_of_order == []
            one_by_one_s = rows * ROUND_TRIP_S
            assert cloud.last_at - cloud.first_at <= one_by_one_s / 10
            assert sum(cloud.counts.values()) <= rows / 10
            # Not one round trip more than there are starts and stops; 10 % would be allowed.
            assert cloud.counts["StartTransaction"] + cloud.counts["StopTransaction"] == STARTS_AND_STOPS == 800
            # None of them waits for anybody's backlog but its own connector's: one round of the others at most.
            assert cloud.longest_wait <= CHARGERS + 2
            assert cloud.entries == rows - STARTS_AND_STOPS

        run(main, max_steps=50_000_000)
        with sqlite3.connect(folder / "edge.db") as db:
            assert db.execute("SELECT count(*) FROM tx WHERE due = 1").fetchone() == (0,)
            assert db.execute("SELECT sum(acked_rows), sum(rows) FROM tx").fetchone() == (rows, rows)


def depot(path: Path) -> Config:
    return Config(
        site=Site(id=IDENTITY),
        listeners=(Listener("127.0.0.1", 8887, "/ocpp", 0),),
        uplink=Uplink(url=f"ws://{CLOUD[0]}:{CLOUD[1]}/ocpp", identity=IDENTITY, security_profile=0),
        store=StoreSettings(path),
        charger=tuple(ChargerSettings(name) for name in names()),
        authorization=Authorization(offline="everyone"),
        api=Api(socket=None),
    )


def world(loop: SimLoop) -> World:
    return World(
        SimClock(loop), SimIds(0, "edge"), SimDisk(loop).open_database, SimOffload(), SimNotify(loop), nobody_to_ask
    )


def names() -> list[str]:
    return [f"CP-{number:02}" for number in range(1, CHARGERS + 1)]


def fill(path: Path) -> int:
    """The store as the outage leaves it; how many messages wait."""
    db = opened(path)
    db.execute("BEGIN")
    where = []
    for name in names():
        no = connectors.enrol(db, ChargerId(name), connectors.KNOWN, "file")
        where.append((no, connectors.count(db, no, 1)[0]))
    rows = 0
    per_session = OUTAGE / SESSIONS
    count = round(per_session / VALUE_EVERY)
    for session in range(SESSIONS):
        tx_of = {}
        for nth in range(-1, count + 1):
            at = BEGAN + session * per_session + max(0, nth) * VALUE_EVERY
            for charger, connector in where:
                if nth == -1:
                    tx_of[charger] = begin(db, charger, connector, session, at)
                say(db, charger, connector, tx_of[charger], *said(nth, count, session, charger, at), at)
                rows += 1
                if nth == count:
                    transactions.end(db, tx_of[charger], at, 1000, "Local")
    db.execute("COMMIT")
    db.close()
    return rows


def begin(db: sqlite3.Connection, charger, connector, session: int, at: datetime):
    new = transactions.NewTransaction(
        transactions.TRANSACTION, charger, connector, exchange.peek_seq(db), ChargerTransactionId(str(session + 1)),
        id_token=IdToken(f"TAG-{charger}"), started_at=at, started_offline=True,
    )  # fmt: skip
    return transactions.begin(db, new)


def said(nth: int, count: int, session: int, charger: int, at: datetime) -> tuple[str, dict]:
    if nth == -1:
        return "StartTransaction", {
            "connectorId": 1,
            "idTag": f"TAG-{charger}",
            "meterStart": 0,
            "timestamp": timestamp(at),
        }
    if nth == count:
        return "StopTransaction", {"transactionId": session + 1, "meterStop": 1000, "timestamp": timestamp(at)}
    sampled = [{"value": str(100 * nth + phase), "context": "Sample.Periodic", "unit": "Wh"} for phase in range(3)]
    entry = {"timestamp": timestamp(at), "sampledValue": sampled}
    return "MeterValues", {"connectorId": 1, "transactionId": session + 1, "meterValue": [entry]}


def say(db: sqlite3.Connection, charger, connector, tx_no, action: str, payload: dict, at: datetime) -> None:
    message_id = f"m{exchange.peek_seq(db)}"
    exchange.append(
        db,
        NewExchange(
            Moment(1, at, 0), charger, Kind.CHARGER_CALL, call_text(message_id, action, payload), action=action,
            message_id=message_id, version="1.6", connector_no=connector, tx_no=tx_no, relay=True, answer="[3]",
        ),
    )  # fmt: skip


class QuickCloud:
    """Answers everything after one round trip; knows what it should get next of each connector."""

    def __init__(self, loop: SimLoop) -> None:
        self.counts: Counter[str] = Counter()
        """Round trips that carried transaction messages."""
        self.entries = 0
        self.out_of_order: list[str] = []
        self.longest_wait = 0
        """Round trips between a start or a stop and what came before it on its connector."""
        self.first_at = self.last_at = 0.0
        self._loop = loop
        self._connector_of: dict[int, int] = {}
        self._stamp_of: dict[int, str] = {}
        self._last_of: dict[int, int] = {}

    async def open(self) -> None:
        await self._loop.create_server(self._connection, *CLOUD)

    def _connection(self) -> WebSocketEnd:
        end = WebSocketEnd(lambda _path, _headers: 101)
        end.on_text = lambda text: self._heard(end, text)
        return end

    def _heard(self, end: WebSocketEnd, text: str) -> None:
        _, message_id, action, payload = json.loads(text)
        answer = {"status": "Accepted", "currentTime": "2026-03-04T00:00:00Z", "interval": 86_400}
        if action in ("StartTransaction", "MeterValues", "StopTransaction"):
            answer = self._count(action, payload)
        elif action != "BootNotification":
            answer = {"currentTime": "2026-03-04T00:00:00Z"} if action == "Heartbeat" else {}
        reply = json.dumps([3, message_id, answer])
        self._loop.call_later(ROUND_TRIP_S, lambda: end.is_open and end.send_text(reply))

    def _count(self, action: str, payload: dict) -> dict:
        self.counts[action] += 1
        number = sum(self.counts.values())
        self.first_at = self.first_at or self._loop.time()
        self.last_at = self._loop.time() + ROUND_TRIP_S
        if action == "StartTransaction":
            transaction = len(self._connector_of) + 1
            self._connector_of[transaction] = payload["connectorId"]
        else:
            transaction = payload["transactionId"]
        connector = self._connector_of[transaction]
        if action != "MeterValues":
            self.longest_wait = max(self.longest_wait, number - self._last_of.get(connector, number))
        self._last_of[connector] = number
        stamps = list(self._stamps(payload))
        self.entries += len(payload.get("meterValue", ()))
        if stamps != sorted(stamps) or stamps[0] < self._stamp_of.get(connector, ""):
            self.out_of_order.append(f"{action} of {connector}: {stamps}")
        self._stamp_of[connector] = stamps[-1]
        return {"transactionId": transaction, "idTagInfo": {"status": "Accepted"}} if "idTag" in payload else {}

    @staticmethod
    def _stamps(payload: dict) -> Iterator[str]:
        if "meterValue" in payload:
            yield from (entry["timestamp"] for entry in payload["meterValue"])
        else:
            yield payload["timestamp"]


# --- clouds that are silent, late, or hang up


async def charge_in_an_outage(site, charger: Charger, count: int) -> None:
    """A session whose start the cloud knows, and whose values wait."""
    csms = site.csms
    await charger.plug_in(1)
    await charger.start_session(1, "A", authorize=False)
    await csms.wait_for(lambda: csms.calls("StartTransaction") and csms.calls("StartTransaction")[0].is_answered)
    csms.refuse_connections(True)
    csms.cut()
    for _ in range(count):
        await asyncio.sleep(0.5)
        await charger.send_meter_values(1)
    await charger.stop_session(1)
    csms.refuse_connections(False)


def live(misbehave, count: int = 45) -> tuple[list[int], list, list, list]:
    """What the cloud got: how many values in each message, all values, the said ones, what waits at the end."""
    seen = []

    async def main(loop: SimLoop) -> None:
        async with yard(loop, folder) as site:
            misbehave(site.csms)
            (charger,) = site.chargers
            await charge_in_an_outage(site, charger, count)
            async with asyncio.timeout(4 * 3600):
                while (await site.ask("status"))["backlog"]["messages"]:
                    await asyncio.sleep(20)
            await asyncio.sleep(60)
            said = [one.payload["meterValue"][0] for one in charger.sent if one.action == "MeterValues"]
            got = [one.payload["meterValue"][0] for one in values(site.csms) if one.answer is not None]
            seen.append((sizes(site.csms), got, said, (await site.ask("queue"))["entries"]))
            assert len(site.csms.calls("StopTransaction")) == 1

    with folder_in_memory() as folder:
        run(main, max_steps=5_000_000)
    return seen[0]


def entries_of(one) -> int:
    return len(one.payload.get("meterValue", ()))


def test_what_is_not_answered_is_sent_again_as_it_was():
    sent, got, said, waiting = live(lambda csms: csms.be_silent("MeterValues", times=1))
    assert (sent, got, waiting) == ([20, 20, 20, 5], said, [])


def test_a_late_answer_counts_for_all_the_values_that_it_answers():
    sent, got, said, waiting = live(lambda csms: csms.delay("MeterValues", 33.0, times=1))
    assert (sent, got, waiting) == ([20, 20, 5], said, [])


def test_an_answer_that_comes_after_the_repeat_does_not_deliver_anything_twice_more():
    sent, got, said, waiting = live(lambda csms: csms.delay("MeterValues", 40.0, times=1))
    assert sent == [20, 20, 20, 5]
    assert [one for number, one in enumerate(got) if one not in got[:number]] == said
    assert waiting == []


@pytest.mark.parametrize("at_most", [1, 5, 12])
def test_a_cloud_that_hangs_up_on_long_messages_gets_short_ones(at_most):
    def misbehave(csms):
        csms.be_silent("MeterValues", times=None, when=lambda one: entries_of(one) > at_most and (csms.cut() or True))

    sent, got, said, waiting = live(misbehave)
    assert (got, waiting) == (said, [])
    assert sent[:3] == [20, 20, 10]
    assert sum(size > at_most for size in sent) <= 6


def test_while_the_disk_is_full_nothing_goes_on_that_would_have_to_be_sent_again():
    """What the CSMS takes then cannot be stored as taken."""
    seen = []

    async def main(loop: SimLoop) -> None:
        async with yard(loop, folder) as site:
            (charger,) = site.chargers
            site.csms.delay("MeterValues", 0.2, times=None)
            await charge_in_an_outage(site, charger, 400)
            await site.csms.wait_for(lambda: len(values(site.csms)) > 1, 600)
            site.disk.is_full = site.disk.takes_nothing = True
            began = len(values(site.csms))
            async with asyncio.timeout(1200):
                while "store_unusable" not in [one["code"] for one in (await site.ask("status"))["alarms"]]:
                    await asyncio.sleep(1)
            seen.append(len(values(site.csms)) - began)
            site.disk.is_full = False
            async with asyncio.timeout(4 * 3600):
                while not site.csms.calls("StopTransaction"):
                    await asyncio.sleep(1)
            said = [one.payload["meterValue"][0] for one in charger.sent if one.action == "MeterValues"]
            got = [entry for one in values(site.csms) for entry in one.payload["meterValue"]]
            assert [one for number, one in enumerate(got) if one not in got[:number]] == said

    with folder_in_memory() as folder:
        run(main, max_steps=5_000_000)
    assert seen[0] <= 3


# --- mutations: what guards it is switched off once


def mark_before_the_answer(monkeypatch):
    """Rows count as delivered as soon as they are sent."""
    look_ahead = composing.Composer.look_ahead

    def acknowledge(self, sent):
        look_ahead(self, sent)
        if sent.action == "MeterValues":
            self._store.submit(lambda db: delivery.acknowledge_together(db, sent.seqs, sent.message.tx_no, 1))

    monkeypatch.setattr(composing.Composer, "look_ahead", acknowledge)


def turn_the_entries_round(monkeypatch):
    """The newest value comes first."""
    together = composing.gathering.together
    monkeypatch.setattr(composing.gathering, "together", lambda payloads: together(payloads[::-1]))


def drop_what_was_refused(monkeypatch):
    """Values that were refused together are done with."""

    def refused(self, sent, _answer):
        self._lanes[sent.lane].advance_over(sent.seqs)

    monkeypatch.setattr(outcomes.Outcomes, "_refused_together", refused)
    monkeypatch.setattr(delivery, "passed_over", lambda *_: [])


BITES = (
    (mark_before_the_answer, {"uplink_cut_for_minutes", "controller_crash"}, "I1 acknowledged_is_delivered"),
    (turn_the_entries_round, {"uplink_cut_for_minutes"}, "I2 order_of_each_connector"),
    (drop_what_was_refused, {"uplink_cut_for_minutes", "refused_for_now"}, "I1 acknowledged_is_delivered"),
)


@pytest.mark.parametrize(("mutation", "faults", "rule"), BITES, ids=[bite[0].__name__ for bite in BITES])
def test_a_run_goes_red_when_a_guard_is_switched_off(monkeypatch, mutation, faults, rule):
    mutation(monkeypatch)
    others = []
    for seed in range(1, 7):
        breaches = simulate(seed, 5.0, 3, cloud="slow", only=faults, intensity=10.0).breaches
        if any(breach.startswith(f"{rule}:") for breach in breaches):
            return
        others += breaches
    pytest.fail(f"{mutation.__doc__}: nobody noticed, but {others}")


@pytest.mark.parametrize("faults", [bite[1] for bite in BITES], ids=[bite[0].__name__ for bite in BITES])
def test_the_same_runs_are_green_with_the_guard_in_place(faults):
    for seed in (1, 2):
        assert simulate(seed, 5.0, 3, cloud="slow", only=faults, intensity=10.0).breaches == []

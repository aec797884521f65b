"""What becomes of a charger's message: the answer, what is kept, what the CSMS is to get, and what is noted."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edge.chargers import records, starts, stops
from edge.chargers.intake import Intake, Parts
from edge.chargers.roster import Presence
from edge.chargers.said import Recorded, Said
from edge.chargers.starts import Policy, StartRecorded
from edge.config import Authorization, Config, Site
from edge.dialects.v16 import observe, replies
from edge.domain.authorization import OfflinePolicy, Source, UplinkState, Verdict
from edge.domain.events import (
    ChargerBooted,
    ConnectorStatusChanged,
    EnergyMeasured,
    TransactionEnded,
    TransactionStarted,
)
from edge.domain.ids import ChargerId, ChargerNo, ConnectorNo, CsmsTransactionId, IdToken, TransactionNo
from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.ports import UplinkDown
from edge.jsontypes import Payload
from edge.ocppj.frames import Call, call_text
from edge.ocppj.peer import CallReceived
from edge.store import chains, connectors, delivery, exchange, remote_starts, report, shares, tokens, transactions
from edge.store.delivery import Stored
from edge.store.exchange import Exchange, Kind
from edge.store.shares import BeyondRoom
from tests.store.givens import Disk, in_one_commit, moment, opened, running

BASE = 7000
UP = Policy(OfflinePolicy.LIST_AND_CACHE, UplinkState.UP, BASE)
DOWN = replace(UP, uplink=UplinkState.DOWN)
SILENT = replace(UP, uplink=UplinkState.SILENT)
EVERYONE = replace(DOWN, offline=OfflinePolicy.EVERYONE)


@dataclass
class Speaker:
    """A charger with counted connectors; each message is one commit."""

    path: Path
    db: sqlite3.Connection
    no: ChargerNo
    messages: int = 0
    boot_no: int = 1
    peculiar: tuple[Peculiarity, ...] = field(default=())

    def said(self, action: str, payload: Payload) -> Said:
        self.messages += 1
        message_id = f"{self.no}/{self.messages}"
        call = Call(message_id, action, payload, call_text(message_id, action, payload))
        return Said(self.no, "1.6", call, moment(self.messages, self.boot_no), self.peculiar)

    def start(self, policy: Policy = EVERYONE, **changed: Any) -> StartRecorded:
        payload = start_payload(**changed)
        event, said = observe.observe("StartTransaction", payload), self.said("StartTransaction", payload)
        assert isinstance(event, TransactionStarted)
        return in_one_commit(self.db, lambda db: starts.record_start(db, said, event, policy))

    def values(self, transaction: Any = None, connector: int = 1, minute: int = 1, **more: Any) -> Recorded:
        payload: dict[str, Any] = {"connectorId": connector, "meterValue": [sample(minute)], **more}
        if transaction is not None:
            payload["transactionId"] = transaction
        event, said = observe.observe("MeterValues", payload), self.said("MeterValues", payload)
        assert isinstance(event, EnergyMeasured)
        return in_one_commit(self.db, lambda db: records.record_values(db, said, event))

    def stop(self, transaction: Any, **changed: Any) -> Recorded:
        payload = {"transactionId": transaction, "meterStop": 500, "timestamp": "2026-03-01T13:00:00Z"} | changed
        event, said = observe.observe("StopTransaction", payload), self.said("StopTransaction", payload)
        assert isinstance(event, TransactionEnded)
        return in_one_commit(self.db, lambda db: stops.record_stop(db, said, event))

    def status(self, connector: int = 1, status: str = "Available", second: int = 0, **more: Any) -> Recorded:
        payload = {
            "connectorId": connector, "status": status, "errorCode": "NoError",
            "timestamp": f"2026-03-01T12:00:{second:02}Z", **more,
        }  # fmt: skip
        event, said = observe.observe("StatusNotification", payload), self.said("StatusNotification", payload)
        assert isinstance(event, ConnectorStatusChanged)
        return in_one_commit(self.db, lambda db: records.record_status(db, said, event))

    def restarted(self) -> None:
        """The daemon, not the charger; without an orderly end."""
        self.db.close()
        self.db = opened(self.path)
        self.boot_no += 1

    # --- what became of it

    def last(self) -> Exchange:
        found = exchange.load(self.db, chains.last_seq(self.db))
        assert found is not None
        return found

    def rules(self) -> list[str]:
        """The rules noted at the last message."""
        return [note["rule"] for note in report.notes_of(self.last())]

    def waiting(self) -> list[str]:
        """What the CSMS is to get of all connectors, in its order."""
        rows = sorted(one.seq for lane in delivery.lanes(self.db).values() for one in lane)
        return [row.action or "" for seq in rows if (row := exchange.load(self.db, seq)) is not None]

    def connector(self, conn: int = 1) -> ConnectorNo:
        found = connectors.connector(self.db, self.no, conn)
        assert found is not None
        return found.no

    def sessions(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM tx WHERE kind = 'transaction'").fetchone()[0])

    def rows(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM exchange").fetchone()[0])


def start_payload(**changed: Any) -> Payload:
    return {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-01T12:00:00Z"} | changed


def sample(minute: int) -> Payload:
    return {"timestamp": f"2026-03-01T12:{minute:02}:00Z", "sampledValue": [{"value": str(100 + minute)}]}


def speaker(path: Path, db: sqlite3.Connection, name: str, connector_count: int) -> Speaker:
    no = connectors.enrol(db, ChargerId(name), connectors.KNOWN, "file")
    if connector_count:
        connectors.count(db, no, connector_count)
    return Speaker(path, db, no)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge.db"


@pytest.fixture
def charger(path: Path) -> Iterator[Speaker]:
    """Two connectors."""
    found = speaker(path, opened(path), "cp-01", 2)
    yield found
    found.db.close()


@pytest.fixture
def single(path: Path) -> Iterator[Speaker]:
    """One connector."""
    found = speaker(path, opened(path), "cp-01", 1)
    yield found
    found.db.close()


@pytest.fixture
def uncounted(path: Path) -> Iterator[Speaker]:
    """Nobody knows yet how many connectors it has."""
    found = speaker(path, opened(path), "cp-01", 0)
    yield found
    found.db.close()


def charger_id(start: StartRecorded) -> int:
    return int(start.charger_tx)


def answered(row: Exchange) -> Payload:
    assert row.answer is not None
    payload: Payload = json.loads(row.answer)[2]
    return payload


# --- starts


def test_a_start_is_kept_as_received_answered_and_relayed(charger: Speaker) -> None:
    start = charger.start()
    row = charger.last()
    assert start.recorded.answer == {"transactionId": BASE, "idTagInfo": {"status": "Accepted"}}
    assert (row.seq, row.kind, row.relay, row.action) == (start.seq, Kind.CHARGER_CALL, True, "StartTransaction")
    assert (row.tx_no, row.connector_no, row.version) == (start.transaction, charger.connector(), "1.6")
    assert json.loads(row.text)[3] == start_payload()
    assert answered(row) == start.recorded.answer
    assert (row.notes, start.recorded.rules, start.recorded.is_repeat) == (None, (), False)
    assert start.recorded.stored == ((charger.connector(), delivery.Waiting(start.seq, is_start_or_stop=True)),)
    assert charger.waiting() == ["StartTransaction"]
    session = report.session(charger.db, start.transaction)
    assert session is not None
    assert (session.id_token, session.meter_start_wh, session.started_offline) == ("TAG", 100, True)
    assert (session.decision, session.decision_source) == ("Accepted", "policy")


def test_each_start_gets_an_id_that_was_not_given_before(charger: Speaker) -> None:
    given = [charger_id(charger.start(meterStart=number)) for number in range(3)]
    charger.restarted()
    given.append(charger_id(charger.start(replace(EVERYONE, transaction_id_base=1), meterStart=9)))
    assert given == [BASE, BASE + 1, BASE + 2, BASE + 3]


def test_a_start_without_a_readable_time_begins_when_it_came(charger: Speaker) -> None:
    start = charger.start(timestamp="yesterday")
    found = transactions.open_on(charger.db, charger.connector())
    assert found is not None
    assert found.started_at == charger.said("X", {}).at.wall.replace(second=1)
    assert start.recorded.answer["idTagInfo"] == {"status": "Accepted"}


@pytest.mark.parametrize(
    ("policy", "verdict", "status", "source"),
    [
        (UP, Verdict.ASK, "Invalid", Source.CSMS),
        (DOWN, Verdict.REFUSE, "Invalid", Source.POLICY),
        (EVERYONE, Verdict.ACCEPT, "Accepted", Source.POLICY),
    ],
)
def test_an_unknown_token_is_asked_for_or_decided_by_policy(
    charger: Speaker, policy: Policy, verdict: Verdict, status: str, source: Source
) -> None:
    start = charger.start(policy)
    assert (start.decision.verdict, start.decision.status, start.decision.source) == (verdict, status, source)
    assert (charger.last().answer is None) == (verdict is Verdict.ASK)
    assert charger.waiting() == ["StartTransaction"]  # the CSMS gets it whatever the driver was told


def test_a_known_token_is_answered_at_once_also_while_the_uplink_is_up(charger: Speaker) -> None:
    tokens.learn(charger.db, IdToken("tag"), "Accepted", None, None, 1)
    start = charger.start(UP)
    assert (start.decision.verdict, start.decision.source) == (Verdict.ACCEPT, Source.CACHE)


def test_the_verdict_is_a_row_that_follows_with_the_answer(charger: Speaker) -> None:
    start = charger.start(UP)
    said = charger.said("StartTransaction", start_payload())
    answer = in_one_commit(charger.db, lambda db: starts.record_verdict(db, said, start, "Blocked", SILENT))
    row = charger.last()
    assert answer == {"transactionId": BASE, "idTagInfo": {"status": "Blocked"}}
    assert (row.kind, row.cause_seq, row.tx_no, row.relay) == (Kind.DECISION, start.seq, start.transaction, False)
    assert json.loads(row.text) == {"decision": "refuse", "status": "Blocked", "source": "csms"}
    assert answered(row) == answer
    assert transactions.given(charger.db, start.transaction) == (str(BASE), "Blocked", "csms")
    assert charger.waiting() == ["StartTransaction"]


def test_without_a_verdict_the_policy_decides(charger: Speaker) -> None:
    start = charger.start(UP)
    said = charger.said("StartTransaction", start_payload())
    policy = replace(SILENT, offline=OfflinePolicy.EVERYONE)
    answer = in_one_commit(charger.db, lambda db: starts.record_verdict(db, said, start, None, policy))
    assert answer["idTagInfo"] == {"status": "Accepted"}
    assert transactions.given(charger.db, start.transaction) == (str(BASE), "Accepted", "policy")


def test_a_remote_start_that_waits_makes_the_driver_welcome(charger: Speaker) -> None:
    for origin, source in ((remote_starts.CSMS, Source.CSMS), (remote_starts.OPERATOR, Source.OPERATOR)):
        expires = moment(1000).wall_ms
        remote_starts.expect(charger.db, str(origin), charger.no, 1, IdToken("tag"), origin, expires)
        assert in_one_commit(
            charger.db, lambda db: starts.decide_token(db, charger.said("Authorize", {}), IdToken("TAG"), DOWN)
        ).verdict is Verdict.ACCEPT  # fmt: skip
        start = charger.start(DOWN, meterStart=len(origin))
        assert (start.decision.verdict, start.decision.source) == (Verdict.ACCEPT, source)
        session = report.session(charger.db, start.transaction)
        assert session is not None
        assert session.remote_start
    assert charger.start(DOWN, meterStart=99).decision.verdict is Verdict.REFUSE


def test_a_token_that_nobody_waits_for_is_decided_like_any_other(charger: Speaker) -> None:
    said = charger.said("Authorize", {})
    assert starts.decide_token(charger.db, said, IdToken("TAG"), UP).verdict is Verdict.ASK


def test_what_breaks_the_schema_is_noted_and_kept(charger: Speaker) -> None:
    charger.peculiar = (Peculiarity(Rule.SCHEMA_VIOLATED, "meterStart: is a string"),)
    start = charger.start(meterStart="100")
    assert charger.rules() == ["schema_violated"]
    assert start.recorded.rules == ()  # it is counted where it is found
    assert charger.waiting() == ["StartTransaction"]


# --- starts that come again


def test_a_start_that_comes_again_is_the_same_transaction_with_the_same_answer(charger: Speaker) -> None:
    first = charger.start()
    rows = charger.rows()
    again = charger.start(DOWN)  # nobody would accept it now
    assert (again.transaction, again.charger_tx, again.seq) == (first.transaction, first.charger_tx, first.seq)
    assert (again.recorded.answer, again.recorded.is_repeat) == (first.recorded.answer, True)
    assert (charger.rows(), charger.sessions()) == (rows, 1)


def test_it_is_known_after_a_restart_too(charger: Speaker) -> None:
    first = charger.start()
    charger.restarted()
    again = charger.start(DOWN)
    assert (again.transaction, again.recorded.answer) == (first.transaction, first.recorded.answer)


def test_a_start_that_was_refused_is_refused_again(charger: Speaker) -> None:
    charger.start(DOWN)
    tokens.learn(charger.db, IdToken("TAG"), "Accepted", None, None, 1)
    assert charger.start(DOWN).recorded.answer["idTagInfo"] == {"status": "Invalid"}


def test_a_start_that_comes_again_before_its_verdict_is_asked_for_again(charger: Speaker) -> None:
    """A crash between the evidence and the verdict (architecture, flow (i) 5)."""
    first = charger.start(UP)
    charger.restarted()
    again = charger.start(UP)
    assert again.decision.verdict is Verdict.ASK
    assert again.transaction == first.transaction
    decided = charger.start(EVERYONE)
    assert decided.decision.verdict is Verdict.ACCEPT
    assert charger.start(DOWN).decision.verdict is Verdict.ACCEPT


@pytest.mark.parametrize(
    "changed",
    [{"meterStart": 101}, {"timestamp": "2026-03-01T12:00:01Z"}, {"idTag": "OTHER"}, {"connectorId": 2}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_start_that_differs_is_another_one(charger: Speaker, changed: dict[str, Any]) -> None:
    assert charger.start().transaction != charger.start(**changed).transaction


def test_the_same_start_of_another_charger_is_another_one(charger: Speaker) -> None:
    other = speaker(charger.path, charger.db, "cp-02", 1)
    assert charger.start().transaction != other.start().transaction


@pytest.mark.parametrize("timestamp", ["2019-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "nonsense"])
def test_a_start_by_a_clock_that_was_never_set_is_known_in_this_boot_only(charger: Speaker, timestamp: str) -> None:
    first = charger.start(timestamp=timestamp)
    assert charger.start(timestamp=timestamp).transaction == first.transaction
    charger.restarted()
    assert charger.start(timestamp=timestamp).transaction != first.transaction


# --- starts on the wrong connector


def test_a_start_on_connector_0_of_a_single_outlet_is_taken_for_it(single: Speaker) -> None:
    start = single.start(connectorId=0)
    assert single.last().connector_no == single.connector(1)
    assert start.recorded.rules == ("start_on_connector_0",)
    assert single.rules() == ["start_on_connector_0"]
    assert start.recorded.answer["idTagInfo"] == {"status": "Accepted"}
    assert single.waiting() == ["StartTransaction"]


def test_a_start_on_connector_0_of_several_is_refused_and_parked(charger: Speaker) -> None:
    start = charger.start(connectorId=0)
    assert start.recorded.answer == {"transactionId": BASE, "idTagInfo": {"status": "Invalid"}}
    assert (start.decision.verdict, start.recorded.stored) == (Verdict.REFUSE, ())
    assert answered(charger.last()) == start.recorded.answer
    assert charger.waiting() == []
    assert [(seq, code) for seq, code, *_ in report.parked(charger.db)] == [(start.seq, "no_connector")]
    assert charger.rules() == ["start_on_connector_0"]


def test_a_parked_start_that_comes_again_gets_the_same_answer(charger: Speaker) -> None:
    first = charger.start(connectorId=0)
    again = charger.start(EVERYONE, connectorId=0)
    assert again.recorded.answer == first.recorded.answer


def test_the_stop_of_a_parked_start_is_parked_with_it(charger: Speaker) -> None:
    start = charger.start(connectorId=0)
    charger.stop(charger_id(start), meterStop=9000)
    chains.settle(charger.db)
    assert [one.action for one in report.queue(charger.db)] == ["StartTransaction", "StopTransaction"]


def test_a_connector_that_nobody_counted_is_appended_and_told(charger: Speaker) -> None:
    other = speaker(charger.path, charger.db, "cp-02", 1)
    start = charger.start(connectorId=3)
    added = connectors.by_no(charger.db, charger.connector(3))
    assert added is not None
    assert (start.recorded.new_connectors, added.upstream) == ((charger.connector(3),), 4)
    assert charger.start(connectorId=3, meterStart=7).recorded.new_connectors == ()
    assert other.connector() != charger.connector(3)


def test_a_connector_of_an_uncounted_charger_has_no_number_yet(uncounted: Speaker) -> None:
    start = uncounted.start(connectorId=2)
    found = connectors.by_no(uncounted.db, uncounted.connector(2))
    assert found is not None
    assert (found.upstream, start.recorded.new_connectors) == (None, ())
    assert start.recorded.stored
    assert uncounted.waiting() == []
    connectors.count(uncounted.db, uncounted.no, 0)
    assert uncounted.waiting() == ["StartTransaction"]


@pytest.mark.parametrize("conn", [-1, 101, 2_000_000_000])
def test_an_absurd_connector_number_makes_no_connector(charger: Speaker, conn: int) -> None:
    """`count` would fill all numbers up to it."""
    charger.status(conn)
    charger.values(connector=conn)
    start = charger.start(connectorId=conn)
    assert start.decision.verdict is Verdict.REFUSE
    assert [code for _, code, *_ in report.parked(charger.db)] == ["no_connector"]
    connectors.count(charger.db, charger.no, 2)
    assert len(connectors.connectors_of(charger.db, charger.no)) == 2


def test_a_start_while_another_session_is_open_ends_that_one_first(charger: Speaker) -> None:
    older = charger.start()
    newer = charger.start(meterStart=500)
    assert newer.recorded.rules == ("start_while_open", "stop_never_came")
    (note,) = report.notes_of(charger.last())
    assert f"S{older.transaction}" in note["message"]
    assert [one.no for one in transactions.open_of(charger.db, charger.no)] == [newer.transaction]
    assert charger.waiting() == ["StartTransaction", "StopTransaction", "StartTransaction"]
    assert charger.start(connectorId=2).recorded.rules == ()


# --- values


def test_values_of_a_session_are_kept_as_received_and_relayed(charger: Speaker) -> None:
    start = charger.start()
    recorded = charger.values(charger_id(start))
    row = charger.last()
    assert (recorded.answer, recorded.rules, row.notes) == (replies.EMPTY, (), None)
    assert (row.tx_no, row.connector_no, row.relay) == (start.transaction, charger.connector(), True)
    assert answered(row) == {}
    assert recorded.stored == ((charger.connector(), delivery.Waiting(row.seq, is_start_or_stop=False)),)
    assert charger.waiting() == ["StartTransaction", "MeterValues"]


@pytest.mark.parametrize("transaction", [0, -1, 2**63 - 1, None, "", 4711])
def test_values_without_a_usable_id_belong_to_the_open_session_of_their_connector(
    charger: Speaker, transaction: int | None
) -> None:
    start = charger.start()
    recorded = charger.values(transaction)
    assert charger.last().tx_no == start.transaction
    assert recorded.rules == ("values_attached_by_connector",)
    assert charger.rules() == ["values_attached_by_connector"]
    assert recorded.stored


def test_values_belong_to_the_session_that_they_name_whatever_connector_they_say(charger: Speaker) -> None:
    start = charger.start()
    recorded = charger.values(charger_id(start), connector=2)
    assert (charger.last().tx_no, charger.last().connector_no) == (start.transaction, charger.connector(1))
    assert recorded.stored
    assert recorded.stored[0].connector == charger.connector(1)


def test_values_of_another_chargers_session_are_not_put_into_it(charger: Speaker) -> None:
    other = speaker(charger.path, charger.db, "cp-02", 1)
    start = charger.start()
    recorded = other.values(charger_id(start))
    assert other.last().tx_no != start.transaction
    assert recorded.rules == ("values_of_unknown_transaction",)


def test_values_outside_of_sessions_go_into_the_stream_of_their_connector(charger: Speaker) -> None:
    first, second = charger.values(minute=1), charger.values(minute=2)
    assert first.rules == ()
    assert second.stored
    stream = charger.last().tx_no
    assert report.tx_stream(charger.db, stream or 0) == ("meter", None, 1)
    other = charger.values(connector=2)
    assert other.stored
    assert charger.last().tx_no != stream
    assert charger.waiting() == ["MeterValues"] * 3
    assert charger.sessions() == 0


def test_values_from_before_the_session_are_not_put_into_it(charger: Speaker) -> None:
    start = charger.start(timestamp="2026-03-01T12:30:00Z")
    charger.values(minute=10)
    assert charger.last().tx_no != start.transaction
    charger.values(minute=40)
    assert charger.last().tx_no == start.transaction


def test_values_of_connector_0_are_kept_and_not_relayed(charger: Speaker) -> None:
    recorded = charger.values(connector=0)
    assert (recorded.stored, recorded.answer) == ((), replies.EMPTY)
    assert (charger.last().relay, charger.last().tx_no, charger.waiting()) == (False, None, [])
    assert answered(charger.last()) == {}


def test_values_of_a_session_that_has_ended_are_kept_and_not_relayed(charger: Speaker) -> None:
    start = charger.start()
    charger.stop(charger_id(start))
    recorded = charger.values(charger_id(start))
    assert (recorded.rules, recorded.stored) == (("values_after_stop",), ())
    assert (charger.last().tx_no, charger.last().relay) == (start.transaction, False)
    assert charger.waiting() == ["StartTransaction", "StopTransaction"]


def test_a_connector_that_its_values_name_first_is_appended(charger: Speaker) -> None:
    assert charger.values(connector=3).new_connectors == (charger.connector(3),)


@pytest.mark.parametrize("in_session", [True, False])
def test_values_that_come_again_are_answered_and_not_kept_twice(charger: Speaker, in_session: bool) -> None:
    transaction = charger_id(charger.start()) if in_session else None
    charger.values(transaction)
    rows = charger.rows()
    again = charger.values(transaction)
    assert (again.answer, again.is_repeat, charger.rows()) == (replies.EMPTY, True, rows)
    charger.restarted()
    assert charger.values(transaction).is_repeat
    assert not charger.values(transaction, minute=2).is_repeat


def test_of_values_outside_of_sessions_only_the_newest_are_known(charger: Speaker) -> None:
    charger.values(minute=1)
    charger.values(minute=2)
    assert charger.values(minute=2).is_repeat
    assert not charger.values(minute=1).is_repeat


# --- stops


def test_a_stop_ends_its_session_and_is_relayed(charger: Speaker) -> None:
    start = charger.start()
    recorded = charger.stop(charger_id(start), reason="EVDisconnected")
    row = charger.last()
    assert (recorded.answer, recorded.rules) == ({}, ())
    assert recorded.stored == ((charger.connector(), delivery.Waiting(row.seq, is_start_or_stop=True)),)
    session = report.session(charger.db, start.transaction)
    assert session is not None
    assert (session.state, session.meter_stop_wh, session.end_reason) == ("ended", 500, "EVDisconnected")
    assert (row.tx_no, row.connector_no) == (start.transaction, charger.connector())
    assert charger.waiting() == ["StartTransaction", "StopTransaction"]
    assert transactions.open_on(charger.db, charger.connector()) is None


def test_a_stop_without_a_readable_time_ends_when_it_came(charger: Speaker) -> None:
    start = charger.start()
    charger.stop(charger_id(start), timestamp=None)
    session = report.session(charger.db, start.transaction)
    assert session is not None
    assert session.ended_wall_ms == charger.last().at_wall_ms


@pytest.mark.parametrize(("token", "status"), [("TAG", "Accepted"), ("OTHER", None), ("BAD", "Blocked"), (None, None)])
def test_a_stop_is_answered_with_what_is_known_of_its_token(
    charger: Speaker, token: str | None, status: str | None
) -> None:
    tokens.learn(charger.db, IdToken("tag"), "Accepted", None, None, 1)
    charger.db.execute("INSERT INTO token VALUES ('bad', 'list', 'BAD', 'Blocked', NULL, NULL, 0)")
    recorded = charger.stop(charger_id(charger.start()), idTag=token)
    assert recorded.answer == ({} if status is None else {"idTagInfo": {"status": status}})
    assert answered(charger.last()) == recorded.answer


@pytest.mark.parametrize("transaction", [0, -1, 2**63 - 1])
def test_a_stop_without_an_id_ends_the_only_session(charger: Speaker, transaction: int) -> None:
    start = charger.start()
    recorded = charger.stop(transaction)
    assert recorded.rules == ("stop_attached_to_only_transaction",)
    assert charger.last().tx_no == start.transaction
    assert charger.rules() == ["stop_attached_to_only_transaction"]


def test_a_stop_with_a_strange_id_ends_the_session_of_its_token(charger: Speaker) -> None:
    charger.start(connectorId=2, idTag="OTHER")
    start = charger.start()
    recorded = charger.stop(4711, idTag="TAG")
    assert recorded.rules == ("stop_attached_by_token",)
    assert charger.last().tx_no == start.transaction


def test_a_stop_that_matches_nothing_is_accepted_and_parked(charger: Speaker) -> None:
    recorded = charger.stop(4711)
    assert (recorded.answer, recorded.rules, recorded.stored) == ({}, ("orphan_stop",), ())
    assert charger.waiting() == []
    assert [(code) for _, code, *_ in report.parked(charger.db)] == ["orphan_stop"]
    chains.settle(charger.db)
    assert [(one.kind, one.is_parked) for one in report.queue(charger.db)] == [("orphan", True)]


def test_a_stop_of_another_chargers_session_does_not_end_it(charger: Speaker) -> None:
    other = speaker(charger.path, charger.db, "cp-02", 1)
    start = charger.start()
    assert other.stop(charger_id(start)).rules == ("orphan_stop",)
    assert [one.no for one in transactions.open_of(charger.db, charger.no)] == [start.transaction]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_stop_that_comes_again_is_answered_and_not_kept_twice(charger: Speaker, is_restarted: bool) -> None:
    transaction = charger_id(charger.start())
    charger.values(transaction)
    first = charger.stop(transaction)
    charger.status(1, "Finishing")
    rows = charger.rows()
    if is_restarted:
        charger.restarted()
    again = charger.stop(transaction)
    assert (again.answer, again.is_repeat) == (first.answer, True)
    assert charger.rows() == rows
    assert charger.waiting() == ["StartTransaction", "MeterValues", "StopTransaction"]


def test_a_second_stop_that_differs_is_kept_and_not_relayed(charger: Speaker) -> None:
    transaction = charger_id(charger.start())
    charger.stop(transaction)
    second = charger.stop(transaction, meterStop=900)
    assert (second.rules, second.is_repeat, second.stored) == (("duplicate_stop",), False, ())
    assert charger.rules() == ["duplicate_stop"]
    assert charger.waiting() == ["StartTransaction", "StopTransaction"]
    session = report.sessions(charger.db, only_open=False, charger=None, since_ms=None)[0]
    assert session.meter_stop_wh == 500
    assert charger.stop(transaction, meterStop=900).is_repeat


def test_the_first_stop_is_still_known_after_another_one(charger: Speaker) -> None:
    transaction = charger_id(charger.start())
    charger.stop(transaction)
    charger.stop(transaction, meterStop=900)
    assert charger.stop(transaction).is_repeat


def test_an_orphan_that_comes_again_is_parked_once(charger: Speaker) -> None:
    charger.stop(4711)
    charger.stop(4711)
    assert len(report.parked(charger.db)) == 1


def test_a_session_is_not_due_any_more_when_the_csms_has_what_these_units_marked(charger: Speaker) -> None:
    start = charger.start()
    transaction = charger_id(start)
    charger.values(transaction)
    charger.status(1, "Charging")
    charger.stop(transaction)
    charger.stop(transaction, meterStop=900)
    charger.values(transaction, minute=9)
    for lane in delivery.lanes(charger.db).values():
        for one in lane:
            delivery.acknowledge(charger.db, one.seq, start.transaction, 1)
    assert charger.db.execute("SELECT due FROM tx").fetchall() == [(0,)]


# --- a link that ends during the commit


@pytest.mark.parametrize("action", ["StartTransaction", "MeterValues", "StopTransaction"])
async def test_what_was_stored_is_offered_to_the_sender_also_when_the_link_ended_meanwhile(
    path: Path, action: str
) -> None:
    """Else the charger's repetition would be answered as known, and the CSMS would never get it."""
    offered: list[Stored] = []
    payloads = {
        "StartTransaction": start_payload(),
        "MeterValues": {"connectorId": 1, "transactionId": BASE, "meterValue": [sample(1)]},
        "StopTransaction": {"transactionId": BASE, "meterStop": 1, "timestamp": "2026-03-01T13:00:00Z"},
    }

    def received(name: str, message_id: str) -> CallReceived:
        payload = payloads[name]
        return CallReceived(Call(message_id, name, payload, call_text(message_id, name, payload)), ())

    disk = Disk(0.02)
    async with running(path, disk.open_database) as store:
        parts = Parts(
            store=store,
            csms=NoCsms(),
            moment=moment,
            transaction_id_base=BASE,
            config=lambda: Config(Site("depot-7"), (), authorization=Authorization(offline="everyone")),
            stops_on_invalid_id=lambda: True,
            on_stored=offered.append,
            on_connectors=lambda _new: None,
            on_status=lambda _charger: None,
        )
        no = await store.write(lambda db: connectors.enrol(db, ChargerId("cp-01"), connectors.KNOWN, "file"))
        await store.write(lambda db: connectors.count(db, no, 1))
        intake = Intake(ChargerId("cp-01"), no, "1.6", parts, Presence())
        for name in payloads:
            offered.clear()
            if name == action:
                break
            await intake.reply(received(name, name))
            await store.write(lambda _db: None)  # a commit later, all of the one before has been told
        async with asyncio.TaskGroup() as tasks:
            worker = tasks.create_task(intake.reply(received(action, "first")))
            await asyncio.sleep(0.01)
            worker.cancel()
        await intake.reply(received(action, "again"))
        await store.write(lambda _db: None)
        assert intake.counts["repeats"] == 1
        assert len(offered) == 1


class NoCsms:
    """An uplink that is down."""

    def is_accepted(self) -> bool:
        return False

    async def call(self, action: str, payload: Payload, *, within: float) -> Payload:
        raise UplinkDown(action)

    async def verdict(self, transaction: TransactionNo, *, within: float) -> str:
        raise UplinkDown(str(transaction))


# --- statuses


def test_a_status_is_kept_with_the_connector_and_in_the_journal(charger: Speaker) -> None:
    recorded = charger.status(2, "Faulted", info="hot")
    row = charger.last()
    assert (recorded.answer, recorded.stored, recorded.is_repeat) == ({}, (), False)
    assert (row.relay, row.connector_no, row.tx_no, answered(row)) == (False, charger.connector(2), None, {})
    found = connectors.by_no(charger.db, charger.connector(2))
    assert found is not None
    assert found.status is not None
    assert json.loads(found.status)["info"] == "hot"
    assert found.status_wall_ms == row.at_wall_ms
    assert charger.waiting() == []


def test_a_status_during_a_session_belongs_to_its_story(charger: Speaker) -> None:
    start = charger.start()
    charger.status(1, "Charging")
    assert charger.last().tx_no == start.transaction
    charger.status(2, "Available")
    assert charger.last().tx_no is None


def test_a_status_that_differs_by_its_time_only_is_not_kept_again(charger: Speaker) -> None:
    charger.status(1, "Available", second=0)
    rows = charger.rows()
    assert charger.status(1, "Available", second=30).is_repeat
    charger.restarted()
    assert charger.status(1, "Available", second=59).is_repeat
    assert charger.rows() == rows
    assert not charger.status(1, "Available", second=0, info="x").is_repeat
    assert not charger.status(2, "Available", second=0).is_repeat


def test_a_status_that_comes_back_is_kept_again(charger: Speaker) -> None:
    assert not any(charger.status(1, status).is_repeat for status in ("Available", "Preparing", "Available"))


def test_a_status_of_the_charger_itself_is_kept_in_the_journal(charger: Speaker) -> None:
    recorded = charger.status(0, "Available")
    assert (recorded.answer, recorded.is_repeat, recorded.new_connectors) == ({}, False, ())
    assert (charger.last().connector_no, charger.last().action) == (None, "StatusNotification")


def test_an_identical_status_of_the_charger_itself_is_not_kept_again(charger: Speaker) -> None:
    charger.status(0, "Available", second=0)
    assert charger.status(0, "Available", second=30).is_repeat


def test_a_status_names_a_connector_for_the_first_time(charger: Speaker, path: Path) -> None:
    assert charger.status(3).new_connectors == (charger.connector(3),)
    assert charger.status(3).new_connectors == ()
    other = Speaker(path, charger.db, connectors.enrol(charger.db, ChargerId("new"), connectors.KNOWN, "file"))
    assert other.status(1).new_connectors == ()
    assert [one.upstream for one in connectors.connectors_of(charger.db, other.no)] == [None]


# --- the rest


def test_a_boot_is_the_inventory_and_leaves_sessions_open(charger: Speaker) -> None:
    start = charger.start()
    said = charger.said("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    event = ChargerBooted("V", "M", None, None)
    answer: Payload = {"status": "Accepted"}
    recorded = in_one_commit(charger.db, lambda db: records.record_boot(db, said, event, answer))
    found = connectors.charger_by_no(charger.db, charger.no)
    assert found is not None
    assert (found.vendor, found.model, found.version, found.boot_wall_ms) == ("V", "M", "1.6", said.at.wall_ms)
    assert (recorded.answer, answered(charger.last())) == (answer, answer)
    assert [one.no for one in transactions.open_of(charger.db, charger.no)] == [start.transaction]


def test_anything_else_is_kept_with_its_answer(charger: Speaker) -> None:
    said = charger.said("DataTransfer", {"vendorId": "x"})
    recorded = in_one_commit(charger.db, lambda db: records.record_plain(db, said, replies.unknown_vendor()))
    row = charger.last()
    assert (recorded.answer, recorded.stored) == ({"status": "UnknownVendorId"}, ())
    assert (row.action, row.text, row.relay, answered(row)) == ("DataTransfer", said.call.text, False, recorded.answer)


def test_the_id_of_the_csms_never_reaches_the_charger(charger: Speaker) -> None:
    start = charger.start()
    delivery.learn_csms_tx(charger.db, start.transaction, CsmsTransactionId("99"))
    assert charger.start().recorded.answer["transactionId"] == BASE
    assert charger.values(99).rules == ("values_attached_by_connector",)


# --- a key does not live for ever


DAY = 24 * 3600


def test_a_start_like_one_that_ended_long_ago_is_a_new_session(charger: Speaker) -> None:
    first = charger.start()
    charger.stop(first.charger_tx)
    charger.messages += DAY + 10
    second = charger.start()
    assert second.transaction != first.transaction
    assert "start_reuses_key" in charger.rules()
    assert charger.start().transaction == second.transaction  # and is known from now on


def test_a_start_that_is_repeated_within_a_day_of_its_end_is_the_same_session(charger: Speaker) -> None:
    first = charger.start()
    charger.stop(first.charger_tx)
    charger.messages += DAY - 10
    assert charger.start().transaction == first.transaction


def test_a_start_that_is_repeated_a_little_differently_is_the_same_session_and_kept(charger: Speaker) -> None:
    first = charger.start()
    rows = charger.rows()
    assert charger.start().recorded.is_repeat
    assert charger.rows() == rows
    again = charger.start(reservationId=7)
    assert (again.transaction, again.charger_tx) == (first.transaction, first.charger_tx)
    assert again.recorded.answer == first.recorded.answer
    assert again.recorded.rules == ("start_said_otherwise",)
    assert again.recorded.stored == ()  # the CSMS has got one already
    assert charger.rows() == rows + 1


def test_a_start_without_an_end_is_known_however_late_it_comes_again(charger: Speaker) -> None:
    first = charger.start()
    charger.messages += 30 * DAY
    assert charger.start().transaction == first.transaction


# --- the register continues


def test_an_anonymous_stop_ends_the_transaction_that_it_continues_also_after_a_restart(charger: Speaker) -> None:
    charger.start(meterStart=100)
    other = charger.start(connectorId=2, meterStart=900_000, idTag="B")
    charger.restarted()
    stopped = charger.stop(4711, meterStop=900_100, timestamp="2026-03-01T12:30:00Z")
    assert stopped.rules == ("stop_attached_by_meter",)
    assert charger.last().tx_no == other.transaction


def test_what_is_odd_is_noted_and_counted_once(charger: Speaker) -> None:
    transaction = int(charger.start(meterStart=100).charger_tx)
    jump = {"timestamp": "2026-03-01T12:00:01Z", "sampledValue": [{"value": "900000"}]}
    assert charger.values(transaction, meterValue=[jump]).rules == ("register_jumped",)
    assert charger.values(transaction, meterValue=[jump]).is_repeat
    assert charger.status(1, "Available").rules == ("available_while_open",)


# --- what a charger may store


def odd_stops(charger: Speaker, until: int, **changed: Any) -> int:
    """Stops that belong to nothing, until one more is not stored; how many were."""
    for number in range(until):
        try:
            charger.stop(900_000 + number, meterStop=number, **changed)
        except BeyondRoom as error:
            charger.db.execute("ROLLBACK")
            assert error.rule is Rule.ALLOWANCE_EXCEEDED
            return number
    return until


def at_hour(charger: Speaker, hours: float) -> None:
    """Each message is a second later than the one before; the next is so many hours after the first."""
    charger.messages = max(charger.messages, round(hours * 3600))


def test_of_stops_that_belong_to_nothing_so_many_are_stored_and_no_more(charger: Speaker) -> None:
    taken = odd_stops(charger, 2000)
    assert shares.EXTRA_ROWS <= taken <= shares.EXTRA_ROWS * 1.2
    assert charger.rows() == taken
    at_hour(charger, 1.5)
    assert odd_stops(charger, 100) == 100


def test_the_allowance_comes_back_one_by_one(charger: Speaker) -> None:
    odd_stops(charger, 2000)
    charger.messages += 10
    assert odd_stops(charger, 10, vendor="ten seconds later") in {1, 2}


def test_long_stops_that_belong_to_nothing_use_the_allowance_up_sooner(charger: Speaker) -> None:
    assert odd_stops(charger, 100, vendor="x" * 100_000) == shares.EXTRA_CHARACTERS // 100_200


def test_starts_on_a_connector_with_an_open_session_are_limited_too(charger: Speaker) -> None:
    with pytest.raises(BeyondRoom):
        for number in range(1000):
            charger.start(meterStart=number)
    assert shares.EXTRA_ROWS < charger.sessions() <= shares.EXTRA_ROWS * 1.2 + 1


def test_further_stops_of_one_session_are_limited_too(charger: Speaker) -> None:
    tx = charger.start().charger_tx
    charger.stop(int(tx))
    with pytest.raises(BeyondRoom):
        for number in range(1000):
            charger.stop(int(tx), meterStop=1000 + number)


def test_an_honest_backlog_is_stored_at_once_with_all_its_repetitions(charger: Speaker) -> None:
    for number in range(shares.EXTRA_ROWS + 100):
        tx = charger.start(meterStart=number).charger_tx
        charger.start(meterStart=number)
        charger.stop(int(tx), meterStop=number + 1)
        assert charger.stop(int(tx), meterStop=number + 1).is_repeat
    assert charger.sessions() == shares.EXTRA_ROWS + 100


def test_a_text_of_blanks_is_stored_without_them_and_says_so(charger: Speaker) -> None:
    tx = charger.start().charger_tx
    payload = {"transactionId": int(tx), "meterStop": 500, "timestamp": "2026-03-01T13:00:00Z", "reason": 'a \\" b'}
    compact = call_text("p", "StopTransaction", payload)
    for blanks, is_kept in ((" " * 60_000, False), (" \n" * 100, True)):
        text = compact[:-1] + blanks + "]"
        said = replace(charger.said("StopTransaction", payload), call=Call("p", "StopTransaction", payload, text))
        notes = records.Notes()
        row = records.row_of(said, notes)
        assert row.text == (text if is_kept else compact)
        assert notes.rules() == (() if is_kept else (Rule.TEXT_PADDED,))
        assert is_kept or f"{len(text)} characters" in str(row.notes)
        assert json.loads(row.text)[3] == payload


def test_a_number_is_stored_as_it_was_written(charger: Speaker) -> None:
    text = '[2,"n","DataTransfer",{"vendorId":"a  b","data":"\\u0020","n": 1.50e1' + " " * 5000 + "}]"
    said = replace(charger.said("DataTransfer", {}), call=Call("n", "DataTransfer", json.loads(text)[3], text))
    assert records.row_of(said, records.Notes()).text == (
        '[2,"n","DataTransfer",{"vendorId":"a  b","data":"\\u0020","n":1.50e1}]'
    )


def statements(db: sqlite3.Connection, work: Any) -> int:
    """How many SQLite ran for this."""
    ran: list[str] = []
    db.set_trace_callback(ran.append)
    work()
    db.set_trace_callback(None)
    return len(ran)


def test_a_repeated_stop_is_known_without_a_walk_through_what_came_after_it(charger: Speaker) -> None:
    tx = int(charger.start().charger_tx)
    charger.stop(tx)
    for number in range(300):
        charger.values(tx, minute=number % 60, vendor=number)
    rows = charger.rows()
    assert statements(charger.db, lambda: charger.stop(tx)) < 100
    assert charger.stop(tx).is_repeat
    assert charger.rows() == rows
    charger.restarted()
    assert charger.stop(tx).is_repeat
    assert statements(charger.db, lambda: charger.stop(tx, meterStop=9)) < 100
    assert charger.stop(tx, meterStop=9).is_repeat


def test_a_stop_without_id_and_token_looks_at_few_sessions(charger: Speaker) -> None:
    for connector in range(1, 65):
        charger.start(connectorId=connector)
    assert statements(charger.db, lambda: charger.stop(-1, meterStop=50_000_000)) < 200


def test_a_boot_names_few_of_many_open_sessions(charger: Speaker) -> None:
    for connector in range(1, 31):
        charger.start(connectorId=connector)
    said = charger.said("BootNotification", {})
    in_one_commit(charger.db, lambda db: records.record_boot(db, said, ChargerBooted("v", "m", None, None), {}))
    (message,) = [note["message"] for note in report.notes_of(charger.last()) if note["rule"] == Rule.BOOT_WHILE_OPEN]
    assert "S30" in message
    assert message.endswith("and 22 more have not ended")

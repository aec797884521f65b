"""What people are shown. Everything here is read on the reader's connection, so only what is settled counts."""

import sqlite3

import pytest

from edge.domain.ids import CsmsTransactionId, TransactionNo
from edge.store import chains, delivery, exchange, report, transactions
from edge.store.exchange import Kind
from tests.store.givens import NOON, StoredSite, a_row

NOON_MS = round(NOON.timestamp() * 1000)


@pytest.fixture
def session(site: StoredSite) -> TransactionNo:
    charger, (_, connector) = site.charger("cp-01", 2)
    tx_no, _ = site.begin(charger, connector, "TAG", meter_start_wh=100, started_offline=True)
    site.say(tx_no, "MeterValues")
    chains.settle(site.db)
    return tx_no


def test_a_new_store_shows_nothing(db: sqlite3.Connection) -> None:
    assert report.backlog(db) == report.Backlog(0, 0)
    assert report.sessions(db, only_open=False, charger=None, since_ms=None) == []
    assert list(report.queue(db)) == []
    assert report.session(db, 1) is None
    assert report.open_sessions(db) == {}
    assert report.count_open(db) == 0
    assert report.parked(db) == []
    assert report.observed_ms(db, 1) is None
    assert report.rows_of_charger(db, "nobody", 10) == []
    assert report.bound(db, 1) is None


def test_a_session_is_shown_with_all_that_is_known(site: StoredSite, session: TransactionNo) -> None:
    found = report.session(site.db, session)
    assert found is not None
    assert (found.tx_no, found.state, found.charger, found.connector, found.upstream_connector) == (
        session, "open", "cp-01", 2, 2,
    )  # fmt: skip
    assert (found.id_token, found.charger_tx, found.csms_tx, found.meter_start_wh) == ("TAG", "1001", None, 100)
    assert (found.started_offline, found.remote_start, found.rows, found.acked_rows) == (True, False, 2, 0)
    assert (found.started_wall_ms, found.ended_wall_ms, found.parked_seq) == (NOON_MS, None, None)
    assert [row.action for row in report.rows_of(site.db, found)] == ["StartTransaction", "MeterValues"]
    row = report.last_values(site.db, found)
    text = None if row is None else row.text
    assert text is not None
    assert '"MeterValues"' in text


def test_a_session_without_values_has_no_energy(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    tx_no, _ = site.begin(charger, connector)
    site.say(tx_no, "MeterValues", relay=False, kind=Kind.CSMS_ANSWER)
    chains.settle(site.db)
    found = report.session(site.db, tx_no)
    assert found is not None
    assert report.last_values(site.db, found) is None


def test_sessions_are_shown_newest_first_and_chosen_by_charger_state_and_time(site: StoredSite) -> None:
    a, (on_a,) = site.charger("A")
    b, (on_b,) = site.charger("B")
    first, second, third = site.begin(a, on_a)[0], site.begin(b, on_b)[0], site.begin(a, on_a)[0]
    site.end(first)
    transactions.meter_stream(site.db, a, on_a, 9)

    def shown(*, only_open: bool = False, charger: str | None = None, since_ms: int | None = None) -> list[int]:
        found = report.sessions(site.db, only_open=only_open, charger=charger, since_ms=since_ms)
        return [one.tx_no for one in found]

    assert shown() == [third, second, first]
    assert shown(only_open=True) == [third, second]
    assert shown(charger="A") == [third, first]
    assert shown(charger="nobody") == []
    assert shown(since_ms=NOON_MS) == [third, second, first]
    assert shown(since_ms=NOON_MS + 1) == [third, second]  # an open one is always of now
    assert report.open_sessions(site.db) == {on_a: third, on_b: second}
    assert report.count_open(site.db) == 2


def test_the_rows_of_a_charger_are_its_newest_oldest_first(site: StoredSite) -> None:
    charger, _ = site.charger("A")
    seqs = [exchange.append(site.db, a_row(peer=charger)) for _ in range(5)]
    exchange.append(site.db, a_row(peer=99))
    chains.settle(site.db)
    assert [row.seq for row in report.rows_of_charger(site.db, "A", 3)] == seqs[2:]
    assert [row.seq for row in report.rows_of_charger(site.db, "A", 10)] == seqs


def test_the_queue_shows_what_waits_and_how_each_message_fared(site: StoredSite, session: TransactionNo) -> None:
    delivery.failed(site.db, 1, 3, "InternalError", "why", 77)
    first, second = report.queue(site.db)
    assert (first.seq, first.tx_no, first.kind, first.charger, first.lane) == (1, session, "transaction", "cp-01", 2)
    assert (first.action, first.is_parked) == ("StartTransaction", False)
    assert report.attempted(site.db, first.seq) == report.Attempted(NOON_MS, "1.6", 3, ("InternalError", "why", 77))
    assert report.attempted(site.db, second.seq) == report.Attempted(NOON_MS, "1.6", 0, None)


def test_a_bound_message_that_was_never_refused_has_no_error(site: StoredSite, session: TransactionNo) -> None:
    assert session
    delivery.bind(site.db, 1, 1, "{}")
    assert report.attempted(site.db, 1).error is None


def test_the_queue_is_in_the_order_in_which_its_transactions_began(site: StoredSite) -> None:
    a, (on_a,) = site.charger("A")
    b, (on_b,) = site.charger("B")
    begun = [site.begin(b, on_b)[0], site.begin(a, on_a)[0], site.begin(b, on_b)[0]]
    delivery.park(site.db, 2, begun[1], "FormationViolation", "", 5, 0)
    chains.settle(site.db)
    assert [one.tx_no for one in report.queue(site.db)] == begun


def test_what_is_parked_is_counted_apart(site: StoredSite, session: TransactionNo) -> None:
    delivery.park(site.db, 1, session, "FormationViolation", "bad", 5, 88)
    assert report.backlog(site.db) == report.Backlog(messages=0, parked=2)
    assert [one.is_parked for one in report.queue(site.db)] == [True, True]
    assert report.parked(site.db) == [(1, "FormationViolation", "bad", 88)]


def test_what_was_delivered_before_the_parked_one_is_not_counted(site: StoredSite, session: TransactionNo) -> None:
    delivery.acknowledge(site.db, 1, session, 1)
    delivery.park(site.db, 2, session, "FormationViolation", "bad", 5, 88)
    assert report.backlog(site.db) == report.Backlog(messages=0, parked=1)
    assert [one.seq for one in report.queue(site.db)] == [2]


def test_the_stations_own_values_are_in_lane_0(site: StoredSite) -> None:
    stream = transactions.meter_stream(site.db, None, None, 1)
    exchange.append(site.db, a_row(peer=0, tx_no=stream, relay=True, action="MeterValues"))
    chains.settle(site.db)
    (one,) = report.queue(site.db)
    assert (one.charger, one.lane, one.kind) == (None, 0, "meter")


def test_it_is_told_when_a_row_was_observed(site: StoredSite, session: TransactionNo) -> None:
    assert session
    assert report.observed_ms(site.db, 1) == NOON_MS
    assert report.observed_ms(site.db, 99) is None


def test_names_and_numbers_are_told_by_our_own(site: StoredSite) -> None:
    a, (a1, a2) = site.charger("A", 2)
    b, (b1,) = site.charger("B")
    site.db.execute("INSERT INTO connector (charger_no, evse, conn) VALUES (?, 7, 7)", (b,))
    assert report.charger_names(site.db) == {a: "A", b: "B"}
    assert report.upstream_of(site.db) == {a1: 1, a2: 2, b1: 3}
    assert report.connector_numbers(site.db) == {a1: 1, a2: 2, b1: 1, b1 + 1: 7}


def test_a_stream_is_told_with_the_id_of_the_csms(site: StoredSite, session: TransactionNo) -> None:
    assert report.tx_stream(site.db, session) == ("transaction", None, 2)
    delivery.learn_csms_tx(site.db, session, CsmsTransactionId("7"))
    assert report.tx_stream(site.db, session) == ("transaction", "7", 2)
    station = transactions.meter_stream(site.db, None, None, 3)
    assert report.tx_stream(site.db, station) == ("meter", None, 0)


def noted(db: sqlite3.Connection, notes: str | None) -> exchange.Exchange:
    found = exchange.load(db, exchange.append(db, a_row(notes=notes)))
    assert found is not None
    return found


def test_notes_are_remarks_or_how_something_was_sent(db: sqlite3.Connection) -> None:
    remarks = noted(db, '[{"rule":"r","message":"m"}]')
    sent = noted(db, '{"sent_ms":5,"payload":{"a":1}}')
    nothing = noted(db, None)
    assert report.notes_of(remarks) == [{"rule": "r", "message": "m"}]
    assert (report.notes_of(sent), report.notes_of(nothing)) == ([], [])
    assert (report.sent_ms(sent), report.sent_ms(remarks), report.sent_ms(nothing)) == (5, None, None)
    assert (report.sent_payload(sent), report.sent_payload(remarks), report.sent_payload(nothing)) == (
        {"a": 1},
        None,
        None,
    )

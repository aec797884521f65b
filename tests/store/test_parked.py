"""What a person makes of a parked message: it waits again, or the CSMS never gets it; counters and lanes follow."""

import sqlite3
from pathlib import Path

import pytest

from edge.domain.ids import ChargerNo, ConnectorNo, CsmsTransactionId, TransactionNo
from edge.store import chains, connectors, delivery, exchange, parked, report, transactions
from edge.store.delivery import Waiting
from edge.store.parked import Decided, Parked, Reason, Refused
from edge.store.transactions import NewTransaction
from tests.store.givens import StoredSite, a_row, moment, opened
from tests.store.test_delivery import EPOCH, counters, due, lanes, value_of_connector

Place = tuple[ChargerNo, ConnectorNo]


@pytest.fixture
def place(site: StoredSite) -> Place:
    charger, (connector, _) = site.charger("A", 2)
    delivery.open_epoch(site.db, "site", "ws://csms", "1.6")
    return charger, connector


def park(site: StoredSite, seq: int, tx_no: TransactionNo) -> None:
    delivery.park(site.db, seq, tx_no, "FormationViolation", "bad", 5, 9)


def begun(site: StoredSite, place: Place) -> tuple[TransactionNo, int]:
    """A session of which the CSMS knows the start."""
    tx_no, start = site.begin(*place)
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    delivery.learn_csms_tx(site.db, tx_no, CsmsTransactionId("7"))
    return tx_no, start


def retry(site: StoredSite, seq: int, epoch: int = EPOCH) -> Decided | Refused:
    return parked.retry(site.db, seq, epoch, moment(), "anna (uid 1000)")


def drop(site: StoredSite, seq: int) -> Decided | Refused:
    return parked.drop(site.db, seq, moment(), "anna (uid 1000)")


def backlog(site: StoredSite) -> tuple[int, int]:
    chains.settle(site.db)
    found = report.backlog(site.db)
    return found.messages, found.parked


def decisions(site: StoredSite) -> list[tuple[int, str]]:
    return site.db.execute("SELECT cause_seq, text FROM exchange WHERE kind = 4 ORDER BY seq").fetchall()


def deliver_all(site: StoredSite, tx_no: TransactionNo) -> list[int]:
    delivered = []
    for waiting in list(lanes(site).values()):
        for seq in waiting:
            assert delivery.message(site.db, seq) is not None
            assert delivery.acknowledge(site.db, seq, tx_no, EPOCH)
            delivered.append(seq)
    return delivered


# --- retry


def test_a_parked_message_waits_again_with_the_later_ones_of_its_session(site: StoredSite, place: Place) -> None:
    tx_no, _ = begun(site, place)
    refused, value, end = site.say(tx_no, "MeterValues"), site.say(tx_no, "MeterValues"), site.end(tx_no)
    park(site, refused, tx_no)
    assert (lanes(site), backlog(site), report.parked(site.db)[0][0]) == ({}, (0, 3), refused)
    decided = retry(site, refused)
    assert isinstance(decided, Decided)
    assert decided.waiting == (Waiting(refused, False), Waiting(value, False), Waiting(end, True))
    assert (lanes(site), backlog(site), report.parked(site.db)) == ({1: [refused, value, end]}, (3, 0), [])
    message = delivery.message(site.db, refused)
    assert message is not None
    assert message.attempts == 0
    assert deliver_all(site, tx_no) == [refused, value, end]
    assert not due(site, tx_no)
    assert decisions(site) == [(refused, f'{{"retried":{refused},"by":"anna (uid 1000)"}}')]


def test_what_was_bound_is_sent_again_as_it_was(site: StoredSite, place: Place) -> None:
    tx_no, start = site.begin(*place)
    delivery.bind(site.db, start, EPOCH, '{"as":"before"}')
    park(site, start, tx_no)
    retry(site, start)
    message = delivery.message(site.db, start)
    assert message is not None
    assert (message.bound, message.attempts) == ('{"as":"before"}', 0)


def test_a_message_that_is_parked_again_can_be_retried_again(site: StoredSite, place: Place) -> None:
    tx_no, start = site.begin(*place)
    for _ in range(3):
        park(site, start, tx_no)
        assert backlog(site) == (0, 1)
        assert isinstance(retry(site, start), Decided)
        assert backlog(site) == (1, 0)


def test_a_stream_of_values_that_was_parked_goes_up_beside_the_one_that_followed(
    site: StoredSite, place: Place
) -> None:
    old, refused = value_of_connector(site, *place)
    park(site, refused, old)
    new, second = value_of_connector(site, *place)
    assert new != old
    retry(site, refused)
    again, third = value_of_connector(site, *place)
    assert again == new
    assert lanes(site) == {1: [refused, second, third]}
    delivery.acknowledge(site.db, refused, old, EPOCH)
    assert not due(site, old)
    assert due(site, new)


def test_what_can_not_go_up_is_not_retried(site: StoredSite, place: Place) -> None:
    charger, _ = place
    row = a_row('[2,"o","StopTransaction",{}]', charger, action="StopTransaction", relay=True)
    orphan = delivery.park_orphan(
        site.db, NewTransaction(transactions.ORPHAN, charger, None, exchange.peek_seq(site.db)), row, "orphan_stop", ""
    )
    assert retry(site, orphan) == Refused(Reason.ORPHAN)
    nowhere = delivery.park_orphan(
        site.db,
        NewTransaction(transactions.TRANSACTION, charger, None, exchange.peek_seq(site.db)),
        a_row('[2,"p","StartTransaction",{}]', charger, action="StartTransaction", relay=True),
        "no_connector",
        "",
    )
    assert retry(site, nowhere) == Refused(Reason.NO_CONNECTOR)
    assert (lanes(site), backlog(site)) == ({}, (0, 2))
    assert decisions(site) == []


@pytest.mark.parametrize(
    "damage", ['\'[2,"m1","MeterValues",{}]\'', "'rubbish'", "''", "CAST(x'5b32ff2c22ff' AS TEXT)"]
)
def test_a_message_that_is_damaged_on_the_disk_is_not_retried_and_can_be_dropped(
    site: StoredSite, place: Place, damage: str
) -> None:
    tx_no, _ = begun(site, place)
    value, end = site.say(tx_no, "MeterValues"), site.end(tx_no)
    site.db.execute(f"UPDATE exchange SET text = {damage} WHERE seq = ?", (value,))
    message = delivery.message(site.db, value)
    assert message is not None
    assert not exchange.is_intact(site.db, message.row)
    assert exchange.payload(message.row) == {}
    delivery.park(site.db, value, tx_no, "damaged", "", 0, 0)
    assert retry(site, value) == Refused(Reason.DAMAGED)
    assert isinstance(drop(site, value), Decided)
    assert lanes(site) == {1: [end]}


def test_a_session_that_another_csms_knows_is_not_told_to_this_one(site: StoredSite, place: Place) -> None:
    there = delivery.open_epoch(site.db, "site", "ws://elsewhere", "1.6")
    tx_no, _ = begun(site, place)
    refused = site.say(tx_no, "MeterValues")
    park(site, refused, tx_no)
    assert retry(site, refused, there) == Refused(Reason.OTHER_CSMS)
    assert isinstance(retry(site, refused, 0), Decided)  # not connected yet: law 8 looks at it then
    assert delivery.foreign_unfinished(site.db, there) == (1, "site", "ws://csms")


# --- drop


def test_the_later_messages_of_a_dropped_one_go_on(site: StoredSite, place: Place) -> None:
    tx_no, _ = begun(site, place)
    refused, value = site.say(tx_no, "MeterValues"), site.say(tx_no, "MeterValues")
    park(site, refused, tx_no)
    decided = drop(site, refused)
    assert isinstance(decided, Decided)
    assert decided.waiting == (Waiting(value, False),)
    assert (lanes(site), backlog(site), report.parked(site.db)) == ({1: [value]}, (1, 0), [])
    end = site.end(tx_no)
    assert deliver_all(site, tx_no) == [value, end]
    assert not due(site, tx_no)
    assert counters(site, tx_no) == (4, 4, end)
    assert site.db.execute("SELECT dropped_rows, dropped_seq FROM tx").fetchone() == (1, None)
    assert parked.was_dropped(site.db, refused)
    assert not parked.was_dropped(site.db, value)
    assert decisions(site) == [(refused, f'{{"dropped":{refused},"with_it":0,"by":"anna (uid 1000)"}}')]
    row = exchange.load(site.db, refused)
    assert row is not None
    assert row.text  # it stays in the journal


def test_a_dropped_stop_ends_the_delivery_of_its_session(site: StoredSite, place: Place) -> None:
    tx_no, _ = begun(site, place)
    end = site.end(tx_no)
    park(site, end, tx_no)
    drop(site, end)
    assert (lanes(site), backlog(site), due(site, tx_no)) == ({}, (0, 0), False)


def test_with_a_start_all_of_its_session_is_dropped_also_what_is_still_to_come(site: StoredSite, place: Place) -> None:
    tx_no, start = site.begin(*place)
    value = site.say(tx_no, "MeterValues")
    park(site, start, tx_no)
    decided = drop(site, start)
    assert isinstance(decided, Decided)
    assert decided.waiting == ()
    later, end = site.say(tx_no, "MeterValues"), site.end(tx_no)
    other, other_start = site.begin(*place)
    assert [delivery.message(site.db, seq) for seq in (start, value, later, end)] == [None] * 4
    assert all(parked.was_dropped(site.db, seq) for seq in (start, value, later, end))
    assert not parked.was_dropped(site.db, other_start)
    assert (lanes(site), backlog(site), report.parked(site.db)) == ({1: [other_start]}, (1, 0), [])
    assert not delivery.has_undelivered_before(site.db, other)
    assert list(report.queue(site.db))[0].seq == other_start


def test_a_start_that_is_not_known_where_it_was_is_dropped_like_any_other(site: StoredSite, place: Place) -> None:
    charger, _ = place
    seq = delivery.park_orphan(
        site.db,
        NewTransaction(transactions.TRANSACTION, charger, None, exchange.peek_seq(site.db)),
        a_row('[2,"p","StartTransaction",{}]', charger, action="StartTransaction", relay=True),
        "no_connector",
        "",
    )
    assert isinstance(drop(site, seq), Decided)
    assert backlog(site) == (0, 0)


def test_an_orphan_and_a_value_of_no_session_can_be_dropped(site: StoredSite, place: Place) -> None:
    charger, _ = place
    row = a_row('[2,"o","StopTransaction",{}]', charger, action="StopTransaction", relay=True)
    orphan = delivery.park_orphan(
        site.db, NewTransaction(transactions.ORPHAN, charger, None, exchange.peek_seq(site.db)), row, "orphan_stop", ""
    )
    stream, first = value_of_connector(site, *place)
    _, second = value_of_connector(site, *place)
    park(site, first, stream)
    for seq in (orphan, first):
        assert isinstance(drop(site, seq), Decided)
    assert (lanes(site), backlog(site)) == ({1: [second]}, (1, 0))
    delivery.acknowledge(site.db, second, stream, EPOCH)
    assert not due(site, stream)


# --- what can not be decided about


def test_only_the_first_parked_message_of_a_session_can_be_decided_about(site: StoredSite, place: Place) -> None:
    tx_no, start = site.begin(*place)
    value, status = site.say(tx_no, "MeterValues"), site.say(tx_no, "StatusNotification", relay=False)
    waiting, _ = site.begin(*place)
    park(site, start, tx_no)
    for decide in (retry, drop):
        assert decide(site, value) == Refused(Reason.BEHIND, start)
        assert decide(site, 99_999) == Refused(Reason.UNKNOWN)
        assert decide(site, status) == Refused(Reason.UNKNOWN)
        assert decide(site, exchange.append(site.db, a_row())) == Refused(Reason.UNKNOWN)
        assert decide(site, site.db.execute("SELECT begin_seq FROM tx WHERE tx_no = ?", (waiting,)).fetchone()[0]) == (
            Refused(Reason.WAITING)
        )
    drop(site, start)
    for decide in (retry, drop):
        assert decide(site, start) == decide(site, value) == Refused(Reason.DROPPED)


def test_what_the_csms_has_is_not_decided_about(site: StoredSite, place: Place) -> None:
    _, start = begun(site, place)
    assert retry(site, start) == drop(site, start) == Refused(Reason.DELIVERED)


def test_looking_changes_nothing(site: StoredSite, place: Place) -> None:
    tx_no, start = site.begin(*place)
    value = site.say(tx_no, "MeterValues")
    park(site, start, tx_no)
    before = list(site.db.iterdump())
    one = parked.look(site.db, start)
    assert isinstance(one, Parked)
    assert (one.session, one.is_start, one.later) == (f"S{tx_no}", True, (Waiting(value, False),))
    assert list(site.db.iterdump()) == before


def test_both_survive_a_restart(path: Path) -> None:
    for decide in (retry, drop):
        db = opened(path)
        site = StoredSite(db)
        charger, (connector,) = site.charger(decide.__name__)
        tx_no, start = begun(site, (charger, connector))
        refused = site.say(tx_no, "MeterValues")
        park(site, refused, tx_no)
        assert isinstance(decide(site, refused), Decided)
        db.close()
        db = opened(path)
        assert len(connectors.numbered(db)) == (1 if decide is retry else 2)
        waiting = [one.seq for lane in delivery.lanes(db).values() for one in lane]
        assert (refused in waiting) == (decide is retry)
        assert parked.was_dropped(db, refused) == (decide is drop)
        assert start not in waiting
        db.close()


def test_the_plan_of_what_is_asked_for_one_message_uses_keys_only(db: sqlite3.Connection) -> None:
    plan = db.execute(
        "EXPLAIN QUERY PLAN SELECT 1 FROM exchange e JOIN tx USING (tx_no) LEFT JOIN delivery d USING (seq) "
        "WHERE e.seq = 1"
    ).fetchall()
    assert not any("SCAN" in step[3] for step in plan)

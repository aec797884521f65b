"""What is still to go to the CSMS: nothing is forgotten, nothing goes twice, nothing stays due for ever."""

import random
import sqlite3
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.ids import ChargerNo, ConnectorNo, CsmsTransactionId, TransactionNo
from edge.store import chains, connectors, delivery, exchange, gaps, report, transactions
from edge.store.db import CommitFailed
from edge.store.delivery import STATION_LANE, Waiting
from edge.store.exchange import STATION, Kind
from edge.store.transactions import NewTransaction
from tests.simulation.world import folder_in_memory
from tests.store.givens import Disk, StoredSite, a_row, after_power_cut, opened, running

EPOCH = 1


def lanes(site: StoredSite) -> dict[int, list[int]]:
    return {lane: [one.seq for one in waiting] for lane, waiting in delivery.lanes(site.db).items() if waiting}


def due(site: StoredSite, tx_no: TransactionNo) -> bool:
    return bool(site.db.execute("SELECT due FROM tx WHERE tx_no = ?", (tx_no,)).fetchone()[0])


def counters(site: StoredSite, tx_no: TransactionNo) -> tuple[int, int, int]:
    """Rows, of them acknowledged, up to which row."""
    chains.settle(site.db)
    found: tuple[int, int, int] = site.db.execute(
        "SELECT rows, acked_rows, acked_seq FROM tx WHERE tx_no = ?", (tx_no,)
    ).fetchone()
    return found


def value_of_connector(
    site: StoredSite, charger: ChargerNo | None, connector: ConnectorNo | None
) -> tuple[TransactionNo, int]:
    """Meter values outside of any transaction."""
    stream = transactions.meter_stream(site.db, charger, connector, exchange.peek_seq(site.db))
    row = a_row(peer=charger or STATION, tx_no=stream, relay=True, action="MeterValues", connector_no=connector)
    return stream, exchange.append(site.db, row)


@pytest.fixture
def places(site: StoredSite) -> list[tuple[ChargerNo, ConnectorNo]]:
    a, (a1, a2) = site.charger("A", 2)
    b, (b1,) = site.charger("B")
    delivery.open_epoch(site.db, "site", "ws://csms", "1.6")
    return [(a, a1), (a, a2), (b, b1)]


Places = list[tuple[ChargerNo, ConnectorNo]]

# --- lanes


def test_a_lane_is_a_connector_and_holds_its_rows_in_the_order_of_commit(site: StoredSite, places: Places) -> None:
    one, s1 = site.begin(*places[0])
    three, s3 = site.begin(*places[2])
    v1 = site.say(one, "MeterValues")
    site.say(one, "StatusNotification", relay=False)
    v3 = site.say(three, "MeterValues")
    e1 = site.end(one)
    again, s1b = site.begin(*places[0])
    late = site.say(again, "MeterValues")
    _, station = value_of_connector(site, None, None)
    _, idle = value_of_connector(site, *places[0])
    assert lanes(site) == {1: [s1, v1, e1, s1b, late, idle], 3: [s3, v3], STATION_LANE: [station]}
    assert delivery.lanes(site.db)[1][:3] == [Waiting(s1, True), Waiting(v1, False), Waiting(e1, True)]


def test_two_sessions_of_one_connector_are_mixed_as_they_were_said(site: StoredSite, places: Places) -> None:
    older, s1 = site.begin(*places[0])
    newer, s2 = site.begin(*places[0])
    rows = [s1, s2, site.say(older, "MeterValues"), site.say(newer, "MeterValues"), site.end(older), site.end(newer)]
    assert lanes(site) == {1: rows}


def test_what_a_connector_without_a_number_said_waits_until_it_is_counted(site: StoredSite) -> None:
    charger = connectors.enrol(site.db, "new", connectors.KNOWN, "file")  # type: ignore[arg-type]
    connector = connectors.add(site.db, charger, 1, 1)
    tx_no, start = site.begin(charger, connector)
    end = site.end(tx_no)
    assert lanes(site) == {}
    assert due(site, tx_no)
    connectors.count(site.db, charger, 1)
    assert lanes(site) == {1: [start, end]}


def test_an_empty_store_has_nothing_to_send(db: sqlite3.Connection) -> None:
    assert delivery.lanes(db) == {}


# --- a message


def test_a_message_has_what_is_needed_to_write_it(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[1])
    found = delivery.message(site.db, start)
    assert found is not None
    assert (found.row.seq, found.tx_no, found.kind, found.upstream_connector) == (start, tx_no, "transaction", 2)
    assert (found.upstream_tx, found.tx_epoch, found.bound, found.attempts) == (None, None, None, 0)
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    delivery.learn_csms_tx(site.db, tx_no, CsmsTransactionId("0"))
    value = site.say(tx_no, "MeterValues")
    found = delivery.message(site.db, value)
    assert found is not None
    assert (found.upstream_tx, found.tx_epoch) == ("0", EPOCH)


def test_a_message_of_the_station_is_of_connector_0(site: StoredSite, places: Places) -> None:
    assert places
    _, seq = value_of_connector(site, None, None)
    found = delivery.message(site.db, seq)
    assert found is not None
    assert (found.kind, found.upstream_connector) == (transactions.METER, 0)


def test_what_is_acknowledged_is_no_message_any_more(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    value = site.say(tx_no, "MeterValues")
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    assert delivery.message(site.db, start) is None
    assert delivery.message(site.db, value) is not None


def test_what_is_not_there_or_of_no_transaction_is_no_message(site: StoredSite) -> None:
    assert delivery.message(site.db, 1) is None
    assert delivery.message(site.db, exchange.append(site.db, a_row())) is None


def test_what_was_bound_is_what_is_sent_again(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    delivery.bind(site.db, start, EPOCH, '{"first":1}')
    delivery.failed(site.db, start, 2, "Timeout", "silence", 5)
    found = delivery.message(site.db, start)
    assert found is not None
    assert (found.bound, found.attempts) == ('{"first":1}', 2)
    delivery.bind(site.db, start, EPOCH, '{"repaired":1}')
    found = delivery.message(site.db, start)
    assert found is not None
    assert (found.bound, found.attempts) == ('{"repaired":1}', 2)
    assert delivery.acknowledge(site.db, start, tx_no, EPOCH)
    assert site.db.execute("SELECT count(*) FROM delivery").fetchone() == (0,)


def test_what_failed_is_counted_without_being_bound(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    value = site.say(tx_no, "MeterValues")
    delivery.failed(site.db, value, 1, "GenericError", "why", 5)
    delivery.failed(site.db, value, 2, "InternalError", "why not", 6)
    found = delivery.message(site.db, value)
    assert found is not None
    assert (found.bound, found.attempts) == (None, 2)
    assert site.db.execute("SELECT state, error_code, error_wall_ms FROM delivery").fetchall() == [
        ("failed", "InternalError", 6)
    ]


# --- acknowledging


def test_acknowledging_twice_counts_once(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    assert delivery.acknowledge(site.db, start, tx_no, EPOCH)
    assert not delivery.acknowledge(site.db, start, tx_no, EPOCH)
    assert counters(site, tx_no) == (1, 1, start)


def test_the_epoch_of_the_first_acknowledged_message_stays(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    delivery.acknowledge(site.db, start, tx_no, 1)
    delivery.acknowledge(site.db, site.say(tx_no, "MeterValues"), tx_no, 2)
    assert site.db.execute("SELECT epoch_no FROM tx").fetchone() == (1,)


def test_a_session_is_due_until_the_csms_has_its_stop(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    value = site.say(tx_no, "MeterValues")
    for seq in (start, value):
        delivery.acknowledge(site.db, seq, tx_no, EPOCH)
        assert due(site, tx_no)  # it is open: more may come
    end = site.end(tx_no)
    assert due(site, tx_no)
    assert lanes(site) == {1: [end]}
    delivery.acknowledge(site.db, end, tx_no, EPOCH)
    assert not due(site, tx_no)
    assert lanes(site) == {}


def test_a_session_whose_stop_came_before_its_start_was_acknowledged_ends_with_the_last_one(
    site: StoredSite, places: Places
) -> None:
    tx_no, start = site.begin(*places[0])
    rows = [start, site.say(tx_no, "MeterValues"), site.end(tx_no)]
    for seq in rows:
        assert due(site, tx_no)
        delivery.acknowledge(site.db, seq, tx_no, EPOCH)
        site.say(tx_no, "MeterValues", relay=False, kind=Kind.CSMS_ANSWER)
    assert not due(site, tx_no)


def test_values_after_the_stop_change_nothing_for_the_csms(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    end = site.end(tx_no)
    site.say(tx_no, "MeterValues", relay=False)
    assert lanes(site) == {1: [start, end]}
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    site.say(tx_no, "MeterValues", relay=False)
    delivery.acknowledge(site.db, end, tx_no, EPOCH)
    assert not due(site, tx_no)
    site.say(tx_no, "MeterValues", relay=False)
    assert (counters(site, tx_no), due(site, tx_no), lanes(site)) == ((2, 2, end), False, {})


def test_a_stream_of_values_is_due_for_ever_and_empty_when_all_is_delivered(site: StoredSite, places: Places) -> None:
    stream, first = value_of_connector(site, *places[0])
    delivery.acknowledge(site.db, first, stream, EPOCH)
    assert lanes(site) == {}
    again, second = value_of_connector(site, *places[0])
    assert (again, due(site, stream)) == (stream, True)
    assert lanes(site) == {1: [second]}


async def test_a_stop_that_is_acknowledged_while_the_one_of_its_values_still_rides_ends_the_session(path: Path) -> None:
    """Acknowledgements of values are deferred, those of stops are not: they meet in one commit, in order."""
    async with running(path) as store:

        def a_session(db: sqlite3.Connection) -> tuple[TransactionNo, list[int]]:
            site = StoredSite(db)
            charger, (connector,) = site.charger("A")
            tx_no, start = site.begin(charger, connector)
            return tx_no, [start, site.say(tx_no, "MeterValues"), site.say(tx_no, "MeterValues"), site.end(tx_no)]

        tx_no, (start, *values, end) = await store.write(a_session)
        await store.write(partial(delivery.acknowledge, seq=start, tx_no=tx_no, epoch_no=EPOCH))
        for value in values:
            store.defer(partial(delivery.acknowledge, seq=value, tx_no=tx_no, epoch_no=EPOCH))
        await store.write(partial(delivery.acknowledge, seq=end, tx_no=tx_no, epoch_no=EPOCH))
        found = await store.write(lambda db: db.execute("SELECT due, acked_rows, acked_seq FROM tx").fetchone())
    assert found == (0, 4, end)


async def test_the_same_holds_when_the_commit_in_between_fails(path: Path) -> None:
    disk = Disk()
    async with running(path, disk.open_database) as store:

        def a_session(db: sqlite3.Connection) -> tuple[TransactionNo, list[int]]:
            site = StoredSite(db)
            charger, (connector,) = site.charger("A")
            tx_no, start = site.begin(charger, connector)
            return tx_no, [start, site.say(tx_no, "MeterValues"), site.end(tx_no)]

        tx_no, (start, value, end) = await store.write(a_session)
        await store.write(partial(delivery.acknowledge, seq=start, tx_no=tx_no, epoch_no=EPOCH))
        store.defer(partial(delivery.acknowledge, seq=value, tx_no=tx_no, epoch_no=EPOCH))
        disk.failures = 1
        for expected in (False, True):
            done = store.submit(partial(delivery.acknowledge, seq=end, tx_no=tx_no, epoch_no=EPOCH))
            try:
                assert await done
                assert expected
            except CommitFailed:
                assert not expected
        found = await store.write(lambda db: db.execute("SELECT due, acked_rows, acked_seq FROM tx").fetchone())
    assert found == (0, 3, end)


def test_what_was_passed_over_comes_first(site: StoredSite, places: Places) -> None:
    """Whoever forgot to offer a row to the sender: it must not be skipped, or it could never be sent."""
    tx_no, start = site.begin(*places[0])
    site.say(tx_no, "StatusNotification", relay=False)
    value, end = site.say(tx_no, "MeterValues"), site.end(tx_no)

    def passed_over(seq: int) -> list[Waiting]:
        row = exchange.load(site.db, seq)
        assert row is not None
        return delivery.passed_over(site.db, row)

    assert passed_over(end) == [Waiting(start, True), Waiting(value, False)]
    assert passed_over(start) == []
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    site.say(tx_no, "StartTransaction", relay=False, kind=Kind.CSMS_ANSWER)
    assert passed_over(value) == []
    assert passed_over(end) == [Waiting(value, False)]
    delivery.acknowledge(site.db, value, tx_no, EPOCH)
    assert passed_over(end) == []


# --- parking


def test_parking_parks_all_that_follows_of_the_transaction_and_nothing_else(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    refused, waiting = site.say(tx_no, "MeterValues"), site.say(tx_no, "MeterValues")
    other, other_start = site.begin(*places[2])
    delivery.park(site.db, refused, tx_no, "FormationViolation", "bad", 5, 9)
    assert [delivery.message(site.db, seq) for seq in (refused, waiting)] == [None, None]
    assert lanes(site) == {3: [other_start]}
    later, end = site.say(tx_no, "MeterValues"), site.end(tx_no)
    assert [delivery.message(site.db, seq) for seq in (later, end)] == [None, None]
    assert (due(site, tx_no), due(site, other)) == (False, True)
    assert counters(site, tx_no) == (5, 1, start)
    assert site.db.execute("SELECT seq, state, attempts, error_code FROM delivery").fetchall() == [
        (refused, "parked", 5, "FormationViolation")
    ]


def test_a_bound_message_that_is_parked_keeps_what_was_sent(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    delivery.bind(site.db, start, EPOCH, "{}")
    delivery.park(site.db, start, tx_no, "FormationViolation", "bad", 5, 9)
    assert site.db.execute("SELECT state, bound FROM delivery").fetchall() == [("parked", "{}")]
    assert report.bound(site.db, start) == "{}"


def test_the_connector_goes_on_after_a_parked_session(site: StoredSite, places: Places) -> None:
    parked, start = site.begin(*places[0])
    delivery.park(site.db, start, parked, "FormationViolation", "bad", 5, 9)
    site.end(parked)
    _, next_start = site.begin(*places[0])
    assert lanes(site) == {1: [next_start]}


def test_an_orphan_is_kept_and_not_sent(site: StoredSite, places: Places) -> None:
    charger, _ = places[0]
    new = NewTransaction(transactions.ORPHAN, charger, None, exchange.peek_seq(site.db))
    row = a_row('[2,"o","StopTransaction",{}]', charger, action="StopTransaction", relay=True)
    seq = delivery.park_orphan(site.db, new, row, "orphan_stop", "nothing matches")
    assert lanes(site) == {}
    assert delivery.message(site.db, seq) is None
    chains.settle(site.db)
    assert [(one.seq, one.is_parked) for one in report.queue(site.db)] == [(seq, True)]
    assert report.attempted(site.db, seq).error == ("orphan_stop", "nothing matches", row.at.wall_ms)


# --- epochs


def test_the_same_uplink_is_the_same_epoch(db: sqlite3.Connection) -> None:
    first = delivery.open_epoch(db, "site", "ws://a", "1.6")
    assert delivery.open_epoch(db, "site", "ws://a", "1.6") == first
    others = [
        delivery.open_epoch(db, *changed)
        for changed in (("site2", "ws://a", "1.6"), ("site", "ws://b", "1.6"), ("site", "ws://a", "2.0.1"))
    ]
    assert len({first, *others}) == 4
    assert delivery.open_epoch(db, "site", "ws://a", "1.6") == first


def test_an_epoch_knows_where_it_began(site: StoredSite, places: Places) -> None:
    site.begin(*places[0])
    number = delivery.open_epoch(site.db, "later", "ws://csms", "1.6")
    found = site.db.execute("SELECT opened_seq FROM uplink_epoch WHERE epoch_no = ?", (number,)).fetchone()
    assert found == (chains.last_seq(site.db),)


def test_what_another_csms_has_begun_to_know_is_counted(site: StoredSite, places: Places) -> None:
    here = delivery.open_epoch(site.db, "site", "ws://csms", "1.6")
    there = delivery.open_epoch(site.db, "old", "ws://elsewhere", "1.6")
    assert delivery.foreign_unfinished(site.db, here) is None
    ours, start = site.begin(*places[0])
    delivery.acknowledge(site.db, start, ours, here)
    site.begin(*places[1])  # nobody knows of it yet
    foreign, start = site.begin(*places[2])
    delivery.acknowledge(site.db, start, foreign, there)
    assert delivery.foreign_unfinished(site.db, here) == (1, "old", "ws://elsewhere")
    assert delivery.foreign_unfinished(site.db, there) == (1, "site", "ws://csms")
    delivery.acknowledge(site.db, site.end(foreign), foreign, there)
    assert delivery.foreign_unfinished(site.db, here) is None


# --- whose refusal it is


def refusal_is_our_backlog(site: StoredSite, tx_no: TransactionNo) -> bool:
    return delivery.has_undelivered_before(site.db, tx_no)


def test_an_earlier_session_of_the_token_that_waits_here_explains_a_concurrent_tx(
    site: StoredSite, places: Places
) -> None:
    older, start = site.begin(*places[0], "TAG")
    end = site.end(older)
    newer, _ = site.begin(*places[2], "tag")
    stranger, _ = site.begin(*places[1], "OTHER")
    assert refusal_is_our_backlog(site, newer)
    assert not refusal_is_our_backlog(site, older)
    assert not refusal_is_our_backlog(site, stranger)
    for seq in (start, end):
        delivery.acknowledge(site.db, seq, older, EPOCH)
    assert not refusal_is_our_backlog(site, newer)


def test_an_open_session_of_which_the_csms_has_everything_does_not_explain_it(site: StoredSite, places: Places) -> None:
    older, start = site.begin(*places[0])
    delivery.acknowledge(site.db, start, older, EPOCH)
    newer, _ = site.begin(*places[2])
    assert not refusal_is_our_backlog(site, newer)


# --- all of it together


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_each_row_is_delivered_once_or_parked(seed: int) -> None:
    """Sessions, values, a CSMS that acknowledges or refuses, power cuts; at the end the CSMS answers everything."""
    chance = random.Random(seed)
    with folder_in_memory() as folder:
        path = folder / "edge.db"
        site = StoredSite(opened(path))
        places = [(a, c) for name in ("A", "B") for a, found in [site.charger(name, 2)] for c in found]
        delivered: list[int] = []
        running_on: dict[ConnectorNo, TransactionNo] = {}
        for turn in range(60):
            charger, connector = chance.choice(places)
            what = chance.randrange(10)
            if what == 0:
                copy = after_power_cut(path, folder / f"turn{turn}")
                site.db.close()
                path, site.db = copy, opened(copy)
            elif what < 4:
                delivered += deliver_one(site, chance)
            else:
                something_happens(site, chance, charger, connector, running_on)
            agreement(site, delivered)
        for connector, tx_no in running_on.items():
            assert site.connector_of[tx_no] == connector
            site.end(tx_no)
        while lanes(site):
            delivered += deliver_one(site, chance)
        agreement(site, delivered)
        assert len(delivered) == len(set(delivered))
        left = site.db.execute("SELECT count(*) FROM tx WHERE due = 1 AND kind = 'transaction'").fetchone()
        assert left == (0,)
        assert report.backlog(site.db).messages == 0
        site.db.close()


def something_happens(
    site: StoredSite,
    chance: random.Random,
    charger: ChargerNo,
    connector: ConnectorNo,
    running_on: dict[ConnectorNo, TransactionNo],
) -> None:
    """A session begins, goes on or ends; values come outside of one."""
    if chance.random() < 0.1:
        value_of_connector(site, None, None)
    elif connector not in running_on:
        if chance.random() < 0.3:
            value_of_connector(site, charger, connector)
        else:
            running_on[connector] = site.begin(charger, connector)[0]
    elif chance.random() < 0.3:
        site.end(running_on.pop(connector))
    else:
        site.say(running_on[connector], "MeterValues", relay=chance.random() < 0.8)


def deliver_one(site: StoredSite, chance: random.Random) -> list[int]:
    waiting = lanes(site)
    if not waiting:
        return []
    lane = chance.choice(sorted(waiting))
    message = delivery.message(site.db, waiting[lane][0])
    assert message is not None
    assert message.upstream_connector == lane
    assert exchange.is_intact(site.db, message.row)
    if chance.random() < 0.1:
        delivery.park(site.db, message.row.seq, message.tx_no, "FormationViolation", "", 5, 0)
        return []
    assert delivery.acknowledge(site.db, message.row.seq, message.tx_no, EPOCH)
    if chance.random() < 0.5:
        answer = a_row("[3]", message.row.peer, Kind.CSMS_ANSWER, tx_no=message.tx_no, cause_seq=message.row.seq)
        exchange.append(site.db, answer)
    return [message.row.seq]


def agreement(site: StoredSite, delivered: list[int]) -> None:
    """Lanes, counters and the list that people see say the same."""
    chains.settle(site.db)
    relayed = {seq for (seq,) in site.db.execute("SELECT seq FROM exchange WHERE relay = 1")}
    queue = list(report.queue(site.db))
    waiting = {seq for lane in lanes(site).values() for seq in lane}
    assert {one.seq for one in queue if not one.is_parked} == waiting
    assert {one.seq for one in queue} == relayed - set(delivered)
    backlog = report.backlog(site.db)
    assert backlog.messages == len(waiting)
    assert backlog.messages + backlog.parked == len(queue)


# --- several in one message


def test_values_that_came_together_are_acknowledged_together(site: StoredSite, places: Places) -> None:
    tx_no, start = site.begin(*places[0])
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    values = [site.say(tx_no, "MeterValues") for _ in range(4)]
    end = site.end(tx_no)
    delivery.failed(site.db, values[0], 0, "Timeout", "silence", 5)
    assert delivery.acknowledge_together(site.db, values[:3], tx_no, EPOCH)
    assert counters(site, tx_no) == (6, 4, values[2])
    assert lanes(site) == {1: [values[3], end]}
    assert site.db.execute("SELECT count(*) FROM delivery").fetchone() == (0,)
    assert not delivery.acknowledge_together(site.db, values[1:3], tx_no, EPOCH)
    assert delivery.acknowledge_together(site.db, values[1:], tx_no, EPOCH)  # two of them were known
    assert counters(site, tx_no) == (6, 5, values[3])
    delivery.acknowledge(site.db, end, tx_no, EPOCH)
    assert not due(site, tx_no)


def test_a_value_that_was_left_out_on_its_way_is_not_counted(site: StoredSite, places: Places) -> None:
    """Else the session would count as delivered before its last value is."""
    tx_no, start = site.begin(*places[0])
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    values = [site.say(tx_no, "MeterValues") for _ in range(3)]
    end = site.end(tx_no)
    chains.fewer(site.db, tx_no, values[1:2])
    gaps.remove(site.db, values[1:2])
    delivery.acknowledge_together(site.db, values[:2], tx_no, EPOCH)
    assert not delivery.is_there(site.db, values[1])
    assert counters(site, tx_no) == (4, 2, values[1])
    assert lanes(site) == {1: [values[2], end]}
    delivery.acknowledge(site.db, values[2], tx_no, EPOCH)
    assert due(site, tx_no)
    delivery.acknowledge(site.db, end, tx_no, EPOCH)
    assert not due(site, tx_no)


def company(site: StoredSite, head: int, seqs: list[int]) -> list[int]:
    message = delivery.message(site.db, head)
    assert message is not None
    return [one.row.seq for one in delivery.behind(site.db, message, seqs)]


def test_behind_a_value_come_those_of_its_transaction_until_something_is_in_the_way(
    site: StoredSite, places: Places
) -> None:
    tx_no, _ = site.begin(*places[0])
    values = [site.say(tx_no, "MeterValues") for _ in range(3)]
    site.say(tx_no, "StatusNotification", relay=False)  # what the CSMS does not get is in nobody's way
    values += [site.say(tx_no, "MeterValues") for _ in range(2)]
    other, _ = site.begin(*places[0])
    stranger = site.say(other, "MeterValues")
    assert company(site, values[0], values[1:]) == values[1:]
    assert company(site, values[0], [values[1], stranger, values[2]]) == [values[1]]
    assert company(site, values[0], [values[1], values[3]]) == [values[1]]  # nobody named the one between
    assert company(site, values[0], [*values[1:3], 10**6]) == values[1:3]


def test_what_was_refused_or_bound_before_or_is_damaged_goes_alone(site: StoredSite, places: Places) -> None:
    tx_no, _ = site.begin(*places[0])
    values = [site.say(tx_no, "MeterValues") for _ in range(6)]
    delivery.failed(site.db, values[1], 0, "Timeout", "silence", 5)
    assert company(site, values[0], values[1:]) == values[1:]
    delivery.failed(site.db, values[4], 1, "GenericError", "why", 5)
    assert company(site, values[0], values[1:]) == values[1:4]
    delivery.bind(site.db, values[3], EPOCH, "{}")
    assert company(site, values[0], values[1:]) == values[1:3]
    site.db.execute("UPDATE exchange SET text = '[2]' WHERE seq = ?", (values[2],))
    assert company(site, values[0], values[1:]) == values[1:2]


def test_what_another_connector_said_in_between_is_in_nobodys_way(site: StoredSite, places: Places) -> None:
    tx_no, _ = site.begin(*places[0])
    other, _ = site.begin(*places[1])
    first, between = site.say(tx_no, "MeterValues"), site.say(other, "MeterValues")
    refused, last = site.say(tx_no, "MeterValues"), site.say(tx_no, "MeterValues")
    delivery.failed(site.db, between, 1, "GenericError", "why", 5)
    delivery.failed(site.db, refused, 1, "GenericError", "why", 5)
    assert company(site, first, [refused, last]) == []


def test_who_has_a_message_has_all_before_it(site: StoredSite, places: Places) -> None:
    """Also where that could not be stored: then the transaction must not stay due for ever."""
    tx_no, start = site.begin(*places[0])
    first, second, end = site.say(tx_no, "MeterValues"), site.say(tx_no, "MeterValues"), site.end(tx_no)
    delivery.acknowledge(site.db, start, tx_no, EPOCH)
    delivery.failed(site.db, first, 0, "Timeout", "silence", 5)
    delivery.acknowledge(site.db, second, tx_no, EPOCH)  # the acknowledgement of the first was lost
    assert counters(site, tx_no) == (4, 3, second)
    assert site.db.execute("SELECT count(*) FROM delivery").fetchone() == (0,)
    delivery.acknowledge(site.db, end, tx_no, EPOCH)
    assert not due(site, tx_no)


def test_what_is_known_to_be_answered_is_not_passed_over(site: StoredSite, places: Places) -> None:
    """Its acknowledgement rides along, and is not stored yet."""
    tx_no, start = site.begin(*places[0])
    first, second, end = site.say(tx_no, "MeterValues"), site.say(tx_no, "MeterValues"), site.end(tx_no)
    row = exchange.load(site.db, end)
    assert row is not None
    assert [one.seq for one in delivery.passed_over(site.db, row, start)] == [first, second]
    assert delivery.passed_over(site.db, row, first) == [Waiting(second, False)]
    assert delivery.passed_over(site.db, row, second) == []


@pytest.mark.parametrize("most", [1, 2, 3, 7, 1000])
def test_read_a_little_at_a_time_it_is_the_same(site: StoredSite, places: Places, most: int) -> None:
    for place in (places[0], places[2], places[0]):
        tx_no, start = site.begin(*place)
        delivery.acknowledge(site.db, start, tx_no, EPOCH)
        rows = [site.say(tx_no, "MeterValues", relay=number % 3 != 0) for number in range(8)]
        chains.fewer(site.db, tx_no, rows[4:5])
        gaps.remove(site.db, rows[4:5])
        site.end(tx_no)
    found: dict[int, list[Waiting]] = {}
    for one in delivery.due(site.db):
        before, turns = None, 0
        while turns == 0 or before is not None:
            some, before = delivery.waiting_backwards(site.db, one, before, most)
            found.setdefault(one.lane, []).extend(some)
            turns += 1
            assert turns < 20
    everything = delivery.lanes(site.db)
    assert {lane: sorted(waiting, key=lambda one: one.seq) for lane, waiting in found.items()} == everything
    assert delivery.lanes(site.db, [places[2][1]]) == {3: everything[3]}

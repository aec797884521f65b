"""History that leaves the store, and what must never leave it with it."""

import random
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.ids import TransactionNo
from edge.store import boots, capacity, chains, delivery, exchange, gaps, parked, retention, transactions
from edge.store.parked import Decided
from tests.simulation.world import folder_in_memory
from tests.store.givens import NOON, StoredSite, a_row, after_power_cut, in_one_commit, moment, opened
from tests.store.history import DAY, History, assert_sound, ms


@pytest.fixture
def history(site: StoredSite) -> History:
    return History(site)


@pytest.fixture
def place(history: History) -> tuple:
    charger, (connector,) = history.charger("A")
    return charger, connector


def remove(db: sqlite3.Connection, seqs: list[int]) -> None:
    """Rows of any kind, with the counters following."""
    chains.settle(db)
    of_tx: dict[int, list[int]] = {}
    for seq in seqs:
        row = exchange.load(db, seq)
        assert row is not None
        if row.relay and row.tx_no is not None:
            of_tx.setdefault(row.tx_no, []).append(seq)
    for tx_no, waiting in of_tx.items():
        chains.fewer(db, tx_no, waiting)
    gaps.remove(db, seqs)


def count_gaps(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM gap").fetchone()[0])


# --- gaps


def test_a_walk_steps_over_removed_rows_and_what_follows_them_is_verified(history: History, place: tuple) -> None:
    tx_no = history.session(0, place, values=6)
    rows = history.of(tx_no)
    remove(history.db, rows[2:5])
    assert history.of(tx_no) == rows[:2] + rows[5:]
    history.assert_sound()


def test_a_run_of_removed_rows_leaves_one_gap(history: History, place: tuple) -> None:
    tx_no = history.session(0, place, values=200)
    rows = history.of(tx_no)
    for first in range(1, 200, 10):
        remove(history.db, rows[first : first + 10])
    assert count_gaps(history.db) == 1
    history.assert_sound()


def test_what_was_removed_backwards_leaves_as_few_gaps_in_the_end(history: History, place: tuple) -> None:
    tx_no = history.session(0, place, values=50)
    rows = history.of(tx_no)
    for seq in reversed(rows[1:40]):
        remove(history.db, [seq])
    history.assert_sound()
    remove(history.db, rows[40:45])
    assert count_gaps(history.db) == 1
    history.assert_sound()


def test_a_row_that_vanished_otherwise_is_seen(history: History, place: tuple) -> None:
    """Only what we removed has left its digest behind."""
    rows = history.of(history.session(0, place))
    history.db.execute("DELETE FROM exchange WHERE seq = ?", (rows[1],))
    after = exchange.load(history.db, rows[2])
    assert after is not None
    assert not exchange.is_intact(history.db, after)


def test_a_changed_row_after_a_gap_is_seen(history: History, place: tuple) -> None:
    rows = history.of(history.session(0, place))
    remove(history.db, [rows[1]])
    history.db.execute("UPDATE exchange SET text = replace(text, 'm3', 'mX') WHERE seq = ?", (rows[2],))
    after = exchange.load(history.db, rows[2])
    assert after is not None
    assert not exchange.is_intact(history.db, after)


def test_a_row_whose_predecessor_was_lost_before_it_came_is_believed(history: History, place: tuple) -> None:
    """Damage costs what it hit, not all that is said afterwards."""
    tx_no = history.begin(0, place)
    history.db.execute("DELETE FROM exchange")
    seq = history.values(tx_no, 60)
    row = exchange.load(history.db, seq)
    assert row is not None
    assert exchange.is_intact(history.db, row)


def test_rows_go_on_where_all_were_removed(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    remove(history.db, history.seqs())
    seq = history.note(tx_no, 500)
    assert history.of(tx_no) == [seq]
    history.assert_sound()


def test_what_delivery_says_of_a_removed_row_goes_with_it(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    seq = history.of(tx_no)[0]
    delivery.bind(history.db, seq, 1, "{}")
    remove(history.db, [seq])
    assert history.db.execute("SELECT count(*) FROM delivery").fetchone() == (0,)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_rows_may_be_removed_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    with folder_in_memory() as folder, closing(opened(folder / "edge.db")) as db:
        history = History(StoredSite(db))
        places = []
        for name in ("A", "B"):
            charger, connectors = history.charger(name, 2)
            places += [(charger, connector) for connector in connectors]
        open_: list[TransactionNo] = []
        for at in range(chance.randrange(2, 60)):
            match chance.randrange(5):
                case 0:
                    open_.append(history.begin(at, chance.choice(places)))
                case 1:
                    exchange.append(db, a_row(peer=chance.choice([0, 1, 2])))
                case _ if open_:
                    history.values(chance.choice(open_), at)
            if chance.random() < 0.3:
                left = history.seqs()
                going = sorted(chance.sample(left, chance.randrange(len(left) + 1)))
                remove(db, going)
                assert_sound(db)
                survivors = len(history.seqs())
                assert count_gaps(db) <= 2 * (survivors + len(places) + len(open_) + 1)


# --- what goes


def test_a_delivered_session_goes_as_a_whole_when_its_newest_row_is_old(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    history.deliver(tx_no, 400)
    assert history.remove_older(399) == 0
    assert history.remove_older(401) == len(history.said)
    assert history.seqs() == []
    history.assert_sound()


def test_what_waits_is_parked_or_open_stays_however_old_it_is(history: History, place: tuple) -> None:
    waiting, partly, broken, open_ = (history.session(at, place) for at in (0, 1000, 2000, 3000))
    history.deliver(partly, 1500, most=3)
    delivery.park(history.db, history.of(broken)[1], broken, "FormationViolation", "no", 3, ms(2500))
    transactions_before = {tx_no: history.of(tx_no) for tx_no in (waiting, partly, broken)}
    del open_
    unfinished = history.begin(4000, place)
    history.values(unfinished, 4060)
    history.deliver(unfinished, 4100)
    loose = history.row(5000, 1, "BootNotification")
    history.remove_older(400 * DAY)
    assert {tx_no: history.of(tx_no) for tx_no in transactions_before} == transactions_before
    assert len(history.of(unfinished)) == 4
    assert loose not in history.seqs()
    history.assert_sound()


def test_between_what_stays_the_rest_goes(history: History, place: tuple) -> None:
    """One parked message must not keep a year of history."""
    old = history.session(0, place)
    delivery.park(history.db, history.of(old)[0], old, "orphan", "no", 0, ms(0))
    history.db.execute("BEGIN")
    for number in range(40):
        history.deliver(history.session(1000 * (number + 1), place), 1000 * (number + 1) + 900)
    history.remove_older(100 * DAY)
    assert history.seqs() == history.of(old)
    assert count_gaps(history.db) <= 42  # one for the charger's end, one for each session that is still known
    history.assert_sound()


def test_of_a_stream_without_an_end_the_delivered_part_goes(history: History, place: tuple) -> None:
    charger, connector = place
    stream = transactions.meter_stream(history.db, charger, connector, exchange.peek_seq(history.db))
    rows = [history.row(at, charger, "MeterValues", tx_no=stream, relay=True) for at in range(10)]
    for seq in rows[:6]:
        delivery.acknowledge(history.db, seq, stream, 1)
    assert history.remove_older(DAY) == 6
    assert history.waiting(stream) == rows[6:]
    history.assert_sound()


def test_a_message_that_the_operator_dropped_goes_with_its_session(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    start = history.of(tx_no)[0]
    delivery.park(history.db, start, tx_no, "FormationViolation", "no", 3, ms(300))
    history.remove_older(DAY)
    assert start in history.seqs()
    assert isinstance(parked.drop(history.db, start, moment(400), "operator"), Decided)
    history.remove_older(DAY)
    assert history.seqs() == []


def test_a_message_that_waits_again_since_somebody_looked_stays(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    history.deliver(tx_no, 300)
    found = retention.look(history.settled(), 0, None)
    history.db.execute("UPDATE tx SET due = 1 WHERE tx_no = ?", (tx_no,))
    assert retention.remove(history.db, found.seqs, ms(0), 0) == 0


def test_a_time_stored_before_the_clock_was_right_counts_as_it_was(history: History, place: tuple) -> None:
    """A machine that was off for months and has no battery thinks that it is still the day on which it went off."""
    boot = boots.begin(history.db, NOON, 0, "floor")
    assert boot == 1
    tx_no = history.session(0, place)
    history.deliver(tx_no, 300)
    boots.synchronised(history.db, 1, "ntp", timedelta(days=100), 1_000_000)
    history.remove_older(90 * DAY)
    assert len(history.of(tx_no)) == 10
    history.remove_older(101 * DAY)
    assert history.of(tx_no) == []


def test_looking_ends_at_the_first_part_that_is_all_young(history: History, place: tuple) -> None:
    history.db.execute("BEGIN")
    for number in range(retention.LOOKED_AT_ONCE * 3):
        history.row(float(number), 1, "Heartbeat")
    found = retention.look(history.settled(), 0, ms(10))
    assert found.seqs == tuple(range(1, 11))
    assert not found.is_end
    found = retention.look(history.db, found.until, ms(10))
    assert (found.seqs, found.is_end) == ((), True)


# --- what outlives the messages


def test_a_start_is_known_again_after_its_messages_are_gone(history: History, place: tuple) -> None:
    tx_no = history.begin(0, place, start_key=b"key")
    history.end(tx_no, 60)
    history.deliver(tx_no, 70)
    history.remove_older(None, now=100)
    assert history.seqs() == []
    assert transactions.by_start_key(history.db, b"key") is not None
    assert retention.forget_sessions(history.db, ms(47 * 3600)) == 0
    assert retention.forget_sessions(history.db, ms(89 * DAY)) == 0  # as long as it would have been kept
    assert retention.forget_sessions(history.db, ms(91 * DAY)) == 1
    assert transactions.by_start_key(history.db, b"key") is None
    assert count_gaps(history.db) == 1  # the end of the charger's chain
    history.assert_sound()


def test_a_session_is_known_for_two_days_also_when_it_is_kept_no_longer(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    history.deliver(tx_no, 300)
    found = retention.look(history.settled(), 0, None)
    retention.remove(history.db, found.seqs, ms(300 * DAY), 86_400_000)
    assert retention.forget_sessions(history.db, ms(301 * DAY)) == 0
    assert retention.forget_sessions(history.db, ms(302 * DAY + 1)) == 1


def test_neither_a_number_nor_a_charger_s_id_is_given_again(history: History, place: tuple, path: Path) -> None:
    tx_no = history.session(0, place)
    history.deliver(tx_no, 300)
    last = max(history.seqs())
    history.remove_older(None)
    retention.forget_sessions(history.db, ms(200 * DAY))
    assert history.db.execute("SELECT count(*) FROM tx").fetchone() == (0,)
    with closing(opened(after_power_cut(path, path.parent / "copy"))) as db:
        again = History(StoredSite(db))
        assert again.begin(0, place) == tx_no + 1
        assert min(again.seqs()) == last + 1
        assert_sound(db)


def test_a_session_of_which_the_charger_says_something_more_stays(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    history.deliver(tx_no, 300)
    history.remove_older(None)
    late = history.note(tx_no, 400)
    retention.forget_sessions(history.db, ms(200 * DAY))
    assert history.of(tx_no) == [late]
    assert transactions.has_ended(history.db, tx_no)
    history.remove_older(None)
    retention.forget_sessions(history.db, ms(200 * DAY))
    assert history.db.execute("SELECT count(*) FROM tx").fetchone() == (0,)


def test_id_maps_go_with_their_session(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    history.deliver(tx_no, 300)
    history.db.execute(
        "INSERT INTO id_map (kind, station_no, upstream_id, charger_no, downstream_id, tx_no) "
        "VALUES ('reservation', 1, '5', 1, '6', ?)",
        (tx_no,),
    )
    history.remove_older(None)
    retention.forget_sessions(history.db, ms(200 * DAY))
    assert history.db.execute("SELECT count(*) FROM id_map").fetchone() == (0,)


def test_removing_is_undone_with_its_unit(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    history.deliver(tx_no, 300)
    before = history.seqs()
    history.db.execute("BEGIN")
    history.db.execute("SAVEPOINT unit")
    history.remove_older(None)
    assert history.seqs() == []
    history.db.execute("ROLLBACK TO unit")
    history.db.execute("COMMIT")
    assert history.seqs() == before
    history.assert_sound()


def test_what_was_removed_since_the_last_settling_is_not_missed_after_a_crash(
    history: History, place: tuple, path: Path
) -> None:
    """The counters are rolled forward over the rows that are there."""
    charger, connector = place
    stream = transactions.meter_stream(history.db, charger, connector, exchange.peek_seq(history.db))
    for at in range(4):
        delivery.acknowledge(history.db, history.row(at, charger, "MeterValues", tx_no=stream, relay=True), stream, 1)
    retention.remove(history.db, history.seqs()[:3], ms(0), 0)
    history.row(9, charger, "MeterValues", tx_no=stream, relay=True)
    with closing(opened(after_power_cut(path, path.parent / "copy"))) as db:
        assert_sound(db)


def test_the_file_shrinks(path: Path) -> None:
    with closing(opened(path)) as db:
        history = History(StoredSite(db))
        charger, (connector,) = history.charger("A")
        db.execute("BEGIN")
        for number in range(90):
            history.deliver(history.session(number, (charger, connector), values=20), number)
        chains.settle(db)
        db.execute("COMMIT")
        before = capacity.pages(db)
        in_one_commit(db, lambda _: history.remove_older(None))
        assert capacity.pages(db).used < before.used / 4
        in_one_commit(db, lambda connection: capacity.shrink(connection, 10))
        assert capacity.pages(db).in_file == before.in_file - 10
        in_one_commit(db, lambda connection: capacity.shrink(connection, 100_000))
        assert capacity.pages(db).free == 0
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)

"""No charger takes the room that the others' sessions need: the share of each, and how it is counted."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.domain.peculiarities import Rule
from edge.store import capacity, chains, exchange, retention, shares, thinning
from edge.store.capacity import Level
from edge.store.exchange import ONLY_COPY
from edge.store.shares import BeyondRoom
from tests.store.givens import StoredSite, a_row, in_one_commit, moment, opened
from tests.store.history import NOON, History, value


@pytest.mark.parametrize(
    ("chargers", "in_use", "part"),
    [
        (1, 1.0, 1.0),
        (2, 0.89, 1.0),
        (2, 0.90, 0.5),
        (3, 0.90, 0.5),
        (6, 0.90, 1 / 3),
        (8, 0.90, 0.25),
        (100, 0.974, 0.25),
        (2, 0.975, 0.5),
        (8, 0.975, 0.125),
    ],
)
def test_a_charger_has_twice_an_equal_part_and_in_the_end_an_equal_one(
    chargers: int, in_use: float, part: float
) -> None:
    assert shares.part_of(chargers, in_use) == part


def test_what_each_holds_is_the_same_after_a_restart_and_goes_with_its_rows(path: Path) -> None:
    with closing(opened(path)) as db:
        history = History(StoredSite(db))
        places = [(charger, lanes[0]) for charger, lanes in (history.charger("A"), history.charger("B"))]
        for number in range(6):
            tx_no = history.session(number, places[number % 3 % 2], values=3)
            if number < 3:
                history.deliver(tx_no, number)
        before = [shares.held(db, place[0]) for place in places]
        assert before[0] > before[1] > 0
    with closing(opened(path)) as db:
        assert [shares.held(db, place[0]) for place in places] == before
        history = History(StoredSite(db))
        chains.settle(db)
        in_one_commit(db, lambda _: history.remove_older(None))
        after = [shares.held(db, place[0]) for place in places]
        assert 0 < after[0] < before[0]
        left = dict(db.execute(f"SELECT peer, sum({shares.SIZE}) FROM exchange GROUP BY peer").fetchall())
        assert [left.get(place[0], 0) for place in places] == after


def test_a_unit_that_is_undone_is_not_counted(db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    exchange.append(db, a_row())
    shares.take_extra(db, 1, "x", 0)
    db.execute("ROLLBACK")
    assert shares.held(db, 1) == 0
    assert db.execute("SELECT count(*) FROM temp.extra").fetchone() == (0,)


def flood(db: sqlite3.Connection, history: History, charger: int, size: int = 3000) -> int:
    """Rows that the charger could store for the CSMS before it was beyond its share."""
    rows = 0
    with pytest.raises(BeyondRoom) as refused:
        while True:
            tx_no, _ = history.site.begin(charger, 1)
            history.row(0, charger, "StopTransaction", {"padding": "x" * size}, tx_no, relay=True)
            rows += 2
    assert refused.value.rule is Rule.SHARE_EXCEEDED
    return rows


def test_one_charger_at_full_speed_leaves_the_others_the_room_below_red(db: sqlite3.Connection) -> None:
    history = History(StoredSite(db))
    bad, _ = history.charger("BAD")
    good, (outlet,) = history.charger("GOOD")
    capacity.tell(db, 512, Level.GREEN)
    db.execute("BEGIN")
    assert flood(db, history, bad) > 100
    assert 0.9 <= capacity.in_use(db) < 0.93
    rows = len(history.seqs())
    history.row(0, bad, "StatusNotification", {"vendorErrorCode": "x" * 50})
    assert len(history.seqs()) == rows

    tx_no = history.begin(0, (good, outlet))
    assert thinning.admits(db, tx_no, value(NOON), moment())
    history.row(0, good, "MeterValues", value(NOON), tx_no, relay=True)
    history.row(0, good, "StopTransaction", None, tx_no, relay=True)
    history.row(0, good, "StatusNotification")
    assert len(history.seqs()) == rows + 4


@pytest.mark.parametrize("size", [0, 200, 20_000])
def test_however_small_its_messages_it_stops_well_before_red(db: sqlite3.Connection, size: int) -> None:
    """What a row is taken to cost must not be far below what it costs."""
    history = History(StoredSite(db))
    bad, _ = history.charger("BAD")
    history.charger("GOOD")
    capacity.tell(db, 1024, Level.GREEN)
    db.execute("BEGIN")
    flood(db, history, bad, size)
    assert capacity.in_use(db) < 0.93


def test_its_values_at_intervals_go_without_closing_its_connection(db: sqlite3.Connection) -> None:
    history = History(StoredSite(db))
    bad, (outlet,) = history.charger("BAD")
    history.charger("GOOD")
    capacity.tell(db, 512, Level.GREEN)
    db.execute("BEGIN")
    tx_no = history.begin(0, (bad, outlet))
    assert thinning.admits(db, tx_no, value(NOON), moment())
    flood(db, history, bad)
    assert not thinning.admits(db, tx_no, value(NOON), moment())


def test_the_only_charger_of_a_site_may_fill_it(db: sqlite3.Connection) -> None:
    history = History(StoredSite(db))
    only, _ = history.charger("ONLY")
    capacity.tell(db, 256, Level.GREEN)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        while True:
            history.row(0, only, "StopTransaction", {"padding": "x" * 3000}, relay=True)


def test_a_refused_stop_stays_while_a_filling_store_is_relieved_and_goes_with_its_time(db: sqlite3.Connection) -> None:
    history = History(StoredSite(db))
    note = f'[{{"rule":"message_refused","message":"","{ONLY_COPY[1:]}}}]'
    plain, kept = history.row(0, 1, "StatusNotification"), history.row(1, 1, "StopTransaction", notes=note)

    assert retention.look(db, 0, None).seqs == (plain,)
    later = round(moment(86_400).wall.timestamp() * 1000)
    assert retention.look(db, 0, later, later - 2 * 86_400_000).seqs == (plain,)
    assert retention.look(db, 0, later, later).seqs == (plain, kept)


def test_at_red_a_refused_stop_is_stored_all_the_same(db: sqlite3.Connection) -> None:
    capacity.tell(db, 1_000_000, Level.RED)
    exchange.append(db, a_row())
    seq = exchange.append(db, a_row(notes=f"[{{{ONLY_COPY}}}]"))
    assert exchange.load(db, seq) is not None
    assert exchange.load(db, seq - 1) is None


def test_two_chargers_with_equal_parts_of_small_rows_are_both_within_theirs(db: sqlite3.Connection) -> None:
    """What a row is taken to cost must not be far above what it costs either."""
    history = History(StoredSite(db))
    places = [(charger, lanes[0]) for charger, lanes in (history.charger("A"), history.charger("B"))]
    capacity.tell(db, 1024, Level.GREEN)
    db.execute("BEGIN")
    open_of = [history.begin(0, place) for place in places]
    while capacity.in_use(db) < 0.93:
        for place, tx_no in zip(places, open_of, strict=True):
            history.row(0, place[0], "MeterValues", value(NOON), tx_no, relay=True)
    assert not any(shares.is_beyond(db, place[0]) for place in places)

"""How full the store is: the levels, the quota, and the reserve that starts and stops find when all else is refused."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.store import capacity, chains
from edge.store.capacity import Level
from tests.store.givens import StoredSite, in_one_commit, moment, opened, running
from tests.store.history import NOON, History, value


@pytest.mark.parametrize(
    ("share", "present", "expected"),
    [
        (0.0, Level.GREEN, Level.GREEN),
        (0.699, Level.GREEN, Level.GREEN),
        (0.70, Level.GREEN, Level.YELLOW),
        (0.849, Level.YELLOW, Level.YELLOW),
        (0.85, Level.YELLOW, Level.ORANGE),
        (0.95, Level.GREEN, Level.RED),
        (2.0, Level.GREEN, Level.RED),
        (0.69, Level.YELLOW, Level.YELLOW),
        (0.679, Level.YELLOW, Level.GREEN),
        (0.84, Level.ORANGE, Level.ORANGE),
        (0.82, Level.ORANGE, Level.YELLOW),
        (0.94, Level.RED, Level.RED),
        (0.92, Level.RED, Level.ORANGE),
        (0.69, Level.RED, Level.GREEN),
        (0.0, Level.RED, Level.GREEN),
    ],
)
def test_a_level_begins_at_its_share_and_ends_a_little_below(share: float, present: Level, expected: Level) -> None:
    assert capacity.level_at(share, present) is expected


def test_without_a_limit_there_is_always_room(db: sqlite3.Connection) -> None:
    assert capacity.level_now(db) is capacity.level_told(db) is Level.GREEN


def test_what_a_unit_itself_writes_counts_at_once(db: sqlite3.Connection) -> None:
    """A burst of messages must not pass a level between two looks."""
    used = capacity.pages(db).used
    capacity.tell(db, used * 2, Level.GREEN)
    seen = [capacity.level_now(db)]
    db.execute("BEGIN")
    history = History(StoredSite(db))
    while seen[-1] is not Level.RED:
        history.row(0, 1, "Heartbeat", {"padding": "x" * 3000})
        level = capacity.level_now(db)
        if level is not seen[-1]:
            seen.append(level)
    assert seen == [Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED]
    db.execute("ROLLBACK")
    assert capacity.level_now(db) is Level.GREEN


def test_what_was_told_counts_until_it_is_told_anew(db: sqlite3.Connection) -> None:
    capacity.tell(db, 1_000_000, Level.ORANGE)
    assert capacity.level_now(db) is capacity.level_told(db) is Level.ORANGE
    capacity.tell(db, 1_000_000, Level.YELLOW)
    assert capacity.level_now(db) is capacity.level_told(db) is Level.YELLOW


def test_free_pages_are_room(path: Path) -> None:
    with closing(opened(path)) as db:
        history = History(StoredSite(db))
        in_one_commit(db, lambda _: [history.row(0, 1, "Heartbeat", {"padding": "x" * 3000}) for _ in range(300)])
        pages = capacity.pages(db)
        capacity.tell(db, round(pages.in_file / 0.9), Level.GREEN)
        assert capacity.level_now(db) is Level.ORANGE
        history.remove_older(None)
        assert capacity.pages(db).in_file == pages.in_file
        assert capacity.level_now(db) is Level.GREEN


def test_beyond_the_quota_nothing_is_stored_and_nothing_is_lost(db: sqlite3.Connection) -> None:
    history = History(StoredSite(db))
    capacity.tell(db, capacity.pages(db).used + 5, Level.GREEN)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for _ in range(100):
            history.row(0, 1, "Heartbeat", {"padding": "x" * 3000})
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    before = len(history.seqs())
    assert before > 0
    capacity.tell(db, capacity.pages(db).used + 10, Level.GREEN)
    history.row(0, 1, "Heartbeat")
    assert len(history.seqs()) == before + 1


def test_history_can_be_removed_when_not_a_page_is_left(db: sqlite3.Connection) -> None:
    history = History(StoredSite(db))
    charger, connectors = history.charger("A", 2)
    for number in range(8):
        history.deliver(history.session(number, (charger, connectors[number % 2]), values=4), number)
    chains.settle(db)
    capacity.tell(db, capacity.pages(db).in_file, Level.RED)
    in_one_commit(db, lambda _: history.remove_older(None))
    assert history.seqs() == []
    history.assert_sound()


def test_when_values_are_refused_there_is_still_room_for_starts_and_stops(db: sqlite3.Connection) -> None:
    """512 kB: of the five per cent that values may not touch, hundreds of sessions can be told."""
    from edge.store import thinning

    history = History(StoredSite(db))
    place = (history.charger("A")[0], 1)
    capacity.tell(db, 128, Level.GREEN)
    db.execute("BEGIN")
    tx_no = history.begin(0, place)
    refused = minute = 0
    while refused < 100:
        minute += 20
        payload = value(NOON.replace(day=1 + minute // 1440 % 28, hour=minute // 60 % 24, minute=minute % 60))
        if thinning.admits(db, tx_no, payload, moment(minute * 60)):
            history._of(tx_no, minute * 60, "MeterValues", payload)
        else:
            refused += 1
    history.end(tx_no, 0)
    sessions = 0
    with pytest.raises(sqlite3.OperationalError, match="full"):
        while True:
            history.end(history.begin(sessions, place), sessions)
            sessions += 1
    assert sessions >= 15


async def test_the_store_knows_its_pages_after_each_commit(path: Path) -> None:
    async with running(path) as store:
        await store.write(lambda _: None)
        before = store.pages
        assert before is not None
        await store.write(lambda db: [History(StoredSite(db)).row(0, 1, "Boot", {"a": "x" * 900}) for _ in range(50)])
        assert store.pages is not None
        assert store.pages.used > before.used
        assert store.pages.in_file * store.pages.size >= path.stat().st_size


def test_the_whole_file_is_checked_once_a_period(db: sqlite3.Connection) -> None:
    assert [capacity.is_check_due(db, now, 100) for now in (1000, 1099, 1100, 1150, 1200)] == [
        False, False, True, False, True,
    ]  # fmt: skip


def test_a_check_tells_what_is_wrong(path: Path) -> None:
    with closing(opened(path)) as db:
        assert capacity.check(db) == "ok"
    with closing(opened(path)) as db:
        history = History(StoredSite(db))
        in_one_commit(db, lambda _: [history.row(0, 1, "Heartbeat", {"padding": "x" * 900}) for _ in range(300)])
    content = bytearray(path.read_bytes())
    content[-20 * 4096 : -20 * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as db:
        assert capacity.check(db) != "ok"

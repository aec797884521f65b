"""What is left of a damaged store is found, nothing else is taken for it, and the next store goes on from there."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from edge.store import chains, exchange, keepsake, pages, quarantine, recovery, reimport, succession
from edge.store.db import open_store, open_threaded, prepare_file
from edge.store.exchange import Kind
from edge.store.migration import StoreDamaged, StoreForeign
from edge.store.salvage import Reading
from edge.world import SystemClock
from tests.store import corruption
from tests.store.corruption import KINDS, NOW, Files, bring_back, salvage
from tests.store.givens import StoredSite, after_power_cut, opened
from tests.store.history import History, assert_sound

PAGE = 4096
SHARE = 0.99


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[int, tuple[object, ...]]]:
    """The files of a store in the midst of its life, and the rows in it."""
    store = tmp_path_factory.mktemp("whole") / "edge.db"
    truth = corruption.filled(store, 7, sessions=35)
    return {suffix: Path(f"{store}{suffix}").read_bytes() for suffix in ("", "-wal")}, truth


@pytest.fixture
def damaged(whole: tuple[dict[str, bytes], object], path: Path) -> Path:
    """A copy that may be damaged."""
    for suffix, octets in whole[0].items():
        path.with_name(path.name + suffix).write_bytes(octets)
    return path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_on_whole_pages_is_found_and_proven_and_nothing_else(
    whole: tuple[object, dict[int, tuple[object, ...]]], damaged: Path, kind: Callable[[Files], None]
) -> None:
    score = salvage(damaged, whole[1], kind, 7)
    assert score.recovered >= SHARE * score.intact > 0
    assert score.false == 0


def test_a_row_without_its_predecessor_is_not_called_proven(path: Path) -> None:
    db = opened(path)
    history = History(StoredSite(db))
    place = history.charger("CP-01")
    tx_no = history.begin(0, (place[0], place[1][0]))
    lost = history.values(tx_no, 60)
    after = history.values(tx_no, 120)
    chains.settle(db)
    db.execute("DELETE FROM exchange WHERE seq = ?", (lost,))
    assert verdicts(db, path) == {lost - 1: 1, after: 2}


def test_a_row_whose_text_was_altered_is_left_out_and_still_proves_the_next_one(path: Path) -> None:
    db = opened(path)
    history = History(StoredSite(db))
    place = history.charger("CP-01")
    tx_no = history.begin(0, (place[0], place[1][0]))
    altered, after = history.values(tx_no, 60), history.values(tx_no, 120)
    db.execute("UPDATE exchange SET text = replace(text, '1000', '9000') WHERE seq = ?", (altered,))
    assert verdicts(db, path) == {altered - 1: 1, altered: 3, after: 1}


def verdicts(db: sqlite3.Connection, path: Path) -> dict[int, int]:
    """Of the rows in this store, of which nothing older is left."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    copy = after_power_cut(path, path.parent / "cut")
    reading = Reading([quarantine.put_aside(copy, "tried", NOW)]).open()
    while reading.gather():
        pass
    while reading.prove():
        pass
    found = reading.look(lambda db: db.execute("SELECT seq, verdict_ FROM exchange ORDER BY seq").fetchall())
    reading.close()
    return dict(found)


# --- the log


def test_a_log_that_was_damaged_before_a_later_commit_is_known_for_damaged(path: Path) -> None:
    db = opened(path)
    history = History(StoredSite(db))
    place = history.charger("CP-01")
    for number in range(6):
        history.session(number * 600.0, (place[0], place[1][0]))
    copy = after_power_cut(path, path.parent / "cut")
    assert pages.log_damage(copy) is None
    wal = copy.with_name("edge.db-wal")
    whole = wal.read_bytes()
    frames = (len(whole) - 32) // (24 + PAGE)
    middle = 32 + frames // 2 * (24 + PAGE) + 1000
    wal.write_bytes(whole[:middle] + b"\xff" * 50 + whole[middle + 50 :])
    assert "write-ahead log is damaged" in (pages.log_damage(copy) or "")
    last = 32 + (frames - 1) * (24 + PAGE) + 1000
    wal.write_bytes(whole[:last] + b"\xff" * 50 + whole[last + 50 :])
    assert pages.log_damage(copy) is None, "that is what a power cut leaves of a commit that nobody was told of"
    wal.write_bytes(bytes(32) + whole[32:])
    assert "header is lost" in (pages.log_damage(copy) or "")


# --- which files are put aside


async def opening(path: Path) -> str:
    """What opening it raises."""
    with pytest.raises((StoreDamaged, StoreForeign)) as caught:
        await open_store(path, open_threaded, SystemClock())
    return type(caught.value).__name__


@pytest.mark.parametrize(
    ("offset", "octets"),
    [(0, b"\0" * 100), (68, b"\1\2\3\4"), (52, b"\0" * 4), (PAGE * 2, b"\0" * PAGE * 4), (16, b"\7\7")],
    ids=["no header", "application_id", "auto_vacuum", "zeroed pages", "page size"],
)
async def test_a_store_that_was_altered_is_damaged_and_its_log_stays_as_it_is(
    damaged: Path, offset: int, octets: bytes
) -> None:
    with closing(sqlite3.connect(damaged)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        db.execute("INSERT OR REPLACE INTO meta VALUES ('probe', 1)")
        db.commit()
        kept = after_power_cut(damaged, damaged.parent / "cut")
    log = kept.with_name("edge.db-wal").read_bytes()
    Files(kept, corruption.random.Random(0)).write(kept, offset, octets)
    assert await opening(kept) == "StoreDamaged"
    assert kept.with_name("edge.db-wal").read_bytes() == log


async def test_the_database_of_another_program_is_not_touched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")
    assert await opening(path) == "StoreForeign"
    path.write_bytes(b"something else altogether" * 1000)
    before = path.read_bytes()
    with pytest.raises(StoreDamaged):
        recovery.replace(path, StoreDamaged("file is not a database"), NOW, lambda: 0.0)
    assert path.read_bytes() == before


def test_a_move_that_was_stopped_is_brought_to_its_end(damaged: Path) -> None:
    put = quarantine.put_aside(damaged, "tried", NOW)
    (put.folder / quarantine.NOTE).rename(put.folder / quarantine.MOVING)
    put.store.rename(damaged)  # killed before the store itself was moved
    quarantine.finish(damaged)
    assert not damaged.exists()
    assert [one.folder for one in quarantine.all_of(damaged)] == [put.folder]
    assert {"edge.db", "edge.db-wal", "why.json"} <= {item.name for item in put.folder.iterdir()}


def test_on_a_disk_that_damages_each_store_there_is_an_end(path: Path) -> None:
    for number in range(recovery.ENOUGH):
        prepare_file(path)
        keepsake.path_of(path).write_text("{}")  # it is a store, whatever stands in it
        recovery.replace(path, StoreDamaged("again"), NOW + timedelta(seconds=number), lambda: 0.0)
    with pytest.raises(StoreDamaged, match="again"):
        recovery.replace(path, StoreDamaged("again"), NOW + timedelta(seconds=9), lambda: 0.0)
    assert path.exists()


# --- the next store


def numbers_of(path: Path) -> succession.Numbers:
    with closing(sqlite3.connect(path)) as db:
        return succession.numbers(db)


@pytest.mark.parametrize("kind", KINDS[:2] + KINDS[-2:], ids=lambda kind: kind.__name__)
def test_numbers_go_on_beyond_all_that_were_given(
    whole: tuple[dict[str, bytes], object], damaged: Path, path: Path, kind: Callable[[Files], None], tmp_path: Path
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    for suffix, octets in whole[0].items():
        (before / f"edge.db{suffix}").write_bytes(octets)
    given = numbers_of(before / "edge.db")
    kind(Files(damaged, corruption.random.Random(1)))
    recovery.replace(damaged, StoreDamaged("tried"), NOW, lambda: 0.0)
    moved = numbers_of(path)
    assert moved.seq > given.seq
    assert moved.boot > given.boot
    assert all(moved.counters[name] > number for name, number in given.counters.items())


def test_with_nothing_left_but_the_keepsake_numbers_and_places_are_kept(path: Path) -> None:
    db = opened(path)
    site = StoredSite(db)
    site.charger("CP-A", 2)
    second, connectors = site.charger("CP-B", 1)
    for _ in range(3):
        site.begin(second, connectors[0])
    chains.settle(db)
    given = succession.numbers(db)
    keepsake.write(path, keepsake.text(db))
    places = "SELECT id, conn, up16_connector FROM connector JOIN charger USING (charger_no) ORDER BY 3"
    numbered = db.execute(places).fetchall()
    db.close()
    path.write_bytes(bytes(PAGE * 10))
    recovery.replace(path, StoreDamaged("tried"), NOW, lambda: 0.0)
    with closing(sqlite3.connect(path)) as after:
        assert after.execute(places).fetchall() == numbered
        moved = succession.numbers(after)
    assert moved.seq > given.seq
    assert moved.counters["session"] > given.counters["session"]


@pytest.fixture
def brought_back(damaged: Path) -> Iterator[tuple[sqlite3.Connection, dict[int, tuple[object, ...]]]]:
    """A store that succeeded one without a header, with all that was found in it."""
    with closing(opened(damaged)) as db:
        rows = {row[0]: row for row in db.execute("SELECT tx_no, state, due, acked_seq, rows - acked_rows FROM tx")}
    corruption.header_lost(Files(damaged, corruption.random.Random(1)))
    recovery.replace(damaged, StoreDamaged("tried"), NOW, lambda: 0.0)
    bring_back(damaged)
    db = opened(damaged)
    yield db, rows
    db.close()


def test_the_next_store_holds_the_same_journal_and_owes_the_cloud_the_same(
    brought_back: tuple[sqlite3.Connection, dict[int, tuple[object, ...]]],
    whole: tuple[object, dict[int, tuple[object, ...]]],
) -> None:
    db, before = brought_back
    rows = {row[0]: row for row in db.execute(f"SELECT {', '.join(reimport.NAMES)} FROM exchange")}
    assert rows == whole[1]
    for tx_no, state, due, acked, waiting in before.values():
        found = db.execute(
            "SELECT state, due, acked_seq, rows - acked_rows FROM tx WHERE tx_no = ?", (tx_no,)
        ).fetchone()
        assert found == (state, due, acked, waiting), f"S{tx_no}"
    chains.settle(db)
    assert_sound(db)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_whatever_was_lost_the_next_store_is_sound(damaged: Path, kind: Callable[[Files], None]) -> None:
    kind(Files(damaged, corruption.random.Random(5)))
    recovery.replace(damaged, StoreDamaged("tried"), NOW, lambda: 0.0)
    bring_back(damaged)
    with closing(opened(damaged)) as db:
        chains.settle(db)
        assert_sound(db)


def test_what_a_charger_said_before_its_session_was_back_comes_after_it(damaged: Path) -> None:
    with closing(sqlite3.connect(damaged)) as db:
        tx_no, charger, connector = db.execute(
            "SELECT tx_no, charger_no, connector_no FROM tx WHERE state = 'open' AND kind = 'transaction' AND acked_rows = 0"
        ).fetchone()
    corruption.header_lost(Files(damaged, corruption.random.Random(1)))
    recovery.replace(damaged, StoreDamaged("tried"), NOW, lambda: 0.0)
    db = opened(damaged)
    history = History(StoredSite(db))
    history.messages = 1_000_000
    history.site.charger_of[tx_no], history.site.connector_of[tx_no] = charger, connector
    stop = history.end(tx_no, 90_000)
    chains.settle(db)
    db.close()
    bring_back(damaged)
    db = opened(damaged)
    last_seq, count = chains.tx_end(db, tx_no)
    chain = [row for row in exchange.of_transaction(db, tx_no, last_seq) if row.kind is Kind.CHARGER_CALL and row.relay]
    assert chain[0].seq == stop
    assert chain[-1].action == "StartTransaction"
    assert count == len(chain) > 1
    assert [seq for seq, _ in exchange.pending(db, stop, 0)] == [row.seq for row in chain][::-1]
    assert all(exchange.is_intact(db, row) for row in chain)
    assert db.execute("SELECT state, due, parked_seq FROM tx WHERE tx_no = ?", (tx_no,)).fetchone() == (
        "ended",
        1,
        None,
    )
    assert_sound(db)
    db.close()

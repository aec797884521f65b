"""What is owed of a damaged store is owed until it is back, once; and nothing that goes wrong on the way holds up the rest."""

import asyncio
import errno
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from edge import salvaging
from edge.inside import _salvaged
from edge.store import (
    chains,
    delivery,
    findings,
    keepsake,
    parked,
    quarantine,
    rebuilding,
    recovery,
    reimport,
    reserve,
    succeeding,
)
from edge.store.migration import StoreDamaged, StoreUnusable
from edge.store.parked import Refused
from edge.store.salvage import Reading
from edge.store.succeeding import Salvage
from tests.simulation.loop import SimLoop, run
from tests.store import corruption
from tests.store.corruption import NOW, bring_back, serving
from tests.store.givens import StoredSite, moment, opened
from tests.store.history import History, assert_sound

PAGE = 4096
Owed = dict[int, tuple[object, ...]]


@pytest.fixture
def store(path: Path) -> Path:
    """A store in the midst of its life."""
    corruption.filled(path, 3, sessions=12)
    return path


def damage(path: Path, why: str = "tried", at: timedelta = timedelta(0), *, lost: int = PAGE) -> None:
    """It loses its first page, and another takes its place."""
    with path.open("r+b") as file:
        file.write(bytes(lost))
    recovery.replace(path, StoreDamaged(why), NOW + at, lambda: 0.0)


def owed(path: Path) -> Owed:
    """Sessions with what the CSMS has not got of them."""
    with closing(opened(path)) as db:
        found = db.execute(
            "SELECT tx_no, state, due, acked_seq, rows - acked_rows FROM tx WHERE rows > acked_rows OR due"
        )
        return {row[0]: row[1:] for row in found}


def merged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def deliver_all(path: Path) -> None:
    with closing(opened(path)) as db:
        for tx_no, acked in db.execute("SELECT tx_no, acked_seq FROM tx WHERE due = 1").fetchall():
            last, _ = chains.tx_end(db, tx_no)
            for seq, _ in reimport.exchange.pending(db, last, acked):
                delivery.acknowledge(db, seq, tx_no, 1)


def sound(path: Path) -> None:
    with closing(opened(path)) as db:
        chains.settle(db)
        assert_sound(db)


def state_of(path: Path) -> Salvage:
    with closing(sqlite3.connect(path)) as db:
        found = succeeding.state(db)
    assert found is not None
    return found


# --- which quarantines are read


def test_the_store_that_was_put_aside_last_is_salvaged_whatever_the_clock_says(store: Path) -> None:
    merged(store)
    damage(store, "one")
    bring_back(store)
    with closing(opened(store)) as db:
        site = StoredSite(db)
        charger, (connector,) = site.charger("NEW")
        new, _ = site.begin(charger, connector)
        chains.settle(db)
    damage(store, "two", -timedelta(days=30))
    assert state_of(store).why == "two"
    bring_back(store)
    assert new in owed(store)


def test_folders_from_a_time_before_they_had_numbers_are_older_than_all_others(store: Path) -> None:
    first = quarantine.put_aside(store, "old", NOW)
    first.folder.rename(first.folder.with_name("20990101T000000Z"))
    store.write_bytes(b"")
    second = quarantine.put_aside(store, "new", NOW)
    assert [one.why for one in quarantine.all_of(store)] == ["old", "new"]
    assert second.folder.name.startswith("0001-")


@pytest.mark.parametrize("times", [2, 3])
def test_what_was_owed_of_stores_that_were_damaged_one_after_the_other_is_owed_in_the_end(
    store: Path, times: int
) -> None:
    merged(store)
    before = owed(store)
    for number in range(times):
        damage(store, f"number {number}")
        merged(store)
        with closing(opened(store)) as db:
            assert set(succeeding.held(db)) == before.keys()
        merged(store)
    done = bring_back(store)
    assert owed(store) == before
    assert (done.sessions, done.cut_sessions) == (len(before), 0)
    sound(store)


@pytest.mark.parametrize("later", [timedelta(hours=1), -timedelta(days=30)], ids=["later", "clock behind"])
@pytest.mark.parametrize("lost", [PAGE, 0], ids=["page by page", "by SQL"])
def test_what_chargers_said_between_two_damages_goes_on_behind_what_they_had_said(
    store: Path, later: timedelta, lost: int
) -> None:
    with closing(opened(store)) as db:
        tx_no, charger, connector, waiting = db.execute(
            "SELECT tx_no, charger_no, connector_no, rows - acked_rows FROM tx WHERE state = 'open' "
            "AND kind = 'transaction' AND acked_rows = 0"
        ).fetchone()
    merged(store)
    damage(store, "one", lost=lost)
    with closing(opened(store)) as db:
        history = History(StoredSite(db), messages=1_000_000)
        history.site.charger_of[tx_no], history.site.connector_of[tx_no] = charger, connector
        stop = history.end(tx_no, 90_000)
        new = history.session(91_000, (charger, connector))
        chains.settle(db)
    merged(store)
    damage(store, "two", later, lost=lost)
    bring_back(store)
    found = owed(store)
    assert found[tx_no][0] == "ended"
    assert found[tx_no][-1] == waiting + 1
    assert found[new][-1] == 5
    with closing(opened(store)) as db:
        last, _ = chains.tx_end(db, tx_no)
        assert reimport.exchange.pending(db, last, 0)[-1][0] == stop
    sound(store)


def test_a_session_that_was_parked_is_parked_after_two_damages(store: Path) -> None:
    with closing(opened(store)) as db:
        tx_no = db.execute("SELECT tx_no FROM tx WHERE due = 1 AND state = 'ended' AND acked_rows = 0").fetchone()[0]
        last, _ = chains.tx_end(db, tx_no)
        first = reimport.exchange.pending(db, last, 0)[1][0]
        delivery.park(db, first, tx_no, "no", "refused", 3, 0)
        chains.settle(db)
    merged(store)
    damage(store)
    merged(store)
    damage(store)
    bring_back(store)
    with closing(opened(store)) as db:
        assert not isinstance(parked.look(db, first), Refused)
        assert db.execute("SELECT due, parked_seq FROM tx WHERE tx_no = ?", (tx_no,)).fetchone() == (0, first)


def test_what_the_cloud_got_after_a_salvage_is_not_sent_again_when_the_file_is_gone(store: Path) -> None:
    with closing(opened(store)) as db:
        keepsake.write(store, keepsake.text(db))
    merged(store)
    damage(store)
    bring_back(store)
    deliver_all(store)
    for suffix in ("", "-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    recovery.prepare(store, NOW + timedelta(days=90), lambda: 0.0)
    assert owed(store) == {}
    with closing(opened(store)) as db:
        assert succeeding.held(db) == []


@pytest.mark.parametrize("later", [timedelta(hours=1), -timedelta(days=30)], ids=["later", "clock behind"])
def test_what_the_cloud_got_between_two_damages_is_not_sent_again(store: Path, later: timedelta) -> None:
    """The second one comes when the sessions are back, and the history is not. Only the first one has a log."""
    damage(store, "one")
    until(store, lambda salvage: salvage.phase == "history")
    assert [one.note for one in quarantine.all_of(store)] == [quarantine.NOTE]
    deliver_all(store)
    before = owed(store)
    damage(store, "two", later)
    bring_back(store)
    assert owed(store) == before
    sound(store)


def until(path: Path, is_reached: Callable[[Salvage], bool]) -> None:
    """A life that ends there."""

    async def main(loop: SimLoop) -> None:
        async with serving(loop, path, is_reached) as service:
            await service.ended.wait()

    run(main)


def test_a_crash_between_the_end_of_a_salvage_and_its_note_does_no_harm(store: Path) -> None:
    merged(store)
    before = owed(store)
    damage(store)
    done = bring_back(store)
    with closing(opened(store)) as db:
        succeeding.keep_state(db, succeeding.Salvage(done.folder, done.why, done.at_ms, phase="history"))
    until(store, lambda salvage: salvage.phase == "done")
    assert owed(store) == before
    (one,) = quarantine.all_of(store)
    (one.folder / quarantine.DONE).rename(one.folder / quarantine.NOTE)
    until_quiet(store)
    assert quarantine.unfinished(store) == []
    assert owed(store) == before


def until_quiet(path: Path, seconds: float = 1.0) -> None:
    async def main(loop: SimLoop) -> None:
        async with serving(loop, path) as service:
            await asyncio.sleep(seconds)
            assert service.errors == []

    run(main)


def test_of_finished_quarantines_the_newest_three_stay_and_every_other_one(store: Path) -> None:
    merged(store)
    first = quarantine.put_aside(store, "not finished", NOW)
    finished = []
    for number in range(5):
        store.write_bytes(b"left")
        finished.append(quarantine.put_aside(store, f"number {number}", NOW))
        quarantine.mark_finished(finished[-1], is_cut_short=number == 0)
    kept = finished[1].folder / "notes of a person"
    kept.write_text("keep")
    quarantine.prune(store)
    left = [one.why for one in quarantine.all_of(store)]
    assert left == ["not finished", "number 0", "number 2", "number 3", "number 4"]
    assert first.store.exists()
    assert [item.name for item in finished[1].folder.iterdir()] == [kept.name]


# --- what is not ours, and what is enough


def test_a_log_of_another_program_beside_no_store_is_not_moved(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"somebody's" * 1000)
    with pytest.raises(StoreUnusable, match=r"edge\.db-wal"):
        recovery.prepare(path, NOW, lambda: 0.0)
    assert log.read_bytes() == b"somebody's" * 1000
    assert not path.exists()


def test_a_database_of_another_program_whose_log_is_damaged_is_not_moved(path: Path, tmp_path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL").fetchall()
    other.execute("CREATE TABLE theirs (a)")
    for number in range(6):
        other.execute("INSERT INTO theirs VALUES (?)", (number,))
    whole = path.with_name(path.name + "-wal").read_bytes()
    other.close()
    path.with_name(path.name + "-wal").write_bytes(whole[:5000] + b"\xff" * 50 + whole[5050:])
    assert recovery.log_damage(path) is not None
    recovery.prepare(path, NOW, lambda: 0.0)
    assert path.exists()
    assert not (tmp_path / "quarantine").exists()


def log_damaged(path: Path) -> None:
    """A store whose log was damaged before its last commits."""
    db = opened(path)
    history = History(StoredSite(db))
    charger, (connector,) = history.charger("CP-01")
    for number in range(6):
        history.session(number * 600.0, (charger, connector))
    octets = {suffix: path.with_name(path.name + suffix).read_bytes() for suffix in ("", "-wal")}
    db.close()
    wal = octets["-wal"]
    path.write_bytes(octets[""])
    path.with_name(path.name + "-wal").write_bytes(wal[:9000] + b"\xff" * 50 + wal[9050:])


def test_on_a_disk_that_damages_each_log_there_is_an_end(path: Path) -> None:
    for number in range(recovery.ENOUGH):
        log_damaged(path)
        recovery.prepare(path, NOW + timedelta(seconds=number), lambda: 0.0)
        path.unlink()
    log_damaged(path)
    with pytest.raises(StoreDamaged, match="write-ahead log is damaged"):
        recovery.prepare(path, NOW, lambda: 0.0)
    assert path.exists()


def test_damages_with_hours_of_service_between_them_are_not_added_up_by_a_clock_that_starts_anew(store: Path) -> None:
    """A box without a clock of its own begins at the same time with each start."""
    merged(store)
    for _ in range(recovery.ENOUGH + 1):
        damage(store)
        until_quiet(store, seconds=2 * salvaging.OUTLIVED_AFTER)


# --- a full disk, and what fails


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """The bytes that it has left."""
    left = {"free": 10**9}
    monkeypatch.setattr(salvaging, "free_bytes", lambda folder: left["free"])
    yield left


def test_on_a_full_disk_a_salvage_waits_and_what_is_said_now_is_sent_after_an_hour(
    store: Path, disk: dict[str, int]
) -> None:
    merged(store)
    before = owed(store)
    damage(store)
    (one,) = quarantine.all_of(store)
    disk["free"] = salvaging.ROOM_LEFT + reserve.RESERVE_BYTES - 1

    async def main(loop: SimLoop) -> None:
        async with serving(loop, store) as service:
            size = one.found.stat().st_size
            await asyncio.sleep(salvaging.HELD_AT_MOST - 60)
            assert service.lanes.is_held
            assert service.salvage.phase == "reading"
            assert one.found.stat().st_size == size
            assert "waits until the disk has room" in _salvaged(service.salvage)
            await asyncio.sleep(120)
            assert not service.lanes.is_held
            disk["free"] += 1
            await service.until_done()
            assert service.errors == []
            assert not service.salvage.waits_for_room
            assert service.lanes.count() == sum(int(str(values[-1])) for values in before.values())

    run(main)
    assert owed(store) == before


def test_with_the_reserve_in_place_its_room_need_not_be_left(store: Path, disk: dict[str, int]) -> None:
    merged(store)
    damage(store)
    disk["free"] = salvaging.ROOM_LEFT
    reserve.path_of(store).touch()
    bring_back(store)


def full(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_what_fails_again_and_again_is_gone_on_without(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merged(store)
    before = owed(store)
    damage(store)
    monkeypatch.setattr(findings, "add", full)

    async def main(loop: SimLoop) -> Salvage:
        async with serving(loop, store) as service:
            done = await service.until_done()
            assert not service.lanes.is_held
            assert len(service.errors) == salvaging.TRIES - 1
            return done

    done = run(main).value
    assert done.cut_short is not None
    assert "disk is full" in _salvaged(done)
    assert done.sessions == done.cut_sessions == len(before)
    with closing(opened(store)) as db:
        assert succeeding.held(db) == []
    (one,) = quarantine.all_of(store)
    assert one.note == quarantine.CUT_SHORT
    assert one.store.exists()
    assert not one.found.exists()


def test_a_session_that_cannot_be_brought_back_costs_no_other_one(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merged(store)
    before = owed(store)
    damage(store)
    bad = next(iter(before))
    rows = reimport.next_rows

    def next_rows(found: sqlite3.Connection, one: reimport.Session) -> reimport.Part | None:
        if one.tx_no == bad:
            raise ValueError("never thought of")
        return rows(found, one)

    monkeypatch.setattr(reimport, "next_rows", next_rows)

    async def main(loop: SimLoop) -> Salvage:
        async with serving(loop, store) as service:
            return await service.until_done()

    done = run(main).value
    assert (done.sessions, done.cut_sessions) == (len(before), 1)
    assert {tx_no: values for tx_no, values in owed(store).items() if tx_no != bad} == {
        tx_no: values for tx_no, values in before.items() if tx_no != bad
    }


def test_what_was_said_of_a_session_of_which_nothing_is_found_is_shown_to_a_person(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(store)) as db:
        tx_no, charger, connector = db.execute(
            "SELECT tx_no, charger_no, connector_no FROM tx WHERE state = 'open' AND acked_rows = 0"
        ).fetchone()
    merged(store)
    damage(store)
    with closing(opened(store)) as db:
        history = History(StoredSite(db), messages=1_000_000)
        history.site.charger_of[tx_no], history.site.connector_of[tx_no] = charger, connector
        stop = history.end(tx_no, 90_000)
        chains.settle(db)
    quarantine.all_of(store)[0].folder.rename(store.parent / "taken away")
    bring_back(store)
    with closing(opened(store)) as db:
        assert not isinstance(parked.look(db, stop), Refused)
        assert parked.drop(db, stop, moment(), "somebody")


def test_on_a_full_disk_the_reserve_is_given_up_for_the_next_store(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve.path_of(store).touch()
    prepare_file, put_aside = recovery.prepare_file, quarantine.put_aside

    def on_a_full_disk(work: Callable[..., object]) -> Callable[..., object]:
        def tried(*words: object) -> object:
            if reserve.is_held(store):
                raise OSError(errno.ENOSPC, "No space left on device")
            return work(*words)

        return tried

    monkeypatch.setattr(recovery, "prepare_file", on_a_full_disk(prepare_file))
    damage(store)
    assert not reserve.is_held(store)
    assert store.exists()
    reserve.path_of(store).touch()
    monkeypatch.setattr(quarantine, "put_aside", on_a_full_disk(put_aside))
    damage(store)
    assert not reserve.is_held(store)


def test_a_full_disk_leaves_no_folder_for_each_try(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(json, "dumps", no_room)
    with pytest.raises(OSError, match="No space"):
        quarantine.put_aside(store, "tried", NOW)
    assert list((store.parent / "quarantine").iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("no number"), OverflowError("too large")])
def test_what_a_damaged_store_says_may_be_nonsense(
    store: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def nonsense(*_: object) -> None:
        raise error

    monkeypatch.setattr(succeeding, "fill", nonsense)
    with pytest.raises(StoreUnusable, match=str(error)):
        damage(store)


def test_a_store_whose_schema_is_no_text_is_read_page_by_page(store: Path) -> None:
    """SQLite quotes the damaged SQL in its message, which is no text then."""
    merged(store)
    before = owed(store)
    whole = store.read_bytes()
    altered = bytearray(whole)
    at = -1
    while (at := whole.find(b"CREATE TABLE", at + 1)) >= 0:
        altered[at + 3] ^= 0x80
    store.write_bytes(altered)
    with closing(sqlite3.connect(store)) as db, pytest.raises(UnicodeDecodeError):
        db.execute("SELECT 1 FROM exchange")
    recovery.replace(store, StoreDamaged("tried"), NOW, lambda: 0.0)
    bring_back(store)
    assert owed(store) == before


# --- the findings


def test_findings_that_cannot_be_opened_leave_no_file_open(store: Path) -> None:
    put = quarantine.put_aside(store, "tried", NOW)
    put.found.mkdir()
    reading = Reading([put])
    with pytest.raises(OSError, match=r"found\.db"):
        reading.open()
    reading.close()


def test_whatever_a_crash_leaves_of_the_findings_what_they_say_was_read_is_in_them(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.store.salvage.ROWS_A_STEP", 20)
    put = quarantine.put_aside(store, "tried", NOW)
    reading = Reading([put]).open()
    states = []
    while len(states) < 6 and reading.gather():
        states.append({suffix: pages_of(put.found, suffix) for suffix in ("", "-wal")})
    reading.close()
    copy = tmp_path / "copy.db"
    for before, after in zip(states, states[1:], strict=False):
        for torn in between(before, after):
            for suffix, pages in torn.items():
                copy.with_name(copy.name + suffix).write_bytes(b"".join(pages))
            copy.with_name(copy.name + "-shm").unlink(missing_ok=True)
            with closing(sqlite3.connect(copy)) as db:
                assert db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
                read_to = max(
                    (value for (value,) in db.execute("SELECT value FROM progress WHERE name LIKE 'sql_to%'")),
                    default=0,
                )
                assert read_to <= db.execute("SELECT coalesce(max(seq), 0) FROM exchange").fetchone()[0]


def pages_of(path: Path, suffix: str) -> list[bytes]:
    file = path.with_name(path.name + suffix)
    octets = file.read_bytes() if file.exists() else b""
    return [octets[at : at + PAGE] for at in range(0, len(octets), PAGE)]


def between(before: dict[str, list[bytes]], after: dict[str, list[bytes]]) -> Iterator[dict[str, list[bytes]]]:
    """What a kill in the midst of a commit leaves: some of its writes."""
    changed = [
        (suffix, number)
        for suffix in ("-wal", "")
        for number, page in enumerate(after[suffix])
        if number >= len(before[suffix]) or before[suffix][number] != page
    ]
    for cut in range(1, len(changed)):
        torn = {suffix: list(after[suffix]) for suffix in after}
        for suffix, number in changed[cut:]:
            torn[suffix][number] = before[suffix][number] if number < len(before[suffix]) else bytes(PAGE)
        yield torn


def test_sessions_are_rebuilt_without_a_look_through_the_whole_journal_for_each(store: Path) -> None:
    reading = Reading([quarantine.put_aside(store, "tried", NOW)]).open()
    try:
        while reading.gather():
            pass
        while reading.prove():
            pass
        reading.found.execute("DELETE FROM tx")
        reading.found.execute("UPDATE exchange SET version = '1n6' WHERE seq = (SELECT min(seq) FROM exchange)")
        asked: set[str] = set()
        reading.found.set_trace_callback(asked.add)
        reading.look(rebuilding.rebuild)
        reading.found.set_trace_callback(None)
        plans = [
            " ".join(row[3] for row in reading.found.execute(f"EXPLAIN QUERY PLAN {one}"))
            for one in asked
            if "cause_seq =" in one
        ]
    finally:
        reading.close()
    assert plans
    assert not any("SCAN" in plan for plan in plans)

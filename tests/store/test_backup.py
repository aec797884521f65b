"""A copy of a store that is written on: one moment of it, whole, checked, and gone when nobody wants it any more."""

import asyncio
import contextlib
import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from edge.store import backup, delivery, exchange, inspection, report
from edge.store.backup import BackupFailed, BackupRunning, Backups, Finished, Progress
from edge.store.db import Store, open_threaded
from edge.store.inspection import Contents
from edge.world import SystemClock, in_thread
from tests.store.givens import StoredSite, a_row, opened, running


@asynccontextmanager
async def backing_up(store: Store, path: Path | None, clock: SystemClock | None = None) -> AsyncIterator[Backups]:
    backups = Backups(store, path, open_threaded, in_thread, clock or SystemClock())
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(backups.run())
        try:
            yield backups
        finally:
            work.cancel()


async def fetched(backups: Backups, to: Path) -> tuple[Contents, list[Progress]]:
    """A backup, written to a file."""
    contents, progress, content = None, [], b""
    async for part in backups.pieces():
        match part:
            case Progress():
                progress.append(part)
            case Contents():
                contents = part
            case bytes():
                content += part
            case Finished(sha256):
                assert sha256 == hashlib.sha256(content).hexdigest()
                to.write_bytes(content)
    assert contents is not None
    assert contents.size == len(content)
    return contents, progress


def sessions(db: sqlite3.Connection, count: int, name: str = "A", *, padding: int = 0) -> None:
    """So many that ended and wait."""
    site = StoredSite(db)
    charger, (connector,) = site.charger(name)
    for _ in range(count):
        tx_no, _ = site.begin(charger, connector)
        for _ in range(3):
            text = f'[2,"m","MeterValues",{{"n":"{"x" * padding}"}}]'
            row = a_row(text, charger, action="MeterValues", connector_no=connector, tx_no=tx_no, relay=True)
            exchange.append(db, row)
        site.end(tx_no)


def names_in(folder: Path) -> set[str]:
    return {item.name for item in folder.iterdir()}


async def test_the_copy_holds_what_was_confirmed_before_it_and_is_one_moment_of_a_store_in_use(path: Path) -> None:
    async with running(path) as store, backing_up(store, path) as backups:
        await store.write(lambda db: sessions(db, 200, padding=2000))
        is_over = asyncio.Event()
        written = 0

        async def charger(name: str) -> None:
            nonlocal written
            while not is_over.is_set():
                await store.write(lambda db: sessions(db, 1, name, padding=500))
                written += 1

        async with asyncio.TaskGroup() as tasks:
            for name in ("B", "C", "D"):
                tasks.create_task(charger(name))
            before = written
            to = path.with_name("copy.db")
            contents, progress = await fetched(backups, to)
            at_least, at_most = 200 + before, 200 + written
            is_over.set()
        assert written > before
        assert at_least <= contents.sessions <= at_most
        assert contents.waiting == 5 * contents.sessions
        assert (contents.parked, contents.damaged) == (0, 0)
        assert {one.phase for one in progress} <= {"waiting", "copying", "checking"}
        assert names_in(path.parent) == {"edge.db", "edge.db-wal", "edge.db-shm", "copy.db"}
    with closing(sqlite3.connect(to)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert inspection.inspect(copy, lambda _done, _of: None) == contents
    with closing(opened(to)) as copy:
        half = copy.execute(
            "SELECT tx_no FROM tx WHERE rows <> (SELECT count(*) FROM exchange e WHERE e.tx_no = tx.tx_no)"
        ).fetchall()
        assert half == []
        assert sum(len(lane) for lane in delivery.lanes(copy).values()) == contents.waiting


async def test_the_ends_of_the_chains_which_are_only_in_memory_are_in_the_copy(path: Path) -> None:
    async with running(path) as store, backing_up(store, path) as backups:
        await store.write(lambda db: sessions(db, 3))
        contents, _ = await fetched(backups, path.with_name("copy.db"))
    assert contents.waiting == 15
    with closing(sqlite3.connect(path.with_name("copy.db"))) as copy:
        assert len(list(report.queue(copy))) == 15
        assert contents.first_wall_ms == contents.last_wall_ms is not None


async def test_only_one_is_made_at_a_time_and_the_next_one_after_it(path: Path) -> None:
    async with running(path) as store, backing_up(store, path) as backups:
        async with aclosing(backups.pieces()) as first:
            await anext(first)
            with pytest.raises(BackupRunning):
                await anext(backups.pieces())
        await fetched(backups, path.with_name("copy.db"))


@pytest.mark.parametrize("until", ["waiting", "copying", "checking", "contents", "bytes"])
async def test_whoever_goes_away_ends_it_and_nothing_is_left(path: Path, until: str) -> None:
    async with running(path) as store, backing_up(store, path) as backups:
        await store.write(lambda db: sessions(db, 1500, padding=3000))

        async def taken() -> None:
            async with aclosing(backups.pieces()) as parts:
                async for part in parts:
                    phase = part.phase if isinstance(part, Progress) else type(part).__name__.lower()
                    if phase == until or (isinstance(part, Contents) and until in {"copying", "checking"}):
                        return

        async with asyncio.timeout(60):
            await taken()
        assert not [name for name in names_in(path.parent) if "copying" in name]
        async with aclosing(backups.pieces()) as parts:  # and the next one can begin at once
            await anext(parts)


async def test_a_daemon_that_leaves_takes_an_unfinished_copy_with_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_pages = backup._copy_pages

    def late(*args: Any) -> None:
        args[-1].given_up.wait(60)
        time.sleep(0.1)  # whoever does not wait for the thread has removed the name by now, and SQLite makes it again
        copy_pages(*args)

    monkeypatch.setattr(backup, "_copy_pages", late)
    async with running(path) as store:
        await store.write(lambda db: sessions(db, 1500, padding=3000))
        async with backing_up(store, path) as backups:
            parts = backups.pieces()
            await anext(parts)
            while not (path.parent / "edge.db.copying").exists():
                await asyncio.sleep(0.001)
        with pytest.raises(BackupFailed, match="stopping"):
            async for _ in parts:
                pass
    assert names_in(path.parent) == {"edge.db"}


async def test_what_a_kill_has_left_is_removed_at_the_start(path: Path) -> None:
    left = [f"edge.db{one}{two}" for one in (".copying", ".restoring") for two in ("", "-wal", "-shm", "-journal")]
    for name in left:
        path.with_name(name).write_bytes(b"half")
    async with running(path) as store, backing_up(store, path) as backups:
        await fetched(backups, path.with_name("copy.db"))
        assert not names_in(path.parent) & set(left)


async def test_messages_that_are_damaged_in_the_store_are_counted_and_do_not_keep_it_from_being_copied(
    path: Path,
) -> None:
    async with running(path) as store, backing_up(store, path) as backups:
        await store.write(lambda db: sessions(db, 2))
        await store.write(
            lambda db: db.execute("UPDATE exchange SET text = CAST(x'5bff' AS TEXT) WHERE seq = 3").fetchone()
        )
        contents, _ = await fetched(backups, path.with_name("copy.db"))
    assert (contents.damaged, contents.waiting) == (1, 10)
    with closing(sqlite3.connect(path.with_name("copy.db"))) as copy:
        found = inspection.inspect(copy, lambda _done, _of: None)
    assert (found.damaged, found.damaged_when_made) == (1, 1)


async def test_without_room_nothing_is_begun(path: Path) -> None:
    free = 10**6
    with pytest.raises(BackupFailed, match="MB are free there"):
        backup.require_space(path.parent, 10**18, free)
    backup.require_space(path.parent, 1, 0)


async def test_a_store_that_is_only_in_memory_cannot_be_copied(path: Path) -> None:
    async with running(path) as store, backing_up(store, None) as backups:
        with pytest.raises(BackupFailed, match="control-only"):
            await fetched(backups, path.with_name("copy.db"))


async def test_it_does_not_last_for_ever(path: Path) -> None:
    class Hurried(SystemClock):
        late = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.late

    clock = Hurried()
    async with running(path) as store, backing_up(store, path, clock) as backups:
        await store.write(lambda db: sessions(db, 300, padding=3000))
        with pytest.raises(BackupFailed, match="not done within 60 minutes|too slowly"):
            async for _ in backups.pieces():
                clock.late = 4000.0
        clock.late = 0.0
        assert not [name for name in names_in(path.parent) if "copying" in name]
        await fetched(backups, path.with_name("copy.db"))


async def test_a_store_whose_commits_fail_can_still_be_copied(path: Path) -> None:
    """Then a copy is wanted most. What was not settled is found again in the copy."""
    async with running(path) as store, backing_up(store, path) as backups:
        await store.write(lambda db: sessions(db, 2))
        await store.write(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone())
        with contextlib.suppress(Exception):
            await store.write(lambda db: sessions(db, 100, padding=3000))
        contents, _ = await fetched(backups, path.with_name("copy.db"))
        await store.write(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
    assert contents.sessions == 2

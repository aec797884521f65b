"""The weekly check: what is damage puts the store aside, and what kept it from being checked does not."""

import asyncio
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import structlog

from edge.store import boots, capacity, thinning
from edge.store.capacity import NotChecked
from edge.store.db import configure, open_threaded
from edge.store.migration import StoreDamaged, StoreUnusable
from tests.simulation.loop import run
from tests.simulation.world import folder_in_memory
from tests.simulation.yard import yard
from tests.store.givens import opened, running

NO_MEMORY = "Tree 5 page 9: unable to get the page. error code=7"
LOST = "Tree 5 page 9: unable to get the page. error code=11"
UNREADABLE = "Tree 5 page 9: unable to get the page. error code=266"


@contextmanager
def no_file_handles() -> Iterator[None]:
    """As when a process has used up all that it may have."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    held: list[int] = []
    try:
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        yield
    finally:
        for handle in held:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_without_file_handles_nothing_is_said_of_the_file(path: Path) -> None:
    async with running(path) as store:
        await store.write(boots.probe)
        with no_file_handles(), pytest.raises(NotChecked, match="unable to open database file"):
            await capacity.check_file(path, open_threaded)
        assert await capacity.check_file(path, open_threaded) == "ok"


async def test_when_the_last_file_handle_goes_to_the_file_nothing_is_said_of_it_either(path: Path) -> None:
    async with running(path) as store:
        await store.write(boots.probe)
        database = await open_threaded(path)
        with no_file_handles(), pytest.raises(NotChecked, match="unable to open database file"):
            await database.run(capacity.check)  # its log cannot be opened
        await database.close()


class Telling(sqlite3.Connection):
    """One whose checks end with this verdict."""

    verdict = ""

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        if "quick_check" in sql or "integrity_check" in sql:
            return super().execute("SELECT ?", (self.verdict,))
        return super().execute(sql, parameters)  # type: ignore[arg-type]


@contextmanager
def telling(path: Path, verdict: str) -> Iterator[sqlite3.Connection]:
    opened(path).close()
    with closing(sqlite3.connect(path, isolation_level=None, factory=Telling)) as connection:
        connection.verdict = verdict
        yield connection


def test_a_check_that_had_no_memory_says_nothing_of_the_file(path: Path) -> None:
    with telling(path, NO_MEMORY) as connection:
        with pytest.raises(NotChecked, match="code=7"):
            capacity.check(connection)
        with pytest.raises(StoreUnusable, match="could not be checked") as caught:
            configure(connection)
    assert not isinstance(caught.value, StoreDamaged)


@pytest.mark.parametrize("verdict", [LOST, UNREADABLE, "btreeInitPage() returns error code 11", "row 3 missing"])
def test_a_page_that_is_lost_is_damage(path: Path, verdict: str) -> None:
    with telling(path, verdict) as connection:
        assert capacity.check(connection) == verdict
        with pytest.raises(StoreDamaged):
            configure(connection)


def test_a_schema_that_is_no_text_any_more_is_damage(path: Path) -> None:
    opened(path).close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE TABLE tx", b"CREAT\xc5 TABLE tx"))
    with closing(sqlite3.connect(path)) as connection:
        assert "schema" in capacity.check(connection)


@pytest.mark.parametrize("value", ["x'00'", "'soon'", "1 << 60", "-5", "1.5"])
def test_a_time_that_is_none_does_not_keep_the_file_from_being_checked(db: sqlite3.Connection, value: str) -> None:
    db.execute(f"INSERT INTO meta VALUES ('checked_wall_ms', {value})")
    assert [capacity.is_check_due(db, now, 100) for now in (1000, 1050, 1100)] == [True, False, True]


def test_a_count_that_is_none_does_not_keep_the_store_from_being_looked_after(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO meta VALUES ('thinned', x'00')")
    assert thinning.total(db) == 0


def test_a_check_that_could_not_be_made_is_made_an_hour_later() -> None:
    async def story(site) -> list[str]:  # type: ignore[no-untyped-def]
        store = site.daemon.inside._parts.store
        await asyncio.sleep(60)
        await store.write(lambda db: db.execute("INSERT OR REPLACE INTO meta VALUES ('checked_wall_ms', 0)"))
        site.disk.fail_opens(1)
        with structlog.testing.capture_logs() as lines:
            await asyncio.sleep(2.5 * 3600)
        assert site.daemon.inside._parts.store is store
        return [line["event"] for line in lines if line["event"] in {"store_not_checked", "store_checked"}]

    with folder_in_memory() as folder:

        async def main(loop):  # type: ignore[no-untyped-def]
            async with yard(loop, folder) as site:
                return await story(site)

        assert run(main).value == ["store_not_checked", "store_checked"]
        assert not (folder / "quarantine").exists()

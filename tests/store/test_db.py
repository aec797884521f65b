"""The writer: what it promises to those who wait, and what becomes of their units when something fails."""

import asyncio
import importlib.metadata
import random
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import structlog

from edge.store import chains, exchange, transactions
from edge.store.db import (
    GROUP_AT_MOST,
    RIDE_AT_MOST,
    RIDERS_TOGETHER,
    SETTLE_AFTER,
    CommitFailed,
    Store,
    open_store,
    open_threaded,
)
from edge.store.exchange import Kind
from edge.store.transactions import NewTransaction
from tests.simulation.loop import SimLoop, run
from tests.simulation.world import SimClock
from tests.store.givens import Disk, a_row, after_power_cut, opened, running

DISKS = pytest.mark.parametrize("rolls_back", [False, True], ids=["still_in_transaction", "rolled_back_by_sqlite"])


def put(key: str, value: int, connection: sqlite3.Connection) -> int:
    connection.execute("INSERT INTO meta VALUES (:key, :value)", {"key": f"test:{key}", "value": value})
    return value


def stored(path: Path) -> dict[str, int]:
    """What someone else sees in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return {key[5:]: value for key, value in connection.execute("SELECT * FROM meta WHERE key GLOB 'test:*'")}


def put_and_fail(key: str, connection: sqlite3.Connection) -> None:
    put(key, 0, connection)
    raise LookupError(key)


def on_virtual_time(
    path: Path, story: Callable[[Store, Disk, SimLoop], Awaitable[None]], seconds: float = 0.005
) -> None:
    """The story with a store whose disk takes this long for each group."""

    async def main(loop: SimLoop) -> None:
        disk = Disk(seconds)
        async with running(path, disk.open_database, SimClock(loop)) as store:
            await story(store, disk, loop)

    run(main, max_steps=2_000_000)


# --- commit, then tell


async def test_a_result_is_not_there_before_its_commit(path: Path) -> None:
    disk = Disk()
    seen: list[tuple[bool, dict[str, int]]] = []
    async with running(path, disk.open_database) as store:
        done = store.submit(partial(put, "a", 7))
        disk.before_commit = lambda: seen.append((done.done(), stored(path)))
        assert await done == 7
        disk.before_commit = lambda: None
        assert seen == [(False, {})]
        assert stored(path) == {"a": 7}


async def test_when_write_returns_another_connection_sees_it(path: Path) -> None:
    async with running(path) as store:
        for number in range(50):
            assert await store.write(partial(put, str(number), number)) == number
            assert stored(path)[str(number)] == number


async def test_what_is_stored_is_told_also_when_nobody_waits_for_it_any_more(path: Path) -> None:
    told: list[int] = []
    async with running(path, Disk(0.02).open_database) as store:
        gone = store.submit(partial(put, "gone", 1), told.append)
        failing = store.submit(partial(put_and_fail, "failing"), told.append)
        gone.cancel()
        with pytest.raises(LookupError):
            await failing
        await store.write(partial(put, "after", 2))
        assert told == [1]
        assert stored(path) == {"gone": 1, "after": 2}


async def test_whoever_waits_has_the_result_before_anybody_is_told(path: Path) -> None:
    order: list[str] = []

    async def wait(store: Store, name: str) -> None:
        await store.submit(partial(put, name, 1), lambda _result: order.append(f"{name} told"))
        order.append(name)

    async with running(path, Disk(0.02).open_database) as store, asyncio.TaskGroup() as tasks:
        tasks.create_task(wait(store, "a"))
        tasks.create_task(wait(store, "b"))
        await asyncio.sleep(0)  # both are in the queue, and make one group
        await store.write(lambda _db: None)
    assert order == ["a", "b", "a told", "b told"]


async def test_nothing_is_told_of_a_group_that_is_not_stored(path: Path) -> None:
    disk = Disk()
    told: list[int] = []
    async with running(path, disk.open_database) as store:
        disk.failures = 1
        with pytest.raises(CommitFailed):
            await store.submit(partial(put, "a", 1), told.append)
        await store.write(partial(put, "b", 1))
    assert told == []


async def test_units_run_in_the_order_in_which_they_were_submitted(path: Path) -> None:
    order: list[int] = []
    async with running(path) as store:
        for done in [store.submit(lambda _db, n=number: order.append(n)) for number in range(2000)]:
            await done
    assert order == list(range(2000))


def test_who_waits_at_the_same_time_shares_one_commit(path: Path) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        before = disk.commits
        first = store.submit(partial(put, "first", 1))
        await asyncio.sleep(0.001)  # the first one is on its way to the disk
        others = [store.submit(partial(put, str(number), number)) for number in range(100)]
        assert await first == 1
        assert not any(other.done() for other in others)
        assert [await other for other in others] == list(range(100))
        assert disk.commits - before == 2
        assert store.commits == 2

    on_virtual_time(path, story)


def test_a_group_has_a_limit(path: Path) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        before = disk.commits
        for done in [store.submit(lambda _db: None) for _ in range(2 * GROUP_AT_MOST + 1)]:
            await done
        assert disk.commits - before == 3

    on_virtual_time(path, story)


# --- a unit that fails


async def test_a_unit_that_raises_takes_back_only_itself(path: Path) -> None:
    async with running(path) as store:
        before = store.submit(partial(put, "before", 1))
        failing = store.submit(partial(put_and_fail, "failing"))
        after = store.submit(partial(put, "after", 2))
        assert (await before, await after) == (1, 2)
        with pytest.raises(LookupError, match="failing"):
            await failing
        assert stored(path) == {"before": 1, "after": 2}
        assert not store.is_failing


async def test_a_row_of_a_unit_that_raises_leaves_no_trace_in_its_chains(path: Path) -> None:
    def append_and_fail(connection: sqlite3.Connection) -> None:
        exchange.append(connection, a_row())
        raise LookupError

    async with running(path) as store:
        first = await store.write(lambda db: exchange.append(db, a_row()))
        with pytest.raises(LookupError):
            await store.write(append_and_fail)
        second = await store.write(lambda db: exchange.append(db, a_row()))
        row = await store.read(lambda db: exchange.load(db, second))
    assert row is not None
    assert (second, row.prev_peer) == (first + 1, first)


async def test_a_constraint_that_is_broken_is_the_error_of_its_unit(path: Path) -> None:
    async with running(path) as store:
        await store.write(partial(put, "once", 1))
        with pytest.raises(sqlite3.IntegrityError):
            await store.write(partial(put, "once", 2))
        assert await store.write(partial(put, "twice", 2)) == 2
        assert (store.is_failing, store.failed_commits) == (False, 0)


async def test_no_error_of_a_unit_ends_the_writer(path: Path) -> None:
    async with running(path) as store, asyncio.timeout(5):
        with pytest.raises((StopIteration, RuntimeError)):
            await store.write(lambda _db: next(iter(())))
        assert await store.write(partial(put, "after", 1)) == 1


# --- callers that go away


async def test_a_cancelled_caller_does_not_stop_its_unit(path: Path) -> None:
    async with running(path) as store:
        async with asyncio.TaskGroup() as tasks:
            caller = tasks.create_task(store.write(partial(put, "cancelled", 1)))
            await asyncio.sleep(0)
            caller.cancel()
        await store.write(partial(put, "next", 2))
        assert stored(path) == {"cancelled": 1, "next": 2}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_thousand_units_of_which_some_raise_and_some_are_forgotten_are_each_whole_or_absent(
    path: Path, seed: int
) -> None:
    chance = random.Random(seed)

    def unit(number: int, connection: sqlite3.Connection) -> int:
        put(f"{number}/1", number, connection)
        exchange.append(connection, a_row(f'[2,"{number}","X",{{}}]', peer=number % 5 + 1))
        if number % 7 == 0:
            raise LookupError(number)
        put(f"{number}/2", number, connection)
        return number

    forgotten = set(chance.sample(range(1000), 200))
    async with running(path) as store:
        futures = []
        for number in range(1000):
            futures.append(store.submit(partial(unit, number)))
            if chance.random() < 0.02:
                await asyncio.sleep(0)
            if number in forgotten and chance.random() < 0.5:
                futures[number].cancel()
        for number in forgotten:
            futures[number].cancel()  # some were cancelled before, some are done already
        for number, future in enumerate(futures):
            try:
                assert await future == number
            except LookupError:
                assert number % 7 == 0
            except asyncio.CancelledError:
                assert number in forgotten
        assert store.commits < 100

    good = {number for number in range(1000) if number % 7}
    assert set(stored(path)) == {f"{number}/{half}" for number in good for half in (1, 2)}
    connection = opened(path)
    rows = [exchange.load(connection, seq) for seq in range(1, len(good) + 1)]
    assert connection.execute("SELECT count(*), max(seq) FROM exchange").fetchone() == (len(good), len(good))
    assert all(row is not None and exchange.is_intact(connection, row) for row in rows)
    connection.close()


def test_a_unit_whose_caller_is_cancelled_in_the_middle_of_the_commit_is_stored(path: Path) -> None:
    async def story(store: Store, _disk: Disk, _loop: SimLoop) -> None:
        done = store.submit(partial(put, "a", 1))
        await asyncio.sleep(0.002)
        done.cancel()
        assert await store.write(partial(put, "b", 2)) == 2
        assert stored(path) == {"a": 1, "b": 2}

    on_virtual_time(path, story)


# --- a commit that fails


@DISKS
def test_a_failed_commit_fails_everyone_who_waits_for_it_and_stores_nothing(path: Path, rolls_back: bool) -> None:
    async def story(store: Store, disk: Disk, loop: SimLoop) -> None:
        disk.failures, disk.rolls_back = 1, rolls_back
        waiting = [store.submit(partial(put, str(number), number)) for number in range(10)]
        waiting.append(store.submit(partial(put_and_fail, "raising")))
        for each in waiting:
            with pytest.raises(CommitFailed, match="database or disk is full"):
                await each
        assert stored(path) == {}
        assert (store.is_failing, store.failed_commits, store.commits) == (True, 1, 0)
        assert store.answered_at == loop.time()
        assert await store.write(partial(put, "later", 1)) == 1
        assert stored(path) == {"later": 1}
        assert (store.is_failing, store.failed_commits, store.commits) == (False, 1, 1)

    on_virtual_time(path, story)


@DISKS
def test_a_failed_commit_gives_numbers_and_chains_back(path: Path, rolls_back: bool) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        first = await store.write(lambda db: exchange.append(db, a_row()))
        disk.failures, disk.rolls_back = 1, rolls_back
        with pytest.raises(CommitFailed):
            await store.write(lambda db: exchange.append(db, a_row()))
        second = await store.write(lambda db: exchange.append(db, a_row()))
        row = await store.read(lambda db: exchange.load(db, second))
        assert row is not None
        assert (second, row.prev_peer) == (first + 1, first)

    on_virtual_time(path, story)


@DISKS
def test_what_rides_along_is_kept_in_its_order_for_the_commit_after_a_failed_one(path: Path, rolls_back: bool) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        order: list[str] = []
        store.defer(lambda _db: order.append("a"))
        store.defer(partial(put, "deferred", 1))
        disk.failures, disk.rolls_back = 2, rolls_back
        for _ in range(2):
            with pytest.raises(CommitFailed):
                await store.write(partial(put, "lost", 2))
            order.append("failed")
            store.defer(lambda _db: order.append("b"))
        await store.write(partial(put, "kept", 3))
        assert stored(path) == {"deferred": 1, "kept": 3}
        assert order == ["a", "failed", "a", "b", "failed", "a", "b", "b"]

    on_virtual_time(path, story)


def a_full_disk(connection: sqlite3.Connection) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 1}").fetchone()


def put_a_page(connection: sqlite3.Connection) -> None:
    exchange.append(connection, a_row("x" * 20_000))


async def test_a_disk_that_is_full_in_the_middle_of_a_unit_fails_the_commit(path: Path) -> None:
    """SQLite rolls all of the transaction back then, not only the unit."""
    async with running(path) as store:
        await store.write(a_full_disk)
        small, big = store.submit(partial(put, "small", 1)), store.submit(put_a_page)
        for each in (small, big):
            with pytest.raises(CommitFailed):
                await each
        assert store.is_failing
        assert await store.write(partial(put, "later", 1)) == 1
        assert stored(path) == {"later": 1}


async def test_it_says_that_the_disk_is_full(path: Path) -> None:
    async with running(path) as store:
        await store.write(a_full_disk)
        with pytest.raises(CommitFailed, match="full"):
            await store.write(put_a_page)


def test_a_caller_that_was_cancelled_is_not_told_of_a_failed_commit(path: Path) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        disk.failures = 1
        gone, waiting = store.submit(partial(put, "gone", 1)), store.submit(partial(put, "waiting", 1))
        gone.cancel()
        with pytest.raises(CommitFailed):
            await waiting
        assert gone.cancelled()
        assert stored(path) == {}

    on_virtual_time(path, story)


def test_a_dead_disk_is_not_tried_in_a_hot_loop(path: Path) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        store.defer(partial(put, "deferred", 1))
        disk.failures = 10**9
        await asyncio.sleep(RIDE_AT_MOST + 60)
        attempts, disk.failures = disk.attempts, 0
        assert attempts < 100

    on_virtual_time(path, story)


def test_readers_see_the_ends_also_after_the_commit_that_was_to_settle_them_failed(path: Path) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        await store.write(append_to_new_transaction)
        await asyncio.sleep(SETTLE_AFTER - 0.001)  # just before the writer settles by itself
        disk.failures = 1
        await asyncio.sleep(0.1)
        assert store.failed_commits == 1
        assert await store.read(settled_rows) == 1

    on_virtual_time(path, story)


def append_to_new_transaction(connection: sqlite3.Connection) -> int:
    new = NewTransaction(transactions.TRANSACTION, None, None, exchange.peek_seq(connection))
    return exchange.append(connection, a_row(tx_no=transactions.begin(connection, new), relay=True))


def settled_rows(connection: sqlite3.Connection) -> int:
    """How many rows the table `tx` knows of, which is what readers see."""
    return int(connection.execute("SELECT coalesce(sum(rows), 0) FROM tx").fetchone()[0])


# --- what rides along


def test_a_deferred_unit_rides_in_the_next_commit_before_those_who_wait(path: Path) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        order: list[str] = []
        before = disk.commits
        store.defer(lambda _db: order.append("deferred"))
        await store.write(lambda _db: order.append("waiting"))
        assert order == ["deferred", "waiting"]
        assert disk.commits - before == 1

    on_virtual_time(path, story)


def test_a_deferred_unit_is_committed_alone_when_nothing_comes_for_ten_seconds(path: Path) -> None:
    async def story(store: Store, _disk: Disk, _loop: SimLoop) -> None:
        store.defer(partial(put, "deferred", 1))
        await asyncio.sleep(RIDE_AT_MOST - 0.1)
        assert stored(path) == {}
        store.defer(partial(put, "younger", 1))
        await asyncio.sleep(0.2)
        assert stored(path) == {"deferred": 1, "younger": 1}

    on_virtual_time(path, story)


def test_the_writer_rests_while_there_is_nothing_to_do(path: Path) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        await store.write(append_to_new_transaction)
        before = disk.commits
        await asyncio.sleep(3600)
        assert disk.commits - before == 1  # it has settled the chains

    on_virtual_time(path, story)


def test_a_deferred_unit_that_raises_is_logged_and_spoils_nothing(path: Path) -> None:
    async def story(store: Store, _disk: Disk, _loop: SimLoop) -> None:
        with structlog.testing.capture_logs() as logs:
            store.defer(partial(put_and_fail, "failing"))
            store.defer(partial(put, "good", 1))
            await store.write(partial(put, "waiting", 2))
        assert stored(path) == {"good": 1, "waiting": 2}
        assert [entry["event"] for entry in logs] == ["deferred_unit_failed"]

    on_virtual_time(path, story)


# --- readers


async def test_a_reader_sees_what_was_deferred_and_where_the_chains_end(path: Path) -> None:
    async with running(path) as store:
        await store.write(append_to_new_transaction)
        store.defer(append_to_new_transaction)
        assert await store.read(settled_rows) == 2


async def test_a_reader_cannot_write(path: Path) -> None:
    async with running(path) as store:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await store.read(partial(put, "a", 1))


def test_reading_twice_writes_nothing_new(path: Path) -> None:
    async def story(store: Store, _disk: Disk, _loop: SimLoop) -> None:
        await store.write(append_to_new_transaction)
        await store.read(settled_rows)
        wal = path.with_name("edge.db-wal").stat().st_size
        assert await store.read(settled_rows) == 1
        assert path.with_name("edge.db-wal").stat().st_size == wal

    on_virtual_time(path, story)


@pytest.mark.parametrize(
    "was_idle",
    [True, False],
)
def test_a_reader_sees_what_was_deferred_also_when_that_is_on_its_way(path: Path, was_idle: bool) -> None:
    async def story(store: Store, _disk: Disk, _loop: SimLoop) -> None:
        if not was_idle:
            await store.write(lambda _db: None)
        store.defer(append_to_new_transaction)
        on_its_way = store.submit(append_to_new_transaction)
        await asyncio.sleep(0.001)
        assert await store.read(settled_rows) == 2
        await on_its_way

    on_virtual_time(path, story)


def test_a_reader_sees_the_ends_of_what_was_committed_while_another_one_read(path: Path) -> None:
    async def story(store: Store, _disk: Disk, _loop: SimLoop) -> None:
        await store.write(append_to_new_transaction)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store.read(settled_rows))
            await asyncio.sleep(0.001)  # its settling is on its way to the disk
            tasks.create_task(store.write(append_to_new_transaction))
        assert await store.read(settled_rows) == 2

    on_virtual_time(path, story)


def test_one_can_look_inside_while_the_disk_is_full(path: Path) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        await store.write(append_to_new_transaction)
        disk.failures = 1
        try:
            assert await store.read(lambda db: db.execute("SELECT count(*) FROM exchange").fetchone()[0]) == 1
        finally:
            disk.failures = 0

    on_virtual_time(path, story)


# --- the end


async def test_close_stores_what_still_waits_and_what_rides_along(path: Path) -> None:
    disk = Disk()
    async with running(path, disk.open_database) as store:
        waiting = [store.submit(partial(put, str(number), number)) for number in range(GROUP_AT_MOST + 5)]
        store.defer(partial(put, "deferred", 1))
        waiting_for_row = store.submit(append_to_new_transaction)
    assert [done.result() for done in waiting] == list(range(GROUP_AT_MOST + 5))
    assert waiting_for_row.result() == 1
    assert len(stored(path)) == GROUP_AT_MOST + 6
    with closing(sqlite3.connect(path)) as connection:
        assert settled_rows(connection) == 1
        assert chains.settled_seq(connection) == 1


async def test_after_close_the_file_stands_alone(path: Path) -> None:
    async with running(path) as store:
        await store.write(partial(put, "a", 1))
    assert [item.name for item in path.parent.iterdir()] == ["edge.db"]


def test_close_ends_also_on_a_dead_disk(path: Path) -> None:
    async def story(store: Store, disk: Disk, _loop: SimLoop) -> None:
        store.defer(partial(put, "deferred", 1))
        disk.failures = 10**9
        try:
            async with asyncio.timeout(120):
                await store.close()
        finally:
            disk.failures = 0

    on_virtual_time(path, story)


async def test_whoever_asks_a_closed_store_is_answered(path: Path) -> None:
    async with running(path) as store:
        pass
    async with asyncio.timeout(5):
        with pytest.raises(CommitFailed, match="closed"):
            await store.write(partial(put, "late", 1))
        with pytest.raises(CommitFailed, match="closed"):
            await store.read(lambda connection: connection.execute("SELECT 1").fetchone())
    store.defer(partial(put, "late", 1))
    assert stored(path) == {}


def test_whoever_still_waits_when_a_dead_disk_is_given_up_is_answered(path: Path) -> None:
    async def main(loop: SimLoop) -> None:
        disk = Disk(0.005)
        store = await open_store(path, disk.open_database, SimClock(loop))

        def fail() -> None:
            raise sqlite3.OperationalError("disk I/O error")

        disk.before_commit = fail
        waiting = [store.submit(partial(put, str(number), number)) for number in range(GROUP_AT_MOST * 5)]
        await store.close()
        assert all(isinstance(one.exception(), CommitFailed) for one in waiting)

    run(main, max_steps=2_000_000)


async def test_a_store_that_was_not_closed_has_all_that_it_confirmed(path: Path, tmp_path: Path) -> None:
    async with running(path) as store:
        for number in range(20):
            await store.write(partial(put, str(number), number))
        copy = after_power_cut(path, tmp_path / "copy")
    connection = opened(copy)
    connection.close()
    assert stored(copy) == {str(number): number for number in range(20)}


# --- aiosqlite: the one private call


async def test_the_pinned_aiosqlite_is_the_one_that_these_tests_were_written_for() -> None:
    assert importlib.metadata.version("aiosqlite").startswith("0.22.")


async def test_a_function_runs_in_the_thread_of_the_connection_with_the_connection(path: Path) -> None:
    database = await open_threaded(path)
    try:
        threads = [
            await database.run(lambda db: (threading.get_ident(), type(db), db.isolation_level)) for _ in range(3)
        ]
    finally:
        await database.close()
    assert len(set(threads)) == 1
    assert threads[0][0] != threading.get_ident()
    assert threads[0][1:] == (sqlite3.Connection, None)


async def test_functions_run_one_after_the_other_in_the_order_of_the_calls(path: Path) -> None:
    database = await open_threaded(path)
    order: list[tuple[str, int]] = []

    def both(number: int, _connection: sqlite3.Connection) -> None:
        order.append(("begins", number))
        order.append(("ends", number))

    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(100):
                tasks.create_task(database.run(partial(both, number)))
    finally:
        await database.close()
    assert order == [(what, number) for number in range(100) for what in ("begins", "ends")]


async def test_what_a_function_raises_reaches_the_caller_and_the_next_one_runs(path: Path) -> None:
    database = await open_threaded(path)
    try:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await database.run(lambda db: db.execute("SELECT * FROM absent"))
        assert await database.run(lambda db: db.execute("SELECT 1").fetchone()) == (1,)
    finally:
        await database.close()


async def test_a_function_runs_to_its_end_when_its_caller_is_cancelled(path: Path) -> None:
    database = await open_threaded(path)
    has_begun, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    def slow(_connection: sqlite3.Connection) -> None:
        has_begun.set()
        may_end.wait(10)
        has_ended.set()

    try:
        async with asyncio.TaskGroup() as tasks:
            caller = tasks.create_task(database.run(slow))
            while not has_begun.is_set():
                await asyncio.sleep(0)
            caller.cancel()
        assert not has_ended.is_set()
        may_end.set()
        assert await database.run(lambda _db: has_ended.is_set())
    finally:
        may_end.set()
        await database.close()


async def test_a_closed_connection_refuses(path: Path) -> None:
    database = await open_threaded(path)
    await database.close()
    with pytest.raises(ValueError, match="(?i)closed|no active"):
        await database.run(lambda _db: None)


def test_kinds_are_numbers_that_stay_as_they_are() -> None:
    assert {kind.name: int(kind) for kind in Kind} == {
        "CHARGER_CALL": 1,
        "CSMS_CALL": 2,
        "OUR_CALL": 3,
        "DECISION": 4,
        "SYNTHETIC": 5,
        "CSMS_ANSWER": 6,
        "LINK": 7,
    }


# --- looking


async def test_what_rides_along_is_not_put_on_the_disk_for_the_sake_of_a_look(path: Path) -> None:
    async with running(path) as store:
        store.defer(partial(put, "rider", 1))
        assert await store.look(lambda db: 5) == 5
        assert stored(path) == {}
        await store.write(partial(put, "writer", 2))
        assert stored(path) == {"rider": 1, "writer": 2}


async def test_a_look_that_writes_is_stored_all_the_same(path: Path) -> None:
    async with running(path) as store:
        await store.look(partial(put, "parked", 1))
        assert stored(path) == {"parked": 1}


async def test_a_look_sees_what_was_submitted_before_it_and_is_told_after_that_commit(path: Path) -> None:
    async with running(path) as store:
        start = store.submit(partial(put, "start", 7))
        seen = await store.look(lambda db: db.execute("SELECT value FROM meta WHERE key = 'test:start'").fetchone()[0])
        assert (seen, start.done(), stored(path)) == (7, True, {"start": 7})


async def test_so_many_riders_are_stored_although_nobody_waits(path: Path) -> None:
    async with running(path) as store:
        for number in range(RIDERS_TOGETHER):
            store.defer(partial(put, f"{number}", number))
        async with asyncio.timeout(5):
            while store.commits == 0:
                await asyncio.sleep(0)
        assert len(stored(path)) == RIDERS_TOGETHER


def test_looks_alone_do_not_keep_a_rider_from_the_disk_for_longer_than_it_may_ride(path: Path) -> None:
    async def story(store: Store, disk: Disk, loop: SimLoop) -> None:
        store.defer(partial(put, "rider", 1))
        began = loop.time()
        while stored(path) == {}:
            await store.look(lambda db: None)
            assert loop.time() - began < RIDE_AT_MOST + 1

    on_virtual_time(path, story, seconds=0.05)


async def test_a_look_that_works_does_not_say_that_the_disk_does(path: Path) -> None:
    disk = Disk()
    async with running(path, disk.open_database) as store:
        disk.failures = 1
        with pytest.raises(CommitFailed):
            await store.write(partial(put, "lost", 1))
        assert await store.look(lambda db: 5) == 5
        assert store.is_failing
        await store.write(partial(put, "stored", 1))
        assert not store.is_failing


async def test_a_closed_store_refuses_a_look(path: Path) -> None:
    async with running(path) as store:
        pass
    with pytest.raises(CommitFailed):
        await store.look(lambda db: None)

"""The simulated world of one machine keeps the contracts of the real one."""

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from tests.simulation.loop import run
from tests.simulation.world import SimClock, SimDisk, SimIds, SimNotify, SimOffload, folder_in_memory


@pytest.fixture
def folder():
    with folder_in_memory() as path:
        yield path


def insert(number):
    def unit(connection):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO fact VALUES (:number)", {"number": number})
        connection.execute("COMMIT")
        return number

    return unit


def create(connection):
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE fact (number INTEGER) STRICT")


def count(connection):
    return connection.execute("SELECT COUNT(*) FROM fact").fetchone()[0]


def test_the_wall_clock_can_be_wrong_while_the_monotonic_one_is_the_loops():
    async def main(loop):
        clock = SimClock(loop, datetime(1970, 1, 1, tzinfo=UTC))
        await asyncio.sleep(10)
        assert clock.utc_now() == datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)
        clock.step(-3600)
        assert clock.utc_now() == datetime(1969, 12, 31, 23, 0, 10, tzinfo=UTC)
        clock.set_to(datetime(2026, 3, 1, tzinfo=UTC))
        clock.drift(2.0)
        await asyncio.sleep(24 * 3600)
        assert clock.utc_now() - datetime(2026, 3, 2, 0, 0, 2, tzinfo=UTC) < timedelta(milliseconds=1)
        assert clock.monotonic() == loop.time()

    run(main)


def test_identifiers_follow_from_the_seed_and_differ_between_incarnations():
    def drawn(seed, incarnation):
        ids = SimIds(seed, incarnation)
        return [ids.message_id(), ids.jitter(5.0), ids.number(1, 10**9)]

    assert drawn(1, "edge#1") == drawn(1, "edge#1")
    assert not set(drawn(1, "edge#1")) & set(drawn(1, "edge#2"))
    assert not set(drawn(1, "edge#1")) & set(drawn(2, "edge#1"))
    assert len(drawn(1, "edge#1")[0]) == 36


def test_the_database_works_in_order_and_each_unit_takes_time(folder):
    async def main(loop):
        disk = SimDisk(loop)
        database = await disk.open_database(folder / "edge.db")
        await database.run(create)
        began, ended = loop.time(), []

        async def write(number):
            ended.append(await database.run(insert(number)))

        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(write(number))
        took = loop.time() - began
        await database.close()
        with pytest.raises(ValueError, match="closed"):
            await database.run(count)
        return ended, took

    ended, took = run(main).value
    assert ended == list(range(20))
    assert 20 * 0.0004 < took < 20 * 0.010


def test_a_unit_that_was_handed_over_runs_even_when_its_caller_is_cancelled(folder):
    async def main(loop):
        database = await SimDisk(loop).open_database(folder / "edge.db")
        await database.run(create)
        caller = loop.create_task(database.run(insert(1)))
        await asyncio.sleep(0)
        caller.cancel()
        return await database.run(count)

    assert run(main).value == 1


def test_commits_fail_when_told_so_and_never_store_anything(folder):
    async def main(loop):
        disk = SimDisk(loop)
        database = await disk.open_database(folder / "edge.db")
        await database.run(create)
        disk.fail_commits(3)
        for number in range(3):
            with pytest.raises(sqlite3.OperationalError, match="full"):
                await database.run(insert(number))
            await database.run(lambda connection: connection.rollback())
        await database.run(insert(3))
        stored = await database.run(lambda connection: connection.execute("SELECT number FROM fact").fetchall())
        disk.fail_opens(1)
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            await disk.open_database(folder / "edge.db")
        return stored

    assert run(main).value == [(3,)]


def test_the_trace_does_not_know_in_which_folder_the_run_took_place():
    def hash_in(folder):
        async def main(loop):
            async def answer(reader, writer):
                writer.write(await reader.readline())
                writer.close()

            database = await SimDisk(loop).open_database(folder / "edge.db")
            await database.run(create)
            async with await asyncio.start_unix_server(answer, folder / "edge.sock"):
                reader, writer = await asyncio.open_unix_connection(folder / "edge.sock")
                writer.write(b"status\n")
                loop.trace.note(f"{await reader.read()} {await database.run(count)}")
                writer.close()

        return run(main).trace.sha256()

    with folder_in_memory() as first, folder_in_memory() as second:
        assert first != second
        assert hash_in(first) == hash_in(second)


def test_after_a_crash_the_next_life_finds_what_was_committed_and_the_dead_hears_of_nothing(folder):
    async def main(loop):
        disk = SimDisk(loop)
        told = []

        async def life(path):
            database = await disk.open_database(path)
            await database.run(create)
            for number in range(1000):
                await database.run(insert(number))
                told.append(number)

        loop.launch("edge#1", life(folder / "1.db"))
        await asyncio.sleep(1.2345)
        loop.crash("edge#1")
        disk.keep_after_crash(folder / "1.db", folder / "2.db")
        told_at_crash = len(told)
        await asyncio.sleep(10)
        assert len(told) == told_at_crash
        database = await disk.open_database(folder / "2.db")
        return told_at_crash, await database.run(count)

    told, stored = run(main).value
    assert told > 100
    assert stored in (told, told + 1)


def test_offload_and_notify_take_their_place_in_virtual_time():
    async def main(loop):
        notify = SimNotify(loop)
        notify("READY=1")
        assert await SimOffload()(lambda: 6 * 7) == 42
        notify("STOPPING=1")
        return notify.sent, notify.states()

    assert run(main).value == ([(0.0, "READY=1"), (pytest.approx(0.001), "STOPPING=1")], ["READY=1", "STOPPING=1"])

"""P5: what sharing a commit is worth: 128 that wait at the same time, through our store and one commit each.

Ours is the store as the daemon opens it, with the row of the journal that a charger's message becomes. Beside it is
what one writes with `aiosqlite`: the same settings, a table of texts, an INSERT and a COMMIT for each message, one
after the other, because a connection has only one transaction at a time.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aiosqlite

from benchmarks import messages, rounds
from benchmarks.findings import Findings, at_least
from benchmarks.running import Run
from edge.store import exchange
from edge.store.db import Store, open_store
from edge.store.exchange import Kind, Moment, NewExchange
from edge.world import real_world

WAITERS = 128
Write = Callable[[str], Awaitable[object]]


def measure(run: Run) -> Findings:
    return asyncio.run(_measure(run))


async def _measure(run: Run) -> Findings:
    found = Findings()
    async with _ours(run.folder / "ours.db") as ours, _naive(run.folder / "naive.db") as naive:
        for waiters in (WAITERS, 8, 1):
            series: rounds.Series = {"ours": [], "naive": []}
            for _ in rounds.counted(run.rounds, run.on_round):
                each = run.sized(2, 40 if waiters > 1 else 200)
                series["ours"].append(await _pace(ours, waiters, each))
                series["naive"].append(await _pace(naive, waiters, run.sized(1, max(3, 300 // waiters))))
            ratio = rounds.ratio(series["ours"], series["naive"])
            if waiters == WAITERS:
                found.goal("P5", f"messages stored a second, {waiters} at once, to one commit each",
                           at_least(40.0), ratio)  # fmt: skip
            found.figure(f"{waiters} at once: ours", series["ours"], "a second")
            found.figure(f"{waiters} at once: one commit each", series["naive"], "a second")
            found.figure(f"{waiters} at once: times", ratio, "x")
    return found


async def _pace(write: Write, waiters: int, each: int) -> float:
    """Messages a second when so many wait, each for so many of its own."""
    values = messages.MeterValues("w", 7)

    async def wait(first: int) -> None:
        for number in range(first, first + each):
            await write(values.text(number))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for waiter in range(waiters):
            tasks.create_task(wait(waiter * each))
    return waiters * each / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def _ours(path: Path) -> AsyncIterator[Write]:
    world = real_world()
    store: Store = await open_store(path, world.open_database, world.clock)
    at = Moment(1, datetime(2026, 1, 5, tzinfo=UTC), 1)

    async def write(text: str) -> None:
        row = NewExchange(at, 1, Kind.CHARGER_CALL, text, action="MeterValues", message_id="w", answer='[3,"w",{}]')
        await store.write(partial(exchange.append, new=row))

    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(store.run())
        yield write
        writer.cancel()
    await store.close()


@contextlib.asynccontextmanager
async def _naive(path: Path) -> AsyncIterator[Write]:
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, text TEXT NOT NULL)",
        ):
            await connection.execute(statement)
        turn = asyncio.Lock()

        async def write(text: str) -> None:
            async with turn:
                await connection.execute("BEGIN IMMEDIATE")
                await connection.execute("INSERT INTO message (state, text) VALUES ('waiting', ?)", (text,))
                await connection.execute("COMMIT")

        yield write

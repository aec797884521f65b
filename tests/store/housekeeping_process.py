"""A program that stores sessions, delivers some, removes what may go and thins the rest, until it is killed.

`python housekeeping_process.py <store> <life>`; run by test_kill.py. It tells `S <seq> <message>` for each start and
stop that it was promised, and `D <seq>` before the CSMS has one of them.
"""

import asyncio
import json
import os
import sys
from functools import partial
from itertools import count
from pathlib import Path

import structlog

from edge.store import Connection, capacity, chains, connectors, delivery, exchange, retention, thinning, transactions
from edge.store.capacity import Level
from edge.store.db import Store, open_store, open_threaded
from edge.store.exchange import Kind, Moment, NewExchange
from edge.store.transactions import NewTransaction
from edge.world import SystemClock

CHARGERS = 4
VALUES = 40
clock = SystemClock()


def moment() -> Moment:
    return Moment(1, clock.utc_now(), round(clock.monotonic() * 1000))


def tell(line: str) -> None:
    os.write(1, line.encode())


def text_of(message: str, action: str, minute: int) -> str:
    at = f"2026-03-01T{minute // 60 % 24:02}:{minute % 60:02}:00Z"
    value = f'{{"timestamp":"{at}","sampledValue":[{{"value":"{minute}"}}]}}'
    return f'[2,"{message}","{action}",{{"padding":"{"x" * 150}","meterValue":[{value}]}}]'


async def charger(store: Store, number: int, life: str, is_delivered: bool) -> None:
    """Sessions of many values, one after the other."""
    messages = count()

    async def say(action: str, tx_no: int | None, minute: int) -> tuple[int, int]:
        message = f"{life}/{number}/{next(messages)}"
        text = text_of(message, action, minute)

        def store_it(db: Connection) -> tuple[int, int]:
            of = tx_no
            no = connectors.enrol(db, f"cp-{number}", connectors.KNOWN, "file")
            if of is None:
                (connector,) = connectors.count(db, no, 1) or [connectors.connectors_of(db, no)[0].no]
                of = transactions.begin(db, NewTransaction("transaction", no, connector, exchange.peek_seq(db)))
            if action == "MeterValues":
                thinning.admits(db, of, json.loads(text)[3], moment())
            row = NewExchange(moment(), no, Kind.CHARGER_CALL, text, action=action, tx_no=of, relay=True)
            seq = exchange.append(db, row)
            if action == "StopTransaction":
                transactions.end(db, of, None, None, "Local")
            return of, seq

        of, seq = await store.write(store_it)
        if action != "MeterValues":
            tell(f"S {seq} {message}\n")
        return of, seq

    while True:
        tx_no, _ = await say("StartTransaction", None, 0)
        for minute in range(VALUES):
            await say("MeterValues", tx_no, minute)
        await say("StopTransaction", tx_no, VALUES)
        if is_delivered:
            await deliver(store, tx_no)


async def deliver(store: Store, tx_no: int) -> None:
    waiting = await store.write(
        lambda db: exchange.pending(
            db,
            chains.tx_end(db, tx_no)[0],
            db.execute("SELECT acked_seq FROM tx WHERE tx_no = ?", (tx_no,)).fetchone()[0],
        )
    )
    for seq, _ in waiting:
        tell(f"D {seq}\n")
        store.defer(partial(acknowledge, seq=seq, tx_no=tx_no))


def acknowledge(db: Connection, seq: int, tx_no: int) -> None:
    if exchange.load(db, seq) is not None:  # what was thinned meanwhile is not sent
        delivery.acknowledge(db, seq, tx_no, 1)


async def housekeeping(store: Store) -> None:
    while True:
        await store.write(lambda db: capacity.tell(db, 1_000_000, Level.ORANGE))
        after, is_end = 0, False
        while not is_end:
            found = await store.read(partial(retention.look, after=after, before_ms=None))
            for first in range(0, len(found.seqs), 50):
                part = found.seqs[first : first + 50]
                await store.write(partial(retention.remove, seqs=part, now_ms=0, kept_ms=0))
            after, is_end = found.until, found.is_end
        for tx_no in await store.read(thinning.waiting):
            values = await store.read(partial(thinning.waiting_values, tx_no=tx_no))
            going = await store.read(partial(thinning.Sieve().superfluous, seqs=values))
            if going:
                await store.write(partial(thinning.leave_out, tx_no=tx_no, seqs=going, at=moment()))
        await store.write(thinning.settle)
        await store.write(partial(retention.forget_sessions, now_ms=10**15))
        await store.write(partial(capacity.shrink, most=16))


async def main(path: Path, life: str) -> None:
    store = await open_store(path, open_threaded, clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store.run())
        tasks.create_task(housekeeping(store))
        for number in range(1, CHARGERS + 1):
            tasks.create_task(charger(store, number, life, is_delivered=number % 2 == 0))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))

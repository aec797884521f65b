"""A program that stores what a charger says and tells each number that it was promised, until it is killed.

`python writer_process.py <store> <first message>`; run by test_kill.py.
"""

import asyncio
import os
import sys
from pathlib import Path

import structlog

from edge.store import connectors, delivery, exchange, transactions
from edge.store.db import Store, open_store, open_threaded
from edge.store.exchange import Kind, Moment, NewExchange
from edge.store.transactions import NewTransaction
from edge.world import SystemClock

CHARGERS = 4
clock = SystemClock()


def moment() -> Moment:
    return Moment(1, clock.utc_now(), round(clock.monotonic() * 1000))


async def charger(store: Store, number: int, first: int) -> None:
    """Sessions of five values each, one after the other."""
    told = first

    async def say(action: str, tx_no: int | None, unit: object = None) -> int:
        nonlocal told
        told += 1
        text = f'[2,"{number}/{told}","{action}",{{"padding":"{"x" * 200}"}}]'

        def store_it(db) -> tuple[int, int]:
            of = tx_no
            if of is None:
                no = connectors.enrol(db, f"cp-{number}", connectors.KNOWN, "file")
                (connector,) = connectors.count(db, no, 1)
                of = transactions.begin(db, NewTransaction("transaction", no, connector, exchange.peek_seq(db)))
            row = NewExchange(moment(), number, Kind.CHARGER_CALL, text, action=action, tx_no=of, relay=True)
            seq = exchange.append(db, row)
            if action == "StopTransaction":
                transactions.end(db, of, None, None, "Local")
            return of, seq

        of, seq = await store.write(store_it)
        os.write(1, f"{seq} {number}/{told}\n".encode())
        store.defer(lambda db: delivery.acknowledge(db, seq, of, 1))
        return of

    while True:
        tx_no = await say("StartTransaction", None)
        for _ in range(5):
            await say("MeterValues", tx_no)
        await say("StopTransaction", tx_no)


async def main(path: Path, first: int) -> None:
    store = await open_store(path, open_threaded, clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store.run())
        for number in range(1, CHARGERS + 1):
            tasks.create_task(charger(store, number, first))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

"""A program that stores what chargers say and makes one backup after the other, until it is killed.

`python backup_process.py <store> <first message> <folder>`; run by test_kill_backup.py. It tells `<seq> <message>` for
each row that it was promised, and `B <backup>` before a backup is asked for; a finished one is `<folder>/<backup>.db`.
"""

import asyncio
import logging
import os
import sys
from functools import partial
from itertools import count
from pathlib import Path

import structlog

from edge.store import exchange
from edge.store.backup import Backups, Finished
from edge.store.db import Store, open_store, open_threaded
from edge.store.exchange import Kind, NewExchange
from edge.world import SystemClock, in_thread
from tests.store.writer_process import charger, moment

clock = SystemClock()


async def back_up(store: Store, backups: Backups, folder: Path, first: int) -> None:
    for number in count(first):
        row = NewExchange(moment(), 0, Kind.DECISION, f'[2,"backup/{number}","",{{}}]')
        seq = await store.write(partial(exchange.append, new=row))
        os.write(1, f"{seq} backup/{number}\nB {number}\n".encode())
        unfinished = folder / f"{number}.part"
        with unfinished.open("wb") as file:
            async for part in backups.pieces():
                if isinstance(part, bytes):
                    file.write(part)
                elif isinstance(part, Finished):
                    unfinished.rename(folder / f"{number}.db")


async def main(path: Path, first: int, folder: Path) -> None:
    store = await open_store(path, open_threaded, clock)
    backups = Backups(store, path, open_threaded, in_thread, clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store.run())
        tasks.create_task(backups.run())
        for number in (1, 2):
            tasks.create_task(charger(store, number, first))
        await back_up(store, backups, folder, first)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))

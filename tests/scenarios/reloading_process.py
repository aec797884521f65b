"""A daemon that dies at a chosen point of its first reload: `python reloading_process.py CONFIG POINT [RUN]`.

POINT: `asked` (RELOADING=1 is told), `before` or `after` the RUN-th work of the database since then, `done` (READY=1 is
told again). Run by test_reload.py.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge import logs
from edge.config import check
from edge.daemon import build
from edge.store.db import Database, open_threaded
from edge.world import real_world

T = TypeVar("T")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killer:
    def __init__(self, point: str, run: int) -> None:
        self.point = point
        self.run = run
        self.is_reloading = False
        self.runs = 0

    def notify(self, state: str) -> None:
        if state.startswith("RELOADING=1"):
            self.is_reloading = True
            if self.point == "asked":
                die()
        elif state == "READY=1" and self.is_reloading and self.point == "done":
            die()

    async def open_database(self, path: Path) -> Database:
        return Killing(await open_threaded(path), self)


class Killing:
    """The writer's and the reader's connection."""

    def __init__(self, database: Database, killer: Killer) -> None:
        self._database = database
        self._killer = killer

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        killer = self._killer
        is_hit = False
        if killer.is_reloading:
            killer.runs += 1
            is_hit = killer.runs == killer.run
        if is_hit and killer.point == "before":
            die()

        def then_die(connection: sqlite3.Connection) -> T:
            result = function(connection)
            if is_hit and killer.point == "after":
                die()  # committed, and nobody has heard of it
            return result

        return await self._database.run(then_die)

    async def close(self) -> None:
        await self._database.close()


async def main(path: Path, point: str, run: int) -> None:
    config, problems = check(path)
    assert config is not None, problems
    killer = Killer(point, run)
    world = replace(real_world(), notify=killer.notify, open_database=killer.open_database)
    daemon = build(config, world, partial(check, path))
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.reload)
    await daemon.run()


if __name__ == "__main__":
    logs.set_up()
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0))

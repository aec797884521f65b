"""The simulated machine that runs the unmodified daemon: its lives, its disk, its clock, and how they end.

A crash is a power cut: nothing of the daemon runs any more, and the next life finds what was on the disk. An orderly
restart is what a Reset of the cloud or a technician sets off. Whatever else ends the daemon is a failure of it.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from edge.config import Config
from edge.daemon import Daemon, Ending, build
from edge.domain.timekeeping import Trust
from edge.world import World
from tests.simulation.loop import SimLoop
from tests.simulation.truth import Truth
from tests.simulation.world import SimClock, SimDisk, SimIds, SimNotify, SimOffload
from tests.simulation.write_ahead import copy_database

MACHINE = "edge"
OFF_S = (0.5, 40.0)
"""Seconds between the end of a life and the beginning of the next."""
WITHOUT_BATTERY = datetime(1970, 1, 1, tzinfo=UTC)


class Controller:
    """`after_crash` looks at the disk before the next life does."""

    def __init__(
        self, loop: SimLoop, folder: Path, config: Config, truth: Truth, after_crash: Callable[[Path], None]
    ) -> None:
        self.clock = SimClock(loop)
        self.disk = SimDisk(loop)
        self.daemon: Daemon | None = None
        self.died: list[str] = []
        """Lives that ended although nobody wanted that."""
        self.lives = 0
        self.path = folder / "edge-1.db"
        self.is_running = False
        self._is_synchronised = True
        self._loop = loop
        self._folder = folder
        self._config = config
        self._truth = truth
        self._after_crash = after_crash
        self._chance = random.Random(f"{loop.seed}/controller")
        self._keeps_time = self._chance.random() < 0.5
        """Its clock has a battery."""
        self._has_crashed = asyncio.Event()
        self._is_to_stop = False

    async def run(self) -> None:
        """One life after the other, until `stop`."""
        while not self._is_to_stop:
            await self._live()
            await asyncio.sleep(self._chance.uniform(*OFF_S))

    async def _live(self) -> None:
        self.lives += 1
        tag = f"{MACHINE}#{self.lives}"
        ids = SimIds(self._loop.seed, tag)
        world = World(
            self.clock, ids, self.disk.open_database, SimOffload(), SimNotify(self._loop), self._how_clock_was_set
        )
        store = replace(self._config.store, path=self.path)
        self.daemon = build(replace(self._config, store=store), world)
        self._has_crashed.clear()
        task = self._loop.launch(tag, self.daemon.run())
        self.is_running = True
        crash = self._loop.create_task(self._has_crashed.wait())
        await asyncio.wait({task, crash}, return_when=asyncio.FIRST_COMPLETED)
        self.is_running = False
        crash.cancel()
        if self._has_crashed.is_set():
            self._keep_disk()
        elif task.exception() is not None:
            self.died.append(f"life {self.lives}: {task.exception()!r}")
            self._loop.crash(tag)  # what was not unwound ends with the process; systemd starts it again
            self.disk.let_go(self.path)

    def _keep_disk(self) -> None:
        after = self._folder / f"edge-{self.lives + 1}.db"
        before, self.path = self.path, after
        self.disk.keep_after_crash(before, after)
        for left in self._folder.glob(f"{before.name}*"):
            left.unlink()
        looked_at = self._folder / "looked-at.db"
        copy_database(after, looked_at)
        self._after_crash(looked_at)
        for left in self._folder.glob(f"{looked_at.name}*"):
            left.unlink()

    # ── its clock ───────────────────────────────────────────────────────────────

    async def _how_clock_was_set(self) -> Trust:
        return Trust.NTP if self._is_synchronised else Trust.FLOOR

    def synchronise(self) -> None:
        """The time service sets the clock right."""
        self.clock.set_to(datetime.fromtimestamp(self._loop.wall_seconds(), UTC))
        self._is_synchronised = True

    def forget_time(self) -> bool:
        """As a clock without a battery does when the power is cut; whether this is one."""
        if not self._keeps_time:
            self.clock.set_to(WITHOUT_BATTERY)
            self._is_synchronised = False
        return not self._keeps_time

    # ── how lives end ───────────────────────────────────────────────────────────

    def crash(self) -> None:
        """The power is cut."""
        if self.is_running:
            self._truth.crashes.append(self._loop.time())
            self._loop.crash(f"{MACHINE}#{self.lives}")
            self._has_crashed.set()

    def restart(self) -> None:
        """In an orderly way."""
        if self.is_running and self.daemon.inside is not None:
            self.daemon.leave(Ending.RESTART)

    def stop(self) -> None:
        """The end of the run."""
        self._is_to_stop = True
        self.restart()

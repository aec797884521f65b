"""Tells the service manager that the daemon is well (`WATCHDOG=1`), and only while it is; and how the site does.

It is well while the event loop is not late, what must tick ticks, and the writer of the store *answers*: a commit that
fails is an answer, so a dead disk is never a reason to start again and drop every charger (docs/architecture.md).
Where nobody wants to hear it, nothing is said.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from edge.domain.ports import Clock
from edge.store import Connection, report
from edge.store.db import Store
from edge.world import World

LATE = 5.0
"""Seconds by which the loop may be late."""
ANSWERS_WITHIN = 60.0
"""Seconds in which the writer of the store commits or fails."""
LOOK_EVERY = 1.0
STATUS_EVERY = 20.0


class Vitals:
    """What must go on for the daemon to be alive. A part that must tick asks for its tick and calls it at each turn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._within: dict[str, float] = {}

    def expect(self, name: str, within: float) -> Callable[[], None]:
        """From now on `name` ticks at least every `within` seconds, by calling what it gets here."""

        def tick() -> None:
            self._last[name] = self._clock.monotonic()

        self._within[name] = within
        tick()
        return tick

    def silent(self) -> list[str]:
        """Those that have not ticked in time, and for how long."""
        now = self._clock.monotonic()
        return [
            f"{name} has not ticked for {now - last:.0f} s"
            for name, last in self._last.items()
            if now - last > self._within[name]
        ]


@dataclass(frozen=True, slots=True)
class Stored:
    """What the status line says of the store."""

    open_sessions: int
    parked_messages: int


@dataclass(frozen=True, slots=True)
class Life:
    """What there is to watch from the store's opening to its closing."""

    store: Store
    vitals: Vitals
    sentence: Callable[[Stored | None], str]
    """How the site does, for `systemctl status`. None: the store does not say."""


class Watchdog:
    """Outlives the lives of the daemon: between two of them only the loop is watched."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._clock = world.clock
        self.life: Life | None = None
        self._worst_lag = 0.0
        self._asked: asyncio.Future[Stored] | None = None
        self._said: str | None = None
        self._log = structlog.get_logger("edge.watchdog")

    async def run(self) -> None:
        """Until cancelled."""
        if not self._world.has_service_manager:
            await asyncio.Event().wait()
        wanted = self._world.watchdog
        every = STATUS_EVERY if wanted is None else min(STATUS_EVERY, wanted / 3)
        woke = self._clock.monotonic()
        while True:
            if wanted is not None:
                self._ping()
            self._ask_store()
            woke = await self._watch_loop(woke, woke + every)

    async def _watch_loop(self, woke: float, until: float) -> float:
        """Sleep in short steps; each that ends late says how late the loop was. When the last one ended.

        A step is counted from the end of the one before it: what held us between two of them is lateness as well.
        """
        while woke < until:
            due = min(woke + LOOK_EVERY, until)
            await asyncio.sleep(due - self._clock.monotonic())
            woke = self._clock.monotonic()
            self._worst_lag = max(self._worst_lag, woke - due)
        return woke

    def _ping(self) -> None:
        worst, self._worst_lag = self._worst_lag, 0.0
        wrong = [f"the loop was {worst:.1f} s late"] if worst >= LATE else []
        if self.life is not None:
            wrong += self.life.vitals.silent()
            silent_for = self._clock.monotonic() - self.life.store.answered_at
            if silent_for >= ANSWERS_WITHIN:
                wrong.append(f"the store has not answered for {silent_for:.0f} s")
        if wrong:
            self._log.error("watchdog_withheld", why=wrong)
        else:
            self._world.notify("WATCHDOG=1")

    def _ask_store(self) -> None:
        """A unit that only reads, so that the writer has something to answer when nothing else waits."""
        life = self.life
        if life is None or (self._asked is not None and not self._asked.done()):
            return
        if life.store.is_failing:
            self._say(life.sentence(None))
            return  # reading would succeed: whether the disk takes rows again is found out by writing one
        self._asked = life.store.submit(_look_up)
        self._asked.add_done_callback(lambda done: self._heard(life, done))

    def _heard(self, life: Life, done: asyncio.Future[Stored]) -> None:
        if done.cancelled() or self.life is not life:
            return
        self._say(life.sentence(None if done.exception() is not None else done.result()))

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            self._world.notify(f"STATUS={sentence}")


def _look_up(db: Connection) -> Stored:
    return Stored(report.count_open(db), len(report.parked(db)))

"""The world of one simulated machine: clock, identifiers, database, offload and notifications on virtual time.

These stand in for the fields of `edge.world.World`; the loop (`loop.py`) replaces the rest.
"""

import asyncio
import contextlib
import random
import sqlite3
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from tests.simulation.loop import SimLoop
from tests.simulation.write_ahead import WriteAheadLog, copy_database

T = TypeVar("T")

SECONDS_PER_DAY = 24 * 3600.0
MEMORY = Path(":memory:")
"""A database that needs no disk, and so goes on when the disk fails."""


@contextlib.contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A temporary folder where fsync costs nothing, if the machine has one: on a disk it takes most of a run."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


class SimClock:
    """A machine's clock: the monotonic one is the loop's, the wall clock may be wrong, drift and be set."""

    def __init__(self, loop: SimLoop, epoch: datetime | None = None, *, drift_per_day: float = 0.0) -> None:
        self._loop = loop
        self._set_at = loop.time()
        self._shown_then = (epoch or loop.epoch) + timedelta(seconds=0.0 if epoch else loop.elapsed())
        self._rate = 1.0 + drift_per_day / SECONDS_PER_DAY

    def utc_now(self) -> datetime:
        return self._shown_then + timedelta(seconds=(self._loop.time() - self._set_at) * self._rate)

    def monotonic(self) -> float:
        return self._loop.time()

    def step(self, seconds: float) -> None:
        """Someone sets the wall clock, forwards or back."""
        self.set_to(self.utc_now() + timedelta(seconds=seconds))

    def set_to(self, instant: datetime) -> None:
        self._shown_then, self._set_at = instant, self._loop.time()

    def drift(self, seconds_per_day: float) -> None:
        """From now on the wall clock gains so much; negative: loses."""
        self.set_to(self.utc_now())
        self._rate = 1.0 + seconds_per_day / SECONDS_PER_DAY


class SimIds:
    """Identifiers and chance that follow from the seed; every incarnation draws others."""

    def __init__(self, seed: int, incarnation: str = "") -> None:
        self._chance = random.Random(f"{seed}/ids/{incarnation}")

    def message_id(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def jitter(self, upto: float) -> float:
        return self._chance.uniform(0.0, upto)

    def number(self, low: int, high: int) -> int:
        return self._chance.randint(low, high)


class SimOffload:
    """Runs the function inline, after the moment that a thread would take."""

    def __init__(self, seconds: float = 0.001) -> None:
        self._seconds = seconds

    async def __call__(self, function: Callable[[], T]) -> T:
        await asyncio.sleep(self._seconds)
        return function()


class SimNotify:
    """Collects what would go to systemd, each with its virtual time."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.sent: list[tuple[float, str]] = []

    def __call__(self, state: str) -> None:
        self.sent.append((self._loop.elapsed(), state))

    def states(self) -> list[str]:
        return [state for _, state in self.sent]


class SimDisk:
    """A machine's disk: opens databases whose work takes virtual time, and fails on request.

    `open_database` has the signature that the world asks for. One disk serves all lives of a machine.
    """

    def __init__(self, loop: SimLoop, *, fastest: float = 0.0002, slowest: float = 0.005) -> None:
        self.fastest = fastest
        self.slowest = slowest
        self.chance = random.Random(f"{loop.seed}/disk")
        self.commits = 0
        self.frames = 0
        """Pages that went into write-ahead logs."""
        self.syncs = 0
        """Commits that wrote something and waited until it was on the disk."""
        self.is_full = False
        """As long as it is, every commit fails."""
        self.takes_nothing = False
        """But for a commit of nothing: SQLite does not ask the disk for that."""
        self.failed_at: list[float] = []
        """When commits failed, of each the time of the loop."""
        self._loop = loop
        self._open: list[SimDatabase] = []
        self._logs: dict[Path, WriteAheadLog] = {}
        self._failing_commits: deque[str] = deque()
        self._failing_opens: deque[str] = deque()
        self._recovers_when_opened = False
        loop.at_close.append(self._let_go)

    async def open_database(self, path: Path) -> "SimDatabase":
        await asyncio.sleep(self.delay())
        if self._failing_opens and path != MEMORY:
            raise sqlite3.OperationalError(self._failing_opens.popleft())
        if self._recovers_when_opened:
            self.recover()
        database = SimDatabase(self._loop, self, path)
        self._open.append(database)
        return database

    def fail_commits(
        self, times: int, message: str = "database or disk is full", *, until_reopened: bool = False
    ) -> None:
        """The next commits raise sqlite3.OperationalError; whether SQLite rolled back by itself is left to chance.

        `until_reopened`: as after a failed fsync, whoever opens the file anew finds it in order.
        """
        self._failing_commits.extend([message] * times)
        self._recovers_when_opened = until_reopened

    def fail_opens(self, times: int, message: str = "unable to open database file") -> None:
        self._failing_opens.extend([message] * times)

    def recover(self) -> None:
        self._failing_commits.clear()
        self._failing_opens.clear()

    def delay(self) -> float:
        return self.chance.uniform(self.fastest, self.slowest)

    def keep_after_crash(self, path: Path, to: Path) -> None:
        """Copies a database and its WAL as the crash left them, for the next life; then lets go of the old one.

        What was committed without waiting for the disk is lost, but for what the disk has got by itself meanwhile.
        """
        log = self._logs.pop(path, None)
        if log is None or log.is_on_disk:
            copy_database(path, to)
        else:
            log.restore(to)
        self.let_go(path)

    def let_go(self, path: Path) -> None:
        """Whoever had it open is no more."""
        for database in [each for each in self._open if each.path == path]:
            database.abandon()

    def _let_go(self) -> None:
        for database in list(self._open):
            database.abandon()

    def forget(self, database: "SimDatabase") -> None:
        if database in self._open:
            self._open.remove(database)

    def before_commit(self, connection: "SimConnection") -> None:
        fails = self._failing_commits or self.is_full
        if fails and (connection.has_written or not self.takes_nothing):
            self.failed_at.append(self._loop.time())
            if self.chance.random() < 0.5 and connection.in_transaction:
                connection.rollback()
            why = self._failing_commits.popleft() if self._failing_commits else "database or disk is full"
            raise sqlite3.OperationalError(why)
        self.commits += 1

    def after_commit(self, connection: sqlite3.Connection, path: Path) -> None:
        log = self._logs.get(path)
        if log is None:
            log = self._logs[path] = WriteAheadLog(path)
        frames = log.written()
        if frames:
            self.frames += frames
            if log.was_waited_for(connection, self._loop.time()):
                self.syncs += 1


class SimConnection(sqlite3.Connection):
    """Asks its disk before each COMMIT."""

    disk: SimDisk
    path = MEMORY
    _changes = 0

    @property
    def has_written(self) -> bool:
        """Since it began; a commit of nothing does not ask the disk."""
        return self.total_changes > self._changes

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            self._changes = self.total_changes
        if sql.lstrip()[:6].upper() != "COMMIT" or self.path is MEMORY:
            return super().execute(sql, parameters)
        self.disk.before_commit(self)
        done = super().execute(sql, parameters)
        self.disk.after_commit(self, self.path)
        return done

    def commit(self) -> None:
        if self.in_transaction:
            self.execute("COMMIT").close()


class SimDatabase:
    """What the store's writer runs its functions on: one at a time, in order, each after a modelled delay.

    As with a thread, a function that was handed over runs even when its caller is cancelled; the caller hears of
    the result some time after the commit, so that a crash can come in between.
    """

    def __init__(self, loop: SimLoop, disk: SimDisk, path: Path) -> None:
        self.path = path
        self._loop = loop
        self._disk = disk
        self._queue: deque[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = deque()
        self._is_closed = False
        self._connection = sqlite3.connect(path, isolation_level=None, factory=SimConnection)
        self._connection.disk = disk
        self._connection.path = MEMORY if path == MEMORY else path

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if self._is_closed:
            raise ValueError(f"database {self.path.name} is closed")
        done: asyncio.Future[T] = self._loop.create_future()
        self._queue.append((function, done))
        if len(self._queue) == 1:
            self._loop.call_later(self._disk.delay(), self._work)
        return await done

    async def close(self) -> None:
        if not self._is_closed:
            await self.run(lambda _connection: None)  # what was handed over comes first
            self.abandon()

    def abandon(self) -> None:
        """Lets go of the file; nothing that was queued runs."""
        self._is_closed = True
        self._queue.clear()
        self._connection.close()
        self._disk.forget(self)

    def _work(self) -> None:
        if self._is_closed:
            return
        function, done = self._queue[0]
        try:
            result = function(self._connection)
        except Exception as error:  # noqa: BLE001  # it belongs to the caller
            self._loop.call_later(self._disk.delay(), self._tell, done, None, error)
        else:
            self._loop.call_later(self._disk.delay(), self._tell, done, result, None)

    def _tell(self, done: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        if self._is_closed:
            return
        self._queue.popleft()
        if self._queue:
            self._loop.call_later(self._disk.delay(), self._work)
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

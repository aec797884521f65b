"""The one SQLite writer.

A *unit* is a plain function of a connection: it reads, decides and writes, and touches no other state. `Store.write`
returns its result only after the commit that holds it (`journal_mode=WAL`, `synchronous=FULL`); whoever waits at the
same time shares one commit, each in a savepoint of its own, so that a unit that raises takes nothing with it.
When the commit fails, every waiter of the group gets `CommitFailed` and nothing of the group is stored.

Rows for diagnosis use `defer`: they ride in the next commit, at most `RIDE_AT_MOST` seconds later.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import aiosqlite
import structlog

from edge.domain.ports import Clock, EdgeError
from edge.store import boots, capacity, carving, chains, damage, measured, repeats
from edge.store.capacity import Pages
from edge.store.files import make_folder, to_disk
from edge.store.migration import StoreDamaged, StoreUnusable, keep_copy, migrate
from edge.store.reserve import is_full, with_reserve

T = TypeVar("T")
Unit = Callable[[sqlite3.Connection], T]

APPLICATION_ID = 0x45444745  # "EDGE"
GROUP_AT_MOST = 512
RIDE_AT_MOST = 10.0
"""Seconds that a deferred row may wait for a commit to ride in."""
SETTLE_AFTER = 300.0
"""Seconds after which the ends of the chains are copied into the tables: it costs three pages, and a start rolls them
forward anyway."""
RIDERS_TOGETHER = 50
"""So many are committed although nobody waits."""
RIDERS_AT_MOST = 10_000
RETRY_PAUSE = 5.0
"""Seconds after a failed commit before what rides along is tried again by itself."""
CLOSING_TRIES = 3

# Each is verified after it was set: a setting that is silently refused (journal_mode on a file
# system without shared memory, say) would break the promise that an acknowledged event survives a power cut.
SETTINGS: tuple[tuple[str, str | int, int | str], ...] = (
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("foreign_keys", "ON", 1),
    ("busy_timeout", 5000, 5000),
    ("journal_size_limit", 4 * 1024 * 1024, 4 * 1024 * 1024),
    ("temp_store", "MEMORY", 2),
    ("mmap_size", 0, 0),
    ("cell_size_check", "ON", 1),
    ("trusted_schema", "OFF", 0),
)


class CommitFailed(EdgeError):
    """Nothing of this group was stored."""


class Database(Protocol):
    """One SQLite connection that lives in a place where blocking is allowed."""

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T: ...

    async def close(self) -> None: ...


class OpenDatabase(Protocol):
    """Opens a connection; `edge/world.py` has the real one, the simulation its own."""

    def __call__(self, path: Path) -> Awaitable[Database]: ...


class ThreadedConnection(aiosqlite.Connection):
    """aiosqlite with the one thing that it lacks: running a whole function in its thread, one hop a group.

    `_execute` is private; the dependency is pinned and tests/store guards its behaviour.
    """

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result


async def open_threaded(path: Path) -> Database:
    """A connection in aiosqlite's thread."""
    connection = ThreadedConnection(lambda: sqlite3.connect(path, isolation_level=None), iter_chunk_size=64)
    await connection
    return connection


@dataclass(slots=True)
class _Waiting:
    unit: Unit[Any]
    done: asyncio.Future[Any] | None
    since: float
    told: Callable[[Any], None] | None = None
    is_look: bool = False


class Store:
    """The database of one site. `run` is its writer task; open one with `open_store`."""

    def __init__(self, writer: Database, reader: Database, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._riding: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._unsettled_since: float | None = None
        self._retry_at = 0.0
        self._log = structlog.get_logger("edge.store")
        self.commits = 0
        self.failed_commits = 0
        self.dropped_riders = 0
        self._is_closed = False
        self.is_failing = False
        """The last commit failed."""
        self.damage: str | None = None
        """Of the file, to which nothing is written any more then."""
        self.misread: Exception | None = None
        """What a unit raised last of `damage.UNREADABLE`."""
        self.answered_at = clock.monotonic()
        """When the writer last committed or failed, for the watchdog."""
        self.pages: Pages | None = None
        """Of the file, at the last commit."""

    def submit(self, unit: Unit[T], told: Callable[[T], None] | None = None) -> asyncio.Future[T]:
        """Queue a unit now; the future is done after its commit. Cancelling the future does not stop the unit.

        `told` gets the result of a unit that is stored, also when nobody waits for the future any more; it is called
        when all of the group who wait have had their turn.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._is_closed:  # a view that straddles a reopening; nobody would ever answer it
            done.set_exception(CommitFailed("nothing of this was stored: the store is closed"))
            return done
        self._waiting.append(_Waiting(unit, done, self._clock.monotonic(), told))
        self._wake.set()
        return done

    async def write(self, unit: Unit[T]) -> T:
        """The unit's result, after its commit. Raises what the unit raised, or CommitFailed.

        Cancelling the caller does not stop the unit.
        """
        return await self.submit(unit)

    def look(self, unit: Unit[T]) -> asyncio.Future[T]:
        """As `submit`, for a unit that hardly ever writes: what rides along is not put on the disk for its sake.

        That it worked says nothing of the disk.
        """
        done = self.submit(unit)
        if self._waiting and self._waiting[-1].done is done:  # else the store is closed
            self._waiting[-1].is_look = True
        return done

    def defer(self, unit: Unit[Any]) -> None:
        """Let a unit ride in the next commit. Only for what may be lost in a crash."""
        self._riding.append(_Waiting(unit, None, self._clock.monotonic()))
        if len(self._riding) > RIDERS_AT_MOST:
            self._riding.popleft()  # the disk is dead: diagnosis must not eat the memory as well
            self.dropped_riders += 1
        self._wake.set()

    async def read(self, query: Unit[T]) -> T:
        """The query's result on the read-only connection. For showing, never for deciding.

        Raises CommitFailed on a store that is closed.
        """
        if self._unsettled_since is not None or self._riding:
            try:
                await self.write(chains.settle)
            except CommitFailed as error:
                # Whoever looks inside because the disk is full must see what there is.
                self._log.warning("shown_without_the_newest", why=str(error))
        if self._is_closed:
            raise CommitFailed("nothing can be read: the store is closed")
        try:
            return await self._reader.run(query)
        except sqlite3.DatabaseError as error:
            self._note(error)
            raise

    def _note(self, error: Exception) -> None:
        if damage.is_damage(error) and self.damage is None:
            self.damage = str(error)
            self._log.error("store_found_damaged", why=self.damage)

    async def run(self) -> None:
        """The writer. Ends when cancelled; `close` then stores what is left."""
        while True:
            await self._company()
            await self._take_group()

    async def _company(self) -> None:
        """Wait for a unit that someone waits for, or until what rides along has waited long enough."""
        while not self._waiting:
            self._wake.clear()
            until = self._next_by_itself()
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _next_by_itself(self) -> float | None:
        """When to commit although nobody waits."""
        if self._riding:
            patience = 0.0 if len(self._riding) >= RIDERS_TOGETHER else RIDE_AT_MOST
            return max(self._riding[0].since + patience, self._retry_at)
        return None if self._unsettled_since is None else max(self._unsettled_since + SETTLE_AFTER, self._retry_at)

    def _is_only_looked_at(self, now: float) -> bool:
        """Whether nobody who waits needs a commit, and what rides along can wait on."""
        by_itself = self._next_by_itself()
        is_time = by_itself is not None and now >= by_itself
        return bool(self._waiting) and not is_time and all(item.is_look for item in self._waiting)

    async def _take_group(self) -> bool:
        """Commit what waits, with what rides along; whether that worked."""
        now = self._clock.monotonic()
        group: list[_Waiting] = []
        if not self._is_only_looked_at(now):
            group += self._riding
            self._riding.clear()
        # However many ride along while the disk fails: whoever waits is answered.
        group += [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_AT_MOST))]
        is_settling = self._unsettled_since is not None and now >= self._unsettled_since + SETTLE_AFTER
        if is_settling:
            group.append(_Waiting(chains.settle, None, now))
        elif self._unsettled_since is None:
            self._unsettled_since = now
        is_stored = await self._group(group)
        if not is_stored:
            self._retry_at = self._clock.monotonic() + RETRY_PAUSE
        elif is_settling:
            self._unsettled_since = None
        return is_stored

    async def _group(self, group: list[_Waiting]) -> bool:
        try:
            if self.damage is not None:
                raise sqlite3.DatabaseError(self.damage)
            units = [item.unit for item in group]
            outcomes, self.pages = await self._writer.run(
                lambda connection: (with_reserve(connection, _run_group, units), capacity.pages(connection))
            )
        except sqlite3.Error as error:
            self.failed_commits += 1
            self.is_failing = True
            self._note(error)
            self._log.error("commit_failed", error=str(error), units=len(group))
            self._riding.extendleft(
                item for item in reversed(group) if item.done is None and item.unit != chains.settle
            )
            for item in group:
                if item.done is not None and not item.done.done():
                    item.done.set_exception(CommitFailed(f"nothing of this was stored: {error}"))
            return False
        finally:
            self.answered_at = self._clock.monotonic()
        self.commits += 1
        if not all(item.is_look for item in group):
            self.is_failing = False  # a commit of nothing succeeds on a full disk as well
        self._answer(group, outcomes)
        return True

    def _answer(self, group: list[_Waiting], outcomes: list[tuple[Any, Exception | None]]) -> None:
        """After the commit: first whoever waits, then whoever is told."""
        for item, (result, error_of_unit) in zip(group, outcomes, strict=True):
            if isinstance(error_of_unit, damage.UNREADABLE):
                self.misread = error_of_unit
            if item.done is None:
                if error_of_unit is not None:
                    self._log.error("deferred_unit_failed", exc_info=error_of_unit)
            elif item.done.done():
                continue  # whoever asked was cancelled; the unit is stored all the same
            elif error_of_unit is not None:
                item.done.set_exception(error_of_unit)
            else:
                item.done.set_result(result)
        loop = asyncio.get_running_loop()
        for item, (result, error_of_unit) in zip(group, outcomes, strict=True):
            if item.told is not None and error_of_unit is None:
                loop.call_soon(item.told, result)

    async def close(self) -> None:
        """Store what still waits, then let go of the file. Call after `run` has ended."""
        failures = 0
        while (self._waiting or self._riding) and failures < CLOSING_TRIES:
            failures += not await self._take_group()
        await self._group([_Waiting(chains.settle, None, self._clock.monotonic())])
        self._is_closed = True
        for item in self._waiting:
            if item.done is not None and not item.done.done():
                item.done.set_exception(CommitFailed("nothing of this was stored: the disk was given up"))
        await self._reader.close()
        await (self._writer.close() if self.damage is None else damage.close_untouched(self._writer))


def _run_group(connection: sqlite3.Connection, units: list[Unit[Any]]) -> list[tuple[Any, Exception | None]]:
    """All units in one commit, each in its savepoint. Runs where blocking is allowed."""
    outcomes: list[tuple[Any, Exception | None]] = []
    connection.execute("BEGIN IMMEDIATE")
    try:
        for unit in units:
            connection.execute("SAVEPOINT unit")
            try:
                outcomes.append((unit(connection), None))
            except Exception as error:  # it belongs to whoever submitted the unit
                if not connection.in_transaction or damage.is_damage(error) or is_full(error):
                    raise  # it is not this unit's: the disk is full, or broken, or the file is
                connection.execute("ROLLBACK TO unit")
                is_unfit = isinstance(error, StopIteration)  # which no future takes
                outcomes.append((None, RuntimeError(f"a unit let {error!r} out") if is_unfit else error))
            connection.execute("RELEASE unit")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return outcomes


async def open_store(path: Path, open_database: OpenDatabase, clock: Clock) -> Store:
    """The store at `path`, created or migrated if need be. Raises StoreUnusable, StoreDamaged or StoreForeign."""
    try:
        prepare_file(path)
        writer = await open_database(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{path}: {error}") from error
    try:
        await writer.run(configure)
        await writer.run(lambda connection: keep_copy(connection, path))
        for step in (migrate, carving.require_columns, chains.load, repeats.load, measured.load, boots.counters):
            await writer.run(step)
        reader = await open_database(path)
        await reader.run(lambda connection: connection.execute("PRAGMA query_only = ON").close())
    except damage.ON_OPENING as error:
        raise await damage.let_go(writer, error, path) from error
    except BaseException:
        await writer.close()
        raise
    return Store(writer, reader, clock)


def prepare_file(path: Path, fill: Callable[[sqlite3.Connection], None] | None = None) -> None:
    """Create the file under another name, then rename it. `fill` puts into it what it must not be without.

    A power cut inside the very first page write leaves an unreadable file (measured); it must not bear the real name.
    """
    if path.exists():
        return
    make_folder(path.parent)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)
        if fill is not None:
            fill(connection)
    finally:
        connection.close()
    fresh.chmod(0o600)
    fresh.rename(path)
    to_disk(path.parent)


def configure(connection: sqlite3.Connection) -> None:
    """Put the settings in force and verify them. Raises StoreUnusable."""
    if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
        raise StoreDamaged("the database is damaged: the file is empty")
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if found != APPLICATION_ID:
        why = f"not a database of ocpp-edge (application_id {found:#x}); choose another store.path"
        raise damage.or_foreign(connection, why)
    for name, value, expected in SETTINGS:
        connection.execute(f"PRAGMA {name} = {value}").close()
        got = connection.execute(f"PRAGMA {name}").fetchone()[0]
        if got != expected:
            raise StoreUnusable(f"PRAGMA {name} is {got!r} instead of {expected!r}: the file system may not support it")
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        raise damage.or_foreign(connection, "auto_vacuum is not INCREMENTAL: the file was not made by ocpp-edge")
    verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if damage.is_unfinished(verdict):
        raise StoreUnusable(f"the database could not be checked: {verdict}")
    if verdict != "ok":
        raise StoreDamaged(f"the database is damaged: {verdict}")

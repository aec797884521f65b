"""A consistent copy of the store, made while the writer goes on.

What comes in is a request (`pieces`); what goes out is the copy as a stream of bytes. `Backups.run` owns the work: a
connection of its own holds one snapshot and SQLite's backup reads it a few pages at a time into a temporary file
beside the store, with a rest as long as each step took, so that the commits of the writer find the disk free. The copy
is checked, its name removed, and its bytes handed out. Whatever ends the request ends the work, and the file with it;
what a kill leaves behind is removed at the next start. `edge/store/restore.py` puts a copy back.
"""

import asyncio
import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import structlog

from edge.domain.ports import Clock, EdgeError, Offload
from edge.store import chains
from edge.store.db import CommitFailed, OpenDatabase, Store
from edge.store.files import COPYING, remove, remove_leftovers
from edge.store.inspection import Contents, Unusable, inspect, note

PAGES_A_STEP = 64
REST_AT_LEAST = 0.002
"""Seconds after each step; else as long as the step took."""
PIECE_BYTES = 65_536
WITHIN = 3600.0
"""Seconds in which a backup has to be done, the slow reader at its other end included."""
LEAVE_FREE = 64 * 1024 * 1024
"""Bytes of the disk that the copy must leave free for the writer."""
LEAVE_SHARE = 0.6
"""Of the copy's size, besides: with less free, the store would count as filling (`edge/housekeeping.py`)."""
INTERRUPT_EVERY = 20_000
"""Steps of SQLite's machine between two looks whether anybody still wants the result."""


class BackupRunning(EdgeError):
    """One is being made already."""


class BackupFailed(EdgeError):
    """No copy could be made; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    phase: str
    done: int
    of: int


@dataclass(frozen=True, slots=True)
class Finished:
    """All pieces were handed out; `sha256` is that of all of them."""

    sha256: str


Part: TypeAlias = Progress | Contents | bytes | Finished


class _GivenUp(Exception):
    """Nobody waits for the copy any more."""


@dataclass(slots=True)
class _Copy:
    """The finished copy: a file without a name."""

    handle: int
    contents: Contents
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, offset: int) -> bytes:
        with self._lock:  # it is read in a thread, and may be closed meanwhile
            return b"" if self.handle < 0 else os.pread(self.handle, PIECE_BYTES, offset)

    def close(self) -> None:
        with self._lock:
            if self.handle >= 0:
                os.close(self.handle)
            self.handle = -1


@dataclass(slots=True)
class _Job:
    """One backup on its way. The thread writes the progress, everybody may give it up."""

    monotonic: Callable[[], float]
    until: float
    made_wall_ms: int
    done: "asyncio.Future[_Copy]"
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing is left of the work."""
    given_up: threading.Event = field(default_factory=threading.Event)
    progress: Progress = Progress("waiting", 0, 0)
    copy: _Copy | None = None

    def rest(self, since: float) -> float:
        """Let the writer have the disk for as long as the step took; the time after it. Raises if it is no use."""
        took = self.monotonic() - since
        if self.given_up.wait(max(REST_AT_LEAST, took)):
            raise _GivenUp
        now = self.monotonic()
        if now > self.until:
            raise BackupFailed(f"the backup was not done within {WITHIN / 60:.0f} minutes")
        return now


class Backups:
    """Makes backups of the store at `path`, one at a time; `run` is its task. None: nothing is on disk."""

    def __init__(
        self, store: Store, path: Path | None, open_database: OpenDatabase, offload: Offload, clock: Clock
    ) -> None:
        self._store = store
        self._path = path
        self._open_database = open_database
        self._offload = offload
        self._clock = clock
        self._job: _Job | None = None
        self._wake = asyncio.Event()
        self._log = structlog.get_logger("edge.backup")

    async def run(self) -> None:
        """Make what is asked for. Ends when cancelled."""
        try:
            if self._path is not None:
                await self._offload(partial(remove_leftovers, self._path))
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._job is not None:
                    await self._serve(self._job)
        finally:
            if self._job is not None:
                self._job.ended.set()

    async def pieces(self) -> AsyncGenerator[Part, None]:
        """Progress while it is made, its contents, its bytes, its digest. Raises BackupRunning or BackupFailed.

        Closing the generator ends the backup.
        """
        if self._job is not None:
            raise BackupRunning("a backup is running")
        now = self._clock.monotonic()
        made = round(self._clock.utc_now().timestamp() * 1000)
        done: asyncio.Future[_Copy] = asyncio.get_running_loop().create_future()
        job = self._job = _Job(self._clock.monotonic, now + WITHIN, made, done)
        self._wake.set()
        try:
            while not done.done():
                yield job.progress
                await asyncio.wait([done], timeout=1.0)
            copy = done.result()
            yield copy.contents
            digest, offset = hashlib.sha256(), 0
            while piece := await self._offload(partial(copy.read, offset)):
                digest.update(piece)
                offset += len(piece)
                yield piece
                if self._clock.monotonic() > job.until:
                    raise BackupFailed("whoever asked for the backup takes it too slowly")
            yield Finished(digest.hexdigest())
        finally:
            job.given_up.set()
            if not done.cancel():
                done.exception()  # whoever asked may have gone before it was told
            if job.copy is not None:
                job.copy.close()
            try:
                await job.ended.wait()
            finally:
                self._job = None

    async def _serve(self, job: _Job) -> None:
        try:
            copy = await self._make(job)
        except _GivenUp:
            self._log.info("backup_given_up")
        except (BackupFailed, sqlite3.Error, OSError) as error:
            told = error if isinstance(error, BackupFailed) else BackupFailed(f"the copy failed: {error}")
            if not job.done.done():
                job.done.set_exception(told)
        else:
            self._log.info("backup_made", size=copy.contents.size, sessions=copy.contents.sessions)
            if not job.done.done():
                job.done.set_result(copy)
        finally:
            if not job.done.done():
                job.done.set_exception(BackupFailed("the daemon is stopping"))
            if job.copy is not None and (job.done.cancelled() or job.done.exception() is not None):
                job.copy.close()
            job.ended.set()

    async def _make(self, job: _Job) -> _Copy:
        if self._path is None:
            raise BackupFailed("nothing is stored at present: control-only mode (edge status says why)")
        target = self._path.with_name(self._path.name + COPYING)
        try:
            await self._store.write(chains.settle)
        except CommitFailed as error:
            # A copy is never wanted more than now; the ends of the chains are found again in it.
            self._log.warning("backup_without_settling", why=str(error))
        source = await self._open_database(self._path)
        try:
            return await source.run(lambda connection: _copy(connection, target, job))
        finally:
            job.given_up.set()  # when we are cancelled the thread is still at it, and may open the name once more
            try:
                await source.close()
            finally:
                remove(target)


def require_space(folder: Path, size: int, leave: int) -> None:
    """Raises BackupFailed when a copy of that many bytes would leave less than `leave` free."""
    free = shutil.disk_usage(folder).free
    if free < size + leave:
        raise BackupFailed(
            f"the copy needs {size / 1e6:.1f} MB in {folder} and has to leave {leave / 1e6:.0f} MB, but only "
            f"{free / 1e6:.0f} MB are free there: remove what is not needed"
        )


def _copy(source: sqlite3.Connection, target: Path, job: _Job) -> _Copy:
    """The whole work of the thread: snapshot, copy, look through it; the caller removes the name."""
    remove(target)
    size = _snapshot(source)
    require_space(target.parent, size, LEAVE_FREE + round(size * LEAVE_SHARE))
    handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _copy_pages(source, target, handle, job)
        contents = _complete(target, job)
        job.copy = _Copy(os.open(target, os.O_RDONLY | os.O_CLOEXEC), contents)
    finally:
        os.close(handle)
    return job.copy


def _snapshot(source: sqlite3.Connection) -> int:
    """Bytes of the store as it is now. Until `source` ends its transaction it sees this state and no other.

    Without it the backup would begin anew with each commit of the writer (SQLite, "Online Backup API").
    """
    source.execute("PRAGMA query_only = ON").close()
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM meta").fetchone()
    pages, page_bytes = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages) * int(page_bytes)


def _copy_pages(source: sqlite3.Connection, target: Path, handle: int, job: _Job) -> None:
    since = job.monotonic()

    def step(_status: int, remaining: int, total: int) -> None:
        nonlocal since
        job.progress = Progress("copying", total - remaining, total)
        os.fdatasync(handle)  # little by little: a commit must not wait for all of it at once
        since = job.rest(since)

    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        for setting in ("synchronous = OFF", "journal_mode = OFF"):
            copy.execute(f"PRAGMA {setting}").close()
        source.backup(copy, pages=PAGES_A_STEP, progress=step)
    source.rollback()  # the WAL may be reset again


def _complete(target: Path, job: _Job) -> Contents:
    """Make it one file that needs no other and knows when it was made; what is in it, looked through."""
    since = job.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal since
        job.progress = Progress("checking", done, of)
        since = job.rest(since)

    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        copy.set_progress_handler(job.given_up.is_set, INTERRUPT_EVERY)
        copy.execute("PRAGMA synchronous = OFF").close()
        copy.execute("PRAGMA journal_mode = DELETE").close()
        chains.load(copy)
        try:
            contents = inspect(copy, tell)
        except Unusable as error:
            raise BackupFailed(f"the copy cannot be used, and so the store may be damaged: {error}") from error
        note(copy, job.made_wall_ms, contents.damaged)
    return replace(contents, made_wall_ms=job.made_wall_ms, size=target.stat().st_size)

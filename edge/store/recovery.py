"""Before a store is opened: a damaged one is put aside, and one that goes on after it is put in its place.

`prepare` comes before each opening, `replace` after one that has shown damage. Both may be stopped at any moment: the
next start goes on. The new store is whole before it bears its name. What of the old one is not needed to serve chargers
is brought back afterwards (`edge/salvaging.py`).
"""

import contextlib
import errno
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

import structlog

from edge.store import carving, keepsake, quarantine, reserve, succeeding
from edge.store.db import APPLICATION_ID, prepare_file
from edge.store.keepsake import Keepsake
from edge.store.migration import StoreDamaged, StoreUnusable
from edge.store.pages import Pages, log_damage
from edge.store.quarantine import Quarantined
from edge.store.salvage import Reading
from edge.store.succeeding import Salvage

T = TypeVar("T")

SURVEY_SECONDS = 4.0
"""For reading all but the journal before chargers are served: 1 GB on a disk of 250 MB/s; the rest comes later."""
ENOUGH, ENOUGH_WITHIN = 3, 3600.0
"""Quarantines within so many seconds; then the daemon lives without a disk (control-only mode)."""
LOOKED_AT = 4096
"""Pages in which one row of ours has to be found, where nothing else says that the file is ours."""
LOGS = ("-wal", "-journal")
"""What SQLite would take for the log of a new file of that name."""


def prepare(store: Path, now: datetime, monotonic: Callable[[], float]) -> None:
    """Make sure that what stands at this path can be opened, as far as that is known without opening it.

    Raises StoreUnusable when the disk does not let us, or when a log lies there that is not ours to move.
    """
    with _disk_at(store):
        _prepare(store, now, monotonic)


def _prepare(store: Path, now: datetime, monotonic: Callable[[], float]) -> None:
    quarantine.finish(store)
    if store.exists():
        damage = log_damage(store)
        if damage is not None and is_ours(store):  # of another's, opening it says what it is
            _put_aside(store, StoreDamaged(damage, store), now)
    elif logs := [log.name for log in _parts(store, LOGS)]:
        if not is_ours(store):
            names = ", ".join(logs)
            raise StoreUnusable(f"{store} is not there, and {names} beside it is not its log: move that away yourself")
        _put_aside(store, StoreDamaged("the file is gone, only its log is left", store), now)
    if not store.exists():
        _succeed(store, now, monotonic)


def replace(store: Path, damage: StoreDamaged, now: datetime, monotonic: Callable[[], float]) -> None:
    """Put a damaged store aside and a new one in its place. Raises `damage` when it is not ours to move."""
    with _disk_at(store):
        if not is_ours(store):
            raise damage
        _put_aside(store, damage, now)
        _succeed(store, now, monotonic)


@contextlib.contextmanager
def _disk_at(store: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, ValueError, OverflowError) as error:
        raise StoreUnusable(f"{store}: {error}") from error


def _has_had_enough(store: Path, now: datetime) -> bool:
    """On a disk that damages each new store there is no use in another one.

    A clock may begin at the same time with each start. So what a store has served for a while after is long ago.
    """
    since = takewhile(lambda one: not one.is_outlived, reversed(quarantine.all_of(store)))
    lately = [one for one in since if abs((now - one.at).total_seconds()) < ENOUGH_WITHIN]
    return len(lately) >= ENOUGH


def is_ours(store: Path) -> bool:
    """Whether this is what is left of a store, and not files of somebody else to which a wrong path leads."""
    if keepsake.path_of(store).exists() or not any(part.stat().st_size for part in _parts(store, ("", *LOGS))):
        return True
    pages = Pages(store)
    try:
        first = pages.page(1)
        if first is not None and int.from_bytes(first[68:72], "big") == APPLICATION_ID:
            return True
        return any(
            row.shape.table != "meta"
            for image in pages.images(0, LOOKED_AT)
            for row in carving.rows(image.number, image.content, pages.page)
        )
    finally:
        pages.close()


def _parts(store: Path, suffixes: Sequence[str]) -> list[Path]:
    """Those of its files that are there."""
    return [part for suffix in suffixes if (part := store.with_name(store.name + suffix)).exists()]


def _put_aside(store: Path, damage: StoreDamaged, now: datetime) -> None:
    """Raises `damage` when that has been done often enough."""
    if _has_had_enough(store, now):
        raise damage
    put = _in_room(store, lambda: quarantine.put_aside(store, damage.why, now))
    structlog.get_logger("edge.store").error("store_quarantined", folder=str(put.folder), why=damage.why)


def _in_room(store: Path, work: Callable[[], T]) -> T:
    """On a full disk what is kept for starts and stops is given up for it: without a store none would be stored."""
    try:
        return work()
    except (OSError, sqlite3.Error) as error:
        if not _is_full(error) or not reserve.is_held(store):
            raise
    reserve.path_of(store).unlink()
    structlog.get_logger("edge.store").error("reserve_released", bytes=reserve.RESERVE_BYTES)
    return work()


def _is_full(error: Exception) -> bool:
    return reserve.is_full(error) or (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT})


def _succeed(store: Path, now: datetime, monotonic: Callable[[], float]) -> None:
    """A new store after the quarantines that are not finished, or after one of which only the keepsake is left."""
    damaged = quarantine.unfinished(store)
    kept = keepsake.read(store)
    if not damaged and kept is None:
        return  # the first life of a site
    held = _in_room(store, lambda: _successor(store, damaged, kept, now, monotonic))
    structlog.get_logger("edge.store").warning("store_succeeded", held_sessions=held)


def _successor(
    store: Path, damaged: Sequence[Quarantined], kept: Keepsake | None, now: datetime, monotonic: Callable[[], float]
) -> int:
    """Make it; how many sessions it holds back."""
    now_ms = round(now.timestamp() * 1000)
    if not damaged:
        return _made(store, None, kept, None, now_ms)
    until = monotonic() + SURVEY_SECONDS
    reading = Reading(damaged).open()
    try:
        reading.survey(lambda: monotonic() >= until)
        newest = damaged[-1]
        at_ms = round(newest.at.timestamp() * 1000)
        salvage = Salvage(newest.folder.name, newest.why, at_ms, pages=reading.pages)
        return _made(store, reading.found, kept, salvage, now_ms)
    finally:
        reading.close()


def _made(
    store: Path, found: sqlite3.Connection | None, kept: Keepsake | None, salvage: Salvage | None, now_ms: int
) -> int:
    held = 0

    def fill(connection: sqlite3.Connection) -> None:
        nonlocal held
        held = succeeding.fill(connection, found, kept, salvage, now_ms)

    with contextlib.suppress(FileExistsError):
        prepare_file(store, fill)
    return held

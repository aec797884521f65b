"""Room that is kept for starts and stops: a file beside the store that is given up when the disk is full.

When a commit finds no room, on the disk or within the store's own limit, the writer removes the file, merges the log,
which gives its room back, lets the store grow by as much, tells everybody that only starts and stops are stored now
(`capacity.py`, RED), and runs the same units once more. So nobody who waited for that commit is refused for want of
room. `edge/housekeeping.py` makes the file again when there is room for it.

Without the file a full disk could not even be emptied: SQLite needs room to delete.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from edge.store.capacity import Level
from edge.store.files import to_disk

T = TypeVar("T")
U = TypeVar("U")

RESERVE_BYTES = 16 * 1024 * 1024
"""40,000 starts and stops."""
SUFFIX = ".reserve"


def path_of(store: Path) -> Path:
    return store.with_name(store.name + SUFFIX)


def is_held(store: Path) -> bool:
    """Whether the room is kept."""
    return path_of(store).exists()


def hold(store: Path) -> None:
    """Take the room, unless we have it. Raises OSError when there is none; then nothing is taken."""
    target = path_of(store)
    if target.exists():
        return
    fresh = target.with_name(target.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(handle, 0, RESERVE_BYTES)
    except OSError:
        fresh.unlink()
        raise
    finally:
        os.close(handle)
    fresh.rename(target)
    to_disk(target.parent)


def with_reserve(connection: sqlite3.Connection, run: Callable[[sqlite3.Connection, U], T], units: U) -> T:
    """The result of the units, which leave no transaction when they raise; again with the room if there was none."""
    try:
        return run(connection, units)
    except sqlite3.Error as error:
        if not is_full(error) or not _release(connection):
            raise
    return run(connection, units)


def is_full(error: Exception) -> bool:
    """Whether there was no room, on the disk or within the limit."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE)


def _release(connection: sqlite3.Connection) -> bool:
    """Give the room to the store; False: it has none, or no disk."""
    name = connection.execute("PRAGMA database_list").fetchone()[2]
    if not name:
        return False
    try:
        path_of(Path(name)).unlink()
    except OSError:
        return False
    with contextlib.suppress(sqlite3.Error):  # it may be busy; the room is there all the same
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    page_bytes, most = (connection.execute(f"PRAGMA {one}").fetchone()[0] for one in ("page_size", "max_page_count"))
    grown = min(int(most) + RESERVE_BYTES // int(page_bytes), 2**32 - 2)
    connection.execute(f"PRAGMA max_page_count = {grown:d}").close()
    connection.execute("UPDATE temp.capacity SET told_level = :level", {"level": int(Level.RED)})
    structlog.get_logger("edge.store").error("reserve_released", bytes=RESERVE_BYTES)
    return True

"""How full the store is, and what that means for what is still stored.

The pages in use are known in each unit at the cost of a look into the cached header; how many there may be is told by
`edge/housekeeping.py`, which also asks the file system. It stands in a TEMP table of the writer's connection, because
a unit touches no other state. Until it is told, there is no limit.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path

from edge.domain.ports import EdgeError
from edge.store import damage


class NotChecked(EdgeError):
    """The file could not be looked at, which says nothing of it: no memory, no file handles."""


class Level(IntEnum):
    """Each begins at its share of what may be used (`BEGINS_AT`)."""

    GREEN = 0
    YELLOW = 1
    """Delivered history goes before its time."""
    ORANGE = 2
    """Meter values that wait for the CSMS are thinned."""
    RED = 3
    """Only starts, stops and what decides about them are stored."""


BEGINS_AT = {Level.YELLOW: 0.70, Level.ORANGE: 0.85, Level.RED: 0.95}
ENDS_BELOW = 0.02
"""A level ends this far below where it begins, so that it does not come and go with each message."""


@dataclass(frozen=True, slots=True)
class Fullness:
    """For people."""

    used_bytes: int
    limit_bytes: int
    """`store.max_size_mb`, or less when the file system has no room for that much."""
    level: Level
    since: datetime
    thinned: int
    """Meter values left out so far."""
    removed: int
    """Rows of delivered history removed since the start."""


@dataclass(slots=True)
class Condition:
    """Of the store, as `edge/housekeeping.py` found it last."""

    fullness: Fullness | None = None
    damage: str | None = None
    """What is wrong with the file."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Of the database file, in pages of `size` bytes."""

    size: int
    in_file: int
    free: int

    @property
    def used(self) -> int:
        return self.in_file - self.free


def load(connection: sqlite3.Connection) -> None:
    """Make the TEMP tables: the limit, and what `thinning.py` has left out since it last settled."""
    connection.execute("CREATE TEMP TABLE capacity (most_pages INTEGER NOT NULL, told_level INTEGER NOT NULL)")
    connection.execute("CREATE TEMP TABLE left_out (seq INTEGER PRIMARY KEY)")
    connection.execute("CREATE TEMP TABLE thinned (tx_no INTEGER PRIMARY KEY, count INTEGER NOT NULL)")


def pages(connection: sqlite3.Connection) -> Pages:
    """As this connection sees them now, also in the midst of a unit."""
    size, in_file, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return Pages(size, in_file, free)


def tell(connection: sqlite3.Connection, most_pages: int, level: Level, beyond: int = 0) -> None:
    """So many pages there may be, and this level counts until it is told anew, unless the pages say a higher one.

    `beyond`: so many more while the room that was kept for starts and stops is in use (`reserve.py`).
    """
    connection.execute("DELETE FROM temp.capacity")
    connection.execute("INSERT INTO temp.capacity VALUES (:most, :level)", {"most": most_pages, "level": int(level)})
    # The quota of SQLite itself: beyond it a commit fails, and the file system is never filled by us.
    connection.execute(f"PRAGMA max_page_count = {most_pages + beyond:d}").close()


def level_told(connection: sqlite3.Connection) -> Level:
    """As of the last look of the housekeeping."""
    row = connection.execute("SELECT told_level FROM temp.capacity").fetchone()
    return Level.GREEN if row is None else Level(row[0])


def level_now(connection: sqlite3.Connection) -> Level:
    """With all that this unit and those before it have written: what comes in bursts must not pass a level unseen."""
    row = connection.execute("SELECT most_pages, told_level FROM temp.capacity").fetchone()
    if row is None:
        return Level.GREEN
    in_file = int(connection.execute("PRAGMA page_count").fetchone()[0])
    if in_file < BEGINS_AT[Level.YELLOW] * row[0]:
        return Level(row[1])
    free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
    return max(Level(row[1]), level_at((in_file - free) / row[0]))


def in_use(connection: sqlite3.Connection) -> float:
    """Share of the limit that is in use, with all that this unit has written; 0: there is no limit."""
    row = connection.execute("SELECT most_pages FROM temp.capacity").fetchone()
    if row is None:
        return 0.0
    in_file = int(connection.execute("PRAGMA page_count").fetchone()[0])
    if in_file < BEGINS_AT[Level.YELLOW] * row[0]:
        return float(in_file / row[0])  # free pages need not be looked at
    free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
    return float((in_file - free) / row[0])


def level_at(share: float, present: Level = Level.GREEN) -> Level:
    """The level for this share of what may be used, when `present` is the one so far."""
    reached = max((level for level, begin in BEGINS_AT.items() if share >= begin), default=Level.GREEN)
    if reached < present and share >= BEGINS_AT[present] - ENDS_BELOW:
        return present
    return reached


def shrink(connection: sqlite3.Connection, most: int) -> None:
    """Give up to so many free pages back to the file system."""
    for _ in range(min(most, pages(connection).free)):
        # Python takes one step of a statement that has no columns, and this one does a page a step.
        connection.execute("PRAGMA incremental_vacuum(1)").close()


def is_check_due(connection: sqlite3.Connection, now_ms: int, every_ms: int) -> bool:
    """Whether the whole file should be checked now; if so, it counts as done. The first time is one period away.

    What is no time, or one to come, does not keep it from being checked.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = 'checked_wall_ms'").fetchone()
    is_due = row is not None and not (type(row[0]) is int and now_ms - every_ms < row[0] <= now_ms)
    if row is None or is_due:
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('checked_wall_ms', :now)", {"now": now_ms})
    return is_due


def check(connection: sqlite3.Connection) -> str:
    """`ok`, or the first thing that is wrong. Reads the whole file. Raises NotChecked."""
    try:
        connection.execute("PRAGMA query_only = ON").close()
        verdict = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except UnicodeDecodeError as error:  # SQLite quotes a schema that is damaged
        return f"the schema is damaged: {error}"
    except (sqlite3.Error, MemoryError) as error:
        if not damage.is_damage(error):
            raise NotChecked(str(error) or "out of memory") from error
        return str(error)
    if damage.is_unfinished(verdict):
        raise NotChecked(verdict)
    return verdict


async def check_file(path: Path, open_database: Callable[[Path], Awaitable[damage.Database]]) -> str:
    """As `check`, on a connection of its own: neither the writer nor the console waits for that."""
    try:
        database = await open_database(path)
    except (sqlite3.Error, OSError, MemoryError) as error:
        raise NotChecked(str(error) or "out of memory") from error
    try:
        return str(await database.run(check))
    finally:
        await database.close()

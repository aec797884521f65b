"""What is damage of the file, and what else may be wrong; and how a damaged file is let go of.

Nothing here looks for damage: opening (`db.py`), the log (`pages.py`) and the weekly check (`capacity.py`) do.
"""

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import structlog

from edge.store.migration import StoreDamaged, StoreForeign, StoreUnusable

UNREADABLE: tuple[type[Exception], ...] = (sqlite3.Error, ValueError, TypeError, LookupError, OverflowError)
"""What reading raises where the content is not what was written. The module `sqlite3` itself raises UnicodeDecodeError
when SQLite quotes a damaged schema. A defect of ours looks the same: whoever catches these tells people of it."""
ON_OPENING: tuple[type[Exception], ...] = (*UNREADABLE, MemoryError, StoreUnusable)
_READ_FAULTS = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
_OF_CONTENT = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG}
"""What our own statements fail with only because of what they find."""
_NO_TEXT = "Could not decode to UTF-8"
"""Of the module `sqlite3`, whose errors have no code."""
_CODE_IN_VERDICT = re.compile(r"error code[ =](\d+)")


class Database(Protocol):
    async def run(self, function: Callable[[sqlite3.Connection], Any]) -> Any: ...

    async def close(self) -> None: ...


def is_damage(error: Exception) -> bool:
    """Of the file itself. All else may be different at the next try."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False  # raised by the module `sqlite3` itself: a text that is no UTF-8 is parked alone
    return _says_damage(code)


def _says_damage(code: int) -> bool:
    return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or code in _READ_FAULTS


def is_unfinished(verdict: str) -> bool:
    """Whether a check of SQLite has stopped at a page for a reason that is not the file's: no memory, say."""
    code = _CODE_IN_VERDICT.search(verdict)
    return code is not None and not _says_damage(int(code[1]))


def is_of_the_file(error: BaseException) -> bool:
    """Whether an error on opening comes from what is in the file, and will come again."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, (StoreDamaged, *UNREADABLE))
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return str(error).startswith(_NO_TEXT)
    return is_damage(error) or code & 0xFF in _OF_CONTENT


def _forbids_writing(error: Exception, path: Path) -> bool:
    """Whether it is read-only because its header says that a newer SQLite wrote it: none has yet (format 1.3.3)."""
    if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_READONLY:
        return False
    try:
        with path.open("rb") as file:
            return file.read(19)[18:] not in {b"\1", b"\2"}
    except OSError:
        return False


async def let_go(database: Database, error: Exception, path: Path) -> StoreUnusable:
    """Close a file that could not be opened; what there is to say of it."""
    if not is_of_the_file(error) and not _forbids_writing(error, path):
        await database.close()
        return (StoreForeign if isinstance(error, StoreForeign) else StoreUnusable)(f"{path}: {error}")
    await close_untouched(database)
    if isinstance(error, (sqlite3.Error, StoreUnusable)):
        return StoreDamaged(str(error), path)
    structlog.get_logger("edge.store").error("store_unreadable", exc_info=error)
    return StoreDamaged(f"the database is damaged: {error}", path)


def or_foreign(connection: sqlite3.Connection, why: str) -> StoreUnusable:
    """For a header that is not ours: damage if the tables are, else another program's file."""
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if {"exchange", "tx", "delivery", "id_map"} <= found:
        return StoreDamaged(f"the database is damaged: its header says: {why}")
    return StoreForeign(why)


async def close_untouched(database: Database) -> None:
    """Close a damaged file so that its log stays as it is: whoever closes it last would merge it into the file."""

    def guard(connection: sqlite3.Connection) -> sqlite3.Connection:
        path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        other = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
        with contextlib.suppress(*UNREADABLE):
            other.execute("BEGIN")
            other.execute("SELECT 1 FROM sqlite_schema").fetchone()
        return other

    try:
        other = await database.run(guard)
    except UNREADABLE:
        await database.close()
        return
    await database.close()
    other.close()

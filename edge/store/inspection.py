"""What is in a database file that is not in use: whether it is whole and ours, and what it would bring back.

Read by `backup.py` before a copy is handed out, and by `restore.py` before one is put in place.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.domain.ports import EdgeError
from edge.domain.timekeeping import LATEST_MS
from edge.store import exchange, report
from edge.store.db import APPLICATION_ID
from edge.store.migration import schema_files

ROWS_A_REST = 50

Tell = Callable[[int, int], None]
"""So many of so many rows are looked at; may rest, or raise."""


class Unusable(EdgeError):
    """It cannot be put in a store's place; the message says why."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a copy."""

    size: int
    """Bytes."""
    made_wall_ms: int | None
    """When `edge backup` made it; None: it did not, this is a store as it lay on the disk."""
    sessions: int
    waiting: int
    parked: int
    first_wall_ms: int | None
    last_wall_ms: int | None
    """When its oldest and its newest row were observed."""
    damaged: int
    """Undelivered messages whose digest does not fit."""
    damaged_when_made: int


def require_ours(connection: sqlite3.Connection) -> None:
    """Raises Unusable when it is no database of this program, or one of a newer one."""
    try:
        found, schema = (
            connection.execute(f"PRAGMA {one}").fetchone()[0] for one in ("application_id", "user_version")
        )
    except sqlite3.DatabaseError as error:
        what = "no SQLite database" if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB else "damaged"
        raise Unusable(f"it is {what}: {error}") from error
    if found != APPLICATION_ID:
        raise Unusable(f"it is no database of ocpp-edge (application_id {found:#x})")
    newest = schema_files()[-1][0]
    if schema > newest:
        raise Unusable(f"a newer program made it (schema {schema}, this one knows {newest}): install that one first")


def inspect(connection: sqlite3.Connection, tell: Tell) -> Contents:
    """Look through all of it; the ends of its chains must be settled. Raises Unusable when it is damaged as a file."""
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise Unusable(f"it is damaged: {verdict}")
    damaged = sum(1 for _ in damaged_messages(connection, tell))
    pages, page_bytes = (connection.execute(f"PRAGMA {one}").fetchone()[0] for one in ("page_count", "page_size"))
    sessions = connection.execute("SELECT count(*) FROM tx WHERE kind = 'transaction'").fetchone()[0]
    first, last = connection.execute("SELECT min(seq), max(seq) FROM exchange").fetchone()
    backlog = report.backlog(connection)
    return Contents(
        size=int(pages) * int(page_bytes),
        made_wall_ms=_time(_noted(connection, "made_ms")),
        sessions=int(sessions),
        waiting=backlog.messages,
        parked=backlog.parked,
        first_wall_ms=None if first is None else _time(report.observed_ms(connection, first)),
        last_wall_ms=None if last is None else _time(report.observed_ms(connection, last)),
        damaged=damaged,
        damaged_when_made=_noted(connection, "damaged") or 0,
    )


def _time(wall_ms: int | None) -> int | None:
    return wall_ms if wall_ms is not None and 0 <= wall_ms <= LATEST_MS else None


def damaged_messages(connection: sqlite3.Connection, tell: Tell) -> Iterator[int]:
    """Numbers of the undelivered messages that are not what was stored."""
    backlog = report.backlog(connection)
    total = backlog.messages + backlog.parked
    for done, one in enumerate(report.queue(connection)):
        if done % ROWS_A_REST == 0:
            tell(done, total)
        row = exchange.load(connection, one.seq)
        if row is None or not exchange.is_intact(connection, row):
            yield one.seq


def note(connection: sqlite3.Connection, made_wall_ms: int, damaged: int) -> None:
    """Write into a copy when it was made, and how many of its messages were damaged in the store already."""
    connection.executemany(
        "INSERT OR REPLACE INTO meta VALUES ('backup:' || ?, ?)", [("made_ms", made_wall_ms), ("damaged", damaged)]
    )


def forget_note(connection: sqlite3.Connection) -> None:
    """It is no copy any more."""
    connection.execute("DELETE FROM meta WHERE key GLOB 'backup:*'")


def _noted(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'backup:' || :name", {"name": name}).fetchone()
    return None if row is None else int(row[0])

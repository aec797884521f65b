"""What a salvage has found, in a database of its own beside the damaged store, so that it needs no memory.

Of the journal each different reading of a row is kept until `proving.py` has chosen; of all other tables the newest.
It can be made again from the damaged store, and after a crash it is of one state: what its progress says was read is
in it.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.store.carving import Row, Shape, Value, shapes
from edge.store.files import remove

EXCHANGE = "exchange"
UNDECIDED, PROVEN, UNPROVEN, WRONG, REMOVED = 0, 1, 2, 3, 4
"""What is thought of a reading: its digest fits; nothing is left by which that could be said; it does not; it was true,
but had been removed."""
REMOVED_FOR_GOOD = frozenset({"token", "id_map", "delivery"})
"""Tables whose rows are removed because they do not hold any more: an older page must not bring them back."""
FROM_SQL = 1_000_000_000
"""Rank of what SQLite itself still reads: newer than any page alone, because it is of one state."""
A_STORE = 10 * FROM_SQL
"""So much higher ranks what is of the next store, where more than one is salvaged together."""
TORN = 1_000_000_000_000_000
"""So much lower ranks what is on a page that is not whole: a value may be another's, any other reading is better."""
LOG_BYTES = 4 * 1024 * 1024


def open_findings(path: Path, *, anew: bool) -> sqlite3.Connection:
    """Raises sqlite3.Error when it is damaged itself."""
    if anew:
        remove(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # NORMAL: a power cut may take the last commits, but never one without those before it.
        log = f"journal_size_limit = {LOG_BYTES}"
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", log, "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {setting}").close()
        for shape in shapes():
            connection.execute(_create(shape))
        connection.execute("CREATE TABLE IF NOT EXISTS progress (name TEXT PRIMARY KEY, value ANY) STRICT")
        path.chmod(0o600)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def in_one(connection: sqlite3.Connection) -> Iterator[None]:
    """One commit; nothing of it when it fails."""
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create(shape: Shape) -> str:
    names = ", ".join(column.name for column in shape.columns)
    if shape.table == EXCHANGE:
        return (
            f"CREATE TABLE IF NOT EXISTS exchange ({names}, rank_, is_sure_, is_live_, mark_, verdict_ DEFAULT 0, "
            "PRIMARY KEY (seq, mark_)) WITHOUT ROWID"
        )
    return (
        f"CREATE TABLE IF NOT EXISTS {shape.table} ({names}, rank_, PRIMARY KEY ({', '.join(shape.key)})) WITHOUT ROWID"
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row was read (`pages.Image`)."""

    rank: int
    is_sure: bool
    is_live: bool


def add(connection: sqlite3.Connection, rows: Iterable[tuple[Row, Source]]) -> None:
    """Rows as they were read; what is not sure only if it can prove itself."""
    for row, source in rows:
        rank = source.rank
        if row.shape.table == EXCHANGE:
            is_sure = source.is_sure and row.is_page_whole
            _add_exchange(connection, row.values, rank, is_sure=is_sure, is_live=source.is_live)
        elif source.is_sure and (source.is_live or row.shape.table not in REMOVED_FOR_GOOD):
            _add(connection, row.shape, row.values, rank if row.is_page_whole else rank - TORN)


def _add_exchange(
    connection: sqlite3.Connection, values: tuple[Value, ...], rank: int, *, is_sure: bool, is_live: bool
) -> None:
    mark = hashlib.blake2b(repr(values).encode(), digest_size=8).digest()
    places = ", ".join("?" * (len(values) + 4))
    connection.execute(
        f"INSERT INTO exchange VALUES ({places}, 0) ON CONFLICT (seq, mark_) DO UPDATE SET "  # noqa: S608 - question marks
        "rank_ = max(rank_, excluded.rank_), is_sure_ = max(is_sure_, excluded.is_sure_), "
        "is_live_ = max(is_live_, excluded.is_live_)",
        (*values, rank, int(is_sure), int(is_live), mark),
    )


def _add(connection: sqlite3.Connection, shape: Shape, values: tuple[Value, ...], rank: int) -> None:
    places = ", ".join("?" * (len(values) + 1))
    names = [column.name for column in shape.columns]
    connection.execute(
        f"INSERT INTO {shape.table} VALUES ({places}) ON CONFLICT ({', '.join(shape.key)}) DO UPDATE SET "  # noqa: S608 - names of the schema
        f"{', '.join(f'{name} = excluded.{name}' for name in [*names, 'rank_'])} WHERE excluded.rank_ > rank_",
        (*values, rank),
    )


def has_from(connection: sqlite3.Connection, table: str, rank: int) -> bool:
    """Whether there is a row of this rank or higher."""
    found = connection.execute(f"SELECT 1 FROM {table} WHERE rank_ >= :rank LIMIT 1", {"rank": rank})  # noqa: S608 - names of the schema
    return found.fetchone() is not None


def progress(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM progress WHERE name = :name", {"name": name}).fetchone()
    return 0 if row is None else int(row[0])


def set_progress(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("INSERT OR REPLACE INTO progress VALUES (:name, :value)", {"name": name, "value": value})

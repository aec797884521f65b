"""What a store holds, opened as the daemon opens it and looked through.

`opened` goes the daemon's own way (`recovery.prepare`, then `open_store` with connections in this thread). `fingerprint` is equal for equal
contents. `look` takes what a proof has to know of them, and tells what is wrong with them by themselves.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from edge.store import pages, recovery
from edge.store.db import open_store
from edge.store.exchange import Kind
from edge.store.migration import StoreUnusable
from edge.world import SystemClock
from tests.crash.truth import Said
from tests.store.history import assert_sound

T = TypeVar("T")
pages._sum = lru_cache(maxsize=8192)(pages._sum)  # equal frames in thousands of images
UNUSABLE = (StoreUnusable, sqlite3.Error)


class InThisThread:
    """Implements `edge.store.db.Database`."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return function(self.connection)

    async def close(self) -> None:
        self.connection.close()


@dataclass(frozen=True, slots=True)
class Opened:
    """A store as the daemon has it after opening it. Nothing was written but what an opening writes."""

    connection: sqlite3.Connection
    """The writer's."""
    others: tuple[InThisThread, ...]

    def close(self) -> None:
        self.connection.close()
        for one in self.others:
            one.connection.close()

    def __enter__(self) -> sqlite3.Connection:
        return self.connection

    def __exit__(self, *_: object) -> None:
        self.close()


async def opened(path: Path) -> Opened:
    """Raises one of `UNUSABLE`."""
    made: list[InThisThread] = []

    async def open_database(path: Path) -> InThisThread:
        made.append(InThisThread(path))
        return made[-1]

    clock = SystemClock()
    try:
        recovery.prepare(path, clock.utc_now(), clock.monotonic)
        await open_store(path, open_database, clock)
    except BaseException:
        for one in made:
            one.connection.close()
        raise
    return Opened(made[0].connection, tuple(made[1:]))


def why_put_aside(disk: Path) -> str | None:
    """Why the daemon took the store for a damaged one (`edge/store/quarantine.py`); None: it did not."""
    if not os.path.isdir(f"{disk}/quarantine"):
        return None
    return " ".join(note.read_text() for note in disk.glob("quarantine/*/*.json")) or "nothing is said"


def is_whole(connection: sqlite3.Connection) -> str | None:
    """None, or what SQLite finds wrong with the file."""
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    return None if verdict == "ok" else str(verdict)


_TABLES: dict[int, tuple[str, ...]] = {}


def fingerprint(connection: sqlite3.Connection) -> int:
    """Of all rows of all tables; good within this process."""
    cookie = connection.execute("PRAGMA user_version").fetchone()[0]
    if cookie not in _TABLES:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        _TABLES[cookie] = tuple(f'SELECT * FROM "{name}"' for (name,) in names)
    return hash(tuple(tuple(connection.execute(table).fetchall()) for table in _TABLES[cookie]))


@dataclass(frozen=True, slots=True)
class Row:
    seq: int
    text: str
    charger_tx: str | None


@dataclass(frozen=True, slots=True)
class Contents:
    by_message: dict[tuple[str, str], Row]
    """By charger and message id."""
    by_content: dict[tuple[str, str, str], Row]
    last_seq: int
    unsound: str | None

    def lacks(self, said: Said, answer: Mapping[str, Any] | None) -> str | None:
        """What is missing of a message that was answered; None: it is there, as it came and as it was answered."""
        row = self.by_message.get((said.charger, said.message_id))
        if row is not None and row.text != said.text:
            return f"{said} is stored as {row.text}"
        row = row or self.by_content.get(said.content)
        if row is None:
            return f"{said} is gone"
        if said.action == "StartTransaction" and answer is not None and row.charger_tx != str(answer["transactionId"]):
            return f"{said} was answered {answer}, and is stored as transaction {row.charger_tx}"
        return None


def look(connection: sqlite3.Connection) -> Contents:
    """Of an opened store; whether it is sound as well."""
    return replace(rows(connection), unsound=unsound(connection))


def rows(connection: sqlite3.Connection) -> Contents:
    found_rows = connection.execute(
        "SELECT g.id, e.message_id, e.action, e.text, e.seq, tx.charger_tx FROM exchange e "
        "JOIN charger g ON g.charger_no = e.peer LEFT JOIN tx ON tx.tx_no = e.tx_no WHERE e.kind = :kind ORDER BY seq",
        {"kind": int(Kind.CHARGER_CALL)},
    ).fetchall()
    found = [
        (Said(charger, message, action, text), Row(seq, text, tx))
        for charger, message, action, text, seq, tx in found_rows
    ]
    return Contents(
        {(said.charger, said.message_id): row for said, row in found},
        {said.content: row for said, row in reversed(found)},
        max((row.seq for _, row in found), default=0),
        None,
    )


def of_copy(path: Path) -> Contents | str:
    """What is in a file that was a store, which is left alone; or what is wrong with it."""
    try:
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
            return is_whole(connection) or rows(connection)
    except sqlite3.Error as error:
        return str(error)


def unsound(connection: sqlite3.Connection) -> str | None:
    """What contradicts itself: chains, digests, counters, half transactions, numbers that would be given twice."""
    try:
        assert_sound(connection)
    except AssertionError as error:
        return f"not sound: {error}"
    halves = connection.execute(
        "SELECT count(*) FROM exchange e LEFT JOIN tx ON tx.tx_no = e.tx_no WHERE e.tx_no IS NOT NULL AND tx.tx_no IS NULL"
        " UNION ALL SELECT count(*) FROM tx WHERE last_seq = 0"
        " UNION ALL SELECT count(*) FROM exchange e LEFT JOIN boot USING (boot_no) WHERE boot.boot_no IS NULL"
    ).fetchall()
    if halves != [(0,), (0,), (0,)]:
        return f"half a transaction: {halves}"
    return next(_given_twice(connection), None)


def _given_twice(connection: sqlite3.Connection) -> Iterator[str]:
    """Numbers that a counter would give again."""
    counters = dict(connection.execute("SELECT key, value FROM meta WHERE key LIKE 'counter:%'").fetchall())
    newest = connection.execute(
        "SELECT (SELECT max(tx_no) FROM tx WHERE kind = 'transaction'), "
        "(SELECT max(CAST(charger_tx AS INTEGER)) FROM tx), (SELECT max(seq) FROM exchange)"
    ).fetchone()
    next_seq = connection.execute("SELECT value FROM temp.counter WHERE name = 'seq'").fetchone()[0]
    told = (counters.get("counter:session"), counters.get("counter:charger_tx"), next_seq)
    for what, counter, most in zip(("session", "charger_tx", "seq"), told, newest, strict=True):
        if most is not None and (counter is None or counter < most):
            yield f"the counter of {what} is {counter}, and {most} was given"

"""What the tests of restoring begin with: a store, a copy of it, and the way of one into the place of the other."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.store import boots, chains, exchange, inspection, restore
from edge.store.inspection import Contents
from edge.store.restore import Damaged, Present
from edge.store.succession import Following
from tests.store.givens import NOON, opened

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MADE = NOW - timedelta(hours=30)


def copied(store: Path, to: Path, made: datetime = MADE) -> Path:
    """What `edge backup` would write of a store that is not in use."""
    with closing(opened(store)) as db, closing(sqlite3.connect(to, isolation_level=None)) as copy:
        chains.settle(db)
        db.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        inspection.note(copy, round(made.timestamp() * 1000), 0)
    return to


def say_nothing(_phase: str, _done: int, _of: int) -> None:
    pass


def put_back(file: Path, store: Path) -> tuple[Contents, Present | Damaged | None, Following]:
    with restore.opened(file) as parts, restore.staged(parts, store, say_nothing) as (copy, contents):
        before = restore.look(copy, store)
        following = restore.go_on_after(copy, before, store, contents, NOW)
        restore.swap(store, restore.free_name(store, NOW))
    return contents, before, following


def restored(file: Path, store: Path) -> tuple[Contents, Present, Following]:
    contents, before, following = put_back(file, store)
    assert isinstance(before, Present)
    return contents, before, following


def kept(store: Path) -> Path:
    return store.with_name(store.name + ".before-restore-20261121T000000Z")


def next_numbers(path: Path) -> dict[str, int]:
    with closing(opened(path)) as db:
        return {
            "seq": exchange.peek_seq(db),
            "session": boots.next_number(db, "session", 1),
            "charger_tx": boots.next_number(db, "charger_tx", 50_000),
            "boot": boots.begin(db, NOON, 1, "ntp"),
        }

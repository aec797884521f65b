"""The schema on disk: numbered files, applied in one transaction, and a copy of what was there before.

Expand only: a release adds tables, columns and values that the one before ignores, so that both can work on one file.
Before anything changes in a file that holds something, a copy of it is put beside it, for whoever has to go back
further than one release. Whatever stops us in between leaves the file with the schema that it had or with the newest
one, never with one in between.
"""

import contextlib
import os
import re
import sqlite3
from contextlib import closing
from functools import cache
from importlib import resources
from pathlib import Path

import structlog

from edge.domain.ports import EdgeError
from edge.store.files import BEFORE_MIGRATION, UNFINISHED, free_bytes, remove, to_disk

COPIES_KEPT = 2
ROOM_TO_SPARE = 64 * 1024 * 1024
"""Bytes that a copy must leave free for the store itself."""


class StoreUnusable(EdgeError):
    """The file cannot be used by this program; the message says why and what to do."""


class StoreDamaged(StoreUnusable):
    """The file is not what was written: it is put aside, and another takes its place (`edge/store/recovery.py`)."""

    def __init__(self, why: str, path: Path | None = None) -> None:
        super().__init__(why if path is None else f"{path}: {why}")
        self.why = why


class StoreForeign(StoreUnusable):
    """The file is in order, but it is not this program's to use: a person has to choose another file or program."""


@cache
def schema_files() -> list[tuple[int, str]]:
    """Number and text of each schema file, in order."""
    folder = resources.files("edge.store") / "schema"
    files = sorted(item.name for item in folder.iterdir() if re.fullmatch(r"\d{4}_\w+\.sql", item.name))
    return [(int(name[:4]), (folder / name).read_text(encoding="utf-8")) for name in files]


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the schema files that the database does not have yet, all in one transaction. Raises StoreUnusable."""
    files = schema_files()
    newest = files[-1][0]
    present = connection.execute("PRAGMA user_version").fetchone()[0]
    if present > newest:
        least = connection.execute("SELECT value FROM meta WHERE key = 'min_reader'").fetchone()
        if least is None or least[0] > newest:
            raise StoreForeign(
                f"the database has schema {present}, this program knows {newest}: install the newer program again, "
                "or put back a backup made before the upgrade"
            )
        return
    if present == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number, text in files:
            if number > present:
                for statement in statements(text):
                    connection.execute(statement)
        connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('min_reader', 1)")
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def statements(text: str) -> list[str]:
    """The statements of a schema file (`executescript` would commit behind our back)."""
    found: list[str] = []
    buffer = ""
    for line in text.splitlines(keepends=True):
        buffer += line
        if sqlite3.complete_statement(buffer):
            found.append(buffer)
            buffer = ""
    return [statement for statement in [*found, buffer] if statement.strip()]


def keep_copy(connection: sqlite3.Connection, path: Path) -> Path | None:
    """Copy the database to `<store>.before-migration-<schema>` if it is about to be migrated; the newest two stay.

    A copy that cannot be made does not keep the store from being used: migrating is safe by itself.
    """
    present, newest = connection.execute("PRAGMA user_version").fetchone()[0], schema_files()[-1][0]
    if present == 0 or present >= newest:
        return None
    log = structlog.get_logger("edge.store")
    target = path.with_name(f"{path.name}{BEFORE_MIGRATION}{present}")
    fresh = target.with_name(target.name + UNFINISHED)
    size = int.__mul__(*(connection.execute(f"PRAGMA {one}").fetchone()[0] for one in ("page_count", "page_size")))
    try:
        remove(fresh)
        if size + ROOM_TO_SPARE > free_bytes(path.parent):
            log.warning("migration_without_copy", why=f"{size} bytes do not fit beside {path}")
            return None
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(fresh)) as copy:
            connection.backup(copy)
        to_disk(fresh)
        fresh.rename(target)
        to_disk(path.parent)
        for number in sorted(_copies(path) - {present})[: -(COPIES_KEPT - 1)]:
            path.with_name(f"{path.name}{BEFORE_MIGRATION}{number}").unlink()
    except (OSError, sqlite3.Error) as error:
        log.warning("migration_without_copy", why=str(error))
        with contextlib.suppress(OSError):
            remove(fresh)
        return None
    log.info("copied_before_migration", copy=str(target), schema=present)
    return target


def _copies(path: Path) -> set[int]:
    """Of which schemas there are finished copies. By these, not by the clock, one is newer than another."""
    name = re.compile(re.escape(path.name + BEFORE_MIGRATION) + r"(\d+)")
    return {int(found[1]) for item in path.parent.iterdir() if (found := name.fullmatch(item.name))}

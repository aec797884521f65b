"""Stores of earlier schemas: everything in them is there afterwards, as it was, whenever the migration is killed."""

import random
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.store import boots, chains, delivery, exchange, files, report
from edge.store.db import configure
from edge.store.migration import keep_copy, schema_files
from tests.databases.dump import dump, load
from tests.store.givens import opened, running
from tests.store.history import assert_sound
from tests.store.lives import Lives, lives_of

DATABASES = Path(__file__).parent.parent / "databases"
FILES = sorted(DATABASES.glob("schema-*.sql"))
NEWEST = schema_files()[-1][0]
OLDER = [file for file in FILES if int(re.sub(r"\D", "", file.stem)) < NEWEST]
LATER = ("last_seq", "rows", "value")
"""Columns that opening rolls forward: the ends of the chains, and up to where they are known."""

older = pytest.mark.parametrize("file", OLDER, ids=lambda file: file.stem)
ends = pytest.mark.parametrize("file", [OLDER[0], OLDER[-1]], ids=lambda file: file.stem)
"""A migration is one transaction, however many schemas it passes."""


@pytest.fixture
def lives() -> Iterator[Lives]:
    with lives_of(Path(__file__).with_name("migration_process.py")) as lives:
        yield lives


def tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Columns of each table."""
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {
        name: [column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")]
        for (name,) in names.fetchall()
    }


def rows(path: Path, of: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of these tables, in these columns."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {name}").fetchall(), key=repr)
            for name, columns in of.items()
        }


def stored(file: Path, path: Path) -> dict[str, list[str]]:
    """The store of this file at `path`; its tables and columns."""
    load(file.read_text(), path)
    with closing(sqlite3.connect(path)) as connection:
        return tables(connection)


def schema_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("PRAGMA user_version").fetchone()[0]


def copy_of(path: Path, file: Path) -> Path:
    return path.with_name(f"{path.name}.before-migration-{re.sub(r'[^0-9]', '', file.stem)}")


def waiting_in(path: Path) -> set[int]:
    """What the CSMS has not got, by the columns of the first schema alone."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            seq
            for (seq,) in connection.execute(
                "SELECT e.seq FROM exchange e JOIN tx USING (tx_no) "
                "WHERE e.relay = 1 AND e.seq > tx.acked_seq AND (tx.due = 1 OR tx.parked_seq IS NOT NULL)"
            )
        }


def test_there_is_a_store_of_each_earlier_schema() -> None:
    assert [f"schema-{number}" for number in range(1, NEWEST)] == [file.stem for file in OLDER], DATABASES / "README.md"


@older
async def test_all_that_is_in_an_earlier_store_is_there_afterwards(file: Path, path: Path) -> None:
    columns = stored(file, path)
    before = rows(path, columns)
    assert all(before[name] for name in ("exchange", "tx", "charger", "connector", "delivery", "token", "meta", "boot"))
    expected = waiting_in(path)
    async with running(path):
        pass
    assert schema_of(path) == NEWEST
    after = rows(path, columns)
    changed = {name for name in columns if before[name] != after[name]}
    assert changed <= {"charger", "tx", "meta"}
    for name in changed - {"meta"}:
        same = {name: [one for one in columns[name] if one not in LATER]}
        assert rows(copy_of(path, file), same) == rows(path, same)
    was, now = dict(before["meta"]), dict(after["meta"])
    assert {key for key in was if was[key] != now[key]} <= {"settled_seq", "station_last_seq"}
    with closing(opened(path)) as db:
        assert_sound(db)
        found = {one.seq for one in report.queue(db)}
        assert found == expected != set()
        seqs = {seq for lane in delivery.lanes(db).values() for seq in [one.seq for one in lane]}
        assert seqs <= found
        newest = max(seq for (seq,) in db.execute("SELECT seq FROM exchange"))
        assert exchange.peek_seq(db) == newest + 1
        assert boots.next_number(db, "session", 1) == was["counter:session"] + 1
        assert boots.next_number(db, "charger_tx", 1) == was["counter:charger_tx"] + 1
        assert boots.station_settings(db)["TransactionMessageAttempts"] == "1"


@older
async def test_what_was_there_before_is_kept_beside_it(file: Path, path: Path) -> None:
    columns = stored(file, path)
    before = rows(path, columns)
    async with running(path):
        pass
    kept = copy_of(path, file)
    assert schema_of(kept) == schema_of_file(file)
    assert rows(kept, columns) == before
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    async with running(path):
        pass
    assert {item.name for item in path.parent.iterdir()} == {path.name, kept.name}


def schema_of_file(file: Path) -> int:
    return int(re.sub(r"\D", "", file.stem))


# --- killed


def assert_nothing_is_lost(path: Path, file: Path, undisturbed: str, origin: dict, columns: dict) -> None:
    """As a kill left it: the old schema or the newest one, with every row; opened again, as if nothing had been."""
    found = schema_of(path)
    assert found in {schema_of_file(file), NEWEST}
    kept = copy_of(path, file)
    if found == NEWEST or kept.exists():  # it has its name when it is whole
        assert schema_of(kept) == schema_of_file(file)
        assert rows(kept, columns) == origin
    opened(path).close()
    files.remove_leftovers(path)
    assert dump(path) == undisturbed
    assert {item.name for item in path.parent.iterdir()} <= {path.name, kept.name}


@ends
def test_a_kill_at_any_step_of_a_migration_loses_nothing(file: Path, path: Path, tmp_path: Path, lives: Lives) -> None:
    columns = stored(file, path)
    origin = rows(path, columns)
    opened(shutil.copy(path, tmp_path / "undisturbed.db")).close()
    undisturbed = dump(tmp_path / "undisturbed.db")
    schemas, copies = [], 0
    for step in range(1, 1000):
        folder = tmp_path / str(step)
        folder.mkdir()
        store = Path(shutil.copy(path, folder))
        life = lives.live(folder, store, step=step)
        schemas.append(schema_of(store))
        copies += copy_of(store, file).exists()
        assert_nothing_is_lost(store, file, undisturbed, origin, columns)
        shutil.rmtree(folder)
        if not life.was_killed:
            break
    assert not life.was_killed
    assert schemas == sorted(schemas)
    assert set(schemas) == {schema_of_file(file), NEWEST}
    assert schemas.count(schema_of_file(file)) > 20
    assert 1 <= copies < len(schemas)


@ends
def test_kills_at_random_moments_of_a_migration_lose_nothing(
    file: Path, path: Path, tmp_path: Path, lives: Lives
) -> None:
    columns = stored(file, path)
    origin = rows(path, columns)
    opened(shutil.copy(path, tmp_path / "undisturbed.db")).close()
    undisturbed = dump(tmp_path / "undisturbed.db")
    whole = lives.live(tmp_path, shutil.copy(path, tmp_path / "measured.db")).seconds
    chance = random.Random(schema_of_file(file))
    for life in range(25):
        folder = tmp_path / f"life-{life}"
        folder.mkdir()
        store = Path(shutil.copy(path, folder))
        for _ in range(chance.choice([1, 1, 3])):  # killed again at the next start
            lives.live(folder, store, after=chance.uniform(0.0, whole * 1.1))
        assert_nothing_is_lost(store, file, undisturbed, origin, columns)
        shutil.rmtree(folder)


# --- the copies


def test_the_two_newest_copies_stay_whatever_the_clock_said_when_they_were_made(path: Path) -> None:
    stored(OLDER[1], path)
    for number in (1, 3, 7):
        path.with_name(f"edge.db.before-migration-{number}").write_bytes(b"of an upgrade that was taken back")
    path.with_name("edge.db.before-migration-notes").write_text("a person's")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        configure(db)
        kept = keep_copy(db, path)
    assert kept == path.with_name("edge.db.before-migration-2")
    assert {item.name for item in path.parent.iterdir() if "before" in item.name} == {
        "edge.db.before-migration-2",
        "edge.db.before-migration-7",
        "edge.db.before-migration-notes",
    }


async def test_what_a_kill_left_of_a_copy_is_removed(path: Path) -> None:
    stored(OLDER[0], path)
    for name in ("1.new", "1.new-journal", "3.new", "3.new-wal"):
        path.with_name(f"edge.db.before-migration-{name}").write_bytes(b"half")
    async with running(path):
        files.remove_leftovers(path)  # as the daemon does (`Backups.run`)
    assert {item.name for item in path.parent.iterdir()} == {path.name, "edge.db.before-migration-1"}


async def test_a_copy_that_cannot_be_made_does_not_keep_the_store_from_being_used(path: Path) -> None:
    stored(OLDER[0], path)
    path.with_name("edge.db.before-migration-1.new").mkdir()
    async with running(path) as store:
        assert len(await store.write(report_queue)) > 5
    assert schema_of(path) == NEWEST
    assert not path.with_name("edge.db.before-migration-1").exists()


def report_queue(db: sqlite3.Connection) -> list[int]:
    chains.settle(db)
    return [one.seq for one in report.queue(db)]

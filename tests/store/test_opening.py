"""Opening, creating and migrating the file: what is refused, with which words, and what a crash leaves behind."""

import asyncio
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from edge.store import boots
from edge.store.db import APPLICATION_ID, SETTINGS, configure, open_store, open_threaded, prepare_file
from edge.store.migration import StoreUnusable, migrate, schema_files, statements
from edge.world import SystemClock
from tests.store.givens import a_row, opened, running


async def refusal(path: Path) -> str:
    """Why the store does not open."""
    with pytest.raises(StoreUnusable) as caught:
        await open_store(path, open_threaded, SystemClock())
    while any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):
        await asyncio.sleep(0)  # where the file cannot be opened, aiosqlite's thread ends a moment later
    return str(caught.value)


def altered(path: Path, *statements: str) -> None:
    prepare_file(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# --- settings


@pytest.mark.parametrize(("name", "expected"), [(name, expected) for name, _, expected in SETTINGS])
async def test_each_setting_is_in_force(path: Path, name: str, expected: int | str) -> None:
    async with running(path) as store:
        assert await store.write(lambda db: db.execute(f"PRAGMA {name}").fetchone()[0]) == expected


async def test_the_promises_about_power_cuts_are_among_the_settings() -> None:
    assert {("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)} <= {
        (name, to) for name, _, to in SETTINGS
    }


async def test_the_file_says_whose_it_is_and_which_schema_it_has(path: Path) -> None:
    async with running(path) as store:
        found = await store.write(
            lambda db: [
                db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version", "auto_vacuum")
            ]
        )
    assert found == [APPLICATION_ID, schema_files()[-1][0], 2]


@pytest.mark.parametrize(("name", "_value", "expected"), SETTINGS)
def test_a_setting_that_is_not_accepted_is_told(path: Path, name: str, _value: object, expected: object) -> None:
    class Stubborn(sqlite3.Connection):
        """A connection on a file system that lacks something."""

        def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
            if sql == f"PRAGMA {name}":
                return super().execute("SELECT 'other'")
            return super().execute(sql, parameters)  # type: ignore[arg-type]

    prepare_file(path)
    with closing(sqlite3.connect(path, isolation_level=None, factory=Stubborn)) as connection:
        with pytest.raises(StoreUnusable, match=f"PRAGMA {name} is 'other' instead of {expected!r}"):
            configure(connection)


# --- creating


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "var" / "lib" / "edge.db"
    async with running(path):
        assert path.exists()


async def test_only_the_owner_may_read_it_and_its_wal(path: Path) -> None:
    async with running(path) as store:
        await store.write(lambda db: boots.set_station_setting(db, "a", "b"))
        modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in path.parent.iterdir()}
    assert modes == {"edge.db": 0o600, "edge.db-wal": 0o600, "edge.db-shm": 0o600}


async def test_it_opens_again_with_what_it_holds(path: Path) -> None:
    for life in range(3):
        async with running(path) as store:
            assert await store.write(lambda db: boots.next_number(db, "lives", 0)) == life
    assert sorted(item.name for item in path.parent.iterdir()) == ["edge.db"]


@pytest.mark.parametrize("leftover", [b"", b"half a page of rubbish", b"\0" * 8192])
async def test_what_a_power_cut_left_of_the_creation_is_ignored(path: Path, leftover: bytes) -> None:
    path.with_name("edge.db.new").write_bytes(leftover)
    path.with_name("edge.db.new-journal").write_bytes(leftover)
    async with running(path) as store:
        assert await store.write(lambda db: boots.next_number(db, "lives", 0)) == 0
    assert not path.with_name("edge.db.new").exists()


async def test_the_file_bears_its_name_only_when_it_is_whole(path: Path) -> None:
    """Where it cannot be made under the other name, there is nothing under its own."""
    path.with_name("edge.db.new").mkdir()
    assert str(path) in await refusal(path)
    assert not path.exists()


async def test_a_folder_that_may_not_be_written_is_told() -> None:
    path = Path("/proc/edge.db")  # also root may not
    assert str(path) in await refusal(path)


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "edge.db"
    assert str(path) in await refusal(path)


async def test_a_folder_in_the_place_of_the_file_is_told(path: Path) -> None:
    path.mkdir()
    assert await refusal(path) == f"{path}: unable to open database file"


# --- what is refused


async def test_the_database_of_another_program_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    assert "not a database of ocpp-edge" in await refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not SQLite at all, but long enough for a header" * 20, b"short"])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert str(path) in await refusal(path)
    assert path.read_bytes() == content


async def test_an_empty_file_is_refused(path: Path) -> None:
    path.touch()
    assert "the file is empty" in await refusal(path)


async def test_a_newer_schema_is_refused_with_what_to_do(path: Path) -> None:
    altered(path, "PRAGMA user_version = 99", "UPDATE meta SET value = 50 WHERE key = 'min_reader'")
    message = await refusal(path)
    assert "schema 99" in message
    assert "install the newer program again" in message


async def test_a_newer_schema_that_says_nothing_of_its_readers_is_refused(path: Path) -> None:
    altered(path, "PRAGMA user_version = 99", "DELETE FROM meta")
    assert "schema 99" in await refusal(path)


async def test_a_newer_schema_that_this_program_may_read_is_opened(path: Path) -> None:
    """Expand only: an older release runs on the file of a newer one."""
    altered(path, "PRAGMA user_version = 99", "CREATE TABLE later (a)", "ALTER TABLE boot ADD COLUMN later TEXT")
    async with running(path) as store:
        assert await store.write(lambda db: db.execute("PRAGMA user_version").fetchone()[0]) == 99


async def test_a_file_without_incremental_vacuum_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        other.execute("CREATE TABLE a (b)")
    assert "auto_vacuum" in await refusal(path)


async def test_a_damaged_file_is_refused(path: Path) -> None:
    connection = opened(path)
    connection.execute("BEGIN")
    for number in range(500):
        connection.execute(
            "INSERT INTO token VALUES (:no, 'cache', 'x', 'Accepted', NULL, NULL, 0)", {"no": f"{number:064}"}
        )
    connection.execute("COMMIT")
    connection.close()
    content = bytearray(path.read_bytes())
    content[-3 * 4096 : -3 * 4096 + 16] = b"\xff" * 16  # the head of a page of that table
    path.write_bytes(content)
    assert "damaged" in await refusal(path)


async def test_a_file_whose_first_page_is_lost_is_refused(path: Path) -> None:
    opened(path).close()
    content = bytearray(path.read_bytes())
    content[100:4096] = bytes(3996)
    path.write_bytes(content)
    assert str(path) in await refusal(path)


async def test_nothing_stays_open_after_a_refusal(path: Path) -> None:
    """`no_file_left_open` (tests/conftest.py) is what fails here."""
    altered(path, "PRAGMA user_version = 99", "DELETE FROM meta")
    await refusal(path)


async def test_each_refusal_names_the_file(path: Path) -> None:
    path.touch()
    assert str(path) in await refusal(path)


# --- migrating


def test_the_schema_files_are_applied_in_one_transaction(path: Path) -> None:
    """Whoever looks in between, or finds the file after a kill, sees the newest schema or the one before."""
    seen: set[tuple[int, str]] = set()

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
            with closing(sqlite3.connect(path)) as other:
                schema = str(other.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall())
                seen.add((other.execute("PRAGMA user_version").fetchone()[0], schema))
            return super().execute(sql, parameters)  # type: ignore[arg-type]

    with closing(sqlite3.connect(path, isolation_level=None, factory=Watched)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection)
        connection.execute("SELECT 1")
    assert sorted(version for version, _ in seen) == [0, schema_files()[-1][0]]


def test_a_migration_that_fails_leaves_nothing(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE tx (in_the_way)")
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(connection)
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (1,)
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)


def test_migrating_twice_changes_nothing(path: Path) -> None:
    connection = opened(path)
    before = list(connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name"))
    migrate(connection)
    assert list(connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name")) == before
    connection.close()


def test_the_schema_files_are_numbered_without_gaps() -> None:
    assert [number for number, _ in schema_files()] == list(range(1, len(schema_files()) + 1))


def test_every_table_is_strict(path: Path) -> None:
    connection = opened(path)
    found = connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    assert [name for name, strict in found if not strict and not name.startswith("sqlite_")] == []
    connection.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n\n", []),
        ("CREATE TABLE a (b);\nCREATE TABLE c (d);\n", ["CREATE TABLE a (b);\n", "CREATE TABLE c (d);\n"]),
        ("-- ends; here\nCREATE TABLE a (\n  b, -- one; two\n  c\n);\n", ["-- ends; here\nCREATE TABLE a (\n  b, -- one; two\n  c\n);\n"]),
        ("INSERT INTO a VALUES ('x;\ny');\n", ["INSERT INTO a VALUES ('x;\ny');\n"]),
        (
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n DELETE FROM b;\n DELETE FROM c;\nEND;\nDROP TABLE d;",
            ["CREATE TRIGGER t AFTER INSERT ON a BEGIN\n DELETE FROM b;\n DELETE FROM c;\nEND;\n", "DROP TABLE d;"],
        ),
    ],
    ids=["empty", "blank", "two", "comments", "string", "trigger"],
)  # fmt: skip
def test_statements_are_split_where_they_end(text: str, expected: list[str]) -> None:
    assert statements(text) == expected


def test_the_statements_of_each_schema_file_are_all_of_it() -> None:
    for _, text in schema_files():
        assert "".join(statements(text)).strip() == text.strip()


def test_a_statement_without_its_semicolon_is_not_left_out_in_silence() -> None:
    assert len(statements("CREATE TABLE a (b);\nCREATE TABLE c (d)\n")) == 2


# --- single values


def test_a_counter_begins_at_its_base_and_never_goes_back(path: Path) -> None:
    connection = opened(path)
    assert [boots.next_number(connection, "charger_tx", 5000) for _ in range(3)] == [5000, 5001, 5002]
    connection.close()
    connection = opened(path)
    assert boots.next_number(connection, "charger_tx", 1) == 5003
    assert boots.next_number(connection, "other", 1) == 1
    connection.close()


def test_settings_of_the_station_are_kept_as_text_beside_other_values(path: Path) -> None:
    connection = opened(path)
    boots.next_number(connection, "station", 1)
    boots.set_station_setting(connection, "HeartbeatInterval", "60")
    boots.set_station_setting(connection, "HeartbeatInterval", "0090")
    boots.set_station_setting(connection, "Ключ*", "'; DROP TABLE meta; --")
    assert boots.station_settings(connection) == {"HeartbeatInterval": "0090", "Ключ*": "'; DROP TABLE meta; --"}
    connection.close()


def test_a_boot_has_a_number_and_an_end(path: Path) -> None:
    connection = opened(path)
    wall = a_row().at.wall
    first, second = boots.begin(connection, wall, 1, "ntp"), boots.begin(connection, wall, 2, "ntp")
    boots.end(connection, second, "stopped")
    assert (first, second) == (1, 2)
    assert connection.execute("SELECT boot_no, started_wall_ms, end_reason FROM boot").fetchall() == [
        (1, round(wall.timestamp() * 1000), None),
        (2, round(wall.timestamp() * 1000), "stopped"),
    ]
    connection.close()

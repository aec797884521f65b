"""A copy put in the store's place: what is not one is refused, and each moment has a whole store under the name."""

import errno
import os
import random
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.store import backup, boots, connectors, delivery, files, restore
from edge.store.inspection import Unusable
from edge.store.migration import schema_files
from edge.store.restore import Damaged
from tests.databases.dump import load
from tests.store.givens import NOON, opened
from tests.store.history import assert_sound
from tests.store.lives import Lives, lives_of
from tests.store.restoring import MADE, copied, kept, put_back, restored, say_nothing
from tests.store.test_backup import sessions

DATABASES = Path(__file__).parent.parent / "databases"


@pytest.fixture
def store(path: Path) -> Path:
    """Two sessions that wait."""
    with closing(opened(path)) as db:
        boots.begin(db, NOON, 1, "ntp")
        sessions(db, 2)
    return path


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    return copied(store, tmp_path / "copy.db")


@pytest.fixture
def lives() -> Iterator[Lives]:
    with lives_of(Path(__file__).with_name("restore_process.py")) as lives:
        yield lives


def test_what_is_restored_is_what_was_copied(store: Path, copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as db:
        expected = db.execute("SELECT seq, text, digest FROM exchange ORDER BY seq").fetchall()
    with closing(opened(store)) as db:
        sessions(db, 1, "B")
    contents, _, _ = restored(copy, store)
    assert (contents.sessions, contents.waiting, contents.made_wall_ms) == (2, 10, MADE.timestamp() * 1000)
    with closing(opened(store)) as db:
        assert db.execute("SELECT seq, text, digest FROM exchange ORDER BY seq").fetchall() == expected
        assert sum(map(len, delivery.lanes(db).values())) == 10
        assert_sound(db)
        assert db.execute("SELECT count(*) FROM meta WHERE key GLOB 'backup:*'").fetchone() == (0,)
    assert {item.name for item in store.parent.iterdir()} == {"edge.db", "copy.db", kept(store).name}
    assert stat.S_IMODE(store.stat().st_mode) == 0o600


def test_the_store_before_it_is_kept_and_can_be_put_back(store: Path, copy: Path) -> None:
    with closing(opened(store)) as db:
        sessions(db, 3, "B")
    restored(copy, store)
    contents, present, _ = restored(kept(store), store)
    assert (contents.sessions, contents.waiting, contents.made_wall_ms) == (5, 25, None)
    assert present.lost_messages == 0
    assert kept(store).with_name(kept(store).name + "-2").exists()


def test_a_store_as_a_crash_left_it_can_be_put_back_with_its_log(store: Path, copy: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with closing(opened(store)) as db:
        sessions(db, 1, "B")
        for suffix in ("", "-wal"):
            shutil.copy(f"{store}{suffix}", left / f"edge.db{suffix}")
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT count(*) FROM tx").fetchone() == (2,)
    contents, _, _ = restored(left / "edge.db", store)
    assert contents.sessions == 3


def test_a_store_that_a_crash_left_in_the_midst_of_a_change_is_rolled_back(
    store: Path, copy: Path, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        for setting in ("cache_size = 1", "cache_spill = 1"):
            db.execute(f"PRAGMA {setting}")
        db.execute("BEGIN")
        db.execute("UPDATE exchange SET answer = hex(randomblob(3000))")
        for suffix in ("", "-journal"):
            shutil.copy(f"{copy}{suffix}", left / f"edge.db{suffix}")
        db.execute("ROLLBACK")
    assert (left / "edge.db").read_bytes() != copy.read_bytes()
    contents, _, _ = restored(left / "edge.db", store)
    assert (contents.sessions, contents.damaged) == (2, 0)
    with closing(opened(store)) as db:
        assert db.execute("SELECT count(answer) FROM exchange").fetchone() == (0,)


@pytest.mark.parametrize("number", [one for one, _ in schema_files()][:-1])
def test_a_store_of_an_earlier_schema_can_be_put_back(store: Path, tmp_path: Path, number: int) -> None:
    file = tmp_path / "old.db"
    load((DATABASES / f"schema-{number}.sql").read_text(), file)
    with closing(sqlite3.connect(file)) as db:
        sessions = db.execute("SELECT count(*) FROM tx WHERE kind = 'transaction'").fetchone()[0]
    contents, present, _ = restored(file, store)
    assert sessions >= 4
    assert (contents.sessions, contents.damaged, present.is_same_site) == (sessions, 0, False)
    with closing(opened(store)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == schema_files()[-1][0]
        assert_sound(db)
    assert {item.name for item in tmp_path.iterdir()} >= {"old.db", "edge.db", kept(store).name}


def test_a_present_store_of_an_earlier_schema_is_migrated_with_a_copy_of_it(path: Path, tmp_path: Path) -> None:
    load((DATABASES / "schema-1.sql").read_text(), path)
    file = copied(shutil.copy(path, tmp_path / "same.db"), tmp_path / "copy.db")
    _, present, _ = restored(file, path)
    assert (present.is_same_site, present.lost_messages) == (True, 0)
    assert path.with_name("edge.db.before-migration-1").exists()


# --- what is refused


def refusal(file: Path, store: Path, error: type[Exception] = Unusable) -> str:
    before = store.read_bytes() if store.exists() else None
    others = {item for item in store.parent.iterdir() if not item.name.startswith("edge.db-")}
    with pytest.raises(error) as caught:
        put_back(file, store)
    assert (store.read_bytes() if store.exists() else None) == before
    assert {item for item in store.parent.iterdir() if not item.name.startswith("edge.db-")} == others
    return str(caught.value)


@pytest.mark.parametrize("content", [b"", b"rubbish" * 1000, b"SQLite format 3\0" + b"\0" * 4000])
def test_a_file_that_is_no_store_is_refused(store: Path, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert "it is no" in refusal(file, store)


@pytest.mark.parametrize("content", [b"rubbish" * 1000, b"SQLite format 3\0" + b"\0" * 4000])
def test_nothing_of_a_file_that_is_no_store_is_copied(store: Path, tmp_path: Path, content: bytes) -> None:
    """Where it would be copied to, others may read it."""
    (tmp_path / "file").write_bytes(content)
    told: list[str] = []

    def tell(phase: str, _done: int, _of: int) -> None:
        told.append(phase)

    with (
        pytest.raises(Unusable),
        restore.opened(tmp_path / "file") as parts,
        restore.staged(parts, store, tell),
    ):
        pass
    assert told == []


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_what_sqlite_has_not_put_beside_a_copy_is_not_copied(copy: Path, suffix: str) -> None:
    copy.with_name(copy.name + suffix).write_bytes(b"somebody's secret" * 100)
    with restore.opened(copy) as parts:
        assert list(parts) == [""]


def test_a_database_of_another_program_is_refused(store: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE exchange (seq)")
    assert "it is no database of ocpp-edge" in refusal(tmp_path / "other.db", store)


def test_a_copy_of_a_newer_program_is_refused(store: Path, copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as db:
        db.execute(f"PRAGMA user_version = {schema_files()[-1][0] + 1}")
    assert "a newer program made it" in refusal(copy, store)


@pytest.mark.parametrize("page", range(1, 12))
def test_a_copy_with_a_page_of_zeros_is_refused_or_whole(store: Path, copy: Path, page: int) -> None:
    content = bytearray(copy.read_bytes())
    content[page * 4096 : (page + 1) * 4096] = bytes(4096)
    copy.write_bytes(content)
    try:
        contents, _, _ = restored(copy, store)
    except Unusable:
        return
    assert (contents.sessions, contents.waiting, contents.damaged) == (2, 10, 0)


@pytest.mark.parametrize("length", [4096, 4096 * 5 + 100, -4096, -1])
def test_a_copy_of_which_the_end_is_missing_is_refused(store: Path, copy: Path, length: int) -> None:
    content = copy.read_bytes().rstrip(b"\0")  # without zeros at its end nothing is missing
    copy.write_bytes(content[:length])
    assert "damaged" in refusal(copy, store)


def test_an_index_that_does_not_know_all_rows_is_damage(store: Path, copy: Path) -> None:
    """By it the messages are found that the CSMS is to get."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'due = 1', 'due = 7') WHERE name = 'tx_due'")
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("REINDEX tx_due")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'due = 7', 'due = 1') WHERE name = 'tx_due'")
    assert "damaged" in refusal(copy, store)


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON exchange BEGIN DELETE FROM tx; END", "trigger t"),
        ("CREATE VIEW v AS SELECT 1", "view v"),
        ("DROP INDEX tx_due", "index tx_due"),
        ("ALTER TABLE charger ADD COLUMN more TEXT", "table charger"),
    ],
)
def test_a_copy_with_something_in_it_that_we_did_not_make_is_refused(
    store: Path, copy: Path, added: str, told: str
) -> None:
    with closing(sqlite3.connect(copy)) as db:
        db.execute(added)
    assert told in refusal(copy, store)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE meta SET value = 'many' WHERE key = 'counter:session'",
        "UPDATE meta SET value = 'many' WHERE key = 'settled_seq'",
        "UPDATE meta SET value = 4611686018427387904 WHERE key = 'counter:charger_tx'",
        "UPDATE meta SET value = 'yesterday' WHERE key = 'backup:made_ms'",
        "UPDATE connector SET charger_no = 77",
        "UPDATE exchange SET kind = 77",
    ],
)
def test_values_that_no_store_has_are_damage(store: Path, copy: Path, damage: str) -> None:
    with closing(sqlite3.connect(copy)) as db:
        db.execute("INSERT INTO meta VALUES ('counter:charger_tx', 5)")
        assert db.execute(damage).rowcount > 0
        db.commit()
    assert "damaged" in refusal(copy, store)


def test_a_time_that_cannot_be_is_no_time(store: Path, copy: Path) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = 1 << 60 WHERE key = 'backup:made_ms'")
        db.execute("UPDATE exchange SET at_wall_ms = -(1 << 60)")
    contents, _, _ = restored(copy, store)
    assert (contents.made_wall_ms, contents.first_wall_ms, contents.last_wall_ms) == (None, None, None)


def test_a_flipped_bit_in_a_message_is_seen(store: Path, copy: Path) -> None:
    content = copy.read_bytes()
    assert content.count(b'"MeterValues",{"n":""}') == 6
    copy.write_bytes(content.replace(b'"MeterValues",{"n":""}', b'"MeterValues",{"m":""}', 1))
    with restore.opened(copy) as parts, restore.staged(parts, store, say_nothing) as (_, contents):
        assert (contents.damaged, contents.damaged_when_made) == (1, 0)


def test_a_copy_for_which_there_is_no_room_is_not_begun(store: Path, copy: Path, tmp_path: Path) -> None:
    huge = tmp_path / "huge.db"
    with huge.open("wb") as file:
        file.write(copy.read_bytes()[:100])
        file.truncate(10**13)
    assert "MB are free there" in refusal(huge, store, backup.BackupFailed)


# --- a present store in whose place nothing may be put


def test_a_store_that_somebody_else_has_open_is_left_alone(store: Path, copy: Path) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as shell:
        shell.execute("PRAGMA journal_mode = WAL")
        shell.execute("BEGIN")
        shell.execute("SELECT count(*) FROM tx").fetchone()
        with pytest.raises(Unusable, match="another program has"):
            put_back(copy, store)
    with closing(opened(store)) as db:
        assert db.execute("SELECT count(*) FROM tx").fetchone() == (2,)
    assert not kept(store).exists()


def test_a_store_that_somebody_else_writes_is_left_alone(store: Path, copy: Path) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        assert "locked" in refusal(copy, store)


def test_the_database_of_another_program_is_not_replaced(path: Path, copy: Path, store: Path) -> None:
    store.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    assert "move it away yourself" in refusal(copy, path)


def test_a_store_of_a_newer_program_is_not_replaced(store: Path, copy: Path) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("UPDATE meta SET value = 99 WHERE key = 'min_reader'")
    assert "install the newer program again" in refusal(copy, store)


def test_a_store_that_an_older_program_may_use_is_looked_at_but_nothing_is_taken_over(store: Path, copy: Path) -> None:
    """Going back one release: its columns are not all known here."""
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("ALTER TABLE charger ADD COLUMN later TEXT")
    with closing(opened(store)) as db:
        sessions(db, 1)
    _, present, _ = restored(copy, store)
    assert (present.is_same_site, present.lost_messages) == (False, 5)


# --- a present store that is damaged


@pytest.mark.parametrize("content", [b"", b"rubbish" * 10_000])
def test_a_damaged_store_goes_aside_with_its_log(store: Path, copy: Path, content: bytes) -> None:
    store.write_bytes(content)
    store.with_name("edge.db-wal").write_bytes(b"log of it")
    _, damaged, _ = put_back(copy, store)
    assert isinstance(damaged, Damaged)
    assert kept(store).read_bytes() == content
    assert not store.with_name("edge.db-wal").exists()
    assert state_of(store) == 2
    files.remove_leftovers(store)
    assert kept(store).read_bytes() == content


def test_a_log_without_a_store_is_not_taken_for_the_copys(store: Path, copy: Path) -> None:
    with closing(opened(store)) as db:
        sessions(db, 3)
        log = store.with_name("edge.db-wal").read_bytes()
    store.unlink()
    store.with_name("edge.db-wal").write_bytes(log)
    put_back(copy, store)
    assert state_of(store) == 2
    assert kept(store).with_name(kept(store).name + "-wal").read_bytes() == log


# --- killed in between


def state_of(path: Path) -> int:
    """How many sessions the store has as the next start finds it: 5 is the old one, 2 the copy."""
    with closing(opened(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert_sound(db)
        count = int(db.execute("SELECT count(*) FROM tx").fetchone()[0])
        assert db.execute("SELECT count(*) FROM exchange").fetchone() == (5 * count,)
        chargers = {one.id for one in connectors.chargers(db)}
        assert chargers == ({"A", "B"} if count == 5 else chargers & {"A", "B"})
        return count


def no_store(folder: Path) -> None:
    pass


def merged(folder: Path) -> None:
    with closing(opened(folder / "edge.db")) as db:
        sessions(db, 2)
        sessions(db, 3, "B")


def with_its_log(folder: Path) -> None:
    merged(folder)
    with closing(opened(folder / "edge.db")) as db:
        sessions(db, 1, "B")
        db.execute("DELETE FROM exchange WHERE tx_no = 6")
        db.execute("DELETE FROM tx WHERE tx_no = 6")
        db.execute("UPDATE charger SET last_seq = 25 WHERE charger_no = 2")
        for suffix in ("", "-wal"):
            shutil.copy(folder / f"edge.db{suffix}", folder / f"left{suffix}")
    for suffix in ("", "-wal"):
        (folder / f"left{suffix}").rename(folder / f"edge.db{suffix}")


@pytest.mark.parametrize("present", [no_store, merged, with_its_log])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_store_whole_under_its_name(
    copy: Path, tmp_path: Path, lives: Lives, present
) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    present(origin)
    found = []
    for step in range(1, 1000):
        folder = tmp_path / str(step)
        shutil.copytree(origin, folder)
        life = lives.live(folder, copy, folder / "edge.db", step=step)
        found.append(found_in(folder, copy, again=step % 7 == 0))
        if not life.was_killed:
            break
    assert not life.was_killed
    assert len(found) > 100
    assert found == sorted(found, key=[0, 5, 2].index)
    assert (found[0], found[-1]) == (0 if present is no_store else 5, 2)


def test_kills_at_random_moments_leave_the_old_or_the_new_store_whole(copy: Path, tmp_path: Path, lives: Lives) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    with_its_log(origin)
    measured = Path(shutil.copytree(origin, tmp_path / "measured"))
    whole = lives.live(measured, copy, measured / "edge.db").seconds
    chance = random.Random(3)
    for life in range(40):
        folder = Path(shutil.copytree(origin, tmp_path / f"life-{life}"))
        lives.live(folder, copy, folder / "edge.db", after=chance.uniform(whole / 10, whole * 1.1))
        assert found_in(folder, copy, again=life % 7 == 0) in {5, 2}


def found_in(folder: Path, copy: Path, *, again: bool) -> int:
    """What the next start finds; nothing else is left that is not whole; and the restore can be done again."""
    store = folder / "edge.db"
    if not store.exists():
        files.remove_leftovers(store)
        assert list(folder.iterdir()) == []
        return 0
    found = state_of(store)
    files.remove_leftovers(store)
    aside = [item for item in folder.iterdir() if not re.fullmatch("edge[.]db(-.*)?", item.name)]
    assert [state_of(item) for item in aside] in ([], [5] if found == 2 else [])
    if again:
        restored(copy, store)
        assert state_of(store) == 2
    shutil.rmtree(folder)
    return found


def test_where_a_file_cannot_have_two_names_the_present_store_is_kept_as_a_copy(
    store: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(store)) as db:
        sessions(db, 3, "B")

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    restored(copy, store)
    assert (state_of(store), state_of(kept(store))) == (2, 5)


def test_a_second_name_of_the_store_that_a_kill_left_is_removed_and_nothing_else(store: Path, copy: Path) -> None:
    restored(copy, store)
    os.link(store, store.with_name("edge.db.before-restore-x"))
    os.link(store, store.with_name("a-person's.db"))
    files.remove_leftovers(store)
    assert {item.name for item in store.parent.iterdir()} == {
        "edge.db", "copy.db", "a-person's.db", kept(store).name
    }  # fmt: skip

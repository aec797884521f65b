"""What a kill has left at the end of the write-ahead log is not taken for damage; what came after a commit is."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.store.pages import log_damage

FRAME, HEADER, FRAME_HEADER = 24 + 4096, 32, 24


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """Its log is as a killed process leaves it."""
    path = tmp_path / "edge.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE told (text TEXT)")
        yield path


def log_of(store: Path) -> Path:
    return store.with_name(store.name + "-wal")


def frames(store: Path) -> int:
    return (log_of(store).stat().st_size - HEADER) // FRAME


def put(store: Path, text: str) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("INSERT INTO told VALUES (?)", (text,))


def spoil(store: Path, frame: int) -> None:
    """The content of a frame, counted from 0, as if it had not been written yet."""
    log = bytearray(log_of(store).read_bytes())
    begin = HEADER + frame * FRAME + FRAME_HEADER
    log[begin : begin + 4096] = bytes(4096)
    log_of(store).write_bytes(log)


def test_a_short_commit_that_was_cut_off_over_a_longer_one_that_failed_is_no_damage(store, tmp_path):
    put(store, "first")
    before, log = frames(store), log_of(store).read_bytes()
    put(store, "long " * 4000)
    failed = log_of(store).read_bytes()[len(log) :]
    assert len(failed) >= 4 * FRAME
    later = tmp_path / "later.db"
    later.write_bytes(store.read_bytes())
    log_of(later).write_bytes(log)
    with closing(sqlite3.connect(later, isolation_level=None)) as connection:
        connection.execute("INSERT INTO told VALUES (?)", ("second",))
        assert frames(later) == before + 1
        log_of(store).write_bytes(log_of(later).read_bytes() + failed[FRAME:])
    assert log_damage(store) is None
    spoil(store, before)
    assert log_damage(store) is None


def test_a_frame_before_two_commits_is_damage(store):
    put(store, "first")
    spoilt = frames(store) - 1
    for text in ("second", "third"):
        put(store, text)
    assert log_damage(store) is None
    spoil(store, spoilt)
    assert f"frame {spoilt + 1} of" in log_damage(store)


TORN = 41
"""The first frame whose header lies in two sectors, page and size in one, the salts in the next."""


@pytest.mark.parametrize("left", [b"\xa5" * 8, b"\0\0\0\2" * 2], ids=["noise", "what stood there before"])
def test_a_torn_header_in_the_last_commit_is_no_commit(store, left):
    """The salts are right, and what is before them says that a commit ends here."""
    put(store, "first")
    before = frames(store)
    put(store, "long " * 40_000)
    assert before < TORN < frames(store) - 1
    log = bytearray(log_of(store).read_bytes())
    begin = HEADER + TORN * FRAME
    assert begin % 512 == 512 - 8
    log[begin : begin + 8] = left
    log_of(store).write_bytes(log)
    spoil(store, before)
    assert log_damage(store) is None


def test_the_last_commit_may_be_unfinished(store):
    put(store, "first")
    put(store, "second")
    spoil(store, frames(store) - 1)
    assert log_damage(store) is None


@pytest.mark.parametrize("is_merged", [True, False])
def test_without_its_header_a_log_is_damaged_if_the_file_lacks_something_of_it(tmp_path, is_merged):
    """A power cut may take the header while a merged log is begun anew; pages that were given back are not lacked."""
    path = tmp_path / "edge.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for words in (
            "PRAGMA auto_vacuum = INCREMENTAL",
            "PRAGMA journal_mode = WAL",
            "PRAGMA wal_autocheckpoint = 0",
            "CREATE TABLE told (text TEXT)",
            "INSERT INTO told VALUES (zeroblob(100000))",
            "DELETE FROM told",
            "INSERT INTO told VALUES ('short')",
            "PRAGMA incremental_vacuum",
            *(["PRAGMA wal_checkpoint(FULL)"] if is_merged else []),
        ):
            connection.execute(words).fetchall()
        left = tmp_path / "left.db"
        left.write_bytes(path.read_bytes())
        log_of(left).write_bytes(b"\x5a" * HEADER + log_of(path).read_bytes()[HEADER:])
    assert (log_damage(left) is None) is is_merged


def test_what_a_failed_commit_has_left_in_a_merged_log_is_not_lacked(tmp_path):
    """A sync failed, a shorter commit took its place and was merged, and the log was about to be begun anew."""
    path, failed = tmp_path / "edge.db", tmp_path / "failed.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for words in ("PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0", "CREATE TABLE told (text TEXT)"):
            connection.execute(words).fetchall()
        put(path, "first")
        failed.write_bytes(path.read_bytes())
        log_of(failed).write_bytes(log_of(path).read_bytes())
        before = log_of(path).stat().st_size
        with closing(sqlite3.connect(failed, isolation_level=None)) as other:
            other.execute("INSERT INTO told VALUES (?)", ("long " * 4000,))
            left = log_of(failed).read_bytes()[before:]
        put(path, "second")
        connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        log = log_of(path).read_bytes()
    assert len(log) == before + FRAME
    assert len(left) >= 4 * FRAME
    log_of(path).write_bytes(b"\x5a" * HEADER + log[HEADER:] + left[FRAME:])
    assert log_damage(path) is None

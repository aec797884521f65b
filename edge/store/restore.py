"""A copy put back in the store's place, while no daemon runs (the caller holds the lock).

`opened` gives the file that is to be put back; `staged` brings it beside the store under another name and looks through
it there; `look` says what the present store knows; `go_on_after` makes the copy fit to follow it
(`edge/store/succession.py`). `swap` gives it the store's name in one step, so that whatever stops us leaves either the
old or the new store whole under that name; the old one stays under another.
"""

import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from edge.store import chains, report, succession
from edge.store.backup import LEAVE_FREE, require_space
from edge.store.damage import is_damage
from edge.store.db import APPLICATION_ID
from edge.store.files import BEFORE_RESTORE, COMPANIONS, KEEPING, STAGED, remove_leftovers, to_disk
from edge.store.inspection import Contents, Unusable, forget_note, inspect, require_ours
from edge.store.migration import StoreUnusable, keep_copy, migrate, schema_files, statements
from edge.store.succession import NONE_GIVEN, Following, Numbers

CHUNK_BYTES = 1024 * 1024

_COMPANIONS_BEGIN = {
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"),
    "-journal": (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7",),
}
"""How SQLite makes them (its file format, 3 and 4.1)."""

Opened = Mapping[str, BinaryIO]
"""The file that is to be put back, and what a crash has left beside it, by `files.COMPANIONS`."""
Tell = Callable[[str, int, int], None]
"""Phase, done, of how many."""


@dataclass(frozen=True, slots=True)
class Present:
    """What the store that is to be replaced knows."""

    lost_messages: int
    """That the CSMS has not got, and that are not in the copy."""
    lost_sessions: int
    """That are open, and of which the copy does not know: their ends could not be told to the CSMS."""
    is_same_site: bool
    """The copy was made of it, or of what it was: all that is outside of us is as this store says."""
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Damaged:
    """The store that is to be replaced cannot be used by any program."""

    why: str
    numbers: Numbers
    """As far as they could be read."""


def open_part(file: Path) -> int:
    """A handle to read from, without waiting for whoever would write to a pipe of that name."""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "it is no file", str(file))


@contextmanager
def opened(file: Path, open_part: Callable[[Path], int] = open_part) -> Iterator[Opened]:
    """Raises OSError; Unusable when it is no store, of which nothing must be copied to where others may read it."""
    with ExitStack() as stack:
        parts = {"": stack.enter_context(os.fdopen(open_part(file), "rb"))}
        for suffix, begins in _COMPANIONS_BEGIN.items():
            with suppress(FileNotFoundError):
                part = stack.enter_context(os.fdopen(open_part(file.with_name(file.name + suffix)), "rb"))
                if os.pread(part.fileno(), 8, 0).startswith(begins):
                    parts[suffix] = part  # another would mean nothing to SQLite
        _require_header(parts)
        yield parts


def _require_header(parts: Opened) -> None:
    """Raises Unusable. Only `require_ours` looks through a log, in which what the header says may still be."""
    header = os.pread(parts[""].fileno(), 100, 0)
    if not header.startswith(b"SQLite format 3\0") or len(header) < 100:
        raise Unusable("it is no SQLite database")
    found = int.from_bytes(header[68:72], "big")
    if found != APPLICATION_ID and not (found == 0 and "-wal" in parts):
        raise Unusable(f"it is no database of ocpp-edge (application_id {found:#x})")


@contextmanager
def staged(file: Opened, store: Path, tell: Tell) -> Iterator[tuple[sqlite3.Connection, Contents]]:
    """A connection to a private copy of `file` beside the store, looked through, migrated and in one piece.

    Raises Unusable, BackupFailed (no space) or OSError; removes the copy unless `swap` has moved it.
    """
    remove_leftovers(store)
    copy = store.with_name(store.name + STAGED)
    try:
        require_space(store.parent, sum(os.fstat(part.fileno()).st_size for part in file.values()), LEAVE_FREE)
        for suffix, part in file.items():
            _copy_private(part, copy.with_name(copy.name + suffix), tell)
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            yield connection, _looked_through(connection, tell)
    except sqlite3.Error as error:
        raise Unusable(f"its copy {copy} failed: {error}") from error
    finally:
        remove_leftovers(store)


def _copy_private(source: BinaryIO, target: Path, tell: Tell) -> None:
    size, done = os.fstat(source.fileno()).st_size, 0
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as copy:
        while chunk := source.read(CHUNK_BYTES):
            copy.write(chunk)
            done += len(chunk)
            tell("copying", done, size)


def _looked_through(connection: sqlite3.Connection, tell: Tell) -> Contents:
    tell("checking", 0, 0)
    try:
        # Anybody may have written it: nothing in it is executed, and it is checked before anything else is read.
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            connection.execute(f"PRAGMA {setting}").close()
        require_ours(connection)
        for check in ("integrity_check(1)", "foreign_key_check"):
            found = connection.execute(f"PRAGMA {check}").fetchone()
            if found is not None and found[0] != "ok":
                raise Unusable(f"it is damaged: {' '.join(map(str, found))}")
        connection.execute("PRAGMA journal_mode = DELETE").close()
        if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
            raise Unusable("it is no database of ocpp-edge (auto_vacuum)")
        _require_schema(connection)
        migrate(connection)
        chains.load(connection)
        succession.numbers(connection)
        return inspect(connection, lambda done, of: tell("checking", done, of))
    except (sqlite3.DatabaseError, StoreUnusable, ValueError, TypeError, LookupError, OverflowError) as error:
        raise Unusable(f"it is damaged: {error}") from error


def _require_schema(connection: sqlite3.Connection) -> None:
    """Raises Unusable when something is in it that this program has not made: a trigger, say, which would act."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        for number, text in schema_files():
            if number <= version:
                for statement in statements(text):
                    made.execute(statement)
        expected, found = _schema(made), _schema(connection)
    for name in sorted(expected.keys() ^ found.keys()) or sorted(n for n in found if found[n] != expected[n]):
        raise Unusable(f"it is not as ocpp-edge makes it (schema {version}): {name}")


def _schema(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute(
        "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return {str(name): str(sql) for name, sql in rows}


def look(copy: sqlite3.Connection, store: Path) -> Present | Damaged | None:
    """The present store, opened as the next start would open it; None: there is none.

    All that was committed is in its one file afterwards. Raises Unusable when somebody else uses it, when it is not
    ours, or when the disk does not let us look: then nothing is known, and it must not be replaced.
    """
    if not store.exists():
        return None
    try:
        return _look(copy, store)
    except sqlite3.Error as error:
        if hasattr(error, "sqlite_errorcode") and not is_damage(error):  # without one: a text that is no UTF-8
            raise Unusable(f"{store} cannot be looked at: {error}") from error
        return Damaged(str(error), _salvaged(store))
    except StoreUnusable as error:
        raise Unusable(f"{store}: {error}") from error


def _look(copy: sqlite3.Connection, store: Path) -> Present | Damaged:
    with closing(sqlite3.connect(store, isolation_level=None)) as now:
        if now.execute("PRAGMA page_count").fetchone()[0] == 0:
            return Damaged("the file is empty", NONE_GIVEN)
        if now.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise Unusable(f"{store} is no database of ocpp-edge: move it away yourself, or set another store.path")
        keep_copy(now, store)
        migrate(now)
        chains.load(now)
        lost = [not _is_in(copy, one.seq, _digest(now, one.seq)) for one in report.queue(now)]
        running = now.execute("SELECT begin_seq FROM tx WHERE state = 'open' AND kind = 'transaction'").fetchall()
        numbers = succession.numbers(now)
        same_schema = _schema(now) == _schema(copy)
        lost_sessions = sum(not _is_in(copy, seq, _digest(now, seq)) for (seq,) in running)
    with _attached(copy, store):
        is_same_site = same_schema and _is_older(succession.numbers(copy), numbers) and succession.has_same_past(copy)
    return Present(sum(lost), lost_sessions, is_same_site, numbers)


def _is_older(copy: Numbers, present: Numbers) -> bool:
    """Else somebody has put an old store there by hand, and what it says of the world is not the newest."""
    return copy.seq <= present.seq and copy.boot <= present.boot


@contextmanager
def _attached(copy: sqlite3.Connection, store: Path) -> Iterator[None]:
    copy.execute("ATTACH :store AS present", {"store": str(store)})
    try:
        yield
    finally:
        if copy.in_transaction:
            copy.execute("ROLLBACK")
        copy.execute("DETACH present")  # its log can be merged only when nobody has it open


def _digest(connection: sqlite3.Connection, seq: int) -> bytes | None:
    row = connection.execute("SELECT digest FROM exchange WHERE seq = :seq", {"seq": seq}).fetchone()
    return None if row is None else bytes(row[0])


def _is_in(copy: sqlite3.Connection, seq: int, digest: bytes | None) -> bool:
    """Whether it is the same row: digests go over all that came before it."""
    return digest is not None and _digest(copy, seq) == digest


def _salvaged(store: Path) -> Numbers:
    """The numbers that a damaged store still tells."""
    with suppress(sqlite3.Error, Unusable), closing(sqlite3.connect(store, isolation_level=None)) as now:
        return succession.numbers(now)
    return NONE_GIVEN


def go_on_after(
    copy: sqlite3.Connection, before: Present | Damaged | None, store: Path, contents: Contents, now: datetime
) -> Following:
    """Make the copy fit to follow the present store."""
    now_ms = round(now.timestamp() * 1000)
    is_known = isinstance(before, Present) and before.is_same_site
    since = None if is_known else _known_until(contents, now_ms)
    sent = ended = 0
    with _attached(copy, store) if is_known else nullcontext():
        copy.execute("BEGIN IMMEDIATE")
        if is_known:
            sent, ended = succession.take_over(copy)
        numbers = succession.move_numbers(copy, None if before is None else before.numbers, since, now_ms)
        forget_note(copy)
        copy.execute("COMMIT")
    return Following(numbers, sent, ended, since)


def _known_until(contents: Contents, now_ms: int) -> int:
    for at in (contents.made_wall_ms, contents.last_wall_ms):
        if at is not None:
            return at
    return now_ms  # nothing was ever stored in it


def free_name(store: Path, now: datetime) -> Path:
    """Under which the present store is to be kept: `edge.db.before-restore-20261121T080211Z`."""
    first = store.with_name(f"{store.name}{BEFORE_RESTORE}{now:%Y%m%dT%H%M%SZ}")
    name, number = first, 1
    while any(name.with_name(name.name + suffix).exists() for suffix in COMPANIONS):
        number += 1
        name = first.with_name(f"{first.name}-{number}")
    return name


def swap(store: Path, kept: Path) -> bool:
    """Give the staged copy the store's name, and the store that name; whether there was a store.

    At each moment the store's name is that of a whole store. Only of a damaged one, whose write-ahead log has to go
    aside first, is that not so.
    """
    copy = store.with_name(store.name + STAGED)
    had_store = store.exists()
    _give_to_owner(copy, store if had_store else store.parent)
    to_disk(copy)
    if had_store:
        _into_one_file(store)
        _keep(store, kept)
    for suffix in COMPANIONS[1:]:
        companion = store.with_name(store.name + suffix)
        if companion.exists():
            companion.rename(kept.with_name(kept.name + suffix))
    to_disk(store.parent)
    copy.replace(store)
    to_disk(store.parent)
    return had_store


def _give_to_owner(file: Path, like: Path) -> None:
    """Whoever restores may be root, the daemon is not. Raises PermissionError when the daemon could not read it."""
    owner, we = like.stat(), os.geteuid()
    if we == 0:
        os.chown(file, owner.st_uid, owner.st_gid)
    elif owner.st_uid != we and like.is_file():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(like))


def _into_one_file(store: Path) -> None:
    """Merge the write-ahead log, which belongs to no file that has another name. Nothing if the store is damaged.

    Raises Unusable when another program has the store open, or the log cannot be merged.
    """
    try:
        with closing(sqlite3.connect(store, isolation_level=None)) as connection:
            mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise Unusable(f"another program has {store} open, or it cannot be written: {error}") from error
        return
    if mode != ("delete",):
        raise Unusable(f"the log of {store} cannot be merged into it (journal_mode {mode})")


def _keep(store: Path, kept: Path) -> None:
    """A second name for the store, until the first one is the copy's."""
    try:
        os.link(store, kept)
    except OSError:  # a file system without hard links
        fresh = store.with_name(store.name + KEEPING)
        require_space(store.parent, store.stat().st_size, LEAVE_FREE)
        shutil.copy2(store, fresh)
        _give_to_owner(fresh, store)
        to_disk(fresh)
        fresh.rename(kept)

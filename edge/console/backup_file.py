"""The command's half of `edge backup`: the daemon's copy of the store, written to a file.

The file gets its name when it is whole, on the disk and equal to what the daemon sent; until then it is `FILE.part`,
and whatever goes wrong removes that. Loaded only for this command.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from typing import NamedTuple

from edge.console.client import Request, ask
from edge.console.document import count, number, part, text
from edge.console.errors import CommandError
from edge.console.progress import Progress
from edge.jsontypes import Payload

NEXT_WITHIN = 120.0
"""Seconds in which the daemon has to say something: it tells its progress each second."""
_PHASES = {"waiting": "begins", "copying": "is copied", "checking": "is checked"}


class Received(NamedTuple):
    """What came, and its digest."""

    backup: Payload
    sha256: str


def fetch(socket: str, file: str, *, force: bool) -> Payload:
    """Write a backup to `file`; the document that says what is in it. Raises CommandError."""
    progress = Progress("The store")
    try:
        _require_free_name(file, force=force)
        with _created(file + ".part") as handle:
            received = _receive(socket, handle, file, progress)
            os.fsync(handle)
            _require_free_name(file, force=force)
            os.replace(file + ".part", file)  # noqa: PTH105 - pathlib costs start time
            _sync_folder(file)
    except OSError as error:
        raise CommandError("not_written", f"{file} cannot be written: {error.strerror}.", _hint(error)) from error
    finally:
        progress.clear()
    return {"v": 1, "file": file, **received.backup, "sha256": received.sha256}


def _require_free_name(file: str, *, force: bool) -> None:
    if file == "-":
        message = "A backup is written to a file: it gets its name only when it is whole."
        raise CommandError("usage", message, "Name a file; one that is called so is ./-")
    if os.path.isdir(file):  # noqa: PTH112
        raise CommandError("not_written", f"{file} is a folder.", "Name a file in it.")
    if os.path.exists(file) and not os.path.isfile(file):  # noqa: PTH110, PTH113
        raise CommandError("not_written", f"{file} is no ordinary file.", "Name one that does not exist yet.")
    if os.path.lexists(file) and not force:
        raise CommandError("exists", f"{file} exists already.", "Another name, or --force to replace it.")
    if _is_store_in_use(file):
        raise CommandError("not_written", f"{file} is a store in use, not a backup.", "Name another file.")
    folder = os.path.dirname(file) or "."  # noqa: PTH120
    if not os.path.isdir(folder):  # noqa: PTH112
        raise CommandError("not_written", f"There is no folder {folder}.", "Make it first, or name another.")


def _is_store_in_use(file: str) -> bool:
    """A database with a write-ahead log, which a backup has not: replacing the daemon's own would be its end."""
    try:
        with open(file, "rb") as content:  # noqa: PTH123
            head = content.read(20)
    except FileNotFoundError:
        return False
    return head.startswith(b"SQLite format 3\0") and head[18:20] == b"\x02\x02"


@contextlib.contextmanager
def _created(path: str) -> Iterator[int]:
    """A new file that only its owner may read: ids of tokens and hashes of passwords are in it.

    Locked while we write it, so that another command does not take it for one that a kill has left.
    """
    _remove_unfinished(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _is_ours(handle)
        yield handle
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        raise
    finally:
        os.close(handle)


def _remove_unfinished(path: str) -> None:
    """What a command that was killed has left. Raises CommandError when it is alive."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not _is_ours(handle):
            message = f"Another edge backup is writing {path} at this moment."
            raise CommandError("busy", message, "Wait for its end, then try again.")
        os.unlink(path)  # noqa: PTH108
    finally:
        os.close(handle)


def _is_ours(handle: int) -> bool:
    """Whether nobody else holds the lock on this file; we do from now on, where the file system knows locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _receive(socket: str, handle: int, file: str, progress: Progress) -> Received:
    try:
        return _received(socket, handle, file, progress)
    except CommandError as error:
        if error.code not in {"unreachable", "timed_out"} or not progress.has_begun:
            raise
        hint = f"Nothing was kept of the backup.\n{error.hint}"
        raise CommandError(error.code, error.message, hint) from error


def _received(socket: str, handle: int, file: str, progress: Progress) -> Received:
    digest, done = hashlib.sha256(), 0
    backup: Payload | None = None
    for line in ask(socket, Request("backup", {}, stream=True, timeout_s=NEXT_WITHIN)):
        document = json.loads(line)
        if error := part(document, "error"):
            raise CommandError(text(error, "code"), text(error, "message"), text(error, "hint", ""))
        if "piece" in document:
            piece = base64.b64decode(document["piece"])
            digest.update(piece)
            done += len(piece)
            _write(handle, piece)
            progress.show("is written", done, count(backup or {}, "bytes"))
        elif "backup" in document:
            backup = document["backup"]
            _require_space(file, count(document["backup"], "bytes"))
        elif "sha256" in document:
            return _checked(document["sha256"], digest.hexdigest(), done, backup or {})
        else:
            now = part(document, "progress")
            progress.show(_PHASES.get(text(now, "phase"), text(now, "phase")), count(now, "done"), count(now, "of"))
    raise CommandError("unreachable", "The daemon ended before the backup was complete.", "Look at its log.")


def _checked(expected: str, found: str, done: int, backup: Payload) -> Received:
    if found != expected or done != number(backup, "bytes"):
        raise CommandError("damaged", "What came is not what the daemon sent.", "Try again; nothing was kept of it.")
    return Received(backup, found)


def _write(handle: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _require_space(file: str, size: int) -> None:
    found = os.statvfs(os.path.dirname(file) or ".")  # noqa: PTH120
    free = found.f_bavail * found.f_frsize
    if free < size:
        raise CommandError(
            "not_written", f"The backup has {size / 1e6:.1f} MB; where {file} is to be, {free / 1e6:.1f} MB are free."
        )


def _sync_folder(file: str) -> None:
    folder = os.open(os.path.dirname(file) or ".", os.O_RDONLY | os.O_DIRECTORY)  # noqa: PTH120
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _hint(error: OSError) -> str:
    return "Choose a place where you may write." if isinstance(error, PermissionError) else "Nothing was kept of it."

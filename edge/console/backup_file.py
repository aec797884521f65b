"""The command's half of `edge backup`: the daemon's copy of the store, written to a file.

The file gets its name when it is whole, on the disk and equal to what the daemon sent; until then it is `FILE.part`,
and whatever goes wrong removes that. Loaded only for this command.
"""

import base64
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from edge.console.client import Request, ask
from edge.console.document import count, number, part, text
from edge.console.errors import CommandError
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
    _require_free_name(file, force=force)
    unfinished = file + ".part"
    progress = _Progress()
    try:
        with _created(unfinished) as handle:
            received = _receive(socket, handle, file, progress)
            os.fsync(handle)
        _require_free_name(file, force=force)
        os.replace(unfinished, file)  # noqa: PTH105 - pathlib costs start time
        _sync_folder(file)
    except OSError as error:
        raise CommandError("not_written", f"{file} cannot be written: {error.strerror}.", _hint(error)) from error
    finally:
        progress.clear()
        with contextlib.suppress(OSError):
            os.unlink(unfinished)  # noqa: PTH108
    return {"v": 1, "file": file, **received.backup, "sha256": received.sha256}


def _require_free_name(file: str, *, force: bool) -> None:
    if os.path.isdir(file):  # noqa: PTH112
        raise CommandError("not_written", f"{file} is a folder.", "Name a file in it.")
    if os.path.lexists(file) and not force:
        raise CommandError("exists", f"{file} exists already.", "Another name, or --force to replace it.")
    folder = os.path.dirname(file) or "."  # noqa: PTH120
    if not os.path.isdir(folder):  # noqa: PTH112
        raise CommandError("not_written", f"There is no folder {folder}.", "Make it first, or name another.")


@contextlib.contextmanager
def _created(path: str) -> Iterator[int]:
    """A new file that only its owner may read: ids of tokens and hashes of passwords are in it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - of a command that was killed
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _receive(socket: str, handle: int, file: str, progress: "_Progress") -> Received:
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
    raise CommandError("unreachable", "The daemon ended before the backup was complete.", "Nothing was kept of it.")


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


class _Progress:
    """One line on the terminal that is written over; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._last = ""

    def show(self, what: str, done: int, of: int) -> None:
        share = f" {100 * done // of} %" if of else ""
        words = f"The store {what}{share}"
        if self._is_shown and words != self._last:
            print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)
            self._last = words

    def clear(self) -> None:
        if self._last:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

"""The command's half of `edge backup`: the daemon's copy of the store, written to a file.

The file gets its name when it is whole, on the disk and equal to what the daemon sent (`new_file.py`). Loaded only for
this command.
"""

import base64
import hashlib
import json
import os
from typing import NamedTuple

from edge.console import new_file
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
        # Only its owner may read it: ids of tokens and hashes of passwords are in it.
        with new_file.created(file) as handle:
            received = _receive(socket, handle, file, progress)
            _require_free_name(file, force=force)
            new_file.place(handle, file)
    except OSError as error:
        raise new_file.not_written(file, error) from error
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
            new_file.write(handle, piece)
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


def _require_space(file: str, size: int) -> None:
    found = os.statvfs(os.path.dirname(file) or ".")  # noqa: PTH120
    free = found.f_bavail * found.f_frsize
    if free < size:
        raise CommandError(
            "not_written", f"The backup has {size / 1e6:.1f} MB; where {file} is to be, {free / 1e6:.1f} MB are free."
        )

"""The command's half of `edge diagnostics`: what a charger has left, written into a folder.

A file gets its name when it is on the disk and equal to what came to the bridge (`new_file.py`): what the charger broke
off is kept, too, and said to be a part. It is called after the charger, and as the charger calls it. Loaded only for
this command.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterator

from edge.console import new_file
from edge.console.client import Request, ask
from edge.console.document import count, part, text
from edge.console.errors import CommandError
from edge.console.progress import Progress
from edge.jsontypes import JsonValue, Payload

NEXT_WITHIN = 120.0
"""Seconds in which the daemon has to say something: it tells how far it is each second."""
_STEPS = {
    "waiting": "is asked",
    "asked": "was asked: nothing has come yet",
    "uploading": "uploads",
    "uploaded": "has uploaded",
}


def fetch(socket: str, args: Payload, folder: str) -> Payload:
    """Write what comes into `folder`; the document that says what it is. Raises CommandError."""
    if not os.path.isdir(folder):  # noqa: PTH112 - pathlib costs start time
        raise CommandError("not_written", f"There is no folder {folder}.", "Make it first, or name another.")
    progress = Progress(str(args["charger"]))
    files: list[JsonValue] = []
    done: Payload = {}
    try:
        documents = _documents(socket, args)
        for document in documents:
            if "collection" in document:
                now = part(document, "collection")
                came = f", {count(now, 'bytes') / 1000:.0f} kB" if count(now, "bytes") else ""
                progress.show(_STEPS.get(text(now, "step"), text(now, "step")) + came, 0, 0)
            elif "file" in document:
                files.append(_written(documents, part(document, "file"), str(args["charger"]), folder, progress))
            else:
                done = part(document, "done")  # with the end of the connection the daemon has tidied up
    finally:
        progress.clear()
    if not done:
        raise CommandError("unreachable", "The daemon ended before all had come.", "Look at its log, then try again.")
    return {"v": 1, "collection": text(done, "collection"), "charger": args["charger"], "files": files}


def _documents(socket: str, args: Payload) -> Iterator[Payload]:
    for line in ask(socket, Request("diagnostics", args, stream=True, timeout_s=NEXT_WITHIN)):
        document = json.loads(line)
        if error := part(document, "error"):
            raise CommandError(text(error, "code"), text(error, "message"), text(error, "hint", ""))
        yield document


def _written(documents: Iterator[Payload], file: Payload, charger: str, folder: str, progress: Progress) -> Payload:
    """One file; the pieces of it are what the daemon says next."""
    size, sha256 = count(file, "size"), text(file, "sha256")
    path = _free_name(os.path.join(folder, f"{_plain(charger)}_{_plain(text(file, 'name'))}"))  # noqa: PTH118
    try:
        with new_file.created(path) as handle:
            digest, done = hashlib.sha256(), 0
            while done < size:
                document = next(documents, {})
                if "piece" not in document:
                    raise CommandError("unreachable", "The daemon ended before all had come.", "Try again.")
                piece = base64.b64decode(str(document["piece"]))
                digest.update(piece)
                new_file.write(handle, piece)
                done += len(piece)
                progress.show("is written", done, size)
            if digest.hexdigest() != sha256:
                raise CommandError("damaged", "What came is not what the charger left.", "Try again.")
            new_file.place(handle, path)
    except OSError as error:
        raise new_file.not_written(path, error) from error
    return {**file, "path": path}


def _plain(name: str) -> str:
    """Without anything that a file's name should not have: it comes from a charger."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "._+-") else "_" for each in name).lstrip(".")


def _free_name(path: str) -> str:
    """`path`, or with the next number that nobody has."""
    stem, ending = os.path.splitext(path)  # noqa: PTH122
    number = 1
    while os.path.lexists(path):
        number += 1
        path = f"{stem}-{number}{ending}"
    return path

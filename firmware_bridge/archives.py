"""One ZIP archive of what chargers have left, with a manifest of what is in it and of what is not there any more.

Names in it are ours, so that unpacking it writes nowhere else. Nothing of what chargers sent is unpacked, or looked
into. What goes into which archive, and where that is sent: `forwarding.py`.
"""

import itertools
import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from firmware_bridge import disk
from firmware_bridge.arriving import Left
from firmware_bridge.disk import on_disk, utc_now, wholly_on_disk
from firmware_bridge.files import BLOCK_BYTES, Hashing
from firmware_bridge.sources import clean_name

MANIFEST = "manifest.json"
GONE = "It was not there any more when the archive was packed."
OLDEST = (1980, 1, 1, 0, 0, 0)
"""Time that a ZIP archive can name."""


@dataclass(frozen=True, slots=True)
class Content:
    """One file that is to go into an archive."""

    left: Left
    path: Path | None
    """None: it is not there any more."""


async def pack(archive: Path, manifest: Mapping[str, Any], contents: Iterable[Content]) -> int:
    """Make the archive; its size, once it is there after a power cut. `contents` are taken one after the other.

    Raises NoRoom. What there is of an archive after that, or when this was cancelled, is for nothing.
    """
    steps = _steps(archive, manifest, contents)
    try:
        while await wholly_on_disk(lambda: next(steps, None)) is not None:
            pass  # between two steps it can be cancelled
    finally:
        await wholly_on_disk(lambda: _leave(steps))
    return (await on_disk(archive.stat)).st_size


def _leave(steps: Generator[int, None, None]) -> None:
    with suppress(OSError):  # what the disk had no room for
        steps.close()


def _steps(archive: Path, manifest: Mapping[str, Any], contents: Iterable[Content]) -> Generator[int, None, None]:
    """The bytes that were packed of a file, as often as there are more."""
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with ZipFile(file, "w") as packed:
            names, files = _Names(), []
            for content in contents:
                told = yield from _added(packed, content, names)
                files.append(told)
            packed.writestr(_entry(MANIFEST, utc_now()), json.dumps({**manifest, "files": files}, indent=1))
        file.flush()
        os.fsync(file.fileno())
    disk.sync_folder(archive.parent)


def _added(packed: ZipFile, content: Content, names: "_Names") -> Generator[int, None, Mapping[str, Any]]:
    """What the manifest says of it."""
    left = content.left
    told = {"charger": left.charger, "path": None, "name": left.name, "size": left.size, "sha256": left.sha256}
    told |= {"is_whole": left.is_whole, "at": left.at}
    try:
        source = None if content.path is None else content.path.open("rb")
    except FileNotFoundError:
        source = None
    if source is None:
        return told | {"why": GONE}
    entry, hashing = _entry(names.of(left), datetime.fromisoformat(left.at)), Hashing()
    entry.file_size = left.size
    with source, packed.open(entry, "w") as file:
        while piece := source.read(BLOCK_BYTES):
            file.write(piece)
            hashing.feed(piece)
            yield len(piece)
    found = hashing.digests()
    is_whole = left.is_whole and found.sha256 == left.sha256
    return told | {"path": entry.filename, "size": found.size, "sha256": found.sha256, "is_whole": is_whole}


def _entry(name: str, at: datetime) -> ZipInfo:
    entry = ZipInfo(name, max(OLDEST, at.timetuple()[:6]))
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


class _Names:
    """Of files in an archive, each once, whatever chargers are called: `<charger>/<number>-<name>`."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        """By the user of the ticket, of which a charger may have had several."""

    def of(self, left: Left) -> str:
        if left.user not in self._folders:
            # Where an archive is unpacked, A and a may be the same.
            taken = {MANIFEST, *(one.lower() for one in self._folders.values())}
            free = (one for one in _folders(clean_name(left.charger)) if one.lower() not in taken)
            self._folders[left.user] = next(free)
        return f"{self._folders[left.user]}/{left.number}-{clean_name(left.name)}"


def _folders(charger: str) -> Iterator[str]:
    yield charger
    for number in itertools.count(2):
        yield f"{charger}-{number}"

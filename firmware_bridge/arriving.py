"""One file that a charger leaves, on disk: while it comes, once it has ended, and found again after a restart.

`<number>` is the content, `<number>.json` the record, which stands there first and says "not whole" until all of the
content has been synced. Everything here waits for the disk (`disk.on_disk`); `uploads.py` decides what may come.
"""

import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from firmware_bridge import disk
from firmware_bridge.disk import utc_now
from firmware_bridge.files import BLOCK_BYTES, Hashing, digests_of

NUMBER = re.compile(r"[0-9]{4,9}")


@dataclass(frozen=True, slots=True)
class Left:
    """A file that a charger has left."""

    user: str
    """Of the ticket with which it was left."""
    number: str
    """What it is called here."""
    charger: str
    name: str
    """What the charger called it, cleaned: no path, and never the name of a file of ours."""
    size: int
    sha256: str
    at: str
    """When it began to come, and once that has ended, when it did."""
    is_whole: bool

    @property
    def worth(self) -> tuple[bool, int, int]:
        """By which the better one of the same name is known: the latest whole one, else the longest."""
        number = int(self.number)
        return self.is_whole, number if self.is_whole else self.size, number


class Arriving:
    """A file while it comes. Several threads may get to it, as work on disk goes on when whoever waits is cancelled."""

    def __init__(self, path: Path, left: Left, earlier: Path | None, onto: int) -> None:
        self.left = left
        self.size = onto
        """Bytes that have been let in."""
        self.has_come = False
        """All of it."""
        self.is_discarded = False
        self.kept: Left | None = None
        """What it has become, once it has ended; None: nothing of it is kept."""
        self._path = path
        self._earlier = earlier
        self._onto = onto
        self._file: BinaryIO | None = None
        self._hashing = Hashing()
        self._lock = Lock()
        self._is_over = False

    def start(self) -> None:
        """Make the file, with as many bytes of the earlier one as it goes on behind. Raises OSError."""
        with self._lock:
            if self._is_over:
                return
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            disk.sync_folder(self._path.parent.parent)
            disk.write_record(record_of(self._path), asdict(self.left))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(self._path, flags, 0o600), "wb")
            if self._earlier is not None:
                self._repeat(self._earlier, self._file)

    def _repeat(self, earlier: Path, file: BinaryIO) -> None:
        missing = self._onto
        with earlier.open("rb") as before:
            while missing and (piece := before.read(min(BLOCK_BYTES, missing))):
                file.write(piece)
                self._hashing.feed(piece)
                missing -= len(piece)

    def write(self, piece: bytes) -> None:
        """Raises OSError."""
        with self._lock:
            if self._file is not None:
                self._file.write(piece)
                self._hashing.feed(piece)

    def end(self) -> None:
        """Keep what has come, synced, unless it was discarded, or nothing has: that must replace nothing.

        Raises OSError.
        """
        with self._lock:
            self._is_over = True
            try:
                if self._file is not None:
                    self.kept = self._ended(self._file)
            finally:
                if self.kept is None:
                    unlink(self._path)

    def _ended(self, file: BinaryIO) -> Left | None:
        digests = self._hashing.digests()
        if self.is_discarded or not digests.size:
            with suppress(OSError):  # what the disk had no room for
                file.close()
            return None
        with file:
            file.flush()
            os.fsync(file.fileno())
        left = replace(
            self.left, size=digests.size, sha256=digests.sha256, at=utc_now().isoformat(), is_whole=self.has_come
        )
        disk.write_record(record_of(self._path), asdict(left))
        return left


def record_of(path: Path) -> Path:
    """What is known of a content."""
    return path.with_name(f"{path.name}.json")


def unlink(path: Path) -> None:
    """A content and its record; the record first, since a content without one is nobody's."""
    record_of(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        disk.sync_folder(path.parent)


def found(folder: Path) -> dict[str, Left]:
    """The files of one ticket by told name, after whatever has ended the process: one of each name, the rest removed.

    What is not whole is as long as it is found, since nobody wrote down how much had come.
    """
    best: dict[str, Left] = {}
    for path in sorted(folder.iterdir()):
        left = _left(path) if NUMBER.fullmatch(path.name) and not path.is_symlink() else None
        if left is not None and (left.name not in best or left.worth > best[left.name].worth):
            best[left.name] = left
    numbers = {one.number for one in best.values()}
    for path in folder.iterdir():
        if path.name.removesuffix(".json") not in numbers:
            path.unlink()
    return best


def _left(path: Path) -> Left | None:
    try:
        left = Left(**(disk.read_record(record_of(path)) or {}))  # type: ignore[arg-type]
        size = path.stat().st_size
    except (TypeError, OSError):
        return None
    if (left.user, left.number) != (path.parent.name, path.name):
        return None
    if not size:
        return None
    if left.is_whole and left.size == size:
        return left
    digests = digests_of(path)
    left = replace(left, size=digests.size, sha256=digests.sha256, is_whole=False)
    disk.write_record(record_of(path), asdict(left))
    return left

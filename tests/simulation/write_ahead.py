"""What a power cut leaves of a database: all that was waited for, and of the rest what the system had written by itself.

A commit waits for the disk with `synchronous=FULL`; with less it is in the machine's memory for a while. How many
pages a commit has written is read from the counters that SQLite keeps beside its log ("WAL-mode File Format" 2.3).
"""

import os
import shutil
import sqlite3
import struct
from pathlib import Path

FULL = 2
"""`PRAGMA synchronous`: a commit waits until the disk has it."""
WRITTEN_BACK_EVERY_S = 30.0
"""When the system lets the disk have what nobody waits for."""
INDEX_HEAD = struct.Struct("=16xI12x8s")
"""Frames of the log, and the salts of its current round."""


class WriteAheadLog:
    """Of one database."""

    def __init__(self, path: Path) -> None:
        self.is_on_disk = True
        """All that was committed."""
        self._path = path
        self._frames = 0
        self._salts = b""
        self._written_back_at = float("-inf")
        self._kept: dict[str, bytes] = {}
        """The files as the disk has them, if that is less than what was committed."""

    def written(self) -> int:
        """Pages since the last call."""
        try:
            index = os.open(f"{self._path}-shm", os.O_RDONLY)
        except FileNotFoundError:
            return 0  # not in this mode yet
        try:
            frames, salts = INDEX_HEAD.unpack(os.read(index, INDEX_HEAD.size))
        finally:
            os.close(index)
        new = frames - self._frames if salts == self._salts else frames
        self._frames, self._salts = frames, salts
        return new

    def was_waited_for(self, connection: sqlite3.Connection, now: float) -> bool:
        """Whether the last commit has."""
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        self.is_on_disk = synchronous >= FULL
        if not self.is_on_disk and now >= self._written_back_at + WRITTEN_BACK_EVERY_S:
            self._written_back_at = now
            files = {suffix: Path(f"{self._path}{suffix}") for suffix in ("", "-wal")}
            self._kept = {suffix: file.read_bytes() for suffix, file in files.items() if file.exists()}
        return self.is_on_disk

    def restore(self, to: Path) -> None:
        for suffix, content in self._kept.items():
            Path(f"{to}{suffix}").write_bytes(content)


def copy_database(path: Path, to: Path) -> None:
    """With its log."""
    for suffix in ("", "-wal"):
        if os.path.exists(f"{path}{suffix}"):  # noqa: PTH110  # a suffix of the name, not of the path
            shutil.copyfile(f"{path}{suffix}", f"{to}{suffix}")

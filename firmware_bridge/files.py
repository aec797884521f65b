"""Files that the bridge keeps, each under the SHA-256 of its content, unmodified, within a share of the disk.

`FOLDER/<sha256>` is the content, `FOLDER/<sha256>.json` what is known of it. The record is written last and removed
first, so that a content without a record is a leftover, which the next start removes.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from firmware_bridge import disk
from firmware_bridge.errors import NoRoom, Unknown

SPARE_BYTES = 64 * 2**20
"""That the bridge leaves free on the disk, which is the daemon's too."""
BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Digests:
    sha256: str
    md5: str
    """Only because PublishFirmware of OCPP 2.x names files by it: no proof of anything."""
    size: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is kept."""

    sha256: str
    md5: str
    size: int
    name: str
    source: str
    """Where it came from, without what may be a secret."""
    stored_at: str
    signed_by: str | None = None
    """Subject of the certificate by which its signature was verified; None: it had none."""


class Hashing:
    """Digests of what is fed to it, piece by piece."""

    def __init__(self) -> None:
        self._sha256, self._md5, self._size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0

    def feed(self, piece: bytes) -> None:
        self._sha256.update(piece)
        self._md5.update(piece)
        self._size += len(piece)

    def digests(self) -> Digests:
        return Digests(self._sha256.hexdigest(), self._md5.hexdigest(), self._size)


def digests_of(path: Path) -> Digests:
    hashing = Hashing()
    with path.open("rb") as file:
        while piece := file.read(BLOCK_BYTES):
            hashing.feed(piece)
    return hashing.digests()


class Files:
    """The kept files. Whoever uses one says so in `in_use`, or it may be removed for a newer one."""

    def __init__(self, folder: Path, most_bytes: int, in_use: Callable[[], Collection[str]]) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._in_use = in_use
        self._kept: dict[str, Stored] = {}

    def open(self) -> None:
        """Make the folder, know its files, and clear what a sudden end has left."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self._folder.glob("*.json")):
            stored = _stored(path)
            if stored is not None and _size(self._folder / stored.sha256) == stored.size:
                self._kept[stored.sha256] = stored
        for path in self._folder.iterdir():
            if path.name.removesuffix(".json") not in self._kept:
                path.unlink()

    def all(self) -> list[Stored]:
        """The newest first."""
        return sorted(self._kept.values(), key=lambda one: one.stored_at, reverse=True)

    def get(self, sha256: str) -> Stored:
        """Raises Unknown."""
        found = self._kept.get(sha256)
        if found is None:
            raise Unknown(f"No file {sha256[:12]} is kept; `edge firmware` lists those that are.")
        return found

    def path(self, sha256: str) -> Path:
        """Of its content. Raises Unknown."""
        return self._folder / self.get(sha256).sha256

    def used_bytes(self) -> int:
        return sum(one.size for one in self._kept.values())

    def make_room(self, size: int, beside: int = 0) -> None:
        """See that so many bytes fit, removing the oldest files that nobody uses. Raises NoRoom.

        `beside`: bytes of files that are still coming.
        """
        spare = sorted(self._kept.values(), key=lambda one: one.stored_at)
        in_use = self._in_use()
        while True:
            over = self.used_bytes() + beside + size - self._most_bytes
            missing = size + SPARE_BYTES - disk.free_bytes(self._folder)
            if over <= 0 and missing <= 0:
                return
            unused = next((one for one in spare if one.sha256 not in in_use and one.sha256 in self._kept), None)
            if unused is None:
                raise NoRoom(_no_room(size, over, missing))
            self.remove(unused.sha256)

    def adopt(self, path: Path, stored: Stored) -> None:
        """Keep a finished file, whose content has been synced, under its digest. It has that name no more."""
        path.replace(self._folder / stored.sha256)
        disk.write_record(self._folder / f"{stored.sha256}.json", asdict(stored))
        self._kept[stored.sha256] = stored

    def remove(self, sha256: str) -> None:
        """Raises Unknown."""
        content = self.path(sha256)
        del self._kept[sha256]
        content.with_name(f"{sha256}.json").unlink(missing_ok=True)
        disk.remove(content)

    def expire(self, now: datetime, keep_for: timedelta) -> None:
        """Remove files that are older and that nobody uses."""
        in_use = self._in_use()
        for one in self.all():
            if one.sha256 not in in_use and now - datetime.fromisoformat(one.stored_at) > keep_for:
                self.remove(one.sha256)


def _no_room(size: int, over: int, missing: int) -> str:
    if missing > 0:
        return f"{size / 2**20:.0f} MB do not fit: the disk lacks {missing / 2**20:.0f} MB. Free some."
    return (
        f"{size / 2**20:.0f} MB do not fit: {over / 2**20:.0f} MB more than firmware_bridge.max_size_mb, and every "
        "file is in use. Raise it, or remove files with edge firmware remove."
    )


def _stored(path: Path) -> Stored | None:
    try:
        return Stored(**(disk.read_record(path) or {}))  # type: ignore[arg-type]
    except TypeError:
        return None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None

"""Who may touch the store: one process at a time, the daemon or `edge restore`.

The lock is on a file beside the store, and dies with the process. Whoever cannot have it must not open the store;
a disk on which it cannot be had at all is as unusable as one on which the store cannot be opened.
"""

import errno
import fcntl
import os
from pathlib import Path

from edge.store.files import make_folder
from edge.store.migration import StoreUnusable


class StoreTaken(StoreUnusable):
    """Another process uses the store."""


class StoreLock:
    """The daemon's: held from the first time that the disk lets it, through all its lives."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._handle: int | None = None

    def hold(self) -> None:
        """Take it, unless we have it. Raises StoreTaken, or StoreUnusable when the disk does not let us."""
        if self._handle is not None and _is_beside(self._store, self._handle):
            return
        try:
            fresh = take(self._store)
        except OSError as error:
            raise StoreUnusable(f"{_beside(self._store)} cannot be locked: {error.strerror or error}") from error
        if fresh is None:
            raise StoreTaken(f"another daemon, or edge restore, uses {self._store}")
        self.let_go()
        self._handle = fresh

    def let_go(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def take(store: Path) -> int | None:
    """A lock that dies with the process; None when another process holds it. Close the handle to let go.

    Raises OSError when the file beside the store can neither be opened nor made.
    """
    make_folder(store.parent)
    handle = _open(_beside(store))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS or not path.exists():
            raise
        # A disk that has become read-only: the file that is there still keeps a second daemon out.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _beside(store: Path) -> Path:
    return store.with_name(store.name + ".lock")


def _is_beside(store: Path, handle: int) -> bool:
    """Whether the locked file is the one that another process would find: the disk may have been mounted anew."""
    try:
        return os.path.samestat(os.fstat(handle), _beside(store).stat())
    except OSError:
        return False

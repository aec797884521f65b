"""What lies beside a store: what SQLite puts there, copies on their way, and copies that are kept.

Whatever is killed while it makes one of them leaves a file that nobody wants: `remove_leftovers` knows them all.
"""

import os
import re
from pathlib import Path

COMPANIONS = ("", "-wal", "-shm", "-journal")
"""What a database's files are called, after its name."""
COPYING = ".copying"
"""A backup on its way to whoever asked for it."""
STAGED = ".restoring"
"""A copy that is to have the store's place."""
KEEPING = ".keeping"
"""The store before it, where it cannot have two names."""
BEFORE_RESTORE = ".before-restore-"
BEFORE_MIGRATION = ".before-migration-"
UNFINISHED = ".new"
"""Of a copy before a migration."""


def remove(path: Path) -> None:
    """A database file and what SQLite puts beside it; what is missing is no mistake."""
    for suffix in COMPANIONS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def remove_leftovers(store: Path) -> None:
    """What a backup, a restore or a migration that was killed has left beside the store."""
    for suffix in (COPYING, STAGED, KEEPING):
        remove(store.with_name(store.name + suffix))
    unfinished = re.compile(re.escape(store.name + BEFORE_MIGRATION) + r"\d+" + re.escape(UNFINISHED) + "(-.*)?")
    for item in store.parent.iterdir():
        if unfinished.fullmatch(item.name) or _is_second_name(item, store):
            item.unlink(missing_ok=True)


def _is_second_name(item: Path, store: Path) -> bool:
    """Whether this is the store itself: a restore gives it this name before the copy gets the first one."""
    return (
        item.name.startswith(store.name + BEFORE_RESTORE)
        and store.exists()
        and item.exists()
        and item.samefile(store)
        and not item.with_name(item.name + "-wal").exists()  # of a damaged store; it belongs to this name now
    )


def make_folder(folder: Path) -> None:
    """With the folders above it, so that a power cut leaves it where it is."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        to_disk(folder.parent)


def free_bytes(folder: Path) -> int:
    """Room that the file system has for us. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def to_disk(path: Path) -> None:
    """Return when a file, or the names in a folder, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

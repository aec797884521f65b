"""What waits for the disk does so in a thread, and what was said to be written is there after a power cut."""

import asyncio
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from firmware_bridge.errors import NoRoom

T = TypeVar("T")
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def utc_now() -> datetime:
    """The bridge's only clock for records; deadlines are the loop's."""
    return datetime.now(UTC)  # noqa: TID251 - this process is not simulated: its subject is files and sockets


async def on_disk(work: Callable[[], T]) -> T:
    """What may take long there. Raises NoRoom where the disk is full, else what `work` raises."""
    with _full_is_no_room():
        return await asyncio.to_thread(work)  # noqa: TID251 - see above


async def wholly_on_disk(work: Callable[[], T]) -> T:
    """As `on_disk`, and over when this is: who is cancelled meanwhile waits for it nevertheless."""
    with _full_is_no_room():
        working = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(working)
        finally:
            await asyncio.wait({working})


@contextmanager
def _full_is_no_room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoRoom(f"The disk of the bridge is full: {error.strerror}.") from error
        raise


def write_record(path: Path, record: Mapping[str, object]) -> None:
    """As JSON, whole or not at all, durable when this returns."""
    replace(path, json.dumps(record, indent=1).encode())


def replace(path: Path, content: bytes) -> None:
    """The file has this content, or what it had before; durable when this returns."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Names that were made or removed in it are so after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_record(path: Path) -> dict[str, object] | None:
    """None when there is none, or it is none of ours."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_piece(path: Path, offset: int, most_bytes: int) -> bytes:
    """What stands there from an offset on; nothing at the end. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, most_bytes, offset)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """It is gone after a power cut too; none there is no error."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def free_bytes(folder: Path) -> int:
    """What an unprivileged process may still write there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize

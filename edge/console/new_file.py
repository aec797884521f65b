"""A file that a command writes: it gets its name when it is whole and on the disk, and until then it is `FILE.part`.

Whatever goes wrong removes that. Loaded only for commands that write files.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from edge.console.errors import CommandError


@contextlib.contextmanager
def created(file: str) -> Iterator[int]:
    """A handle for what is to become `file`, which only its owner may read.

    Locked while it is written, so that another command does not take it for one that a kill has left. `place` gives it
    its name. Raises OSError, and CommandError while another command writes it.
    """
    path = file + ".part"
    _remove_unfinished(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _is_ours(handle)
        yield handle
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - pathlib costs start time
        raise
    finally:
        os.close(handle)


def place(handle: int, file: str) -> None:
    """What was written gets its name, also after a power cut. Raises OSError."""
    os.fsync(handle)
    os.replace(file + ".part", file)  # noqa: PTH105
    folder = os.open(os.path.dirname(file) or ".", os.O_RDONLY | os.O_DIRECTORY)  # noqa: PTH120
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write(handle: int, piece: bytes) -> None:
    """All of it. Raises OSError."""
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(handle, rest) :]


def not_written(file: str, error: OSError) -> CommandError:
    """What a person is told."""
    hint = "Choose a place where you may write." if isinstance(error, PermissionError) else "Nothing was kept of it."
    return CommandError("not_written", f"{file} cannot be written: {error.strerror}.", hint)


def _remove_unfinished(path: str) -> None:
    """What a command that was killed has left. Raises CommandError when it is alive."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not _is_ours(handle):
            message = f"Another edge command is writing {path} at this moment."
            raise CommandError("busy", message, "Wait for its end, then try again.")
        os.unlink(path)  # noqa: PTH108
    finally:
        os.close(handle)


def _is_ours(handle: int) -> bool:
    """Whether nobody else holds the lock on this file; we do from now on, where the file system knows locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True

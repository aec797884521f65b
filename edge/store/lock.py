"""Who may touch the store: one process at a time, the daemon or `edge restore`."""

import fcntl
import os
from pathlib import Path


def take(store: Path) -> int | None:
    """A lock that dies with the process; None when another process holds it. Close the handle to let go.

    Raises OSError when the file beside the store cannot be made.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(store.with_name(store.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle

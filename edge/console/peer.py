"""Who is asking: the user behind a connection to the local API, as the kernel vouches for it.

The server notes it for each client (a context variable: each client has a task of its own); what a person decides is
put on record under that name.
"""

import contextlib
import pwd
import socket
import struct
from asyncio import StreamWriter
from contextvars import ContextVar

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_UID: ContextVar[int | None] = ContextVar("uid", default=None)


def note(writer: StreamWriter) -> None:
    """From here on this task works for the user at the other end."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _UID.set(_CREDENTIALS.unpack(packed)[1])


def operator() -> str:
    """`anna (uid 1000)`; of a user without a name the number alone."""
    uid = _UID.get()
    if uid is None:
        return "an unknown user"
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"

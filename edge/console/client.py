"""The client's side of the local API: one request goes out, the lines that answer it come in, as received.

A line is handed on as the bytes that the daemon sent, so that `--json` prints exactly those. Whatever stands
between the client and the daemon becomes a `CommandError` that says what was tried and what to do.
"""

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from time import monotonic  # noqa: TID251 - the client is a process of its own; nobody could hand it a Clock
from typing import NamedTuple

from edge.console.errors import CommandError
from edge.jsontypes import Payload

_START_IT = (
    "Is the daemon running? To look at it: systemctl status edge. To start it: sudo systemctl start edge, or by hand: "
    "edge run"
)
_HANGS = (
    "What it was asked to do it may still do. Is edge status answered? If not, the daemon hangs: "
    "sudo systemctl restart edge"
)
_ELSEWHERE = "Another socket is chosen with --socket PATH or EDGE_SOCKET (tools/demo prints its own)."
_CHUNK_BYTES = 65536


class Request(NamedTuple):
    """One command for the daemon. A NamedTuple: `dataclasses` would double the client's start time on a Pi."""

    command: str
    args: Payload
    stream: bool = False
    timeout_s: float | None = 60.0
    """How long each wait for the next document may last; None: as long as it takes."""

    def encode(self) -> bytes:
        request: dict[str, object] = {"command": self.command, "args": self.args}
        if self.stream:
            request["stream"] = True
        return json.dumps(request).encode() + b"\n"


def ask(path: str, request: Request) -> Iterator[bytes]:
    """The daemon's documents, one per line, without the line's end; ends when the daemon closes."""
    with _connected(path) as connection:
        try:
            with contextlib.suppress(BrokenPipeError):  # it may have said why before it closed
                connection.sendall(request.encode())
            yield from _lines(connection, request)
        except ConnectionError as error:
            raise CommandError(
                "unreachable", f"The connection to the daemon at {path} broke: {error.strerror}.", _START_IT
            ) from error


def _lines(connection: socket.socket, request: Request) -> Iterator[bytes]:
    buffer = bytearray()
    while True:
        line = _next_line(connection, buffer, request)
        if line is None:
            return
        yield line
        if not request.stream:
            return


def _next_line(connection: socket.socket, buffer: bytearray, request: Request) -> bytes | None:
    """The next line, or None when the daemon has closed between two lines."""
    deadline = None if request.timeout_s is None else monotonic() + request.timeout_s
    searched = 0
    while (end := buffer.find(b"\n", searched)) < 0:
        searched = len(buffer)
        if deadline is not None:
            connection.settimeout(max(deadline - monotonic(), 0.001))
        try:
            chunk = connection.recv(_CHUNK_BYTES)
        except TimeoutError as error:
            raise CommandError(
                "timed_out",
                f"The daemon did not answer '{request.command}' within {request.timeout_s:.0f} s.",
                _HANGS,
            ) from error
        if not chunk:
            if buffer:
                raise CommandError("unreachable", "The daemon closed the connection in mid-answer.", _START_IT)
            return None
        buffer += chunk
    line = bytes(buffer[:end])
    del buffer[: end + 1]
    return line


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10.0)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise unreachable(path, error) from error
    connection.settimeout(None)
    return connection


def unreachable(path: str, error: OSError) -> CommandError:
    """What a failure to connect means, and what helps."""
    if error.errno == errno.ENOENT:
        return CommandError(
            "unreachable", f"No daemon is reachable: there is no socket {path}.", f"{_START_IT}\n{_ELSEWHERE}"
        )
    if error.errno == errno.ECONNREFUSED:
        return CommandError("unreachable", f"No daemon answers at {path}: it has ended or crashed.", _START_IT)
    if error.errno in (errno.EACCES, errno.EPERM):
        user = os.environ.get("USER") or "YOU"
        return CommandError(
            "unreachable",
            f"Permission denied at the daemon's socket {path}.",
            f"Join group edge and log in again: sudo usermod -aG edge {user}",
        )
    if error.errno == errno.EAGAIN:
        return CommandError("unreachable", f"The daemon at {path} is busy: too many clients wait.", "Try again.")
    return CommandError("unreachable", f"No daemon is reachable at {path}: {error.strerror or error}.", _START_IT)

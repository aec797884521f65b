"""The bridge's own interface: requests of `edge` on a UNIX socket (`api.py` is the other side, `answers.py` answers).

Who may ask is decided by the socket's mode and by the peer's user, which the kernel tells.
"""

import asyncio
import json
import os
import pwd
import socket
import stat
import struct
from collections.abc import Collection
from pathlib import Path

import structlog

from firmware_bridge.answers import Requests
from firmware_bridge.api import MAX_LINE_BYTES
from firmware_bridge.errors import BridgeError, Busy, InvalidRequest, Refused

MAX_CLIENTS = 32
IDLE_SECONDS = 60.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Server:
    """Serves requests on the socket until cancelled."""

    def __init__(self, path: Path, requests: Requests, users: Collection[str]) -> None:
        self._path = path
        self._requests = requests
        self._users = users
        self._clients = 0
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Raises OSError when the path cannot be had."""
        given = _given()
        listener = _bind(self._path) if given is None else given
        try:
            async with asyncio.TaskGroup() as tasks:
                server = await asyncio.start_unix_server(
                    lambda reader, writer: tasks.create_task(self._client(reader, writer)) and None,
                    sock=listener,
                    limit=MAX_LINE_BYTES,
                )
                self.listening.set()
                log.info("listening", path=str(self._path))
                try:
                    await asyncio.Event().wait()
                finally:
                    self.listening.clear()
                    server.close()
        finally:
            listener.close()
            if given is None:
                self._path.unlink(missing_ok=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            user = _peer(writer)
            if user not in self._users:
                log.warning("stranger_refused", user=user)
                writer.write(_error(Refused(f"User {user} may not speak to the bridge.")))
            elif self._clients > MAX_CLIENTS:
                writer.write(_error(Busy("Too many at once.")))
            else:
                await self._serve(reader, writer)
            async with asyncio.timeout(IDLE_SECONDS):
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            log.debug("client_lost", why=str(error))
        except Exception:
            log.exception("client_failed")
        finally:
            self._clients -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    return
                writer.write(await self._answer(line))
                await writer.drain()

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise InvalidRequest("A request is a JSON object.")
            return json.dumps({"done": await self._requests.answer(request)}).encode() + b"\n"
        except ValueError:
            return _error(InvalidRequest("The request is no JSON."))
        except BridgeError as error:
            return _error(error)
        except OSError as error:
            log.exception("request_failed")
            return _error(BridgeError(f"The bridge's disk: {error.strerror}."))


def _error(error: BridgeError) -> bytes:
    return json.dumps({"error": {"code": error.code, "message": str(error)}}).encode() + b"\n"


def _peer(writer: asyncio.StreamWriter) -> str:
    """The user at the other end, as the kernel tells."""
    sock: socket.socket = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _given() -> socket.socket | None:
    """The socket that systemd has made (sd_listen_fds(3)): the first file behind stdin, stdout and stderr."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=3)


def _bind(path: Path) -> socket.socket:
    """Only the user and the group of the folder get to it. A socket that nobody serves any more is taken over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} is there and is no socket.")
        with socket.socket(socket.AF_UNIX) as other:
            try:
                other.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise OSError(f"Another bridge listens on {path}.")
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o117)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen()
    return listener

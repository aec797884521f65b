"""The daemon's side of the local API: newline-delimited JSON on a UNIX socket.

A client writes `{"command": "status", "args": {}}` and reads one document per line; with `"stream": true` the
documents go on until either side closes. One task serves one client; whatever goes wrong in a command ends in an
error document for that client and, if it is our defect, in a traceback in the log: the daemon goes on. Who may
connect is the socket's mode and group. `client` is the other side.
"""

import asyncio
import contextlib
import errno
import grp
import json
import os
import socket
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar

import structlog

from edge.console import peer
from edge.console.errors import CommandError
from edge.domain.ports import EdgeError
from edge.jsontypes import JsonValue, Payload
from edge.ocppj.frames import decoder, encode_json

Answer: TypeAlias = Callable[[Payload], Awaitable[Payload]]
"""The arguments → one document. Raises CommandError for what the client shall be told."""

Stream: TypeAlias = Callable[[Payload], AsyncGenerator[Payload, None]]
"""The arguments → documents. An async generator; it is closed when its client has gone."""

Command = TypeVar("Command", Answer, Stream)

MAX_REQUEST_BYTES = 1_000_000
MAX_CLIENTS = 16
SOCKET_MODE = 0o660
SOCKET_GROUP = "edge"
WRITE_SECONDS = 600.0  # a person may stop a pager for a while; a client that never reads again has to go

_DECODER = decoder(dict, strict=True)
"""With the limits of what the store can hold."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SocketUnavailable(EdgeError):
    """The local API cannot listen where the configuration says."""


class ConsoleServer:
    """Serves two kinds of commands: `answers` by name, and under the same or other names `streams`."""

    def __init__(
        self,
        path: Path,
        answers: Mapping[str, Answer],
        streams: Mapping[str, Stream],
        *,
        request_seconds: float = 30.0,
    ) -> None:
        self._path = path
        self._answers = answers
        self._streams = streams
        self._request_seconds = request_seconds
        self._clients = 0
        self.listening = asyncio.Event()
        """Set while clients can connect."""

    async def run(self) -> None:
        """Serve until cancelled. Raises SocketUnavailable when the path cannot be listened on."""
        listener = _bind(self._path)
        own_file = _identity(self._path)
        try:
            async with asyncio.TaskGroup() as tasks:

                def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    if self.listening.is_set():
                        serving = tasks.create_task(self._client(reader, writer))
                        # A task that is cancelled before its first step does nothing, not even its `finally`.
                        serving.add_done_callback(lambda _: _send_away(writer))
                    else:
                        _send_away(writer)  # it came while we leave: nobody is there to own its task

                server = await asyncio.start_unix_server(connected, sock=listener, limit=MAX_REQUEST_BYTES)
                self.listening.set()
                try:
                    log.info("console_listening", path=str(self._path))
                    await asyncio.Event().wait()
                finally:
                    self.listening.clear()
                    try:
                        # One turn between the last accept and close(): asyncio would leave open a connection that it
                        # has accepted, but has made no transport for yet.
                        asyncio.get_running_loop().remove_reader(listener)
                        await asyncio.sleep(0)
                    finally:
                        # Not wait_closed(): it waits for the clients, whose tasks end only after this block.
                        server.close()
        finally:
            self.listening.clear()
            listener.close()
            if own_file is not None and _identity(self._path) == own_file:
                self._path.unlink(missing_ok=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client from its connection to its end; nothing that happens to it reaches the others."""
        self._clients += 1
        peer.note(writer)
        try:
            if self._clients > MAX_CLIENTS:
                await _write(writer, _busy())
            else:
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            writer.write(_stopping())
            raise
        except (ConnectionError, TimeoutError) as error:
            log.debug("console_client_lost", reason=type(error).__name__)
        except Exception:
            log.exception("console_client_failed")
        finally:
            self._clients -= 1
            await _close(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other; a stream is the last."""
        while True:
            try:
                line = await self._request(reader)
                if line is None:
                    return
                command, args, is_stream = _parse(line)
            except CommandError as error:
                await _write(writer, _encode(error.document()))
                return
            if is_stream:
                await _send_while_connected(self._documents(command, args), reader, writer)
                return
            await _write(writer, await self._answer(command, args))

    async def _request(self, reader: asyncio.StreamReader) -> bytes | None:
        """The next request, or None when the client has nothing more to ask."""
        async with asyncio.timeout(self._request_seconds):
            try:
                return await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                return end.partial or None
            except asyncio.LimitOverrunError as error:
                raise CommandError("bad_request", f"The request is longer than {MAX_REQUEST_BYTES} bytes.") from error

    async def _answer(self, command: str, args: Payload) -> bytes:
        try:
            return _encode(await _find(self._answers, command)(args))
        except CommandError as error:
            return _encode(error.document())
        except Exception as error:
            log.exception("console_command_failed", command=command)
            return _encode(_internal(command, error).document())

    async def _documents(self, command: str, args: Payload) -> AsyncGenerator[bytes, None]:
        try:
            async with contextlib.aclosing(_find(self._streams, command)(args)) as documents:
                async for document in documents:
                    yield _encode(document)
        except CommandError as error:
            yield _encode(error.document())
        except Exception as error:
            log.exception("console_command_failed", command=command)
            yield _encode(_internal(command, error).document())


async def _send_while_connected(
    lines: AsyncGenerator[bytes, None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Send until the lines end or the client has gone, whichever is first."""

    async def send() -> None:
        try:
            async with contextlib.aclosing(lines):
                async for line in lines:
                    await _write(writer, line)
        except (ConnectionError, TimeoutError) as error:
            log.debug("console_client_lost", reason=type(error).__name__)
        finally:
            watching.cancel()

    async def watch() -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass  # a client has nothing to say while it listens
        sending.cancel()

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send())
        watching = tasks.create_task(watch())


def _parse(line: bytes) -> tuple[str, Payload, bool]:
    try:
        request: JsonValue = _DECODER.decode(line.decode())
        encode_json(request).encode()  # half a surrogate pair is no character, wherever it would go
    except (ValueError, RecursionError) as error:
        raise CommandError("bad_request", f"The request is not JSON: {error}.") from error
    if not isinstance(request, Mapping):
        raise CommandError("bad_request", "The request is not a JSON object.")
    command, args, is_stream = request.get("command"), request.get("args", {}), request.get("stream", False)
    if not isinstance(command, str) or not isinstance(args, Mapping) or not isinstance(is_stream, bool):
        raise CommandError("bad_request", 'The request is not {"command": string, "args": object, "stream": boolean}.')
    return command, args, is_stream


def _find(commands: Mapping[str, Command], name: str) -> Command:
    try:
        return commands[name]
    except KeyError:
        raise CommandError(
            "unknown_command",
            f"The daemon does not know the command '{name[:40]}'.",
            "Are edge and the running daemon of the same version?",
        ) from None


def _internal(command: str, error: Exception) -> CommandError:
    return CommandError(
        "internal",
        f"The daemon failed at '{command}': {type(error).__name__}. This is a defect.",
        "The traceback is in the daemon's log: journalctl -u edge",
    )


def _send_away(writer: asyncio.StreamWriter) -> None:
    """Tell a client whom nobody has served that the daemon stops. Nothing when its connection was ended already."""
    if not writer.is_closing():
        writer.write(_stopping())
        writer.close()


def _stopping() -> bytes:
    return _encode(CommandError("stopping", "The daemon is stopping.").document())


def _busy() -> bytes:
    return _encode(CommandError("busy", f"{MAX_CLIENTS} clients are connected.", "End one, then try again.").document())


def _encode(document: Payload) -> bytes:
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, as a charger may have sent it: only an escape can carry it
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode() + b"\n"


async def _write(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    async with asyncio.timeout(WRITE_SECONDS):
        await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    """What was written still goes out, for a second; a client that does not take it is cut off."""
    writer.close()
    try:
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
    except (ConnectionError, TimeoutError) as error:
        log.debug("console_client_lost", reason=type(error).__name__)
    finally:
        # asyncio's transport fails at abort() once it has sent, after close(), what had been waiting.
        with contextlib.suppress(AttributeError):
            writer.transport.abort()


def _bind(path: Path) -> socket.socket:
    """A socket that is bound but does not listen yet, so that nobody gets in before mode and group are set."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
        _give_to_group(path)
    except OSError as error:
        listener.close()
        raise SocketUnavailable(
            f"local API: cannot create the socket {path}: {error.strerror or error}; check [api] socket"
        ) from error
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a daemon that ended without doing so; leave everything else alone."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketUnavailable(
                f"local API: {path} exists and is not a socket; move it away or change [api] socket"
            )
    except OSError:
        return  # not there, or not to be looked at: binding will tell
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(1.0)
    try:
        probe.connect(str(path))
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            path.unlink(missing_ok=True)
            log.info("console_stale_socket_removed", path=str(path))
            return
    finally:
        probe.close()
    raise SocketUnavailable(f"local API: another daemon answers at {path}; stop it or change [api] socket")


def _give_to_group(path: Path) -> None:
    """Let the technicians of group `edge` in; without such a group only the daemon's own group gets in."""
    try:
        wanted = grp.getgrnam(SOCKET_GROUP).gr_gid
        if path.lstat().st_gid != wanted:  # a daemon of that group may not even try (systemd/edge.service)
            os.chown(path, -1, wanted)
    except KeyError:
        return
    except PermissionError:
        log.info("console_socket_group_unchanged", path=str(path), group=SOCKET_GROUP)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino

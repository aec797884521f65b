"""Chargers take and leave files here by FTP, for which the user and the password are the two parts of their ticket.

The protocol is aioftp's; what a charger may say is in `lan_ftp_commands.py`, what it then sees in `lan_ftp_shelf.py`.
Here is what aioftp leaves open: bounds for connections and their time, and data connections that are nobody else's.
There is only passive mode, in which chargers open the data connections too.
"""

import asyncio
import errno
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakSet

import aioftp
import structlog

from firmware_bridge.callers import Caller, Callers, tell_of_ours_only
from firmware_bridge.holdings import Holdings
from firmware_bridge.lan_ftp_commands import PIECE_BYTES, commands
from firmware_bridge.lan_ftp_shelf import Shelf, Visitors, heed_cancellation

MOST_CONNECTIONS = 32
MOST_OF_ONE = 8
"""Connections of one address."""
LOGIN_SECONDS = 30.0
SILENT_SECONDS = 60.0
"""Without a command, or without a byte of a file, after which a charger is given up."""
DATA_SECONDS = 20.0
"""Until a charger has opened the data connection."""
COMMAND_BYTES = 4096

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

StreamPair = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class LanFtp:
    """The FTP server towards chargers."""

    def __init__(self, address: str, port: int, data_ports: Sequence[int], holdings: Holdings) -> None:
        self._address = address
        self._port = port
        self._data_ports = data_ports
        self._holdings = holdings
        self.port: int | None = None
        """The one that it listens on, once it does."""
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError when the port cannot be had."""
        tell_of_ours_only("aioftp.server", OSError)
        server = _Server(self._data_ports, self._holdings)
        await server.start(self._address, self._port, limit=COMMAND_BYTES)
        try:
            self.port = server.server.sockets[0].getsockname()[1]
            self.listening.set()
            log.info("lan_ftp_listening", address=self._address, port=self.port)
            await asyncio.Event().wait()
        finally:
            self.listening.clear()
            await server.close()


@dataclass(eq=False, slots=True)
class _Line:
    """A control connection."""

    caller: Caller
    has_quit: bool = False
    writers: WeakSet[asyncio.StreamWriter] = field(default_factory=WeakSet)
    """Its own, and those of its data connections that are still open."""


class _Server(aioftp.Server):
    def __init__(self, data_ports: Sequence[int], holdings: Holdings) -> None:
        super().__init__(
            Visitors(holdings),
            block_size=PIECE_BYTES,
            socket_timeout=SILENT_SECONDS,
            idle_timeout=SILENT_SECONDS,
            wait_future_timeout=DATA_SECONDS,
            path_io_factory=Shelf,
            encoding="latin-1",  # which every sequence of bytes is; what is not ASCII in a name is cleaned away
            welcome_message="ready",
        )
        self.commands_mapping = commands(self)
        self._data_ports = data_ports
        self._callers = Callers(MOST_CONNECTIONS, MOST_OF_ONE, LOGIN_SECONDS)
        self._lines: dict[asyncio.StreamWriter, _Line] = {}

    async def dispatcher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        caller = None if peer is None else self._callers.come(peer[0], writer.transport.abort)
        if caller is None:
            writer.write(b"421 Too many connections.\r\n")
            writer.close()
            return
        line = self._lines[writer] = _Line(caller)
        line.writers.add(writer)
        try:
            await super().dispatcher(reader, writer)
        finally:
            del self._lines[writer]
            self._callers.go(caller)
            for one in set(line.writers):  # who takes nothing any more would keep it open
                asyncio.get_running_loop().call_later(SILENT_SECONDS, one.transport.abort)

    def _line(self, connection: aioftp.Connection) -> _Line:
        return self._lines[connection.command_connection.writer]

    async def parse_command(self, stream: aioftp.StreamIO, censor_commands: tuple[str] = ("pass",)) -> tuple[str, str]:
        line = self._lines[stream.writer]
        if line.has_quit:
            await asyncio.Event().wait()  # for the end of the connection
        while True:
            try:
                await stream.writer.drain()  # who takes no answers gives no commands
                command, rest = await super().parse_command(stream, censor_commands)
            except TimeoutError:
                if self.connections[stream].extra_workers:  # a charger is silent here while it takes a file
                    continue
                log.info("lan_ftp_silent", peer=line.caller.peer)
                return _end()
            except (OSError, ValueError) as error:  # ValueError: too long a command
                log.debug("lan_ftp_hung_up", peer=line.caller.peer, why=str(error))
                return _end()
            line.has_quit = command == "quit"
            return command, rest

    async def response_writer(self, stream: aioftp.StreamIO, response_queue: asyncio.Queue[Any]) -> None:
        try:
            await super().response_writer(stream, response_queue)
        except OSError:
            stream.writer.transport.abort()
            while True:  # aioftp waits at the end until everything has been said, even if nobody listens any more
                heed_cancellation()
                await response_queue.get()
                response_queue.task_done()

    async def write_response(self, stream: aioftp.StreamIO, code: str, lines: str = "", list: bool = False) -> None:  # noqa: A002
        await super().write_response(stream, code, lines, list)
        heed_cancellation()

    async def user(self, connection: aioftp.Connection, rest: str) -> bool:
        self._line(connection).caller.wait()
        done = await super().user(connection, rest)
        connection.user.peer = connection.client_host
        # aioftp keeps a throttle for every user that was ever named; ours have none.
        self.throttle_per_user.clear()
        return done

    async def pass_(self, connection: aioftp.Connection, rest: str) -> bool:
        done = await super().pass_(connection, rest)
        if connection.future.logged.done():
            self._line(connection).caller.work()
        else:
            log.warning("lan_ftp_refused", peer=connection.client_host)
        return bool(done)

    async def _start_passive_server(
        self, connection: aioftp.Connection, handler_callback: StreamPair
    ) -> asyncio.Server:
        async def only_from_the_charger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("peername")
            line = self._lines.get(connection.command_connection.writer)
            if peer is None or line is None or peer[0] != connection.client_host:
                log.warning("lan_ftp_data_refused", peer=peer and peer[0], charger=connection.client_host)
                writer.transport.abort()
                return
            line.writers.add(writer)
            await handler_callback(reader, writer)

        listener = _bound(connection.server_host, self._data_ports)
        # Known to aioftp before anything is waited for, or a client that hangs up now would leave it open for good.
        server = await asyncio.start_server(only_from_the_charger, sock=listener, start_serving=False)
        connection.passive_server = server
        await server.start_serving()
        return server


def _end() -> tuple[str, str]:
    """What aioftp takes for the end of a connection, also in place of a command: no error, which it would log."""
    return cast("tuple[str, str]", False)


def _bound(host: str, ports: Sequence[int]) -> socket.socket:
    """Raises aioftp.NoAvailablePort, and OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in random.sample(ports, len(ports)):
        try:
            return socket.create_server((host, port), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise aioftp.NoAvailablePort

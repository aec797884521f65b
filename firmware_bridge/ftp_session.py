"""A session with an FTP or FTPS server: connected, logged in, with TLS where the URL asks for it.

The control connection goes to an address that was judged, and data connections go to that same address: of what the
server answers to PASV only the port counts. With FTPS neither a command nor a byte of the file goes in the clear.
What a file is, and how it comes: `ftp_source.py`; how it goes: `ftp_target.py`.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote

import aioftp

from firmware_bridge.errors import Refused, Unreachable
from firmware_bridge.reach import CONNECT_SECONDS, SILENT_SECONDS, TAKEN_SECONDS, Reach, connected, first
from firmware_bridge.sources import PORTS, Address, Source

MOST_LINES = 1000
"""Of all answers of a server."""
KEEPALIVE_SECONDS = 60
CHARSET = "latin-1"
"""Nobody tells in which one names are: here each byte stands for itself, as it does in the URL, and no greeting fails.
"""
MEANINGS = {
    "421": ": it is busy, or going down",
    "530": ": user or password are wrong",
    "550": ": there is no such file or folder, or no right to it",
    "553": ": a file may not be called so there",
}


class _Client(aioftp.Client):
    """The library takes lines until the answer ends, which a server may put off for ever."""

    lines = 0

    async def parse_line(self) -> tuple[aioftp.Code, str]:
        self.lines += 1
        if self.lines > MOST_LINES:
            raise ConnectionAbortedError("the server talks without end")
        return await super().parse_line()


@asynccontextmanager
async def session(source: Source, reach: Reach) -> AsyncIterator["Session"]:
    """Raises Refused or Unreachable."""
    addresses = await reach.addresses(source)
    with _ours(source, "the connection"):
        made = await first(addresses, lambda address: _greeted(source, address, reach.tls))
    try:
        await made.log_in()
        yield made
    finally:
        _abort(made.client)


async def _greeted(source: Source, address: Address, tls: ssl.SSLContext) -> "Session":
    # Port 990 is that of FTP within TLS (IANA); elsewhere AUTH starts it (RFC 4217 §4).
    is_implicit = source.scheme == "ftps" and source.port == PORTS["ftps"]
    if is_implicit:
        client = _Client(encoding=CHARSET, ssl=tls, server_hostname=source.host)
    else:
        client = _Client(encoding=CHARSET)
    try:
        await client.connect(str(address), source.port)
        carrier: socket.socket = client.stream.writer.get_extra_info("socket")
        # Else routers forget it through a long transfer, and nobody hears how that has ended.
        carrier.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
    except BaseException:
        _abort(client)
        raise
    return Session(source, address, tls if source.scheme == "ftps" else None, client, is_implicit)


@dataclass(frozen=True, slots=True)
class Session:
    """What can be asked of the server. Each method raises Refused for its 5xx, Unreachable for all other trouble."""

    source: Source
    address: Address
    tls: ssl.SSLContext | None
    """None: without."""
    client: aioftp.Client
    is_implicit: bool
    """With TLS from the first byte on."""

    async def log_in(self) -> None:
        if self.tls is not None and not self.is_implicit:
            await self._secure(self.tls)
        user, password = self.source.user, self.source.password or ""
        if user is None:
            user, password = "anonymous", "anonymous@"
        with _ours(self.source, "USER and PASS"):
            async with asyncio.timeout(SILENT_SECONDS):
                await self.client.login(_as_text(user), _as_text(password))
        if self.tls is not None:
            for command in ("PBSZ 0", "PROT P"):
                # Where TLS was there from the start, some servers know no other way, and no command for it.
                if not await self.takes(command, "2xx") and not self.is_implicit:
                    raise Refused(f"{self.source.shown}: the server would send the file without TLS.")
        await self.ask("TYPE I", "2xx")

    async def _secure(self, tls: ssl.SSLContext) -> None:
        """From here on with TLS, and with nothing that came before it."""
        if not await self.takes("AUTH TLS", "234"):
            raise Refused(f"{self.source.shown}: the server offers no TLS (AUTH).")
        stream = self.client.stream
        with _ours(self.source, "AUTH TLS"):
            # What has come already, somebody on the way may have put there, to be taken for an answer later on.
            cast("asyncio.Transport", stream.writer.transport).pause_reading()
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await stream.reader.read(1)
                    raise ConnectionAbortedError("the server goes on without TLS")
            async with asyncio.timeout(CONNECT_SECONDS):
                await stream.start_tls(tls, self.source.host)

    async def ask(self, command: str, code: str) -> list[str]:
        """The lines of an answer of this code, in which x is any digit."""
        return await self._answer(command, command.partition(" ")[0], code, SILENT_SECONDS)

    async def completed(self, transfer: str, within: float) -> None:
        """Wait for the word that is due at the end of a transfer: whatever it is, it refuses no file for ever."""
        try:
            await self._answer(None, transfer, "2xx", within)
        except Refused as error:
            raise Unreachable(str(error)) from None

    async def _answer(self, command: str | None, asked: str, code: str, within: float) -> list[str]:
        """`command` None: one is due without asking."""
        with _ours(self.source, asked):
            async with asyncio.timeout(within):
                _, lines = await self.client.command(command, (code,))
                return lines

    async def told(self, command: str, code: str) -> str | None:
        """The lines of the answer as one text; None when the server refuses that."""
        try:
            return "\n".join(await self.ask(command, code))
        except Refused:
            return None

    async def takes(self, command: str, code: str) -> bool:
        return await self.told(command, code) is not None

    @asynccontextmanager
    async def retrieved(self, path: str, offset: int) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
        """(Where it starts, what comes): from `offset`, or from 0 when the server cannot."""
        async with self._transfer(f"RETR {path}", offset) as (starts_at, reader, _):
            yield starts_at, reader

    @asynccontextmanager
    async def stored(self, path: str) -> AsyncIterator[asyncio.StreamWriter]:
        """For `send` and then `finish`."""
        async with self._transfer(f"STOR {path}", 0) as (_, _, writer):
            yield writer

    @asynccontextmanager
    async def _transfer(
        self, command: str, offset: int
    ) -> AsyncIterator[tuple[int, asyncio.StreamReader, asyncio.StreamWriter]]:
        asked, port = command.partition(" ")[0], await self._data_port()
        with _ours(self.source, "PASV"):
            async with asyncio.timeout(CONNECT_SECONDS):
                carrier = await connected(self.address, port)
        try:
            starts_at = offset if offset and await self.takes(f"REST {offset}", "350") else 0
            await self.ask(command, "1xx")
        except BaseException:
            carrier.close()
            raise
        # Only now: many servers begin TLS on a data connection when it has something to do, and not before.
        host = None if self.tls is None else self.source.host
        with _ours(self.source, asked):
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    sock=carrier, ssl=self._tls_again(), server_hostname=host
                )
        try:
            yield starts_at, reader, writer
        finally:
            writer.transport.abort()

    async def received(self, reader: asyncio.StreamReader, most_bytes: int) -> bytes:
        """What has come on a data connection; nothing at its end."""
        with _ours(self.source, "RETR"):
            async with asyncio.timeout(SILENT_SECONDS):
                return await reader.read(most_bytes)

    async def send(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        with _ours(self.source, "STOR"):
            async with asyncio.timeout(TAKEN_SECONDS):
                writer.write(piece)
                await writer.drain()

    async def finish(self, writer: asyncio.StreamWriter) -> None:
        """That was all: the server has it when this returns."""
        # Servers end TLS in all ways. What counts is their word.
        with _ours(self.source, "STOR"), suppress(ssl.SSLError, TimeoutError):
            async with asyncio.timeout(TAKEN_SECONDS):
                writer.close()
                await writer.wait_closed()
        await self.completed("STOR", TAKEN_SECONDS)

    def _tls_again(self) -> ssl.SSLContext | None:
        """With the TLS session of the control connection, by which servers know whose data connection it is."""
        if self.tls is None:
            return None
        control: ssl.SSLObject = self.client.stream.writer.get_extra_info("ssl_object")
        if control.session is None:
            return self.tls
        return aioftp.SSLSessionBoundContext(ssl.PROTOCOL_TLS_CLIENT, context=self.tls, session=control.session)

    async def _data_port(self) -> int:
        """The address of a PASV answer is not even looked at: it could lead anywhere."""
        # Firewalls in front of servers know PASV best; EPSV alone knows IPv6 (RFC 2428 §3).
        told = await self.told("PASV", "227") if self.address.version == 4 else None
        if told is not None:
            found = re.search(r"(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})", told)
            port = 0 if found is None else 256 * int(found[1]) + int(found[2])
        else:
            found = re.search(r"\((\D)\1\1(\d{1,5})\1\)", (await self.ask("EPSV", "229"))[-1])
            port = 0 if found is None else int(found[2])
        if not 0 < port < 65_536:
            raise Unreachable(f"{self.source.shown}: the server names no port for the file.")
        return port


def path_of(source: Source) -> str:
    """Below the folder to which the login leads, without the type (RFC 1738 §3.2.2, §3.2.3). Raises Refused."""
    path = unquote(re.sub(r"(?i);type=[aid]$", "", source.path.removeprefix("/")), encoding=CHARSET)
    if set(path) & set("\r\n\0"):
        raise Refused(f"{source.shown}: the name has characters that would end the command.")
    return path


def _as_text(text: str) -> str:
    return text.encode().decode(CHARSET)


def _abort(client: aioftp.Client) -> None:
    with suppress(ConnectionError):
        client.stream.writer.transport.abort()


@contextmanager
def _ours(source: Source, asked: str) -> Iterator[None]:
    """What goes wrong is Refused or Unreachable, without the server's words, which may repeat user and password."""
    try:
        yield
    except aioftp.StatusCodeError as error:
        code = str(error.received_codes[-1])
        told = f"{source.shown}: the server answers {code} to {asked}{MEANINGS.get(code, '')}."
        raise (Refused(told) if code.startswith("5") else Unreachable(told)) from None
    except TimeoutError:
        raise Unreachable(f"{source.shown}: no answer to {asked}.") from None
    except (OSError, EOFError, ValueError, aioftp.AIOFTPException) as error:
        raise Unreachable(f"{source.shown}: {asked} broke off: {str(error) or type(error).__name__}.") from None

"""How the world outside is reached: addresses that were judged, TLS, and what a file is that comes or is sent."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from firmware_bridge import sources
from firmware_bridge.errors import Refused, Unreachable
from firmware_bridge.sources import Address, Allowed, Source

T = TypeVar("T")

LOOKUP_SECONDS = 20.0
CONNECT_SECONDS = 30.0
SILENT_SECONDS = 60.0
"""Without a byte, after which a connection is given up."""
TAKEN_SECONDS = 300.0
"""Without the other side having taken anything, after which sending is given up: buffers on the way are large, and
servers look at a file before they say that they have it."""
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """A file at its source, opened for reading."""

    starts_at: int
    """The offset of the first byte that comes: what was asked for, or 0 when the source cannot resume."""
    size: int | None
    """Of the whole file; None: the source does not say."""
    validator: str | None
    """By what the source knows this version of the file again; None: it has nothing of the kind."""
    chunks: AsyncIterator[bytes]


class Open(Protocol):
    """One protocol's way to read a file: `http`, `ftp`, `sftp`."""

    def __call__(
        self, source: Source, reach: "Reach", offset: int, validator: str | None
    ) -> AbstractAsyncContextManager[Opened]:
        """Raises Refused, Unusable or Unreachable; with an offset only the version of `validator` is gone on with."""
        ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file that is to be sent."""

    name: str
    """What it is to be called where the URL is that of a folder."""
    size: int
    pieces: Callable[[], AsyncIterator[bytes]]
    """All of it, from the start each time: an attempt may need it more than once."""


class Send(Protocol):
    """One protocol's way to write a file: `http`, `ftp`, `sftp`."""

    async def __call__(self, target: Source, reach: "Reach", parcel: Parcel) -> None:
        """The other side has it when this returns. Raises Refused or Unreachable, and what `pieces` raises."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom the bridge may ask, and whom it trusts."""

    allowed: Sequence[Allowed]
    tls: ssl.SSLContext
    known_hosts: Path | None = None
    """Host keys of SFTP servers."""

    async def addresses(self, source: Source) -> list[Address]:
        """Those of its host that may be asked. Raises Refused or Unreachable."""
        found = await _lookup(source)
        objections = {one: sources.objection(source, one, self.allowed) for one in found}
        good = [address for address, why in objections.items() if why is None]
        if not good:
            raise Refused(f"{source.shown} is not asked: {next(iter(objections.values()))}.")
        return good


async def first(addresses: Sequence[Address], connect: Callable[[Address], Awaitable[T]]) -> T:
    """What the first of these addresses that can be connected to gives; each has CONNECT_SECONDS.

    Raises the OSError of the last one, as which a TimeoutError counts.
    """
    for address in addresses[:-1]:
        with suppress(OSError):
            async with asyncio.timeout(CONNECT_SECONDS):
                return await connect(address)
    async with asyncio.timeout(CONNECT_SECONDS):
        return await connect(addresses[-1])


async def connected(address: Address, port: int) -> socket.socket:
    """A TCP connection to this address, for whoever lays a protocol over it. Raises OSError; the caller's deadline."""
    made = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (str(address), port))
    except BaseException:
        made.close()
        raise
    return made


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """What servers on the internet have to prove. Raises ValueError for a file that is none."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            why = "it holds no certificate (PEM)" if isinstance(error, ssl.SSLError) else error.strerror
            raise ValueError(f"ca_file {ca_file}: {why}") from error
    return context


async def _lookup(source: Source) -> list[Address]:
    try:
        return [ipaddress.ip_address(source.host)]
    except ValueError:
        pass
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(source.host, source.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise Unreachable(f"The name {source.host} was not found within {LOOKUP_SECONDS:.0f} s.") from None
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"The name {source.host} is not known: {error}.") from None
    return list(dict.fromkeys(ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found))

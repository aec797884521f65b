"""Sessions with HTTP and HTTPS servers: only to addresses that were judged, and redirected only where the rules allow.

What is fetched in them: `http_source.py`; what is sent: `http_target.py`.
"""

import os
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from firmware_bridge import sources
from firmware_bridge.errors import Refused, Unreachable
from firmware_bridge.reach import CONNECT_SECONDS, SILENT_SECONDS, Reach
from firmware_bridge.sources import Address, Source

MOST_REDIRECTS = 3
FOR_NOW = frozenset({408, 421, 425, 429})
"""Refusals that may be others later; as may those from 500 on."""
PHRASES = {one.value: one.phrase for one in HTTPStatus}
OUTSPOKEN = (aiohttp.ClientConnectorError, aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)
"""Errors whose words never hold the URL, of which the query may be a key."""


class _Judged(AbstractResolver):
    """Names lead only where they were found to lead when the source was judged."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(one),
                port=port,
                family=socket.AF_INET if one.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in self._addresses
            if family in {socket.AF_UNSPEC, socket.AF_INET if one.version == 4 else socket.AF_INET6}
        ]

    async def close(self) -> None:
        """Nothing is kept."""


@asynccontextmanager
async def session(reach: Reach, addresses: Sequence[Address]) -> AsyncIterator[aiohttp.ClientSession]:
    """One that connects to these addresses only, and changes nothing of what it carries."""
    connector = aiohttp.TCPConnector(resolver=_Judged(addresses), ssl=reach.tls, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as made:
        yield made


def url(source: Source) -> URL:
    """As it was written, since it may be signed, but without user and password: those go with the headers."""
    host = f"[{source.host}]" if ":" in source.host else source.host
    return URL(f"{source.scheme}://{host}:{source.port}{source.path}", encoded=True)


def headers(source: Source) -> dict[str, str]:
    """Who asks, and as whom."""
    found = {"User-Agent": "ocpp-edge firmware-bridge"}
    if source.user is not None:
        found["Authorization"] = "Basic " + b64encode(f"{source.user}:{source.password or ''}".encode()).decode()
    return found


def redirected(at: Source, location: str, reach: Reach) -> Source:
    """Within its host, else only to one that the configuration names (reliability.md S12). Raises Refused."""
    to = sources.parse(urljoin(str(url(at)), location))
    if at.scheme == "https" and to.scheme != "https":
        raise Refused(f"{at.shown} redirects to {to.shown}, which is not secure.")
    if to.host == at.host and to.port == at.port:
        return Source(to.scheme, to.host, to.port, to.path, at.user, at.password)
    if not any(one.host is not None and sources.is_named(one.host, to.host) for one in reach.allowed):
        raise Refused(
            f"{at.shown} redirects to another host, {to.shown}; firmware_bridge.sources can allow "
            f"{to.scheme}://{to.host}."
        )
    return Source(to.scheme, to.host, to.port, to.path)


def objection(at: Source, status: int) -> Refused | Unreachable:
    """What a status says that is not the one that was hoped for; without the server's words, which may repeat a key."""
    told = f"{at.shown} answers {status} {PHRASES.get(status, '')}".rstrip()
    return Unreachable(f"{told}.") if status in FOR_NOW or status >= 500 else Refused(f"{told}.")


@contextmanager
def ours(at: Source, what: str = "") -> Iterator[None]:
    """What goes wrong with the connection is Unreachable. Nothing of ours is to be done within: a full disk is none."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"{at.shown}{what}: {_told(error)}.") from None


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OUTSPOKEN):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__

"""A bridge with a file in it, asked over its socket as the daemon asks it, and chargers of all kinds in front of it."""

import asyncio
import contextlib
import ftplib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from firmware_bridge import api
from firmware_bridge.bridge import Bridge
from tests.firmware.yard import Internet, bridge, settings

CONTENT = bytes(range(256)) * 1200
NAME = "evb-1.1.bin"
ANY = "127.0.0.1"


Fact = TypeVar("Fact")


async def eventually(fact: Callable[[], Awaitable[Fact]], within: float = 20.0) -> Fact:
    """The fact, as soon as it is one."""
    async with asyncio.timeout(within):
        while not (found := await fact()):
            await asyncio.sleep(0.02)
        return found


@dataclass
class Depot:
    bridge: Bridge
    asks: api.Bridge
    folder: Path
    sha256: str = ""

    async def take(self, *, address: str | None = None, seconds: int = 600) -> "Given":
        return Given(await self.asks.serve(self.sha256, "CP-01", ANY, address, seconds))

    async def leave(self, *, address: str | None = None, seconds: int = 600, quota_mb: int | None = 1) -> "Given":
        return Given(await self.asks.receive("CP-01", ANY, address, seconds, quota_mb))

    async def left(self, given: "Given") -> dict[str, tuple[int, bool]]:
        """(Size, whether it is whole) by told name."""
        found = await self.asks.received(given.ticket.token, ANY)
        return {one.name: (one.size, one.is_whole) for one in found.files}

    def content(self, left: api.LeftFile) -> bytes:
        return (self.folder / "bridge" / "uploads" / left.user / left.number).read_bytes()

    async def contents(self) -> dict[str, bytes]:
        return {one.name: self.content(one) for one in await self.asks.uploads()}


@dataclass
class Given:
    """A ticket, as a charger gets it."""

    ticket: api.TicketNow

    @property
    def http(self) -> str:
        return self.ticket.locations["http"]

    @property
    def ftp(self) -> SplitResult:
        return urlsplit(self.ticket.locations["ftp"])

    @contextlib.contextmanager
    def visit(self, *, source: str = "127.0.0.1", password: str | None = None) -> Iterator[ftplib.FTP]:
        """Logged in by FTP; blocks."""
        url = self.ftp
        with ftplib.FTP(timeout=20, source_address=(source, 0)) as visitor:
            visitor.connect(url.hostname, url.port)
            visitor.login(url.username, url.password if password is None else password)
            yield visitor


@contextlib.asynccontextmanager
async def depot(folder: Path, content: bytes = CONTENT, **others: object) -> AsyncIterator[Depot]:
    internet = Internet({NAME: content})
    async with internet.running(), reopened(folder, **others) as found:
        fetch = await found.asks.fetch(internet.url(NAME))

        async def stored() -> str | None:
            now = await found.asks.fetched(fetch.id)
            return now.sha256 if now.has_ended else None

        found.sha256 = await eventually(stored) or ""
        yield found


@contextlib.asynccontextmanager
async def reopened(folder: Path, **others: object) -> AsyncIterator[Depot]:
    chosen = settings(folder, **others)
    async with bridge(chosen) as running:
        yield Depot(running, api.Bridge(chosen.socket), folder)

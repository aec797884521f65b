"""How the simulated charger fetches a file: with stock clients of HTTP and FTP, from where it has come to before."""

import asyncio
import contextlib
import ftplib
import threading
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import aiohttp

PIECE_BYTES = 8192
FTP_SILENT_S = 10.0


@dataclass
class Download:
    """One file, as far as it has come."""

    location: str
    content: bytearray = field(default_factory=bytearray)
    holds_at: int | None = None
    """Bytes at which it reads no further, until `goes_on` is set."""
    is_holding: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def attempt(self) -> bool:
        """Whether all of it is there now."""
        if urlsplit(self.location).scheme == "ftp":
            return await self._by_ftp()
        try:
            return await self._by_http()
        except (aiohttp.ClientError, OSError):
            return False

    async def _by_http(self) -> bool:
        headers = {"Range": f"bytes={len(self.content)}-"} if self.content else {}
        async with aiohttp.ClientSession() as client, client.get(self.location, headers=headers) as response:
            if response.status == 200:
                self.content.clear()
            elif response.status != 206:
                return False
            async for piece in response.content.iter_chunked(PIECE_BYTES):
                self.content += piece
                await self._hold()
        return True

    async def _hold(self) -> None:
        if self.holds_at is not None and len(self.content) >= self.holds_at:
            self.holds_at = None
            self.is_holding.set()
            await self.goes_on.wait()

    async def _by_ftp(self) -> bool:
        """In a thread, which ends with us."""
        is_given_up = threading.Event()
        fetching = asyncio.get_running_loop().run_in_executor(None, self._fetch_by_ftp, is_given_up)
        try:
            return await asyncio.shield(fetching)
        finally:
            is_given_up.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({fetching})

    def _fetch_by_ftp(self, is_given_up: threading.Event) -> bool:
        url = urlsplit(self.location)

        def take(piece: bytes) -> None:
            if is_given_up.is_set():
                raise EOFError
            self.content += piece

        try:
            with ftplib.FTP(timeout=FTP_SILENT_S) as client:
                client.connect(url.hostname or "", url.port or ftplib.FTP_PORT)
                client.login(unquote(url.username or ""), unquote(url.password or ""))
                client.retrbinary(f"RETR {url.path.lstrip('/')}", take, PIECE_BYTES, rest=len(self.content) or None)
        except (*ftplib.all_errors, OSError):
            return False
        return True

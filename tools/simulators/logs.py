"""How the simulated charger leaves its log: by stock HTTP and FTP clients, with or without words about it."""

import asyncio
import ftplib
import io
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import aiohttp

from simulators.outbox import Errand
from simulators.wire import Payload

if TYPE_CHECKING:
    from simulators.charger import Charger


@dataclass(slots=True)
class LogHabits:
    """What this charger does differently."""

    name: str = "diagnostics.log"
    """What it calls its file; empty: it has none."""
    content: bytes = b"all is well\n"
    method: str = "PUT"
    """Or POST, or form, where the location is one of HTTP."""
    knows_diagnostics: bool = True
    """GetDiagnostics; False: it refuses it as NotImplemented."""
    knows_logs: bool = False
    """GetLog of the security extension."""
    says_anything: bool = True
    protocols: tuple[str, ...] = ("http", "ftp")
    """By which it can upload; it says UploadFailed to any other."""
    uploads: bool = True
    """False: it answers that it will, and never does."""


class Logs:
    """The charger's uploader, while it is under power."""

    def __init__(self, charger: "Charger") -> None:
        self._charger = charger
        self._asked: asyncio.Queue[tuple[str, int | None]] = asyncio.Queue()
        self.habits = LogHabits()
        self.requests: list[Payload] = []

    def ask(self, location: str, request_id: int | None, request: Payload) -> None:
        """`request_id`: of GetLog."""
        self.requests.append(request)
        if self.habits.name:
            self._asked.put_nowait((location, request_id))

    async def run(self) -> None:
        while True:
            location, request_id = await self._asked.get()
            if not self.habits.uploads:
                continue
            self._say("Uploading", request_id)
            try:
                await self._upload(location)
            except (aiohttp.ClientError, OSError, ftplib.Error):
                self._say("UploadFailed" if request_id is None else "UploadFailure", request_id)
            else:
                self._say("Uploaded", request_id)

    async def _upload(self, location: str) -> None:
        habits, url = self.habits, urlsplit(location)
        if url.scheme not in habits.protocols:
            raise ConnectionError(f"{url.scheme} is not known here")
        if url.scheme == "ftp":
            await asyncio.get_running_loop().run_in_executor(None, _stored, location, habits.name, habits.content)
            return
        async with aiohttp.ClientSession() as client:
            if habits.method == "form":
                form = aiohttp.FormData(quote_fields=False)
                form.add_field("file", io.BytesIO(habits.content), filename=habits.name)
                answer = await client.post(location, data=form)
            else:
                answer = await client.request(habits.method, location + habits.name, data=io.BytesIO(habits.content))
            answer.raise_for_status()

    def _say(self, status: str, request_id: int | None) -> None:
        if not self.habits.says_anything:
            return
        if request_id is None:
            self._charger.sessions.put(Errand("DiagnosticsStatusNotification", {"status": status}))
        else:
            self._charger.sessions.put(Errand("LogStatusNotification", {"status": status, "requestId": request_id}))


def _stored(location: str, name: str, content: bytes) -> None:
    url = urlsplit(location)
    with ftplib.FTP(timeout=20) as server:
        server.connect(url.hostname or "", url.port or 21)
        server.login(unquote(url.username or ""), unquote(url.password or ""))
        server.storbinary(f"STOR {PurePosixPath(unquote(url.path)) / name}", io.BytesIO(content))

"""How the simulated charger takes new firmware: it fetches the file (`downloading.py`), says how far it is, restarts,
and runs what the file says that it is: its first line is `firmware VERSION`.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from simulators.downloading import Download
from simulators.outbox import Errand
from simulators.wire import utc_now

if TYPE_CHECKING:
    from simulators.charger import Charger

FIRST_WORD = b"firmware "


def image(version: str, size: int = 100_000) -> bytes:
    """A file that is this version."""
    head = FIRST_WORD + version.encode() + b"\n"
    return head + (bytes(range(251)) * (size // 251 + 1))[: size - len(head)]


@dataclass(slots=True)
class Habits:
    """What this charger does differently."""

    takes_it: bool = True
    """False: it says DownloadFailed."""
    installs_it: bool = True
    """False: it says InstallationFailed."""
    says_anything: bool = True
    says_installed_before: bool = False
    """Before it restarts; else afterwards."""
    keeps_old: bool = False
    """It restarts with the firmware that it had."""
    restarts_midway: int = 0
    """So often it restarts in the midst of a download, and has forgotten it."""
    protocols: tuple[str, ...] = ("http", "ftp")
    """By which it can fetch; it says DownloadFailed to any other."""
    fetches: int = 1
    """So often it fetches the file, as some do to be sure."""
    attempts: int = 1
    """To fetch it, each from where the last one came to, before it says DownloadFailed."""
    holds_at: int | None = None
    """Bytes of its first download at which it reads no further, until `updating.goes_on` is set."""
    is_never_heard_again: bool = False
    """When it has the file."""
    knows_signed: bool = False
    """SignedUpdateFirmware of the security extension, and what belongs to it."""
    takes_signature: bool = True
    """False: it says InvalidSignature, when it has such a file."""
    pause_s: float = 0.05
    """Between its steps."""


class Updating:
    """The charger's updater, while it is under power."""

    def __init__(self, charger: "Charger") -> None:
        self._charger = charger
        self._asked: asyncio.Queue[tuple[str, datetime]] = asyncio.Queue()
        self._request_id: int | None = None
        """Of SignedUpdateFirmware."""
        self.habits = Habits()
        self.downloads: list[bytes] = []
        """What it has fetched so far."""
        self.locations: list[str] = []
        """That it was given, in order."""
        self.is_holding = asyncio.Event()
        self.goes_on = asyncio.Event()

    def ask(self, location: str, retrieve_at: str, request_id: int | None = None) -> None:
        """`request_id`: of SignedUpdateFirmware."""
        self._request_id = request_id
        self.locations.append(location)
        self._asked.put_nowait((location, datetime.fromisoformat(retrieve_at)))

    async def run(self) -> None:
        while True:
            location, retrieve_at = await self._asked.get()
            await asyncio.sleep(min(max(0.0, (retrieve_at - utc_now()).total_seconds()), 0.2))
            await self._update(location)

    async def _update(self, location: str) -> None:
        habits, charger = self.habits, self._charger
        await self._say("Downloading")
        if habits.restarts_midway > 0:
            habits.restarts_midway -= 1
            charger.reset("Hard")
            return
        content = await self._fetch(location)
        if content is None:
            await self._say("DownloadFailed")
            return
        if habits.is_never_heard_again:
            return
        await self._say("Downloaded")
        if self._request_id is not None:
            await self._say("SignatureVerified" if habits.takes_signature else "InvalidSignature")
            if not habits.takes_signature:
                return
        await self._say("Installing")
        if not habits.installs_it:
            await self._say("InstallationFailed")
            return
        if habits.says_installed_before:
            await self._say("Installed")
        if not habits.keeps_old:
            charger.boot["firmwareVersion"] = content.partition(b"\n")[0].removeprefix(FIRST_WORD).decode()
        charger.reset("Hard")
        await asyncio.sleep(habits.pause_s)
        if not habits.says_installed_before:
            await self._say("Installed")

    async def _fetch(self, location: str) -> bytes | None:
        habits = self.habits
        if not habits.takes_it or urlsplit(location).scheme not in habits.protocols:
            return None
        content = None
        for _ in range(habits.fetches):
            content = await self._fetched_once(location)
            if content is None:
                return None
            self.downloads.append(content)
        return content

    async def _fetched_once(self, location: str) -> bytes | None:
        download = Download(location, is_holding=self.is_holding, goes_on=self.goes_on)
        if not self.downloads:
            download.holds_at = self.habits.holds_at
        for attempt in range(self.habits.attempts):
            await asyncio.sleep(self.habits.pause_s if attempt else 0)
            if await download.attempt():
                return bytes(download.content)
        return None

    async def _say(self, status: str) -> None:
        if self.habits.says_anything and self._request_id is None:
            self._charger.sessions.put(Errand("FirmwareStatusNotification", {"status": status}))
        elif self.habits.says_anything:
            payload = {"status": status, "requestId": self._request_id}
            self._charger.sessions.put(Errand("SignedFirmwareStatusNotification", payload))
        await asyncio.sleep(self.habits.pause_s)

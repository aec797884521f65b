"""The bridge, killed at whatever it asks of the disk: what it had said is so afterwards, and everything goes on.

`strace` kills it with the N-th call of a thread that makes something durable (there are 29); then it is started again,
and the same is asked of it once more, as the daemon and chargers do.
"""

import asyncio
import contextlib
import io
import shutil
import zipfile
from pathlib import Path

import aiohttp
import pytest

from firmware_bridge.api import Bridge, BridgeRefused, BridgeUnreachable
from tests.firmware.bridge_process import BridgeProcess
from tests.firmware.test_logs import Inbox
from tests.firmware.yard import Internet

DURABLE = "fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"
CONTENT, LOG = bytes(range(256)) * 800, b"a log of a charger\n" * 5000
SAMPLED = range(1, 31, 3)
AWAY = (BridgeUnreachable, aiohttp.ClientError, ConnectionError)


class Story:
    """What is asked of a bridge; each step may be repeated."""

    def __init__(self, process: BridgeProcess, internet: Internet, inbox: Inbox) -> None:
        self._process = process
        self._internet = internet
        self._inbox = inbox
        self.deaths = 0

    @property
    def _asks(self) -> Bridge:
        return self._process.asks

    async def tell(self) -> None:
        sha256 = await self._whatever_happens(self._fetched)
        await self._whatever_happens(lambda: self._taken(sha256))
        user = await self._whatever_happens(self._left)
        await self._whatever_happens(lambda: self._forwarded(user))
        await self._whatever_happens(lambda: self._cleared(self._asks.discard(user)))
        await self._whatever_happens(lambda: self._cleared(self._asks.remove(sha256)))

    async def _whatever_happens(self, step):
        """What it gives, once more from its beginning where the bridge dies in between."""
        while True:
            try:
                return await step()
            except AWAY:
                await self._process.has_ended()
                self.deaths += 1
                assert self.deaths == 1, self._process.log()
                await self._process.start()

    async def _cleared(self, step):
        try:
            await step
        except BridgeRefused as error:
            # What was gone before it died is gone; a ticket that nobody has withdrawn since keeps its file.
            assert self.deaths and error.code in {"unknown", "refused"}, error

    async def _fetched(self):
        asked = await self._asks.fetch(self._internet.url("a.bin"))
        while not (now := await self._asks.fetched(asked.id)).has_ended:
            await asyncio.sleep(0.02)
        assert now.state == "stored", now
        return now.sha256

    async def _taken(self, sha256):
        ticket = await self._asks.serve(sha256, "CP-01", "127.0.0.1", None, 600)
        async with aiohttp.ClientSession() as client, client.get(ticket.locations["http"]) as answer:
            assert await answer.read() == CONTENT
        await self._asks.withdraw(ticket.token)

    async def _left(self):
        """Whose log is there; what was answered with yes is, whatever happens."""
        ticket = await self._asks.receive("CP-01", "127.0.0.1", None, 600)
        async with aiohttp.ClientSession() as client:
            async with client.put(ticket.locations["http"] + "a.log", data=io.BytesIO(LOG)) as answer:
                assert answer.status < 300
        return ticket.token[:8]

    async def _forwarded(self, user):
        asked = await self._asks.forward(self._inbox.url("all.zip"), "all.zip", [user], {"site": "x"})
        while not (now := await self._asks.forwarded(asked.id)).has_ended:
            await asyncio.sleep(0.02)
        assert now.state == "sent", now
        with zipfile.ZipFile(io.BytesIO(self._inbox.came["all.zip"])) as archive:
            assert [archive.read(name) for name in archive.namelist() if name.endswith("a.log")] == [LOG]


async def told(folder: Path, number: int) -> int:
    """How often it has died (0: there is no such call)."""
    internet, inbox = Internet({"a.bin": CONTENT}), Inbox()
    traced = ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={DURABLE}",
              "-e", f"inject={DURABLE}:signal=KILL:when={number}")  # fmt: skip
    process = BridgeProcess(folder)
    async with internet.running(), inbox.running():
        story = Story(process, internet, inbox)
        try:
            with contextlib.suppress(AssertionError):  # it may die before it answers
                await process.start(*traced)
            await story.tell()
        finally:
            await process.kill()
    left = {path.suffix for path in (folder / "bridge").rglob("*") if path.is_file()}
    assert not left & {".part", ".new", ".zip"}, left
    return story.deaths


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: apt install strace")
@pytest.mark.parametrize("number", SAMPLED)
async def test_what_it_has_said_is_so_wherever_it_is_killed(folder, number):
    await told(folder, number)

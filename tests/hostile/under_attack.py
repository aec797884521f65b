"""A daemon process, good chargers that go on working, and attackers (`attackers.py`); what it costs the daemon."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from websockets.asyncio.client import ClientConnection, connect

from tests.hostile.attackers import ATTACKS, mad
from tests.scenarios.site import DaemonProcess, free_port

GOOD = ("CP-01", "CP-02", "CP-03")
ATTACKERS = Path(__file__).with_name("attackers.py")
HARM = frozenset({"link_failed", "uplink_failed", "service_failed", "program_failed", "error_ignored", "loop_failed"})
LATER = "2026-03-01T10:00:00Z"


def configuration(port: int) -> str:
    known = [*GOOD, *(name for attack in ATTACKS for name in mad(attack))]
    chargers = "".join(f'[[charger]]\nid = "{name}"\nevses = [1]\n' for name in known)
    return f"""
[site]
id = "depot"
[store]
path = "edge.db"
[chargers]
unknown = "pending"
[[listener]]
address = "127.0.0.1:{port}"
security_profile = 0
{chargers}
[authorization]
offline = "everyone"
[api]
socket = "edge.sock"
"""


@dataclass
class Good:
    """A charger that says one thing after the other, each when the one before is answered."""

    name: str
    socket: ClientConnection
    said: int = 0

    async def takes(self, action: str, payload: dict) -> float:
        """Seconds until it is answered."""
        self.said += 1
        message_id = f"g{self.said}"
        began = perf_counter()
        await self.socket.send(json.dumps([2, message_id, action, payload]))
        async with asyncio.timeout(20):
            while True:
                frame = json.loads(await self.socket.recv())
                if frame[0] == 2:
                    await self.socket.send(json.dumps([4, frame[1], "NotSupported", "", {}]))
                elif frame[1] == message_id:
                    assert frame[0] == 3, frame
                    return perf_counter() - began


@dataclass
class Attackers:
    """`counts`: what they did, once they are gone."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)


class Attacked:
    def __init__(self, daemon: DaemonProcess, port: int, good: list[Good]) -> None:
        self.daemon = daemon
        self.port = port
        self.good = good

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    def resident_kb(self) -> int:
        return self._status("VmRSS")

    def peak_kb(self) -> int:
        """The most that it ever held."""
        return self._status("VmHWM")

    def fds(self) -> int:
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    def bad_events(self) -> list[dict]:
        """Lines of the log that tell of a defect of ours."""
        lines = (line for line in self.daemon.log.read_text().splitlines() if line.strip())
        told = [json.loads(line) if line.startswith("{") else {"event": line, "exception": line} for line in lines]
        return [one for one in told if "exception" in one or one["event"] in HARM]

    def log_kb(self) -> int:
        return self.daemon.log.stat().st_size // 1024

    async def latencies(self, for_s: float) -> list[float]:
        """How long the good chargers wait for each answer, over this time."""
        took: list[float] = []
        until = perf_counter() + for_s

        async def works(one: Good) -> None:
            while perf_counter() < until:
                values = {"timestamp": LATER, "sampledValue": [{"value": str(one.said)}]}
                took.append(await one.takes("MeterValues", {"connectorId": 1, "meterValue": [values]}))
                took.append(await one.takes("Heartbeat", {}))
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as tasks:
            for one in self.good:
                tasks.create_task(works(one))
        return took

    @contextlib.asynccontextmanager
    async def attack(self, *names: str) -> AsyncIterator[Attackers]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ATTACKERS),
            str(self.port),
            *names,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        attackers = Attackers()
        try:
            yield attackers
        finally:
            try:
                async with asyncio.timeout(20):
                    said, _ = await process.communicate(b"over\n")
            except TimeoutError:
                process.kill()
                raise
            attackers.counts.update(json.loads(said) if said else {})

    async def has_begun(self) -> None:
        """The attackers are there: somebody is connected who was not, or was thrown out already."""
        before = self.fds(), self.log_kb()
        async with asyncio.timeout(10):
            while (self.fds(), self.log_kb()) == before:
                await asyncio.sleep(0.01)

    async def until_fds(self, at_most: int) -> None:
        """Back to so many; the handshakes that nobody ended have some seconds."""
        async with asyncio.timeout(30):
            while self.fds() > at_most:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def attacked(folder: Path, *words: str) -> AsyncIterator[Attacked]:
    """A daemon with its good chargers. `words`: as of `DaemonProcess.start`."""
    port = free_port()
    daemon = DaemonProcess(folder, configuration(port))
    await daemon.start(*words)
    try:
        async with contextlib.AsyncExitStack() as stack:
            good = []
            for name in GOOD:
                url = f"ws://127.0.0.1:{port}/ocpp/{name}"
                socket = await stack.enter_async_context(connect(url, subprotocols=["ocpp1.6"], proxy=None))
                good.append(Good(name, socket))
            site = Attacked(daemon, port, good)
            for one in good:
                await one.takes("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
            yield site
    finally:
        assert await daemon.stop() == 0


def p99(took: list[float]) -> float:
    return sorted(took)[int(0.99 * (len(took) - 1))]

"""A whole site for scenarios: the daemon with real sockets and a real SQLite file, and the parties around it.

`Site` runs the daemon inside the test's loop; `DaemonProcess` runs it as `edge run`, so that it can be killed.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from edge.config import (
    Api,
    Authorization,
    ChargerDefaults,
    ChargerSettings,
    Config,
    Listener,
    Meter,
    StoreSettings,
    Uplink,
)
from edge.config import Site as SiteSettings
from edge.daemon import Daemon, build
from edge.world import real_world

Fact = TypeVar("Fact")
IDENTITY = "depot-7"


def configuration(
    folder: Path,
    *,
    csms_url: str | None = None,
    chargers: tuple[ChargerSettings, ...] = (),
    unknown: str = "pending",
    security_profile: int = 0,
    offline: str = "everyone",
    meters: tuple[Meter, ...] = (),
    **uplink: object,
) -> Config:
    """A site on loopback and on a free port."""
    return Config(
        site=SiteSettings(id=IDENTITY, name="Test Depot"),
        listeners=(Listener("127.0.0.1", 0, "/ocpp", security_profile),),
        uplink=None if csms_url is None else Uplink(url=csms_url, identity=IDENTITY, security_profile=0, **uplink),  # type: ignore[arg-type]
        store=StoreSettings(path=folder / "edge.db"),
        chargers=ChargerDefaults(unknown=unknown, heartbeat_interval=300, meter_interval=30),  # type: ignore[arg-type]
        charger=chargers,
        authorization=Authorization(offline=offline, online_timeout=2.0),  # type: ignore[arg-type]
        meters=meters,
        api=Api(socket=folder / "edge.sock"),
    )


class Site:
    """The daemon in this loop. `async with site.running():`; it may be run again on the same store."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.daemon: Daemon | None = None
        self.ending: str | None = None

    def build(self) -> Daemon:
        return build(self.config, real_world())

    async def ended(self) -> None:
        """Return when the daemon leaves by itself."""
        async with asyncio.timeout(10):
            while await self._answers():
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError, json.JSONDecodeError):
            return "v" in await self.ask("status")
        return False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Site"]:
        self.daemon = self.build()
        async with asyncio.TaskGroup() as tasks:
            life = tasks.create_task(self.daemon.run())
            ready = tasks.create_task(self.daemon.ready.wait())
            await asyncio.wait({life, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            try:
                yield self
            finally:
                self.daemon.leave()
                async with asyncio.timeout(20):
                    self.ending = await life

    @property
    def url(self) -> str:
        assert self.daemon is not None
        return f"ws://127.0.0.1:{self.daemon.charger_ports[0]}/ocpp"

    async def ask(self, command: str, **args: object) -> dict:
        assert self.config.api.socket is not None
        return await ask(self.config.api.socket, command, **args)

    async def until(self, command: str, fact: Callable[[dict], Fact], within: float = 20.0, **args: object) -> Fact:
        """The first true fact about a document of the console."""
        assert self.config.api.socket is not None
        return await until(self.config.api.socket, command, fact, within, **args)


async def ask(socket: Path, command: str, **args: object) -> dict:
    """One question to the console, as `edge` asks it."""
    reader, writer = await asyncio.open_unix_connection(socket, limit=16_000_000)
    try:
        writer.write(json.dumps({"command": command, "args": args}).encode() + b"\n")
        line = await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()
    return json.loads(line)


async def until(socket: Path, command: str, fact: Callable[[dict], Fact], within: float = 20.0, **args: object) -> Fact:
    document: dict = {}
    try:
        async with asyncio.timeout(within):
            while True:
                document = await ask(socket, command, **args)
                found = fact(document)
                if found:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{command} never showed it; last: {json.dumps(document, indent=1)[:4000]}") from None


class DaemonProcess:
    """`edge run` as a process of its own, which can be killed and started again on the same store and port."""

    def __init__(self, folder: Path, toml: str, **environment: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **environment}
        self.file = folder / "edge.toml"
        self.file.write_text(toml)
        self.socket = folder / "edge.sock"
        self.log = folder / "edge.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *words: str) -> None:
        """`words`: the program and its arguments, instead of `edge run`."""
        words = words or ("-m", "edge", "run", "--config", str(self.file))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *words, stdout=log, stderr=log, env=self.environment
            )
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(OSError, json.JSONDecodeError):
                    await ask(self.socket, "status")
                    return
                assert self._process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.05)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        # Not `send_signal`: it would take the exit code away from asyncio, which then makes one up.
        os.kill(self.pid, number)

    def events(self, name: str) -> list[dict]:
        """What the log says of it so far."""
        told = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [event for event in told if event.get("event") == name]

    async def told(self, name: str, times: int = 1, within: float = 20.0) -> dict:
        """The newest event of that name, once there are so many."""
        async with asyncio.timeout(within):
            while len(self.events(name)) < times:
                await asyncio.sleep(0.02)
        return self.events(name)[-1]

    async def kill(self) -> None:
        """SIGKILL, as the kernel or a power cut would."""
        self.signal(signal.SIGKILL)
        await self.died()

    async def died(self) -> int:
        """How it ended, once it has. One that does not says in its log where it stands."""
        assert self._process is not None
        try:
            async with asyncio.timeout(20):
                return await self._process.wait()
        except TimeoutError:
            self.signal(signal.SIGABRT)
            await self._process.wait()
            raise AssertionError(f"it did not end; its log: {self.log.read_text()[-8000:]}") from None

    async def stop(self) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self.signal(signal.SIGTERM)
        return await self.died()

    async def ask(self, command: str, **args: object) -> dict:
        return await ask(self.socket, command, **args)

    async def until(self, command: str, fact: Callable[[dict], Fact], within: float = 30.0, **args: object) -> Fact:
        return await until(self.socket, command, fact, within, **args)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def short_folder():
    """A folder with a short name: the path of a UNIX socket may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="e", dir="/tmp" if os.path.isdir("/tmp") else None) as name:
        yield Path(name)


__all__ = [
    "IDENTITY",
    "ChargerSettings",
    "DaemonProcess",
    "Site",
    "ask",
    "configuration",
    "free_port",
    "replace",
    "until",
]

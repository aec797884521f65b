"""The daemon: one life from the store's opening to its closing, in one TaskGroup, and how it leaves.

`build(config, world)` makes it; `run()` is the daemon. What it is made of is joined in `edge/assembly.py`; the process
around it (log, lock, signals, the way to start again) is `edge/process.py`.
"""

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from functools import partial

import structlog
from websockets.asyncio.server import Server

from edge import __version__
from edge.assembly import Assembly, Service, assemble
from edge.config import Config
from edge.console.server import ConsoleServer
from edge.inside import Inside
from edge.ocppj.schemas import warm_up
from edge.store import boots
from edge.store.db import CommitFailed, Store, open_store
from edge.world import World

SERVICE_PAUSE = 5.0

WARM = (
    "Authorize",
    "BootNotification",
    "Heartbeat",
    "MeterValues",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
)


class Ending(StrEnum):
    STOPPED = "stopped"
    RESTART = "restart"


class Daemon:
    """One life of the daemon."""

    def __init__(self, config: Config, world: World) -> None:
        self._config = config
        self._world = world
        self._ending = Ending.STOPPED
        self._leave = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once chargers may connect."""
        self.charger_ports: list[int] = []
        """The ports that the listeners have got, in file order."""
        self.inside: Inside | None = None
        self._log = structlog.get_logger("edge.daemon")

    def leave(self, ending: Ending = Ending.STOPPED) -> None:
        """End in an orderly way; the first reason counts."""
        if not self._leave.is_set():
            self._ending = ending
            self._leave.set()

    async def run(self) -> Ending:
        """Until `leave`, or until a part fails that the daemon cannot be without."""
        world = self._world
        store = await open_store(self._config.store.path, world.open_database, world.clock)
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(store.run())
                try:
                    await self._live(store)
                finally:
                    writer.cancel()
        finally:
            await store.close()
        return self._ending

    async def _live(self, store: Store) -> None:
        world = self._world
        boot_no = await store.write(
            lambda db: boots.begin(db, world.clock.utc_now(), round(world.clock.monotonic() * 1000))
        )
        async with asyncio.TaskGroup() as tasks:
            servers, services = await self._start(store, boot_no, tasks)
            self.ready.set()
            world.notify("READY=1")
            self._log.info("ready", version=__version__, ports=self.charger_ports, boot=boot_no)
            await self._leave.wait()
            world.notify("STOPPING=1")
            self._log.info("leaving", ending=self._ending)
            for server in servers:
                server.close(code=1001, reason="the controller restarts")
                await server.wait_closed()
            while pending := [service for service in services if not service.done()]:
                for service in pending:
                    service.cancel()
                # Again after a second: a TaskGroup of Python 3.11 can swallow a cancellation (gh-94398 and kin).
                await asyncio.wait(pending, timeout=1.0)
        try:
            await store.write(lambda db: boots.end(db, boot_no, self._ending))
        except CommitFailed as error:
            self._log.error("end_not_stored", why=str(error))  # the disk is full; we leave all the same

    async def _start(
        self, store: Store, boot_no: int, tasks: asyncio.TaskGroup
    ) -> tuple[list[Server], list["asyncio.Task[None]"]]:
        """Join the parts and let them run; first the listeners, so that chargers wait for nothing."""

        def in_background(work: Coroutine[None, None, None]) -> None:
            tasks.create_task(self._finish(work))

        parts: Assembly = await assemble(
            self._config, self._world, store, boot_no, in_background, partial(self.leave, Ending.RESTART)
        )
        self.inside = parts.inside
        warm_up("1.6", WARM)
        servers = await parts.chargers.open()
        self.charger_ports = [server.sockets[0].getsockname()[1] for server in servers]
        running = [tasks.create_task(self._serve(name, run)) for name, run in parts.services.items()]
        if parts.console is not None:
            running.append(await _open(parts.console, tasks))
        return servers, running

    async def _serve(self, name: str, run: Service) -> None:
        """The supervisor of one service: a defect in it costs a pause of this service, not the daemon."""
        while True:
            try:
                await run()
            except Exception:  # noqa: BLE001 - a supervisor (style 16)
                self._log.exception("service_failed", service=name)
            await asyncio.sleep(SERVICE_PAUSE)

    async def _finish(self, work: Coroutine[None, None, None]) -> None:
        """The supervisor of something small that nobody waits for."""
        try:
            await work
        except Exception:  # noqa: BLE001 - a supervisor (style 16)
            self._log.exception("background_failed")


async def _open(console: ConsoleServer, tasks: asyncio.TaskGroup) -> "asyncio.Task[None]":
    """Its task, once clients can connect; an address that cannot be had ends the daemon through the task group."""
    task = tasks.create_task(console.run())
    listening = tasks.create_task(console.listening.wait())
    await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    return task


def build(config: Config, world: World) -> Daemon:
    """The daemon for this configuration in this world; its one coroutine is `run`."""
    return Daemon(config, world)

"""The daemon: its lives, each from the store's opening to its closing in one TaskGroup, and how it leaves.

`build(config, world)` makes it; `run()` is the daemon. What it is made of is joined in `edge/assembly.py`; the process
around it (log, lock, signals, the way to start again) is `edge/process.py`.

A damaged store is put aside and another takes its place at once (`edge/store/recovery.py`), in which what is left of it
is brought back by and by (`edge/salvaging.py`). A disk that fails must not cost the site its chargers. A store that
goes on failing is opened anew once; if that does not help, or it cannot be opened at all, the next life is
*control-only*: an empty store in memory takes its place, the chargers stay connected, but none is told that its
transaction was stored, so that it keeps and repeats what it has to say. As soon as the disk takes a row again, the next
life is a full one.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path

import structlog

from edge import __version__
from edge.assembly import Assembly, Service, assemble
from edge.chargers.server import ChargerServer
from edge.clock import SiteClock
from edge.config import Config, Problem
from edge.config.in_force import InForce
from edge.console.server import ConsoleServer
from edge.inside import Inside
from edge.ocppj.schemas import warm_up
from edge.reload import Read, Request
from edge.store import boots, recovery
from edge.store.damage import UNREADABLE
from edge.store.db import CommitFailed, Store, open_store
from edge.store.migration import StoreDamaged, StoreForeign, StoreUnusable
from edge.store.volatile import open_volatile
from edge.watchdog import Life, Watchdog
from edge.world import World

SERVICE_PAUSE = 5.0
GUARD_EVERY = 5.0
FAILING_FOR = 30.0
"""Seconds of nothing but failed commits after which the store is opened anew."""
FAILED_AGAIN_WITHIN = 600.0
"""Seconds after a reopening in which the same is taken for a disk that is dead."""
TRY_DISK_EVERY = 60.0

WARM = (
    "Authorize",
    "BootNotification",
    "Heartbeat",
    "MeterValues",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
)


Claim = Callable[[], None]
"""Sees to it that nobody else uses the store on disk. Raises StoreUnusable when that cannot be had."""


class Ending(StrEnum):
    STOPPED = "stopped"
    RESTART = "restart"
    REOPEN = "reopen"
    """The next life begins at once, in the same process, with the store opened anew."""


class Daemon:
    """The daemon, one life after the other."""

    def __init__(self, config: Config, world: World, read: Read | None = None, claim: Claim | None = None) -> None:
        self._in_force = InForce(config)
        self._clock = SiteClock(world.clock, world.how_clock_was_set)
        self._world = replace(world, clock=self._clock)
        self._reload_asked = asyncio.Event()
        self._read = read or (lambda: (config, ()))
        self._claim = claim or (lambda: None)
        self._watchdog = Watchdog(self._world)
        self._ending = Ending.STOPPED
        self._leave = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once chargers may connect."""
        self.charger_ports: list[int] = []
        """The ports that the listeners have got, in file order."""
        self.inside: Inside | None = None
        self._reopened_at = float("-inf")
        self._given_up: str | None = None
        """Why the store on disk is not even tried."""
        self._condemned: StoreDamaged | None = None
        """What was found in the store, so that it is put aside whatever opening it would say."""
        self._in_use: tuple[int, int] | None = None
        """Which file the last store was: a condemned one may have been put aside already when we are called again."""
        self._log = structlog.get_logger("edge.daemon")

    def leave(self, ending: Ending = Ending.STOPPED) -> None:
        """End in an orderly way; the first reason counts, but whoever ends the process has the last word."""
        if not self._leave.is_set() or self._ending is Ending.REOPEN:
            self._ending = ending
            self._leave.set()

    def reload(self) -> None:
        """Read the configuration again, as soon as the daemon is ready for it (`edge/reload.py`)."""
        self._reload_asked.set()

    async def run(self) -> Ending:
        """Until `leave`, or until a part fails that the daemon cannot be without."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._serve("watchdog", self._watchdog.run))
            try:
                await self._lives()
            finally:
                watching.cancel()
        return self._ending

    async def _lives(self) -> None:
        while True:
            await self._life()
            if self._ending is not Ending.REOPEN:
                return
            self._leave.clear()

    async def _life(self) -> None:
        store, why_control_only = await self._open()
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(store.run())
                try:
                    await self._live(store, why_control_only)
                finally:
                    writer.cancel()
        except* CommitFailed as failures:  # before chargers were let in: later each part copes with that itself
            self._reopen(f"the store failed while the daemon started: {_first(failures)}", store.damage)
        except* UNREADABLE as failures:
            error = _first(failures)
            if why_control_only is not None or error is not store.misread:
                raise
            self._log.error("store_unreadable", exc_info=error)
            store.damage = f"its content cannot be read: {error}"
            self._reopen(store.damage, store.damage)
        finally:
            await store.close()

    async def _open(self) -> tuple[Store, str | None]:
        """The store, and why it is not the one on disk. Raises StoreForeign: choosing another is for a person."""
        world, why = self._world, self._given_up
        if why is None:
            try:
                return await self._open_on_disk(), None
            except StoreForeign:
                raise
            except StoreUnusable as error:
                why = str(error)
        self._log.error("control_only", why=why)
        return await open_volatile(world.open_database, world.clock), why

    async def _open_on_disk(self) -> Store:
        """A damaged store is put aside, and another opened in its place. Raises StoreUnusable or StoreForeign."""
        world, path = self._world, self._in_force().store.path
        await world.offload(self._claim)
        now, monotonic = world.clock.utc_now, world.clock.monotonic
        try:
            await world.offload(lambda: recovery.prepare(path, now(), monotonic))
            damage = self._condemned
            if damage is None or await world.offload(partial(_file_at, path)) != self._in_use:
                try:
                    return await self._opened(path)
                except StoreDamaged as error:
                    damage = error
            found = damage
            await world.offload(lambda: recovery.replace(path, found, now(), monotonic))
        except UNREADABLE as error:
            self._log.exception("store_unreadable")
            raise StoreUnusable(f"{path}: {error}") from error
        return await self._opened(path)

    async def _opened(self, path: Path) -> Store:
        store = await open_store(path, self._world.open_database, self._world.clock)
        self._condemned = None
        self._in_use = await self._world.offload(partial(_file_at, path))
        return store

    async def _live(self, store: Store, why_control_only: str | None) -> None:
        world = self._world
        clock = self._clock
        await clock.begin(await store.write(boots.floor))
        boot_no = await store.write(
            lambda db: boots.begin(db, clock.utc_now(), round(clock.monotonic() * 1000), clock.trust)
        )
        async with asyncio.TaskGroup() as tasks:
            chargers, services = await self._start(store, boot_no, why_control_only, tasks)
            watch = self._until_disk_works() if why_control_only is not None else self._guard(store)
            services.append(tasks.create_task(watch))
            services.append(tasks.create_task(clock.run(store, boot_no)))
            self.ready.set()
            world.notify("READY=1")
            self._log.info("ready", version=__version__, ports=self.charger_ports, boot=boot_no)
            await self._leave.wait()
            self._watchdog.life = None
            if self._ending is not Ending.REOPEN:
                world.notify("STOPPING=1")
            self._log.info("leaving", ending=self._ending)
            await chargers.close()
            while pending := [service for service in services if not service.done()]:
                for service in pending:
                    service.cancel()
                # Again after a second: a TaskGroup of Python 3.11 can swallow a cancellation (gh-94398 and kin).
                await asyncio.wait(pending, timeout=1.0)
        try:
            if clock.trust.is_trusted:
                store.defer(lambda db: boots.keep_time(db, clock.utc_now(), clock.trust))
            await store.write(lambda db: boots.end(db, boot_no, self._ending))
        except CommitFailed as error:
            self._log.error("end_not_stored", why=str(error))  # the disk is full; we leave all the same

    async def _start(
        self, store: Store, boot_no: int, why_control_only: str | None, tasks: asyncio.TaskGroup
    ) -> tuple[ChargerServer, list["asyncio.Task[None]"]]:
        """Join the parts and let them run; first the listeners, so that chargers wait for nothing."""

        def in_background(work: Coroutine[None, None, None]) -> None:
            tasks.create_task(self._finish(work))

        parts: Assembly = await assemble(
            self._in_force,
            self._world,
            self._clock,
            store,
            boot_no,
            in_background,
            partial(self.leave, Ending.RESTART),
            why_control_only,
            Request(self._reload_asked, self._read_again),
        )
        self.inside = parts.inside
        warm_up("1.6", WARM)
        self.charger_ports = await parts.chargers.open()
        # chargers find the next life where they found this one, also on a port that was free to choose
        self._in_force.bind(self._on_our_ports(self._in_force()))
        self._watchdog.life = Life(store, parts.vitals, parts.inside.sentence)
        running = [tasks.create_task(self._serve(name, run)) for name, run in parts.services.items()]
        if parts.console is not None:
            running.append(await _open(parts.console, tasks))
        return parts.chargers, running

    def _read_again(self) -> tuple[Config | None, tuple[Problem, ...]]:
        config, problems = self._read()
        return None if config is None else self._on_our_ports(config), problems

    def _on_our_ports(self, config: Config) -> Config:
        """With the ports that the system has chosen where the file leaves it free."""
        ports = [*self.charger_ports, *(0 for _ in config.listeners)]
        listeners = zip(config.listeners, ports, strict=False)
        return replace(config, listeners=tuple(replace(one, port=one.port or port) for one, port in listeners))

    async def _guard(self, store: Store) -> None:
        """See whether the store goes on failing."""
        clock = self._world.clock
        failing_since: float | None = None
        while True:
            await asyncio.sleep(GUARD_EVERY)
            if store.damage is not None:
                self._reopen(f"the store is damaged: {store.damage}", store.damage)
                return
            if not store.is_failing:
                failing_since = None
                continue
            failing_since = clock.monotonic() if failing_since is None else failing_since
            try:
                await store.write(boots.probe)
            except CommitFailed as error:
                if clock.monotonic() - failing_since >= FAILING_FOR:
                    self._reopen(f"the store fails again and again: {error}")
                    return

    def _reopen(self, why: str, damage: str | None = None) -> None:
        """`damage`: of the file, so that another has to take its place."""
        now = self._world.clock.monotonic()
        if damage is not None:
            self._condemned = StoreDamaged(damage)
        if now - self._reopened_at < FAILED_AGAIN_WITHIN:
            self._given_up = why
        self._reopened_at = now
        self._log.error("store_reopened", why=why)
        self.leave(Ending.REOPEN)

    async def _until_disk_works(self) -> None:
        """In control-only mode: try the disk until it takes a row."""
        while True:
            await asyncio.sleep(TRY_DISK_EVERY)
            try:
                store = await self._open_on_disk()
            except StoreUnusable as error:
                self._log.warning("store_still_unusable", why=str(error))
                continue
            if await _takes_a_row(store):
                break
        self._log.info("store_usable_again")
        self._given_up, self._reopened_at = None, float("-inf")
        self.leave(Ending.REOPEN)

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


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file stands there, whatever it was called before."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _takes_a_row(store: Store) -> bool:
    """Whether a commit works; the store is closed then."""
    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(store.run())
        try:
            await store.write(boots.probe)
        except CommitFailed as error:
            structlog.get_logger("edge.daemon").warning("store_still_unusable", why=str(error))
            return False
        finally:
            writer.cancel()
            await store.close()
    return True


async def _open(console: ConsoleServer, tasks: asyncio.TaskGroup) -> "asyncio.Task[None]":
    """Its task, once clients can connect; an address that cannot be had ends the daemon through the task group."""
    task = tasks.create_task(console.run())
    listening = tasks.create_task(console.listening.wait())
    await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    return task


def build(config: Config, world: World, read: Read | None = None, claim: Claim | None = None) -> Daemon:
    """The daemon for this configuration in this world; its one coroutine is `run`. `read` gives it a reload's file."""
    return Daemon(config, world, read, claim)

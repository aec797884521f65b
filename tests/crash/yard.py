"""A site for the proof: the real daemon in processes of its own, simulated chargers and a simulated cloud around it.

`yard` makes it in a folder of memory; `Yard.session` is what happens there most. Nothing here waits for a particular
life of the daemon: chargers keep what they have to say until somebody answers, so a story goes on whatever is killed.
"""

import asyncio
import contextlib
import itertools
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulators.charger import Charger
from simulators.csms import Csms

from tests.crash.cradle import Cradle
from tests.crash.keeper import NOBODY, Keeper, Observe, StoryFailed
from tests.crash.older import NOTHING, Older, older, remember
from tests.crash.recording import IS_NO_MATTER
from tests.crash.truth import is_complete, wrong
from tests.scenarios.site import IDENTITY, free_port
from tests.scenarios.test_outage import toml

MEMORY = Path("/dev/shm")
PATIENCE = 30.0
"""Seconds in which each thing of a story has to come true, on a busy machine."""


@dataclass(frozen=True)
class Place:
    """The folder of one yard. `disk` is what a power cut would hit; log, socket and configuration are beside it."""

    folder: Path
    store_name: str = "edge.db"
    """On the disk."""

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def store(self) -> Path:
        return self.disk / self.store_name

    @property
    def config(self) -> Path:
        return self.folder / "edge.toml"

    @property
    def log(self) -> Path:
        return self.folder / "edge.log"

    @property
    def socket(self) -> Path:
        return self.folder / "edge.sock"

    def files(self) -> dict[str, bytes]:
        """What is on the disk now, as far as it matters."""
        found = {str(path.relative_to(self.disk)): path for path in self.disk.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if not IS_NO_MATTER.search(name)}

    def put(self, files: dict[str, bytes]) -> None:
        for name, text in files.items():
            path = self.disk / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)


@contextlib.contextmanager
def place(store_name: str = "edge.db") -> Iterator[Place]:
    """In memory when there is some: with a short name, because a UNIX socket's path may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="edge", dir=MEMORY if MEMORY.is_dir() else "/tmp"))
    found = Place(folder, store_name)
    found.disk.mkdir()
    try:
        yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


CHARGERS = 3


@dataclass
class Yard:
    place: Place
    port: int
    csms: Csms
    keeper: Keeper
    tasks: contextlib.AsyncExitStack
    chargers: dict[str, Charger] = field(default_factory=dict)
    tags: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    older: Older = NOTHING
    """What was in the store from before."""
    thins: bool = False
    """Meter values may be missing in the cloud, and what was delivered in the journal."""
    patience: float = PATIENCE

    async def charger(self, identity: str, *, connectors: int = 2) -> Charger:
        """The one with this name; it begins to connect when it is asked for the first time."""
        if identity not in self.chargers:
            charger = Charger(
                identity,
                f"ws://127.0.0.1:{self.port}/ocpp",
                connectors=connectors,
                meter_interval_s=0,
                reconnect_s=(0.01, 0.05),
                retry_interval_s=0.1,
            )
            self.chargers[identity] = charger
            await self.tasks.enter_async_context(charger.running())
        return self.chargers[identity]

    def begin(self, charger: Charger, connector: int = 1) -> None:
        """A session under a token of its own, by which it is known in the cloud."""
        charger.sessions.plug_in(connector)
        charger.begin_session(connector, f"TAG-{next(self.tags)}")

    def values(self, charger: Charger, connector: int = 1, count: int = 1, wh: int = 100) -> None:
        for _ in range(count):
            charger.add_energy(connector, wh)
            charger.sessions.sample(connector)

    def end(self, charger: Charger, connector: int = 1, *, is_stop_lost: bool = False) -> None:
        charger.add_energy(connector, 10)
        charger.sessions.end(connector, "Local", is_stop_lost=is_stop_lost)
        charger.sessions.unplug(connector)

    async def session(self, charger: Charger, connector: int = 1, values: int = 2) -> None:
        """From plug to unplug, all of it answered."""
        self.begin(charger, connector)
        for _ in range(values):
            self.values(charger, connector)
            await self.answered(charger)
        self.end(charger, connector)
        await self.answered(charger)

    async def answered(self, *chargers: Charger) -> None:
        """All that they have to say has been answered."""
        for charger in chargers or self.chargers.values():
            await self.until(lambda charger=charger: not charger.queue, charger, f"{charger.identity} is answered")

    async def delivered(self) -> None:
        """The cloud has all that was said so far."""
        await self.answered()
        try:
            await self.until(lambda: is_complete(self), self.csms, "the cloud has everything")
        except StoryFailed as failure:
            raise StoryFailed("\n".join([*wrong(self), str(failure)])) from None

    async def ready(self, charger: Charger) -> None:
        """It is registered."""
        await self.until(lambda: charger.is_ready, charger, f"{charger.identity} is registered")

    def list_chargers(self, count: int) -> None:
        """The configuration file names so many from now on."""
        fresh = self.place.config.with_suffix(".new")
        fresh.write_text(toml(self.port, self.csms.url, count, f"disk/{self.place.store_name}"))
        fresh.replace(self.place.config)

    async def reloaded(self, newcomer: Charger) -> None:
        """The configuration was read again: a charger that it names now is registered."""
        try:
            async with asyncio.timeout(self.patience):
                while not newcomer.is_ready:
                    await self.keeper.ask("status")  # who answers listens to signals, too
                    self.keeper.reload()
                    with contextlib.suppress(TimeoutError):
                        await newcomer.bell.wait_for(lambda: newcomer.is_ready, 1.0, "registered")
        except TimeoutError:
            raise StoryFailed(f"{newcomer.identity} was not registered\n{self.keeper.told()}") from None

    async def leave(self, charger: Charger) -> None:
        """It is disconnected for good."""
        await charger.disconnect()

    async def order(self, command: str, *, done: str = " already", **arguments: object) -> None:
        """What a technician asks the daemon to do, until it is done. `done`: words of a refusal that says that it is."""
        answer: dict = {}
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    answer = await self.keeper.ask(command, **arguments)
                    if "error" not in answer or done in answer["error"]["message"]:
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise StoryFailed(f"edge {command} {arguments}: {answer}") from None

    async def shown(self, command: str, fact: Callable[[dict], object]) -> None:
        """The console shows it; an error shows nothing."""
        document: dict = {}
        try:
            async with asyncio.timeout(self.patience):
                while "error" in (document := await self.keeper.ask(command)) or not fact(document):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise StoryFailed(f"edge {command}: {document}") from None

    async def backup(self, to: Path) -> None:
        """`edge backup`, again until it is done."""
        while not to.exists():
            await self.keeper.beside("backup", str(to), "--socket", str(self.place.socket))
            if self.keeper.failure is not None:
                raise StoryFailed(self.keeper.failure)

    async def until(self, fact: Callable[[], object], of: Charger | Csms, what: str) -> None:
        try:
            await of.bell.wait_for(lambda: fact() or self.keeper.failure, self.patience, what)
        except TimeoutError as late:
            raise StoryFailed(f"{late}\n{self.keeper.told()}") from None
        if self.keeper.failure is not None:
            raise StoryFailed(self.keeper.failure)


@dataclass(frozen=True)
class Ports:
    """Where the daemon listens, and the cloud: equal for all yards that go on with one another's stores."""

    edge: int = field(default_factory=free_port)
    csms: int = field(default_factory=free_port)


@contextlib.asynccontextmanager
async def yard(
    cradle: Cradle,
    here: Place,
    ports: Ports,
    *,
    variant: str = "brisk",
    observe: Observe = lambda _life: NOBODY,
    afresh: bool = False,
    command_may_fail: bool = False,
    chargers: int = CHARGERS,
    thins: bool = False,
    patience: float = PATIENCE,
) -> AsyncIterator[Yard]:
    """Cloud and keeper are there; the daemon is down."""
    async with Csms(port=ports.csms, dedupe=True, first_transaction_id=7000) as csms:
        here.config.write_text(toml(ports.edge, csms.url, chargers, f"disk/{here.store_name}"))
        known = older(here.store)
        remember(csms, known.sessions, IDENTITY)
        keeper = Keeper(cradle, here.config, here.log, here.socket, variant, observe, afresh, command_may_fail)
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(keeper.run())
            try:
                async with contextlib.AsyncExitStack() as stack:
                    yield Yard(here, ports.edge, csms, keeper, stack, older=known, thins=thins, patience=patience)
            except Exception as error:  # noqa: BLE001 - raised below as it is, not in a group
                failure = error
            finally:
                if not keeping.done():
                    await keeper.down(signal.SIGKILL)
                keeping.cancel()
        if failure is not None:
            raise failure

"""A whole site on virtual time: the unmodified daemon, its chargers and its cloud."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from simulators.charger import Charger
from simulators.csms import Csms

from edge.clock import Vouches
from edge.config import (
    Api,
    Authorization,
    ChargerDefaults,
    ChargerSettings,
    Config,
    Listener,
    Sessions,
    Site,
    StoreSettings,
    Uplink,
)
from edge.console.views_messages import MessageViews
from edge.console.views_sessions import SessionViews
from edge.console.views_site import SiteViews
from edge.daemon import Daemon, build
from edge.store.db import CommitFailed
from edge.world import World, nobody_to_ask
from tests.simulation.loop import SimLoop
from tests.simulation.world import SimClock, SimDisk, SimIds, SimNotify, SimOffload

IDENTITY = "depot-7"
CLOUD = ("127.0.0.1", 9000)


@dataclass
class Yard:
    loop: SimLoop
    csms: Csms
    chargers: list[Charger]
    daemon: Daemon
    disk: SimDisk

    async def ask(self, command: str, **args: object) -> dict:
        """What the console would show; between two lives of the daemon it is asked again."""
        for _ in range(100):
            with contextlib.suppress(CommitFailed):
                return await self._asked(command, args)
            await asyncio.sleep(0.1)
        return await self._asked(command, args)

    async def _asked(self, command: str, args: Mapping[str, object]) -> dict:
        store, inside = self.daemon.inside._parts.store, self.daemon.inside
        views = {
            "status": SiteViews(store, inside).status,
            "uplink": SiteViews(store, inside).uplink,
            "session": SessionViews(store, inside).session,
            "sessions": SessionViews(store, inside).sessions,
            "queue": MessageViews(store, inside).queue,
            "trace": MessageViews(store, inside).trace,
        }
        return dict(await views[command](args))


@contextlib.asynccontextmanager
async def yard(
    loop: SimLoop,
    folder: Path,
    *,
    chargers: int = 1,
    seed: int = 0,
    machine_wall: datetime | None = None,
    how_clock_was_set: Vouches = nobody_to_ask,
    has_cloud: bool = True,
    retention_days: int = 90,
    max_size_mb: int = 2048,
    claim: Callable[[], None] | None = None,
    listed: Sequence[str] = (),
    timezone: str = "Europe/Berlin",
    max_current: float | None = None,
    sessions: Mapping[str, int] | None = None,
    **csms_options: object,
) -> AsyncIterator[Yard]:
    """Everything is running and registered. `machine_wall`: what the controller's own clock shows.

    Without a cloud nobody listens where the uplink looks for it. `listed`: chargers that the file knows and that do
    not come by themselves; `max_current`: of these, in amperes. `sessions`: of the configuration.
    """
    clock, ids = SimClock(loop), SimIds(seed, "parties")
    disk = SimDisk(loop)
    machine_clock = clock if machine_wall is None else SimClock(loop, machine_wall)
    world = World(
        machine_clock, SimIds(seed, "edge"), disk.open_database, SimOffload(), SimNotify(loop), how_clock_was_set
    )
    config = Config(
        site=Site(id=IDENTITY, timezone=timezone),
        listeners=(Listener("127.0.0.1", 8887, "/ocpp", 0),),
        uplink=Uplink(url=f"ws://127.0.0.1:{9000 if has_cloud else 9999}/ocpp", identity=IDENTITY, security_profile=0),
        store=StoreSettings(folder / "edge.db", retention_days, max_size_mb),
        chargers=ChargerDefaults(meter_interval=60),
        charger=(
            *(ChargerSettings(f"CP-0{n}", evses=(1, 1)) for n in range(1, chargers + 1)),
            *(ChargerSettings(one, evses=(1, 1), max_current=max_current) for one in listed),
        ),
        sessions=Sessions(**(sessions or {})),
        authorization=Authorization(offline="everyone"),
        api=Api(socket=None),
    )
    async with contextlib.AsyncExitStack() as stack:
        csms = await stack.enter_async_context(
            Csms(
                port=9000,
                utc_now=clock.utc_now,
                new_message_id=ids.message_id,
                first_transaction_id=500,
                **csms_options,
            )
        )
        daemon = build(config, world, claim=claim)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        life = tasks.create_task(daemon.run())
        await daemon.ready.wait()
        parked = [
            Charger(
                f"CP-0{n}", "ws://127.0.0.1:8887/ocpp", meter_interval_s=0,
                utc_now=clock.utc_now, new_message_id=ids.message_id,
            )
            for n in range(1, chargers + 1)
        ]  # fmt: skip
        async with contextlib.AsyncExitStack() as running:
            for charger in parked:
                await running.enter_async_context(charger.running())
                await charger.wait_for(lambda charger=charger: charger.is_ready)
            if has_cloud:
                await csms.wait_registered(IDENTITY)
            yield Yard(loop, csms, parked, daemon, disk)
        daemon.leave()
        await life

"""A whole simulated site: the unmodified daemon on its machine, chargers with cars, a meter, a cloud, and misfortune.

`live` lets it live for some hours under faults, heals everything, and waits until the site has come to rest; the
invariants (`invariants.py`) are looked at every hour, after each crash, and at the end.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from pathlib import Path

from edge.config import (
    Api,
    Authorization,
    ChargerDefaults,
    ChargerSettings,
    Config,
    Listener,
    Meter,
    Site,
    StoreSettings,
    Uplink,
)
from tests.simulation.chronicle import Chronicle
from tests.simulation.cloud import CLOUD, IDENTITY, KINDS, REFUSED_FOR_GOOD, Cloud, CloudKind
from tests.simulation.controller import Controller
from tests.simulation.faults import EVERYTHING, Faults
from tests.simulation.field_charger import FieldCharger
from tests.simulation.found_on_disk import FoundOnDisk
from tests.simulation.loop import SimLoop
from tests.simulation.misfortune import LISTENER, Misfortune, Victims
from tests.simulation.modbus_end import METER, SiteMeter
from tests.simulation.roads import Roads
from tests.simulation.server import Address
from tests.simulation.truth import Fate, Truth

HOUR = 3600.0
TO_REST_S = HOUR
"""Virtual time in which everything is delivered once the faults are over; a slow cloud has more."""
LOOK_EVERY_S = HOUR


class SiteUnderTest:
    def __init__(
        self,
        loop: SimLoop,
        folder: Path,
        chargers: int,
        kind: CloudKind | None = None,
        only: Collection[str] = EVERYTHING,
        intensity: float = 1.0,
    ) -> None:
        chance = random.Random(f"{loop.seed}/site")
        self.loop = loop
        self.kind = kind or KINDS[loop.seed % len(KINDS)]
        self.truth = Truth()
        self.faults = Faults(loop.seed, only, intensity)
        self.secrets = [b"uplink-%016d" % loop.seed]
        self.chargers: list[FieldCharger] = []
        first = 1
        for number in range(1, chargers + 1):
            connectors = chance.choice((1, 2))
            self.secrets.append(b"charger-%d-%08d" % (number, loop.seed))
            self.chargers.append(
                FieldCharger(
                    loop, f"CP-{number:02}", LISTENER, self.secrets[-1], connectors, first, self.truth, self.faults
                )
            )
            first += connectors
        self.connectors = first - 1
        self.cloud = Cloud(loop, self.kind, self.secrets[0], self.truth, self.faults)
        self.meter = SiteMeter(loop, self._load_w)
        self.chronicle = Chronicle(loop.time, self.secrets)
        self.controller = Controller(loop, folder, self._config(folder, chance), self.truth, self._after_crash)
        self.roads = Roads(loop.network, self._on_heal)
        self.disk = FoundOnDisk()
        self.on_look: Callable[[SiteUnderTest], None] = lambda _site: None
        self.on_disk: Callable[[SiteUnderTest, Path], None] = lambda _site, _path: None
        self.took_to_rest_s = 0.0
        self.unrest_at_end: list[str] = []

    def _config(self, folder: Path, chance: random.Random) -> Config:
        return Config(
            site=Site(id=IDENTITY),
            listeners=(Listener(*LISTENER, "/ocpp", 1),),
            uplink=Uplink(
                url=f"ws://{CLOUD[0]}:{CLOUD[1]}/ocpp",
                identity=IDENTITY,
                security_profile=1,
                password=self.secrets[0],
                order=chance.choice(("fair", "fair", "chronological")),
                boot_on_reconnect=chance.choice(("auto", "always")),
            ),
            # A limit that no run comes near: how much room the machine has must not decide what is stored.
            store=StoreSettings(folder / "edge.db", max_size_mb=256),
            chargers=ChargerDefaults(meter_interval=180, heartbeat_interval=600),
            charger=tuple(
                ChargerSettings(one.name, password=one.password, evses=(1,) * len(one.parking.spaces))
                for one in self.chargers
            ),
            authorization=Authorization(offline=chance.choice(("everyone", "list-and-cache"))),
            meters=(Meter("grid", "eastron-sdm630", f"tcp://{METER[0]}:{METER[1]}", poll_interval=30, stale_after=70),),
            api=Api(socket=None),
        )

    def _load_w(self) -> float:
        return 2000.0 + sum(space.outlet.power_w for one in self.chargers for space in one.parking.spaces.values())

    def _on_heal(self, address: Address) -> None:
        if address == CLOUD:
            self.truth.uplink_healed_at.append(self.loop.time())

    def _after_crash(self, disk: Path) -> None:
        self.on_disk(self, disk)

    # ── life ────────────────────────────────────────────────────────────────────

    async def live(self, hours: float) -> None:
        """Raises what `on_look` raises."""
        await self.cloud.open()
        await self.meter.open()
        async with asyncio.TaskGroup() as tasks:
            machine = tasks.create_task(self.controller.run())
            parties = [self.loop.launch(one.name, one.run()) for one in self.chargers]
            orders = tasks.create_task(self.cloud.give_orders(self.connectors))
            victims = Victims(self.loop, self.controller, self.cloud, self.meter, self.chargers, self.roads)
            misfortune = tasks.create_task(Misfortune(victims, self.faults).run(hours))
            watch = tasks.create_task(self._watch())
            await asyncio.sleep(hours * HOUR)
            self.faults.is_over = True
            misfortune.cancel()
            await asyncio.wait({misfortune})
            for charger in self.chargers:
                charger.is_closing = True
            await self._come_to_rest()
            self.on_look(self)
            watch.cancel()
            orders.cancel()
            self.controller.stop()
            await machine
            for party in parties:
                party.cancel()
            await asyncio.wait(parties)
        self.on_disk(self, self.controller.path)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.on_look(self)

    async def _come_to_rest(self) -> None:
        """Until nothing waits any more, or for so long that it never will."""
        began = self.loop.time()
        waiting = sum(not self.truth.processed(one) for one in self.truth.said)
        patience = TO_REST_S + waiting * self.kind.answers_within_s[1]
        rested = 0
        # It has to last: acknowledgements ride for ten seconds, statuses for thirty, dead links are found in sixty.
        while rested < 4 and self.loop.time() < began + patience:
            await asyncio.sleep(20.0)
            self.unrest_at_end = self.unrest()
            rested = 0 if self.unrest_at_end else rested + 1
        self.took_to_rest_s = self.loop.time() - began

    def _ended_or_parked(self) -> set[int]:
        """Sessions of which the cloud has the charger's own stop, or nothing since it has refused something for good."""
        truth = self.truth
        ended = {one.session.number for one in truth.said if one.action == "StopTransaction" and truth.processed(one)}
        parked: set[int] = set()
        for arrival in truth.arrivals:
            session = truth.by_key[arrival.keys[0]].session if arrival.keys[0] in truth.by_key else None
            session = truth.of_stranger(arrival) if session is None else session
            if session is None:
                continue
            if arrival.code == REFUSED_FOR_GOOD and len(arrival.keys) == 1:
                parked.add(session.number)
            elif arrival.fate is Fate.PROCESSED:
                parked.discard(session.number)
        return ended | parked

    def unrest(self) -> list[str]:
        """What still goes on; nothing: everyone is connected, no car charges, nobody has anything to say."""
        inside = None if self.controller.daemon is None else self.controller.daemon.inside
        if not self.controller.is_running or inside is None:
            return ["the daemon does not run"]
        online = {one.id for one in inside.chargers() if one.is_online}
        found = [f"{one.name} is not connected" for one in self.chargers if not one.is_ready or one.name not in online]
        found += [
            f"{one.name} waits with {len(one.parking.queue)} messages" for one in self.chargers if one.parking.queue
        ]
        for charger in self.chargers:
            taken = [space.connector for space in charger.parking.spaces.values() if space.is_taken]
            found += [f"a car stands at {charger.name}, connector {connector}" for connector in taken]
        closed = set(self.truth.concluded()) | self._ended_or_parked()
        found += [
            f"session {one.number} of {one.outlet} has no end" for one in self.truth.sessions
            if one.said and one.said[0].is_acknowledged and not one.is_open and one.number not in closed
        ]  # fmt: skip
        if inside.uplink().state != "accepted":
            found.append(f"the uplink is {inside.uplink().state}")
        if inside.oldest_waiting() is not None:
            found.append(f"message {inside.oldest_waiting()} waits for the cloud")
        return found

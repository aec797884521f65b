"""Deals the blows of `faults.py`: each class has a task that strikes, lasts, heals and waits for its next turn.

When a run is to end, `Faults.is_over` is set and the tasks are cancelled; whatever was broken is mended on the way
out (`finally`, `with`), so that what holds "eventually" can be asked for.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.simulation.cloud import CLOUD, Cloud
from tests.simulation.controller import Controller
from tests.simulation.faults import BLOWS, DAYS, WITHOUT_TIME, Faults
from tests.simulation.field_charger import FieldCharger
from tests.simulation.loop import SimLoop
from tests.simulation.modbus_end import Mood, SiteMeter
from tests.simulation.roads import Roads, Trouble
from tests.simulation.websocket_end import WebSocketEnd, dial

LISTENER = ("127.0.0.1", 8887)
DAYS_S = 72 * 3600.0


@dataclass(frozen=True, slots=True)
class Victims:
    """Who can be struck."""

    loop: SimLoop
    controller: Controller
    cloud: Cloud
    meter: SiteMeter
    chargers: list[FieldCharger]
    roads: Roads


class Misfortune:
    def __init__(self, victims: Victims, faults: Faults) -> None:
        self._victims = victims
        self._faults = faults
        self._deals: dict[str, Callable[[random.Random], Awaitable[None]]] = {
            "uplink_cut_for_seconds": self._cut_uplink(2, 60),
            "uplink_cut_for_minutes": self._cut_uplink(60, 3600),
            "uplink_cut_for_hours": self._cut_uplink(3600, 6 * 3600),
            "uplink_half_open": self._half_open_uplink,
            "uplink_stalled": self._stall_uplink,
            "cloud_restart": self._restart_cloud,
            "cloud_slow": self._slow_cloud,
            "cloud_refuses_connections": self._refuse,
            "charger_road_cut": self._cut_charger,
            "charger_link_half_open": self._half_open_charger,
            "charger_link_stalled": self._stall_charger,
            "charger_link_reset": self._reset_charger,
            "charger_hangs_up": self._hang_up,
            "charger_connects_twice": self._connect_twice,
            "charger_reboot": self._reboot,
            "charger_power_loss": self._power_loss,
            "charger_clock_step": self._step_charger,
            "charger_clock_skew": self._skew_charger,
            "controller_clock_step": self._step_controller,
            "controller_clock_drift": self._drift_controller,
            "controller_crash": self._crash,
            "controller_restart": self._restart,
            "disk_slow": self._slow_disk,
            "commit_fails": self._fail_commits,
            "disk_full": self._fill_disk,
            "meter_frozen": self._meter(Mood.FROZEN),
            "meter_lies": self._meter(Mood.LYING),
            "meter_silent": self._meter(Mood.SILENT),
            "meter_away": self._meter_away,
            "connection_flood": self._flood,
            "order_shuffled": self._shuffle,
        }
        assert self._deals.keys() == BLOWS.keys()

    async def run(self, hours: float) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, deal in self._deals.items():
                if self._faults.may(name):
                    tasks.create_task(self._recur(name, deal))
            if hours * 3600 > DAYS_S + 6 * 3600 and self._faults.may(DAYS):
                tasks.create_task(self._days(hours))

    async def _recur(self, name: str, deal: Callable[[random.Random], Awaitable[None]]) -> None:
        chance = random.Random(f"{self._victims.loop.seed}/{name}")
        while True:
            await asyncio.sleep(self._faults.pause_s(name, chance))
            self._faults.counts[name] += 1
            self._victims.loop.trace.note(name)
            await deal(chance)

    async def _days(self, hours: float) -> None:
        chance = random.Random(f"{self._victims.loop.seed}/{DAYS}")
        await asyncio.sleep(chance.uniform(3600, hours * 3600 - DAYS_S - 3 * 3600))
        self._faults.counts[DAYS] += 1
        with self._victims.roads.trouble(Trouble.CUT, CLOUD):
            await asyncio.sleep(DAYS_S)

    # ── the uplink and the cloud ────────────────────────────────────────────────

    def _cut_uplink(self, shortest: float, longest: float) -> Callable[[random.Random], Awaitable[None]]:
        async def deal(chance: random.Random) -> None:
            with self._victims.roads.trouble(Trouble.CUT, CLOUD):
                self._victims.cloud.cut()
                await asyncio.sleep(shortest * (longest / shortest) ** chance.random())

        return deal

    async def _half_open_uplink(self, chance: random.Random) -> None:
        """Nobody is told."""
        with self._victims.roads.trouble(Trouble.CUT, CLOUD):
            await asyncio.sleep(chance.uniform(1, 300))

    async def _stall_uplink(self, chance: random.Random) -> None:
        with self._victims.roads.trouble(Trouble.STALLED, CLOUD):
            await asyncio.sleep(chance.uniform(1, 90))

    async def _restart_cloud(self, chance: random.Random) -> None:
        cloud = self._victims.cloud
        cloud.restart()
        self._victims.loop.network.refuse(CLOUD)
        try:
            await asyncio.sleep(chance.uniform(1, 120))
        finally:
            self._victims.loop.network.refuse(CLOUD, False)

    async def _slow_cloud(self, chance: random.Random) -> None:
        cloud = self._victims.cloud
        cloud.pause_s = (0.5, chance.uniform(1, 12))
        try:
            await asyncio.sleep(chance.uniform(60, 900))
        finally:
            cloud.pause_s = None

    async def _refuse(self, chance: random.Random) -> None:
        cloud = self._victims.cloud
        cloud.refuses = True
        cloud.cut()
        try:
            await asyncio.sleep(chance.uniform(10, 300))
        finally:
            cloud.refuses = False

    # ── chargers and their links ────────────────────────────────────────────────

    def _someone(self, chance: random.Random) -> FieldCharger:
        return chance.choice(self._victims.chargers)

    async def _cut_charger(self, chance: random.Random) -> None:
        charger = self._someone(chance)
        with self._victims.roads.trouble(Trouble.CUT, LISTENER, charger.name):
            charger.reset_link()
            await asyncio.sleep(chance.uniform(1, 900))

    async def _half_open_charger(self, chance: random.Random) -> None:
        """Neither end is told."""
        with self._victims.roads.trouble(Trouble.CUT, LISTENER, self._someone(chance).name):
            await asyncio.sleep(chance.uniform(0.01, 200))

    async def _stall_charger(self, chance: random.Random) -> None:
        with self._victims.roads.trouble(Trouble.STALLED, LISTENER, self._someone(chance).name):
            await asyncio.sleep(chance.uniform(1, 60))

    async def _reset_charger(self, chance: random.Random) -> None:
        self._victims.loop.network.reset(LISTENER, client=self._someone(chance).name)

    async def _hang_up(self, chance: random.Random) -> None:
        self._someone(chance).hang_up()

    async def _connect_twice(self, chance: random.Random) -> None:
        """A second connection under its name, while the first one may be in the middle of something."""
        charger = self._someone(chance)
        with contextlib.suppress(OSError, TimeoutError):
            end = await self._victims.loop.launch(charger.name, charger.dial())
            await asyncio.sleep(chance.uniform(0.0, 20.0))
            end.abort()

    async def _reboot(self, chance: random.Random) -> None:
        self._someone(chance).reboot()

    async def _power_loss(self, chance: random.Random) -> None:
        charger = self._someone(chance)
        if not charger.has_power:
            return
        try:
            with self._victims.roads.trouble(Trouble.CUT, LISTENER, charger.name):
                charger.lose_power()
                await asyncio.sleep(chance.uniform(5, 1200))
        finally:
            charger.regain_power()

    async def _step_charger(self, chance: random.Random) -> None:
        self._someone(chance).clock.step(chance.choice((-1, 1)) * chance.uniform(1, 7200))

    async def _skew_charger(self, chance: random.Random) -> None:
        """It gains or loses minutes a day from now on."""
        self._someone(chance).clock.drift(chance.uniform(-300, 300))

    # ── the controller ──────────────────────────────────────────────────────────

    async def _step_controller(self, chance: random.Random) -> None:
        self._victims.controller.clock.step(chance.choice((-1, 1)) * chance.uniform(1, 5400))
        try:
            await asyncio.sleep(chance.uniform(10, 1800))
        finally:
            self._victims.controller.synchronise()

    async def _drift_controller(self, chance: random.Random) -> None:
        clock = self._victims.controller.clock
        clock.drift(chance.uniform(-60, 60))
        try:
            await asyncio.sleep(chance.uniform(600, 3600))
        finally:
            clock.drift(0.0)
            self._victims.controller.synchronise()

    async def _crash(self, chance: random.Random) -> None:
        controller = self._victims.controller
        controller.crash()
        if self._faults.may(WITHOUT_TIME) and controller.forget_time():
            self._faults.counts[WITHOUT_TIME] += 1
            try:
                await asyncio.sleep(chance.uniform(30, 1800))
            finally:
                controller.synchronise()

    async def _restart(self, _chance: random.Random) -> None:
        self._victims.controller.restart()

    async def _slow_disk(self, chance: random.Random) -> None:
        disk = self._victims.controller.disk
        before = disk.fastest, disk.slowest
        disk.fastest, disk.slowest = 0.02, chance.uniform(0.1, 1.5)
        try:
            await asyncio.sleep(chance.uniform(10, 600))
        finally:
            disk.fastest, disk.slowest = before

    async def _fail_commits(self, chance: random.Random) -> None:
        self._victims.controller.disk.fail_commits(chance.randint(1, 4), "disk I/O error")

    async def _fill_disk(self, chance: random.Random) -> None:
        disk = self._victims.controller.disk
        disk.is_full = True
        try:
            await asyncio.sleep(chance.uniform(5, 900))
        finally:
            disk.is_full = False

    # ── meter, strangers, the order of things ───────────────────────────────────

    def _meter(self, mood: Mood) -> Callable[[random.Random], Awaitable[None]]:
        async def deal(chance: random.Random) -> None:
            self._victims.meter.mood = mood
            try:
                await asyncio.sleep(chance.uniform(10, 900))
            finally:
                self._victims.meter.mood = Mood.WELL

        return deal

    async def _meter_away(self, chance: random.Random) -> None:
        meter = self._victims.meter
        meter.go_away()
        try:
            await asyncio.sleep(chance.uniform(1, 600))
        finally:
            await meter.open()

    async def _flood(self, chance: random.Random) -> None:
        """Strangers: some knock under a name that nobody knows, some say nothing at all."""
        ends = []
        for number in range(chance.randint(10, 40)):
            with contextlib.suppress(OSError, TimeoutError):
                if chance.random() < 0.5:
                    headers = {"Sec-WebSocket-Protocol": "ocpp1.6"}
                    ends.append(await dial(LISTENER, f"/ocpp/stranger-{number}", headers, 15.0))
                else:
                    end = WebSocketEnd()
                    await self._victims.loop.create_connection(lambda end=end: end, *LISTENER)
                    ends.append(end)
        try:
            await asyncio.sleep(chance.uniform(0, 30))
        finally:
            for end in ends:
                end.abort()

    async def _shuffle(self, chance: random.Random) -> None:
        """What is ready at the same moment runs in another order than it came."""
        loop = self._victims.loop
        loop.shuffle_with(chance)
        try:
            await asyncio.sleep(chance.uniform(30, 600))
        finally:
            loop.shuffle_with(None)

"""A simulated charger as the field has them: it queues while nobody listens, says again what was not answered,
reboots, loses its power, and now and then says a thing twice.

One task talks (`run`), one for each parking space lets cars come and go (`drivers.py`). What it says and hears goes into the ledger of the
truth (`truth.py`); when it misbehaves, that is a fault of its class (`faults.py`). It obeys the controller's commands
through `obedience.py`.
"""

import asyncio
import base64
import json
import random
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from tests.simulation import obedience
from tests.simulation.drivers import Drivers
from tests.simulation.faults import Faults
from tests.simulation.loop import SimLoop
from tests.simulation.parking import AfterPowerLoss, Parking, Space
from tests.simulation.truth import Payload, Said, Truth, canonical
from tests.simulation.websocket_end import WebSocketEnd, dial
from tests.simulation.world import SimClock

ANSWER_WITHIN = 30.0
CONNECT_WITHIN = 20.0
SILENCES_AT_MOST = 2
"""Unanswered CALLs in a row after which it gives its connection up."""


class LinkLost(Exception):
    """The connection has ended, or was given up."""


class Refused(Exception):
    """A CALLERROR."""


@dataclass(slots=True, eq=False)
class Errand:
    """A message that is worth nothing any more once the connection is lost."""

    action: str
    payload: Payload
    answer: "asyncio.Future[Payload | None] | None" = None

    def settle(self, outcome: Payload | Exception) -> None:
        """For whoever waits: the answer, or None when there is none."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(None if isinstance(outcome, Exception) else outcome)


@dataclass(frozen=True, slots=True)
class Habits:
    """In what real chargers differ."""

    boots_on_reconnect: bool
    takes_time: bool
    """It sets its clock by what the controller says."""
    retry_interval_s: float
    authorizes: float
    """How often a driver's token is asked for before the start."""
    after_power_loss: AfterPowerLoss


class FieldCharger:
    def __init__(
        self,
        loop: SimLoop,
        name: str,
        address: tuple[str, int],
        password: bytes,
        connectors: int,
        first_upstream: int,
        truth: Truth,
        faults: Faults,
    ) -> None:
        self.name = name
        self.password = password
        self.chance = random.Random(f"{loop.seed}/{name}")
        self.clock = SimClock(loop)
        self.truth = truth
        self.faults = faults
        self.parking = Parking(
            name,
            connectors,
            first_upstream,
            truth,
            self.clock,
            self.chance,
            self.say_status,
            self.wake,
            faults.strikes,
        )
        self.habits = Habits(
            boots_on_reconnect=self.chance.random() < 0.3,
            takes_time=self.chance.random() < 0.5,
            retry_interval_s=self.chance.choice((5.0, 20.0, 60.0)),
            authorizes=self.chance.choice((0.0, 0.7, 1.0)),
            after_power_loss=self.chance.choice(list(AfterPowerLoss)),
        )
        self.settings = {"MeterValueSampleInterval": 60.0, "HeartbeatInterval": 0.0}
        self.has_power = True
        self.is_closing = False
        """No new cars come."""
        self.refusals: list[tuple[str, str]] = []
        """CALLERRORs that its messages got: action and code."""
        self._loop = loop
        self._address = address
        self._must_boot = True
        self._is_ready = False
        self._end: WebSocketEnd | None = None
        self._wake = asyncio.Event()
        self._errands: deque[Errand] = deque()
        self._pending: tuple[str, str, asyncio.Future[Payload]] | None = None
        """Message id, action and answer of what it has asked."""
        self._again: Said | None = None
        self._silences = 0
        self._messages = 0
        self._beat_at = float("inf")
        self._drivers = Drivers(self)
        self._tasks: asyncio.TaskGroup | None = None

    # ── life ────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for space in self.parking.spaces.values():
                tasks.create_task(self._drivers.park(space))
            while True:
                await self.until_powered()
                await self._live_connected()
                await asyncio.sleep(self.chance.uniform(0.5, 15.0))

    @property
    def is_ready(self) -> bool:
        """Registered, and all statuses are told."""
        return self._is_ready

    def wake(self) -> None:
        self._wake.set()

    def reset_link(self) -> None:
        """Its stack gives the connection up."""
        if self._end is not None:
            self._end.abort()

    def hang_up(self) -> None:
        """It says goodbye."""
        if self._end is not None:
            self._end.close(1001)

    def lose_power(self) -> None:
        """The roads to it must be cut before, or its end would still say goodbye."""
        self.has_power = False
        self.parking.lose_power()
        self.reset_link()

    def regain_power(self) -> None:
        self.parking.regain_power(self.habits.after_power_loss)
        self.has_power, self._must_boot = True, True
        self.wake()

    def reboot(self) -> None:
        """Its firmware begins anew: what it had not said of its statuses is forgotten, its queue is not."""
        self.lose_power()
        self.regain_power()

    async def dial(self) -> WebSocketEnd:
        """A connection under its name. Raises OSError or TimeoutError."""
        credentials = base64.b64encode(self.name.encode() + b":" + self.password).decode()
        headers = {"Authorization": f"Basic {credentials}", "Sec-WebSocket-Protocol": "ocpp1.6"}
        return await dial(self._address, f"/ocpp/{self.name}", headers, CONNECT_WITHIN)

    # ── talking ─────────────────────────────────────────────────────────────────

    async def _live_connected(self) -> None:
        try:
            end = await self.dial()
        except (OSError, TimeoutError):
            return
        end.on_text, end.on_end = self._heard, self._lost
        self._end, self._silences = end, 0
        self._must_boot |= self.habits.boots_on_reconnect
        try:
            await self._talk()
        except LinkLost:
            end.abort()
        finally:
            self._end, self._is_ready = None, False
            for errand in self._errands:
                errand.settle(LinkLost())
            self._errands.clear()

    async def _talk(self) -> None:
        while self._must_boot:
            await self._boot()
        for connector in (0, *self.parking.spaces):
            await self._run_errand(Errand("StatusNotification", self.parking.status(connector)))
        self._is_ready = True
        while True:
            self._wake.clear()
            if self._must_boot:
                await self._boot()
            elif self._errands:
                await self._run_errand(self._errands.popleft())
            elif (said := self._due()) is not None:
                await self._deliver(said)
            elif self._now() >= self._beat_at:
                await self._run_errand(Errand("Heartbeat", {}))
            else:
                await self._rest()

    async def _boot(self) -> None:
        boot = {"chargePointVendor": "Simulated", "chargePointModel": "Yard", "chargePointSerialNumber": self.name}
        try:
            answer = await self._ask("BootNotification", boot)
        except (Refused, TimeoutError):
            await self._pause(10.0)
            return
        if answer["status"] != "Accepted":
            await self._pause(answer["interval"])
            return
        self._must_boot = False
        self.settings["HeartbeatInterval"] = float(answer["interval"])
        if self.habits.takes_time:
            self.clock.set_to(datetime.fromisoformat(answer["currentTime"]))

    def _due(self) -> Said | None:
        """The oldest message, unless its next attempt is not due yet: none ever overtakes another."""
        if self._again is not None:
            return self._again
        queue = self.parking.queue
        return queue[0] if queue and queue[0].not_before <= self._now() else None

    async def _rest(self) -> None:
        waits = [self._beat_at]
        if self.parking.queue:
            waits.append(self.parking.queue[0].not_before)
        await self._wait_until(min(waits))
        if self._end is None or not self._end.is_open:
            raise LinkLost

    async def _deliver(self, said: Said) -> None:
        """One attempt."""
        if said.payload is None:
            self.truth.say(said, self.parking.payload(said), self._now())
        said.attempts += 1
        try:
            answer = await self._ask(said.action, said.payload)
        except (TimeoutError, Refused) as error:
            if isinstance(error, Refused):
                said.refusals.append(str(error))
            said.not_before = self._now() + self.habits.retry_interval_s * max(1, len(said.refusals))
            self._again = None
            return
        self._answered(said, answer)

    def _answered(self, said: Said, answer: Payload) -> None:
        is_new = not said.is_acknowledged
        said.answers.append((self._now(), answer))
        if not is_new:
            self._again = None
            return
        self.parking.queue.popleft()
        if self.faults.strikes("charger_repeats_message"):
            self._again = said
        if said.action == "StartTransaction":
            session = said.session
            session.transaction_id = answer["transactionId"]
            status = answer["idTagInfo"]["status"]
            space = self.parking.spaces[session.outlet[1]]
            if status != "Accepted" and space.session is session:
                self.parking.end(space, "DeAuthorized")

    async def _run_errand(self, errand: Errand) -> None:
        try:
            errand.settle(await self._ask(errand.action, errand.payload))
        except (Refused, TimeoutError) as error:
            errand.settle(error)
        except LinkLost as error:
            errand.settle(error)
            raise

    async def _ask(self, action: str, payload: Payload) -> Payload:
        """Raises LinkLost, Refused or TimeoutError."""
        end = self._end
        if end is None or not end.is_open:
            raise LinkLost
        if self.faults.strikes("charger_sends_garbage"):
            end.send_text(self.chance.choice(('[2,"x","Heartbeat"', "[]", '[2,"y","NoSuchAction",{}]', '{"a":1}')))
        self._messages += 1
        message_id = f"{self.name}-{self._messages}"
        future: asyncio.Future[Payload] = self._loop.create_future()
        self._pending = message_id, action, future
        text = json.dumps([2, message_id, action, payload], separators=(",", ":"))
        end.send_text(text)
        if self.faults.strikes("charger_sends_frame_twice"):
            end.send_text(text)
        self._beat_at = self._now() + (self.settings["HeartbeatInterval"] or float("inf"))
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answer = await future
        except TimeoutError:
            self._silences += 1
            if self._silences >= SILENCES_AT_MOST:
                raise LinkLost from None
            raise
        finally:
            self._pending = None
        self._silences = 0
        return answer

    def _heard(self, text: str) -> None:
        message = json.loads(text)
        if message[0] == 2:
            _, message_id, action, payload = message
            self.truth.obeyed.append(obedience.note(self._now(), self.name, action, payload))
            answer = obedience.obey(self, action, payload)
            self._end.send_text(canonical([3, message_id, answer]))
            return
        if self._pending is None or self._pending[0] != message[1] or self._pending[2].done():
            return
        _, asked, future = self._pending
        if message[0] == 3:
            future.set_result(message[2])
        else:
            self.refusals.append((asked, message[2]))
            future.set_exception(Refused(message[2]))

    def _lost(self) -> None:
        if self._pending is not None and not self._pending[2].done():
            self._pending[2].set_exception(LinkLost())
        self.wake()

    # ── what is said beside transactions ────────────────────────────────────────

    def say_status(self, connector: int) -> None:
        if self._is_ready:
            self.errand("StatusNotification", self.parking.status(connector))

    def errand(self, action: str, payload: Payload) -> None:
        self._errands.append(Errand(action, payload))
        self.wake()

    def boot_again(self) -> None:
        self._must_boot = True
        self.wake()

    async def authorize(self, id_tag: str) -> str:
        """The token's status; offline chargers here let everyone charge, as the site does."""
        if not self._is_ready:
            return "Accepted"
        errand = Errand("Authorize", {"idTag": id_tag}, self._loop.create_future())
        self._errands.append(errand)
        self.wake()
        answer = await errand.answer
        return "Accepted" if answer is None else answer["idTagInfo"]["status"]

    def start_remotely(self, space: Space, id_tag: str) -> None:
        self._tasks.create_task(self._drivers.remote_session(space, self.parking.begin(space, id_tag)))

    # ── waiting ─────────────────────────────────────────────────────────────────

    async def until_powered(self) -> None:
        while not self.has_power:
            self._wake.clear()
            await self._wake.wait()

    async def _wait_until(self, when: float) -> None:
        try:
            async with asyncio.timeout_at(None if when == float("inf") else when):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _pause(self, seconds: float) -> None:
        """Between two boots; ends with the connection."""
        until = self._now() + seconds
        while self._now() < until:
            if self._end is None or not self._end.is_open:
                raise LinkLost
            self._wake.clear()
            await self._wait_until(until)

    def _now(self) -> float:
        return self._loop.time()

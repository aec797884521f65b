"""The parking spaces of a simulated charger: plug, meter, car, and the sessions that follow from them.

Whatever happens here changes an outlet and leaves what the charger has to say about it in its queue; whether and when
that is said is `field_charger.py`'s business. The register is the simulators' (`simulators/outlet.py`): exact, in
whole watt-nanoseconds, so that a session's watt-hours are a truth that can be compared to the last one.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from simulators.outlet import Outlet
from simulators.wire import timestamp

from tests.simulation.truth import Payload, Said, Session, Truth
from tests.simulation.world import SimClock

WH_BETWEEN_METERS = 10_000_000
"""Registers begin so far apart that no two meters ever show the same number."""
WITHHELD_S = 60.0, 5400.0
"""For so long a charger may keep a stop to itself: until after ours was sent."""
ONE_MS = timedelta(milliseconds=1)


class AfterPowerLoss(StrEnum):
    """What becomes of open sessions when the power is back; real chargers do each of these."""

    STOP = "stop"
    RESUME = "resume"
    FORGET = "forget"


@dataclass(slots=True, eq=False)
class Space:
    """One connector, and the place in front of it."""

    connector: int
    upstream: int
    outlet: Outlet
    session: Session | None = None
    is_taken: bool = False
    """A car stands there."""

    @property
    def status(self) -> str:
        return self.outlet.status


class Parking:
    """All spaces of one charger. Nothing here waits."""

    def __init__(
        self,
        charger: str,
        connectors: int,
        first_upstream: int,
        truth: Truth,
        clock: SimClock,
        chance: random.Random,
        on_status: Callable[[int], None],
        on_said: Callable[[], None],
        slips: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        self.charger = charger
        self.clock = clock
        self.queue: deque[Said] = deque()
        """Transaction messages that were not answered yet, in order. They survive a loss of power."""
        self.spaces = {}
        for number in range(1, connectors + 1):
            upstream = first_upstream + number - 1
            outlet = Outlet(number, 16.0, chance.choice((1, 3)), WH_BETWEEN_METERS * upstream + chance.randrange(5000))
            self.spaces[number] = Space(number, upstream, outlet)
        self._truth = truth
        self._chance = chance
        self._on_status = on_status
        self._on_said = on_said
        self._slips = slips
        self._last_stamp: datetime | None = None
        self._stamps: set[datetime] = set()

    # ── what a driver does ──────────────────────────────────────────────────────

    def plug_in(self, space: Space) -> None:
        space.is_taken = True
        if space.status == "Available":
            self.show(space, "Preparing")

    def begin(self, space: Space, id_tag: str) -> Session:
        now = _now()
        space.is_taken = True
        outlet = (self.charger, space.connector)
        meter_wh = space.outlet.register_wh(now)
        session = space.session = self._truth.begin(outlet, space.upstream, id_tag, meter_wh, now)
        space.outlet.close_contactor(now)
        self._put(session, "StartTransaction")
        self.show(space, "Charging")
        return session

    def draw(self, space: Space, current_a: float) -> None:
        """The car takes another current; 0: a pause."""
        space.outlet.draw(current_a, _now())
        if space.session is not None:
            self.show(space, "Charging" if current_a > 0 else "SuspendedEV")

    def sample(self, space: Space) -> None:
        session = space.session
        if session is None:
            return
        stamp = self._stamp()
        register = space.outlet.register_wh(_now())
        sampled = [
            {"value": str(register), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": str(space.outlet.power_w), "measurand": "Power.Active.Import", "unit": "W"},
        ]
        self._put(session, "MeterValues", stamp, {"timestamp": stamp, "sampledValue": sampled})

    def end(self, space: Space, reason: str) -> None:
        session = space.session
        if session is None:
            return
        now = _now()
        space.outlet.open_contactor(now)
        session.meter_stop_wh, session.ended_at = space.outlet.register_wh(now), now
        session.stop_reason = reason
        space.session = None
        if self._slips("stop_lost"):
            session.is_stop_lost = True
        elif self._slips("stop_withheld"):
            stamp, late_s = self._stamp(), self._chance.uniform(*WITHHELD_S)
            asyncio.get_running_loop().call_later(late_s, lambda: self._put(session, "StopTransaction", stamp))
        else:
            self._put(session, "StopTransaction")
        self.show(space, "Finishing")

    def leave(self, space: Space) -> None:
        if space.session is not None:
            self.end(space, "EVDisconnected")
        space.is_taken = False
        self.show(space, "Available")

    # ── what happens to the charger ─────────────────────────────────────────────

    def lose_power(self) -> None:
        for space in self.spaces.values():
            space.outlet.open_contactor(_now())

    def regain_power(self, after: AfterPowerLoss) -> None:
        for space in self.spaces.values():
            if space.session is None:
                space.outlet.status = "Available" if not space.is_taken else "Preparing"
            elif after is AfterPowerLoss.STOP:
                self.end(space, "PowerLoss")
            elif after is AfterPowerLoss.RESUME:
                space.outlet.close_contactor(_now())
            else:
                space.session.is_forgotten, space.session.ended_at = True, _now()
                space.session.lost_at_wh = space.outlet.register_wh(_now())
                space.session = None
                space.outlet.status = "Available" if not space.is_taken else "Preparing"

    def show(self, space: Space, status: str) -> None:
        if space.outlet.status != status:
            space.outlet.status = status
            self._on_status(space.connector)

    # ── what there is to say ────────────────────────────────────────────────────

    def payload(self, said: Said) -> Payload:
        """As it is said now: only by then the transaction's id is sure to be known."""
        session = said.session
        match said.action:
            case "StartTransaction":
                return {
                    "connectorId": session.outlet[1],
                    "idTag": session.id_tag,
                    "meterStart": session.meter_start_wh,
                    "timestamp": said.stamp,
                }
            case "MeterValues":
                return {
                    "connectorId": session.outlet[1],
                    "transactionId": session.transaction_id,
                    "meterValue": [said.entry],
                }
            case _:
                stop = {
                    "transactionId": session.transaction_id,
                    "meterStop": session.meter_stop_wh,
                    "timestamp": said.stamp,
                    "reason": session.stop_reason,
                }
                return stop | ({"idTag": session.id_tag} if session.stop_reason == "Local" else {})

    def status(self, connector: int) -> Payload:
        shown = "Available" if connector == 0 else self.spaces[connector].status
        return {"connectorId": connector, "errorCode": "NoError", "status": shown, "timestamp": self._stamp()}

    def of_transaction(self, transaction_id: int) -> Space | None:
        for space in self.spaces.values():
            if space.session is not None and space.session.transaction_id == transaction_id:
                return space
        return None

    def _put(self, session: Session, action: str, stamp: str | None = None, entry: Payload | None = None) -> None:
        said = Said(session, action, _now(), stamp or self._stamp(), entry)
        session.said.append(said)
        self.queue.append(said)
        self._on_said()

    def _stamp(self) -> str:
        """The charger's time, right or wrong, but never one that it has shown before."""
        at = self.clock.utc_now()
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        while at in self._stamps:
            at += ONE_MS
        self._stamps.add(at)
        return timestamp(at)


def _now() -> float:
    return asyncio.get_running_loop().time()

"""What happens at the connectors of the simulated charger, connected or not.

A plug, a token, a stop or a command changes an outlet and puts the messages that follow from it in the
outbox; whether and when they leave is `conversation.py`'s business. Nothing here waits.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from ocpp.v16.enums import ChargePointErrorCode, ChargePointStatus

from simulators import messages16
from simulators.outbox import Errand, Outbox, Sent
from simulators.outlet import Outlet, Session
from simulators.wire import Payload, timestamp


class AfterPowerLoss(StrEnum):
    """What becomes of open sessions when the power is back."""

    STOP = "stop"  # StopTransaction with reason PowerLoss and the last register
    RESUME = "resume"
    FORGET = "forget"  # no stop is ever sent


class Sessions:
    def __init__(
        self,
        outlets: dict[int, Outlet],
        outbox: Outbox,
        *,
        has_driver: bool,
        utc_now: Callable[[], datetime],
        ring: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.outlets = outlets
        self.has_driver = has_driver
        self._outbox = outbox
        self._utc_now = utc_now
        self._ring = ring
        self._say = say
        self._after_power_loss: AfterPowerLoss | None = None

    # ── the driver ────────────────────────────────────────────────────────────────────────────────────

    def plug_in(self, connector: int) -> None:
        outlet = self.outlets[connector]
        outlet.is_plugged = True
        if outlet.status == ChargePointStatus.available:
            self.set_status(connector, ChargePointStatus.preparing)

    def unplug(self, connector: int) -> None:
        outlet = self.outlets[connector]
        outlet.is_plugged = False
        if outlet.session is not None:
            self.end(connector, "EVDisconnected")
        elif outlet.status in (ChargePointStatus.preparing, ChargePointStatus.finishing):
            self.set_status(connector, ChargePointStatus.available)

    def begin(self, connector: int, id_tag: str, *, is_remote: bool = False) -> Session:
        """Charging begins now; the StartTransaction is queued."""
        outlet = self.outlets[connector]
        if outlet.session is not None:
            raise ValueError(f"connector {connector} is in a session already")
        self.plug_in(connector)
        now, at = _now(), self._timestamp()
        session = Session(connector, id_tag, outlet.register_wh(now), is_remote)
        outlet.session = session
        outlet.close_contactor(now)
        self.put(Sent(session, connector, "StartTransaction", lambda: messages16.start_transaction(session, at)))
        charging = ChargePointStatus.charging if outlet.power_w > 0 else ChargePointStatus.suspended_ev
        self.set_status(connector, charging)
        self._say(f"connector {connector}: session of {id_tag} begins at {session.meter_start} Wh")
        return session

    def end(self, connector: int, reason: str, *, is_stop_lost: bool = False) -> Session:
        """Charging ends now; the StopTransaction is queued, or lost for good."""
        outlet = self.outlets[connector]
        session = outlet.session
        if session is None:
            raise ValueError(f"connector {connector} has no session")
        now, at = _now(), self._timestamp()
        outlet.open_contactor(now)
        session.meter_stop = outlet.register_wh(now)
        session.stop_reason = reason
        outlet.session = None
        session.is_stop_lost = is_stop_lost
        if not is_stop_lost:
            self.put(Sent(session, connector, "StopTransaction", lambda: messages16.stop_transaction(session, at)))
        self._say(f"connector {connector}: session ends ({reason}), {session.meter_stop - session.meter_start} Wh")
        self.set_status(connector, ChargePointStatus.finishing)
        if outlet.becomes_inoperative:
            self.set_operative(connector, operative=False)
        elif not outlet.is_plugged or self.has_driver:
            self.unplug(connector)
        return session

    def draw(self, connector: int, current_a: float) -> None:
        """The car draws another current per phase; 0 suspends."""
        outlet = self.outlets[connector]
        outlet.draw(current_a, _now())
        if outlet.session is not None:
            flows = current_a > 0
            self.set_status(connector, ChargePointStatus.charging if flows else ChargePointStatus.suspended_ev)

    # ── the charger ───────────────────────────────────────────────────────────────────────────────────

    def sample(self, connector: int) -> Sent:
        """Meter values of now, kept until they are answered."""
        session = self.outlets[connector].session
        value = self._meter_value(connector, "Sample.Periodic")
        sent = Sent(session, connector, "MeterValues", lambda: messages16.meter_values(connector, value, session))
        self.put(sent)
        return sent

    def sample_all(self) -> None:
        """Meter values of every open session; none while there is no power."""
        if self._after_power_loss is None:
            for outlet in self.outlets.values():
                if outlet.session is not None:
                    self.sample(outlet.connector)

    def send_triggered_sample(self, connector: int) -> None:
        # 1.6 §3.7: triggered meter values are not transaction-related, so they are not kept.
        value = self._meter_value(connector, "Trigger")
        self.put(Errand("MeterValues", messages16.meter_values(connector, value, self.outlets[connector].session)))

    def set_status(self, connector: int, status: str, error_code: str = ChargePointErrorCode.no_error) -> None:
        """Change a connector's status and tell it, if it is a change."""
        outlet = self.outlets[connector]
        if (outlet.status, outlet.error_code) != (status, error_code):
            outlet.status, outlet.error_code = str(status), str(error_code)
            self.send_status(connector)

    def send_status(self, connector: int) -> None:
        self.put(Errand("StatusNotification", self.status(connector)))

    def status(self, connector: int) -> Payload:
        return messages16.status_notification(connector, self.outlets.get(connector), self._timestamp())

    def set_operative(self, connector: int, *, operative: bool) -> bool:
        """True when done, False when it has to wait for the end of a session."""
        outlet = self.outlets[connector]
        outlet.becomes_inoperative = not operative and outlet.session is not None
        if outlet.becomes_inoperative:
            return False
        if not operative:
            self.set_status(connector, ChargePointStatus.unavailable)
        elif outlet.status == ChargePointStatus.unavailable:
            self.set_status(connector, ChargePointStatus.available)
        return True

    def free_outlet(self, connector: int | None) -> Outlet | None:
        """Where a remote start can begin: the connector that it names, else one with a car, else any."""
        if connector is not None:
            candidates = [self.outlets[connector]] if connector in self.outlets else []
        else:
            candidates = sorted(self.outlets.values(), key=lambda outlet: not outlet.is_plugged)
        return next(
            (outlet for outlet in candidates if outlet.is_free and (outlet.is_plugged or self.has_driver)), None
        )

    def with_transaction(self, transaction_id: int) -> Outlet | None:
        for outlet in self.outlets.values():
            if outlet.session is not None and outlet.session.transaction_id == transaction_id:
                return outlet
        return None

    def end_all(self, reason: str) -> None:
        for outlet in self.outlets.values():
            if outlet.session is not None:
                self.end(outlet.connector, reason)

    def lose_power(self, after: AfterPowerLoss) -> None:
        self._after_power_loss = after
        for outlet in self.outlets.values():
            outlet.open_contactor(_now())

    def regain_power(self) -> None:
        after, self._after_power_loss = self._after_power_loss, None
        match after:
            case AfterPowerLoss.STOP:
                self.end_all("PowerLoss")
            case AfterPowerLoss.RESUME:
                for outlet in self.outlets.values():
                    if outlet.session is not None:
                        outlet.close_contactor(_now())
            case AfterPowerLoss.FORGET:
                for outlet in self.outlets.values():
                    outlet.session, outlet.is_plugged = None, False
                    outlet.status = str(ChargePointStatus.available)

    def put(self, item: Sent | Errand) -> None:
        self._outbox.put(item)
        self._ring()

    def _meter_value(self, connector: int, context: str) -> Payload:
        return self.outlets[connector].meter_value(_now(), self._timestamp(), context)

    def _timestamp(self) -> str:
        return timestamp(self._utc_now())


def _now() -> float:
    return asyncio.get_running_loop().time()

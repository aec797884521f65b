"""One connector of the simulated charger: plug, meter, car. Pure: the caller brings the time.

The register is exact: power is integrated in whole watt-nanoseconds over the loop's clock, so readings never
go back, and the sum of two halves is the whole.
"""

from dataclasses import dataclass, field

from ocpp.v16.enums import ChargePointErrorCode, ChargePointStatus

from simulators.wire import Payload

VOLTAGE_V = 230
_WATT_NS_PER_WH = 3600 * 10**9


@dataclass(slots=True, eq=False)
class Session:
    """A charging transaction as the charger knows it. The id is not known until the start was answered."""

    connector: int
    id_tag: str
    meter_start: int
    is_remote: bool = False
    transaction_id: int | None = None
    verdict: str | None = None
    meter_stop: int | None = None
    stop_reason: str | None = None
    is_stop_answered: bool = False
    is_stop_lost: bool = False  # nobody will ever say it
    has_failed: bool = False  # the start was refused too often: nobody will ever know this session

    @property
    def is_open(self) -> bool:
        return self.meter_stop is None


@dataclass(slots=True, eq=False)
class Outlet:
    connector: int
    current_a: float  # per phase, what the car draws when it may
    phases: int
    register_start_wh: int
    status: str = ChargePointStatus.available
    error_code: str = ChargePointErrorCode.no_error
    is_plugged: bool = False
    becomes_inoperative: bool = False
    session: Session | None = None
    _watt_ns: int = field(default=0, init=False)
    _since_ns: int | None = field(default=None, init=False)  # None: no current flows
    _power_w: int = field(default=0, init=False)

    @property
    def power_w(self) -> int:
        return self._power_w if self._since_ns is not None else 0

    @property
    def is_free(self) -> bool:
        return self.session is None and self.status in (ChargePointStatus.available, ChargePointStatus.preparing)

    def register_wh(self, now: float) -> int:
        self._integrate(now)
        return self.register_start_wh + self._watt_ns // _WATT_NS_PER_WH

    def close_contactor(self, now: float) -> None:
        """Current may flow from now on."""
        self._integrate(now)
        self._power_w = round(self.current_a * VOLTAGE_V * self.phases)
        self._since_ns = _ns(now)

    def open_contactor(self, now: float) -> None:
        self._integrate(now)
        self._since_ns = None

    def draw(self, current_a: float, now: float) -> None:
        """The car draws another current, 0 when it is full."""
        self.current_a = current_a
        if self._since_ns is not None:
            self.close_contactor(now)

    def add_energy(self, energy_wh: int) -> None:
        """Move the meter on at once, for tests that have no time."""
        self._watt_ns += energy_wh * _WATT_NS_PER_WH

    def meter_value(self, now: float, timestamp: str, context: str) -> Payload:
        """One entry of a 1.6 MeterValues: register, power, current of each phase."""
        flowing = self.current_a if self._since_ns is not None else 0.0
        sampled = [
            _sampled(str(self.register_wh(now)), context, "Energy.Active.Import.Register", "Wh"),
            _sampled(str(self.power_w), context, "Power.Active.Import", "W"),
            *(
                _sampled(f"{flowing:.1f}", context, "Current.Import", "A") | {"phase": f"L{phase}"}
                for phase in range(1, self.phases + 1)
            ),
        ]
        return {"timestamp": timestamp, "sampledValue": sampled}

    def _integrate(self, now: float) -> None:
        if self._since_ns is not None:
            now_ns = _ns(now)
            self._watt_ns += self._power_w * (now_ns - self._since_ns)
            self._since_ns = now_ns


def _ns(seconds: float) -> int:
    return round(seconds * 10**9)


def _sampled(value: str, context: str, measurand: str, unit: str) -> dict[str, str]:
    return {"value": value, "context": context, "measurand": measurand, "unit": unit}

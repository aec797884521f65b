"""Everybody around the daemon, simulated: three chargers with cars, the grid meter, the cloud, the manufacturer.

The meter measures what the cars really draw, on the phases on which they draw it, and the building's own load.
"""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from simulators.charger import Charger
from simulators.csms import Csms
from simulators.ledger import Received
from simulators.meter import MeterSimulator, Phases
from simulators.outbox import Sent
from simulators.outlet import Outlet
from simulators.wire import Direction, Frame

from demonstration.lines import Lines
from demonstration.manufacturer import OLD_VERSION, Manufacturer
from demonstration.verification import ChargerMessage, CloudMessage, Report, compare

STATION = "depot-nord"
CHARGERS = ("CP-01", "CP-02", "CP-03")
CONNECTORS = 2
CARS = {"CP-01": (16.0, 3), "CP-02": (32.0, 3), "CP-03": (16.0, 1)}
"""Ampere per phase and number of phases."""
BUILDING_W: Phases = (1500.0, 1900.0, 1200.0)
FIRST_CLOUD_TRANSACTION = 1001
TRANSACTION_MESSAGES = ("StartTransaction", "MeterValues", "StopTransaction")
FRAMES_KEPT = 200


class Party:
    def __init__(self, passwords: dict[str, bytes], lines: Lines, *, is_verbose: bool) -> None:
        self._passwords = passwords
        self._lines = lines
        self._is_verbose = is_verbose
        self.chargers: dict[str, Charger] = {}
        self.csms = Csms(
            password=passwords[STATION],
            first_transaction_id=FIRST_CLOUD_TRANSACTION,
            on_frame=lambda frame: self._seen(frame, self.csms.frames, "cloud"),
        )
        self.meter = MeterSimulator(load=self._load)
        self.meter.energy_import_wh = 1_234_000.0
        self.manufacturer = Manufacturer()

    @asynccontextmanager
    async def present(self) -> AsyncIterator[None]:
        """All but the chargers are there; those come when the daemon has told its port."""
        async with self.csms, self.manufacturer.present():
            await self.meter.start()
            try:
                yield
            finally:
                await self.meter.stop()

    def add_chargers(self, url: str, meter_interval_s: int, update_step_s: float) -> list[Charger]:
        """`update_step_s`: between what they say while they take new firmware."""
        for number, (identity, (current_a, phases)) in enumerate(CARS.items(), 1):
            self.chargers[identity] = Charger(
                identity,
                url,
                password=self._passwords[identity],
                connectors=CONNECTORS,
                firmware=OLD_VERSION,
                meter_interval_s=meter_interval_s,
                current_a=current_a,
                phases=phases,
                registers_wh=[100_000 * number + 10_000 * connector for connector in range(1, CONNECTORS + 1)],
                on_frame=self._watcher(identity),
            )
            self.chargers[identity].updating.habits.pause_s = update_step_s
        return list(self.chargers.values())

    def upstream_connector(self, charger: str, connector: int) -> int:
        """By the rule for chargers whose `evses` stand in the file (interface.md, "Connector numbers upstream")."""
        return CHARGERS.index(charger) * CONNECTORS + connector

    def charging(self) -> list[tuple[Charger, Outlet]]:
        return [
            (charger, outlet)
            for charger in self.chargers.values()
            for outlet in charger.outlets.values()
            if outlet.session is not None
        ]

    # ── the ledgers ───────────────────────────────────────────────────────────────────────────────────

    def answered(self) -> set[Sent]:
        """What the daemon has taken over from the chargers by now."""
        return {sent for charger in self.chargers.values() for sent in charger.sent if sent.answered}

    def verify(self, required: Collection[Sent]) -> Report:
        """All that was sent against all that was received; the `required` must have arrived."""
        sent = [
            ChargerMessage(
                charger.identity,
                one.connector,
                self.upstream_connector(charger.identity, one.connector),
                None if one.session is None else id(one.session),
                one.action,
                one.payload or {},
                is_required=one in required,
            )
            for charger in self.chargers.values()
            for one in charger.sent
        ]
        return compare(sent, [CloudMessage(one.action, one.payload, _given_id(one)) for one in self.relayed()])

    def queued(self, since: float = 0.0) -> list[Received]:
        """What the cloud received of that which the daemon keeps in its queue."""
        return [one for one in self.csms.received if one.action in TRANSACTION_MESSAGES and one.at >= since]

    def relayed(self) -> list[Received]:
        """Of that the chargers' transactions; connector 0 is the site's own meter."""
        return [one for one in self.queued() if one.payload.get("connectorId") != 0]

    def complaints(self) -> list[str]:
        """What the simulated parties hold against the daemon, apart from the ledgers."""
        found = [f"the cloud: {one.rule}: {one.message}" for one in self.csms.violations]
        found += [f"the cloud: {one.action} of no known transaction" for one in self.csms.orphans]
        for charger in self.chargers.values():
            found += [f"{charger.identity}: {violation}" for violation in charger.violations]
            found += [f"{charger.identity}: {one.action} never answered" for one in charger.queue]
            found += [f"{charger.identity}: {one.action} refused" for one in charger.sent if one.given_up]
        return found

    # ── small things ──────────────────────────────────────────────────────────────────────────────────

    def _load(self) -> Phases:
        load = list(BUILDING_W)
        for charger, outlet in self.charging():
            phases = CARS[charger.identity][1]
            for phase in range(phases):
                load[phase] += outlet.power_w / phases
        return load[0], load[1], load[2]

    def _watcher(self, identity: str) -> Callable[[Frame], None]:
        return lambda frame: self._seen(frame, self.chargers[identity].frames, identity)

    def _seen(self, frame: Frame, kept: list[Frame], who: str) -> None:
        del kept[:-FRAMES_KEPT]  # the demo may run for days
        if self._is_verbose:
            self._lines.plain(f"{who:<6} {'<-' if frame.direction is Direction.IN else '->'} {frame.text}")


def _given_id(received: Received) -> int | None:
    """The id that the cloud gave to this start."""
    if received.action != "StartTransaction" or received.transaction is None:
        return None
    return received.transaction.id

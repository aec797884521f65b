"""Joins the parts of the daemon to each other. They know each other in circles, which the closures here close.

`daemon.py` decides when they live; nothing here runs by itself.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from edge import __version__
from edge.chargers.intake import Parts as ChargerParts
from edge.chargers.records import Stored
from edge.chargers.roster import Enrolment, Roster
from edge.chargers.server import ChargerServer
from edge.clock import SiteClock
from edge.config import Config
from edge.console.actions import Actions
from edge.console.server import ConsoleServer
from edge.console.views_messages import MessageViews
from edge.console.views_sessions import SessionViews
from edge.console.views_site import SiteViews
from edge.domain.connectors import layout
from edge.domain.delivery import Order
from edge.domain.ids import ChargerId, ConnectorNo, TransactionNo
from edge.domain.ports import CallTimedOut, ChargerOffline, PeerRefused, UplinkDown
from edge.domain.readings import Quality, SiteReading
from edge.inside import Inside, Parts
from edge.jsontypes import Payload
from edge.operations import Operations, adopt, secrets_of
from edge.site.poller import MeterPoller
from edge.site.profiles import load_profile
from edge.store import Connection, boots, connectors
from edge.store.db import Store
from edge.store.exchange import Moment
from edge.uplink.commands import Commands, Outside
from edge.uplink.configuration import Configuration
from edge.uplink.lanes import Lanes
from edge.uplink.link import Identity, UplinkLink
from edge.uplink.outcomes import Outcomes
from edge.uplink.sender import Sender
from edge.uplink.site_reports import SiteReports
from edge.uplink.station import Health, Station
from edge.world import World

TRANSACTION_ID_BASES = (10_000, 999_999)
"""Ids for chargers begin somewhere here when the store is new, so that two sites, or a site whose store was lost,
do not give the same ones (ocpp-rules.md B.5)."""


METER_MAY_BE_SILENT = 60.0
STORE_UNUSABLE = Health("Faulted", "InternalError", "store unusable: control-only mode")
FOR_CLEAR_CACHE = 10.0


class NoCsms:
    """`CsmsPort` where no uplink is configured: every question is answered by the policy."""

    def is_accepted(self) -> bool:
        return False

    async def call(self, action: str, _payload: Payload, *, within: float) -> Payload:
        raise UplinkDown(f"{action} (within {within:g} s): no uplink is configured")

    async def verdict(self, transaction: TransactionNo, *, within: float) -> str:
        raise UplinkDown(f"S{transaction} (within {within:g} s): no uplink is configured")


Service = Callable[[], Coroutine[None, None, None]]
InBackground = Callable[[Coroutine[None, None, None]], None]


@dataclass(frozen=True, slots=True)
class Assembly:
    """The joined parts, as far as the daemon has to deal with them."""

    chargers: ChargerServer
    services: Mapping[str, Service]
    """What runs as long as the daemon does, by name."""
    inside: Inside
    console: ConsoleServer | None


async def assemble(
    config: Config,
    world: World,
    clock: SiteClock,
    store: Store,
    boot_no: int,
    in_background: InBackground,
    restart: Callable[[], None],
    why_control_only: str | None,
) -> Assembly:
    """All parts, none of them running yet. `restart` is what a Reset of the CSMS sets off.

    `why_control_only`: why the store is not the one on disk; None in a life that is whole.
    """
    ids = world.ids
    started = clock.monotonic()

    def moment() -> Moment:
        return Moment(boot_no, clock.utc_now(), round(clock.monotonic() * 1000))

    def on_stored(stored: Stored) -> None:
        sender.offer(stored.connector, stored.waiting)
        if stored.waiting.is_start_or_stop:
            station.changed()

    def on_connectors(new: Sequence[ConnectorNo]) -> None:
        in_background(sender.connectors_numbered(new))

    pollers = [MeterPoller(meter, load_profile(meter.profile), clock, lambda _reading: None) for meter in config.meters]
    grid = next((poller for poller in pollers if poller.state().role == "grid"), None)
    roster = Roster(clock, on_presence=lambda _charger: station.changed())
    await _enrol(config, world, store, roster, gives_numbers=why_control_only is None)
    station = Station(
        store,
        roster,
        clock,
        lambda: _health(grid, clock.monotonic() - started) if why_control_only is None else STORE_UNUSABLE,
        lambda: sender.wake(),  # noqa: PLW0108 - the sender is made below
    )
    configuration = Configuration(
        await store.write(boots.station_settings), config.authorization.offline, lambda: station.connector_count
    )
    order = Order.FAIR if config.uplink is None else Order(config.uplink.order)
    lanes = Lanes(store, clock, order)
    await lanes.load()
    outcomes = Outcomes(
        store,
        lanes,
        station,
        configuration,
        clock,
        moment,
        on_refused=lambda tx_no: in_background(commands.stop_refused(tx_no)),
    )
    sender = Sender(store, lanes, outcomes, station, configuration, clock, moment, clock.told_by_csms)
    reports = SiteReports(store, sender, configuration, clock, ids, moment, lambda: _good_reading(grid))
    outside = Outside(
        restart=restart,
        clear_charger_caches=lambda: in_background(_clear_caches(roster)),
        has_site_reading=lambda: _good_reading(grid) is not None,
        report_site=lambda: in_background(reports.report("Trigger")),
    )
    commands = Commands(store, roster, station, sender, outcomes, configuration, moment, outside)
    link = _uplink(config, world, store, sender, commands, configuration, moment)
    charger_parts = ChargerParts(
        store=store,
        csms=NoCsms() if link is None else link,
        moment=moment,
        transaction_id_base=ids.number(*TRANSACTION_ID_BASES),
        defaults=config.chargers,
        authorization=config.authorization,
        stops_on_invalid_id=lambda: configuration.stops_on_invalid_id,
        on_stored=on_stored,
        on_connectors=on_connectors,
        on_status=lambda _charger: station.changed(),
        is_control_only=why_control_only is not None,
    )
    parts = Parts(config, store, clock, roster, pollers, station, lanes, sender, link, why_control_only)
    inside = Inside(parts)
    chargers = ChargerServer(config, roster, charger_parts, clock, ids, partial(adopt, store, roster, ids))
    services: dict[str, Service] = {f"meter {poller.state().id}": poller.run for poller in pollers}
    services |= {"station": station.run, "site reports": reports.run}
    if link is not None:
        services["uplink"] = link.run
    operations = Operations(config, store, ids, roster, commands)
    socket = config.api.socket
    console = None if socket is None else _console(socket, store, inside, operations)
    return Assembly(chargers, services, inside, console)


def _console(path: Path, store: Store, live: Inside, operations: Operations) -> ConsoleServer:
    site, sessions, messages = SiteViews(store, live), SessionViews(store, live), MessageViews(store, live)
    actions = Actions(operations)
    return ConsoleServer(
        path,
        answers={
            "status": site.status,
            "uplink": site.uplink,
            "chargers": site.chargers,
            "meter": site.meter,
            "sessions": sessions.sessions,
            "session": sessions.session,
            "queue": messages.queue,
            "trace": messages.trace,
            "adopt": actions.adopt,
            "start": actions.start,
            "stop": actions.stop,
        },
        streams={"status": site.watch_status, "meter": site.watch_meter, "trace": messages.follow_trace},
    )


def _uplink(
    config: Config,
    world: World,
    store: Store,
    sender: Sender,
    commands: Commands,
    configuration: Configuration,
    moment: Callable[[], Moment],
) -> UplinkLink | None:
    if config.uplink is None:
        return None
    grid = next((meter for meter in config.meters if meter.role == "grid"), None)
    meter = None if grid is None else Path(grid.profile).stem
    identity = Identity(serial=config.site.id, firmware=__version__, meter=meter)
    return UplinkLink(config.uplink, identity, store, sender, commands, configuration, world.clock, world.ids, moment)


async def _enrol(config: Config, world: World, store: Store, roster: Roster, *, gives_numbers: bool) -> None:
    """The chargers of the file, in file order, and the adopted ones (interface.md, "Connector numbers")."""
    listed = config.charger

    def unit(db: Connection) -> list[connectors.Charger]:
        for settings in listed:
            charger_id = ChargerId(settings.id)
            no = connectors.enrol(db, charger_id, connectors.KNOWN, "file")
            if settings.evses and gives_numbers:
                connectors.lay_out(db, no, layout(settings.evses))
                connectors.count(db, no, sum(settings.evses))
        names = {settings.id for settings in listed}
        for charger in connectors.chargers(db):
            if charger.origin == "file" and charger.id not in names and charger.state == connectors.KNOWN:
                connectors.enrol(db, charger.id, connectors.RETIRED, "file")
        return connectors.chargers(db)

    known = await store.write(unit)
    from_file = {settings.id: settings for settings in listed}
    for charger in known:
        if charger.state != connectors.KNOWN:
            continue
        settings = from_file.get(charger.id)
        if settings is not None and settings.password is not None:
            hashes = secrets_of(settings.password, world.ids)
        else:
            hashes = () if charger.secret_hash is None else tuple(charger.secret_hash.split(b"\n"))
        roster.enrol(charger.id, Enrolment(charger.no, hashes))


def _health(grid: MeterPoller | None, running_for: float) -> Health:
    """Connector 0: Faulted while the grid meter has been silent for a while (ocpp-rules.md C.3)."""
    if grid is None:
        return Health()
    state = grid.state()
    silent_for = running_for if state.age_s is None else state.age_s
    if state.quality is Quality.GOOD or silent_for < METER_MAY_BE_SILENT:
        return Health()
    return Health("Faulted", "PowerMeterFailure", f"site meter {state.id} is silent")


def _good_reading(grid: MeterPoller | None) -> SiteReading | None:
    if grid is None:
        return None
    state = grid.state()
    return state.reading if state.quality is Quality.GOOD else None


async def _clear_caches(roster: Roster) -> None:
    """Best effort: what the CSMS has been answered is our own cache (B.2)."""
    for link in roster.links():
        try:
            await roster.call(link.charger, "ClearCache", {}, within=FOR_CLEAR_CACHE)
        except (ChargerOffline, CallTimedOut, PeerRefused) as error:
            structlog.get_logger("edge.daemon").info("cache_not_cleared", charger=link.charger, why=str(error))

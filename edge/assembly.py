"""Joins the parts of the daemon to each other. They know each other in circles, which the closures here close.

`daemon.py` decides when they live; nothing here runs by itself.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import structlog

from edge import __version__, answers
from edge.chargers.intake import Parts as ChargerParts
from edge.chargers.reconciler import Reconciler
from edge.chargers.roster import Roster
from edge.chargers.server import ChargerServer
from edge.chargers.sightings import Sightings
from edge.clock import SiteClock
from edge.config import Config
from edge.config.in_force import InForce
from edge.console.actions_messages import MessageActions
from edge.console.diagnostics import DiagnosticsCommands
from edge.console.firmware import FirmwareCommands
from edge.console.server import ConsoleServer
from edge.dialects import models
from edge.domain.delivery import Order
from edge.domain.ids import ConnectorNo
from edge.domain.ports import CallTimedOut, ChargerOffline, PeerRefused
from edge.domain.readings import Quality, SiteReading
from edge.enrolment import admit, enrol
from edge.fleet import Fleet, adopt
from edge.housekeeping import Housekeeping
from edge.inside import Inside, Parts
from edge.jobs.jobs import Jobs
from edge.keeping import Keeping
from edge.operations import Operations
from edge.probing import Probing
from edge.reload import Parts as ReloadParts
from edge.reload import Reload, Request
from edge.salvaging import Salvaging, salvage_health
from edge.settings import Settings
from edge.site.installation import Installation
from edge.site.poller import MeterPoller
from edge.store import boots
from edge.store.backup import Backups
from edge.store.db import Store
from edge.store.delivery import Stored
from edge.store.exchange import Moment
from edge.tls.expiry import CertificateWatch
from edge.uplink.availability import Availability
from edge.uplink.commands import Commands, Outside
from edge.uplink.configuration import Configuration
from edge.uplink.job_reports import JobReports
from edge.uplink.lanes import Lanes
from edge.uplink.link import Identity, UplinkLink
from edge.uplink.outcomes import Outcomes
from edge.uplink.sender import Sender
from edge.uplink.site_reports import SiteReports
from edge.uplink.station import Health, Station
from edge.watchdog import Vitals
from edge.world import World

TRANSACTION_ID_BASES = (10_000, 999_999)
"""Ids for chargers begin somewhere here when the store is new, so that two sites, or a site whose store was lost,
do not give the same ones (ocpp-rules.md B.5)."""


METER_MAY_BE_SILENT = 60.0
TICKS_WITHIN = 180.0
"""Seconds between two turns of a service that waits for nothing but the store and its own timer."""
STORE_UNUSABLE = Health("Faulted", "InternalError", "store unusable: control-only mode")
FOR_CLEAR_CACHE = 10.0
ON_DISK = frozenset({"housekeeping", "numbers", "salvage"})
"""Services that there are only in a life that is whole."""


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
    vitals: Vitals


async def assemble(
    in_force: InForce,
    world: World,
    clock: SiteClock,
    store: Store,
    boot_no: int,
    in_background: InBackground,
    restart: Callable[[], None],
    why_control_only: str | None,
    reload_request: Request,
) -> Assembly:
    """All parts, none of them running yet. `restart` is what a Reset of the CSMS sets off.

    `why_control_only`: why the store is not the one on disk; None in a life that is whole.
    """
    config, ids, started = in_force(), world.ids, clock.monotonic()

    def moment() -> Moment:
        return Moment(boot_no, clock.utc_now(), round(clock.monotonic() * 1000), clock.trust.is_trusted)

    def on_stored(stored: Stored) -> None:
        sender.offer(stored.connector, stored.waiting)
        if stored.waiting.is_start_or_stop:
            station.changed()

    def on_connectors(new: Sequence[ConnectorNo]) -> None:
        in_background(sender.connectors_numbered(new))

    installation = Installation(config.meters, clock, lambda _meter, _reading: None)
    pollers = installation.pollers
    grid = next((poller for poller in pollers if poller.state().role == "grid"), None)
    roster = Roster(clock, on_presence=lambda _charger: station.changed())
    enrolled = await store.write(lambda db: enrol(db, config.charger, gives_numbers=why_control_only is None))
    admit(enrolled, config.charger, roster, ids)
    station = Station(
        store,
        roster,
        clock,
        lambda: (
            (salvage_health(salvaging.salvage, clock.utc_now()) or _health(grid, clock.monotonic() - started))
            if why_control_only is None
            else STORE_UNUSABLE
        ),
        lambda: sender.wake(),  # noqa: PLW0108 - the sender is made below
    )
    configuration = Configuration(
        await store.write(boots.station_settings),
        lambda: in_force().authorization.offline,
        lambda: station.connector_count,
    )
    lanes = Lanes(store, clock, Order.FAIR if config.uplink is None else Order(config.uplink.order))
    await lanes.begin()
    outcomes = Outcomes(
        store,
        lanes,
        station,
        configuration,
        clock,
        moment,
        on_refused=lambda tx_no: in_background(commands.stop_refused(tx_no)),
    )
    job_reports = JobReports(store, clock, lambda: sender.wake())  # noqa: PLW0108 - it is made below
    sender = Sender(store, lanes, outcomes, station, job_reports, configuration, clock, moment, clock.told_by_csms)
    reports = SiteReports(store, sender, configuration, clock, ids, moment, lambda: _good_reading(grid))
    is_whole = why_control_only is None
    jobs = Jobs(store, roster, roster.link, in_force, moment, job_reports.changed, is_control_only=not is_whole)
    outside = Outside(
        restart=restart,
        clear_charger_caches=lambda: in_background(_clear_caches(roster)),
        has_site_reading=lambda: _good_reading(grid) is not None,
        report_site=lambda: in_background(reports.report("Trigger")),
        jobs=jobs.of_csms,
        tell_of=job_reports.tell_again,
    )
    availability = Availability(store, roster, station)
    commands = Commands(store, roster, availability, station, sender, outcomes, configuration, moment, outside)
    link = UplinkLink(
        lambda: in_force().uplink,
        _identity(config),
        store,
        sender,
        commands,
        configuration,
        clock,
        ids,
        moment,
    )
    charger_parts = ChargerParts(
        store=store,
        csms=link,
        moment=moment,
        transaction_id_base=ids.number(*TRANSACTION_ID_BASES),
        config=in_force,
        stops_on_invalid_id=lambda: configuration.stops_on_invalid_id,
        on_stored=on_stored,
        on_connectors=on_connectors,
        on_status=lambda _charger: station.changed(),
        on_job=jobs.wake,
        is_control_only=why_control_only is not None,
        models=models.parse(files("edge.dialects").joinpath("models.toml").read_text(encoding="utf-8")),
    )
    chargers = ChargerServer(in_force, roster, charger_parts, clock, ids, partial(adopt, store, roster, ids))
    watch = CertificateWatch(clock, lambda: [*chargers.certificates(), *link.certificates()])
    housekeeping = Housekeeping(
        store, lanes, clock, moment, lambda: in_force().store, world.offload, world.open_database
    )
    salvaging = Salvaging(store, lanes, clock, config.store.path, world.offload, housekeeping.condition)
    await salvaging.begin()
    inside = Inside(
        Parts(
            in_force,
            store,
            clock,
            roster,
            pollers,
            station,
            lanes,
            sender,
            link,
            why_control_only,
            chargers,
            watch,
            charger_parts.fleet,
            housekeeping.condition,
            lambda: salvaging.salvage,
        )
    )
    services: dict[str, Service] = {f"meter {poller.state().id}": poller.run for poller in pollers}
    vitals = Vitals(clock)
    services |= {
        "station": partial(station.run, vitals.expect("station", TICKS_WITHIN)),
        "site reports": partial(reports.run, vitals.expect("site reports", TICKS_WITHIN)),
        "uplink": partial(_then, lanes.load, link.run),
    }
    reload_parts = ReloadParts(
        store, roster, chargers, station, lanes, link, on_connectors, in_background, why_control_only is None
    )
    services |= (_of_jobs(jobs, job_reports, vitals) if is_whole else {}) | {
        "reload": Reload(reload_request, in_force, reload_parts, world).run,
        "sightings": Sightings(store, roster).run,
        "certificates": watch.run,
        "housekeeping": housekeeping.run,
        "reconciler": partial(
            Reconciler(
                store,
                roster,
                clock,
                moment,
                lambda: in_force().sessions,
                on_stored,
                on_change=station.changed,
                most_watts=charger_parts.most_watts,
                count=lambda charger, rule: charger_parts.fleet.count(
                    charger, roster.presence(charger), (rule,), clock.monotonic()
                ),
            ).run,
            vitals.expect("reconciler", TICKS_WITHIN),
        ),
        "numbers": Keeping(store, config.store.path, world.offload).run,
        "salvage": partial(salvaging.run, (station.changed, sender.wake)),
    }
    hands = answers.Hands(
        Fleet(
            in_force,
            store,
            ids,
            roster,
            moment,
            on_change=station.changed,
            on_moved=lambda moved: in_background(sender.connectors_moved(moved)),
            why_control_only=why_control_only,
        ),
        Operations(store, ids, roster, commands, availability, moment),
        Settings(store, roster, commands, configuration, moment),
        MessageActions(store, moment, lambda: outcomes.epoch, sender.offer_again),
        Backups(
            store, config.store.path if why_control_only is None else None, world.open_database, world.offload, clock
        ),
        Probing(installation, clock),
        FirmwareCommands(store, lambda: in_force().firmware_bridge.socket, moment, jobs.wake),
        DiagnosticsCommands(store, lambda: in_force().firmware_bridge.socket, moment, jobs.wake),
    )
    socket = config.api.socket
    console = None if socket is None else answers.console(socket, store, inside, hands, has_journal=is_whole)
    services = {name: run for name, run in services.items() if is_whole or name not in ON_DISK}
    return Assembly(chargers, services | {"backups": hands.backups.run}, inside, console, vitals)


def _of_jobs(jobs: Jobs, job_reports: JobReports, vitals: Vitals) -> dict[str, Service]:
    """Only in a life that is whole: who is expected to tick has to run."""
    return {
        "rollouts": partial(jobs.rollouts.run, vitals.expect("rollouts", TICKS_WITHIN)),
        "collections": partial(jobs.collections.run, vitals.expect("collections", TICKS_WITHIN)),
        "job reports": partial(job_reports.run, vitals.expect("job reports", TICKS_WITHIN)),
    }


async def _then(first: Service, then: Service) -> None:
    """One after the other: reading a long queue takes seconds, in which chargers are answered already."""
    await first()
    await then()


def _identity(config: Config) -> Identity:
    grid = next((meter for meter in config.meters if meter.role == "grid"), None)
    return Identity(config.site.id, __version__, None if grid is None else Path(grid.profile).stem)


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

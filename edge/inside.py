"""The running daemon as the console sees it: present states and alarms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edge import __version__
from edge.chargers.link import ChargerLink
from edge.chargers.roster import Roster
from edge.chargers.server import ChargerServer
from edge.chargers.tally import LOGGED_EVERY, FleetTally, split
from edge.clock import SiteClock
from edge.config.in_force import InForce
from edge.console.live import (
    Alarm,
    ChargerNow,
    ListenerNow,
    Outstanding,
    Peculiarities,
    UplinkNow,
)
from edge.dialects.v16 import station
from edge.domain.ids import ChargerId
from edge.domain.peculiarities import Rule
from edge.domain.readings import MeterState, Quality
from edge.site.poller import MeterPoller
from edge.store.capacity import Condition, Fullness, Level
from edge.store.db import Store
from edge.store.succeeding import Salvage, is_told
from edge.tls.expiry import CertificateWatch
from edge.uplink.lanes import Lanes
from edge.uplink.link import UplinkLink
from edge.uplink.sender import Sender
from edge.uplink.station import Station
from edge.watchdog import Stored

BEYOND_ROOM = (Rule.ALLOWANCE_EXCEEDED, Rule.SHARE_EXCEEDED)
"""What says that messages of a charger were not stored."""


@dataclass(slots=True)
class Parts:
    """What the daemon is made of, as far as people may look into it."""

    config: InForce
    store: Store
    clock: SiteClock
    roster: Roster
    pollers: Sequence[MeterPoller]
    station: Station
    lanes: Lanes
    sender: Sender
    uplink: UplinkLink
    why_control_only: str | None
    chargers: ChargerServer
    certificates: CertificateWatch
    fleet: FleetTally
    condition: Condition
    salvage: Callable[[], Salvage | None]
    """Of a damaged store: the present one, or the last one."""


class Inside:
    """Implements `console.live.Live`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.version = __version__
        self.started_at = parts.clock.utc_now()
        self._meter_bad_since: dict[str, datetime] = {}

    @property
    def site_id(self) -> str:
        return self._parts.config().site.id

    @property
    def site_name(self) -> str:
        return self._parts.config().site.name

    def now(self) -> datetime:
        return self._parts.clock.utc_now()

    def uplink(self) -> UplinkNow:
        link, sender, settings = self._parts.uplink, self._parts.sender, self._parts.config().uplink
        if settings is None:
            return UplinkNow(
                "offline", self.started_at, self._parts.config().site.id, None, None, "no uplink is configured", None,
                None, None, None, None, "fair", None, None,
            )  # fmt: skip
        status, sent = link.status, sender.outstanding
        return UplinkNow(
            state=status.state,
            since=status.since,
            identity=settings.identity,
            url=settings.url,
            ocpp=status.version,
            last_error=status.last_error,
            next_attempt_at=status.next_attempt_at,
            connected_at=status.connected_at,
            registration=status.registration,
            heartbeat_interval_s=status.heartbeat_interval,
            epoch=status.epoch,
            order=settings.order,
            outstanding=None if sent is None else Outstanding(sent.action, sent.seqs[0], sent.sent_at.wall, sent.seqs),
            drain_s=sender.drain_seconds(),
        )

    def chargers(self) -> list[ChargerNow]:
        roster = self._parts.roster
        connected = {link.charger: link for link in roster.links()}
        names = dict.fromkeys([*connected, *roster.names()])
        return [self._charger(ChargerId(name), connected.get(name)) for name in names]

    def _charger(self, charger: ChargerId, link: ChargerLink | None) -> ChargerNow:
        presence = self._parts.roster.presence(charger)
        boot = None if link is None else link.said_boot
        tolerances, findings = split(presence.tolerances)
        of_make = split(self._parts.fleet.of(presence.make))
        return ChargerNow(
            id=charger,
            is_online=link is not None,
            is_pending=link is not None and link.is_pending,
            ocpp=None if link is None else link.version,
            address=None if link is None else link.address,
            last_seen=presence.last_seen if link is None else link.last_seen(),
            vendor=None if boot is None else boot.vendor,
            model=None if boot is None else boot.model,
            serial=None if boot is None else boot.serial,
            firmware=None if boot is None else boot.firmware,
            refused_because=presence.last_refused,
            refused_messages=dict(presence.refused_messages),
            tolerances=tolerances,
            findings=findings,
            of_make=Peculiarities(*of_make),
        )

    def listed(self) -> frozenset[str]:
        return frozenset(charger.id for charger in self._parts.config().charger)

    def listeners(self) -> list[ListenerNow]:
        return [
            ListenerNow(
                address=door.address,
                path=door.listener.path,
                security_profile=door.listener.security_profile,
                certificates=[] if door.papers is None else list(door.papers.certificates),
                failed_handshakes=dict(door.failed.by_cause),
                last_failure=door.failed.last,
            )
            for door in self._parts.chargers.doors
        ]

    def meters(self) -> list[MeterState]:
        return [poller.state() for poller in self._parts.pollers]

    def ready_at(self, lane: int) -> datetime | None:
        wait = self._parts.lanes.ready_in(lane)
        return None if wait is None else self.now() + timedelta(seconds=wait)

    def shown_status(self, upstream: int) -> tuple[str, str] | None:
        payload = self._parts.station.shown.get(upstream)
        return None if payload is None else station.reported_status(payload)

    def oldest_waiting(self) -> int | None:
        return self._parts.lanes.oldest()

    def alarms(self) -> list[Alarm]:
        """What a person must know of now; parked messages are added from the store."""
        found = []
        uplink = self.uplink()
        if uplink.state != "accepted" and uplink.url is not None:
            message = uplink.last_error or f"the CSMS has not accepted us yet ({uplink.state})"
            found.append(Alarm("uplink_down", uplink.identity, uplink.since, message))
        for meter in self.meters():
            if meter.quality is Quality.GOOD:
                self._meter_bad_since.pop(meter.id, None)
                continue
            since = self._meter_bad_since.setdefault(meter.id, self.now())
            found.append(Alarm("meter_silent", meter.id, since, meter.last_error or "not read yet"))
        for charger in self._parts.roster.shared_identities():
            message = "connections under this identity replace each other: two devices may share it"
            found.append(Alarm("identity_shared", charger, self.now(), message))
        found += self._flood_alarms()
        found += [
            Alarm("certificate_expires", one.by, one.since, one.message) for one in self._parts.certificates.expiring()
        ]
        found += self._configuration_alarms()
        clock = self._parts.clock
        if not clock.trust.is_trusted:
            message = "nobody vouches for the clock: it was not synchronised since the start; times are guesses"
            found.append(Alarm("clock_not_synchronised", "clock", self.started_at, message))
        elif (ahead := clock.differs_from_csms_by()) is not None:
            message = f"the CSMS's clock is {ahead:+.0f} s from ours, which is set by {clock.trust}"
            found.append(Alarm("clock_differs", "clock", self.now(), message))
        if (jump := clock.jumped_by) is not None:
            message = f"the CSMS has set our clock by {jump:+.0f} s against what it had said before: is it right now?"
            found.append(Alarm("clock_differs", "clock", self.now(), message))
        if self._parts.why_control_only is not None:
            message = (
                f"control-only mode, nothing is stored: {self._parts.why_control_only}. Chargers keep and repeat "
                "their transactions; mend the disk (or who may write to its folder), or put a backup back "
                "with edge restore"
            )
            found.append(Alarm("store_unusable", "store", self.started_at, message))
        if self._parts.store.is_failing:
            found.append(Alarm("store_failing", "store", self.now(), "the last commit failed: is the disk full?"))
        found += self._store_alarms()
        return found

    def fullness(self) -> Fullness | None:
        return self._parts.condition.fullness

    def _store_alarms(self) -> list[Alarm]:
        """What becomes of the store."""
        found = []
        fullness, damage = self.fullness(), self._parts.condition.damage
        if fullness is not None and fullness.level is not Level.GREEN:
            found.append(Alarm("store_filling", "store", fullness.since, _filling(fullness)))
        if (salvage := self._parts.salvage()) is not None and is_told(salvage, self.now()):
            since = datetime.fromtimestamp(salvage.at_ms / 1000, UTC)
            found.append(Alarm("store_salvaged", "store", since, _salvaged(salvage)))
        if damage is not None:
            message = f"the weekly check of the file found: {damage}; it is put aside, and what is left of it salvaged"
            found.append(Alarm("store_damaged", "store", self.now(), message))
        return found

    def _flood_alarms(self) -> list[Alarm]:
        """Chargers that sent more than they may store, within the last hour or two."""
        found, now = [], self._parts.clock.monotonic()
        for charger in self._parts.roster.names():
            presence = self._parts.roster.presence(charger)
            lately = [
                rule for rule in BEYOND_ROOM if now - presence.logged_at.get(rule, float("-inf")) < 2 * LOGGED_EVERY
            ]
            if lately:
                since = self.now() - timedelta(seconds=now - min(presence.logged_at[rule] for rule in lately))
                times = sum(presence.tolerances[rule] for rule in lately)
                message = (
                    f"it sends more than it may store ({', '.join(lately)}): {times} messages were not answered, "
                    "so that it keeps them; the other chargers go on"
                )
                found.append(Alarm("charger_floods", charger, since, message))
        return found

    def _configuration_alarms(self) -> list[Alarm]:
        """What the file says and is not in force."""
        found = []
        waits, refused = self._parts.config.waits_for_restart, self._parts.config.refused
        if waits is not None:
            message = f"changed in the file, in force after a restart: {', '.join(waits.what)}"
            found.append(Alarm("restart_needed", "configuration", waits.at, message))
        if refused is not None:
            more = len(refused.what) - 1
            message = f"the file was read again and is not in force: {refused.what[0]}"
            message += f" (and {more} more; edge check shows them)" if more else ""
            found.append(Alarm("configuration_refused", "configuration", refused.at, message))
        return found

    def sentence(self, stored: Stored | None) -> str:
        """The site in one sentence, for the service manager. `stored`: what the store says; None when it fails."""
        uplink, chargers = self.uplink(), self.chargers()
        online = sum(one.is_online and not one.is_pending for one in chargers)
        pending = sum(one.is_pending for one in chargers)
        parts = [
            "no uplink" if uplink.url is None else f"uplink {uplink.state}",
            f"{online} of {len(chargers) - pending} chargers online" + (f" and {pending} pending" if pending else ""),
        ]
        if self._parts.why_control_only is not None:
            parts.append("CONTROL-ONLY, nothing is stored")
        elif stored is None:
            parts.append("the store fails")
        else:
            waiting = self._parts.lanes.count()
            parts += [f"{stored.open_sessions} sessions open", f"{waiting} messages waiting for the cloud"]
            parts += [f"{stored.parked_messages} parked"] if stored.parked_messages else []
        return ", ".join(parts)


def _filling(fullness: Fullness) -> str:
    """How full the store is, what that costs, and what to do."""
    share = round(100 * fullness.used_bytes / fullness.limit_bytes)
    used, limit = fullness.used_bytes / 2**20, fullness.limit_bytes / 2**20
    match fullness.level:
        case Level.RED:
            costs = "only starts and stops are stored now"
        case Level.ORANGE:
            costs = "meter values that wait for the CSMS are thinned to one in 15 minutes"
        case _:
            costs = "delivered history is removed before its time"
    return (
        f"{share} % full ({used:.0f} of {limit:.0f} MB): {costs}; {fullness.thinned} values left out so far. "
        "Bring the uplink back, free the disk, or raise store.max_size_mb"
    )


def _salvaged(one: Salvage) -> str:
    """What happened to the store, how much of it is back, and what to do."""
    place = f"the damaged file is kept in quarantine/{one.folder}"
    cut_short = f" It went on without all of it, because {one.cut_short}." if one.cut_short else ""
    if one.phase != "done":
        doing = {"reading": f"is read ({one.pages} pages)", "open": "goes back: first what the CSMS has not got"}
        to_do = (
            "It waits until the disk has room, and for an hour so does what is to be sent: free some"
            if one.waits_for_room
            else "Nothing has to be done"
        )
        return (
            f"the store was damaged ({one.why}). Chargers are served from a new one; what is left of the old one "
            f"{doing.get(one.phase, 'goes back: now the history')}, {one.imported} rows so far; {place}."
            f"{cut_short} {to_do}"
        )
    rows = f"{one.imported} rows are back"
    rows += f", {one.unproven} of them without proof" if one.unproven else ""
    rows += f", {one.wrong} were not what had been stored" if one.wrong else ""
    rows += f", {one.left} had no room" if one.left else ""
    lost = f"{one.cut_sessions} of them lack something that the CSMS has not got" if one.cut_sessions else "all whole"
    return (
        f"the store was damaged ({one.why}) and replaced. Salvaged: {rows}; "
        f"{one.sessions} unfinished sessions, {lost}.{cut_short} "
        f"Have the disk looked at; {place} and may be removed then"
    )

"""The running daemon as the console sees it: present states and alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge import __version__
from edge.chargers.link import ChargerLink
from edge.chargers.roster import Roster
from edge.clock import SiteClock
from edge.config import Config
from edge.console.live import (
    Alarm,
    ChargerNow,
    Outstanding,
    UplinkNow,
)
from edge.dialects.v16 import station
from edge.domain.ids import ChargerId
from edge.domain.readings import MeterState, Quality
from edge.site.poller import MeterPoller
from edge.store.db import Store
from edge.uplink.lanes import Lanes
from edge.uplink.link import UplinkLink
from edge.uplink.sender import Sender
from edge.uplink.station import Station


@dataclass(slots=True)
class Parts:
    """What the daemon is made of, as far as people may look into it."""

    config: Config
    store: Store
    clock: SiteClock
    roster: Roster
    pollers: Sequence[MeterPoller]
    station: Station
    lanes: Lanes
    sender: Sender
    uplink: UplinkLink | None
    why_control_only: str | None


class Inside:
    """Implements `console.live.Live`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.version = __version__
        self.started_at = parts.clock.utc_now()
        self.site_id = parts.config.site.id
        self.site_name = parts.config.site.name
        self._meter_bad_since: dict[str, datetime] = {}

    def now(self) -> datetime:
        return self._parts.clock.utc_now()

    def uplink(self) -> UplinkNow:
        link, sender, settings = self._parts.uplink, self._parts.sender, self._parts.config.uplink
        if link is None or settings is None:
            return UplinkNow(
                "offline", self.started_at, self._parts.config.site.id, None, None, "no uplink is configured", None,
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
            outstanding=None if sent is None else Outstanding(sent.action, sent.message.row.seq, sent.sent_at.wall),
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
            tolerances=dict(presence.tolerances),
        )

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
        clock = self._parts.clock
        if not clock.trust.is_trusted:
            message = "nobody vouches for the clock: it was not synchronised since the start; times are guesses"
            found.append(Alarm("clock_not_synchronised", "clock", self.started_at, message))
        elif (ahead := clock.differs_from_csms_by()) is not None:
            message = f"the CSMS's clock is {ahead:+.0f} s from ours, which is set by {clock.trust}"
            found.append(Alarm("clock_differs", "clock", self.now(), message))
        if self._parts.why_control_only is not None:
            message = (
                f"control-only mode, nothing is stored: {self._parts.why_control_only}. Chargers keep and repeat "
                "their transactions; mend the disk, or put a backup back with edge restore"
            )
            found.append(Alarm("store_unusable", "store", self.started_at, message))
        if self._parts.store.is_failing:
            found.append(Alarm("store_failing", "store", self.now(), "the last commit failed: is the disk full?"))
        return found

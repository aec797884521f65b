"""Who may connect, who is online, and the way down to each charger (`ChargerPort`)."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from edge.chargers.link import ChargerLink
from edge.chargers.refusals import Allowance
from edge.domain.clocks import Offset
from edge.domain.ids import ChargerId, ChargerNo, Make, TransactionNo
from edge.domain.ports import ChargerOffline, Clock, Urgency
from edge.jsontypes import Payload
from edge.store.charger_clocks import UNKNOWN, KnownClock

PENDING_AT_MOST = 16
"""Links of chargers that nobody has adopted (decided.md)."""
REPLACED_PER_MINUTE = 6
"""More replaced connections of one identity than this look like two devices that share it."""
CONTESTED_FOR = 600.0
"""Seconds for which it counts that a second device has knocked under an identity that waits to be adopted."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A charger that may connect."""

    no: ChargerNo
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    """Hashes of the passwords that it may show; none: it cannot log in where a password is asked for."""


@dataclass(slots=True)
class Presence:
    """When a charger was last there, and how it behaves."""

    last_seen: datetime | None = None
    left_at: float | None = None
    """Monotonic; None while it is connected, and before it was first seen in this run."""
    last_refused: str | None = None
    replaced_at: list[float] | None = None
    refused_messages: Counter[str] = field(default_factory=Counter)
    """Its input that was refused since our start, by CALLERROR code."""
    tolerances: Counter[str] = field(default_factory=Counter)
    """Rules that concerned its messages since our start (`tally.py`)."""
    make: Make = field(default_factory=Make)
    rival: "Rival | None" = None
    logged_at: dict[str, float] = field(default_factory=dict)
    refused_kept: Allowance = field(default_factory=Allowance)
    heard: dict[str, int] = field(default_factory=dict)
    clock_offsets: tuple[Offset, ...] = ()
    clock: KnownClock = UNKNOWN
    written: Counter[str] = field(default_factory=Counter)
    """Configuration keys that were written after a boot and have not been read back since, by how often."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another device that has knocked under the identity of one that waits to be adopted, and was turned away."""

    host: str
    at: float
    """Monotonic."""


class Roster:
    """The links of all chargers. The newest connection of an identity wins, once it is authenticated.

    Of two that nobody has adopted, the first stays as long as it is there: whoever looks at it and adopts it must not
    get another one.
    """

    def __init__(self, clock: Clock, on_presence: Callable[[ChargerNo], None]) -> None:
        self._clock = clock
        self._on_presence = on_presence
        self._enrolled: dict[ChargerId, Enrolment] = {}
        self._retired: set[ChargerId] = set()
        self._links: dict[ChargerId, ChargerLink] = {}
        self._presence: dict[ChargerId, Presence] = {}
        self._started = clock.monotonic()
        self._log = structlog.get_logger("edge.chargers")

    # --- who may connect

    def enrol(self, charger: ChargerId, enrolment: Enrolment) -> None:
        self._enrolled[charger] = enrolment
        self._retired.discard(charger)

    def retire(self, charger: ChargerId) -> None:
        """It may not connect any more; whoever comes under its name waits to be adopted."""
        self._enrolled.pop(charger, None)
        self._retired.add(charger)

    def is_retired(self, charger: ChargerId) -> bool:
        return charger in self._retired

    def enrolment(self, charger: ChargerId) -> Enrolment | None:
        return self._enrolled.get(charger)

    def has_room_for_pending(self) -> bool:
        return len(self.pending()) < PENDING_AT_MOST

    def names(self) -> list[ChargerId]:
        """Chargers that may connect, in the order in which they became known."""
        return list(self._enrolled)

    def refused(self, charger: ChargerId, why: str) -> None:
        """Somebody knocked under a known identity and was turned away."""
        if charger in self._enrolled:
            self._presence.setdefault(charger, Presence()).last_refused = why

    # --- who is there

    async def dismiss(self, charger: ChargerId, reason: str) -> None:
        """End its connection, if there is one; returns when it has ended."""
        link = self._links.get(charger)
        if link is not None:
            await link.close(1008, reason)
            await link.ended.wait()

    async def attach(self, link: ChargerLink) -> None:
        """The link is its charger's from now on; returns when the one before it has ended."""
        before = self._links.get(link.charger)
        presence = self._presence.setdefault(link.charger, Presence())
        if before is not None and _are_two_strangers(before, link):
            await self._turn_away(link, before, presence)
            return
        self._links[link.charger] = link
        presence.left_at = None
        if not link.is_pending or presence.rival is None:
            presence.last_refused = None
        if before is not None:
            self._count_replacement(link.charger, presence)
            await before.close(1000, "replaced by a newer connection")
            await before.ended.wait()
        self._tell(link)

    async def _turn_away(self, link: ChargerLink, waiting: ChargerLink, presence: Presence) -> None:
        presence.rival = Rival(_host(link), self._clock.monotonic())
        presence.last_refused = (
            f"a second device, at {_host(link)}: the one at {_host(waiting)} came first, and shows another password "
            "or address"
        )
        self._log.warning(
            "pending_identity_contested", charger=link.charger, first=waiting.address, turned_away=link.address
        )
        await link.close(1008, "another device waits to be adopted under this identity")

    def rival(self, charger: ChargerId) -> Rival | None:
        """The other device that has lately knocked under the identity of the one that waits."""
        rival = self._presence.get(charger, Presence()).rival
        return rival if rival is not None and self._clock.monotonic() - rival.at < CONTESTED_FOR else None

    def _count_replacement(self, charger: ChargerId, presence: Presence) -> None:
        now = self._clock.monotonic()
        recent = [at for at in presence.replaced_at or [] if at > now - 60.0]
        presence.replaced_at = [*recent, now]
        self._log.info("connection_replaced", charger=charger)
        if len(presence.replaced_at) > REPLACED_PER_MINUTE:
            self._log.error("two_devices_share_identity", charger=charger, per_minute=len(presence.replaced_at))

    def detach(self, link: ChargerLink) -> None:
        """The link has ended."""
        presence = self._presence.setdefault(link.charger, Presence())
        presence.last_seen = self._clock.utc_now()
        if self._links.get(link.charger) is link:
            del self._links[link.charger]
            presence.left_at = self._clock.monotonic()
            self._tell(link)
        if link.is_pending and link.charger not in self._links and link.charger not in self._enrolled:
            self._presence.pop(link.charger, None)  # strangers may come under any number of names

    def _tell(self, link: ChargerLink) -> None:
        if link.charger_no is not None:
            self._on_presence(link.charger_no)

    def links(self) -> list[ChargerLink]:
        """Connected chargers, adopted or not."""
        return list(self._links.values())

    def link(self, charger: ChargerId) -> ChargerLink | None:
        return self._links.get(charger)

    def pending(self) -> list[ChargerLink]:
        return [link for link in self._links.values() if link.is_pending]

    def presence(self, charger: ChargerId) -> Presence:
        return self._presence.setdefault(charger, Presence())

    def shared_identities(self) -> list[ChargerId]:
        """Identities under which connections replace each other all the time."""
        since = self._clock.monotonic() - 60.0
        return [
            charger
            for charger, presence in self._presence.items()
            if len([at for at in presence.replaced_at or [] if at > since]) > REPLACED_PER_MINUTE
        ]

    def is_online(self, charger: ChargerId) -> bool:
        link = self._links.get(charger)
        return link is not None and not link.is_pending

    def away_for(self, charger: ChargerId) -> float:
        """Seconds since it left, or since our start when it has not come yet; 0 while it is there."""
        if self.is_online(charger):
            return 0.0
        left_at = self._presence.get(charger, Presence()).left_at
        return self._clock.monotonic() - (self._started if left_at is None else left_at)

    # --- the way down

    async def call(
        self,
        charger: ChargerId,
        action: str,
        payload: Payload,
        *,
        within: float,
        urgency: Urgency = Urgency.COMMAND,
        transaction: TransactionNo | None = None,
        cause: int | None = None,
    ) -> Payload:
        """The charger's answer. Raises ChargerOffline, CallTimedOut or PeerRefused."""
        link = self._links.get(charger)
        if link is None or link.is_pending:
            raise ChargerOffline(f"{charger} is not connected")
        if action == "RemoteStartTransaction" and (pause := link.profile.remote_start_delay_s) < within:
            await asyncio.sleep(pause)  # J.2, 70
            within -= pause
        return await link.commands.call(
            action, payload, within=within, urgency=urgency, transaction=transaction, cause=cause
        )


def _are_two_strangers(waiting: ChargerLink, newcomer: ChargerLink) -> bool:
    """Whether these may be different devices, both under an identity that nobody has adopted."""
    is_same = _host(waiting) == _host(newcomer) and waiting.knocked_with == newcomer.knocked_with
    return waiting.is_pending and newcomer.is_pending and not is_same


def _host(link: ChargerLink) -> str:
    return link.address.rpartition(":")[0]

"""What the views need of the running parts, in their own small types; `edge/inside.py` fills them in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from edge.domain.readings import MeterState
from edge.store.capacity import Fullness
from edge.tls.x509 import Certificate


@dataclass(frozen=True, slots=True)
class Outstanding:
    """The message that the CSMS has not answered yet."""

    action: str
    seq: int
    sent_at: datetime
    together: tuple[int, ...] = ()
    """All rows whose values share it, if several do."""

    def has(self, seq: int) -> bool:
        return seq == self.seq or seq in self.together


@dataclass(frozen=True, slots=True)
class UplinkNow:
    state: str
    since: datetime
    identity: str
    url: str | None
    ocpp: str | None
    last_error: str | None
    next_attempt_at: datetime | None
    connected_at: datetime | None
    registration: str | None
    heartbeat_interval_s: float | None
    epoch: int | None
    order: str
    outstanding: Outstanding | None
    drain_s: float | None
    """Seconds until the backlog is gone at the present pace; None when it does not shrink."""


@dataclass(frozen=True, slots=True)
class Peculiarities:
    """How often which rule concerned a message (`docs/field-guide.md`)."""

    tolerances: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChargerNow:
    """A charger's connection; what a pending one has said of itself."""

    id: str
    is_online: bool
    is_pending: bool
    ocpp: str | None
    address: str | None
    last_seen: datetime | None
    vendor: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    refused_because: str | None
    refused_messages: Mapping[str, int]
    """Its input that was refused since our start, by CALLERROR code."""
    tolerances: Mapping[str, int]
    """Rules that had to help with its messages since our start."""
    findings: Mapping[str, int] = field(default_factory=dict)
    """What was odd about them and changed nothing."""
    of_make: Peculiarities = field(default_factory=Peculiarities)
    """Both, of all chargers of its vendor, model and firmware together."""


class FailedHandshake(Protocol):
    """The last one that did not get through a listener's TLS."""

    @property
    def at(self) -> datetime: ...

    @property
    def address(self) -> str: ...

    @property
    def words(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ListenerNow:
    """Where chargers knock, and what those met who did not get as far as an identity."""

    address: str
    path: str
    security_profile: int
    certificates: Sequence[Certificate]
    failed_handshakes: Mapping[str, int]
    """TLS handshakes since our start, by cause."""
    last_failure: FailedHandshake | None


@dataclass(frozen=True, slots=True)
class Alarm:
    code: str
    subject: str
    since: datetime
    message: str


class Live(Protocol):
    """The running daemon, as far as people may look into it."""

    version: str
    started_at: datetime

    @property
    def site_id(self) -> str: ...

    @property
    def site_name(self) -> str: ...

    def now(self) -> datetime: ...

    def uplink(self) -> UplinkNow: ...

    def chargers(self) -> list[ChargerNow]: ...

    def listed(self) -> Collection[str]:
        """The chargers of the configuration file."""
        ...

    def listeners(self) -> list[ListenerNow]: ...

    def meters(self) -> list[MeterState]: ...

    def alarms(self) -> list[Alarm]: ...

    def fullness(self) -> Fullness | None:
        """How full the store is; None before the first look, and in control-only mode."""
        ...

    def ready_at(self, lane: int) -> datetime | None:
        """When the head of an upstream connector's queue may be sent again, None when it may be at once."""
        ...

    def shown_status(self, upstream: int) -> tuple[str, str] | None:
        """(Status, error code) that the CSMS is to know of a connector: Unavailable when its charger is away."""
        ...

    def oldest_waiting(self) -> int | None:
        """Number of the oldest message that is due; None when nothing is."""
        ...

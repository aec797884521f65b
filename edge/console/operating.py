"""What the actions need of the running parts; `edge/operations.py`, `edge/fleet.py` and `edge/settings.py` do it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.domain.ports import EdgeError


class NoSuchCharger(EdgeError):
    """No charger of this name is known."""


class NoSuchConnector(EdgeError):
    """The charger is not known, or has no such connector, or more than one that could be meant."""


class NoSuchKey(EdgeError):
    """None of the configuration keys that were asked for exists."""


class WrongWord(EdgeError):
    """What was written cannot be said in OCPP at all: a token of 21 characters, a message that nobody knows."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotAllowed(EdgeError):
    """It could be done, but must not be, or not without a further word; `hint` says with which."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Adopted:
    charger: str
    is_online: bool
    upstream_connectors: Sequence[int]
    acknowledged_serial: str | None
    """It was known already, and had said another serial than its own: that is its own now."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    charger: str
    upstream_connectors: Sequence[int]
    """Its numbers, which stay."""
    open_sessions: Sequence[str]
    note: str | None
    """What is still to be done by hand."""


@dataclass(frozen=True, slots=True)
class MovedConnector:
    upstream: int
    connector: int
    """The charger's own number, the old one's and the new one's."""


@dataclass(frozen=True, slots=True)
class Replaced:
    old: str
    new: str
    is_online: bool
    """The new one."""
    moved: Sequence[MovedConnector]
    open_sessions: Sequence[str]
    """Of the old one; they stay its own."""
    note: str | None


class FleetKeeping(Protocol):
    """Who belongs to the site. Each raises NoSuchCharger or NotAllowed."""

    async def adopt(self, charger: str, password: bytes | None) -> Adopted:
        """Let a pending or a retired charger in, or take a known one's other serial for its own."""
        ...

    async def forget(self, charger: str, *, force: bool) -> Forgotten:
        """Retire it."""
        ...

    async def replace(self, old: str, new: str, password: bytes | None, *, force: bool) -> Replaced:
        """Put a new box in an old one's place, with its upstream numbers."""
        ...


class Operating(Protocol):
    """What a technician can set off in chargers.

    Each raises NoSuchCharger, NoSuchConnector, NotAllowed or WrongWord, and ChargerOffline, CallTimedOut or
    PeerRefused when the charger cannot be asked, does not answer, or answers with CALLERROR.
    """

    async def start(self, charger: str, evse: int | None, connector: int | None, token: str) -> tuple[int, str]:
        """Ask a charger to start; (its connector, Accepted, Rejected or TimedOut)."""
        ...

    async def stop(self, session: int) -> str | None:
        """Ask a charger to stop; Accepted, Rejected, TimedOut or Ended. None: no session of this number."""
        ...

    async def reset(self, charger: str, *, is_hard: bool, force: bool) -> str:
        """Accepted or Rejected."""
        ...

    async def unlock(self, charger: str, evse: int | None, connector: int | None) -> tuple[int, str]:
        """(Its connector, Unlocked, UnlockFailed or NotSupported)."""
        ...

    async def availability(
        self, charger: str, evse: int | None, connector: int | None, *, is_on: bool
    ) -> tuple[Sequence[int], str]:
        """(The connectors that are meant; Accepted, Scheduled, Rejected, TimedOut, or Kept until it is back)."""
        ...

    async def trigger(
        self, charger: str, evse: int | None, connector: int | None, message: str
    ) -> tuple[str, int | None, str]:
        """(The message, the connector if one is meant, Accepted, Rejected or NotImplemented)."""
        ...


@dataclass(frozen=True, slots=True)
class KeyNow:
    """One configuration key."""

    key: str
    value: str | None
    """None: not told, or not to be told."""
    readonly: bool
    source: str
    """Of the station: default, file or changed. Of a charger: charger, or desired where a person has set it."""
    desired: str | None = None
    """What a person has set in a charger, and wants to stay."""


@dataclass(frozen=True, slots=True)
class Keys:
    found: Sequence[KeyNow]
    unknown: Sequence[str]


class KeyAccess(Protocol):
    """Configuration keys of chargers and of the station itself. Raises as `Operating` does, and NoSuchKey."""

    async def of_charger(self, charger: str, keys: Sequence[str]) -> Keys:
        """No keys: all of them."""
        ...

    async def set_in_charger(self, charger: str, key: str, value: str, *, once: bool) -> str:
        """Its ConfigurationStatus. What is accepted is written again when a boot has lost it, unless `once`."""
        ...

    def of_station(self, keys: Sequence[str]) -> Keys:
        """No keys: all of them."""
        ...

    async def set_in_station(self, key: str, value: str) -> str:
        """Its ConfigurationStatus."""
        ...

"""Connectors of many chargers as the connectors 1..N of one station: numbering, and what the CSMS is told of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

GRACE = 120.0
"""Seconds for which a connector keeps its last status after its charger went away."""

GRACE_CHARGING = 900.0
"""The same while a transaction is open on it: the car is probably still charging."""


def layout(evses: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(EVSE, connector as a 1.6 charger numbers it) for `evses = [1, 2]`, EVSE by EVSE."""
    connector = 0
    for evse, count in enumerate(evses, start=1):
        for _ in range(count):
            connector += 1
            yield evse, connector


MOST = 100
"""Connectors of one charger that are believed: a number above it is a defect, and each one would be ours for ever."""


class Shown(StrEnum):
    """What the CSMS is told of a connector."""

    AS_REPORTED = "as_reported"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Presence:
    """What decides how a connector is shown."""

    was_seen: bool
    """It has reported a status at some time."""
    is_online: bool
    away_for: float
    """Seconds since its charger was last there."""
    is_charging: bool
    """A transaction is open on it."""
    is_out_of_service: bool = False
    """Its charger is retired, or it is to be made inoperative as soon as its charger is back."""


def shown(presence: Presence) -> Shown:
    """interface.md, "What the cloud sees of the site"."""
    if presence.is_out_of_service or not presence.was_seen:
        return Shown.UNAVAILABLE
    if presence.is_online or presence.away_for < grace(presence):
        return Shown.AS_REPORTED
    return Shown.UNAVAILABLE


def grace(presence: Presence) -> float:
    """Seconds for which a charger may be away before its connector is shown as Unavailable."""
    return GRACE_CHARGING if presence.is_charging else GRACE

"""How far the wall clock may be believed, and what time it is when it may not. Pure: `edge/clock.py` asks the machine.

A small computer without a battery-backed clock begins each boot somewhere in the past. Until somebody vouches for the
time, ours is at least not before what has already been (`floor`), and it never goes back by itself.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""Before this the program did not exist."""


class Trust(StrEnum):
    """Who vouches for the wall clock, the weakest first."""

    FLOOR = "floor"
    """Nobody: not synchronised, or before what has already been."""
    CSMS = "csms"
    """The CSMS has told the time (1.6 §5.1, §4.6)."""
    SYSTEM = "system"
    """Nothing can be asked how the clock was set: believed as it is."""
    RTC = "rtc"
    """A battery-backed clock."""
    NTP = "ntp"

    @property
    def is_trusted(self) -> bool:
        return self is not Trust.FLOOR


@dataclass(frozen=True, slots=True)
class Anchor:
    """A wall time that was right, or the best there is, at a monotonic moment (seconds)."""

    wall: datetime
    monotonic: float

    def at(self, monotonic: float) -> datetime:
        return self.wall + timedelta(seconds=monotonic - self.monotonic)


def judged(said: Trust, machine: datetime, floor: datetime) -> Trust:
    """What to believe of a machine that says `said` of its clock.

    Only the network's time may be before the floor: a stored time was then wrong. A battery that has run down gives a
    clock that begins in the year 2000, and calls it its own.
    """
    return Trust.FLOOR if machine < floor and said is not Trust.NTP else said


def wall_time(trust: Trust, machine: datetime, monotonic: float, floor: Anchor, csms: Anchor | None) -> datetime:
    """The time that we act on."""
    if trust is Trust.CSMS and csms is not None:
        return csms.at(monotonic)
    if trust is Trust.FLOOR:
        return max(machine, floor.at(monotonic))
    return machine

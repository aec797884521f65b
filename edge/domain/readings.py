"""What a site meter measured, and how far it may be believed.

`edge/site/poller.py` makes these; the control loop, the console and connector 0 upstream read them.
Power is positive when the site imports; currents are unsigned RMS. None means "this meter does not tell".
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

PhaseValues = tuple[float | None, float | None, float | None]
"""One value each for L1, L2, L3 of the site."""

UNKNOWN_PHASES: PhaseValues = (None, None, None)


class Quality(StrEnum):
    GOOD = "good"
    STALE = "stale"
    """There is a reading, but it is too old to act upon."""
    ABSENT = "absent"
    """Not read once since the daemon started."""


@dataclass(frozen=True, slots=True)
class SiteReading:
    """Values that were read in one cycle and found plausible; frequency and energy may be a slow cycle older."""

    at: datetime
    voltage_v: PhaseValues = UNKNOWN_PHASES
    current_a: PhaseValues = UNKNOWN_PHASES
    power_w: PhaseValues = UNKNOWN_PHASES
    power_total_w: float | None = None
    frequency_hz: float | None = None
    energy_import_wh: int | None = None
    energy_export_wh: int | None = None


@dataclass(frozen=True, slots=True)
class MeterState:
    """A configured meter at this moment: what `edge meter` shows."""

    id: str
    profile: str
    connection: str
    unit: int
    role: str
    quality: Quality
    reading: SiteReading | None
    age_s: float | None
    polls: int
    failures: int
    last_error: str | None
    """Why the newest poll failed; None after a good one."""

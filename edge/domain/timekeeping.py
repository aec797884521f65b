"""How far the wall clock may be believed, and what time it is when it may not. Pure: `edge/clock.py` asks the machine.

A small computer without a battery-backed clock begins each boot somewhere in the past. Until somebody vouches for the
time, ours is at least not before what has already been (`floor`), and it never goes back by itself.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""Before this the program did not exist."""
LATEST_MS = round(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""A later time is none."""


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


@dataclass(frozen=True, slots=True)
class Floor:
    """It is later than these. What only a CSMS has told may be overruled, also by the CSMS."""

    vouched: datetime = EARLIEST
    """The machine's own clock was believed then."""
    told: datetime = EARLIEST

    @property
    def latest(self) -> datetime:
        return max(self.vouched, self.told)


def judged(said: Trust, machine: datetime, vouched: datetime) -> Trust:
    """What to believe of a machine that says `said` of its clock; `vouched`: when a machine was last believed.

    Only the network's time may be before that: a stored time was then wrong. A battery that has run down gives a
    clock that begins in the year 2000, and calls it its own.
    """
    return Trust.FLOOR if machine < vouched and said is not Trust.NTP else said


def wall_time(trust: Trust, machine: datetime, monotonic: float, floor: Anchor, csms: Anchor | None) -> datetime:
    """The time that we act on."""
    if trust is Trust.CSMS and csms is not None:
        return csms.at(monotonic)
    if trust is Trust.FLOOR:
        return max(machine, floor.at(monotonic))
    return machine


class Heard(StrEnum):
    """What became of a time that the CSMS has told."""

    TAKEN = "taken"
    """The first one, or one that agrees with those before."""
    JUMPED = "jumped"
    """It disagreed for so long, and always in the same way, that it was taken after all."""
    DOUBTED = "doubted"
    ABSURD = "absurd"


AHEAD_AT_MOST = timedelta(days=5 * 365)
"""So far after the latest known time may a CSMS put us."""
BACK_AT_MOST = timedelta(days=1)
"""So far before it may the first word of a boot put us."""
SLACK = timedelta(seconds=5)
"""Times that differ by less agree: both sides tell whole seconds, and the network takes some."""
NOT_WORTH_IT = timedelta(seconds=1)
DRIFT = 100e-6
"""Seconds per second that a cheap crystal goes wrong."""
CONSISTENT_FOR = 600.0
CONSISTENT_WORDS = 3
SETTLED_AFTER = 3600.0


@dataclass(slots=True)
class _Doubt:
    """A time that disagrees, from its first word on."""

    first: Anchor
    words: int = 1


class CsmsTime:
    """What the CSMS says of the time, and how much of it is taken.

    The first word is taken as it is, within bounds. From then on it mends our drift; who wants more has to say the
    same for ten minutes. Nothing here can be told to go further than the bounds.
    """

    def __init__(self) -> None:
        self.anchor: Anchor | None = None
        self.jumped_by: timedelta | None = None
        """The last jump against what the CSMS itself had said."""
        self._doubt: _Doubt | None = None
        self._agreed_at = 0.0
        self._corrected_at = 0.0
        self._allowance = SLACK
        self._unsettled_at: float | None = None

    @property
    def is_settled(self) -> bool:
        """No great jump lately: it has agreed with itself for an hour since."""
        return self._unsettled_at is None or self._agreed_at - self._unsettled_at >= SETTLED_AFTER

    def hear(self, told: datetime, monotonic: float, ours: datetime, floor: Floor) -> Heard:
        if not floor.vouched - BACK_AT_MOST <= told <= floor.latest + AHEAD_AT_MOST:
            return Heard.ABSURD
        if self.anchor is None:
            if told < floor.latest - BACK_AT_MOST:
                return self._disagree(told, monotonic, ours)
            if abs(told - ours) > BACK_AT_MOST:
                self._unsettled_at = monotonic
            return self._take(told, monotonic)
        difference = told - self.anchor.at(monotonic)
        if not -SLACK <= difference <= SLACK + timedelta(seconds=DRIFT * (monotonic - self._agreed_at)):
            return self._disagree(told, monotonic, ours)
        self._doubt, self._agreed_at = None, monotonic
        self._correct(difference, monotonic)
        return Heard.TAKEN

    def _correct(self, difference: timedelta, monotonic: float) -> None:
        """By what a crystal may have gone wrong, so that many small steps lead nowhere."""
        assert self.anchor is not None
        self._allowance += timedelta(seconds=DRIFT * (monotonic - self._corrected_at))
        self._corrected_at = monotonic
        if abs(difference) > NOT_WORTH_IT:
            step = max(-self._allowance, min(difference, self._allowance))
            self._allowance -= abs(step)
            self.anchor = Anchor(self.anchor.at(monotonic) + step, monotonic)

    def _disagree(self, told: datetime, monotonic: float, ours: datetime) -> Heard:
        if self._doubt is None or abs(told - self._doubt.first.at(monotonic)) > SLACK:
            self._doubt = _Doubt(Anchor(told, monotonic))
            return Heard.DOUBTED
        self._doubt.words += 1
        if self._doubt.words < CONSISTENT_WORDS or monotonic - self._doubt.first.monotonic < CONSISTENT_FOR:
            return Heard.DOUBTED
        self.jumped_by, self._unsettled_at = told - ours, monotonic
        self._take(told, monotonic)
        return Heard.JUMPED

    def _take(self, told: datetime, monotonic: float) -> Heard:
        self.anchor, self._doubt, self._allowance = Anchor(told, monotonic), None, SLACK
        self._agreed_at = self._corrected_at = monotonic
        return Heard.TAKEN

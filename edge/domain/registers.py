"""What a session's energy is, by the energy registers that the charger told, and what its stop says upstream.

A start goes up as soon as it comes, sampled values as they were said. So whatever is found wrong is put right in one
place: the stop says the start's register as the CSMS was told it, plus the energy (ocpp-rules.md E.12). Registers are
in Wh, times in ms by the best clock. A register goes on from the last that counts, or waits until two that follow on
from it, or the stop, show that it is no outlier. In doubt the energy is the lower one, and not certain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.plausibility import most_energy_wh

NO_REGISTER = 2**31 - 1
"""From here on it is a number that could not be read, not a register (Zaptec: exactly this one)."""
NEGLIGIBLE_WH = 100
"""What may be unknown of an energy that is called certain (ocpp-rules.md E.9); also the step of a meter in 0.1 kWh."""
LEAST_LEFT_OUT_WH = 20_000
"""A jump of less is billed as it was said: half a session, by times that may be wrong. An odometer is more."""
JUST_READ_MS = 60_000
_CONFIRMED_BY = 2
"""Registers that follow on from one which did not go on itself, after which it is believed."""
_REPLAYED_WITHIN_MS = 1000
"""Nobody samples faster: registers nearer to each other were replayed, and the time between them is not known."""


@dataclass(frozen=True, slots=True)
class Correction:
    """The register that a start says upstream in place of its own, and why."""

    register_wh: int
    why: Peculiarity


@dataclass(frozen=True, slots=True)
class Reading:
    wh: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Session:
    """All that is known of a session's registers, but for the stop's own."""

    start_wh: int
    """As the CSMS was told."""
    start_ms: int
    readings: Sequence[Reading]
    """In the order in which they were received."""
    end_ms: int
    """The stop's time, or that by which the session is taken to have ended."""
    most_watts: float
    connector_before: int | None
    """The last plausible register that the connector had before this session."""


@dataclass(frozen=True, slots=True)
class Energy:
    energy_wh: int
    stop_wh: int
    """What the stop has to say: the start's register as the CSMS was told it, plus the energy."""
    corrections: tuple[Peculiarity, ...]
    """What had to help. Without any, `stop_wh` is what the charger said."""
    why_not: str | None
    """Why the energy is not certain."""
    upper_wh: int | None = None
    """The most that it can be, where that is known and not the same."""

    @property
    def is_certain(self) -> bool:
        return self.why_not is None


def is_register(wh: int | None) -> TypeGuard[int]:
    return wh is not None and 0 <= wh < NO_REGISTER


def at_start(said: int | None, connector_before: int | None) -> Correction | None:
    """What a start says upstream instead, if its register is none."""
    if is_register(said):
        return None
    register_wh = connector_before if is_register(connector_before) else 0
    heard = "the start has no register" if said is None else f"the start says {said} Wh, which is no register"
    instead = f"the connector's last, {register_wh} Wh" if register_wh == connector_before else "0 Wh, none is known"
    return Correction(register_wh, Peculiarity(Rule.METER_START_UNKNOWN, f"{heard}: {instead}"))


def of_session(session: Session, stop: int | None) -> Energy:
    """The energy of a session whose stop came."""
    walk = _Walk(session)
    if is_register(stop) and (stop > 0 or walk.course.level.wh == 0):
        walk.end_with(Reading(stop, session.end_ms))
    else:
        walk.end()
        said = "has no register" if stop is None else f"says {stop} Wh, which is no register here"
        walk.rely_on_last(Rule.METER_STOP_UNKNOWN, f"the stop {said}")
    return _as_said(session, stop, walk.energy())


def _as_said(session: Session, stop: int | None, found: Energy) -> Energy:
    """Little that cannot have flowed is no reason to bill otherwise: times may be wrong as well. It is not certain."""
    jumps = {Rule.REGISTER_JUMP_LEFT_OUT, Rule.START_REGISTER_PLACEHOLDER}
    if not is_register(stop) or not found.corrections or not {one.rule for one in found.corrections} <= jumps:
        return found
    left_out_wh = stop - found.stop_wh
    if not 0 <= left_out_wh < LEAST_LEFT_OUT_WH or stop < session.start_wh:
        return found
    return Energy(stop - session.start_wh, stop, (), f"{left_out_wh} Wh of it cannot have flowed in that time")


def of_unfinished(session: Session, next_register: int | None) -> Energy:
    """The energy of a session whose stop never came; `next_register` is the connector's first after it, at `end_ms`."""
    walk = _Walk(session)
    # One that counts from 0 in each session says nothing of the session before.
    following = Reading(next_register, session.end_ms) if is_register(next_register) and next_register > 0 else None
    walk.end(following)
    course = walk.course
    known = _as_said(session, course.level.wh, walk.energy())
    gap_wh = -1 if following is None else following.wh - course.level.wh
    if not known.is_certain:
        return known
    if not 0 <= gap_wh <= max(NEGLIGIBLE_WH, walk.most_wh(session.end_ms - course.since_ms)):
        return replace(known, why_not=f"no stop came: the last register is {course.level.wh} Wh")
    upper_wh = known.energy_wh + gap_wh
    if gap_wh > NEGLIGIBLE_WH:
        return replace(known, why_not=f"no stop came: the next register is {gap_wh} Wh higher", upper_wh=upper_wh)
    return replace(known, energy_wh=upper_wh, stop_wh=session.start_wh + upper_wh)


@dataclass(frozen=True, slots=True)
class _Course:
    """The registers that count so far: segments, each from `base_wh` up to its last level."""

    level: Reading
    since_ms: int
    """When the register began to stand at this level."""
    prior: Reading | None
    """The one before it in the same segment."""
    base_wh: int
    closed_wh: int = 0
    """Energy of the segments before."""
    notes: tuple[Peculiarity, ...] = ()
    why_not: str | None = None
    before: "_Course | None" = None
    """The course at the end of the segment before."""

    @property
    def energy_wh(self) -> int:
        return self.closed_wh + self.level.wh - self.base_wh

    def up_to(self, level: Reading) -> "_Course":
        since_ms = self.since_ms if level.wh == self.level.wh else level.at_ms
        return replace(self, level=level, since_ms=since_ms, prior=self.level)

    def broken(self, run: Sequence[Reading], base_wh: int, why: Peculiarity, why_not: str | None) -> "_Course":
        """A new segment, of registers that do not go on from those before."""
        level, closed_wh, before = run[-1], max(self.energy_wh, 0), replace(self, before=None)
        course = _Course(level, level.at_ms, None, base_wh, closed_wh, self.notes, self.why_not, before)
        return course.noted(why, why_not)

    def noted(self, why: Peculiarity, why_not: str | None) -> "_Course":
        # A few examples are enough of chargers that say nonsense for hours.
        return replace(self, notes=(*self.notes, why)[:5], why_not=self.why_not or why_not)


class _Walk:
    """From register to register, in the order in which they were received."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.lasted_ms = session.end_ms - session.start_ms
        self.latest_ms = session.start_ms
        # The whole session was replayed in a burst, and has the times of that.
        self.is_timeless = self.lasted_ms < _REPLAYED_WITHIN_MS * (len(session.readings) + 1)
        # A start that went up uncorrected may have been no register.
        replaced = at_start(session.start_wh, session.connector_before)
        self.start = Reading(replaced.register_wh if replaced else session.start_wh, session.start_ms)
        self.began = _Course(self.start, session.start_ms, None, self.start.wh)
        if replaced is not None:
            self.began = self.began.noted(replaced.why, "the register at the start is not known")
        self.course = self.began
        self.run: list[Reading] = []
        """Those that wait: each follows on from the one before it, the first not from those that count."""
        for reading in session.readings:
            if is_register(reading.wh) and not self._is_older(reading):
                self._take(reading)

    def _take(self, reading: Reading) -> None:
        course, before = self.course, self.course.before
        is_still = course.level.wh - course.base_wh <= NEGLIGIBLE_WH
        self.latest_ms = max(self.latest_ms, reading.at_ms)
        if self._goes_on(reading):
            self.course, self.run = course.up_to(reading), []
        elif before is not None and is_still and self._can_follow(before.level, reading):
            # The meter could not be read for a while, and the register stood at 0 or something else meanwhile.
            self.course, self.run = before.up_to(reading), []
        elif self.run and self._can_follow(self.run[-1], reading):
            self.run.append(reading)
            if len(self.run) > _CONFIRMED_BY:
                self._believe()
        else:
            self.run = [reading]

    def end(self, following: Reading | None = None) -> None:
        """Nothing comes any more: of those that wait, two that agree are believed, a single one is not.

        Unless the connector's next register, which went on from those that count, is above it: then it lies between.
        """
        if len(self.run) >= _CONFIRMED_BY:
            self._believe()
        elif self.run and following is not None and self._lies_between(self.run[0], following):
            self.course, self.run = self.course.up_to(self.run[0]), []

    def _lies_between(self, reading: Reading, following: Reading) -> bool:
        stood = Reading(self.course.level.wh, self.course.since_ms)
        return stood.wh <= reading.wh <= following.wh and self._can_follow(stood, following)

    def end_with(self, stop: Reading) -> None:
        self._take(stop)
        course, is_alone = self.course, len(self.run) == 1
        beyond_wh, most_wh = stop.wh - self.start.wh - course.energy_wh, self.most_wh(stop.at_ms - course.level.at_ms)
        if is_alone and course.before is not None and -NEGLIGIBLE_WH <= beyond_wh <= most_wh + NEGLIGIBLE_WH:
            # Start and stop are by one register, those between by another, and both say the same energy.
            self.course = replace(self.began, level=stop)
        elif self.run:
            self._believe()

    def rely_on_last(self, rule: Rule, message: str) -> None:
        level = self.course.level
        was_just_read = level is not self.start and abs(self.session.end_ms - level.at_ms) <= JUST_READ_MS
        why_not = None if was_just_read else f"{message}, and no other register was read within a minute of it"
        self.course = self.course.noted(Peculiarity(rule, f"{message}: the last one counts, {level.wh} Wh"), why_not)

    def energy(self) -> Energy:
        course, energy_wh = self.course, max(self.course.energy_wh, 0)
        if course.energy_wh < 0:
            fell = f"register fell from {course.base_wh} to {course.level.wh} Wh: nothing has flowed"
            why_not = None if -course.energy_wh <= NEGLIGIBLE_WH else fell
            course = course.noted(Peculiarity(Rule.REGISTER_RESET, fell), why_not)
        why_not = course.why_not
        if self.is_timeless and energy_wh > self.most_wh(self.lasted_ms):
            why_not = why_not or f"{energy_wh} Wh cannot have flowed in {self.lasted_ms / 1000:g} s, as the times say"
        return Energy(energy_wh, self.session.start_wh + energy_wh, course.notes, why_not)

    def most_wh(self, lasted_ms: int) -> float:
        return most_energy_wh(self.session.most_watts, lasted_ms / 1000)

    def _can_follow(self, before: Reading, reading: Reading) -> bool:
        return 0 <= reading.wh - before.wh <= self.most_wh(reading.at_ms - before.at_ms)

    def _goes_on(self, reading: Reading) -> bool:
        level, prior = self.course.level, self.course.prior or self.course.level
        if reading.wh < level.wh:
            return False
        if self._can_follow(level, reading) or self._can_follow(prior, reading):
            return True
        # One step without time is usual (a value taken with the stop), two are a replay.
        is_replayed = reading.at_ms - min(level.at_ms, prior.at_ms) < _REPLAYED_WITHIN_MS
        most_wh = self.most_wh(self._passed_ms(reading))
        return is_replayed and self.course.energy_wh + reading.wh - level.wh <= most_wh

    def _passed_ms(self, reading: Reading) -> int:
        """What may have passed since the start, where the time since the last register is not known."""
        passed_ms = self.latest_ms - self.session.start_ms
        if self.is_timeless and not self._is_placeholder():
            return max(passed_ms, 86_400_000)  # a day
        return max(passed_ms, self.lasted_ms) if reading.at_ms < self.course.level.at_ms else passed_ms

    def _is_older(self, reading: Reading) -> bool:
        """Whether it was read before the last one that counts, and only came after it."""
        course, earlier_ms = self.course, self.course.level.at_ms - reading.at_ms
        is_between = course.base_wh <= reading.wh <= course.level.wh and reading.at_ms >= self.session.start_ms
        return is_between and earlier_ms > 0 and course.level.wh - reading.wh <= self.most_wh(earlier_ms)

    def _believe(self) -> None:
        """What those that wait mean: at least two, or the stop alone."""
        course, level, run, first = self.course, self.course.level, self.run, self.run[0]
        is_alone, jumped, self.run = len(run) == 1, f"register jumped from {level.wh} to {first.wh} Wh", []
        if first.wh < level.wh:
            self.course = self._fallen(run)
        elif first.wh - level.wh <= self.most_wh(first.at_ms - course.since_ms):
            # The meter may not have been read for a while: its register stood still, and then caught up.
            why_not = f"the register stood at {level.wh} Wh until the stop said {first.wh} Wh" if is_alone else None
            self.course = replace(course.up_to(run[-1]), prior=None, why_not=course.why_not or why_not)
        elif self._is_placeholder():
            self.course = self._begun_late(run)
        elif is_alone:
            self.rely_on_last(Rule.REGISTER_JUMP_LEFT_OUT, f"{jumped} at the stop, beyond physics")
        else:
            why = Peculiarity(Rule.REGISTER_JUMP_LEFT_OUT, f"{jumped}, which is left out")
            self.course = course.broken(run, first.wh, why, f"{jumped}: what flowed meanwhile is not known")

    def _fallen(self, run: Sequence[Reading]) -> _Course:
        course, level, prior, first = self.course, self.course.level, self.course.prior, run[0]
        gap_ms = first.at_ms - level.at_ms
        is_from_0 = first.wh <= self.most_wh(gap_ms if gap_ms >= 0 else self._passed_ms(first))
        # Samples may be rounded where start and stop are not.
        least_wh = max(level.wh - NEGLIGIBLE_WH, level.wh / 2)
        is_rounded = first.wh >= least_wh and (level is not self.start or len(run) > 1)
        could_follow = prior is not None and self._can_follow(prior, first)
        # Else the last that counted was an outlier, within what physics allow.
        is_reset = is_from_0 and (prior is None or self._can_follow(prior, level))
        if is_rounded or (could_follow and not is_reset):
            return replace(course.up_to(run[-1]), prior=None)
        base_wh = 0 if is_from_0 else first.wh
        unread_wh = self.session.most_watts * gap_ms / 3_600_000 - first.wh
        is_known = is_from_0 and gap_ms >= 0 and unread_wh <= NEGLIGIBLE_WH
        fell = f"register fell from {level.wh} to {first.wh} Wh"
        why = Peculiarity(Rule.REGISTER_RESET, f"{fell}, and counts from {base_wh}")
        return course.broken(run, base_wh, why, None if is_known else f"{fell}: what flowed meanwhile is not known")

    def _is_placeholder(self) -> bool:
        """Whether a start of 0, and all since, may have been said before the meter was read."""
        return self.start.wh == 0 and self.course.level.wh == 0 and self.course.closed_wh == 0

    def _begun_late(self, run: Sequence[Reading]) -> _Course:
        first, last = run[0], self.session.connector_before
        is_known = is_register(last) and self._can_follow(Reading(last, self.start.at_ms), first)
        base_wh = last if is_known and last is not None else first.wh
        message = f"the start said 0, the next register {first.wh} Wh: the energy counts from {base_wh}"
        why = Peculiarity(Rule.START_REGISTER_PLACEHOLDER, message)
        return self.course.broken(run, base_wh, why, None if is_known else "the register at the start is not known")

"""What became of a charging session's time, by what was observed of it: gapless intervals, and the driver's idle time.

In come statuses, meter values, the link, boots and the site's limit, each with the time at which it happened: what is
told late, of a time without link, counts for that time. Out come intervals that say who made a pause (ocpp-rules.md
E.11). Guarantee: nothing is billed as idle without evidence, nor while the site offered less than the charger needs.

Statuses outrank values. Values (`edge/domain/stillness.py`) decide where no status does, and where the charger says
`Charging` while nothing flows. Before the first status or energy a session is `interrupted`: nobody said why it waits.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter
from typing import assert_never

from edge.domain.events import AVAILABLE, CHARGING, FINISHING
from edge.domain.pieces import FLAP_MS, Kind, Piece, Span, State, split, without_flaps
from edge.domain.stillness import Value, flowing, register_patience_ms, still_watts, with_flow, with_stillness

SITE_HOLD_MS = 10_000
"""So long after the site's limit is lifted a pause is still the site's: the car needs time to go on."""


@dataclass(frozen=True, slots=True)
class Session:
    """Times in ms since 1970, as all here."""

    started_ms: int
    ended_ms: int | None
    """The stop; None: it goes on."""
    now_ms: int
    least_amperes: float = 6.0
    """What the charger needs to charge at all (IEC 61851: 6 A)."""
    followed_ms: int | None = None
    """When the connector's next session began."""


@dataclass(frozen=True, slots=True)
class StatusSeen:
    at_ms: int
    evidence: str
    status: str
    """As 1.6 §7.7 spells it."""


@dataclass(frozen=True, slots=True)
class PowerSeen:
    at_ms: int
    evidence: str
    power_w: float | None = None
    current_a: float | None = None
    register_wh: int | None = None


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """The charger's connection came or went."""

    at_ms: int
    evidence: str
    is_up: bool


@dataclass(frozen=True, slots=True)
class LimitSeen:
    at_ms: int
    evidence: str
    amperes: float | None
    """What the site allows this connector per phase; None: no limit."""


@dataclass(frozen=True, slots=True)
class Booted:
    at_ms: int
    evidence: str


_Told = StatusSeen | Value | LinkSeen | Booted
Observation = StatusSeen | PowerSeen | LinkSeen | LimitSeen | Booted


@dataclass(frozen=True, slots=True)
class Interval:
    kind: Kind
    from_ms: int
    until_ms: int | None
    """None: it goes on."""
    billable_idle: bool
    is_inferred: bool
    """That the car paused was, at least for a part, told by values only."""
    evidence: tuple[str, ...]
    """Of what the observations say; at most the first 20."""


@dataclass(frozen=True, slots=True)
class Account:
    intervals: tuple[Interval, ...]
    idle_s: int
    """Of the billable intervals together, a part of a second not counted."""
    idle_from_ms: int | None
    """When the first one began; None: there is none."""
    idle_until_ms: int | None
    """When the last one ended; None also when it goes on."""


_BY_STATUS = {
    CHARGING: Kind.CHARGING,
    "SuspendedEV": Kind.PAUSED_BY_CAR,
    "SuspendedEVSE": Kind.PAUSED_BY_SITE,
    FINISHING: Kind.IDLE,
}
"""All others are interruptions, also words that 1.6 does not know."""
_NOT_YET = frozenset({AVAILABLE, "Preparing", "Reserved"})
"""Inside a session they are late or wrong: energy that flows is believed instead."""


def account(session: Session, observations: Sequence[Observation]) -> Account:
    """Of observations of the same time the one received later counts: they come in the order of receipt."""
    session = _in_order(session)
    ordered = sorted((seen for seen in observations if not _is_of_another(session, seen)), key=attrgetter("at_ms"))
    end_ms, goes_on = _end(session, ordered)
    told = _read(session, (seen for seen in ordered if goes_on or seen.at_ms <= end_ms))
    values = [one for one in told if isinstance(one, Value)]
    shows_flow = flowing(values)
    pieces = with_flow(without_flaps(_course(session, told, shows_flow, end_ms)), values, shows_flow)
    withheld = split(pieces, _withheld(session, ordered, end_ms))
    pieces = [replace(piece, withheld_by=None if span is None else span.evidence[0]) for piece, span in withheld]
    paused = with_stillness(pieces, values, register_patience_ms(values, session.least_amperes))
    return _summed(without_flaps(map(_blamed, paused)), goes_on=goes_on)


def _in_order(session: Session) -> Session:
    """The same with start, stop, next start and now one after the other, whatever the clocks say."""
    now_ms = max(session.now_ms, session.started_ms)
    ended_ms, followed_ms = session.ended_ms, session.followed_ms
    ended_ms = None if ended_ms is None else min(max(ended_ms, session.started_ms), now_ms)
    followed_ms = None if followed_ms is None or ended_ms is None else min(max(followed_ms, ended_ms), now_ms)
    return replace(session, ended_ms=ended_ms, now_ms=now_ms, followed_ms=followed_ms)


def _is_of_another(session: Session, seen: Observation) -> bool:
    """Of the connector's next session, or idling from well before this one, whose time may as well be garbage."""
    if session.followed_ms is not None and seen.at_ms >= session.followed_ms:
        return True
    is_early = seen.at_ms < session.started_ms - FLAP_MS
    return is_early and isinstance(seen, StatusSeen) and seen.status in ("SuspendedEV", FINISHING)


def _end(session: Session, ordered: Iterable[Observation]) -> tuple[int, bool]:
    """Until when there is something to tell, and whether that goes on: after the stop while a car is seen there."""
    ended_ms = session.ended_ms
    if ended_ms is None:
        return session.now_ms, True
    is_there = False
    for seen in ordered:
        if not isinstance(seen, StatusSeen):
            continue
        if seen.at_ms <= ended_ms or seen.status == FINISHING:
            is_there = seen.status == FINISHING
        elif seen.status in _NOT_YET or seen.status == "Unavailable" or (is_there and seen.status != "Faulted"):
            return (min(seen.at_ms, session.now_ms) if is_there else ended_ms), False
    if not is_there:
        return ended_ms, False
    return (session.now_ms, True) if session.followed_ms is None else (session.followed_ms, False)


def _read(session: Session, ordered: Iterable[Observation]) -> list[_Told]:
    """What the charger told, with times inside the session, its values beside what it was offered at that time."""
    told: list[_Told] = []
    still_w = still_watts(None, session.least_amperes)
    for seen in ordered:
        at_ms = min(max(seen.at_ms, session.started_ms), session.now_ms)
        if isinstance(seen, LimitSeen):
            still_w = still_watts(seen.amperes, session.least_amperes)
        elif not isinstance(seen, PowerSeen):
            told.append(replace(seen, at_ms=at_ms))
        elif session.ended_ms is None or seen.at_ms <= session.ended_ms:
            value = Value(at_ms, seen.evidence, seen.power_w, seen.current_a, seen.register_wh, still_w)
            told += [value] if value.tells_enough else []
    return told


def _withheld(session: Session, ordered: Iterable[Observation], end_ms: int) -> Iterator[Span]:
    """When the site offered less than the charger needs, and a little longer."""
    low: LimitSeen | None = None
    for seen in ordered:
        if not isinstance(seen, LimitSeen):
            continue
        is_low = seen.amperes is not None and not seen.amperes >= session.least_amperes
        if is_low and low is None:
            low = seen
        elif low is not None and not is_low:
            yield Span(low.at_ms, seen.at_ms + SITE_HOLD_MS, (low.evidence,))
            low = None
    if low is not None:
        yield Span(low.at_ms, max(low.at_ms, end_ms), (low.evidence,))


class _Course:
    """What goes on by statuses, link and boots, and by energy where these say nothing."""

    def __init__(self, session: Session) -> None:
        self._ended_ms = session.ended_ms
        self._has_ended = False
        self._said = State(Kind.INTERRUPTED, (), is_open=True, gives_way=True)
        self._away: State | None = None
        self._alive_ms = session.started_ms
        """The last sign of life of the charger."""
        self._alive_by: tuple[str, ...] = ()
        self.marks: list[tuple[int, State]] = []
        self._mark(session.started_ms)

    def take(self, told: _Told, *, shows_flow: bool) -> None:
        if not self._has_ended and self._ended_ms is not None and told.at_ms > self._ended_ms:
            self._end(self._ended_ms)
        match told:
            case StatusSeen():
                self._away, self._said = None, self._state(told)
            case Value():
                if shows_flow and (self._away is not None or self._said.gives_way):
                    self._said = State(Kind.CHARGING, (told.evidence,))
            case LinkSeen(is_up=True):
                # No sign of life: before each boot the link comes back.
                self._away = None
                self._mark(told.at_ms)
                return
            case LinkSeen():
                self._away = State(Kind.OFFLINE, (told.evidence,), is_open=True)
            case Booted():
                self._boot(told)
            case _:
                assert_never(told)
        self._mark(told.at_ms)
        self._alive_ms, self._alive_by = told.at_ms, (told.evidence,)

    def _mark(self, at_ms: int) -> None:
        self.marks.append((at_ms, self._away or self._said))

    def _state(self, seen: StatusSeen) -> State:
        kind = _BY_STATUS.get(seen.status, Kind.INTERRUPTED)
        if self._has_ended and kind is not Kind.IDLE:
            kind = Kind.INTERRUPTED
        is_open = seen.status in _NOT_YET
        return State(kind, (seen.evidence,), is_open=is_open, gives_way=is_open)

    def _boot(self, seen: Booted) -> None:
        """Nobody knows what was since the last sign of life, also not what seemed to go on then."""
        while self.marks and self.marks[-1][0] >= self._alive_ms:
            self.marks.pop()
        self._away = None
        self._said = State(Kind.INTERRUPTED, (*self._alive_by, seen.evidence), gives_way=True)
        self._mark(self._alive_ms)

    def _end(self, at_ms: int) -> None:
        """After the stop a car idles only where it is said."""
        self._has_ended = True
        if self._said.kind is not Kind.IDLE:
            self._said = State(Kind.INTERRUPTED, ())
        self._mark(at_ms)
        self._alive_ms, self._alive_by = at_ms, ()


def _course(session: Session, told: Iterable[_Told], shows_flow: set[Value], end_ms: int) -> list[Piece]:
    course = _Course(session)
    for one in told:
        course.take(one, shows_flow=one in shows_flow)
    marks = [*course.marks, (end_ms, course.marks[-1][1])]
    return [Piece(at, until, state) for (at, state), (until, _) in pairwise(marks) if at < until]


def _blamed(piece: Piece) -> Piece:
    """A car that pauses while the site withholds is paused by the site."""
    if piece.state.kind is not Kind.PAUSED_BY_CAR or piece.withheld_by is None:
        return piece
    return replace(piece, state=State(Kind.PAUSED_BY_SITE, (*piece.state.evidence, piece.withheld_by)))


def _summed(pieces: Sequence[Piece], *, goes_on: bool) -> Account:
    intervals = [
        Interval(
            piece.state.kind, piece.from_ms, piece.until_ms, piece.is_billable, piece.is_inferred, piece.state.evidence
        )
        for piece in pieces
    ]
    idle_ms = sum(piece.until_ms - piece.from_ms for piece in pieces if piece.is_billable)
    if goes_on and intervals:
        intervals[-1] = replace(intervals[-1], until_ms=None)
    idle = [one for one in intervals if one.billable_idle]
    begin_ms, end_ms = (idle[0].from_ms, idle[-1].until_ms) if idle else (None, None)
    return Account(tuple(intervals), idle_ms // 1000, begin_ms, end_ms)

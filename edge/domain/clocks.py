"""How far a charger's clock is from ours, and by how much the times in its messages are moved for the CSMS.

Times of chargers go in, each with the moment (ours) at which it came; the offset of the clock, its class and the
movement of one message come out. All are milliseconds since 1970, UTC. Nothing here reads a clock, and no integer
makes it raise. Every correction of a time is decided here (ocpp-rules.md E.8, decided.md): only local time sent as
UTC, and the time of a clock that was never set. A drift passes as received, and so does what is wrong otherwise.

**Live or replayed?** A message never comes before it was written, so that each difference is the clock's offset less
the delay: live messages have the largest differences, those of a queue lie behind. A single one tells nothing: five
hours old at UTC-5 is local time or a replay. Therefore nothing is asked of the link ("up for ten seconds" would only
guess when a queue is through), and the differences must agree: three within ten seconds, received over a minute, none
ahead of them since. A queue that is sent faster than it was recorded cannot do that, as its delay shrinks. What could
is a queue that is sent exactly as slowly as it was recorded, on a charger that says nothing live for all that time;
whoever is live, a status for instance, is ahead of it and ends it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.transactions import OLDEST_BELIEVED_YEAR

_SECOND, _MINUTE, _QUARTER, _HOUR, _DAY = 1000, 60_000, 900_000, 3_600_000, 86_400_000

OK_MS = 5 * _SECOND
"""A clock that is off by no more is right: chargers tell whole seconds, and the network takes some."""
DRIFT_MS = 120 * _SECOND
"""A clock that is off by no more drifts, and passes as received (decided.md)."""
LOCAL_MS = 90 * _SECOND
"""How far a clock in local time may drift on top of its zone."""
AHEAD_MS = 60 * _SECOND
"""So far after now may a time be that we put there ourselves (E.8, the invariant)."""

MOST_KEPT = 7
_OTHERS_KEPT = 3
"""Of those, what does not agree: enough for a clock that was set to be believed, too few for a queue to flood."""
_AGREE_MS = 10 * _SECOND
_FEWEST, _SPAN_MS = 3, _MINUTE
_APART_MS = _SPAN_MS // (_FEWEST - 1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1_MS = round((datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * 1000
_BELIEVED_FROM_MS = round(datetime(OLDEST_BELIEVED_YEAR, 1, 1, tzinfo=UTC).timestamp()) * 1000


def is_unset(charger_ms: int) -> bool:
    """Whether only a clock that was never set says this time."""
    return charger_ms < _BELIEVED_FROM_MS


# How far: differences that agree


@dataclass(frozen=True, slots=True)
class Offset:
    """One measurement: the latest time in a message, as it came."""

    seen_ms: int
    """When it came, by our clock; only while that is trusted."""
    by_ms: int
    """The time in the message less `seen_ms`: the clock's offset less the message's delay."""


def kept(offsets: Sequence[Offset], new: Offset) -> tuple[Offset, ...]:
    """What is worth remembering, the oldest first: at most seven, of which four agree if any do.

    Else the hundreds of a replayed queue would drive out what is known just when it is needed. One that says the same
    as another of the last half minute says nothing new: with values every five seconds seven would span no minute.
    """
    if any(_agree(one, new) and abs(new.seen_ms - one.seen_ms) < _APART_MS for one in offsets):
        return tuple(offsets)
    these = (*offsets, new)
    while len(these) > MOST_KEPT:
        agreeing = _agreeing(these)
        others = [at for at in range(len(these)) if at not in agreeing]
        gone = others[0] if len(others) > _OTHERS_KEPT or not agreeing else agreeing[0]
        these = (*these[:gone], *these[gone + 1 :])
    return these


def after_boot(offsets: Sequence[Offset]) -> tuple[Offset, ...]:
    """What still holds once the charger has booted: a clock that is not set begins anew with each boot."""
    return tuple(one for one in offsets if not is_unset(one.seen_ms + one.by_ms))


def estimate(offsets: Sequence[Offset]) -> int | None:
    """By how much the clock is ahead of ours (ms; negative: behind): the median of those that agree, the newest first.

    None: not known. A clock that was set forward is unknown from then on until three agree; of one that was set back
    the old offset is kept for so long, because its first new times look like late ones.
    """
    found = sorted(offsets[at].by_ms for at in _agreeing(offsets))
    return found[len(found) // 2] if found else None


def _agree(one: Offset, other: Offset) -> bool:
    return abs(one.by_ms - other.by_ms) <= _AGREE_MS


def _agreeing(offsets: Sequence[Offset]) -> list[int]:
    """The places of the newest ones that agree well enough to be believed, ascending; empty: none do."""
    for newest in range(len(offsets) - 1, -1, -1):
        found: list[int] = []
        for at in range(newest, -1, -1):
            if _agree(offsets[at], offsets[newest]):
                found.insert(0, at)
        # Who is ahead came sooner after it was written: those before it were late, or the clock has been set since.
        ahead = [at for at, one in enumerate(offsets) if one.by_ms > offsets[newest].by_ms + _AGREE_MS]
        found = [at for at in found if not ahead or at > ahead[-1]]
        if len(found) >= _FEWEST and offsets[found[-1]].seen_ms - offsets[found[0]].seen_ms >= _SPAN_MS:
            return found
    return []


# What that means


class Clock(StrEnum):
    """What is known of a charger's clock.

    A text without a zone is read as UTC (`dialects/timestamps.py`): a charger that leaves the zone out is LOCAL if it
    means local time and OK if it means UTC, by its offset. It needs no class of its own.
    """

    UNKNOWN = "unknown"
    OK = "ok"
    DRIFT = "drift"
    LOCAL = "local"
    """Local time of the site where UTC is said."""
    UNSET = "unset"
    """Never set: 1970, or the year its maker has chosen."""
    WRONG = "wrong"
    """Set, and neither right nor local time."""


def classify(offset_ms: int | None, seen_ms: int, zone_offsets_s: Sequence[int]) -> Clock:
    """What kind of clock differs from ours by `offset_ms` at `seen_ms`.

    `zone_offsets_s`: what the site's zone is ahead of UTC in winter and in summer; chargers change late, or never.
    """
    if offset_ms is None:
        return Clock.UNKNOWN
    if is_unset(seen_ms + offset_ms):
        return Clock.UNSET
    if abs(offset_ms) <= OK_MS:
        return Clock.OK
    if abs(offset_ms) <= DRIFT_MS:
        return Clock.DRIFT
    if any(abs(offset_ms - zone * _SECOND) <= LOCAL_MS for zone in zone_offsets_s):
        return Clock.LOCAL
    return Clock.WRONG


# What is told to the CSMS


@dataclass(frozen=True, slots=True)
class Move:
    """All times of a message are to be `by_ms` later (negative: earlier), and why, for technicians."""

    by_ms: int
    why: Peculiarity


def moved_by(
    times_ms: Sequence[int], estimate_ms: int | None, clock: Clock, previous_ms: int | None, now_ms: int
) -> Move | None:
    """By how much one message of a session is moved; None: it passes as received.

    `times_ms`: all times in it. `estimate_ms`, `clock`: what is known of the charger, one of the same moment as the
    other. `previous_ms`: the latest time of this session that the CSMS gets, moved or not. `now_ms`: when it came.

    A replayed message is moved by as much as a live one. Times of the message keep their distances; that is why one
    with set and unset times passes: no single movement is right for both.

    A session is told in one way from start to end (decided.md): whoever calls says UNKNOWN for the rest of one whose
    start passed as received, else it would last as much longer or shorter as the zone is wide. While nothing newer is
    known, the estimate of the start stays; for an unset clock that is minus the start's own movement.
    """
    unset = sum(1 for one in times_ms if is_unset(one))
    if not times_ms or 0 < unset < len(times_ms):
        return None
    if unset:
        return _as_unset(min(times_ms), max(times_ms), estimate_ms, previous_ms, now_ms)
    if clock is Clock.LOCAL and estimate_ms is not None:
        return _as_local(min(times_ms), max(times_ms), estimate_ms, previous_ms, now_ms)
    return None


def _as_local(first_ms: int, last_ms: int, estimate_ms: int, previous_ms: int | None, now_ms: int) -> Move | None:
    """Whole quarter hours, as zones have them, so that the seconds stay the charger's own.

    The clock may have been set since it was measured: then this leads out of the session or past now. In the night in
    which summer begins or ends, one hour beside is just now. All else passes, whether or not the time as received is
    possible: a guess would not make it better.
    """
    zone = (estimate_ms + _QUARTER // 2) // _QUARTER * _QUARTER
    # Either way by no more than a drift, which passes as received, too: LOCAL allows for one on top of the zone, and
    # a stop a second before the last value is no evidence of a clock that was set.
    other_season = [one for one in (zone + _HOUR, zone - _HOUR) if abs(last_ms - one - now_ms) <= DRIFT_MS]
    for ahead in (zone, *other_season):
        follows = previous_ms is None or first_ms - ahead >= previous_ms - DRIFT_MS
        if follows and last_ms - ahead <= now_ms + DRIFT_MS:
            if ahead == 0:
                return None
            where = f"{_duration(ahead)} {'ahead of' if ahead > 0 else 'behind'} UTC: local time"
            return Move(-ahead, Peculiarity(Rule.LOCAL_TIME_SENT, where))
    return None


def _as_unset(first_ms: int, last_ms: int, estimate_ms: int | None, previous_ms: int | None, now_ms: int) -> Move:
    """As the clock lags, if that is known; else as if its last time were now. Not before the session's previous one.

    An estimate is only of use if it is that of an unset clock, and of this one: others begin in 1970, 2000 or 2018.
    """
    by, how = now_ms - last_ms, "the last time is that of its arrival"
    is_known = estimate_ms is not None and is_unset(now_ms + estimate_ms) and not is_unset(last_ms - estimate_ms)
    if is_known and estimate_ms is not None and -estimate_ms < by:
        by, how = -estimate_ms, f"{_duration(estimate_ms)} behind, as measured"
    if previous_ms is not None and first_ms + by < previous_ms:
        by, how = max(by, min(previous_ms - first_ms, now_ms + AHEAD_MS - last_ms)), "follows the time before"
    said = (_EPOCH + timedelta(milliseconds=max(first_ms, _YEAR_1_MS))).date()
    return Move(by, Peculiarity(Rule.TIME_OF_UNSET_CLOCK, f"clock not set, says {said}: {how}"))


def _duration(milliseconds: int) -> str:
    """`2 h`, `5 h 45 min`, `20778 d`."""
    minutes = abs(milliseconds) // _MINUTE
    if minutes * _MINUTE >= _DAY:
        return f"{minutes * _MINUTE // _DAY} d"
    parts = ((minutes // 60, "h"), (minutes % 60, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 min"

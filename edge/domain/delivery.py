"""Whose turn it is upstream, and what becomes of a message that the CSMS refuses.

One queue per upstream connector, strictly in order; the connectors take turns. A round serves each connector with
something to send once; in it, those whose head is a start or a stop go first, so that a driver who plugs in after a
long outage waits for one round at most (architecture, "Order upstream").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Lane: TypeAlias = int
"""Upstream connector number; 0 is the station's own meter values."""


class Order(StrEnum):
    """`[uplink] order`."""

    FAIR = "fair"
    CHRONOLOGICAL = "chronological"


@dataclass(frozen=True, slots=True)
class Head:
    """The oldest message of a lane."""

    seq: int
    is_start_or_stop: bool
    ready_at: float
    """Monotonic seconds before which it must not be sent (again)."""


@dataclass(slots=True)
class Turns:
    """Which lane is served next. Keeps who was served in this round."""

    order: Order = Order.FAIR
    _served: set[Lane] = field(default_factory=set)

    def choose(self, heads: Mapping[Lane, Head], now: float) -> Lane | None:
        """The lane whose head is to be sent now; None when none may be."""
        if self.order is Order.CHRONOLOGICAL:
            # 1.6 §3.7: one order for the whole charge point; a message that waits holds up all later ones.
            oldest = min(heads, key=lambda lane: heads[lane].seq, default=None)
            return None if oldest is None or heads[oldest].ready_at > now else oldest
        ready = {lane: head for lane, head in heads.items() if head.ready_at <= now}
        candidates = {lane: head for lane, head in ready.items() if lane not in self._served}
        if not candidates:
            self._served.clear()
            candidates = ready
        if not candidates:
            return None
        chosen = min(candidates, key=lambda lane: (not candidates[lane].is_start_or_stop, candidates[lane].seq))
        self._served.add(chosen)
        return chosen

    def to_come(self, heads: Mapping[Lane, Head]) -> list[Lane]:
        """The lanes in the order in which they will be served if nothing changes, each once at most."""
        if self.order is Order.CHRONOLOGICAL:
            return sorted(heads, key=lambda lane: heads[lane].seq)[:1]
        return sorted(heads, key=lambda lane: (lane in self._served, not heads[lane].is_start_or_stop, heads[lane].seq))

    def next_ready(self, heads: Mapping[Lane, Head]) -> float | None:
        """When a lane may be served again."""
        if self.order is Order.CHRONOLOGICAL and heads:
            return min(heads.values(), key=lambda head: head.seq).ready_at
        return min((head.ready_at for head in heads.values()), default=None)


TOGETHER_AT_MOST = 20
"""Entries of `meterValue` in one message."""
OCTETS_TOGETHER_AT_MOST = 16 * 1024
"""Of the messages whose values share one."""


@dataclass(slots=True)
class Company:
    """How many entries of meter values may share a message with this CSMS, as far as its refusals tell.

    Refused once: half of them. Refused again before one was taken: one at a time. A message without an answer proves
    nothing, because links break; the second one in a row counts as a refusal, since there are clouds that hang up on
    what is too long for them.
    """

    _most: int = TOGETHER_AT_MOST
    _refused: int = 0
    """In a row."""
    _most_answered: int = TOGETHER_AT_MOST
    _unanswered: int = 0
    """In a row, also over several connections."""
    _was_taken: bool = False
    """A message with company, on this connection; one without, where none may have any."""

    @property
    def most(self) -> int:
        return min(self._most, self._most_answered)

    def begin(self) -> None:
        """A new connection: what was refused on the last one is tried again; what had ended it is not."""
        self._most, self._refused = TOGETHER_AT_MOST, 0
        if self._was_taken and not self._unanswered:
            self._most_answered = TOGETHER_AT_MOST if self._most_answered > 1 else 2
        self._was_taken = False

    def taken(self) -> None:
        """The CSMS has taken values that shared a message."""
        self._refused = self._unanswered = 0
        self._was_taken = True

    def taken_alone(self) -> None:
        """The CSMS has taken values that came alone: where they had to, two may be tried on the next connection."""
        if self._most_answered == 1:
            self._unanswered = 0
            self._was_taken = True

    def refused(self, entries: int) -> None:
        """It has answered so many of them with CALLERROR."""
        self._refused += 1
        self._most = fewer(entries) if self._refused == 1 else 1

    def unanswered(self, entries: int) -> None:
        """It has not answered so many of them, or the connection ended before it did."""
        self._unanswered += 1
        if self._unanswered > 1:
            self._most_answered = fewer(entries)

    def cleared(self) -> None:
        """One of the values was refused when it came alone, too: it was not the company."""
        self._most, self._refused = TOGETHER_AT_MOST, 0


def fewer(entries: int) -> int:
    """How many are tried next, after so many were refused."""
    return max(1, entries // 2)


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """Keys of the station (1.6 §9.1)."""

    attempts: int = 5
    """TransactionMessageAttempts."""
    interval: float = 60.0
    """TransactionMessageRetryInterval, seconds."""


BACK_OFF_FIRST = 5.0
BACK_OFF_MOST = 300.0


class Consequence(StrEnum):
    RETRY = "retry"
    SEND_WITHOUT_FORBIDDEN = "send_without_forbidden"
    PARK = "park"


@dataclass(frozen=True, slots=True)
class AfterFailure:
    consequence: Consequence
    wait: float = 0.0
    """Seconds before the next sending."""


def after_refusal(attempts: int, *, is_repairable: bool, was_repaired: bool, settings: RetrySettings) -> AfterFailure:
    """What follows the `attempts`-th permanent refusal; transient ones and silence back off for ever instead.

    A payload with what the schema forbids is sent once more without it, then parked (decided.md). Between attempts
    1.6 §3.7.1 asks for interval x transmissions so far.
    """
    if was_repaired:
        return AfterFailure(Consequence.PARK)
    if is_repairable:
        return AfterFailure(Consequence.SEND_WITHOUT_FORBIDDEN)
    if attempts >= settings.attempts:
        return AfterFailure(Consequence.PARK)
    return AfterFailure(Consequence.RETRY, settings.interval * attempts)


def back_off(failures: int) -> float:
    """Seconds to wait after the n-th transient failure in a row: 5, 10, 20 … 300."""
    return min(BACK_OFF_MOST, BACK_OFF_FIRST * 2.0 ** min(failures - 1, 10))

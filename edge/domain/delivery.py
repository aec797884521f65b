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

    def next_ready(self, heads: Mapping[Lane, Head]) -> float | None:
        """When a lane may be served again."""
        if self.order is Order.CHRONOLOGICAL and heads:
            return min(heads.values(), key=lambda head: head.seq).ready_at
        return min((head.ready_at for head in heads.values()), default=None)


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

"""How often which rule concerned which charger, and which make of chargers: counted since our start, logged rarely.

Each link counts into its charger's `Tally` (it outlives the link, `roster.Presence`), and the fleet's counters stand
beside it, by vendor, model and firmware: what a whole model does is no fault of one box.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

import structlog

from edge.chargers.refusals import Allowance
from edge.domain.clocks import Offset
from edge.domain.field_guide import kind_of
from edge.domain.ids import ChargerId, Make
from edge.domain.peculiarities import Kind
from edge.store.charger_clocks import KnownClock

LOGGED_EVERY = 3600.0
"""Seconds between two lines about the same rule and charger."""
MAKES_AT_MOST = 256
"""More are counted together: a stranger may call himself anything."""
HEARD_AT_MOST = 128
"""Message ids of a charger that are remembered."""


class Tally(Protocol):
    """Where is counted what is odd about one charger."""

    refused_messages: Counter[str]
    tolerances: Counter[str]
    """Tolerances and findings alike, by rule."""
    written: Counter[str]
    make: Make
    """As its last BootNotification said."""
    logged_at: dict[str, float]
    """Rule → monotonic time of the last line about it."""
    refused_kept: Allowance
    """What may still be kept of its refused texts."""
    clock_offsets: tuple[Offset, ...]
    """How its clock differed from ours in the last messages."""
    clock: KnownClock
    heard: dict[str, int]
    """Message id → hash of the text of its last use, on this connection or an earlier one."""


class FleetTally:
    """The counters of all chargers of one make together."""

    def __init__(self) -> None:
        self._counts: dict[Make, Counter[str]] = {}
        self._log = structlog.get_logger("edge.chargers")

    def count(self, charger: ChargerId, tally: Tally, rules: Iterable[str], now: float) -> None:
        """These rules concerned a message of the charger; `now` is monotonic."""
        for rule in rules:
            tally.tolerances[rule] += 1
            self._of(tally.make)[rule] += 1
            last = tally.logged_at.get(rule)
            if last is None or now - last >= LOGGED_EVERY:
                tally.logged_at[rule] = now
                make = tally.make
                self._log.warning(
                    "peculiarity",
                    rule=rule,
                    kind=str(kind_of(rule)),
                    times=tally.tolerances[rule],
                    charger=charger,
                    vendor=make.vendor,
                    model=make.model,
                    firmware=make.firmware,
                )

    def _of(self, make: Make) -> Counter[str]:
        if make not in self._counts and len(self._counts) >= MAKES_AT_MOST:
            make = Make()
        return self._counts.setdefault(make, Counter())

    def of(self, make: Make) -> Counter[str]:
        """What was counted for this vendor, model and firmware."""
        return Counter(self._counts.get(make, {}))


def split(counts: Counter[str]) -> tuple[dict[str, int], dict[str, int]]:
    """(Tolerances, findings)."""
    tolerances = {rule: times for rule, times in counts.items() if kind_of(rule) is Kind.TOLERANCE}
    return tolerances, {rule: times for rule, times in counts.items() if rule not in tolerances}


def is_id_repeated(tally: Tally, message_id: str, text: str) -> bool:
    """Whether the id was used before for something else, on this connection or an earlier one."""
    now = hash(text)
    before = tally.heard.pop(message_id, now)
    tally.heard[message_id] = now
    if len(tally.heard) > HEARD_AT_MOST:
        del tally.heard[next(iter(tally.heard))]
    return before != now

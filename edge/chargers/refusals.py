"""What a charger said and was refused: its text is kept in the journal, with the CALLERROR that it got.

A CALLERROR makes some chargers drop the message (ocpp-rules.md J.2, 108), and then ours is the only copy. So a start or
a stop that nobody could read is on the disk before it is refused; anything else rides in the next commit. Chargers that
are refused all the time must not fill the disk: what is more than an `Allowance` is counted only; but a start or a stop
is then not refused either (no answer, the link is closed), so that its charger keeps it. Those that are kept outlive a
filling store (`exchange.ONLY_COPY`).
"""

from dataclasses import dataclass

from edge.dialects.v16 import commands as dialect
from edge.dialects.v16 import observe
from edge.domain.ids import ChargerNo
from edge.domain.peculiarities import Rule
from edge.ocppj.frames import CHARGER_LIMITS, encode_json
from edge.store.exchange import ONLY_COPY, Kind, Moment, NewExchange

HOUR = 3600.0
KEPT_PER_HOUR = 64 * 1024
"""Characters of a charger's refused texts, but for starts and stops."""
BILLING_KEPT_PER_HOUR = CHARGER_LIMITS.max_characters
"""The same of starts and stops: the longest there may be fits."""
WAITING_AT_MOST = 32
"""Refused texts of a link that may wait for the disk."""


@dataclass(frozen=True, slots=True)
class RefusedText:
    """A CALL, or what may have been meant as one; never an answer, which may hold a secret that was asked for."""

    text: str
    rule: Rule
    why: str
    answer: str | None
    """The CALLERROR; None: none was due."""
    action: str | None = None
    message_id: str | None = None

    @property
    def is_billing(self) -> bool:
        """Whether it is a start or a stop, or may have been meant as one."""
        return any(name in (self.text if self.action is None else self.action) for name in observe.STARTS_AND_STOPS)


@dataclass(slots=True)
class Allowance:
    """Characters of one charger that may still be kept in this hour."""

    since: float | None = None
    """Monotonic."""
    left: int = 0
    billing_left: int = 0

    def takes(self, refused: RefusedText, now: float) -> bool:
        """Whether it fits; if so, it counts."""
        if self.since is None or now - self.since >= HOUR:
            self.since, self.left, self.billing_left = now, KEPT_PER_HOUR, BILLING_KEPT_PER_HOUR
        left = (self.billing_left if refused.is_billing else self.left) - len(refused.text)
        if left < 0:
            return False
        if refused.is_billing:
            self.billing_left = left
        else:
            self.left = left
        return True


def row_of(refused: RefusedText, charger: ChargerNo, version: str, at: Moment) -> NewExchange:
    """For the journal."""
    return NewExchange(
        at,
        charger,
        Kind.CHARGER_CALL,
        refused.text if refused.is_billing else dialect.without_any_secret(refused.text),
        action=refused.action,
        message_id=refused.message_id,
        version=version,
        answer=refused.answer,
        notes=_notes(refused),
    )


def _notes(refused: RefusedText) -> str:
    note: dict[str, str | bool] = {"rule": str(refused.rule), "message": refused.why}
    if refused.is_billing:
        note["only_copy"] = True
    text = encode_json([note])
    assert (ONLY_COPY in text) is refused.is_billing
    return text

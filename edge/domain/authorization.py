"""Whether a driver may charge: a pure function of what is known about the token, the policy and the uplink.

The table is ocpp-rules.md F.5. The caller asks the CSMS when the answer is `Verdict.ASK`, and decides again with
`UplinkState.SILENT` when no answer came before the deadline.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

ACCEPTED = "Accepted"
INVALID = "Invalid"
EXPIRED = "Expired"
CONCURRENT = "ConcurrentTx"


class UplinkState(StrEnum):
    UP = "up"
    DOWN = "down"
    SILENT = "silent"
    """Up, but no answer came in time."""


class OfflinePolicy(StrEnum):
    """`[authorization] offline`."""

    LIST = "list"
    LIST_AND_CACHE = "list-and-cache"
    EVERYONE = "everyone"
    NOBODY = "nobody"


class Verdict(StrEnum):
    ACCEPT = "accept"
    REFUSE = "refuse"
    ASK = "ask"


class Source(StrEnum):
    """Who decided."""

    LIST = "list"
    CACHE = "cache"
    CSMS = "csms"
    POLICY = "policy"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """What the local list or the cache says of a token."""

    status: str
    """AuthorizationStatus of OCPP 1.6: Accepted, Blocked, Expired, Invalid."""
    expires_at: datetime | None = None

    def status_at(self, now: datetime) -> str:
        """The status, Expired when its time is over (1.6 §3.5.4)."""
        if self.expires_at is not None and self.expires_at <= now:
            return EXPIRED
        return self.status


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    status: str
    """What the charger is told: Accepted, or why not."""
    source: Source


def decide(
    listed: TokenEntry | None,
    cached: TokenEntry | None,
    policy: OfflinePolicy,
    uplink: UplinkState,
    now: datetime,
) -> Decision:
    """ocpp-rules.md F.5. The list beats the cache (1.6 §3.5.3)."""
    known, source = (listed, Source.LIST) if listed is not None else (cached, Source.CACHE)
    status = None if known is None else known.status_at(now)
    if uplink is UplinkState.UP:
        if status == ACCEPTED:
            return Decision(Verdict.ACCEPT, ACCEPTED, source)
        return Decision(Verdict.ASK, INVALID, Source.CSMS)
    if policy is OfflinePolicy.NOBODY:
        return Decision(Verdict.REFUSE, INVALID, Source.POLICY)
    if status is None or (source is Source.CACHE and policy is OfflinePolicy.LIST):
        if policy is OfflinePolicy.EVERYONE:
            return Decision(Verdict.ACCEPT, ACCEPTED, Source.POLICY)
        return Decision(Verdict.REFUSE, INVALID, Source.POLICY)
    if status == ACCEPTED:
        return Decision(Verdict.ACCEPT, ACCEPTED, source)
    # A known token that is not Accepted stays refused, also under `everyone` (1.6 §3.5.4).
    return Decision(Verdict.REFUSE, status, source)


def from_verdict(status: str) -> Decision:
    """The decision when the CSMS answered. ConcurrentTx is not a thing to tell a charger's Authorize (§7.2)."""
    if status == ACCEPTED:
        return Decision(Verdict.ACCEPT, ACCEPTED, Source.CSMS)
    return Decision(Verdict.REFUSE, status, Source.CSMS)


def is_cacheable(status: str) -> bool:
    """ConcurrentTx speaks of the running transaction, not of the token (F.3)."""
    return status != CONCURRENT

"""Where a command of the CSMS goes, and one answer out of many."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.domain.ids import CsmsTransactionId


@dataclass(frozen=True, slots=True)
class ToStation:
    """The station as a whole: connector 0, or no connector named."""


@dataclass(frozen=True, slots=True)
class ToConnector:
    connector: int
    """Upstream number, as the CSMS wrote it."""


@dataclass(frozen=True, slots=True)
class ToTransaction:
    transaction: CsmsTransactionId


Target = ToStation | ToConnector | ToTransaction


def merged_availability(answers: Sequence[str]) -> str:
    """One AvailabilityStatus for all chargers (ocpp-rules.md B.2): any Scheduled, else any Accepted, else Rejected."""
    if "Scheduled" in answers:
        return "Scheduled"
    if not answers or "Accepted" in answers:
        return "Accepted"
    return "Rejected"

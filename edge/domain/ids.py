"""Names of things, each with its own type, so that one id is never taken for another."""

from dataclasses import dataclass
from typing import NewType

ChargerId = NewType("ChargerId", str)
"""The identity with which a charger connects (last segment of its URL)."""

ChargerNo = NewType("ChargerNo", int)
"""Our row number of a charger, for ever; `edge replace` moves its connectors to another one."""

ConnectorNo = NewType("ConnectorNo", int)
"""Our row number of a connector; never shown to anyone."""

UpstreamConnector = NewType("UpstreamConnector", int)
"""The number by which the CSMS knows a connector: 1..N, never changed (1.6 §3.8)."""

TransactionNo = NewType("TransactionNo", int)
"""Our number of a charging transaction; people see it as `S42`."""

ChargerTransactionId = NewType("ChargerTransactionId", str)
"""The transaction id that the charger knows: at 1.6 an integer that we allocated, kept as text."""

CsmsTransactionId = NewType("CsmsTransactionId", str)
"""The transaction id that the CSMS gave, kept as text. 0, negative and repeated ones are legal."""

IdToken = NewType("IdToken", str)


LONGEST_WORD = 50
"""Of a make; 1.6 §6.3 allows 20 characters for vendor and model, 50 for the firmware."""


@dataclass(frozen=True, slots=True)
class Make:
    """What kind of charger it is, as far as it has said. Kept and logged often, so each word is cut."""

    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None

    @classmethod
    def said(cls, vendor: str | None, model: str | None, firmware: str | None) -> "Make":
        return cls(*(None if word is None else word[:LONGEST_WORD] for word in (vendor, model, firmware)))


@dataclass(frozen=True, slots=True)
class ConnectorRef:
    """A connector as its own charger numbers it."""

    charger: ChargerId
    evse: int
    connector: int

    def __str__(self) -> str:
        return f"{self.charger}/{self.connector}"


def session_name(transaction: TransactionNo) -> str:
    """`S42`, the name under which people find a transaction."""
    return f"S{transaction}"


def transaction_named(name: str) -> TransactionNo | None:
    """The transaction of `S42`, or `s42`; None: that is no such name."""
    is_one = name[:1] in {"S", "s"} and name[1:].isdigit() and name.isascii() and len(name) < 19
    return TransactionNo(int(name[1:])) if is_one else None

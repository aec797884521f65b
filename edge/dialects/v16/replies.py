"""Our answers to a charger's requests."""

from datetime import datetime

from edge.dialects import timestamps
from edge.domain.ids import ChargerTransactionId
from edge.jsontypes import Payload

EMPTY: Payload = {}


def boot(status: str, now: datetime, interval: int) -> Payload:
    """`interval` in seconds: between heartbeats, or until the next try when the status is not Accepted."""
    return {"status": status, "currentTime": timestamps.text(now), "interval": interval}


def heartbeat(now: datetime) -> Payload:
    return {"currentTime": timestamps.text(now)}


def authorize(status: str) -> Payload:
    return {"idTagInfo": {"status": status}}


def start(transaction: ChargerTransactionId, status: str) -> Payload:
    return {"transactionId": int(transaction), "idTagInfo": {"status": status}}


def stop(status: str | None) -> Payload:
    """`status` of the token that was shown to stop, None when none was (1.6 §6.50)."""
    return {} if status is None else {"idTagInfo": {"status": status}}


def unknown_vendor() -> Payload:
    return {"status": "UnknownVendorId"}


def rejected() -> Payload:
    return {"status": "Rejected"}

"""Answers to commands, and the CALLs that they belong to, as a diagnosis reads them from the journal."""

import json
from collections.abc import Mapping

from edge.domain.obedience import Reply
from edge.jsontypes import JsonValue, Payload

_REFUSALS = frozenset(
    {"Rejected", "Failed", "NotSupported", "NotImplemented", "UnlockFailed", "Faulted", "Occupied", "Unavailable",
     "VersionMismatch", "UnknownMessageId", "UnknownVendorId"}
)  # fmt: skip
_WITH_STATUS = frozenset({"RemoteStartTransaction", "RemoteStopTransaction", "Reset", "ChangeAvailability"})
"""Commands whose answer means nothing without a status."""
_ORDERED = {
    "start": "RemoteStartTransaction",
    "stop": "RemoteStopTransaction",
    "reset": "Reset",
    "unlock": "UnlockConnector",
    "trigger": "TriggerMessage",
}
"""Orders of an operator (`edge/store/orders.py`) that a charger must be asked for at once."""


def reply(action: str, text: str) -> Reply:
    """What an answer to this command says."""
    frame = _frame(text)
    if frame is None or len(frame) < 3:
        return Reply(is_accepted=True, words="a text that could not be read")
    if frame[0] == 4:
        return Reply(is_accepted=False, words=" ".join(str(part) for part in frame[2:4]).strip())
    payload = frame[2] if isinstance(frame[2], Mapping) else {}
    status = payload.get("status")
    if not isinstance(status, str):
        return Reply(is_accepted=action not in _WITH_STATUS, words="without a status")
    return Reply(is_accepted=status not in _REFUSALS, words=status)


def refusal(text: str | None) -> str | None:
    """Code and description, if the answer is a CALLERROR."""
    if text is None or not text.lstrip(" \t\r\n[").startswith("4"):
        return None  # nearly all: not worth parsing
    frame = _frame(text)
    if not frame or frame[0] != 4:
        return None
    return ": ".join(str(part) for part in frame[2:4] if part != "") or "without a code"


def _frame(text: str) -> list[JsonValue] | None:
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    return frame if isinstance(frame, list) else None


def ordered(order: JsonValue) -> str | None:
    """The command that this order of an operator leads to; None: none that is due at once."""
    return _ORDERED.get(order) if isinstance(order, str) else None


def place(payload: Payload) -> tuple[int | None, str | None]:
    """(Connector, token) that a command or a start names."""
    connector, token = payload.get("connectorId"), payload.get("idTag")
    is_number = isinstance(connector, int) and not isinstance(connector, bool)
    return connector if is_number else None, token if isinstance(token, str) else None  # type: ignore[return-value]

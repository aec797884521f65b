"""A frame in a few words, for a person who reads a trace."""

import json
from collections.abc import Mapping

from edge.dialects import tolerances
from edge.dialects.v16 import observe
from edge.domain.events import (
    ChargerBooted,
    ConnectorStatusChanged,
    DiagnosticsProgressed,
    EnergyMeasured,
    FirmwareProgressed,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edge.jsontypes import JsonValue, Payload

LONGEST = 200
"""Characters of one entry; all of them are in `edge trace --raw`."""


def call(action: str, payload: Payload) -> str:
    """What a request says."""
    match observe.observe(action, tolerances.understood("1.6", action, payload)):
        case ChargerBooted(vendor, model, _, firmware):
            return " ".join(part for part in (vendor, model, firmware) if part) or "boots"
        case ConnectorStatusChanged(connector, status, error):
            return f"connector {connector} {status}" + ("" if error == "NoError" else f", {error}")
        case TokenPresented(token):
            return f"token {token}"
        case TransactionStarted(connector, token, meter):
            return f"connector {connector}, token {token}" + ("" if meter is None else f", meter {kwh(meter)}")
        case EnergyMeasured(connector, _, _, register):
            return f"connector {connector}" + ("" if register is None else f", meter {kwh(register)}")
        case TransactionEnded(transaction, meter, _, reason):
            return f"transaction {transaction}, {reason}" + ("" if meter is None else f", meter {kwh(meter)}")
        case FirmwareProgressed(status) | DiagnosticsProgressed(status):
            return status
        case None:
            return _members(payload)


def kwh(energy_wh: int) -> str:
    return f"{energy_wh / 1000:.3f} kWh"


def answer(text: str) -> tuple[str, str]:
    """(CALLRESULT or CALLERROR, what it says)."""
    try:
        frame = json.loads(text)
    except ValueError:
        return "CALLRESULT", "a text that is no JSON, repaired"
    if frame[0] == 4:
        return "CALLERROR", " ".join(str(part) for part in frame[2:4]).strip()
    payload = frame[2] if isinstance(frame[2], Mapping) else {}
    info, transaction = payload.get("idTagInfo"), payload.get("transactionId")
    words = [str(info.get("status"))] if isinstance(info, Mapping) else []
    if transaction is not None:
        words.append(f"transaction {transaction}")
    return "CALLRESULT", ", ".join(words) or _members(payload) or "ok"


def decision(text: str) -> str:
    """One of our own decisions, stored as JSON."""
    found = json.loads(text)
    return _members(found) if isinstance(found, Mapping) else str(found)


def _members(payload: Payload) -> str:
    words = ", ".join(f"{key} {_short(value)}" for key, value in payload.items())
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 2]} …"


def _short(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

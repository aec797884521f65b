"""Messages of a session that the charger did not send, and what is put right in those that it did.

What is synthetic says nothing of itself at 1.6: StopTransaction has no member for it (1.6 §6.49). The journal does.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from edge.dialects import timestamps
from edge.dialects.v16.aliases import folded
from edge.domain.ids import ChargerTransactionId, IdToken
from edge.jsontypes import JsonValue, Payload

METER_START, METER_STOP, SHIFT = "meter_start_wh", "meter_stop_wh", "shift_ms"
"""Members of a correction in the notes of a row."""


def stop(transaction: ChargerTransactionId, meter_stop_wh: int, at_ms: int, reason: str) -> Payload:
    """A StopTransaction of a session whose own never came; without a token: nobody showed one."""
    return {
        "transactionId": int(transaction),
        "meterStop": meter_stop_wh,
        "timestamp": _text(at_ms),
        "reason": reason,
    }


def start(connector: int, token: IdToken, meter_start_wh: int, at_ms: int) -> Payload:
    """A StartTransaction of the rest of a session that we had ended."""
    return {"connectorId": connector, "idTag": token, "meterStart": meter_start_wh, "timestamp": _text(at_ms)}


def _text(at_ms: int) -> str:
    return timestamps.text(datetime.fromtimestamp(at_ms / 1000, UTC))


def put_right(payload: Payload, correction: Mapping[str, int]) -> Payload:
    """The same request with another register, or with all its times moved; everything else stays as it is."""
    changed: dict[str, JsonValue] = {}
    for key, value in payload.items():
        match folded(key):
            case "meterstart" if METER_START in correction:
                changed[key] = correction[METER_START]
            case "meterstop" if METER_STOP in correction:
                changed[key] = correction[METER_STOP]
            case "timestamp" | "metervalue" | "transactiondata" if SHIFT in correction:
                changed[key] = _moved(value, timedelta(milliseconds=correction[SHIFT]))
            case _:
                changed[key] = value
    return changed


def said(payload: Payload, figure: str) -> JsonValue:
    """What a charger said itself where the CSMS got something else."""
    wanted = {METER_START: "meterstart", METER_STOP: "meterstop"}[figure]
    return next((value for key, value in payload.items() if folded(key) == wanted), None)


def said_time(payload: Payload) -> JsonValue:
    """The time of a start or a stop, as the charger wrote it."""
    return next((value for key, value in payload.items() if folded(key) == "timestamp"), None)


def times(payload: Payload) -> list[datetime]:
    """All times of a request that would be moved."""
    found: list[datetime] = []
    for key, value in payload.items():
        if folded(key) in {"timestamp", "metervalue", "transactiondata"}:
            found += _times(value)
    return found


def _times(value: JsonValue) -> Iterator[datetime]:
    if isinstance(value, str):
        at = timestamps.parse(value)
        if at is not None:
            yield at
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if _has_times(key):
                yield from _times(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _times(one)


def _moved(value: JsonValue, by: timedelta) -> JsonValue:
    """Each time in it, however deep; what is no time stays."""
    if isinstance(value, str):
        at = timestamps.parse(value)
        try:
            return value if at is None else timestamps.text(at + by)
        except OverflowError:
            return value
    if isinstance(value, Mapping):
        return {key: _moved(one, by) if _has_times(key) else one for key, one in value.items()}
    if isinstance(value, Sequence):
        return [_moved(one, by) for one in value]
    return value


def _has_times(key: str) -> bool:
    return folded(key) == "timestamp"

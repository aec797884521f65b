"""A charger's request → what happened. Reads leniently, so that evidence of a charging transaction is never refused.

The next reader is `edge/chargers/intake.py`.
"""

from edge.dialects import timestamps
from edge.domain.events import (
    ChargerBooted,
    ConnectorStatusChanged,
    DiagnosticsProgressed,
    DomainEvent,
    EnergyMeasured,
    FirmwareProgressed,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edge.domain.ids import ChargerTransactionId, IdToken
from edge.jsontypes import JsonValue, Payload

TRANSACTION_ACTIONS = frozenset({"StartTransaction", "MeterValues", "StopTransaction"})
"""Kept and flagged even when they break the schema, as long as `observe` can read them."""
STARTS_AND_STOPS = frozenset({"StartTransaction", "StopTransaction"})
"""Without one of these a session cannot be billed."""

# Alfen writes 2^63-1, others 0 or -1 (ocpp-rules.md J.2, 47-52); we never give such an id to a charger.
_LARGEST_ID = 2**31 - 1

_PHASES = {"L1": "L1", "L2": "L2", "L3": "L3", "L1-N": "L1", "L2-N": "L2", "L3-N": "L3"}


def observe(action: str, payload: Payload) -> DomainEvent | None:
    """What happened, or None when the payload does not tell, or the action tells of nothing that we follow."""
    match action:
        case "StartTransaction":
            return _started(payload)
        case "MeterValues":
            return _measured(payload)
        case "StopTransaction":
            return _ended(payload)
        case "StatusNotification":
            return _status(payload)
        case "Authorize":
            token = _token(payload)
            return None if token is None else TokenPresented(IdToken(token))
        case "BootNotification":
            return ChargerBooted(
                vendor=_string(payload.get("chargePointVendor")),
                model=_string(payload.get("chargePointModel")),
                serial=_string(payload.get("chargePointSerialNumber")) or _string(payload.get("chargeBoxSerialNumber")),
                firmware=_string(payload.get("firmwareVersion")),
            )
        case "FirmwareStatusNotification" | "SignedFirmwareStatusNotification":
            status = _string(payload.get("status"))
            return None if status is None else FirmwareProgressed(status)
        case "DiagnosticsStatusNotification" | "LogStatusNotification":
            status = _string(payload.get("status"))
            return None if status is None else DiagnosticsProgressed(status)
        case _:
            return None


def _started(payload: Payload) -> TransactionStarted | None:
    connector, token = _integer(payload.get("connectorId")), _token(payload)
    if connector is None or token is None:
        return None
    timestamp = payload.get("timestamp")
    return TransactionStarted(
        connector=connector,
        token=IdToken(token),
        meter_start_wh=_register(payload.get("meterStart")),
        at=timestamps.parse(timestamp),
        identity=f"{token}\0{timestamp!r}\0{payload.get('meterStart')!r}",
    )


def _measured(payload: Payload) -> EnergyMeasured | None:
    connector, values = _integer(payload.get("connectorId")), payload.get("meterValue")
    if connector is None and transaction_id(payload.get("transactionId")) is not None:
        connector = 0  # the transaction says where they belong
    if isinstance(values, dict):  # Huawei sends one object instead of a list (J.2, 30)
        values = [values]
    if connector is None or not isinstance(values, list):
        return None
    samples = [value for value in values if isinstance(value, dict)]
    if not samples:
        return None
    registers = [register for sample in samples if (register := energy_register_wh(sample)) is not None]
    power, soc, is_closing = others(samples[-1])
    return EnergyMeasured(
        connector=connector,
        transaction=transaction_id(payload.get("transactionId")),
        at=timestamps.parse(samples[0].get("timestamp")),
        register_wh=registers[-1] if registers else None,
        last_at=timestamps.parse(samples[-1].get("timestamp")),
        power_w=power,
        soc=soc,
        is_closing=is_closing,
    )


def others(sample: Payload) -> tuple[float | None, float | None, bool]:
    """Total import power in W, state of charge in percent, and whether these are the values of the end."""
    total: float | None = None
    by_phase: dict[str, float] = {}
    soc: float | None = None
    is_closing = False
    for value in _sampled(sample):
        measurand, phase = value.get("measurand"), value.get("phase")
        is_closing = is_closing or value.get("context") == "Transaction.End"
        if measurand == "Power.Active.Import" and (number := _number(value.get("value"))) is not None:
            watts = number * (1000 if value.get("unit") == "kW" else 1)
            if phase is None:
                total = watts
            elif isinstance(phase, str) and phase in _PHASES:  # JVH and others tell no total (J.2, 41)
                by_phase[_PHASES[phase]] = watts
        elif measurand == "SoC":
            soc = _number(value.get("value"))
    if total is None and by_phase:
        total = sum(by_phase.values())
    return total, soc, is_closing


def current_a(sample: Payload) -> float | None:
    """The import current of the phase that carries most, in amperes."""
    return _most(sample, "Current.Import")


def offered_a(sample: Payload) -> float | None:
    """What the charger offers the car on a phase, in amperes; 0 as well where it says so in watts."""
    offered = _most(sample, "Current.Offered")
    return 0.0 if offered is None and _most(sample, "Power.Offered") == 0 else offered


def _most(sample: Payload, measurand: str) -> float | None:
    found = [
        number
        for value in _sampled(sample)
        if value.get("measurand") == measurand and (number := _number(value.get("value"))) is not None
    ]
    return max(found, default=None)


def _ended(payload: Payload) -> TransactionEnded | None:
    transaction, token = payload.get("transactionId"), _string(payload.get("idTag"))
    meter_stop = _register(payload.get("meterStop"))
    if _integer(transaction) is None and meter_stop is None:
        return None
    return TransactionEnded(
        transaction=transaction_id(transaction),
        meter_stop_wh=meter_stop,
        at=timestamps.parse(payload.get("timestamp")),
        reason=_string(payload.get("reason")) or "Local",  # 1.6 §6.49: absent means Local
        token=None if token is None else IdToken(token),
    )


def _status(payload: Payload) -> ConnectorStatusChanged | None:
    connector, status = _integer(payload.get("connectorId")), _string(payload.get("status"))
    if connector is None or status is None:
        return None
    error_code = _string(payload.get("errorCode")) or "NoError"
    return ConnectorStatusChanged(connector, status, error_code, timestamps.parse(payload.get("timestamp")))


def transaction_id(value: JsonValue) -> ChargerTransactionId | None:
    """The id, None for the placeholders that chargers write when they have none."""
    number = _integer(value)
    if number is None or not 0 < number <= _LARGEST_ID:
        return None
    return ChargerTransactionId(str(number))


def transaction_as_sent(payload: Payload) -> str:
    """How the charger named its transaction, for the journal."""
    return f"{payload.get('transactionId', 'none')!s:.40}"


def _sampled(sample: Payload) -> list[Payload]:
    sampled = sample.get("sampledValue")
    if isinstance(sampled, dict):
        return [sampled]
    if not isinstance(sampled, list):
        return []
    return [value for value in sampled if isinstance(value, dict)]


def energy_register_wh(sample: Payload) -> int | None:
    """The outlet's Energy.Active.Import.Register of one meter value, in Wh (the default measurand, 1.6 §7.43)."""
    for value in _sampled(sample):
        if value.get("phase") is not None:
            continue
        if (value.get("measurand") or "Energy.Active.Import.Register") != "Energy.Active.Import.Register":
            continue
        if (value.get("format") or "Raw") != "Raw" or (value.get("location") or "Outlet") != "Outlet":
            continue
        if (value.get("unit") or "Wh") not in ("Wh", "kWh"):
            continue
        number = _number(value.get("value"))
        if number is not None:
            return round(number * (1000 if value.get("unit") == "kWh" else 1))
    return None


def _number(value: JsonValue) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and (not value.isascii() or "_" in value):
        return None  # Python would take 1_0 for ten
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e15 else None  # also refuses NaN and infinity


def _register(value: JsonValue) -> int | None:
    """A meter reading in Wh; some chargers write fractions where the schema has an integer."""
    exact = _integer(value)
    if exact is not None:
        return exact
    number = _number(value)
    return None if number is None else round(number)


def _integer(value: JsonValue) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None


def _token(payload: Payload) -> str | None:
    """The idTag; an empty one is a token like any other to the schema."""
    token = payload.get("idTag")
    return token if isinstance(token, str) else None


def _string(value: JsonValue) -> str | None:
    return value if isinstance(value, str) and value else None

"""What is odd about a charger's request though it can be read: named findings, which change nothing.

Only what the message itself shows; what takes the messages before it is found by `edge/domain/plausibility.py` and by
the units of `edge/chargers/records.py`.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from edge.dialects import timestamps
from edge.dialects.v16 import aliases
from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.transactions import OLDEST_BELIEVED_YEAR
from edge.jsontypes import JsonValue, Payload

LONGEST_VALUE = 500
_ZONE = re.compile(r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)\s*$")
_SIGNED = ('{"signedMeterData"', "OCMF|")
_DEFAULT = aliases.ENERGY

# By the first word of the measurand. 1.6 lists no unit for a power factor and for RPM.
_UNITS: Mapping[str, frozenset[str]] = {
    "Energy": frozenset({"Wh", "kWh", "varh", "kvarh"}),
    "Power": frozenset({"W", "kW", "VA", "kVA", "var", "kvar"}),
    "Current": frozenset({"A"}),
    "Voltage": frozenset({"V"}),
    "SoC": frozenset({"Percent"}),
    "Temperature": frozenset({"Celcius", "Celsius", "Fahrenheit", "K"}),
    "Frequency": frozenset({"Hertz"}),
}
_WITHOUT_PHASE = frozenset({"SoC", "Temperature", "RPM"})


def of_request(action: str, payload: Payload) -> tuple[Peculiarity, ...]:
    """Each finding once."""
    found: dict[Rule, Peculiarity] = {}
    for one in _of_request(action, payload):
        found.setdefault(one.rule, one)
    return tuple(found.values())


def _of_request(action: str, payload: Payload) -> Iterator[Peculiarity]:
    match action:
        case "MeterValues":
            yield from _of_samples(payload.get("meterValue"))
        case "StartTransaction" | "StatusNotification":
            yield from _of_time(payload.get("timestamp"))
        case "StopTransaction":
            yield from _of_time(payload.get("timestamp"))
            if not payload.get("reason"):
                yield Peculiarity(Rule.STOP_WITHOUT_REASON, "no reason, which means Local")
            if not payload.get("idTag"):
                yield Peculiarity(Rule.STOP_WITHOUT_TOKEN, "no token")
            register = payload.get("meterStop")
            if isinstance(register, int) and register < 0:
                yield Peculiarity(Rule.METER_STOP_UNKNOWN, f"{register} Wh")
            yield from _of_samples(payload.get("transactionData"))


def _of_time(value: JsonValue) -> Iterator[Peculiarity]:
    if value is None:
        return
    instant = timestamps.parse(value)
    if instant is None:
        yield Peculiarity(Rule.TIMESTAMP_UNREADABLE, f"{ascii(value)[:40]}")
    elif instant.year < OLDEST_BELIEVED_YEAR:
        yield Peculiarity(Rule.CLOCK_NOT_SET, f"{value!s:.40}")
    elif _ZONE.search(str(value)) is None:
        yield Peculiarity(Rule.TIMESTAMP_WITHOUT_ZONE, f"{value!s:.40}")


def _listed(value: JsonValue) -> Sequence[JsonValue]:
    if isinstance(value, dict):
        return [value]
    return value if isinstance(value, list) else ()


def _of_samples(values: JsonValue) -> Iterator[Peculiarity]:
    for sample in _listed(values):
        if isinstance(sample, dict):
            yield from _of_time(sample.get("timestamp"))
            for value in _listed(sample.get("sampledValue")):
                if isinstance(value, dict):
                    yield from _of_value(value)


def _of_value(sampled: Payload) -> Iterator[Peculiarity]:
    measurand, unit, value = sampled.get("measurand") or _DEFAULT, sampled.get("unit"), sampled.get("value")
    if not isinstance(measurand, str) or not isinstance(value, str):
        return
    if len(value) > LONGEST_VALUE:
        yield Peculiarity(Rule.VALUE_OVER_500_CHARACTERS, f"{len(value)} characters")
    if value.startswith(_SIGNED) or (sampled.get("format") == "SignedData" and len(value) > 50):
        yield Peculiarity(Rule.SIGNED_VALUES, f"{len(value)} characters of signed data")
    elif sampled.get("format") != "SignedData" and not _is_number(value):
        yield Peculiarity(Rule.VALUE_NOT_A_NUMBER, f"{measurand:.40} is {ascii(value)[:40]}")
    elif measurand == _DEFAULT:
        if unit is None:
            yield Peculiarity(Rule.ENERGY_WITHOUT_UNIT, f"{value:.40} read as Wh")
        elif unit == "Wh" and "." in value and value.rpartition(".")[2].strip("0"):
            yield Peculiarity(Rule.FRACTION_OF_WH, f"{value:.40} Wh")
    first = measurand.partition(".")[0]
    fitting = _UNITS.get(first)
    if isinstance(unit, str) and fitting is not None and unit not in fitting and measurand != "Power.Factor":
        yield Peculiarity(Rule.UNIT_OF_OTHER_MEASURAND, f"{measurand:.40} in {unit:.20}")
    if first in _WITHOUT_PHASE and sampled.get("phase") is not None:
        yield Peculiarity(Rule.PHASE_OF_OTHER_MEASURAND, f"{measurand:.40} of phase {sampled.get('phase')!s:.10}")


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def is_effect(command: str, asked: Payload, action: str, payload: Payload) -> bool:
    """Whether this request is what our command was to bring about."""
    match command:
        case "TriggerMessage":
            connector = asked.get("connectorId", payload.get("connectorId"))
            return action == asked.get("requestedMessage") and payload.get("connectorId") == connector
        case "Reset":
            return action == "BootNotification"
        case "RemoteStartTransaction":
            return action in {"StatusNotification", "Authorize", "StartTransaction"}
        case "RemoteStopTransaction" | "UnlockConnector":
            return action in {"StatusNotification", "StopTransaction"}
        case "ChangeAvailability":
            return action == "StatusNotification"
        case _:
            return False

"""Which MeterValues may be left out when the disk is filling, and which never (ocpp-rules.md E.1, rule 6).

Only what a charger sends at intervals may go. What was taken for a reason - at the begin or the end of a transaction,
at an interruption, on a trigger - stays, and so does what is signed or cannot be read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.dialects import timestamps
from edge.jsontypes import JsonValue, Payload

_NUMBER = re.compile(r"\s*[+-]?[0-9]+([.,][0-9]*)?([eE][+-]?[0-9]{1,3})?\s*", re.ASCII)
_AT_INTERVALS = {"Sample.Periodic": "sample", "Sample.Clock": "clock"}


@dataclass(frozen=True, slots=True)
class Periodic:
    """Values that may be left out when there are others of their series near."""

    series: str
    """Sampled and clock-aligned values are two series: a cloud may bill by the clock-aligned ones."""
    at: datetime | None
    """Of the first sample."""


def periodic(payload: Payload) -> Periodic | None:
    """None: they must not be left out."""
    contexts: set[str] = set()
    times: list[JsonValue] = []
    for sample in _many(payload.get("meterValue")):
        values = _many(sample.get("sampledValue")) if isinstance(sample, Mapping) else []
        if not isinstance(sample, Mapping) or not values:
            return None
        times.append(sample.get("timestamp"))
        for value in values:
            if not isinstance(value, Mapping) or not _is_plain(value):
                return None
            contexts.add(str(value.get("context") or "Sample.Periodic"))  # the default (1.6 §7.43)
    if not contexts or not contexts <= _AT_INTERVALS.keys():
        return None
    series = "clock" if "Sample.Clock" in contexts else "sample"
    return Periodic(series, timestamps.parse(times[0]))


def _is_plain(value: Mapping[str, JsonValue]) -> bool:
    """A number that nobody has signed; some chargers put a signed text into a value that they call Raw."""
    shown = value.get("value")
    is_number = isinstance(shown, int | float) or (isinstance(shown, str) and _NUMBER.fullmatch(shown) is not None)
    return (value.get("format") or "Raw") == "Raw" and is_number


def _many(value: JsonValue) -> Sequence[JsonValue]:
    """Some chargers send one object instead of a list."""
    if isinstance(value, Mapping):
        return [value]
    return value if isinstance(value, Sequence) and not isinstance(value, str) else []

"""Several MeterValues of one transaction as one: its entries, in order, nothing added and nothing left out.

1.6 §6.31 lets a MeterValues carry any number of `meterValue` entries, each with its own timestamp. Only what says
nothing but transaction, connector and values can share a message, and only what keeps to the schema: one entry against
it would cost the others that travel with it a refusal.
"""

from collections.abc import Sequence

from edge.jsontypes import JsonValue, Payload
from edge.ocppj.schemas import check_request

_VALUES = "meterValue"
_KNOWN = frozenset({"connectorId", "transactionId", _VALUES})


def entries(payload: Payload) -> int | None:
    """How many entries these MeterValues have; None when they must travel alone."""
    values = payload.get(_VALUES)
    if not isinstance(values, list) or not payload.keys() <= _KNOWN or check_request("1.6", "MeterValues", payload, 1):
        return None
    return len(values)


def may_share(one: Payload, other: Payload) -> bool:
    """Whether both are of the same connector and the same transaction."""
    return _without_values(one) == _without_values(other)


def together(payloads: Sequence[Payload]) -> Payload:
    """The entries of all of them, in this order, in one payload. Each may share with the first."""
    gathered: list[JsonValue] = []
    for payload in payloads:
        values = payload[_VALUES]
        assert isinstance(values, list)
        gathered += values
    return {**payloads[0], _VALUES: gathered}


def _without_values(payload: Payload) -> dict[str, JsonValue]:
    return {name: value for name, value in payload.items() if name != _VALUES}

"""The identifiers that differ between a charger and the CSMS; everything else of a payload stays as it is.

A same-version relay changes exactly the paths named here (architecture, law 3). Upward (`bind`): `connectorId` becomes
the upstream connector, `transactionId` the id that the CSMS gave, however a charger spells these two: many a CSMS reads
`ConnectorID` as well, and would take the charger's own number for somebody else's. Downward (`to_charger`): the way
back. Each function returns a new tree and adds no member that its sender did not write, but for one: a StopTransaction
that was attached to its transaction on evidence, and names none, gets the id, because no CSMS could make anything of it
otherwise.
"""

from edge.dialects.v16.aliases import folded
from edge.domain.ids import ChargerTransactionId, CsmsTransactionId, UpstreamConnector
from edge.jsontypes import JsonValue, Payload


def bind(
    payload: Payload, connector: UpstreamConnector, transaction: CsmsTransactionId | None, *, is_stop: bool = False
) -> Payload:
    """A charger's request as the CSMS is to see it.

    A `transactionId` for which the CSMS knows none is left out: an id of the charger's would name another
    transaction there (ocpp-rules.md 0.6).
    """
    changed: dict[str, JsonValue] = {}
    for key, value in payload.items():
        match folded(key):
            case "connectorid":
                changed[key] = int(connector)
            case "transactionid":
                if transaction is not None:
                    changed[key] = csms_id(transaction)
            case _:
                changed[key] = value
    if is_stop and transaction is not None and "transactionId" not in changed:
        changed["transactionId"] = csms_id(transaction)
    return changed


def to_charger(payload: Payload, connector: int | None, transaction: ChargerTransactionId | None) -> Payload:
    """A request of the CSMS as the charger is to see it."""
    changed = dict(payload)
    if connector is not None and "connectorId" in changed:
        changed["connectorId"] = connector
    if transaction is not None and "transactionId" in changed:
        changed["transactionId"] = int(transaction)
    return changed


def csms_id(transaction: CsmsTransactionId) -> JsonValue:
    """The id in its wire type: an integer at 1.6."""
    return int(transaction)

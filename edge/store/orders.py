"""What a person ordered on the spot, in the journal: the cause of the CALLs to chargers that come of it."""

import sqlite3

from edge.domain.ids import ChargerNo, ConnectorNo, TransactionNo
from edge.jsontypes import JsonValue
from edge.ocppj.frames import encode_json
from edge.store import exchange
from edge.store.exchange import Kind, Moment, NewExchange


def given(
    connection: sqlite3.Connection,
    at: Moment,
    charger: ChargerNo | int,
    order: str,
    *,
    connector: ConnectorNo | None = None,
    transaction: TransactionNo | None = None,
    **details: JsonValue,
) -> int:
    """The row of an operator's order; `details` as a person is to read them, never a secret."""
    said = {name: value for name, value in details.items() if value is not None}
    text = encode_json({"operator": order, **said})
    row = NewExchange(at, charger, Kind.DECISION, text, connector_no=connector, tx_no=transaction)
    return exchange.append(connection, row)

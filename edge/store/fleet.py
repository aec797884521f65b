"""The life of chargers: retired, back again, put in another's place, and what is told of them beside their connectors.

Numbers of the CSMS stand on connectors and are for ever; here they only change hands.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from edge.domain.ids import ChargerNo, ConnectorNo, TransactionNo, UpstreamConnector
from edge.ocppj.frames import encode_json
from edge.store.connectors import RETIRED, connectors_of


@dataclass(frozen=True, slots=True)
class Moved:
    """A connector that has another charger now."""

    no: ConnectorNo
    conn: int
    upstream: UpstreamConnector
    evse: int


def retire(connection: sqlite3.Connection, charger_no: ChargerNo, replaced_by: ChargerNo | None = None) -> None:
    """It is no longer served. Its connectors keep their numbers; what it was to start remotely is off."""
    connection.execute(
        "UPDATE charger SET state = :state, replaced_by = :by, other_serial = NULL, other_serial_wall_ms = NULL "
        "WHERE charger_no = :no",
        {"state": RETIRED, "by": replaced_by, "no": charger_no},
    )
    connection.execute("DELETE FROM id_map WHERE kind = 'remote_start' AND charger_no = :no", {"no": charger_no})


def begin_anew(connection: sqlite3.Connection, charger_no: ChargerNo) -> None:
    """It is adopted (again): nobody stands in its place, and the serial that it says next is its own."""
    connection.execute(
        "UPDATE charger SET replaced_by = NULL, own_serial = NULL, other_serial = NULL, other_serial_wall_ms = NULL "
        "WHERE charger_no = :no",
        {"no": charger_no},
    )


def acknowledge_serial(connection: sqlite3.Connection, charger_no: ChargerNo) -> None:
    """The serial that it says now is its own from here on."""
    connection.execute(
        "UPDATE charger SET own_serial = serial, other_serial = NULL, other_serial_wall_ms = NULL "
        "WHERE charger_no = :no",
        {"no": charger_no},
    )


def take_place(connection: sqlite3.Connection, old: ChargerNo, new: ChargerNo) -> list[Moved]:
    """The numbered connectors of `old` are `new`'s from now on, matched by the charger's own numbers.

    `new` must have no numbers. Where it has named such a connector already, the two rows change hands, so that the
    journal keeps its names; what waits there, and the status, go to the number. Transactions stay with the charger
    that began them: what of them waits goes up under the same number.
    """
    named = {one.conn: one for one in connectors_of(connection, new)}
    moved = []
    for one in connectors_of(connection, old):
        if one.upstream is None:
            continue
        own = named.get(one.conn)
        if own is not None:
            # UNIQUE (charger_no, evse, conn) holds in between, too: aside, over, and back under its number.
            _belongs(connection, own.no, old, own.evse, -own.no)
        _belongs(connection, one.no, new, one.evse, one.conn)
        _status(connection, one.no, None if own is None else own.status, None if own is None else own.status_wall_ms)
        if own is not None:
            _belongs(connection, own.no, old, one.evse, own.conn)
            _status(connection, own.no, None, None)
            _follow(connection, own.no, one.no)
        moved.append(Moved(one.no, one.conn, one.upstream, one.evse))
    connection.execute("UPDATE charger SET connectors = NULL WHERE charger_no = :old", {"old": old})
    return moved


def _belongs(connection: sqlite3.Connection, connector: ConnectorNo, charger: ChargerNo, evse: int, conn: int) -> None:
    connection.execute(
        "UPDATE connector SET charger_no = :charger, evse = :evse, conn = :conn WHERE connector_no = :no",
        {"charger": charger, "evse": evse, "conn": conn, "no": connector},
    )


def _status(connection: sqlite3.Connection, connector: ConnectorNo, payload: str | None, wall_ms: int | None) -> None:
    """The present charger's; None: it has not said any, whatever the one before it said."""
    connection.execute(
        "UPDATE connector SET status = :payload, status_wall_ms = :wall WHERE connector_no = :no",
        {"payload": payload, "wall": wall_ms, "no": connector},
    )


def _follow(connection: sqlite3.Connection, unnumbered: ConnectorNo, numbered: ConnectorNo) -> None:
    """What the new charger said on its own row, before it had a number, is due under the number."""
    connection.execute(
        "UPDATE tx SET connector_no = :to WHERE connector_no = :from", {"from": unnumbered, "to": numbered}
    )


def has_sessions_of_its_own(connection: sqlite3.Connection, charger_no: ChargerNo) -> bool:
    """Whether a transaction began on a connector that is this charger's now."""
    row = connection.execute(
        "SELECT 1 FROM tx JOIN connector c USING (connector_no) "
        "WHERE tx.charger_no = :no AND c.charger_no = :no AND tx.kind = 'transaction' LIMIT 1",
        {"no": charger_no},
    ).fetchone()
    return row is not None


def open_sessions(connection: sqlite3.Connection, charger_no: ChargerNo) -> list[TransactionNo]:
    """Its transactions that have not ended."""
    rows = connection.execute(
        "SELECT tx_no FROM tx WHERE charger_no = :no AND state = 'open' AND kind = 'transaction' ORDER BY tx_no",
        {"no": charger_no},
    )
    return [TransactionNo(row[0]) for row in rows]


def seen(connection: sqlite3.Connection, at_wall_ms: Mapping[ChargerNo, int]) -> None:
    """When these chargers were last there."""
    connection.executemany(
        "UPDATE charger SET last_seen_wall_ms = :at WHERE charger_no = :no",
        [{"no": charger_no, "at": at} for charger_no, at in at_wall_ms.items()],
    )


def desired(connection: sqlite3.Connection, charger_no: ChargerNo) -> dict[str, str]:
    """Configuration keys that a person has set in this charger and wants to stay, as they were written."""
    row = connection.execute("SELECT desired FROM charger WHERE charger_no = :no", {"no": charger_no}).fetchone()
    found = None if row is None or row[0] is None else json.loads(row[0])
    return dict(found) if isinstance(found, dict) else {}


def desire(connection: sqlite3.Connection, charger_no: ChargerNo, key: str, value: str | None) -> None:
    """Keep a value for this key; None: let go of it. Keys are compared without case (1.6 §3.2)."""
    kept = {name: kept for name, kept in desired(connection, charger_no).items() if name.casefold() != key.casefold()}
    if value is not None:
        kept[key] = value
    connection.execute(
        "UPDATE charger SET desired = :desired WHERE charger_no = :no",
        {"desired": encode_json(kept) if kept else None, "no": charger_no},
    )

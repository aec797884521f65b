"""Chargers and their connectors, with the numbers that the CSMS knows them by."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.domain.connectors import MOST
from edge.domain.events import ChargerBooted
from edge.domain.ids import ChargerId, ChargerNo, ConnectorNo, UpstreamConnector

KNOWN = "known"
PENDING = "pending"
RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Charger:
    no: ChargerNo
    id: ChargerId
    state: str
    origin: str
    version: str | None
    vendor: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    boot_wall_ms: int | None
    connectors: int | None
    secret_hash: bytes | None = field(repr=False)
    last_seq: int | None
    replaced_by: ChargerNo | None
    """The box that took its numbers (`edge replace`)."""
    own_serial: str | None
    """The serial by which it is known: the first that it said, or the one that a person acknowledged."""
    other_serial: str | None
    """One that was said since under its identity, until a person acknowledges it (`edge adopt`)."""
    other_serial_wall_ms: int | None
    last_seen_wall_ms: int | None
    clock: str | None = None
    """What kind of clock it has (`edge/domain/clocks.py`); None: not known."""
    clock_offset_ms: int | None = None
    """By how much it is ahead of ours."""


@dataclass(frozen=True, slots=True)
class Connector:
    no: ConnectorNo
    charger_no: ChargerNo
    charger: ChargerId
    evse: int
    conn: int
    upstream: UpstreamConnector | None
    """None until the charger's connectors are counted."""
    wish: str | None
    status: str | None
    """Payload of its last StatusNotification, as received."""
    status_wall_ms: int | None


_CHARGER = (
    "SELECT charger_no, id, state, origin, version, vendor, model, serial, firmware, boot_wall_ms, connectors, "
    "secret_hash, last_seq, replaced_by, own_serial, other_serial, other_serial_wall_ms, last_seen_wall_ms, "
    "clock, clock_offset_ms FROM charger"
)
_CONNECTOR = (
    "SELECT c.connector_no, c.charger_no, g.id, c.evse, c.conn, c.up16_connector, c.wish, c.status, c.status_wall_ms "
    "FROM connector c JOIN charger g USING (charger_no)"
)


def charger(connection: sqlite3.Connection, charger_id: ChargerId) -> Charger | None:
    row = connection.execute(f"{_CHARGER} WHERE id = :id", {"id": charger_id}).fetchone()
    return None if row is None else Charger(*row)


def charger_by_no(connection: sqlite3.Connection, charger_no: ChargerNo) -> Charger | None:
    row = connection.execute(f"{_CHARGER} WHERE charger_no = :no", {"no": charger_no}).fetchone()
    return None if row is None else Charger(*row)


def chargers(connection: sqlite3.Connection) -> list[Charger]:
    """All of them, in the order in which they became known."""
    return [Charger(*row) for row in connection.execute(f"{_CHARGER} ORDER BY charger_no")]


def enrol(connection: sqlite3.Connection, charger_id: ChargerId, state: str, origin: str) -> ChargerNo:
    """Make a charger known, or change the state of one that is."""
    row = connection.execute(
        "INSERT INTO charger (id, state, origin) VALUES (:id, :state, :origin) "
        "ON CONFLICT (id) DO UPDATE SET state = :state, origin = :origin RETURNING charger_no",
        {"id": charger_id, "state": state, "origin": origin},
    ).fetchone()
    return ChargerNo(row[0])


def enrol_listed(connection: sqlite3.Connection, charger_id: ChargerId) -> ChargerNo | None:
    """A charger of the configuration file; None: another has taken its place, so it must not get new numbers."""
    known = charger(connection, charger_id)
    if known is not None and known.state == RETIRED and known.replaced_by is not None:
        return None
    return enrol(connection, charger_id, KNOWN, "file")


def set_secret(connection: sqlite3.Connection, charger_no: ChargerNo, secret_hash: bytes) -> None:
    """Keep the hash of an adopted charger's password."""
    connection.execute(
        "UPDATE charger SET secret_hash = :hash WHERE charger_no = :no", {"hash": secret_hash, "no": charger_no}
    )


def booted(
    connection: sqlite3.Connection, charger_no: ChargerNo, boot: ChargerBooted, version: str, wall_ms: int
) -> str | None:
    """What a BootNotification says of the charger; the serial that is its own, when it now says another one."""
    row = connection.execute(
        "UPDATE charger SET vendor = :vendor, model = :model, serial = :serial, firmware = :firmware, "
        "version = :version, boot_wall_ms = :wall, own_serial = coalesce(own_serial, :serial), "
        "other_serial_wall_ms = CASE WHEN :serial <> own_serial AND other_serial IS NOT :serial THEN :wall "
        "ELSE other_serial_wall_ms END, "
        "other_serial = CASE WHEN :serial <> own_serial THEN :serial ELSE other_serial END "
        "WHERE charger_no = :no RETURNING CASE WHEN serial <> own_serial THEN own_serial END",
        {
            "vendor": boot.vendor,
            "model": boot.model,
            "serial": boot.serial,
            "firmware": boot.firmware,
            "version": version,
            "wall": wall_ms,
            "no": charger_no,
        },
    ).fetchone()
    return None if row is None else row[0]


def connector(connection: sqlite3.Connection, charger_no: ChargerNo, conn: int) -> Connector | None:
    """The charger's connector with its own (1.6) number."""
    row = connection.execute(
        f"{_CONNECTOR} WHERE c.charger_no = :no AND c.conn = :conn", {"no": charger_no, "conn": conn}
    ).fetchone()
    return None if row is None else Connector(*row)


def connectors_of(connection: sqlite3.Connection, charger_no: ChargerNo) -> list[Connector]:
    rows = connection.execute(f"{_CONNECTOR} WHERE c.charger_no = :no ORDER BY c.evse, c.conn", {"no": charger_no})
    return [Connector(*row) for row in rows]


def numbered(connection: sqlite3.Connection) -> list[Connector]:
    """All connectors that the CSMS knows, by its numbers."""
    rows = connection.execute(f"{_CONNECTOR} WHERE c.up16_connector IS NOT NULL ORDER BY c.up16_connector")
    return [Connector(*row) for row in rows]


def by_upstream(connection: sqlite3.Connection, upstream: int) -> Connector | None:
    row = connection.execute(f"{_CONNECTOR} WHERE c.up16_connector = :up", {"up": upstream}).fetchone()
    return None if row is None else Connector(*row)


def by_no(connection: sqlite3.Connection, connector_no: ConnectorNo) -> Connector | None:
    row = connection.execute(f"{_CONNECTOR} WHERE c.connector_no = :no", {"no": connector_no}).fetchone()
    return None if row is None else Connector(*row)


def add(connection: sqlite3.Connection, charger_no: ChargerNo, evse: int, conn: int) -> ConnectorNo:
    """A connector that the charger has; without an upstream number until `give_numbers`."""
    row = connection.execute(
        "INSERT INTO connector (charger_no, evse, conn) VALUES (:no, :evse, :conn) "
        "ON CONFLICT (charger_no, evse, conn) DO UPDATE SET conn = :conn RETURNING connector_no",
        {"no": charger_no, "evse": evse, "conn": conn},
    ).fetchone()
    return ConnectorNo(row[0])


def give_numbers(connection: sqlite3.Connection, charger_no: ChargerNo) -> list[UpstreamConnector]:
    """The next free upstream numbers for the charger's connectors that have none; those newly given.

    Without gaps and for ever (1.6 §3.8): a number that is given is never taken back.
    """
    given = []
    for one in connectors_of(connection, charger_no):
        if one.upstream is None:
            row = connection.execute(
                "UPDATE connector SET up16_connector = (SELECT coalesce(max(up16_connector), 0) + 1 FROM connector), "
                "up2_evse = (SELECT coalesce(max(up2_evse), 0) + 1 FROM connector), up2_connector = 1 "
                "WHERE connector_no = :no RETURNING up16_connector",
                {"no": one.no},
            ).fetchone()
            given.append(UpstreamConnector(row[0]))
    return given


def lay_out(
    connection: sqlite3.Connection, charger_no: ChargerNo, places: Iterable[tuple[int, int]]
) -> list[UpstreamConnector]:
    """Make sure that these (EVSE, connector) exist and are numbered; the numbers newly given."""
    present = {one.conn for one in connectors_of(connection, charger_no)}
    for evse, conn in places:
        if conn not in present:
            add(connection, charger_no, evse, conn)
    return give_numbers(connection, charger_no)


def count(connection: sqlite3.Connection, charger_no: ChargerNo, said: int) -> tuple[ConnectorNo, ...]:
    """The charger has `said` connectors, or as many as it has named if that is more: number them all together.

    0: still not known; the next boot, or the first connector that it names, will tell.
    """
    named = [one.conn for one in connectors_of(connection, charger_no) if one.conn <= MOST]
    total = min(max([said, *named]), MOST)
    if total == 0:
        return ()
    connection.execute(
        "UPDATE charger SET connectors = :count WHERE charger_no = :no", {"count": total, "no": charger_no}
    )
    lay_out(connection, charger_no, ((conn, conn) for conn in range(1, total + 1)))
    return tuple(one.no for one in connectors_of(connection, charger_no))


def set_status(connection: sqlite3.Connection, connector_no: ConnectorNo, payload: str, wall_ms: int) -> None:
    """Keep the latest StatusNotification; the ones before are in the journal."""
    connection.execute(
        "UPDATE connector SET status = :payload, status_wall_ms = :wall WHERE connector_no = :no",
        {"payload": payload, "wall": wall_ms, "no": connector_no},
    )


def set_wish(connection: sqlite3.Connection, connector_no: ConnectorNo, wish: str | None) -> None:
    """Availability that the charger is to be given when it is back."""
    connection.execute("UPDATE connector SET wish = :wish WHERE connector_no = :no", {"wish": wish, "no": connector_no})

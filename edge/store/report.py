"""What people are shown of the store. Read-only queries for the console; nothing here decides anything."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from edge.domain.ids import ChargerNo, ConnectorNo, TransactionNo
from edge.domain.reconciliation import Doubt
from edge.jsontypes import Payload
from edge.store import endings, exchange
from edge.store.exchange import Exchange, Kind

QUEUE_AT_MOST = 500
SESSIONS_AT_MOST = 500


@dataclass(frozen=True, slots=True)
class Backlog:
    messages: int
    parked: int


@dataclass(frozen=True, slots=True)
class Session:
    tx_no: TransactionNo
    charger_no: ChargerNo
    connector_no: ConnectorNo | None
    state: str
    charger: str
    evse: int | None
    connector: int | None
    upstream_connector: int | None
    id_token: str | None
    charger_tx: str | None
    csms_tx: str | None
    remote_start: bool
    started_wall_ms: int | None
    ended_wall_ms: int | None
    meter_start_wh: int | None
    meter_stop_wh: int | None
    end_reason: str | None
    started_offline: bool
    decision: str | None
    decision_source: str | None
    decided_wall_ms: int | None
    csms_verdict: str | None
    csms_verdict_wall_ms: int | None
    rows: int
    acked_rows: int
    acked_seq: int
    parked_seq: int | None
    last_seq: int
    begin_seq: int
    dropped_seq: int | None
    dropped_rows: int
    thinned: int
    """Meter values left out because the store was filling."""
    doubt: Doubt | None
    """Why it may have ended, or was taken to have ended, without its stop."""
    end_rule: str | None
    continues: int | None
    """The session that we had ended, and of which this is the rest."""
    goes_on_as: int | None
    late_stop_seq: int | None
    """The real stop that came after ours."""
    is_contradicted: bool
    """By that one."""
    figures: str | None
    idle_ms: int | None

    @property
    def concluded_ms(self) -> int | None:
        """Since when people are told that it has ended, although its stop has not come."""
        return None if self.doubt is None else self.doubt.concluded_ms


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that the CSMS does not have."""

    seq: int
    tx_no: TransactionNo
    kind: str
    charger: str | None
    lane: int | None
    action: str
    is_parked: bool


@dataclass(frozen=True, slots=True)
class Attempted:
    """How a message fared so far."""

    at_wall_ms: int
    version: str | None
    attempts: int
    error: tuple[str, str, int] | None
    """(Code, description, wall ms)."""


_SESSION = (
    "SELECT tx.tx_no, tx.charger_no, tx.connector_no, tx.state, g.id, c.evse, c.conn, c.up16_connector, "
    "tx.id_token, tx.charger_tx, tx.upstream_tx, "
    "tx.remote_start, tx.started_wall_ms, tx.ended_wall_ms, tx.meter_start_wh, tx.meter_stop_wh, tx.end_reason, "
    "tx.started_offline, tx.decision, tx.decision_source, tx.decided_wall_ms, tx.csms_verdict, "
    "tx.csms_verdict_wall_ms, tx.rows, tx.acked_rows, tx.acked_seq, tx.parked_seq, tx.last_seq, tx.begin_seq, "
    "tx.dropped_seq, tx.dropped_rows, tx.thinned, tx.doubt, tx.end_rule, tx.continues, "
    "(SELECT rest.tx_no FROM tx rest WHERE rest.continues = tx.tx_no), "
    "tx.late_stop_seq, tx.contradicted_wall_ms IS NOT NULL, tx.figures, tx.idle_ms "
    "FROM tx JOIN charger g USING (charger_no) LEFT JOIN connector c USING (connector_no) "
    "WHERE tx.kind = 'transaction'"
)
_FIELDS = tuple(field.name for field in fields(Session))


def _session(row: tuple[object, ...]) -> Session:
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    values |= {name: bool(values[name]) for name in ("remote_start", "started_offline", "is_contradicted")}
    return Session(**{**values, "doubt": endings.read(values["doubt"])})


def backlog(connection: sqlite3.Connection) -> Backlog:
    """From the counters of the transactions that are due or parked, never from counting messages."""
    waiting = connection.execute("SELECT coalesce(sum(rows - acked_rows), 0) FROM tx WHERE due = 1").fetchone()
    parked = connection.execute(
        "SELECT coalesce(sum(rows - acked_rows), 0) FROM tx WHERE parked_seq IS NOT NULL"
    ).fetchone()
    return Backlog(int(waiting[0]), int(parked[0]))


def sessions(
    connection: sqlite3.Connection, *, only_open: bool, charger: str | None, since_ms: int | None
) -> list[Session]:
    """Newest first."""
    rows = connection.execute(
        f"{_SESSION} AND (:open = 0 OR tx.state = 'open' AND json_extract(tx.doubt, '$.concluded_ms') IS NULL) "
        "AND (:charger IS NULL OR g.id = :charger) "
        "AND (:since IS NULL OR tx.started_wall_ms >= :since OR tx.state = 'open') "
        "ORDER BY tx.tx_no DESC LIMIT :limit",
        {"open": int(only_open), "charger": charger, "since": since_ms, "limit": SESSIONS_AT_MOST},
    )
    return [_session(row) for row in rows]


def session(connection: sqlite3.Connection, tx_no: int) -> Session | None:
    row = connection.execute(f"{_SESSION} AND tx.tx_no = :tx", {"tx": tx_no}).fetchone()
    return None if row is None else _session(row)


def open_sessions(connection: sqlite3.Connection) -> dict[int, TransactionNo]:
    """Open transaction of the present charger, by connector number of ours."""
    rows = connection.execute(
        "SELECT tx.connector_no, tx.tx_no FROM tx JOIN connector c USING (connector_no) "
        "WHERE tx.state = 'open' AND tx.kind = 'transaction' AND c.charger_no = tx.charger_no "
        "AND json_extract(tx.doubt, '$.concluded_ms') IS NULL ORDER BY tx.tx_no"
    )
    return {int(connector): TransactionNo(tx) for connector, tx in rows}


def without_session(connection: sqlite3.Connection, since_ms: int) -> list[int]:
    """Connectors that have kept their status since before then, with no session open, and none that ended since."""
    rows = connection.execute(
        "SELECT connector_no FROM connector WHERE status_wall_ms < :since "
        "AND NOT EXISTS (SELECT 1 FROM tx WHERE tx.connector_no = connector.connector_no AND tx.state = 'open') "
        "AND NOT EXISTS (SELECT 1 FROM tx WHERE tx.tx_no > (SELECT max(tx_no) FROM tx) - :recent "
        "AND tx.connector_no = connector.connector_no AND tx.ended_wall_ms >= :since)",
        {"since": since_ms, "recent": SESSIONS_AT_MOST},
    )
    return [int(row[0]) for row in rows]


def count_open(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM tx WHERE state = 'open' AND kind = 'transaction' "
        "AND json_extract(doubt, '$.concluded_ms') IS NULL"
    ).fetchone()
    return int(row[0])


def last_values(connection: sqlite3.Connection, one: Session) -> Exchange | None:
    """The newest MeterValues of a session."""
    for row in exchange.of_transaction(connection, one.tx_no, one.last_seq or None):
        if row.action == "MeterValues" and row.kind is Kind.CHARGER_CALL:
            return row
    return None


def rows_of(connection: sqlite3.Connection, one: Session) -> list[Exchange]:
    """All that was stored of a session, oldest first."""
    return list(exchange.of_transaction(connection, one.tx_no, one.last_seq or None))[::-1]


def rows_of_charger(connection: sqlite3.Connection, charger: str, limit: int) -> list[Exchange]:
    """The newest rows of a charger, oldest first."""
    found = connection.execute("SELECT last_seq FROM charger WHERE id = :id", {"id": charger}).fetchone()
    rows: list[Exchange] = []
    for row in exchange.of_peer(connection, None if found is None else found[0]):
        rows.append(row)
        if len(rows) == limit:
            break
    return rows[::-1]


def queue(connection: sqlite3.Connection) -> Iterator[Queued]:
    """All that the CSMS does not have, by transaction and in the order of commit."""
    streams = connection.execute(
        "SELECT tx.tx_no, tx.kind, tx.acked_seq, tx.last_seq, tx.parked_seq, g.id, c.up16_connector "
        "FROM tx LEFT JOIN charger g USING (charger_no) LEFT JOIN connector c USING (connector_no) "
        "WHERE tx.due = 1 OR tx.parked_seq IS NOT NULL ORDER BY tx.begin_seq"
    ).fetchall()
    for tx_no, kind, acked_seq, last_seq, parked_seq, charger, connector in streams:
        lane = connector if charger is not None else 0
        for seq, action in exchange.pending(connection, last_seq, acked_seq):
            is_parked = parked_seq is not None and seq >= parked_seq
            yield Queued(seq, TransactionNo(tx_no), kind, charger, lane, action, is_parked)


def attempted(connection: sqlite3.Connection, seq: int) -> Attempted:
    """What is known of a message in the queue."""
    one = exchange.load(connection, seq)
    assert one is not None
    found = connection.execute(
        "SELECT attempts, error_code, error_description, error_wall_ms FROM delivery WHERE seq = :seq", {"seq": seq}
    ).fetchone()
    error = None if found is None or found[1] is None else (found[1], found[2], found[3])
    return Attempted(one.at_wall_ms, one.version, 0 if found is None else int(found[0]), error)


def upstream_of(connection: sqlite3.Connection) -> dict[int, int]:
    """Upstream number by connector number of ours."""
    rows = connection.execute("SELECT connector_no, up16_connector FROM connector WHERE up16_connector IS NOT NULL")
    return {int(connector): int(upstream) for connector, upstream in rows}


def connector_numbers(connection: sqlite3.Connection) -> dict[int, int]:
    """The charger's own number by connector number of ours."""
    return {int(no): int(conn) for no, conn in connection.execute("SELECT connector_no, conn FROM connector")}


def charger_names(connection: sqlite3.Connection) -> dict[int, str]:
    return {int(no): str(name) for no, name in connection.execute("SELECT charger_no, id FROM charger")}


def tx_stream(connection: sqlite3.Connection, tx_no: int) -> tuple[str, str | None, int]:
    """(Kind, CSMS id, upstream connector) of what a message belongs to."""
    found = connection.execute(
        "SELECT tx.kind, tx.upstream_tx, coalesce(c.up16_connector, 0) FROM tx "
        "LEFT JOIN connector c USING (connector_no) WHERE tx_no = :tx",
        {"tx": tx_no},
    ).fetchone()
    return found[0], found[1], found[2]


def bound(connection: sqlite3.Connection, seq: int) -> str | None:
    """The payload as it was sent, while its outcome is unknown."""
    found = connection.execute("SELECT bound FROM delivery WHERE seq = :seq", {"seq": seq}).fetchone()
    return None if found is None else found[0]


def parked(connection: sqlite3.Connection) -> list[tuple[int, str, str, int]]:
    """(Seq, code, description, wall ms) of what is parked, for alarms."""
    return list(
        connection.execute(
            "SELECT seq, coalesce(error_code, ''), coalesce(error_description, ''), coalesce(error_wall_ms, 0) "
            "FROM delivery WHERE state = 'parked' ORDER BY seq LIMIT 20"
        )
    )


def contradicted(connection: sqlite3.Connection, since_ms: int) -> list[tuple[TransactionNo, str, int]]:
    """(Session, charger, when) of late stops since then that contradict the one that the CSMS got from us."""
    rows = connection.execute(
        "SELECT tx.tx_no, g.id, tx.contradicted_wall_ms FROM tx JOIN charger g USING (charger_no) "
        "WHERE tx.contradicted_wall_ms >= :since ORDER BY tx.tx_no LIMIT 20",
        {"since": since_ms},
    )
    return [(TransactionNo(tx_no), charger, at) for tx_no, charger, at in rows]


def observed_ms(connection: sqlite3.Connection, seq: int) -> int | None:
    """When this row was observed."""
    one = exchange.load(connection, seq)
    return None if one is None else one.at_wall_ms


def notes_of(one: Exchange) -> list[dict[str, str]]:
    """Remarks of a row: rule and message."""
    if one.notes is None:
        return []
    found = json.loads(one.notes)
    return found if isinstance(found, list) else []


def sent_ms(one: Exchange) -> int | None:
    """When the CALL behind a CSMS answer was sent."""
    if one.notes is None:
        return None
    found = json.loads(one.notes)
    return found.get("sent_ms") if isinstance(found, dict) else None


def carried(one: Exchange) -> tuple[int, ...]:
    """The messages that travelled in the CALL behind a CSMS answer: mostly one, or several values that shared it."""
    found = None if one.notes is None else json.loads(one.notes)
    together = found.get("together") if isinstance(found, dict) else None
    if isinstance(together, list):
        return tuple(together)
    return () if one.cause_seq is None else (one.cause_seq,)


def sent_payload(one: Exchange) -> Payload | None:
    """What was sent, where that cannot be rendered again."""
    if one.notes is None:
        return None
    found = json.loads(one.notes)
    return found.get("payload") if isinstance(found, dict) else None

"""Doubts about open sessions, and how a session ended that never got a stop (`edge/domain/reconciliation.py`)."""

import json
import sqlite3
from dataclasses import dataclass

from edge.domain import reconciliation
from edge.domain.ids import ChargerId, ChargerNo, ChargerTransactionId, ConnectorNo, IdToken, TransactionNo
from edge.domain.reconciliation import Doubt
from edge.ocppj.frames import encode_json
from edge.store import chains, transactions


@dataclass(frozen=True, slots=True)
class Doubted:
    """An open session that may have ended."""

    tx_no: TransactionNo
    charger: ChargerId
    charger_no: ChargerNo
    connector_no: ConnectorNo | None
    conn: int | None
    """The charger's own number of its connector."""
    charger_tx: ChargerTransactionId
    last_seq: int
    """Newest row of the session."""
    doubt: Doubt


def doubt(connection: sqlite3.Connection, tx_no: TransactionNo) -> Doubt | None:
    """Of a session, also of one that we have ended since."""
    row = connection.execute("SELECT doubt FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    return None if row is None else read(row[0])


def set_doubt(connection: sqlite3.Connection, tx_no: TransactionNo, new: Doubt | None) -> None:
    text = None if new is None else encode_json(reconciliation.as_json(new))
    connection.execute("UPDATE tx SET doubt = :doubt WHERE tx_no = :tx", {"doubt": text, "tx": tx_no})


def read(text: str | None) -> Doubt | None:
    """As `set_doubt` wrote it."""
    return None if text is None else reconciliation.from_json(json.loads(text))


def doubted(connection: sqlite3.Connection) -> list[Doubted]:
    """All open sessions with a doubt."""
    rows = connection.execute(
        "SELECT tx.tx_no, g.id, tx.charger_no, tx.connector_no, c.conn, tx.charger_tx, tx.doubt FROM tx "
        "JOIN charger g USING (charger_no) LEFT JOIN connector c USING (connector_no) "
        "WHERE tx.doubt IS NOT NULL AND tx.state = 'open' ORDER BY tx.tx_no"
    )
    found = []
    for tx_no, charger, charger_no, connector_no, conn, charger_tx, text in rows.fetchall():
        doubt = read(text)
        if doubt is not None:
            last_seq, _ = chains.tx_end(connection, tx_no)
            found.append(Doubted(tx_no, charger, charger_no, connector_no, conn, charger_tx, last_seq or 0, doubt))
    return found


def left_by_another(connection: sqlite3.Connection, connector_no: ConnectorNo) -> list[TransactionNo]:
    """Open sessions of a connector that belong to a box that is not there any more (`edge replace`)."""
    rows = connection.execute(
        "SELECT tx.tx_no FROM tx JOIN connector c USING (connector_no) WHERE tx.connector_no = :connector "
        "AND tx.state = 'open' AND tx.kind = 'transaction' AND tx.charger_no <> c.charger_no ORDER BY tx.tx_no",
        {"connector": connector_no},
    )
    return [TransactionNo(row[0]) for row in rows]


@dataclass(frozen=True, slots=True)
class End:
    """How a session ended whose stop never came."""

    at_ms: int
    register_wh: int
    reason: str


def announce(connection: sqlite3.Connection, tx_no: TransactionNo, end: End | None) -> None:
    """What people are shown while the CSMS is not told yet; None: it goes on after all."""
    connection.execute(
        "UPDATE tx SET ended_wall_ms = :at, meter_stop_wh = :register, end_reason = :reason "
        "WHERE tx_no = :tx AND state = 'open'",
        {
            "at": None if end is None else end.at_ms,
            "register": None if end is None else end.register_wh,
            "reason": None if end is None else end.reason,
            "tx": tx_no,
        },
    )


def announced(connection: sqlite3.Connection, tx_no: TransactionNo) -> End | None:
    """What `announce` has put there last."""
    row = connection.execute(
        "SELECT ended_wall_ms, meter_stop_wh, end_reason FROM tx "
        "WHERE tx_no = :tx AND state = 'open' AND ended_wall_ms IS NOT NULL",
        {"tx": tx_no},
    ).fetchone()
    return None if row is None else End(*row)


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that we have ended."""

    connector_no: ConnectorNo | None
    id_token: IdToken | None
    ended_wall_ms: int | None
    meter_stop_wh: int | None
    late_stop_seq: int | None


def ended_by_us(connection: sqlite3.Connection, tx_no: TransactionNo) -> Ended | None:
    """None: it is open, or its own stop has ended it."""
    row = connection.execute(
        "SELECT connector_no, id_token, ended_wall_ms, meter_stop_wh, late_stop_seq FROM tx "
        "WHERE tx_no = :tx AND state = 'ended' AND end_rule IS NOT NULL",
        {"tx": tx_no},
    ).fetchone()
    return None if row is None else Ended(*row)


def end(connection: sqlite3.Connection, tx_no: TransactionNo, end: End, why: Doubt, stop_seq: int) -> None:
    """We end it; `stop_seq` is the row of the stop that the CSMS gets. The doubt stays: it may prove to go on."""
    transactions.end(connection, tx_no, transactions.instant(end.at_ms), end.register_wh, end.reason, stop_seq)
    connection.execute("UPDATE tx SET end_rule = :rule WHERE tx_no = :tx", {"rule": why.evidence, "tx": tx_no})


def late_stop(connection: sqlite3.Connection, tx_no: TransactionNo, seq: int, contradicted_ms: int | None) -> None:
    """Its real stop has come after ours; `contradicted_ms`: when, if it says something else."""
    connection.execute(
        "UPDATE tx SET late_stop_seq = :seq, contradicted_wall_ms = :at WHERE tx_no = :tx AND late_stop_seq IS NULL",
        {"seq": seq, "at": contradicted_ms, "tx": tx_no},
    )


def has_follower(connection: sqlite3.Connection, tx_no: TransactionNo) -> bool:
    """Whether a later session has begun on its connector."""
    row = connection.execute(
        "SELECT 1 FROM tx later JOIN tx this ON this.tx_no = :tx WHERE later.connector_no = this.connector_no "
        "AND later.kind = 'transaction' AND later.tx_no > this.tx_no LIMIT 1",
        {"tx": tx_no},
    ).fetchone()
    return row is not None


def goes_on_as(connection: sqlite3.Connection, tx_no: TransactionNo, continuation: TransactionNo) -> None:
    """The session had not ended after all: the rest of it is `continuation`."""
    connection.execute(
        "UPDATE tx SET continues = :tx WHERE tx_no = :continuation", {"tx": tx_no, "continuation": continuation}
    )

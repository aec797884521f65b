"""What is still to go to the CSMS, and how far it got.

Within a transaction delivery is in order, so `tx.acked_seq` says it all; the table `delivery` holds only the messages
that are bound and of unknown outcome, refused, or parked.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from edge.domain.ids import CsmsTransactionId, TransactionNo, UpstreamConnector
from edge.jsontypes import Payload
from edge.store import chains, exchange, transactions
from edge.store.exchange import Exchange

STATION_LANE = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in its lane."""

    seq: int
    is_start_or_stop: bool


START_OR_STOP = frozenset({"StartTransaction", "StopTransaction"})


@dataclass(frozen=True, slots=True)
class Message:
    """A message with what is needed to write it for the CSMS."""

    row: Exchange
    tx_no: TransactionNo
    kind: str
    upstream_connector: UpstreamConnector
    upstream_tx: CsmsTransactionId | None
    tx_epoch: int | None
    bound: str | None
    """Its payload as it was sent before, when the outcome of that is unknown."""
    attempts: int


Render = Callable[[Message], Payload]


def open_epoch(connection: sqlite3.Connection, identity: str, endpoint: str, version: str) -> int:
    """The epoch of this uplink: the one that is open, or a new one (architecture, law 9)."""
    row = connection.execute(
        "SELECT epoch_no FROM uplink_epoch WHERE identity = :identity AND endpoint = :endpoint "
        "AND version = :version ORDER BY epoch_no DESC LIMIT 1",
        {"identity": identity, "endpoint": endpoint, "version": version},
    ).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO uplink_epoch (identity, endpoint, version, opened_seq) "
            "SELECT :identity, :endpoint, :version, value FROM temp.counter WHERE name = 'seq' RETURNING epoch_no",
            {"identity": identity, "endpoint": endpoint, "version": version},
        ).fetchone()
    return int(row[0])


def foreign_unfinished(connection: sqlite3.Connection, epoch_no: int) -> tuple[int, str, str] | None:
    """(How many, identity, endpoint) of unfinished transactions of another epoch's CSMS; None: there are none."""
    row = connection.execute(
        "SELECT count(*), e.identity, e.endpoint FROM tx JOIN uplink_epoch e USING (epoch_no) "
        "WHERE tx.due = 1 AND tx.kind = 'transaction' AND tx.epoch_no <> :epoch",
        {"epoch": epoch_no},
    ).fetchone()
    return None if row[0] == 0 else (int(row[0]), str(row[1]), str(row[2]))


def lanes(connection: sqlite3.Connection) -> dict[int, list[Waiting]]:
    """All that is to be sent, by upstream connector, in the order of commit."""
    found: dict[int, list[Waiting]] = {}
    rows = connection.execute(
        "SELECT tx.tx_no, tx.acked_seq, coalesce(c.up16_connector, 0) "
        "FROM tx LEFT JOIN connector c USING (connector_no) "
        "WHERE tx.due = 1 AND (c.up16_connector IS NOT NULL OR tx.charger_no IS NULL)"
    ).fetchall()
    for tx_no, acked_seq, lane in rows:
        last_seq, _ = chains.tx_end(connection, tx_no)
        if last_seq is not None:
            found.setdefault(lane, []).extend(
                Waiting(seq, action in START_OR_STOP)
                for seq, action in exchange.pending(connection, last_seq, acked_seq)
            )
    return {lane: sorted(waiting, key=lambda one: one.seq) for lane, waiting in found.items()}


def message(connection: sqlite3.Connection, seq: int) -> Message | None:
    """The message, None when it is not to be sent (any more): its transaction is parked, or its start was dropped."""
    row = exchange.load(connection, seq)
    if row is None or row.tx_no is None:
        return None
    tx = connection.execute(
        "SELECT tx.kind, coalesce(tx.parked_seq, tx.dropped_seq), coalesce(c.up16_connector, 0), tx.upstream_tx, "
        "tx.epoch_no, tx.acked_seq FROM tx LEFT JOIN connector c USING (connector_no) WHERE tx_no = :tx",
        {"tx": row.tx_no},
    ).fetchone()
    kind, kept_from, lane, upstream_tx, epoch_no, acked_seq = tx
    if (kept_from is not None and kept_from <= seq) or acked_seq >= seq:
        return None
    bound = connection.execute("SELECT bound, attempts FROM delivery WHERE seq = :seq", {"seq": seq}).fetchone()
    return Message(row, row.tx_no, kind, lane, upstream_tx, epoch_no, *(bound or (None, 0)))


def bind(connection: sqlite3.Connection, seq: int, epoch_no: int, payload: str) -> None:
    """Keep what is about to be sent, so that a repeat is equal whatever happens in between."""
    connection.execute(
        "INSERT INTO delivery (seq, state, epoch_no, bound) VALUES (:seq, 'bound', :epoch, :payload) "
        "ON CONFLICT (seq) DO UPDATE SET bound = :payload, epoch_no = :epoch",
        {"seq": seq, "epoch": epoch_no, "payload": payload},
    )


def acknowledge(connection: sqlite3.Connection, seq: int, tx_no: TransactionNo, epoch_no: int) -> bool:
    """The CSMS has it. False when it was known to have it before."""
    changed = connection.execute(
        "UPDATE tx SET acked_seq = :seq, acked_rows = acked_rows + 1, epoch_no = coalesce(epoch_no, :epoch) "
        "WHERE tx_no = :tx AND acked_seq < :seq",
        {"seq": seq, "tx": tx_no, "epoch": epoch_no},
    ).rowcount
    if changed == 0:
        return False
    connection.execute("DELETE FROM delivery WHERE seq = :seq", {"seq": seq})
    finish_if_all_is_delivered(connection, tx_no)
    return True


def finish_if_all_is_delivered(connection: sqlite3.Connection, tx_no: TransactionNo) -> None:
    """An ended transaction of which the CSMS has every row is not due any more."""
    _, rows = chains.tx_end(connection, tx_no)
    connection.execute(
        "UPDATE tx SET due = 0 WHERE tx_no = :tx AND state = 'ended' AND acked_rows >= :rows",
        {"tx": tx_no, "rows": rows},
    )


def learn_csms_tx(connection: sqlite3.Connection, tx_no: TransactionNo, csms_tx: CsmsTransactionId) -> None:
    """The CSMS has given the transaction its id; the first one stays (decided.md)."""
    connection.execute(
        "UPDATE tx SET upstream_tx = :id WHERE tx_no = :tx AND upstream_tx IS NULL", {"id": csms_tx, "tx": tx_no}
    )


def failed(connection: sqlite3.Connection, seq: int, attempts: int, code: str, description: str, wall_ms: int) -> None:
    """The CSMS refused it, or did not answer; it will be sent again."""
    connection.execute(
        "INSERT INTO delivery (seq, state, attempts, error_code, error_description, error_wall_ms) "
        "VALUES (:seq, 'failed', :attempts, :code, :description, :wall) ON CONFLICT (seq) DO UPDATE SET "
        "attempts = :attempts, error_code = :code, error_description = :description, error_wall_ms = :wall",
        {"seq": seq, "attempts": attempts, "code": code, "description": description, "wall": wall_ms},
    )


def park(
    connection: sqlite3.Connection,
    seq: int,
    tx_no: TransactionNo,
    code: str,
    description: str,
    attempts: int,
    wall_ms: int,
) -> None:
    """Give up on it for now, and with it on the transaction's later messages: kept and shown, not sent."""
    failed(connection, seq, attempts, code, description, wall_ms)
    connection.execute("UPDATE delivery SET state = 'parked' WHERE seq = :seq", {"seq": seq})
    # A stream of values outside of transactions ends with it; the next value begins a new one.
    connection.execute(
        "UPDATE tx SET parked_seq = :seq, due = 0, state = CASE kind WHEN 'meter' THEN 'ended' ELSE state END "
        "WHERE tx_no = :tx",
        {"seq": seq, "tx": tx_no},
    )


def park_orphan(
    connection: sqlite3.Connection, new: transactions.NewTransaction, row: exchange.NewExchange, code: str, why: str
) -> int:
    """Keep a message that belongs to nothing where `edge queue` shows it; its number."""
    tx_no = transactions.begin(connection, new)
    seq = exchange.append(connection, exchange.in_transaction(row, tx_no))
    if new.kind == transactions.ORPHAN:
        transactions.end(connection, tx_no, None, None, code)
    park(connection, seq, tx_no, code, why, 0, row.at.wall_ms)
    return seq


def has_undelivered_before(connection: sqlite3.Connection, tx_no: TransactionNo) -> bool:
    """Whether something of an earlier transaction of the same token is not delivered yet."""
    older = connection.execute(
        "SELECT older.tx_no, older.acked_rows FROM tx older JOIN tx this ON this.tx_no = :tx "
        "WHERE (older.due = 1 OR older.parked_seq IS NOT NULL) AND older.kind = 'transaction' "
        "AND older.tx_no < this.tx_no "
        "AND lower(older.id_token) = lower(this.id_token)",
        {"tx": tx_no},
    ).fetchall()
    return any(chains.tx_end(connection, number)[1] > acked_rows for number, acked_rows in older)


def passed_over(connection: sqlite3.Connection, row: Exchange) -> list[Waiting]:
    """Earlier messages of the same transaction that are not acknowledged: they come first, whoever forgot them."""
    assert row.tx_no is not None
    acked = connection.execute("SELECT acked_seq FROM tx WHERE tx_no = :tx", {"tx": row.tx_no}).fetchone()[0]
    if row.prev_tx is None or row.prev_tx <= acked:
        return []
    earlier = exchange.pending(connection, row.prev_tx, acked)
    return [Waiting(seq, action in START_OR_STOP) for seq, action in earlier]

"""What is still to go to the CSMS, and how far it got.

Within a transaction delivery is in order, so `tx.acked_seq` says it all; the table `delivery` holds only the messages
that are bound and of unknown outcome, refused, or parked.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from edge.domain.ids import ConnectorNo, CsmsTransactionId, TransactionNo, UpstreamConnector
from edge.jsontypes import Payload
from edge.store import chains, exchange, gaps, transactions
from edge.store.exchange import Exchange

STATION_LANE = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in its lane."""

    seq: int
    is_start_or_stop: bool


class Stored(NamedTuple):
    """A row that was stored just now, and waits for the CSMS."""

    connector: ConnectorNo
    waiting: Waiting


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
    """The epoch of this uplink: the one that is open, or a new one (docs/architecture.md, law 8)."""
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


@dataclass(frozen=True, slots=True)
class Due:
    """A transaction of which something may be due, or a stream of values."""

    tx_no: TransactionNo
    lane: int
    acked_seq: int


def due(connection: sqlite3.Connection, of: Collection[ConnectorNo] | None = None) -> list[Due]:
    """All of connectors that have an upstream number, and of the station itself; or only `of` these connectors."""
    rows = connection.execute(
        "SELECT tx.tx_no, coalesce(c.up16_connector, 0), tx.acked_seq, tx.connector_no "
        "FROM tx LEFT JOIN connector c USING (connector_no) "
        "WHERE tx.due = 1 AND (c.up16_connector IS NOT NULL OR tx.charger_no IS NULL)"
    )
    return [Due(TransactionNo(tx_no), lane, acked) for tx_no, lane, acked, where in rows if of is None or where in of]


def lanes(connection: sqlite3.Connection, of: Collection[ConnectorNo] | None = None) -> dict[int, list[Waiting]]:
    """All that is to be sent, or only `of` these connectors, by upstream connector, in the order of commit."""
    found: dict[int, list[Waiting]] = {}
    for one in due(connection, of):
        last_seq, _ = chains.tx_end(connection, one.tx_no)
        if last_seq is not None:
            found.setdefault(one.lane, []).extend(
                Waiting(seq, action in START_OR_STOP)
                for seq, action in exchange.pending(connection, last_seq, one.acked_seq)
            )
    return {lane: sorted(waiting, key=lambda one: one.seq) for lane, waiting in found.items()}


def waiting_backwards(
    connection: sqlite3.Connection, one: Due, before: int | None, most: int
) -> tuple[list[Waiting], int | None]:
    """As `lanes`, a few rows at a time, newest first: up to `most`, and where to go on (None: this was the oldest).

    `before` is where the last ones ended; None begins with the newest row.
    """
    seq = chains.tx_end(connection, one.tx_no)[0] if before is None else before
    rows = exchange.chain_back(connection, seq, one.acked_seq, most)
    found = [Waiting(seq, action in START_OR_STOP) for seq, _, relay, action in rows if relay]
    next_seq = gaps.back(rows[-1][0], rows[-1][1]) if len(rows) == most else None
    return found, None if next_seq is None or next_seq <= one.acked_seq else next_seq


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


def behind(connection: sqlite3.Connection, head: Message, seqs: Sequence[int]) -> Iterator[Message]:
    """The messages of these numbers that come right after `head` in its transaction, as far as nothing is in the way.

    In the way are: a message of something else, one between them that nobody named, one that is not what was stored,
    and one that was refused before or is bound: that goes alone, as it did.
    """
    tried = connection.execute(
        "SELECT min(seq) FROM delivery WHERE seq IN (SELECT value FROM json_each(:seqs)) "
        "AND (bound IS NOT NULL OR attempts > 0)",
        {"seqs": json.dumps(seqs)},
    ).fetchone()[0]
    before = head.row
    for seq in seqs:
        row = exchange.load(connection, seq)
        if row is None or row.tx_no != head.tx_no or not row.relay or seq == tried:
            return
        if row.prev_tx == before.seq:
            is_intact = exchange.digest(row.seq, before.digest, row.text) == row.digest
        else:
            is_intact = exchange.is_intact(connection, row) and not passed_over(connection, row, before.seq)
        if not is_intact:
            return
        yield replace(head, row=row, bound=None, attempts=0)
        before = row


def bind(connection: sqlite3.Connection, seq: int, epoch_no: int, payload: str) -> None:
    """Keep what is about to be sent, so that a repeat is equal whatever happens in between."""
    connection.execute(
        "INSERT INTO delivery (seq, state, epoch_no, bound) VALUES (:seq, 'bound', :epoch, :payload) "
        "ON CONFLICT (seq) DO UPDATE SET bound = :payload, epoch_no = :epoch",
        {"seq": seq, "epoch": epoch_no, "payload": payload},
    )


def acknowledge(connection: sqlite3.Connection, seq: int, tx_no: TransactionNo, epoch_no: int) -> bool:
    """The CSMS has it. False when it was known to have it before."""
    return acknowledge_together(connection, (seq,), tx_no, epoch_no)


def acknowledge_together(
    connection: sqlite3.Connection, seqs: Sequence[int], tx_no: TransactionNo, epoch_no: int
) -> bool:
    """The CSMS has these, which ascend; they came in one message. False when it was known to have them before.

    With them it has all that comes before them in their transaction, also where nobody could store that (a disk that
    failed for long). One that was left out while it was on its way (`thinning.py`) is not counted: it is no row of the
    transaction now.
    """
    found = connection.execute("SELECT acked_seq FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    news = [seq for seq in seqs if seq > found[0]]
    if not news:
        return False
    last = connection.execute(
        "SELECT max(seq) FROM exchange WHERE seq IN (SELECT value FROM json_each(:seqs))", {"seqs": json.dumps(news)}
    ).fetchone()[0]
    delivered = [] if last is None else [seq for seq, _ in exchange.pending(connection, last, found[0])]
    numbers = json.dumps([*news, *delivered])
    connection.execute(
        "UPDATE tx SET acked_seq = :seq, acked_rows = acked_rows + :rows, epoch_no = coalesce(epoch_no, :epoch) "
        "WHERE tx_no = :tx",
        {"seq": news[-1], "rows": len(delivered), "tx": tx_no, "epoch": epoch_no},
    )
    connection.execute("DELETE FROM delivery WHERE seq IN (SELECT value FROM json_each(:seqs))", {"seqs": numbers})
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


def is_there(connection: sqlite3.Connection, seq: int) -> bool:
    """Whether the row still is: a value may be left out while it is on its way (`thinning.py`)."""
    return connection.execute("SELECT 1 FROM exchange WHERE seq = :seq", {"seq": seq}).fetchone() is not None


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


def passed_over(connection: sqlite3.Connection, row: Exchange, answered: int = 0) -> list[Waiting]:
    """Earlier messages of the same transaction that are not acknowledged: they come first, whoever forgot them.

    `answered`: up to which row the CSMS is known to have it, before that is stored.
    """
    assert row.tx_no is not None
    acked = connection.execute("SELECT acked_seq FROM tx WHERE tx_no = :tx", {"tx": row.tx_no}).fetchone()[0]
    acked = max(acked, answered)
    if row.prev_tx is None or row.prev_tx <= acked:
        return []
    earlier = exchange.pending(connection, row.prev_tx, acked)
    return [Waiting(seq, action in START_OR_STOP) for seq, action in earlier]

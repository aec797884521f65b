"""Meter values that a charger sends again because our answer was lost: known by their content.

Kept in memory (a TEMP table of the writer's connection, so that a rolled-back unit leaves no trace) for the open
transactions, and rebuilt at the start from the ends of their chains. A repeated start is known by its key, a repeated
stop by the row of the stop itself.
"""

import hashlib
import sqlite3

from edge.domain.ids import TransactionNo
from edge.store import chains, exchange

REBUILT_PER_TRANSACTION = 64
"""How many of a transaction's newest messages are remembered over a restart."""


def content(action: str, payload_text: str) -> bytes:
    """What is equal in a repetition: everything but the message id."""
    return hashlib.blake2b(f"{action}\0{payload_text}".encode(), digest_size=16).digest()


def load(connection: sqlite3.Connection) -> None:
    """Make the table and fill it for the open transactions."""
    connection.execute(
        "CREATE TEMP TABLE seen (tx_no INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (tx_no, content)) "
        "WITHOUT ROWID"
    )
    rows = connection.execute("SELECT tx_no FROM tx WHERE state = 'open'").fetchall()
    for (tx_no,) in rows:
        last_seq, _ = chains.tx_end(connection, tx_no)
        remembered = 0
        for row in exchange.of_transaction(connection, tx_no, last_seq):
            if row.relay and row.action == "MeterValues":
                remember(connection, tx_no, content(row.action, exchange.payload_text(row)))
                remembered += 1
                if remembered == REBUILT_PER_TRANSACTION:
                    break


def remember(connection: sqlite3.Connection, tx_no: TransactionNo, what: bytes) -> bool:
    """Whether it is new."""
    added = connection.execute("INSERT OR IGNORE INTO temp.seen VALUES (:tx, :what)", {"tx": tx_no, "what": what})
    return added.rowcount == 1


def forget_others(connection: sqlite3.Connection, tx_no: TransactionNo, newest: bytes) -> None:
    """Of a stream without an end only the newest is remembered."""
    connection.execute(
        "DELETE FROM temp.seen WHERE tx_no = :tx AND content <> :newest", {"tx": tx_no, "newest": newest}
    )


def forget(connection: sqlite3.Connection, tx_no: TransactionNo) -> None:
    """The transaction has ended."""
    connection.execute("DELETE FROM temp.seen WHERE tx_no = :tx", {"tx": tx_no})

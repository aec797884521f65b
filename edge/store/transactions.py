"""Transactions: what the charger began and ended, and how far the CSMS knows of it.

The columns that change with each message are not here but in `chains`; the start, the stop and the acknowledgements
are written by the functions below, each inside somebody's unit.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge.domain.ids import (
    ChargerNo,
    ChargerTransactionId,
    ConnectorNo,
    CsmsTransactionId,
    IdToken,
    TransactionNo,
)
from edge.domain.transactions import Transaction
from edge.store import boots

TRANSACTION = "transaction"
METER = "meter"
"""Meter values outside of a transaction: a stream of a connector, or of the station itself, that never ends."""
ORPHAN = "orphan"
"""A stop that no transaction matches: kept and shown, not sent."""

FIRST_STREAM = 2**40


@dataclass(frozen=True, slots=True)
class NewTransaction:
    kind: str
    charger_no: ChargerNo | None
    connector_no: ConnectorNo | None
    begin_seq: int
    charger_tx: ChargerTransactionId | None = None
    start_key: bytes | None = None
    id_token: IdToken | None = None
    started_at: datetime | None = None
    meter_start_wh: int | None = None
    remote_start: bool = False
    started_offline: bool = False


_COLUMNS = (
    "tx_no, connector_no, charger_tx, id_token, state, started_wall_ms, meter_start_wh, "
    "doubt IS NOT NULL, clock IS NOT NULL"
)
_SELECT = f"SELECT {_COLUMNS} FROM tx"  # noqa: S608 - a constant of this module


def _transaction(row: Sequence[Any]) -> Transaction:
    """A STRICT table keeps its types."""
    no, connector_no, charger_tx, id_token, state, started_ms, meter_start, is_doubted, is_moved = row
    return Transaction(
        no=no,
        connector_no=connector_no,
        charger_tx=charger_tx,
        id_token=id_token,
        is_open=state == "open",
        started_at=None if started_ms is None else instant(started_ms),
        meter_start_wh=meter_start,
        is_doubted=bool(is_doubted),
        is_moved=bool(is_moved),
    )


def begin(connection: sqlite3.Connection, new: NewTransaction) -> TransactionNo:
    """A new transaction, open; its number. The row that began it is appended next, with `begin_seq` for its number.

    Sessions are numbered without gaps for people; what else is a stream of messages has numbers of its own.
    """
    counter, first = ("session", 1) if new.kind == TRANSACTION else ("stream", FIRST_STREAM)
    row = connection.execute(
        "INSERT INTO tx (tx_no, kind, charger_no, connector_no, charger_tx, start_key, id_token, state, begin_seq, "
        "last_seq, started_wall_ms, meter_start_wh, remote_start, started_offline) "
        "VALUES (:tx_no, :kind, :charger, :connector, :charger_tx, :key, :token, 'open', :begin, "
        "0, :started, :meter_start, :remote, :offline) RETURNING tx_no",
        {
            "tx_no": boots.next_number(connection, counter, first),
            "kind": new.kind,
            "charger": new.charger_no,
            "connector": new.connector_no,
            "charger_tx": new.charger_tx,
            "key": new.start_key,
            "token": new.id_token,
            "begin": new.begin_seq,
            "started": wall_ms(new.started_at),
            "meter_start": new.meter_start_wh,
            "remote": int(new.remote_start),
            "offline": int(new.started_offline),
        },
    ).fetchone()
    return TransactionNo(row[0])


def wall_ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)


def instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def by_start_key(connection: sqlite3.Connection, key: bytes) -> tuple[TransactionNo, int] | None:
    """Number and first row of the transaction that this start began already."""
    row = connection.execute("SELECT tx_no, begin_seq FROM tx WHERE start_key = :key", {"key": key}).fetchone()
    return None if row is None else (TransactionNo(row[0]), int(row[1]))


def by_no(connection: sqlite3.Connection, tx_no: TransactionNo) -> Transaction | None:
    row = connection.execute(f"{_SELECT} WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    return None if row is None else _transaction(row)


def charger_of(connection: sqlite3.Connection, tx_no: TransactionNo) -> ChargerNo:
    """The charger whose transaction it is."""
    row = connection.execute("SELECT charger_no FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    return ChargerNo(row[0])


def by_charger_tx(
    connection: sqlite3.Connection, charger_no: ChargerNo, charger_tx: ChargerTransactionId
) -> Transaction | None:
    """The charger's transaction with this id; another charger's is never found (SteVe's CVE-2026-28230)."""
    row = connection.execute(
        f"{_SELECT} WHERE charger_no = :charger AND charger_tx = :id ORDER BY tx_no DESC LIMIT 1",
        {"charger": charger_no, "id": charger_tx},
    ).fetchone()
    return None if row is None else _transaction(row)


def open_on(connection: sqlite3.Connection, connector_no: ConnectorNo) -> Transaction | None:
    """The newest of `all_open_on`."""
    return next(reversed(all_open_on(connection, connector_no)), None)


def all_open_on(connection: sqlite3.Connection, connector_no: ConnectorNo) -> list[Transaction]:
    """The open transactions of a connector and of its present charger, mostly one, the newest last.

    What another box has left open in this place takes nothing of what the present one says (`edge replace`).
    """
    rows = connection.execute(
        f"{_SELECT} WHERE connector_no = :connector AND state = 'open' AND kind = 'transaction' "  # noqa: S608 - a constant
        "AND charger_no = (SELECT c.charger_no FROM connector c WHERE c.connector_no = :connector) "
        "ORDER BY started_wall_ms, tx_no",  # an older one may have been told of later
        {"connector": connector_no},
    )
    return [_transaction(row) for row in rows]


def begin_seq(connection: sqlite3.Connection, tx_no: TransactionNo) -> int:
    """The row of its start."""
    return int(connection.execute("SELECT begin_seq FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()[0])


def last_on(connection: sqlite3.Connection, connector_no: ConnectorNo) -> TransactionNo | None:
    """The newest transaction of a connector, if it has ended there."""
    row = connection.execute(
        "SELECT tx_no, state FROM tx WHERE connector_no = :connector AND kind = 'transaction' "
        "ORDER BY tx_no DESC LIMIT 1",
        {"connector": connector_no},
    ).fetchone()
    return TransactionNo(row[0]) if row is not None and row[1] == "ended" else None


def open_of(connection: sqlite3.Connection, charger_no: ChargerNo, newest: int | None = None) -> list[Transaction]:
    """The open transactions of a charger, oldest first: all, or so many of the newest."""
    rows = connection.execute(
        f"{_SELECT} WHERE charger_no = :charger AND state = 'open' AND kind = 'transaction' "
        "ORDER BY tx_no DESC LIMIT :most",
        {"charger": charger_no, "most": -1 if newest is None else newest},
    )
    return [_transaction(row) for row in rows][::-1]


def count_open_of(connection: sqlite3.Connection, charger_no: ChargerNo) -> int:
    """How many transactions of a charger are open."""
    row = connection.execute(
        "SELECT count(*) FROM tx WHERE charger_no = :charger AND state = 'open' AND kind = 'transaction'",
        {"charger": charger_no},
    ).fetchone()
    return int(row[0])


def meter_stream(
    connection: sqlite3.Connection, charger_no: ChargerNo | None, connector_no: ConnectorNo | None, begin_seq: int
) -> TransactionNo:
    """The charger's values outside of transactions on this connector (None: the station's), made if need be."""
    row = connection.execute(
        "SELECT tx_no FROM tx WHERE kind = 'meter' AND connector_no IS :connector AND charger_no IS :charger "
        "AND due = 1 AND state = 'open'",  # one that was parked has ended, also when it is sent again
        {"connector": connector_no, "charger": charger_no},
    ).fetchone()
    if row is not None:
        return TransactionNo(row[0])
    return begin(connection, NewTransaction(METER, charger_no, connector_no, begin_seq))


def end(
    connection: sqlite3.Connection,
    tx_no: TransactionNo,
    ended_at: datetime | None,
    meter_stop_wh: int | None,
    reason: str,
    stop_seq: int | None = None,
) -> None:
    """`stop_seq`: the row of the stop, by which its repetition is known."""
    connection.execute(
        "UPDATE tx SET state = 'ended', ended_wall_ms = :ended, meter_stop_wh = :meter, end_reason = :reason, "
        "stop_seq = :stop WHERE tx_no = :tx",
        {"ended": wall_ms(ended_at), "meter": meter_stop_wh, "reason": reason, "stop": stop_seq, "tx": tx_no},
    )


def stop_seq(connection: sqlite3.Connection, tx_no: TransactionNo) -> int | None:
    """The row of the stop that ended it."""
    row = connection.execute("SELECT stop_seq FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def decided(connection: sqlite3.Connection, tx_no: TransactionNo, decision: str, source: str, at_ms: int) -> None:
    """What the driver was told, and on whose word."""
    connection.execute(
        "UPDATE tx SET decision = :decision, decision_source = :source, decided_wall_ms = :at WHERE tx_no = :tx",
        {"decision": decision, "source": source, "at": at_ms, "tx": tx_no},
    )


def decide_as(connection: sqlite3.Connection, tx_no: TransactionNo, other: TransactionNo) -> None:
    """As the other one was decided: it is the rest of that."""
    connection.execute(
        "UPDATE tx SET (decision, decision_source, decided_wall_ms) = "
        "(SELECT decision, decision_source, decided_wall_ms FROM tx WHERE tx_no = :other) WHERE tx_no = :tx",
        {"tx": tx_no, "other": other},
    )


def csms_said(connection: sqlite3.Connection, tx_no: TransactionNo, status: str, at_ms: int) -> None:
    """The CSMS's own verdict on the token."""
    connection.execute(
        "UPDATE tx SET csms_verdict = :status, csms_verdict_wall_ms = :at WHERE tx_no = :tx",
        {"status": status, "at": at_ms, "tx": tx_no},
    )


def by_csms_tx(
    connection: sqlite3.Connection, epoch_no: int, csms_tx: CsmsTransactionId
) -> list[tuple[Transaction, ChargerNo]]:
    """All with this id of the CSMS, newest first: ids may repeat, -1 legally (MaEVe)."""
    rows = connection.execute(
        f"SELECT charger_no, {_COLUMNS} FROM tx "  # noqa: S608 - a constant of this module
        "WHERE epoch_no = :epoch AND upstream_tx = :id AND kind = 'transaction' ORDER BY tx_no DESC",
        {"epoch": epoch_no, "id": csms_tx},
    )
    return [(_transaction(row[1:]), ChargerNo(row[0])) for row in rows]


def given(connection: sqlite3.Connection, tx_no: TransactionNo) -> tuple[ChargerTransactionId, str | None, str | None]:
    """(Id given to the charger, status it was told, on whose word); None: not decided yet."""
    row = connection.execute(
        "SELECT charger_tx, decision, decision_source FROM tx WHERE tx_no = :tx", {"tx": tx_no}
    ).fetchone()
    return ChargerTransactionId(row[0]), row[1], row[2]


def id_token(connection: sqlite3.Connection, tx_no: TransactionNo) -> IdToken:
    """The token that started it."""
    row = connection.execute("SELECT id_token FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    return IdToken(row[0])


def csms_tx(connection: sqlite3.Connection, tx_no: TransactionNo) -> CsmsTransactionId | None:
    """The id that the CSMS gave it."""
    row = connection.execute("SELECT upstream_tx FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    return None if row[0] is None else CsmsTransactionId(row[0])


@dataclass(frozen=True, slots=True)
class Stoppable:
    """What is needed to ask a charger to stop it."""

    charger: str
    charger_tx: ChargerTransactionId


def stoppable(connection: sqlite3.Connection, tx_no: TransactionNo) -> Stoppable | None:
    """None when it is not open, or is not a charging transaction at all."""
    row = connection.execute(
        "SELECT g.id, tx.charger_tx FROM tx JOIN charger g USING (charger_no) "
        "WHERE tx_no = :tx AND tx.state = 'open' AND tx.kind = 'transaction'",
        {"tx": tx_no},
    ).fetchone()
    return None if row is None else Stoppable(row[0], ChargerTransactionId(row[1]))


def was_accepted(connection: sqlite3.Connection, tx_no: TransactionNo) -> bool:
    """Whether the charger was told that the driver may charge."""
    row = connection.execute("SELECT decision FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    return row is not None and row[0] == "Accepted"


def refused_and_open(
    connection: sqlite3.Connection, charger_no: ChargerNo
) -> list[tuple[TransactionNo, ChargerTransactionId]]:
    """Open transactions that the charger was told to go on with and whose token the CSMS then refused."""
    rows = connection.execute(
        "SELECT tx_no, charger_tx FROM tx WHERE charger_no = :charger AND state = 'open' AND kind = 'transaction' "
        "AND decision = 'Accepted' AND csms_verdict NOT IN ('Accepted', 'ConcurrentTx') ORDER BY tx_no",
        {"charger": charger_no},
    )
    return [(TransactionNo(tx_no), ChargerTransactionId(charger_tx)) for tx_no, charger_tx in rows]


def has_ended(connection: sqlite3.Connection, tx_no: TransactionNo) -> bool:
    row = connection.execute("SELECT state FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    return row is not None and row[0] == "ended"


def forget_start_key(connection: sqlite3.Connection, tx_no: TransactionNo) -> None:
    """A start like this one's is another session from now on."""
    connection.execute("UPDATE tx SET start_key = NULL WHERE tx_no = :tx", {"tx": tx_no})

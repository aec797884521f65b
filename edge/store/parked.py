"""What a person makes of a parked message: let it wait again, or drop it. Each is one unit.

A message is parked with all later ones of its transaction (`delivery.park`); only the first of them, the one that the
CSMS refused, can be decided about: the others merely stand behind it. Both decisions are rows of the journal with the
parked message as their cause, so that `edge trace` tells them; what is dropped stays there, too.
"""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from edge.domain.ids import ConnectorNo, TransactionNo, session_name
from edge.ocppj.frames import encode_json
from edge.store import chains, delivery, exchange, transactions
from edge.store.delivery import START_OR_STOP, Waiting
from edge.store.exchange import Exchange, Kind, Moment, NewExchange

DROPPED = "dropped"
"""`delivery.state` of a message that the operator dropped."""


class Reason(StrEnum):
    """Why nothing can be done about a message."""

    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    DROPPED = "dropped"
    WAITING = "waiting"
    BEHIND = "behind"
    """It is parked because of an earlier one of its transaction."""
    ORPHAN = "orphan"
    """It belongs to no session, so that the CSMS could not know what it is about."""
    NO_CONNECTOR = "no connector"
    """It names no connector of its charger."""
    DAMAGED = "damaged"
    """What is stored is not what the charger said."""
    OTHER_CSMS = "other csms"
    """Another CSMS knows its transaction."""


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Reason
    first: int | None = None
    """The message that parked it."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked message and what depends on it."""

    row: Exchange
    tx_no: TransactionNo
    kind: str
    connector_no: ConnectorNo | None
    epoch_no: int | None
    is_start: bool
    later: tuple[Waiting, ...]
    """Of its transaction, parked with it."""

    @property
    def session(self) -> str | None:
        return session_name(self.tx_no) if self.kind == transactions.TRANSACTION else None


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of it."""

    parked: Parked
    waiting: tuple[Waiting, ...]
    """What the CSMS is to get now, in order."""


def look(connection: sqlite3.Connection, seq: int) -> Parked | Refused:
    """The parked message of this number, or why it is none that can be decided about."""
    row = exchange.load(connection, seq)
    if row is None or row.tx_no is None or not row.relay:
        return Refused(Reason.UNKNOWN)
    if was_dropped(connection, seq):
        return Refused(Reason.DROPPED)
    kind, connector_no, epoch_no, begin_seq, acked_seq, parked_seq = connection.execute(
        "SELECT kind, connector_no, epoch_no, begin_seq, acked_seq, parked_seq FROM tx WHERE tx_no = :tx",
        {"tx": row.tx_no},
    ).fetchone()
    if seq <= acked_seq:
        return Refused(Reason.DELIVERED)
    if parked_seq is None or seq < parked_seq:
        return Refused(Reason.WAITING)
    if seq > parked_seq:
        return Refused(Reason.BEHIND, parked_seq)
    last_seq, _ = chains.tx_end(connection, row.tx_no)
    assert last_seq is not None
    later = tuple(
        Waiting(number, action in START_OR_STOP) for number, action in exchange.pending(connection, last_seq, seq)
    )
    is_start = kind == transactions.TRANSACTION and seq == begin_seq
    return Parked(row, row.tx_no, kind, connector_no, epoch_no, is_start, later)


def was_dropped(connection: sqlite3.Connection, seq: int) -> bool:
    """Whether the operator dropped this message, or its transaction's start."""
    found = connection.execute(
        "SELECT coalesce(e.seq >= tx.dropped_seq, 0) OR coalesce(d.state = :dropped, 0) "
        "FROM exchange e JOIN tx USING (tx_no) LEFT JOIN delivery d USING (seq) WHERE e.seq = :seq AND e.relay = 1",
        {"dropped": DROPPED, "seq": seq},
    ).fetchone()
    return found is not None and bool(found[0])


def retry(connection: sqlite3.Connection, seq: int, epoch_no: int, at: Moment, by: str) -> Decided | Refused:
    """It waits again, with the later ones of its transaction, and its attempts count from 0.

    `epoch_no` is the epoch of the uplink, 0 when it has not connected yet (then law 8 keeps it from the wrong CSMS).
    """
    one = look(connection, seq)
    if isinstance(one, Refused):
        return one
    if one.kind == transactions.ORPHAN:
        return Refused(Reason.ORPHAN)
    if one.kind == transactions.TRANSACTION and one.connector_no is None:
        return Refused(Reason.NO_CONNECTOR)
    if not exchange.is_intact(connection, one.row):
        return Refused(Reason.DAMAGED)
    if epoch_no and one.epoch_no not in {None, epoch_no}:
        return Refused(Reason.OTHER_CSMS)
    connection.execute(
        "UPDATE delivery SET state = CASE WHEN bound IS NULL THEN 'failed' ELSE 'bound' END, attempts = 0 "
        "WHERE seq = :seq",
        {"seq": seq},
    )
    connection.execute("UPDATE tx SET parked_seq = NULL, due = 1 WHERE tx_no = :tx", {"tx": one.tx_no})
    _journal(connection, one, at, {"retried": seq, "by": by})
    return Decided(one, (Waiting(seq, one.row.action in START_OR_STOP), *one.later))


def drop(connection: sqlite3.Connection, seq: int, at: Moment, by: str) -> Decided | Refused:
    """The CSMS will not get it. The later ones of its transaction go on; those of a start cannot, and go with it."""
    one = look(connection, seq)
    if isinstance(one, Refused):
        return one
    connection.execute(
        "UPDATE delivery SET state = :dropped, bound = NULL WHERE seq = :seq", {"dropped": DROPPED, "seq": seq}
    )
    if one.is_start:
        connection.execute(
            "UPDATE tx SET dropped_seq = :seq, parked_seq = NULL, due = 0 WHERE tx_no = :tx",
            {"seq": seq, "tx": one.tx_no},
        )
    else:
        connection.execute(
            "UPDATE tx SET acked_seq = :seq, acked_rows = acked_rows + 1, dropped_rows = dropped_rows + 1, "
            "parked_seq = NULL, due = 1 WHERE tx_no = :tx",
            {"seq": seq, "tx": one.tx_no},
        )
    _journal(connection, one, at, {"dropped": seq, "with_it": len(one.later) if one.is_start else 0, "by": by})
    delivery.finish_if_all_is_delivered(connection, one.tx_no)
    return Decided(one, () if one.is_start else one.later)


def _journal(connection: sqlite3.Connection, one: Parked, at: Moment, decision: dict[str, int | str]) -> None:
    row = NewExchange(
        at,
        one.row.peer,
        Kind.DECISION,
        encode_json(decision),
        action=one.row.action,
        connector_no=one.connector_no,
        tx_no=one.tx_no,
        cause_seq=one.row.seq,
    )
    exchange.append(connection, row)


def dropped_of(connection: sqlite3.Connection, begin_seq: int, last_seq: int) -> frozenset[int]:
    """Numbers of the single messages between these two that were dropped."""
    rows = connection.execute(
        "SELECT seq FROM delivery WHERE state = :dropped AND seq BETWEEN :first AND :last",
        {"dropped": DROPPED, "first": begin_seq, "last": last_seq},
    )
    return frozenset(int(row[0]) for row in rows)

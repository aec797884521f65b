"""Meter values that wait for the CSMS make way when the store is filling: one every 15 minutes stays (E.1, rule 6).

From ORANGE on (`capacity.py`) each new value takes the place of the one before it, if that is too near to the one
before that: so the newest is always kept, and with it the last of each transaction. What was stored before is thinned
by `edge/housekeeping.py`, oldest transactions first, by the same rule. At RED no more values at intervals are stored,
and before that none of a charger that holds more than its part (`shares.py`).
Never left out: starts and stops; the first and the last value of a transaction; what is signed or was taken for a
reason (`dialects/v16/thinning.py`); and the first of a transaction that waits, because it may be on its way.
Each value left out is counted on its transaction, and the first one leaves a decision in its journal.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from edge.dialects.v16 import thinning as dialect
from edge.domain.ids import TransactionNo
from edge.domain.transactions import OLDEST_BELIEVED_YEAR
from edge.jsontypes import Payload
from edge.ocppj.frames import encode_json
from edge.store import capacity, chains, exchange, gaps, shares
from edge.store.capacity import Level
from edge.store.exchange import STATION, Exchange, Kind, Moment, NewExchange

KEPT_EVERY_MS = 15 * 60 * 1000
VALUES = "MeterValues"
LOOK_BACK = 24
"""Rows of a transaction that a new value looks at; it is the one before the last that counts."""
OLDEST_READER = 4
"""The schema from which on programs step over gaps in what waits."""


def admits(connection: sqlite3.Connection, tx_no: TransactionNo, payload: Payload, at: Moment) -> bool:
    """Whether these MeterValues are to be stored; if so, the values before them have made way for them."""
    level = capacity.level_now(connection)
    if level < Level.ORANGE:
        return True
    if (level is Level.RED or _is_beyond(connection, tx_no)) and dialect.periodic(payload) is not None:
        _count(connection, tx_no, 1, at, "not stored")
        return False
    superfluous = _made_superfluous(connection, tx_no)
    if superfluous is not None:
        _leave_out(connection, tx_no, [superfluous], at)
    return True


def _is_beyond(connection: sqlite3.Connection, tx_no: TransactionNo) -> bool:
    """Whether the store counts as full for the charger of this transaction."""
    charger_no = connection.execute("SELECT charger_no FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()[0]
    return charger_no is not None and shares.is_beyond(connection, charger_no)


def _made_superfluous(connection: sqlite3.Connection, tx_no: TransactionNo) -> int | None:
    """The newest value of a transaction, if it may go as soon as there is one after it."""
    last_seq, _ = chains.tx_end(connection, tx_no)
    acked_seq, parked_seq = connection.execute(
        "SELECT acked_seq, parked_seq FROM tx WHERE tx_no = :tx", {"tx": tx_no}
    ).fetchone()
    if parked_seq is not None:
        return None
    newest: _Value | None = None
    for _, row in zip(range(LOOK_BACK), exchange.of_transaction(connection, tx_no, last_seq), strict=False):
        if not row.relay:
            continue
        if newest is None:
            newest = _value(row)
            if newest is None or row.seq <= acked_seq:
                return None
            continue
        if row.seq <= acked_seq:
            return None  # the newest is the first that waits
        before = _value(row)
        if before is not None and before.series == newest.series:
            return newest.seq if newest.is_near(before) else None
    return None


@dataclass(frozen=True, slots=True)
class _Value:
    """A row with values that may be left out, if others are near."""

    seq: int
    series: str
    at_ms: int

    def is_near(self, kept: "_Value") -> bool:
        return 0 <= self.at_ms - kept.at_ms < KEPT_EVERY_MS


def _value(row: Exchange) -> _Value | None:
    if row.action != VALUES or not row.relay:
        return None
    found = dialect.periodic(exchange.payload(row))
    if found is None:
        return None
    is_dated = found.at is not None and found.at.year >= OLDEST_BELIEVED_YEAR
    at_ms = round(found.at.timestamp() * 1000) if found.at is not None and is_dated else row.at_wall_ms
    return _Value(row.seq, found.series, at_ms)


def _leave_out(connection: sqlite3.Connection, tx_no: TransactionNo, seqs: list[int], at: Moment) -> None:
    chains.fewer(connection, tx_no, seqs)
    gaps.remove(connection, seqs)
    connection.executemany("INSERT OR IGNORE INTO temp.left_out VALUES (?)", [(seq,) for seq in seqs])
    # A program that does not know of gaps would not find what waits behind them.
    connection.execute(
        "UPDATE meta SET value = :schema WHERE key = 'min_reader' AND value < :schema", {"schema": OLDEST_READER}
    )
    _count(connection, tx_no, len(seqs), at, "thinned to one in 15 minutes")


def _count(connection: sqlite3.Connection, tx_no: TransactionNo, values: int, at: Moment, what: str) -> None:
    """So many values of this transaction were left out; the first time, its journal says so.

    The others are counted in memory until `settle`: their number is not worth a page each.
    """
    thinned, charger_no, connector_no = connection.execute(
        "SELECT thinned, charger_no, connector_no FROM tx WHERE tx_no = :tx", {"tx": tx_no}
    ).fetchone()
    if thinned > 0:
        connection.execute(
            "INSERT INTO temp.thinned (tx_no, count) VALUES (:tx, :values) "
            "ON CONFLICT (tx_no) DO UPDATE SET count = count + :values",
            {"tx": tx_no, "values": values},
        )
        return
    _add(connection, tx_no, values)
    because = f"the store is filling: meter values of this transaction are {what} from here on"
    row = NewExchange(
        at,
        STATION if charger_no is None else charger_no,
        Kind.DECISION,
        encode_json({"meter_values": what}),
        action=VALUES,
        connector_no=connector_no,
        tx_no=tx_no,
        notes=encode_json([{"rule": "values_thinned", "message": because}]),
    )
    exchange.append(connection, row)


def _add(connection: sqlite3.Connection, tx_no: int, values: int) -> None:
    connection.execute("UPDATE tx SET thinned = thinned + :values WHERE tx_no = :tx", {"values": values, "tx": tx_no})
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('thinned', :values) "
        "ON CONFLICT (key) DO UPDATE SET value = value + :values",
        {"values": values},
    )


def settle(connection: sqlite3.Connection) -> list[int]:
    """Copy the numbers of values left out into the tables; the rows that were removed since the last time."""
    for tx_no, values in connection.execute("DELETE FROM temp.thinned RETURNING tx_no, count").fetchall():
        _add(connection, tx_no, values)
    return [int(row[0]) for row in connection.execute("DELETE FROM temp.left_out RETURNING seq").fetchall()]


# --- what was stored before


def waiting(connection: sqlite3.Connection) -> list[TransactionNo]:
    """Transactions of which something waits, oldest first."""
    rows = connection.execute("SELECT tx_no FROM tx WHERE due = 1 AND rows - acked_rows > 2 ORDER BY begin_seq")
    return [TransactionNo(row[0]) for row in rows]


def waiting_values(connection: sqlite3.Connection, tx_no: TransactionNo) -> list[int]:
    """Those of a transaction that might be left out: all that wait but the first, and without the last one."""
    row = connection.execute("SELECT last_seq, acked_seq FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    if row is None:
        return []
    pending = exchange.pending(connection, row[0], row[1])
    return [seq for seq, action in pending[1:] if action == VALUES][:-1]


class Sieve:
    """Goes through the values of one transaction, oldest first, and says which are superfluous."""

    def __init__(self) -> None:
        self._kept: dict[str, _Value] = {}

    def superfluous(self, connection: sqlite3.Connection, seqs: Sequence[int]) -> list[int]:
        """Of these rows. The first of each series is none, nor is what must not be left out."""
        found: list[int] = []
        for seq in seqs:
            row = exchange.load(connection, seq)
            value = None if row is None else _value(row)
            if value is None:
                continue
            kept = self._kept.get(value.series)
            if kept is not None and value.is_near(kept):
                found.append(seq)
            else:
                self._kept[value.series] = value
        return found


def leave_out(connection: sqlite3.Connection, tx_no: TransactionNo, seqs: Sequence[int], at: Moment) -> int:
    """Remove these values of a transaction, but for those that do not wait any more or may be on their way.

    `seqs` ascend, and were superfluous when somebody looked (`Sieve`). Returns how many were removed.
    """
    found = connection.execute(
        "SELECT acked_seq FROM tx WHERE tx_no = :tx AND due = 1 AND parked_seq IS NULL", {"tx": tx_no}
    ).fetchone()
    if found is None:
        return 0
    going = [seq for seq in seqs if seq > found[0] and exchange.load(connection, seq) is not None]
    while going and not _waits_before(connection, tx_no, going[0], found[0]):
        going.pop(0)  # it is the first that waits now
    if going:
        _leave_out(connection, tx_no, going, at)
    return len(going)


def _waits_before(connection: sqlite3.Connection, tx_no: TransactionNo, seq: int, acked_seq: int) -> bool:
    """Whether an earlier row of the transaction waits for the CSMS."""
    row = exchange.load(connection, seq)
    assert row is not None
    for before in exchange.of_transaction(connection, tx_no, row.prev_tx):
        if before.seq <= acked_seq:
            return False
        if before.relay:
            return True
    return False


def total(connection: sqlite3.Connection) -> int:
    """Meter values left out so far."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'thinned' AND typeof(value) = 'integer'").fetchone()
    return 0 if row is None else int(row[0])


def let_older_programs_read(connection: sqlite3.Connection) -> None:
    """As soon as nothing that waits has gaps any more."""
    connection.execute(
        "UPDATE meta SET value = 1 WHERE key = 'min_reader' AND value = :schema "
        "AND NOT EXISTS (SELECT 1 FROM tx WHERE due = 1 AND thinned > 0) "
        "AND NOT EXISTS (SELECT 1 FROM tx WHERE parked_seq IS NOT NULL AND thinned > 0)",
        {"schema": OLDEST_READER},
    )

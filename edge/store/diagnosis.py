"""The rows of the journal that a diagnosis looks at, found by walking the chains. Read-only, and never without a bound.

`edge/console/sightings.py` reads what they say.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from edge.domain.ids import ChargerNo
from edge.store import exchange, report
from edge.store.exchange import Exchange, Kind
from edge.store.report import Session

SESSIONS_AT_MOST = 500
"""Of one charger, the newest."""
PARKED_AT_MOST = 100
AROUND_MS = 3 * 60 * 1000
"""What led to a session, or followed from it, may stand so long before and after it."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A part of the journal."""

    rows: tuple[Exchange, ...]
    """Those that may tell something, oldest first."""
    is_cut: bool
    """Something older, within the time that was asked for, was not looked at."""


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    seq: int
    tx_no: int
    is_session: bool
    is_orphan: bool
    charger_no: int | None
    code: str
    description: str
    wall_ms: int


_WALK = """
WITH RECURSIVE chain (seq, prev, at) AS (
  SELECT seq, CASE :by_tx WHEN 1 THEN prev_tx ELSE prev_peer END, at_wall_ms FROM exchange WHERE seq = :last
  UNION ALL SELECT seq, CASE :by_tx WHEN 1 THEN prev_tx ELSE prev_peer END, NULL FROM gap WHERE seq = :last
  UNION ALL SELECT e.seq, CASE :by_tx WHEN 1 THEN e.prev_tx ELSE e.prev_peer END, e.at_wall_ms
    FROM chain CROSS JOIN exchange e ON e.seq = chain.prev
    WHERE e.seq < chain.seq AND (chain.at IS NULL OR chain.at >= :since)
  UNION ALL SELECT g.seq, CASE :by_tx WHEN 1 THEN g.prev_tx ELSE g.prev_peer END, NULL
    FROM chain CROSS JOIN gap g ON g.seq = chain.prev
    WHERE g.seq < chain.seq AND (chain.at IS NULL OR chain.at >= :since)
  LIMIT :most)
SELECT chain.seq, chain.at, chain.prev, CASE e.kind
  WHEN :answer_of_csms THEN ltrim(substr(e.text, 1, 64), :blanks) LIKE '4%'
  WHEN :call_of_charger THEN e.action IN ('StartTransaction', 'StopTransaction', 'BootNotification')
    OR coalesce(ltrim(substr(e.answer, 1, 64), :blanks) LIKE '4%', 0)
    OR CASE WHEN json_valid(e.notes) THEN EXISTS (
      SELECT 1 FROM json_each(e.notes) n
      WHERE json_extract(n.value, '$.rule') NOT IN (SELECT value FROM json_each(:harmless))) ELSE 0 END
  ELSE 1 END
FROM chain LEFT JOIN exchange e ON e.seq = chain.seq
"""


def of_peer(
    connection: sqlite3.Connection, last_seq: int | None, since_ms: int, most: int, harmless: Collection[str]
) -> Looked:
    """The rows of a charger (or of the station) from this one back to a time, at most so many; without `harmless`."""
    return _walked(connection, last_seq, since_ms, most, harmless, by_tx=False)


def of_session(connection: sqlite3.Connection, one: Session, most: int, harmless: Collection[str]) -> Looked:
    """Its rows, and those that its charger had around it."""
    own = _walked(connection, one.last_seq or None, 0, most, harmless, by_tx=True)
    first = exchange.load(connection, one.begin_seq)
    begun_ms = one.started_wall_ms if first is None else first.at_wall_ms
    since_ms = 0 if begun_ms is None else begun_ms - AROUND_MS
    beside = _walked(connection, one.last_seq or None, since_ms, most, harmless, by_tx=False)
    after = _after(connection, one, most)
    rows = {row.seq: row for row in (*own.rows, *beside.rows, *after)}
    return Looked(tuple(rows[seq] for seq in sorted(rows)), own.is_cut or beside.is_cut)


def _after(connection: sqlite3.Connection, one: Session, most: int) -> Iterator[Exchange]:
    """Rows of its charger behind the session's last one, as far as they stand near it."""
    last = exchange.load(connection, one.last_seq)
    rows = connection.execute(
        "SELECT e.seq FROM exchange e WHERE e.seq > :last AND e.seq <= :last + :most AND e.peer = :peer ORDER BY e.seq",
        {"last": one.last_seq, "most": most, "peer": -1 if last is None else last.peer},
    ).fetchall()
    for (seq,) in rows:
        row = exchange.load(connection, seq)
        if last is not None and row is not None and row.tx_no is None:
            if one.state == "ended" and row.at_wall_ms > last.at_wall_ms + AROUND_MS:
                return
            yield row


def _walked(
    connection: sqlite3.Connection,
    last_seq: int | None,
    since_ms: int,
    most: int,
    harmless: Collection[str],
    *,
    by_tx: bool,
) -> Looked:
    steps = connection.execute(
        _WALK,
        {
            "last": last_seq,
            "since": since_ms,
            "most": most,
            "by_tx": int(by_tx),
            "harmless": json.dumps(sorted(harmless)),
            "blanks": " \t\r\n[",
            "answer_of_csms": int(Kind.CSMS_ANSWER),
            "call_of_charger": int(Kind.CHARGER_CALL),
        },
    ).fetchall()
    if not steps:
        return Looked((), is_cut=False)
    _, oldest_ms, prev, _ = min(steps)
    found = [exchange.load(connection, seq) for seq, _, _, is_telling in sorted(steps) if is_telling]
    rows = tuple(row for row in found if row is not None and row.at_wall_ms >= since_ms)
    is_within = oldest_ms is None or oldest_ms >= since_ms  # None: a removed row, of which no time is known
    return Looked(rows, is_cut=len(steps) >= most and prev is not None and is_within)


def station_end(connection: sqlite3.Connection) -> int | None:
    """The last row of the station itself, for a reader."""
    row = connection.execute(
        "SELECT value FROM meta WHERE key = 'station_last_seq' AND typeof(value) = 'integer'"
    ).fetchone()
    return None if row is None else int(row[0])


def sessions(connection: sqlite3.Connection, numbers: Collection[int]) -> list[Session]:
    """These sessions, the newest of them if there are many."""
    newest = sorted(numbers)[-SESSIONS_AT_MOST:]
    found = (report.session(connection, number) for number in newest)
    return [one for one in found if one is not None]


def open_of(connection: sqlite3.Connection, charger_no: ChargerNo) -> list[int]:
    """Open sessions of a charger, the newest if there are many."""
    rows = connection.execute(
        "SELECT tx_no FROM tx WHERE charger_no = :no AND state = 'open' AND kind = 'transaction' "
        "ORDER BY tx_no DESC LIMIT :most",
        {"no": charger_no, "most": SESSIONS_AT_MOST},
    )
    return [int(row[0]) for row in rows]


def parked(connection: sqlite3.Connection) -> Sequence[ParkedMessage]:
    """The first of each transaction's parked messages, newest first."""
    rows = connection.execute(
        "SELECT tx.parked_seq, tx.tx_no, tx.kind = 'transaction', tx.kind = 'orphan', tx.charger_no, "
        "coalesce(d.error_code, ''), coalesce(d.error_description, ''), coalesce(d.error_wall_ms, e.at_wall_ms, 0) "
        "FROM tx LEFT JOIN delivery d ON d.seq = tx.parked_seq LEFT JOIN exchange e ON e.seq = tx.parked_seq "
        "WHERE tx.parked_seq IS NOT NULL ORDER BY tx.parked_seq DESC LIMIT :most",
        {"most": PARKED_AT_MOST},
    )
    return [
        ParkedMessage(seq, tx_no, bool(is_session), bool(is_orphan), *rest)
        for seq, tx_no, is_session, is_orphan, *rest in rows
    ]

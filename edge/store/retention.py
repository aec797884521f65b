"""Which rows of the journal may go: delivered history that is old enough, or the oldest when the store is filling.

A session goes as a whole when its newest row may go; it must have ended, and the CSMS must have all of it (or the
operator dropped the rest). Of a stream without an end the delivered part goes. What waits, what is parked, and
open sessions stay, however old they are. What only we have (`exchange.ONLY_COPY`) stays for its time, however full the
store is. Candidates are looked for on the read connection, a few hundred rows at a time; the unit that removes them
looks again, because only the writer knows what is so now.

The row in `tx` outlives its messages for as long as its promises need it: by it a repeated start is known, and the id
that was given to the charger. It is small, so it also stays when the messages had to go before their time.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from edge.store import chains, gaps
from edge.store.exchange import ONLY_COPY

LOOKED_AT_ONCE = 500
REMOVED_AT_ONCE = 100
"""Rows in one unit: whoever waits for an acknowledgement waits that much longer."""
KNOWN_FOR_MS = 48 * 3600 * 1000
"""A start is known again for 24 hours after the end of its session; twice that, because clocks are set."""


@dataclass(frozen=True, slots=True)
class Found:
    """A part of the journal that was looked through."""

    seqs: tuple[int, ...]
    """What may go."""
    until: int
    """The next part begins after this row."""
    is_end: bool
    """All that follows is younger, or there is nothing more."""


# A time stored before the clock was right is corrected as `exchange.load` does it.
_LOOK = """
WITH wrong AS MATERIALIZED (
  SELECT b.boot_no, b.sync_offset_ms, m.value AS until_mono_ms FROM boot b
  JOIN meta m ON m.key = 'synchronised:' || b.boot_no WHERE b.sync_offset_ms IS NOT NULL)
SELECT e.seq,
  e.at_wall_ms
    + coalesce((SELECT sync_offset_ms FROM wrong WHERE boot_no = e.boot_no AND e.at_mono_ms < until_mono_ms), 0),
  tx.tx_no IS NULL OR (tx.state = 'ended' AND tx.due = 0 AND tx.parked_seq IS NULL)
    OR (tx.kind = 'meter' AND e.seq <= tx.acked_seq),
  CASE WHEN tx.kind = 'meter' THEN NULL ELSE l.at_wall_ms
    + coalesce((SELECT sync_offset_ms FROM wrong WHERE boot_no = l.boot_no AND l.at_mono_ms < until_mono_ms), 0) END,
  tx.tx_no IS NULL AND instr(coalesce(e.notes, ''), :only_copy) > 0
FROM exchange e LEFT JOIN tx ON tx.tx_no = e.tx_no LEFT JOIN exchange l ON l.seq = tx.last_seq
WHERE e.seq > :after ORDER BY e.seq LIMIT :most
"""


def look(
    connection: sqlite3.Connection, after: int, before_ms: int | None, only_copies_before_ms: int | None = None
) -> Found:
    """What may go of the next rows. `before_ms`: only what was stored before that time; None: however new it is.

    `only_copies_before_ms`: the same for texts of which ours is the only copy; None: they stay.
    """
    parameters = {"after": after, "most": LOOKED_AT_ONCE, "only_copy": ONLY_COPY}
    rows = connection.execute(_LOOK, parameters).fetchall()
    going, is_any_old = [], False
    for seq, at_ms, is_free, last_ms, is_only_copy in rows:
        if is_only_copy and (only_copies_before_ms is None or at_ms >= only_copies_before_ms):
            is_any_old = is_any_old or before_ms is None or at_ms < before_ms
            continue
        is_old = before_ms is None or at_ms < before_ms
        is_any_old = is_any_old or is_old
        if is_free and is_old and (before_ms is None or last_ms is None or last_ms < before_ms):
            going.append(int(seq))
    until = int(rows[-1][0]) if rows else after
    return Found(tuple(going), until, is_end=len(rows) < LOOKED_AT_ONCE or not is_any_old)


def remove(connection: sqlite3.Connection, seqs: Sequence[int], now_ms: int, kept_ms: int) -> int:
    """Remove those of these rows that may go; how many.

    A session of which nothing is left is known for as long as it would have been kept (`kept_ms`), at least 48 hours.
    """
    rows = connection.execute(
        "SELECT e.seq, e.tx_no, e.at_wall_ms FROM exchange e LEFT JOIN tx ON tx.tx_no = e.tx_no "
        "WHERE e.seq IN (SELECT value FROM json_each(:seqs)) AND (tx.tx_no IS NULL "
        "OR (tx.state = 'ended' AND tx.due = 0 AND tx.parked_seq IS NULL) "
        "OR (tx.kind = 'meter' AND e.seq <= tx.acked_seq)) ORDER BY e.seq",
        {"seqs": json.dumps(list(seqs))},
    ).fetchall()
    chains.settle(connection)  # a start counts the rows since the last settling, and would miss these
    gaps.remove(connection, [row[0] for row in rows])
    newest = {tx_no: at_ms for _, tx_no, at_ms in rows if tx_no is not None}
    for tx_no, at_ms in newest.items():
        last_seq, _ = chains.tx_end(connection, tx_no)
        if gaps.oldest_left(connection, last_seq) is None:
            connection.execute(
                "UPDATE tx SET forget_wall_ms = :at WHERE tx_no = :tx AND state = 'ended'",
                {"at": max(at_ms + kept_ms, now_ms + KNOWN_FOR_MS), "tx": tx_no},
            )
    return len(rows)


def forget_sessions(connection: sqlite3.Connection, now_ms: int) -> int:
    """Remove sessions (and other streams) whose rows are gone and whose time has come; how many were looked at."""
    rows = connection.execute(
        "SELECT tx_no FROM tx WHERE forget_wall_ms < :now ORDER BY forget_wall_ms LIMIT :most",
        {"now": now_ms, "most": REMOVED_AT_ONCE},
    ).fetchall()
    for (tx_no,) in rows:
        last_seq, _ = chains.tx_end(connection, tx_no)
        if gaps.oldest_left(connection, last_seq) is not None:  # its charger has said something more of it
            connection.execute("UPDATE tx SET forget_wall_ms = NULL WHERE tx_no = :tx", {"tx": tx_no})
            continue
        if last_seq is not None:
            gaps.forget_end(connection, last_seq)
        connection.execute("DELETE FROM id_map WHERE tx_no = :tx", {"tx": tx_no})
        connection.execute("DELETE FROM tx WHERE tx_no = :tx", {"tx": tx_no})
    return len(rows)

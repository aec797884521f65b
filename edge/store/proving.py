"""Which readings of a journal row are what was stored.

A row's digest goes over its number, the digest of the row before it in its chain, and its text (`exchange.py`). So it
is proven by its predecessor's digest, from wherever that is known: the row, another reading of it, or the gap that a
removed row left. What the digest does not cover has to agree with the text and with the predecessor. A row whose
predecessor is lost proves nothing; it is kept apart as *unproven*.
"""

import json
import sqlite3

from edge.domain.timekeeping import LATEST_MS
from edge.store import exchange
from edge.store.exchange import Kind
from edge.store.findings import PROVEN, REMOVED, UNPROVEN, WRONG

CALLS = frozenset({Kind.CHARGER_CALL, Kind.CSMS_CALL, Kind.OUR_CALL})
CALL_MEMBERS = 4
_READINGS = (
    "SELECT seq, mark_, boot_no, at_mono_ms, at_wall_ms, peer, kind, relay, action, message_id, tx_no, prev_tx, "
    "prev_peer, cause_seq, text, answer, notes, digest, is_sure_ FROM exchange WHERE seq > :after "
    "ORDER BY seq, is_sure_ DESC, rank_ DESC LIMIT :most"
)


def prove(connection: sqlite3.Connection, after: int, most: int) -> int | None:
    """Judge the readings of the next rows; the last of these rows. None: there are no more."""
    rows = connection.execute(_READINGS, {"after": after, "most": most}).fetchall()
    if not rows:
        return None
    last = rows[-1][0]
    if len(rows) == most and rows[0][0] != last:
        rows = [row for row in rows if row[0] != last]  # all readings of a row are judged together
    by_seq: dict[int, list[tuple[object, ...]]] = {}
    for row in rows:
        by_seq.setdefault(row[0], []).append(row)
    for seq, readings in by_seq.items():
        _judge(connection, seq, readings)
    return int(rows[-1][0])


def _judge(connection: sqlite3.Connection, seq: int, readings: list[tuple[object, ...]]) -> None:
    verdicts = [(row, _verdict(connection, row)) for row in readings]
    best = min((verdict for _, verdict in verdicts), default=WRONG)
    is_chosen = False
    for row, verdict in verdicts:
        # only one reading of a row counts; of several, the surest and newest
        counts = verdict == best and not is_chosen and verdict != WRONG
        is_chosen = is_chosen or counts
        connection.execute(
            "UPDATE exchange SET verdict_ = :verdict WHERE seq = :seq AND mark_ = :mark",
            {"verdict": verdict if counts else WRONG, "seq": seq, "mark": row[1]},
        )


def _verdict(connection: sqlite3.Connection, row: tuple[object, ...]) -> int:
    seq, digest, text, is_sure = row[0], row[17], row[14], row[18]
    prev_tx, prev_peer = row[11], row[12]
    assert isinstance(seq, int)
    assert isinstance(text, str)
    if not _agrees(row):
        return WRONG
    before = prev_peer if prev_tx is None else prev_tx
    known, is_certain = _digests(connection, before)
    for one in known:
        if exchange.digest(seq, one, text) == digest:
            return PROVEN if _agrees_with(connection, row, before) else WRONG
    return UNPROVEN if is_sure and not is_certain else WRONG


def _digests(connection: sqlite3.Connection, seq: object) -> tuple[list[bytes], bool]:
    """Those that the row before may have had; whether it certainly had one of them."""
    if seq is None:
        return [b""], True
    rows = connection.execute("SELECT digest, verdict_ FROM exchange WHERE seq = :seq", {"seq": seq}).fetchall()
    gaps = connection.execute("SELECT digest FROM gap WHERE seq = :seq", {"seq": seq}).fetchall()
    # b"": the row before had been lost already when this one was stored
    is_certain = any(verdict == PROVEN for _, verdict in rows)
    return [*(bytes(one[0]) for one in rows), *(bytes(one[0]) for one in gaps), b""], is_certain


def _agrees(row: tuple[object, ...]) -> bool:
    """Whether what the digest does not cover can be true."""
    seq, _, boot_no, at_mono, at_wall, peer, kind, relay, action, message_id, tx_no, prev_tx, prev_peer, cause = row[
        :14
    ]
    numbers = [one for one in (boot_no, at_mono, at_wall, peer, tx_no, prev_tx, prev_peer, cause) if one is not None]
    if not all(isinstance(one, int) and one >= 0 for one in numbers) or relay not in {0, 1}:
        return False
    if not isinstance(kind, int) or kind not in set(Kind) or not isinstance(at_wall, int) or at_wall > LATEST_MS:
        return False
    if any(isinstance(one, int) and isinstance(seq, int) and one >= seq for one in (prev_tx, prev_peer, cause)):
        return False
    if len(row[17]) != 8 or (tx_no is None and prev_tx is not None):  # type: ignore[arg-type]
        return False
    for one in (row[15], row[16]):
        if one is not None and not _is_json(str(one)):
            return False
    return kind not in CALLS or _says_so_itself(str(row[14]), action, message_id)


def _says_so_itself(text: str, action: object, message_id: object) -> bool:
    """A CALL's text has its action and its id in it, unless the text had to be repaired."""
    try:
        call = json.loads(text)
    except ValueError:
        return True
    if not isinstance(call, list) or len(call) != CALL_MEMBERS:
        return True
    return (message_id is None or call[1] == message_id) and (action is None or call[2] == action)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _agrees_with(connection: sqlite3.Connection, row: tuple[object, ...], before: object) -> bool:
    """Whether it is of the same transaction, or charger, as the row before it in the chain."""
    if before is None:
        return True
    found = connection.execute(
        "SELECT tx_no, peer FROM exchange WHERE seq = :seq AND verdict_ = :proven", {"seq": before, "proven": PROVEN}
    ).fetchone()
    if found is None:
        return True
    return bool(found[0] == row[10] if row[11] is not None else found[1] == row[5])


def leave_out_removed(connection: sqlite3.Connection) -> None:
    """What only older pages have was removed from the store since, unless a chain that is there still leads to it."""
    for statement in (
        "CREATE INDEX IF NOT EXISTS exchange_tx ON exchange (tx_no, seq)",
        "CREATE INDEX IF NOT EXISTS exchange_prev_tx ON exchange (prev_tx)",
        "CREATE INDEX IF NOT EXISTS exchange_prev_peer ON exchange (prev_peer)",
    ):
        connection.execute(statement)
    older = connection.execute(
        "SELECT e.seq, e.mark_ FROM exchange e LEFT JOIN tx USING (tx_no) WHERE is_live_ = 0 AND verdict_ IN (1, 2) "
        # of a session that is not finished nothing is removed, but for values that leave a gap
        "AND coalesce(tx.state = 'ended' AND tx.due = 0 AND tx.parked_seq IS NULL, 1) ORDER BY e.seq DESC"
    ).fetchall()
    ends = {seq for (seq,) in connection.execute("SELECT last_seq FROM tx UNION SELECT last_seq FROM charger")}
    settled = connection.execute("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'settled_seq'").fetchone()[0]
    for seq, mark in older:
        is_referred_to = connection.execute(
            "SELECT 1 FROM exchange WHERE (prev_tx = :seq OR prev_peer = :seq) AND verdict_ IN (1, 2) UNION ALL "
            "SELECT 1 FROM gap WHERE prev_tx = :seq OR prev_peer = :seq LIMIT 1",
            {"seq": seq},
        ).fetchone()
        was_removed = connection.execute("SELECT 1 FROM gap WHERE seq = :seq", {"seq": seq}).fetchone()
        if was_removed or not (is_referred_to or seq in ends or seq > settled):
            connection.execute(
                "UPDATE exchange SET verdict_ = :removed WHERE seq = :seq AND mark_ = :mark",
                {"removed": REMOVED, "seq": seq, "mark": mark},
            )


def counts(connection: sqlite3.Connection) -> dict[int, int]:
    """Rows by verdict; one that has a reading that counts is not called wrong."""
    rows = connection.execute(
        "SELECT best, count(*) FROM (SELECT min(CASE verdict_ WHEN 0 THEN 9 ELSE verdict_ END) AS best FROM exchange "
        "GROUP BY seq) GROUP BY best"
    )
    return {int(verdict): int(count) for verdict, count in rows}

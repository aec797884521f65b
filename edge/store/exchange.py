"""The journal: one row per CALL with the text received and the answer given, written once.

What the CSMS is to get (`relay`) is the same row: journal and outbox are one table. Rows are chained backwards, by
transaction and by charger (`edge/store/chains.py`), and each carries a digest over its number, the digest before it
and its text, verified before the row is sent.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from itertools import islice

from edge.domain.ids import ConnectorNo, TransactionNo
from edge.jsontypes import JsonValue
from edge.ocppj.frames import encode_json
from edge.store import capacity, chains, gaps, shares
from edge.store.capacity import Level

READ_AS = "read_as"
"""Member of a note: the payload of a text that had to be repaired before it was JSON."""
PUT = "put"
"""Member of a note: what the CSMS gets in place of what the charger said (`put_right`)."""
ONLY_COPY = '"only_copy":true'
"""Stands in the notes of a start or a stop that was refused: its charger may have dropped it, so it stays for long."""
STATION = 0
"""`peer` of rows that concern no charger but the station that we are towards the CSMS."""


class Kind(IntEnum):
    """Who said it."""

    CHARGER_CALL = 1
    CSMS_CALL = 2
    OUR_CALL = 3
    """To a charger."""
    DECISION = 4
    """Ours, or an operator's order. With a `message_id`: what the CALL `cause_seq` was answered (`late_answer`)."""
    SYNTHETIC = 5
    CSMS_ANSWER = 6
    """What the CSMS answered to the row `cause_seq`; `message_id` is that of our CALL."""
    LINK = 7
    """A connection came or went."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was observed: by the wall, by the monotonic clock of this boot."""

    boot_no: int
    wall: datetime
    mono_ms: int
    is_known: bool = True
    """Whether somebody vouches for the wall clock."""

    @property
    def wall_ms(self) -> int:
        return round(self.wall.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class NewExchange:
    """A row to be appended."""

    at: Moment
    peer: int
    kind: Kind
    text: str
    action: str | None = None
    message_id: str | None = None
    version: str | None = None
    connector_no: ConnectorNo | None = None
    tx_no: TransactionNo | None = None
    cause_seq: int | None = None
    relay: bool = False
    answer: str | None = None
    notes: str | None = None


def late_answer(at: Moment, peer: int, asked_seq: int, asked: NewExchange) -> NewExchange:
    """The answer to a CALL of the CSMS whose row had to stand before it was known: rows are written once."""
    text = encode_json({"answered": asked_seq})
    return NewExchange(
        at,
        peer,
        Kind.DECISION,
        text,
        action=asked.action,
        message_id=asked.message_id,
        cause_seq=asked_seq,
        answer=asked.answer,
    )


def in_transaction(new: NewExchange, tx_no: TransactionNo) -> NewExchange:
    """The row as one of that transaction."""
    return replace(new, tx_no=tx_no)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A row as stored."""

    seq: int
    boot_no: int
    at_mono_ms: int
    at_wall_ms: int
    peer: int
    kind: Kind
    relay: bool
    action: str | None
    message_id: str | None
    version: str | None
    connector_no: ConnectorNo | None
    tx_no: TransactionNo | None
    prev_tx: int | None
    prev_peer: int | None
    cause_seq: int | None
    text: str
    answer: str | None
    notes: str | None
    digest: bytes


_COLUMNS = (
    "seq, boot_no, at_mono_ms, at_wall_ms, peer, kind, relay, action, message_id, version, connector_no, tx_no, "
    "prev_tx, prev_peer, cause_seq, text, answer, notes, digest"
)
_INSERT = (
    "INSERT INTO exchange VALUES (:seq, :boot_no, :mono, :wall, :peer, :kind, :relay, :action, :message_id, :version, "
    ":connector_no, :tx_no, :prev_tx, :prev_peer, :cause_seq, :text, :answer, :notes, :digest)"
)
# A time that was stored before the clock was right is shown as it was: the boot knows by how much (boots.synchronised).
_TRUE_WALL = (
    "at_wall_ms + coalesce((SELECT b.sync_offset_ms FROM boot b JOIN meta m ON m.key = 'synchronised:' || b.boot_no "
    "WHERE b.boot_no = exchange.boot_no AND b.sync_offset_ms IS NOT NULL AND at_mono_ms < m.value), 0)"
)
_LOAD = f"SELECT {_COLUMNS.replace('at_wall_ms', _TRUE_WALL)} FROM exchange WHERE seq = :seq"  # noqa: S608 - constants
_LOAD_TEXTS = (
    "SELECT CAST(action AS BLOB), CAST(message_id AS BLOB), CAST(version AS BLOB), CAST(text AS BLOB), "
    "CAST(answer AS BLOB), CAST(notes AS BLOB) FROM exchange WHERE seq = :seq"
)
_LOAD_NUMBERS = (
    "SELECT seq, boot_no, at_mono_ms, at_wall_ms, peer, kind, relay, NULL, NULL, NULL, connector_no, tx_no, "
    "prev_tx, prev_peer, cause_seq, '', NULL, NULL, digest FROM exchange WHERE seq = :seq"
)


def append(connection: sqlite3.Connection, new: NewExchange) -> int:
    """Store a row at the end of its chains; its number.

    When the store is all but full (`capacity.py`), or is for this charger (`shares.py`), a row that only tells gets a
    number, but is not stored. Raises BeyondRoom for one that the CSMS is to get, or of which ours is the only copy.
    """
    seq = chains.next_seq(connection)
    is_telling = not new.relay and not (new.notes is not None and ONLY_COPY in new.notes)
    if new.kind is not Kind.DECISION:
        if is_telling and (capacity.level_told(connection) is Level.RED or shares.is_beyond(connection, new.peer)):
            return seq
        if new.kind is Kind.CHARGER_CALL and not is_telling:
            shares.refuse_beyond(connection, new.peer)
    prev_peer = chains.peer_end(connection, new.peer)
    prev_tx = None if new.tx_no is None else chains.tx_end(connection, new.tx_no)[0]
    connection.execute(
        _INSERT,
        {
            "seq": seq,
            "boot_no": new.at.boot_no,
            "mono": new.at.mono_ms,
            "wall": new.at.wall_ms,
            "peer": new.peer,
            "kind": int(new.kind),
            "relay": int(new.relay),
            "action": new.action,
            "message_id": new.message_id,
            "version": new.version,
            "connector_no": new.connector_no,
            "tx_no": new.tx_no,
            "prev_tx": prev_tx,
            "prev_peer": prev_peer,
            "cause_seq": new.cause_seq,
            "text": new.text,
            "answer": new.answer,
            "notes": new.notes,
            "digest": digest(seq, _digest_of(connection, prev_peer if prev_tx is None else prev_tx), new.text),
        },
    )
    chains.move_ends(connection, seq, new.peer, new.tx_no, int(new.relay))
    shares.count(connection, new.peer, shares.size(new.text, new.answer, new.notes))
    return seq


def digest(seq: int, before: bytes, text: str) -> bytes:
    """Eight octets that show a flipped bit or an edited row."""
    return hashlib.blake2b(b"%d\x00%b%b" % (seq, before, text.encode()), digest_size=8).digest()


def _digest_of(connection: sqlite3.Connection, seq: int | None) -> bytes:
    if seq is None:
        return b""
    row = connection.execute("SELECT digest FROM exchange WHERE seq = :seq", {"seq": seq}).fetchone()
    if row is not None:
        return bytes(row[0])
    return gaps.digest(connection, seq) or b""  # neither row nor gap: it was lost before the next one came


def is_intact(connection: sqlite3.Connection, row: Exchange) -> bool:
    """Whether the text is what was stored, and the row before it is there or was removed by us."""
    before = row.prev_peer if row.prev_tx is None else row.prev_tx
    return digest(row.seq, _digest_of(connection, before), row.text) == row.digest


def load(connection: sqlite3.Connection, seq: int) -> Exchange | None:
    """One row."""
    try:
        row = connection.execute(_LOAD, {"seq": seq}).fetchone()
    except sqlite3.OperationalError:
        return _load_damaged(connection, seq)
    return None if row is None else _exchange(row)


def _load_damaged(connection: sqlite3.Connection, seq: int) -> Exchange:
    """A row in which a text is no UTF-8 any more: what is left of it, so that it can be parked and shown."""
    numbers = connection.execute(_LOAD_NUMBERS, {"seq": seq}).fetchone()
    texts = connection.execute(_LOAD_TEXTS, {"seq": seq}).fetchone()
    action, message_id, version, text, answer, notes = (
        None if one is None else bytes(one).decode(errors="replace") for one in texts
    )
    return replace(
        _exchange(numbers),
        action=action,
        message_id=message_id,
        version=version,
        text=text or "",
        answer=answer,
        notes=notes,
    )


def _exchange(row: tuple[object, ...]) -> Exchange:
    return Exchange(*row[:5], Kind(row[5]), bool(row[6]), *row[7:])  # type: ignore[arg-type,call-arg]  # STRICT table


def payload(row: Exchange) -> dict[str, JsonValue]:
    """The payload of a stored CALL; of a text that was no JSON, what was read from it when it came (`READ_AS`).

    Empty when the row is damaged on the disk: it is never sent (`is_intact`), but whoever looks must not stumble.
    """
    if row.notes is not None and READ_AS in row.notes:
        for note in json.loads(row.notes):
            if READ_AS in note:
                return dict(note[READ_AS])
    try:
        found = json.loads(row.text)[3]
    except (ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def put_right(row: Exchange) -> dict[str, int]:
    """What the CSMS gets in place of what the charger said: `meter_start_wh`, `meter_stop_wh`, `shift_ms`."""
    found: dict[str, int] = {}
    if row.notes is not None and f'"{PUT}":' in row.notes:
        for note in json.loads(row.notes):
            found |= note.get(PUT, {})
    return found


def payload_text(row: Exchange) -> str:
    """The payload written in our own compact way: equal payloads give equal texts."""
    return encode_json(payload(row))


def without_timestamp(payload_text: str) -> dict[str, JsonValue]:
    """A payload but for when it was sent: by this a repeated status is known."""
    return {key: value for key, value in json.loads(payload_text).items() if key != "timestamp"}


def end_of(connection: sqlite3.Connection, tx_no: TransactionNo) -> tuple[int | None, int]:
    """Last row of a transaction, and how many of its rows the CSMS is to get."""
    return chains.tx_end(connection, tx_no)


def peek_seq(connection: sqlite3.Connection) -> int:
    """The number that the next appended row will have."""
    return chains.last_seq(connection) + 1


def of_transaction(connection: sqlite3.Connection, tx_no: TransactionNo, last_seq: int | None) -> Iterator[Exchange]:
    """A transaction's rows, newest first, from `last_seq` on."""
    return _walk(connection, last_seq, by_tx=tx_no)


def of_peer(connection: sqlite3.Connection, last_seq: int | None) -> Iterator[Exchange]:
    """A charger's rows, newest first, from `last_seq` on."""
    return _walk(connection, last_seq, by_tx=None)


def bounded(rows: Iterator[Exchange], most_rows: int, most_characters: int) -> Iterator[Exchange]:
    """The first of them: no more rows, and no more of their text, than somebody can wait for."""
    characters = 0
    for row in islice(rows, most_rows):
        characters += len(row.text)
        if characters > most_characters:
            return
        yield row


def _walk(connection: sqlite3.Connection, seq: int | None, *, by_tx: TransactionNo | None) -> Iterator[Exchange]:
    while seq is not None:
        row = load(connection, seq)
        if row is not None:
            yield row
            seq = gaps.back(seq, row.prev_peer if by_tx is None else row.prev_tx)
            continue
        behind = gaps.before(connection, seq)
        if behind is None:
            return
        seq = gaps.back(seq, behind[1] if by_tx is None else behind[0])


def pending(connection: sqlite3.Connection, last_seq: int, acked_seq: int) -> list[tuple[int, str]]:
    """(Number, action) of a transaction's rows that the CSMS is to get and has not acknowledged, oldest first."""
    return sorted((seq, action) for seq, _, relay, action in chain_back(connection, last_seq, acked_seq) if relay)


def chain_back(
    connection: sqlite3.Connection, last_seq: int | None, acked_seq: int, most: int = -1
) -> list[tuple[int, int | None, bool, str]]:
    """A transaction's rows from this one back to the last that the CSMS has, removed ones included.

    Each with its number, that of the row before it, whether the CSMS is to get it, and its action. `most`: no more
    than so many; -1: all.
    """
    rows = connection.execute(
        "WITH RECURSIVE chain (seq, prev, relay, action) AS ("
        " SELECT seq, prev_tx, relay, action FROM exchange WHERE seq = :last AND seq > :acked"
        " UNION ALL SELECT seq, prev_tx, 0, NULL FROM gap WHERE seq = :last AND seq > :acked"
        " UNION ALL SELECT e.seq, e.prev_tx, e.relay, e.action FROM chain CROSS JOIN exchange e ON e.seq = chain.prev"
        " WHERE e.seq > :acked AND e.seq < chain.seq"
        " UNION ALL SELECT g.seq, g.prev_tx, 0, NULL FROM chain CROSS JOIN gap g ON g.seq = chain.prev"
        " WHERE g.seq > :acked AND g.seq < chain.seq LIMIT :most) "
        "SELECT seq, prev, relay, CAST(action AS BLOB) FROM chain",
        {"last": last_seq, "acked": acked_seq, "most": most},
    )
    # An action that is no UTF-8 any more is found damaged when its turn comes; the others must not wait for it.
    return [(seq, prev, bool(relay), (action or b"").decode(errors="replace")) for seq, prev, relay, action in rows]

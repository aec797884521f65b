"""Brings what was found of a damaged store back into the one that succeeded it.

What reads the findings (`next_rows`, `next_ended`) may take its time; `insert`, `hold` of `succeeding.py`, `release`
and `insert_ended` are units, or parts of one, in the new store. Rows come with their old numbers, which the new store
never gives again, so that they verify as before. Where a row of a chain is lost, a gap takes its place (`gaps.py`); the
chain of a held session ends in its placeholder, behind which its charger may have said more. `release` lets a session
go on: from then on the CSMS gets what it has not got.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from edge.domain.ids import TransactionNo
from edge.store import chains, exchange, shares, transactions
from edge.store.carving import Value, shape_of
from edge.store.delivery import START_OR_STOP
from edge.store.findings import PROVEN, UNPROVEN
from edge.store.gaps import BY_PEER, BY_TX

ROWS_A_UNIT = 100
UNPROVEN_RULE = "salvaged_unproven"
"""Of a note: the row before it is lost, so that nothing says whether it is what was stored."""
LOST_DIGEST = bytes(8)
"""Of a row that nobody has any more."""
NAMES = tuple(column.name for column in shape_of("exchange").columns)
TX_NAMES = tuple(column.name for column in shape_of("tx").columns)
AT = {name: index for index, name in enumerate(NAMES)}
_CHOSEN = f"SELECT {', '.join(NAMES)}, verdict_ FROM exchange WHERE verdict_ IN (1, 2) AND seq > :after "  # noqa: S608 - names of the schema
Found = tuple[Value, ...]
"""A row of the journal as it was found, with its verdict."""
Ends = dict[tuple[int, int], int]
"""The newest row of each chain that was brought back so far, by `gaps.BY_TX` or `BY_PEER` and whose it is."""


@dataclass(frozen=True, slots=True)
class Link:
    """A gap that has to be there for a chain to go on."""

    seq: int
    before: int | None
    chain: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows that belong together in one unit."""

    rows: tuple[Found, ...]
    links: tuple[Link, ...]
    deliveries: tuple[Found, ...] = ()


@dataclass(slots=True)
class Session:
    """One session (or other stream) on its way back."""

    tx_no: TransactionNo
    values: dict[str, Value]
    """Its row in `tx` as it was found."""
    acked: int
    after: int = 0
    """So far it was read."""
    relayed: int = 0
    relayed_acked: int = 0
    first_waiting: int | None = None
    has_start: bool = False
    has_parked: bool = False
    stop: tuple[int, int] | None = None
    """Row of the stop, and when it came."""
    is_cut: bool = False
    """Something of it is lost that the CSMS has not got."""
    ends: Ends = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        value = self.values[name]
        return value if isinstance(value, int) else None


def session(found: sqlite3.Connection, tx_no: TransactionNo) -> Session:
    """Of the findings; how far the CSMS has it: as was noted, or as its own answers in the journal say."""
    row = found.execute(f"SELECT {', '.join(TX_NAMES)} FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()  # noqa: S608 - names of the schema
    values = dict(zip(TX_NAMES, row, strict=True))
    answered = found.execute(
        "SELECT coalesce(max(cause_seq), 0) FROM exchange WHERE tx_no = :tx AND kind = 6 AND verdict_ = :proven "
        "AND text GLOB '[[]3,*'",
        {"tx": tx_no, "proven": PROVEN},
    ).fetchone()[0]
    acked = max(int(values["acked_seq"]), int(answered))
    if _is_gap(found, values["parked_seq"]):
        values["parked_seq"] = _parked_before(found, tx_no, acked)
    return Session(tx_no, values, acked)


def _is_gap(found: sqlite3.Connection, seq: Value) -> bool:
    return found.execute("SELECT 1 FROM gap WHERE seq = :seq", {"seq": seq}).fetchone() is not None


def _parked_before(found: sqlite3.Connection, tx_no: TransactionNo, acked: int) -> int | None:
    """Of a session that was still held when its store was damaged: the message that parked it in the one before."""
    row = found.execute(
        "SELECT min(seq) FROM exchange JOIN delivery USING (seq) WHERE tx_no = :tx AND seq > :acked "
        "AND state = 'parked' AND verdict_ IN (1, 2)",
        {"tx": tx_no, "acked": acked},
    ).fetchone()
    return None if row[0] is None else int(row[0])


def next_rows(found: sqlite3.Connection, one: Session) -> Part | None:
    """The next rows of a session, oldest first; None: that was all."""
    rows = found.execute(
        f"{_CHOSEN} AND tx_no = :tx ORDER BY seq LIMIT :most",
        {"after": one.after, "tx": one.tx_no, "most": ROWS_A_UNIT},
    ).fetchall()
    if not rows:
        told_last = one.number("last_seq") or 0
        # its end is a placeholder if it was still held when its store was damaged
        one.is_cut = one.is_cut or (told_last > max(one.after, one.acked) and not _is_gap(found, told_last))
        return None
    links: list[Link] = []
    provers: list[Found] = []
    for row in rows:
        _prove_by_its_charger(found, row, provers, links)
        more, lost = _links_to(found, row, BY_TX, one.ends)
        links += more
        one.is_cut = one.is_cut or any(seq > one.acked for seq in lost)
        _note(one, row)
    one.after = rows[-1][0]
    seqs = json.dumps([row[0] for row in rows])
    deliveries = found.execute(
        "SELECT seq, state, epoch_no, bound, attempts, error_code, error_description, error_wall_ms FROM delivery "
        "WHERE seq IN (SELECT value FROM json_each(:seqs)) AND (seq > :acked OR state = 'dropped')",
        {"seqs": seqs, "acked": one.acked},
    ).fetchall()
    return Part((*provers, *rows), tuple(links), tuple(deliveries))


def _prove_by_its_charger(found: sqlite3.Connection, row: Found, provers: list[Found], links: list[Link]) -> None:
    """The first row of a session proves itself by the row before it of its charger: without that it is not sent."""
    before = row[AT["prev_peer"]]
    if row[AT["prev_tx"]] is not None or not isinstance(before, int):
        return
    known = found.execute(f"{_CHOSEN} AND seq = :seq", {"after": 0, "seq": before}).fetchone()
    if known is None:
        links.append(Link(before, None, BY_PEER, _digest(found, before, row)))
    else:
        provers.append(known)


def _note(one: Session, row: Found) -> None:
    seq, action = row[0], row[AT["action"]]
    assert isinstance(seq, int)
    if not row[AT["relay"]]:
        return
    if row[-1] == UNPROVEN:
        one.is_cut = one.is_cut or seq > one.acked
        if action not in START_OR_STOP:
            return  # it is kept, not sent
    one.relayed += 1
    one.relayed_acked += seq <= one.acked
    if seq > one.acked and one.first_waiting is None:
        one.first_waiting = seq
    one.has_start = one.has_start or seq == one.number("begin_seq")
    one.has_parked = one.has_parked or seq == one.number("parked_seq")
    if action == "StopTransaction" and row[-1] == PROVEN:
        at = row[AT["at_wall_ms"]]
        assert isinstance(at, int)
        one.stop = seq, at


def _links_to(found: sqlite3.Connection, row: Found, chain: int, ends: Ends) -> tuple[list[Link], list[int]]:
    """What leads from a row to the one before it that is there; numbers of rows that are lost, not removed by us."""
    name, of = ("prev_tx", "tx_no") if chain == BY_TX else ("prev_peer", "peer")
    whose, seq, following = row[AT[of]], row[0], row[AT[name]]
    assert isinstance(whose, int)
    assert isinstance(seq, int)
    before = ends.get((chain, whose))
    ends[chain, whose] = seq
    links, lost = list[Link](), list[int]()
    while following is not None and following != before:
        assert isinstance(following, int)
        gap = found.execute(f"SELECT {name} FROM gap WHERE seq = :seq", {"seq": following}).fetchone()  # noqa: S608 - one of two names
        behind = None if gap is None else gap[0]
        if gap is None:
            lost.append(following)
        if before is not None and (behind is None or behind < before):
            behind = before
        links.append(Link(following, behind, chain, _digest(found, following, row)))
        following = behind if gap is not None and behind != before else None
    return links, lost


def _digest(found: sqlite3.Connection, seq: int, after: Found) -> bytes:
    """Of a row that is not brought back: the one with which the next one proves itself."""
    known = found.execute(
        "SELECT digest FROM exchange WHERE seq = :seq UNION ALL SELECT digest FROM gap WHERE seq = :seq", {"seq": seq}
    )
    for (digest,) in known.fetchall():
        if exchange.digest(int(str(after[0])), bytes(digest), str(after[AT["text"]])) == after[AT["digest"]]:
            return bytes(digest)
    return LOST_DIGEST


def insert(connection: sqlite3.Connection, part: Part) -> int:
    """Rows of the journal under their old numbers; how many were not there yet. What has no proof is marked."""
    added = 0
    for row in part.rows:
        values = dict(zip(NAMES, row, strict=False))
        if row[-1] == UNPROVEN:
            _mark(values)
        is_new = connection.execute(
            f"INSERT OR IGNORE INTO exchange ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})",  # noqa: S608 - names of the schema
            [values[name] for name in NAMES],
        ).rowcount
        if is_new:
            size = shares.size(str(values["text"]), _text(values["answer"]), _text(values["notes"]))
            shares.count(connection, int(str(values["peer"])), size)
        added += is_new
    connection.executemany("INSERT OR IGNORE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?)", part.deliveries)
    _join(connection, part.links)
    return added


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _mark(values: dict[str, Value]) -> None:
    """Values without a proof are kept, not sent; of a start or a stop a person has to decide (`edge queue`)."""
    note = {"rule": UNPROVEN_RULE, "message": "the row before it is lost, so that its digest cannot be checked"}
    notes = [] if values["notes"] is None else json.loads(str(values["notes"]))
    if isinstance(notes, list) and note not in notes:  # else it was brought back before
        values["notes"] = json.dumps([*notes, note])
    if values["action"] not in START_OR_STOP:
        values["relay"] = 0


def _join(connection: sqlite3.Connection, links: Iterable[Link]) -> None:
    """Make chains go on over what is lost."""
    for one in links:
        connection.execute(
            "INSERT INTO gap (seq, prev_tx, prev_peer, referrers, digest) SELECT :seq, :tx, :peer, :by, :digest "
            "WHERE NOT EXISTS (SELECT 1 FROM exchange WHERE seq = :seq) ON CONFLICT (seq) DO UPDATE SET "
            "prev_tx = coalesce(:tx, prev_tx), prev_peer = coalesce(:peer, prev_peer), referrers = referrers | :by, "
            "digest = CASE WHEN digest = zeroblob(8) THEN :digest ELSE digest END",
            {
                "seq": one.seq,
                "tx": one.before if one.chain == BY_TX else None,
                "peer": one.before if one.chain == BY_PEER else None,
                "by": one.chain,
                "digest": one.digest,
            },
        )


def release(connection: sqlite3.Connection, one: Session) -> bool:
    """All rows of a held session are there: let it go on; False: it is not held (any more)."""
    chains.settle(connection)
    held = connection.execute(
        "SELECT tx.parked_seq, tx.state, tx.rows FROM tx JOIN gap ON gap.seq = tx.parked_seq "
        "WHERE tx_no = :tx AND due = 0",
        {"tx": one.tx_no},
    ).fetchone()
    if held is None:
        return False
    placeholder, state, said_since = held
    connection.execute(
        "UPDATE gap SET prev_tx = :last WHERE seq = :seq",
        {"last": one.ends.get((BY_TX, one.tx_no)), "seq": placeholder},
    )
    is_open = state == "open" and not _end(connection, one)
    rows = one.relayed + int(said_since)
    parked = _parked(connection, one, placeholder if said_since else None)
    is_due = parked is None and one.values["dropped_seq"] is None and (is_open or rows > one.relayed_acked)
    connection.execute(
        "UPDATE tx SET rows = :rows, acked_seq = :acked, acked_rows = :acked_rows, parked_seq = :parked, due = :due "
        "WHERE tx_no = :tx",
        {
            "rows": rows,
            "acked": one.acked,
            "acked_rows": one.relayed_acked,
            "parked": parked,
            "due": int(is_due),
            "tx": one.tx_no,
        },
    )
    return True


def give_up(connection: sqlite3.Connection, tx_no: TransactionNo) -> bool:
    """Nothing more is found of a held session: what its charger has said since goes on, or is parked."""
    row = connection.execute(f"SELECT {', '.join(TX_NAMES)} FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()  # noqa: S608 - names of the schema
    values = dict(zip(TX_NAMES, row, strict=True))
    return release(connection, Session(tx_no, {**values, "parked_seq": None}, int(values["acked_seq"])))


def _end(connection: sqlite3.Connection, one: Session) -> bool:
    """A page of `tx` may be older than the journal: a stop that is in it has ended the session."""
    if one.values["kind"] == transactions.METER:
        at, seq = None, None  # the next values have begun another stream already
    elif one.stop is not None:
        seq, at = one.stop
    else:
        return False
    connection.execute(
        "UPDATE tx SET state = 'ended', ended_wall_ms = :at, stop_seq = :seq WHERE tx_no = :tx",
        {"at": at, "seq": seq, "tx": one.tx_no},
    )
    return True


def _parked(connection: sqlite3.Connection, one: Session, said_since: int | None) -> int | None:
    """From which row on it is parked: as before, or because the CSMS can never get its start."""
    if one.has_parked:
        return one.number("parked_seq")
    first = one.first_waiting
    is_known_there = one.acked >= (one.number("begin_seq") or 0) or one.has_start
    if one.values["kind"] != transactions.TRANSACTION or is_known_there or (first is None and said_since is None):
        return None
    if first is None:  # only its charger has said something since
        last_seq, _ = chains.tx_end(connection, one.tx_no)
        first = min(
            (row.seq for row in exchange.of_transaction(connection, one.tx_no, last_seq) if row.relay), default=None
        )
    connection.execute(
        "INSERT OR REPLACE INTO delivery (seq, state, error_code, error_description, error_wall_ms) SELECT "
        "seq, 'parked', 'start_lost', 'the start of its session was lost when the store was damaged', at_wall_ms "
        "FROM exchange WHERE seq = :seq",
        {"seq": first},
    )
    return first


# --- what the CSMS has


def next_history(found: sqlite3.Connection, after: int, ends: Ends) -> Part | None:
    """The next rows of the whole journal; those that are there already do no harm. None: that was all."""
    rows = found.execute(f"{_CHOSEN} ORDER BY seq LIMIT :most", {"after": after, "most": ROWS_A_UNIT}).fetchall()
    if not rows:
        return None
    links: list[Link] = []
    for row in rows:
        for chain, name in ((BY_PEER, "peer"), (BY_TX, "tx_no")):
            if row[AT[name]] is not None:
                links += _links_to(found, row, chain, ends)[0]
    return Part(tuple(rows), tuple(links))


_ENDED = (
    "SELECT tx_no FROM tx WHERE NOT (state = 'open' OR due = 1 OR parked_seq IS NOT NULL) AND tx_no > :after "
    "ORDER BY tx_no LIMIT :most"
)


def next_ended(found: sqlite3.Connection, after: int) -> list[dict[str, Value]]:
    """The next sessions that the CSMS has whole: their rows of `tx`, with the ends of what was found of them."""
    sessions = []
    for (tx_no,) in found.execute(_ENDED, {"after": after, "most": ROWS_A_UNIT}).fetchall():
        row = found.execute(f"SELECT {', '.join(TX_NAMES)} FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()  # noqa: S608 - names of the schema
        last, relayed = found.execute(
            "SELECT coalesce(max(seq), 0), coalesce(sum(relay AND (verdict_ = 1 OR action IN ('StartTransaction', "
            "'StopTransaction'))), 0) FROM exchange WHERE tx_no = :tx AND verdict_ IN (1, 2)",
            {"tx": tx_no},
        ).fetchone()
        values = dict(zip(TX_NAMES, row, strict=True))
        sessions.append({**values, "last_seq": last, "rows": relayed, "acked_rows": relayed})
    return sessions


def insert_ended(connection: sqlite3.Connection, sessions: Iterable[dict[str, Value]]) -> None:
    """Sessions that only tell of the past; a start that has been said again since is the later one's."""
    for values in sessions:
        connection.execute(
            f"INSERT OR IGNORE INTO tx ({', '.join(TX_NAMES)}) VALUES ({', '.join('?' * len(TX_NAMES))})",  # noqa: S608 - names of the schema
            [values[name] for name in TX_NAMES],
        )


def put_behind(connection: sqlite3.Connection, ends: Ends, placeholders: Iterable[tuple[int, int]]) -> None:
    """The journal of each charger goes on from its placeholder with the last row that was found."""
    for peer, seq in placeholders:
        connection.execute(
            "UPDATE gap SET prev_peer = :last WHERE seq = :seq AND prev_peer IS NULL",
            {"last": ends.get((BY_PEER, peer)), "seq": seq},
        )


def unfinished(found: sqlite3.Connection) -> Iterator[TransactionNo]:
    """Sessions (and other streams) that are open or of which the CSMS does not have everything, oldest first."""
    rows: Sequence[tuple[int]] = found.execute(
        "SELECT tx_no FROM tx WHERE state = 'open' OR due = 1 OR parked_seq IS NOT NULL ORDER BY begin_seq"
    ).fetchall()
    for (number,) in rows:
        yield TransactionNo(number)

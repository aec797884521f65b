"""A new store in the place of a damaged one: empty of messages, but not of what the world still means by a number.

It gets, before it bears the store's name: chargers and connectors with the CSMS's numbers for them, the uplink's
epochs, tokens, settings; every session that is open or of which the CSMS does not have everything; and counters that go
on beyond all that can have been given. The messages of those sessions come later (`reimport.py`). Until then each of
them is *held*: what its charger says meanwhile is stored behind a placeholder in its chain, and nothing of it is sent.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from edge.domain.ids import TransactionNo
from edge.domain.timekeeping import LATEST_MS
from edge.store import chains, succession
from edge.store.carving import Value, shape_of
from edge.store.gaps import BY_PEER, BY_TX
from edge.store.keepsake import Keepsake
from edge.store.reimport import session, unfinished
from edge.store.succession import Numbers
from edge.store.transactions import FIRST_STREAM

FIRST_FOR_CHARGERS = 1_000_000
"""Of ids for chargers, when nothing at all is known of those that were given: beyond where a new store begins."""
TOLD_FOR_MS = 7 * 24 * 3600 * 1000
"""After its end. Nobody has to acknowledge anything."""
STATE = "salvage:state"
PLACEHOLDERS = "salvage:placeholders"
LOST = "lost-charger-"
COPIED = ("charger", "connector", "uplink_epoch", "boot", "token", "id_map")
"""In this order: connectors refer to chargers."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """What the store remembers of it, from its creation on."""

    folder: str
    """In which the damaged store lies; its name below `quarantine`."""
    why: str
    at_ms: int
    phase: str = "reading"
    """Then `open` (sessions that the CSMS waits for), `history`, `done`."""
    pages: int = 0
    proven: int = 0
    """Rows of the journal that were found and are what was stored."""
    unproven: int = 0
    wrong: int = 0
    sessions: int = 0
    """That were open, or that the CSMS does not have whole."""
    cut_sessions: int = 0
    """Of these: something in them that the CSMS has not got is lost."""
    imported: int = 0
    left: int = 0
    """Rows that were found and stay in the quarantine: there was no room, or their numbers are taken."""
    done_ms: int | None = None
    waits_for_room: bool = False
    """The disk is too full to go on."""
    cut_short: str | None = None
    """Why it went on without the rest: some of it failed again and again."""


def is_told(salvage: Salvage, now: datetime) -> bool:
    """Whether people are still told of it."""
    return salvage.done_ms is None or now.timestamp() * 1000 - salvage.done_ms < TOLD_FOR_MS


def state(connection: sqlite3.Connection) -> Salvage | None:
    row = connection.execute("SELECT value FROM meta WHERE key = :key", {"key": STATE}).fetchone()
    return None if row is None else Salvage(**json.loads(row[0]))


def keep_state(connection: sqlite3.Connection, salvage: Salvage) -> None:
    text = json.dumps({name: getattr(salvage, name) for name in Salvage.__slots__})
    connection.execute("INSERT OR REPLACE INTO meta VALUES (:key, :text)", {"key": STATE, "text": text})


def fill(
    connection: sqlite3.Connection,
    found: sqlite3.Connection | None,
    kept: Keepsake | None,
    salvage: Salvage | None,
    now_ms: int,
) -> int:
    """Make an empty store the successor; how many sessions are held. It is closed afterwards, not used."""
    chains.load(connection)
    connection.execute("BEGIN IMMEDIATE")
    if found is not None:
        _copy_found(connection, found)
    if kept is not None:
        _copy_kept(connection, kept)
    given, known_ms = _numbers(found, kept)
    peers = _name_the_nameless(connection, found)
    succession.move_numbers(connection, given, known_ms, now_ms)
    count = 0
    if found is not None:
        for tx_no in unfinished(found):
            count += hold(connection, session(found, tx_no).values)
        _hold_peers(connection, peers)
    if salvage is not None:
        keep_state(connection, salvage)
    chains.settle(connection)
    connection.execute("COMMIT")
    return count


def _copy_found(connection: sqlite3.Connection, found: sqlite3.Connection) -> None:
    for table in COPIED:
        names = [column.name for column in shape_of(table).columns]
        chosen = ", ".join("NULL" if name == "last_seq" else name for name in names)
        rows = found.execute(f"SELECT {chosen} FROM {table} ORDER BY rank_ DESC").fetchall()  # noqa: S608 - names of the schema
        _insert(connection, table, names, rows)
    # a boot beyond all reason is a lie, and the next one could have no number
    most = succession.most_to_go_on_from("boot")
    connection.execute("DELETE FROM boot WHERE boot_no NOT BETWEEN 1 AND :most", {"most": most})
    rows = found.execute(
        "SELECT key, value FROM meta WHERE key GLOB 'station:*' OR key GLOB 'synchronised:*' "
        "OR key IN ('last_wall_ms', 'csms_wall_ms')"
    ).fetchall()
    connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", rows)


def _copy_kept(connection: sqlite3.Connection, kept: Keepsake) -> None:
    for table, rows in kept.rows.items():
        for row in rows:
            _insert(connection, table, list(row), [tuple(row.values())])


def _insert(connection: sqlite3.Connection, table: str, names: list[str], rows: list[tuple[object, ...]]) -> None:
    places = ", ".join("?" * len(names))
    for row in rows:
        if table == "connector":
            _ensure_charger(connection, row[names.index("charger_no")])
        connection.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({places})", row)  # noqa: S608 - names of the schema


def _ensure_charger(connection: sqlite3.Connection, charger_no: object) -> None:
    """One of which only the number is known; it comes again under a new one."""
    connection.execute(
        "INSERT OR IGNORE INTO charger (charger_no, id, state, origin) VALUES (:no, :id, 'retired', 'adopted')",
        {"no": charger_no, "id": f"{LOST}{charger_no}"},
    )


def _name_the_nameless(connection: sqlite3.Connection, found: sqlite3.Connection | None) -> list[int]:
    """All charger numbers that are known now, so that none of them is given to another."""
    if found is not None:
        for (number,) in found.execute("SELECT DISTINCT charger_no FROM tx WHERE charger_no IS NOT NULL").fetchall():
            _ensure_charger(connection, number)
    return [0, *(int(number) for (number,) in connection.execute("SELECT charger_no FROM charger"))]


def _numbers(found: sqlite3.Connection | None, kept: Keepsake | None) -> tuple[Numbers, int]:
    """The highest that were given as far as anything says, and since when nothing is known."""
    sources = [Numbers(0, 0, {"session": 0, "stream": FIRST_STREAM, "charger_tx": FIRST_FOR_CHARGERS})]
    known_ms = 0
    if kept is not None:
        sources.append(_believed(kept.numbers))
        known_ms = kept.at_ms
    if found is not None:
        sources.append(_found_numbers(found))
        newest = found.execute(
            "SELECT max(value) FROM (SELECT started_wall_ms AS value FROM tx UNION ALL "
            "SELECT value FROM meta WHERE key = 'last_wall_ms' UNION ALL SELECT at_wall_ms FROM exchange) "
            "WHERE typeof(value) = 'integer' AND value BETWEEN 0 AND :latest",
            {"latest": LATEST_MS},
        ).fetchone()[0]
        known_ms = max(known_ms, int(newest or 0))
    counters: dict[str, int] = {}
    # where a counter was found, it says more than where it would have begun
    for one in sources[1:] or sources:
        for name, value in one.counters.items():
            counters[name] = max(counters.get(name, 0), value)
    for name, value in sources[0].counters.items():
        counters.setdefault(name, value)
    return Numbers(max(one.seq for one in sources), max(one.boot for one in sources), counters), known_ms


_HIGHEST = (
    ("session", "SELECT max(tx_no) FROM tx WHERE kind <> 'meter' AND tx_no <= :most"),
    ("stream", "SELECT max(tx_no) FROM tx WHERE tx_no BETWEEN 1099511627776 AND :most"),
    ("charger_tx", "SELECT max(CAST(charger_tx AS INTEGER)) FROM tx WHERE CAST(charger_tx AS INTEGER) <= :most"),
    ("boot", "SELECT max(boot_no) FROM boot WHERE boot_no <= :most"),
    ("seq", "SELECT max(value) FROM meta WHERE key = 'settled_seq' AND typeof(value) = 'integer' AND value <= :most"),
    ("seq", "SELECT max(last_seq) FROM tx WHERE last_seq <= :most"),
    ("seq", "SELECT max(begin_seq) FROM tx WHERE begin_seq <= :most"),
    ("seq", "SELECT max(acked_seq) FROM tx WHERE acked_seq <= :most"),
    ("seq", "SELECT max(seq) FROM exchange WHERE seq <= :most"),
)
"""Where what was given can be seen."""


def _found_numbers(found: sqlite3.Connection) -> Numbers:
    """Of rows that are no lie: a number that is beyond all reason would end the numbers."""
    rows = found.execute("SELECT substr(key, 9), value FROM meta WHERE key GLOB 'counter:*'")
    given = {str(name): value for name, value in rows if _is_believed(name, value)}
    for name, query in _HIGHEST:
        value = found.execute(query, {"most": succession.most_to_go_on_from(name)}).fetchone()[0]
        if value is not None:
            given[name] = max(given.get(name, 0), int(value))
    return Numbers(given.pop("seq", 0), given.pop("boot", 0), given)


def _believed(kept: Numbers) -> Numbers:
    """What was kept of a store whose own numbers were damaged is no better than these."""
    counters = {name: value for name, value in kept.counters.items() if _is_believed(name, value)}
    return Numbers(
        kept.seq if _is_believed("seq", kept.seq) else 0, kept.boot if _is_believed("boot", kept.boot) else 0, counters
    )


def _is_believed(name: str, value: object) -> bool:
    """Whether a site can have given it; and its successor can go on from there."""
    return isinstance(value, int) and 0 <= value <= succession.most_to_go_on_from(name)


def hold(connection: sqlite3.Connection, values: Mapping[str, Value]) -> bool:
    """Put a found session into the store, so that it goes on, and hold back what comes; False: it is there."""
    if connection.execute("SELECT 1 FROM tx WHERE tx_no = :tx", {"tx": values["tx_no"]}).fetchone() is not None:
        return False
    key = values["start_key"]
    if key and connection.execute("SELECT 1 FROM tx WHERE start_key = :key", {"key": key}).fetchone() is not None:
        key = None  # its charger has said the start again: the later one is known by it
    seq = place(connection, BY_TX, f"session {values['tx_no']!r}")
    held = {**values, "start_key": key, "last_seq": seq, "rows": 0, "acked_rows": 0, "parked_seq": seq, "due": 0}
    connection.execute(
        f"INSERT INTO tx ({', '.join(held)}) VALUES ({', '.join('?' * len(held))})",  # noqa: S608 - names of the schema
        list(held.values()),
    )
    chains.settle(connection)  # else a start after a crash would give the number of the placeholder again
    return True


_HELD = "SELECT tx_no FROM tx JOIN gap ON gap.seq = tx.parked_seq WHERE due = 0"


def held(connection: sqlite3.Connection) -> list[TransactionNo]:
    """Sessions that still wait for what is found of them."""
    return [TransactionNo(number) for (number,) in connection.execute(_HELD)]


def _hold_peers(connection: sqlite3.Connection, peers: list[int]) -> None:
    placed = {peer: place(connection, BY_PEER, f"charger {peer}") for peer in peers}
    connection.executemany("INSERT OR REPLACE INTO temp.peer_end VALUES (?, ?)", placed.items())
    connection.execute(
        "INSERT OR REPLACE INTO meta VALUES (:key, :text)",
        {"key": PLACEHOLDERS, "text": json.dumps(list(placed.items()))},
    )


def placeholders(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Charger and row: where the chains of chargers go on with what is found."""
    row = connection.execute("SELECT value FROM meta WHERE key = :key", {"key": PLACEHOLDERS}).fetchone()
    return [] if row is None else [(int(peer), int(seq)) for peer, seq in json.loads(row[0])]


def place(connection: sqlite3.Connection, referrers: int, what: str) -> int:
    """A placeholder at the end of a chain, behind which what is found later is put (`edge/store/gaps.py`)."""
    seq = chains.next_seq(connection)
    connection.execute(
        "INSERT INTO gap (seq, prev_tx, prev_peer, referrers, digest) VALUES (:seq, NULL, NULL, :by, :digest)",
        {"seq": seq, "by": referrers, "digest": hashlib.blake2b(what.encode(), digest_size=8).digest()},
    )
    return seq

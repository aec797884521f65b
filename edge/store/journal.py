"""The journal in slices, newest first: what an archive of our own log is made of. Reads only."""

import sqlite3

from edge.store import exchange
from edge.store.exchange import Exchange


def end(connection: sqlite3.Connection, until_ms: int | None) -> int:
    """The number behind the last row of that time, None: of all. By halving, as if no clock had been set."""
    low, high = 0, _last(connection) + 1
    if until_ms is None:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT at_wall_ms FROM exchange WHERE seq >= :from AND seq < :to ORDER BY seq LIMIT 1",
            {"from": middle, "to": high},
        ).fetchone()
        if row is None or row[0] > until_ms:
            high = middle
        else:
            low = middle
    return high


def before(connection: sqlite3.Connection, seq: int, most_rows: int, most_characters: int) -> list[Exchange]:
    """The rows before this one, newest first, no more than that; at least one where there is one."""
    numbers = connection.execute(
        "SELECT seq FROM exchange WHERE seq < :seq ORDER BY seq DESC LIMIT :most", {"seq": seq, "most": most_rows}
    ).fetchall()
    found: list[Exchange] = []
    characters = 0
    for (number,) in numbers:
        row = exchange.load(connection, number)
        if row is None:  # removed meanwhile
            continue
        found.append(row)
        characters += len(row.text) + len(row.answer or "")
        if characters >= most_characters:
            break
    return found


def _last(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM exchange").fetchone()[0])

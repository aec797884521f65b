"""Where the chains of `exchange` end, kept out of the file so that a meter value costs one page.

Each row of `exchange` points back to the row before it of the same transaction and of the same charger. The ends of
these chains change with each row; writing them into `tx` and `charger` each time would triple the pages of a commit
(store.md). They live in TEMP tables of the writer's connection instead: in memory, but inside the same transaction, so
that a unit that is rolled back takes its ends with it. `settle` copies them into the tables every few minutes and
before anyone reads; `load` rolls them forward over the rows since then after a crash.
"""

import sqlite3
from collections.abc import Sequence

from edge.store import boots, capacity, shares


def load(connection: sqlite3.Connection) -> None:
    """Make the TEMP tables and bring `tx` and `charger` up to date with the rows after `meta.settled_seq`.

    Raises ValueError when the numbers of the rows are damaged.
    """
    for statement in (
        "CREATE TEMP TABLE tx_end (tx_no INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, rows INTEGER NOT NULL)",
        "CREATE TEMP TABLE peer_end (peer INTEGER PRIMARY KEY, last_seq INTEGER)",
        "CREATE TEMP TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    ):
        connection.execute(statement)
    capacity.load(connection)
    shares.load(connection)
    connection.execute("BEGIN IMMEDIATE")
    settled = settled_seq(connection)
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM exchange").fetchone()[0]
    if not boots.is_possible("seq", last):
        raise ValueError(f"its newest row has the number {last}")
    connection.execute("INSERT INTO temp.counter VALUES ('seq', :seq)", {"seq": max(settled, last)})
    connection.execute(
        "INSERT INTO temp.tx_end SELECT tx.tx_no, max(e.seq), tx.rows + sum(e.relay) "
        "FROM exchange e JOIN tx ON tx.tx_no = e.tx_no WHERE e.seq > :settled GROUP BY tx.tx_no",
        {"settled": settled},
    )
    connection.execute(
        "INSERT INTO temp.peer_end SELECT peer, max(seq) FROM exchange WHERE seq > :settled GROUP BY peer",
        {"settled": settled},
    )
    settle(connection)
    connection.execute("COMMIT")


def settled_seq(connection: sqlite3.Connection) -> int:
    """Up to which row `tx` and `charger` are up to date. Raises ValueError when that is no number of a row."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'settled_seq'").fetchone()
    if row is not None and not boots.is_possible("seq", row[0]):
        raise ValueError(f"its settled_seq is damaged: {row[0]!r}")
    return 0 if row is None else int(row[0])


def next_seq(connection: sqlite3.Connection) -> int:
    """A number for a new row; never given twice, also after the newest rows were deleted."""
    seq = last_seq(connection) + 1
    connection.execute("UPDATE temp.counter SET value = :seq WHERE name = 'seq'", {"seq": seq})
    return seq


def last_seq(connection: sqlite3.Connection) -> int:
    """The number given last."""
    return int(connection.execute("SELECT value FROM temp.counter WHERE name = 'seq'").fetchone()[0])


def peer_end(connection: sqlite3.Connection, peer: int) -> int | None:
    """Last row that concerns this charger (0: the station)."""
    row = connection.execute("SELECT last_seq FROM temp.peer_end WHERE peer = :peer", {"peer": peer}).fetchone()
    if row is None:
        row = connection.execute("SELECT last_seq FROM charger WHERE charger_no = :peer", {"peer": peer}).fetchone()
    if row is None and peer == 0:
        row = connection.execute("SELECT value FROM meta WHERE key = 'station_last_seq'").fetchone()
    return None if row is None or row[0] is None else int(row[0])


def tx_end(connection: sqlite3.Connection, tx_no: int) -> tuple[int | None, int]:
    """Last row of a transaction and how many of its rows are to be relayed."""
    row = connection.execute("SELECT last_seq, rows FROM temp.tx_end WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    if row is None:
        row = connection.execute("SELECT last_seq, rows FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    if row is None:
        return None, 0
    return (None if row[0] == 0 else int(row[0])), int(row[1])


def move_ends(connection: sqlite3.Connection, seq: int, peer: int, tx_no: int | None, relay: int) -> None:
    """A row was appended: it is now the end of its chains."""
    connection.execute("INSERT OR REPLACE INTO temp.peer_end VALUES (:peer, :seq)", {"peer": peer, "seq": seq})
    if tx_no is not None:
        _, rows = tx_end(connection, tx_no)
        connection.execute(
            "INSERT OR REPLACE INTO temp.tx_end VALUES (:tx, :seq, :rows)",
            {"tx": tx_no, "seq": seq, "rows": rows + relay},
        )


def fewer(connection: sqlite3.Connection, tx_no: int, removed: Sequence[int]) -> None:
    """These rows, which the CSMS was to get, are about to be removed; none is the end of its chain for long.

    A start counts the rows since the last settling anew: those may go uncounted, the ones before are counted off.
    """
    if min(removed) > settled_seq(connection):
        connection.execute(
            "UPDATE temp.tx_end SET rows = rows - :count WHERE tx_no = :tx", {"count": len(removed), "tx": tx_no}
        )
        return
    settle(connection)
    connection.execute("UPDATE tx SET rows = rows - :count WHERE tx_no = :tx", {"count": len(removed), "tx": tx_no})


def settle(connection: sqlite3.Connection) -> None:
    """Copy the ends into the tables, for readers and for the next start."""
    connection.executemany(
        "UPDATE tx SET last_seq = ?, rows = ? WHERE tx_no = ?",
        connection.execute("SELECT last_seq, rows, tx_no FROM temp.tx_end").fetchall(),
    )
    connection.executemany(
        "UPDATE charger SET last_seq = ? WHERE charger_no = ?",
        connection.execute("SELECT last_seq, peer FROM temp.peer_end").fetchall(),
    )
    connection.execute(
        "INSERT OR REPLACE INTO meta SELECT 'station_last_seq', last_seq FROM temp.peer_end WHERE peer = 0"
    )
    connection.execute(
        "INSERT OR REPLACE INTO meta SELECT 'settled_seq', value FROM temp.counter WHERE name = 'seq' "
        "AND value IS NOT (SELECT value FROM meta WHERE key = 'settled_seq')"
    )
    connection.execute("DELETE FROM temp.tx_end")
    connection.execute("DELETE FROM temp.peer_end")

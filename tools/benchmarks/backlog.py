"""A store in which many messages wait for the cloud, made in seconds.

A real daemon makes chargers, connectors and transactions, and a few values of each. `extend` then writes as many more
rows as are wanted after the last value of each transaction, as the daemon would have written them: chained, with their
digests. Only the daemon's writing of them one by one is left out.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import messages
from benchmarks.processes import party
from benchmarks.running import Run
from benchmarks.site import Site
from edge.store.exchange import digest

SEED_VALUES = 2
"""Values of each charger that the daemon itself writes."""
_MORE = (
    "INSERT INTO exchange SELECT ?1, boot_no, ?2, ?3, peer, kind, relay, action, ?4, version, connector_no, tx_no, "
    "?5, ?6, cause_seq, ?7, ?8, NULL, ?9 FROM exchange WHERE seq = ?10"
)


@dataclass(slots=True)
class _Stream:
    """The end of one transaction's chain."""

    tx_no: int
    peer: int
    template: int
    """One of its values, from which the new rows take what does not change."""
    values: messages.MeterValues
    prefix: str
    mono_ms: int
    wall_ms: int
    last_seq: int
    last_peer_seq: int
    last_digest: bytes
    added: int = 0


def site(run: Run, name: str, chargers: int, waiting: int, csms_url: str | None = None) -> Site:
    """A site whose store holds so many values that wait; it does not run."""
    made = Site(run.folder / name, chargers)
    run.tell(f"{chargers} chargers and {waiting:,} waiting values are made")
    with made.running(), party("load", run.folder) as load:
        load.ask("open", group="seed", url=made.url, count=chargers)
        load.ask("closed", group="seed", seconds=30, most=SEED_VALUES * chargers)
    extend(made.store, waiting)
    made.configure(chargers, csms_url)
    return made


def extend(store: Path, rows: int) -> None:
    """So many more values, spread evenly over the open transactions."""
    connection = sqlite3.connect(store, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        streams = _streams(connection)
        first = connection.execute("SELECT max(seq) FROM exchange").fetchone()[0] + 1
        connection.executemany(_MORE, _rows(streams, first, rows))
        for one in streams:
            connection.execute(
                "UPDATE tx SET last_seq = ?, rows = rows + ? WHERE tx_no = ?", (one.last_seq, one.added, one.tx_no)
            )
            connection.execute("UPDATE charger SET last_seq = ? WHERE charger_no = ?", (one.last_peer_seq, one.peer))
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('settled_seq', ?)", (first + rows - 1,))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


def _streams(connection: sqlite3.Connection) -> list[_Stream]:
    found = []
    for tx_no, peer, charger_tx, last_seq, last_peer, identity in connection.execute(
        "SELECT tx.tx_no, tx.charger_no, tx.charger_tx, tx.last_seq, c.last_seq, c.id FROM tx "
        "JOIN charger c USING (charger_no) WHERE tx.state = 'open' AND tx.kind = 'transaction'"
    ).fetchall():
        template, mono, wall, ends_with = connection.execute(
            "SELECT seq, at_mono_ms, at_wall_ms, digest FROM exchange WHERE tx_no = ? ORDER BY seq DESC LIMIT 1",
            (tx_no,),
        ).fetchone()
        assert template == last_seq, "the store was not settled"
        values = messages.MeterValues(f"{identity}+", int(charger_tx))
        found.append(
            _Stream(tx_no, peer, template, values, f"{identity}+", mono, wall, last_seq, last_peer, bytes(ends_with))
        )
    return found


def _rows(streams: list[_Stream], first: int, count: int) -> Iterator[tuple[object, ...]]:
    for number in range(count):
        stream = streams[number % len(streams)]
        stream.added += 1
        seq, nth = first + number, SEED_VALUES + stream.added
        text = stream.values.text(nth)
        message_id = f"{stream.prefix}-{nth}"
        prev_tx, prev_peer = stream.last_seq, stream.last_peer_seq
        stream.last_digest = digest(seq, stream.last_digest, text)
        stream.last_seq = stream.last_peer_seq = seq
        answer = f'[3,"{message_id}",{{}}]'
        yield (
            seq, stream.mono_ms + stream.added, stream.wall_ms + stream.added, message_id, prev_tx, prev_peer, text,
            answer, stream.last_digest, stream.template,
        )  # fmt: skip

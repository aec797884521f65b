"""Rows that leave the journal, and what must stay of them.

A row of `exchange` points back to the row before it of the same transaction and of the same charger, and its digest
goes over that row's. When rows are removed (`retention.py`, `thinning.py`), each that another one still refers to
leaves a *gap*: where its chains go on, and its digest. Whoever walks a chain steps over the gaps, so that what is left
is found from its end and verified as before. A gap that nobody refers to any more is removed with the next rows, so
that a run of a thousand removed rows leaves one.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from edge.store import shares

BY_TX, BY_PEER = 1, 2
"""Bits of `gap.referrers`: the next row (or the end) of its transaction's chain, of its charger's chain."""


@dataclass(slots=True)
class _Gap:
    prev_tx: int | None
    prev_peer: int | None
    referrers: int
    digest: bytes


def before(connection: sqlite3.Connection, seq: int) -> tuple[int | None, int | None] | None:
    """Where the chains go on behind a removed row: (its transaction's, its charger's). None: there is no such gap."""
    row = connection.execute("SELECT prev_tx, prev_peer FROM gap WHERE seq = :seq", {"seq": seq}).fetchone()
    return None if row is None else (row[0], row[1])


def back(seq: int, to: int | None) -> int | None:
    """Where a chain goes on behind this row: never but backwards, or a damaged row could lead in circles."""
    return to if to is not None and to < seq else None


def digest(connection: sqlite3.Connection, seq: int) -> bytes | None:
    """The digest that a removed row had."""
    row = connection.execute("SELECT digest FROM gap WHERE seq = :seq", {"seq": seq}).fetchone()
    return None if row is None else bytes(row[0])


def remove(connection: sqlite3.Connection, seqs: Iterable[int]) -> None:
    """Take these rows out of the journal, with what `delivery` says of them.

    The ends of the chains must be settled (`chains.settle`): a start after a crash counts the rows since then.
    """
    numbers = json.dumps(sorted(seqs))
    rows = connection.execute(
        f"SELECT seq, tx_no, prev_tx, prev_peer, digest, peer, {shares.SIZE} FROM exchange "  # noqa: S608 - a constant
        "WHERE seq IN (SELECT value FROM json_each(:seqs)) ORDER BY seq",
        {"seqs": numbers},
    ).fetchall()
    gaps = _Gaps(connection)
    for seq, tx_no, prev_tx, prev_peer, digest_, peer, size in rows:
        shares.count(connection, peer, -size)
        gaps.add(seq, prev_tx, prev_peer, BY_PEER if tx_no is None else BY_TX | BY_PEER, digest_)
    # First the rows: on a full disk the gaps take the place that they leave.
    connection.execute("DELETE FROM exchange WHERE seq IN (SELECT value FROM json_each(:seqs))", {"seqs": numbers})
    connection.execute("DELETE FROM delivery WHERE seq IN (SELECT value FROM json_each(:seqs))", {"seqs": numbers})
    gaps.store()


def oldest_left(connection: sqlite3.Connection, last_seq: int | None) -> int | None:
    """The row that a transaction's chain leads to from its end; None: all were removed."""
    while last_seq is not None:
        behind = before(connection, last_seq)
        if behind is None:
            return last_seq
        last_seq = back(last_seq, behind[0])
    return None


def forget_end(connection: sqlite3.Connection, last_seq: int) -> None:
    """The transaction whose chain ended here is removed: it refers to nothing any more."""
    connection.execute("UPDATE gap SET referrers = referrers & ~:tx WHERE seq = :seq", {"tx": BY_TX, "seq": last_seq})
    connection.execute("DELETE FROM gap WHERE seq = :seq AND referrers = 0", {"seq": last_seq})


class _Gaps:
    """The gaps that one removal reads, makes and makes superfluous; written once, at its end."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[int, _Gap | None] = {}
        self._changed: set[int] = set()

    def add(self, seq: int, prev_tx: int | None, prev_peer: int | None, referrers: int, digest_: bytes) -> None:
        """A row is removed; its predecessors must have been added before."""
        self._known[seq] = _Gap(self._behind(prev_tx, BY_TX), self._behind(prev_peer, BY_PEER), referrers, digest_)
        self._changed.add(seq)

    def _behind(self, seq: int | None, chain: int) -> int | None:
        """The next in this chain that is no gap; the gaps on the way lose their referrer."""
        while seq is not None and (gap := self._load(seq)) is not None:
            gap.referrers &= ~chain
            self._changed.add(seq)
            seq = back(seq, gap.prev_tx if chain == BY_TX else gap.prev_peer)
        return seq

    def _load(self, seq: int) -> _Gap | None:
        if seq not in self._known:
            row = self._connection.execute(
                "SELECT prev_tx, prev_peer, referrers, digest FROM gap WHERE seq = :seq", {"seq": seq}
            ).fetchone()
            self._known[seq] = None if row is None else _Gap(*row)
        return self._known[seq]

    def store(self) -> None:
        for seq in sorted(self._changed):
            gap = self._known[seq]
            assert gap is not None
            if gap.referrers == 0:
                self._connection.execute("DELETE FROM gap WHERE seq = :seq", {"seq": seq})
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO gap (seq, prev_tx, prev_peer, referrers, digest) "
                    "VALUES (:seq, :prev_tx, :prev_peer, :referrers, :digest)",
                    {
                        "seq": seq,
                        "prev_tx": gap.prev_tx,
                        "prev_peer": gap.prev_peer,
                        "referrers": gap.referrers,
                        "digest": gap.digest,
                    },
                )

"""Histories of the store's tests of retention and thinning: sessions with values in them, delivered or not."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edge.dialects import timestamps
from edge.domain.ids import TransactionNo
from edge.jsontypes import JsonValue
from edge.ocppj.frames import call_text
from edge.store import chains, delivery, exchange, retention, thinning, transactions
from edge.store.exchange import Kind, NewExchange
from edge.store.reimport import UNPROVEN_RULE
from tests.store.givens import NOON, StoredSite, moment

DAY = 86_400.0
CLEAN = "Sample.Periodic"


def ms(seconds: float) -> int:
    return round((NOON.timestamp() + seconds) * 1000)


def value(at: datetime | None, register_wh: int = 1000, **more: JsonValue) -> dict[str, JsonValue]:
    """The payload of a MeterValues with one register."""
    sample: dict[str, JsonValue] = {"sampledValue": [{"value": str(register_wh), **more}]}
    if at is not None:
        sample["timestamp"] = timestamps.text(at)
    return {"connectorId": 1, "transactionId": 7, "meterValue": [sample]}


@dataclass(slots=True)
class History:
    """What happens at a site, at seconds since noon."""

    site: StoredSite
    messages: int = 0
    said: dict[int, float] = field(default_factory=dict)
    """When each row was stored."""

    @property
    def db(self) -> sqlite3.Connection:
        return self.site.db

    def charger(self, name: str, connectors: int = 1) -> tuple[Any, tuple[Any, ...]]:
        return self.site.charger(name, connectors)

    def row(self, at: float, peer: int, action: str, payload: Any = None, tx_no: int | None = None, **more: Any) -> int:
        self.messages += 1
        text = call_text(f"m{self.messages}", action, payload or {"n": self.messages})
        kind = more.pop("kind", Kind.CHARGER_CALL)
        row = NewExchange(
            moment(at), peer, kind, text, action=action, message_id=f"m{self.messages}", version="1.6", tx_no=tx_no, **more
        )  # fmt: skip
        seq = exchange.append(self.db, row)
        self.said[seq] = at
        return seq

    def begin(self, at: float, place: tuple[Any, Any], **more: Any) -> TransactionNo:
        charger, connector = place
        self.site.charger_tx += 1
        new = transactions.NewTransaction(
            transactions.TRANSACTION,
            charger,
            connector,
            exchange.peek_seq(self.db),
            charger_tx=str(self.site.charger_tx),  # type: ignore[arg-type]
            id_token="TAG",  # type: ignore[arg-type]
            started_at=NOON + timedelta(seconds=at),
            **more,
        )
        tx_no = transactions.begin(self.db, new)
        self.site.charger_of[tx_no], self.site.connector_of[tx_no] = charger, connector
        self._of(tx_no, at, "StartTransaction")
        return tx_no

    def _of(self, tx_no: TransactionNo, at: float, action: str, payload: Any = None, **more: Any) -> int:
        return self.row(
            at,
            self.site.charger_of[tx_no],
            action,
            payload,
            tx_no,
            connector_no=self.site.connector_of[tx_no],
            relay=more.pop("relay", True),
            **more,
        )

    def values(self, tx_no: TransactionNo, at: float, **more: JsonValue) -> int:
        return self._of(tx_no, at, "MeterValues", value(NOON + timedelta(seconds=at), **more))

    def note(self, tx_no: TransactionNo, at: float) -> int:
        """A row that is not for the CSMS."""
        return self._of(tx_no, at, "StatusNotification", relay=False)

    def end(self, tx_no: TransactionNo, at: float) -> int:
        seq = self._of(tx_no, at, "StopTransaction")
        transactions.end(self.db, tx_no, NOON + timedelta(seconds=at), 5000, "Local")
        return seq

    def session(self, at: float, place: tuple[Any, Any], values: int = 3, every: float = 60.0) -> TransactionNo:
        tx_no = self.begin(at, place)
        for number in range(1, values + 1):
            self.values(tx_no, at + number * every)
        self.end(tx_no, at + (values + 1) * every)
        return tx_no

    def waiting(self, tx_no: int) -> list[int]:
        last_seq, _ = chains.tx_end(self.db, tx_no)
        acked, parked = self.db.execute("SELECT acked_seq, parked_seq FROM tx WHERE tx_no = ?", (tx_no,)).fetchone()
        pending = [] if last_seq is None else [seq for seq, _ in exchange.pending(self.db, last_seq, acked)]
        return [seq for seq in pending if parked is None or seq < parked]

    def deliver(self, tx_no: TransactionNo, at: float, most: int = 1_000_000) -> None:
        """The CSMS takes the next messages of a transaction, each with an answer."""
        for seq in self.waiting(tx_no)[:most]:
            delivery.acknowledge(self.db, seq, tx_no, 1)
            self._of(tx_no, at, "MeterValues", relay=False, kind=Kind.CSMS_ANSWER, cause_seq=seq)

    # --- what the housekeeping does

    def remove_older(self, before: float | None, now: float = 0.0) -> int:
        removed, after = 0, 0
        while True:
            found = retention.look(self.settled(), after, None if before is None else ms(before))
            removed += retention.remove(self.db, found.seqs, ms(now), 90 * 86_400_000)
            after = found.until
            if found.is_end:
                return removed

    def settled(self) -> sqlite3.Connection:
        """As a reader finds it."""
        chains.settle(self.db)
        return self.db

    def thin(self, at: float = 0.0, part: int = 100) -> int:
        removed = 0
        for tx_no in thinning.waiting(self.settled()):
            sieve = thinning.Sieve()
            values = thinning.waiting_values(self.db, tx_no)
            for first in range(0, len(values), part):
                going = sieve.superfluous(self.db, values[first : first + part])
                if going:
                    removed += thinning.leave_out(self.db, tx_no, going, moment(at))
        return removed

    # --- what must hold

    def seqs(self) -> list[int]:
        return [seq for (seq,) in self.db.execute("SELECT seq FROM exchange ORDER BY seq")]

    def of(self, tx_no: int) -> list[int]:
        return [seq for (seq,) in self.db.execute("SELECT seq FROM exchange WHERE tx_no = ? ORDER BY seq", (tx_no,))]

    def assert_sound(self) -> None:
        assert_sound(self.db)


def assert_sound(db: sqlite3.Connection) -> None:
    """Whatever was removed: chains lead to all that is left, digests verify, counters are what the rows say."""
    rows = {seq: (tx_no, peer) for seq, tx_no, peer in db.execute("SELECT seq, tx_no, peer FROM exchange ORDER BY seq")}
    for (tx_no,) in db.execute("SELECT tx_no FROM tx").fetchall():
        last_seq, _ = chains.tx_end(db, tx_no)
        walked = [row.seq for row in exchange.of_transaction(db, tx_no, last_seq)]
        assert walked[::-1] == [seq for seq, (of, _) in rows.items() if of == tx_no], f"S{tx_no}"
    for peer in {peer for _, peer in rows.values()}:
        walked = [row.seq for row in exchange.of_peer(db, chains.peer_end(db, peer))]
        assert walked[::-1] == [seq for seq, (_, of) in rows.items() if of == peer], f"charger {peer}"
    for seq in rows:
        row = exchange.load(db, seq)
        assert row is not None
        assert exchange.is_intact(db, row) or UNPROVEN_RULE in (row.notes or ""), seq
    assert_counters(db)
    gaps = {seq for (seq,) in db.execute("SELECT seq FROM gap")}
    assert not gaps & rows.keys()
    assert gaps <= _referred_to(db, gaps), "gaps that nobody needs"


def assert_counters(db: sqlite3.Connection) -> None:
    for tx_no, state, due, acked_seq, acked_rows in db.execute(
        "SELECT tx_no, state, due, acked_seq, acked_rows FROM tx"
    ).fetchall():
        last_seq, counted = chains.tx_end(db, tx_no)
        waits = 0 if last_seq is None else len(exchange.pending(db, last_seq, acked_seq))
        assert counted - acked_rows == waits, f"S{tx_no}: {counted} - {acked_rows} counted, {waits} wait"
        if state == "ended" and due == 0:
            dropped_or_parked = db.execute(
                "SELECT coalesce(parked_seq, dropped_seq) FROM tx WHERE tx_no = ?", (tx_no,)
            ).fetchone()[0]
            assert waits == 0 or dropped_or_parked is not None


def _referred_to(db: sqlite3.Connection, gaps: Iterable[int]) -> set[int]:
    found: set[int] = set()
    for table in ("exchange", "gap"):
        for pair in db.execute(f"SELECT prev_tx, prev_peer FROM {table}"):
            found.update(seq for seq in pair if seq is not None)
    for (tx_no,) in db.execute("SELECT tx_no FROM tx").fetchall():
        found.add(chains.tx_end(db, tx_no)[0] or 0)
    for (peer,) in db.execute("SELECT charger_no FROM charger UNION SELECT 0").fetchall():
        found.add(chains.peer_end(db, peer) or 0)
    return found

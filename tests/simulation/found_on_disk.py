"""What stands in the store's file after a crash, and at the end of a run; read here without the daemon's own code.

One `FoundOnDisk` accompanies a run: each look reads only the rows that have come since the one before. Digests are
computed by the rule as the store's documentation has it.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections import Counter
from pathlib import Path

from tests.simulation.truth import keys_of

CHARGER_CALL = 1


class FoundOnDisk:
    def __init__(self) -> None:
        self.keys: set[str] = set()
        """Of all transaction messages of chargers that are stored."""
        self.damage: list[str] = []
        self.missing = 0
        self.looks = 0
        self._path = Path()
        self._last_seq = 0
        self._digests: dict[int, bytes] = {}
        self._relayed: list[tuple[int, int, str]] = []
        """(Transaction, row, key) of what the cloud is to get."""
        self._late_stops: dict[str, int] = {}
        """Stops that came after ours: they do not go up. By key."""
        self._parked_from: dict[int, int] = {}
        self._open: Counter[int] = Counter()

    def look(self, path: Path) -> None:
        """Everything that is new; the file is not changed."""
        if not path.exists():
            return
        self.looks += 1
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            verdict = database.execute("PRAGMA integrity_check").fetchone()[0]
            if verdict != "ok":
                self.damage.append(f"integrity_check: {verdict}")
            known = "SELECT count(*) FROM exchange WHERE seq <= :last"
            self.missing += len(self._digests) - database.execute(known, {"last": self._last_seq}).fetchone()[0]
            rows = "SELECT seq, prev_tx, prev_peer, kind, relay, action, tx_no, text, digest FROM exchange "
            for row in database.execute(rows + "WHERE seq > :last ORDER BY seq", {"last": self._last_seq}):
                self._take(*row)
            parked = "SELECT tx_no, parked_seq FROM tx WHERE parked_seq IS NOT NULL"
            self._parked_from = dict(database.execute(parked).fetchall())
            opened = (
                "SELECT c.up16_connector, count(*) FROM tx JOIN connector c USING (connector_no) "
                "WHERE tx.state = 'open' AND tx.kind = 'transaction' GROUP BY 1"
            )
            self._open = Counter(dict(database.execute(opened).fetchall()))

    def _take(
        self, seq: int, prev_tx: int | None, prev_peer: int | None, kind: int, relay: int, action: str | None,
        tx_no: int | None, text: str, digest: bytes,
    ) -> None:  # fmt: skip
        before = self._digests.get(prev_peer if prev_tx is None else prev_tx, b"")
        if hashlib.blake2b(b"%d\x00%b%b" % (seq, before, text.encode()), digest_size=8).digest() != digest:
            self.damage.append(f"row {seq} ({action}) does not fit its digest")
        self._digests[seq] = digest
        self._last_seq = seq
        if kind == CHARGER_CALL and action in ("StartTransaction", "MeterValues", "StopTransaction"):
            for key in keys_of(action, json.loads(text)[3]):
                self.keys.add(key)
                if relay and tx_no is not None:
                    self._relayed.append((tx_no, seq, key))
                elif action == "StopTransaction" and tx_no is not None:
                    self._late_stops[key] = tx_no

    def parked_keys(self) -> set[str]:
        """Messages that the daemon has given up on, and those that have to wait behind them."""
        parked = self._parked_from
        late = {key for key, tx_no in self._late_stops.items() if tx_no in parked}
        return late | {key for tx_no, seq, key in self._relayed if tx_no in parked and seq >= parked[tx_no]}

    def first_parked_keys(self) -> set[str]:
        """Those with which it began."""
        return {key for tx_no, seq, key in self._relayed if self._parked_from.get(tx_no) == seq}

    def digest(self) -> bytes:
        """Of all rows so far."""
        return hashlib.blake2b(b"".join(self._digests.values()), digest_size=8).digest()

    def open_transactions(self) -> Counter[int]:
        """By upstream connector."""
        return self._open

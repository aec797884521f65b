"""What a store knew before a story began: what had been promised, and what the cloud had to get of it."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.csms import Csms
from simulators.ledger import Received, Transaction

from edge.store.exchange import Kind
from tests.crash.truth import PROMISED, Said


@dataclass(frozen=True)
class Session:
    """Of which the cloud has not got everything. `csms_tx`: its id there, if its start was delivered."""

    csms_tx: int | None
    messages: tuple[tuple[str, dict[str, Any]], ...]
    """That it has not got: action and payload as received. Of one that it knows, the start comes before them."""


@dataclass(frozen=True)
class Older:
    said: dict[str, Said]
    """All that was promised, by message id."""
    delivered: frozenset[str]
    """Message ids of what may be removed: the cloud has it."""
    sessions: tuple[Session, ...]

    def promised(self) -> dict[str, Said]:
        """What must not be removed by anybody."""
        return {key: one for key, one in self.said.items() if key not in self.delivered}


NOTHING = Older({}, frozenset(), ())


def older(store: Path) -> Older:
    """Of a store that nobody uses, by the columns of the first schema alone."""
    if not store.exists():
        return NOTHING
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute(
            "SELECT g.id, e.message_id, e.action, e.text, e.seq <= tx.acked_seq, tx.parked_seq IS NOT NULL, tx.tx_no, "
            "tx.kind, tx.upstream_tx, tx.due FROM exchange e JOIN charger g ON g.charger_no = e.peer "
            "JOIN tx USING (tx_no) WHERE e.kind = :kind AND e.relay = 1 ORDER BY e.seq",
            {"kind": int(Kind.CHARGER_CALL)},
        ).fetchall()
    said, delivered, waiting = {}, set(), dict[int, list[tuple[str, dict[str, Any]]]]()
    known: dict[int, int | None] = {}
    starts: dict[int, tuple[str, dict[str, Any]]] = {}
    for charger, message_id, action, text, is_delivered, is_parked, tx_no, kind, upstream_tx, is_due in rows:
        if action not in PROMISED:
            continue
        said[message_id] = Said(charger, message_id, action, text)
        if action == "StartTransaction":
            starts[tx_no] = (action, json.loads(text)[3])
        if is_delivered:
            delivered.add(message_id)
        elif action == "MeterValues" and "transactionId" not in json.loads(text)[3]:
            pass  # nor does the cloud know of which session they are
        elif not is_parked and is_due and kind == "transaction":
            known[tx_no] = None if upstream_tx is None else int(upstream_tx)
            begin = [] if known[tx_no] is None else [starts[tx_no]]
            waiting.setdefault(tx_no, begin).append((action, json.loads(text)[3]))
    sessions = tuple(Session(known[tx_no], tuple(messages)) for tx_no, messages in waiting.items())
    return Older(said, frozenset(delivered), sessions)


def remember(csms: Csms, sessions: tuple[Session, ...], identity: str) -> None:
    """The cloud knows the sessions whose starts it has answered."""
    for session in sessions:
        if session.csms_tx is not None:
            action, said = session.messages[0]
            payload = {key: value for key, value in said.items() if key != "connectorId"}  # it had another number
            start = Received(0.0, identity, action, f"before-{session.csms_tx}", payload, "", None, {}, None, 0.0)
            start.transaction = Transaction(session.csms_tx, identity, [start])
            csms.transactions[session.csms_tx] = start.transaction


def point_to(store: Path, csms_url: str) -> None:
    """The store has always been delivering to this cloud: what it learned there counts (docs/architecture.md, law 8)."""
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("UPDATE uplink_epoch SET endpoint = :url", {"url": csms_url})

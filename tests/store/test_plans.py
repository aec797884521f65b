"""No query of a hot path looks at more than it needs: what SQLite says of each statement that really ran."""

import re
import sqlite3
from collections.abc import Callable

import pytest

from edge.domain.ids import ChargerNo, ChargerTransactionId, ConnectorNo, CsmsTransactionId, IdToken, TransactionNo
from edge.store import (
    boots,
    chains,
    connectors,
    delivery,
    exchange,
    remote_starts,
    repeats,
    report,
    tokens,
    transactions,
)
from tests.store.givens import StoredSite, a_row

TX, CHARGER, CONNECTOR = TransactionNo(1), ChargerNo(1), ConnectorNo(1)
Run = Callable[[sqlite3.Connection], object]

HOT: dict[str, Run] = {
    "append": lambda db: exchange.append(db, a_row(tx_no=TX, relay=True)),
    "append_for_station": lambda db: exchange.append(db, a_row(peer=0)),
    "is_intact": lambda db: exchange.is_intact(db, next(exchange.of_peer(db, 2))),
    "pending": lambda db: exchange.pending(db, 2, 0),
    "by_start_key": lambda db: transactions.by_start_key(db, b"k"),
    "by_charger_tx": lambda db: transactions.by_charger_tx(db, CHARGER, ChargerTransactionId("1")),
    "open_on": lambda db: transactions.open_on(db, CONNECTOR),
    "meter_stream": lambda db: transactions.meter_stream(db, CHARGER, CONNECTOR, 9),
    "meter_stream_of_station": lambda db: transactions.meter_stream(db, None, None, 9),
    "by_csms_tx": lambda db: transactions.by_csms_tx(db, 1, CsmsTransactionId("1")),
    "given": lambda db: transactions.given(db, TX),
    "stoppable": lambda db: transactions.stoppable(db, TX),
    "connector": lambda db: connectors.connector(db, CHARGER, 1),
    "by_upstream": lambda db: connectors.by_upstream(db, 1),
    "message": lambda db: delivery.message(db, 1),
    "bind": lambda db: delivery.bind(db, 1, 1, "{}"),
    "failed": lambda db: delivery.failed(db, 1, 1, "c", "d", 1),
    "acknowledge": lambda db: delivery.acknowledge(db, 1, TX, 1),
    "token": lambda db: tokens.entry(db, IdToken("t"), tokens.CACHE),
    "learn": lambda db: tokens.learn(db, IdToken("t"), "Accepted", None, None, 1),
    "repeat": lambda db: repeats.remember(db, TX, b"x"),
    "forget_others": lambda db: repeats.forget_others(db, TX, b"x"),
    "forget": lambda db: repeats.forget(db, TX),
    "take": lambda db: remote_starts.take(db, CHARGER, 1, IdToken("t"), 1),
    "next_number": lambda db: boots.next_number(db, "n", 1),
    "lanes": delivery.lanes,
    "waiting_backwards": lambda db: delivery.waiting_backwards(db, delivery.Due(TX, 1, 0), None, 5),
    "acknowledge_together": lambda db: delivery.acknowledge_together(db, (2, 3), TX, 1),
    "is_there": lambda db: delivery.is_there(db, 1),
    "backlog": report.backlog,
    "count_open": report.count_open,
    "without_session": lambda db: report.without_session(db, 1),
    "foreign_unfinished": lambda db: delivery.foreign_unfinished(db, 1),
    "has_undelivered_before": lambda db: delivery.has_undelivered_before(db, TX),
}
BIG = re.compile(r"^SCAN (exchange|tx|older|this|e)\b(?! USING (COVERING )?INDEX tx_(due|open|parked))")
"""A walk through a table that grows with time; the partial indexes hold only what is due, open or parked."""

# `e` is exchange in `pending`, and the few epochs in `foreign_unfinished`.
SMALL = {"foreign_unfinished": "SCAN e"}


def plans(db: sqlite3.Connection, run: Run) -> list[tuple[str, str]]:
    """(Statement, step of its plan) of all that `run` executes."""
    ran: list[str] = []
    db.set_trace_callback(ran.append)
    run(db)
    db.set_trace_callback(None)
    statements = dict.fromkeys(text for text in ran if not text.startswith("--"))
    return [(text, row[3]) for text in statements for row in db.execute("EXPLAIN QUERY PLAN " + text)]


@pytest.fixture
def lived_in(site: StoredSite) -> sqlite3.Connection:
    charger, (connector,) = site.charger("A")
    tx_no, _ = site.begin(charger, connector)
    site.say(tx_no, "MeterValues")
    return site.db


@pytest.mark.parametrize("name", HOT)
def test_a_hot_query_walks_through_no_table_that_grows(lived_in: sqlite3.Connection, name: str) -> None:
    found = plans(lived_in, HOT[name])
    walks = [step for _, step in found if BIG.match(step) and step != SMALL.get(name)]
    assert walks == [], found


def test_the_open_sessions_of_a_charger_are_found_among_the_open_ones(lived_in: sqlite3.Connection) -> None:
    steps = [step for _, step in plans(lived_in, lambda db: transactions.open_of(db, CHARGER))]
    assert all("tx_open" in step for step in steps), steps


def test_settling_looks_only_at_what_has_changed(lived_in: sqlite3.Connection) -> None:
    steps = [step for _, step in plans(lived_in, chains.settle)]
    assert not any(step.split()[:2] in (["SCAN", "tx"], ["SCAN", "charger"]) for step in steps), steps


def test_the_rows_of_the_journal_have_no_second_index(db: sqlite3.Connection) -> None:
    """A meter value costs one page (store.md)."""
    assert db.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'exchange'").fetchall() == []

"""Meter values that come again are known by their content, also after a restart."""

import sqlite3
from pathlib import Path

import pytest

from edge.domain.ids import TransactionNo
from edge.ocppj.frames import call_text, encode_json
from edge.store import exchange, repeats
from edge.store.repeats import REBUILT_PER_TRANSACTION, content
from tests.store.givens import StoredSite, a_row, in_one_commit, opened


def say(db: sqlite3.Connection, tx_no: TransactionNo, number: int, *, relay: bool = True) -> bytes:
    """Values with this number; their content."""
    payload = {"connectorId": 1, "n": number}
    row = a_row(call_text(f"m{number}", "MeterValues", payload), action="MeterValues", tx_no=tx_no, relay=relay)
    exchange.append(db, row)
    what = content("MeterValues", encode_json(payload))
    repeats.remember(db, tx_no, what)
    return what


def is_known(db: sqlite3.Connection, tx_no: TransactionNo, what: bytes) -> bool:
    return db.execute("SELECT 1 FROM temp.seen WHERE tx_no = ? AND content = ?", (tx_no, what)).fetchone() is not None


@pytest.fixture
def session(site: StoredSite) -> TransactionNo:
    charger, (connector,) = site.charger("A")
    return site.begin(charger, connector)[0]


def test_content_is_action_and_payload() -> None:
    assert content("MeterValues", "{}") == content("MeterValues", "{}")
    assert len({content("MeterValues", "{}"), content("MeterValues", "[]"), content("MeterValue", "s{}")}) == 3


def test_values_are_known_in_their_transaction_only(db: sqlite3.Connection, session: TransactionNo) -> None:
    what = say(db, session, 1)
    assert not repeats.remember(db, session, what)
    other = TransactionNo(session + 1)
    assert repeats.remember(db, other, what)
    repeats.forget(db, other)
    assert is_known(db, session, what)
    assert not is_known(db, other, what)
    repeats.forget(db, session)
    assert not is_known(db, session, what)


def test_of_a_stream_only_the_newest_is_remembered(db: sqlite3.Connection, session: TransactionNo) -> None:
    first, newest, other = say(db, session, 1), say(db, session, 2), TransactionNo(session + 1)
    repeats.remember(db, other, first)
    repeats.forget_others(db, session, newest)
    assert [is_known(db, session, first), is_known(db, session, newest)] == [False, True]
    assert is_known(db, other, first)


def test_a_rolled_back_unit_remembers_nothing(db: sqlite3.Connection, session: TransactionNo) -> None:
    db.execute("BEGIN")
    what = say(db, session, 1)
    db.execute("ROLLBACK")
    assert not is_known(db, session, what)


def test_the_newest_values_of_open_transactions_are_known_after_a_restart(
    site: StoredSite, session: TransactionNo, path: Path
) -> None:
    charger, connector = site.charger_of[session], site.connector_of[session]
    ended, _ = site.begin(charger, connector)
    of_ended = say(site.db, ended, -1)
    site.end(ended)
    not_relayed = say(site.db, session, -2, relay=False)
    said = [say(site.db, session, number) for number in range(REBUILT_PER_TRANSACTION + 3)]
    site.say(session, "StatusNotification", relay=False)
    site.db.close()
    site.db = opened(path)
    known = [is_known(site.db, session, what) for what in said]
    assert known == [False] * 3 + [True] * REBUILT_PER_TRANSACTION
    assert not is_known(site.db, ended, of_ended)
    assert not is_known(site.db, session, not_relayed)
    site.db.close()


def test_a_session_without_values_needs_nothing(db: sqlite3.Connection, session: TransactionNo, path: Path) -> None:
    in_one_commit(db, lambda _db: None)
    db.close()
    again = opened(path)
    assert again.execute("SELECT count(*) FROM temp.seen").fetchone() == (0,)
    again.close()
    assert session == 1

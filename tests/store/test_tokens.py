"""What is known of id tokens, and the remote starts that wait for one."""

import sqlite3
from datetime import timedelta

import pytest

from edge.domain.authorization import TokenEntry
from edge.domain.ids import ChargerNo, IdToken
from edge.store import remote_starts, tokens
from edge.store.remote_starts import CSMS, OPERATOR, RemoteStart
from tests.store.givens import NOON

ONE, OTHER = ChargerNo(1), ChargerNo(2)
TAG = IdToken("Tag")


def put_on_list(db: sqlite3.Connection, token: str, status: str) -> None:
    db.execute("INSERT INTO token VALUES (?, 'list', ?, ?, NULL, NULL, 0)", (token.casefold(), token, status))


def learn(db: sqlite3.Connection, token: str, status: str) -> None:
    tokens.learn(db, IdToken(token), status, None, None, 1)


def status(db: sqlite3.Connection, token: str, source: str = tokens.CACHE) -> str | None:
    entry = tokens.entry(db, IdToken(token), source)
    return None if entry is None else entry.status


def test_a_token_is_the_same_in_capitals_and_small_letters(db: sqlite3.Connection) -> None:
    learn(db, "AbC1", "Accepted")
    assert status(db, "aBc1") == "Accepted"
    learn(db, "ABC1", "Blocked")
    assert status(db, "abc1") == "Blocked"
    assert db.execute("SELECT shown FROM token").fetchall() == [("ABC1",)]


def test_an_unknown_token_is_none(db: sqlite3.Connection) -> None:
    assert tokens.entry(db, TAG, tokens.CACHE) is None
    assert tokens.entry(db, TAG, tokens.LIST) is None


def test_an_entry_has_its_end(db: sqlite3.Connection) -> None:
    tokens.learn(db, TAG, "Accepted", NOON + timedelta(hours=1), "parent", 1)
    entry = tokens.entry(db, TAG, tokens.CACHE)
    assert entry == TokenEntry("Accepted", NOON + timedelta(hours=1))
    assert entry.status_at(NOON) == "Accepted"
    assert entry.status_at(NOON + timedelta(hours=1)) == "Expired"
    learn(db, "TAG", "Accepted")
    assert tokens.entry(db, TAG, tokens.CACHE) == TokenEntry("Accepted", None)


def test_what_the_list_holds_never_enters_the_cache(db: sqlite3.Connection) -> None:
    put_on_list(db, "TAG", "Blocked")
    learn(db, "tag", "Accepted")
    assert status(db, "Tag", tokens.LIST) == "Blocked"
    assert status(db, "Tag") is None


def test_clearing_the_cache_leaves_the_list(db: sqlite3.Connection) -> None:
    put_on_list(db, "listed", "Accepted")
    learn(db, "cached", "Accepted")
    tokens.clear_cache(db)
    assert (status(db, "listed", tokens.LIST), status(db, "cached")) == ("Accepted", None)


# --- remote starts


def expect(db: sqlite3.Connection, request: str, charger: ChargerNo = ONE, conn: int = 1, **more: object) -> None:
    wanted = {"token": TAG, "origin": CSMS, "expires_wall_ms": 1000} | more
    remote_starts.expect(db, request, charger, conn, **wanted)  # type: ignore[arg-type]


def take(
    db: sqlite3.Connection, charger: ChargerNo = ONE, conn: int = 1, token: str = TAG, now: int = 500
) -> RemoteStart | None:
    return remote_starts.take(db, charger, conn, IdToken(token), now)


def test_a_remote_start_is_used_once(db: sqlite3.Connection) -> None:
    expect(db, "r1")
    assert remote_starts.is_awaited(db, ONE, TAG, 500)
    assert take(db) == RemoteStart(CSMS)
    assert take(db) is None
    assert not remote_starts.is_awaited(db, ONE, TAG, 500)


def test_the_token_of_the_start_may_be_written_otherwise(db: sqlite3.Connection) -> None:
    expect(db, "r1", origin=OPERATOR)
    assert take(db, token="tAG") == RemoteStart(OPERATOR)


@pytest.mark.parametrize(("charger", "conn", "token"), [(OTHER, 1, "Tag"), (ONE, 1, "other")], ids=["charger", "token"])
def test_a_start_of_something_else_does_not_use_it(
    db: sqlite3.Connection, charger: ChargerNo, conn: int, token: str
) -> None:
    expect(db, "r1")
    assert take(db, charger, conn, token) is None
    assert take(db) is not None


def test_a_start_on_another_connector_fulfils_the_only_one_of_its_token(db: sqlite3.Connection) -> None:
    expect(db, "r1", conn=1)
    assert take(db, conn=2) == RemoteStart(CSMS)
    assert take(db, conn=1) is None


def test_a_start_on_a_third_connector_fulfils_neither_of_two(db: sqlite3.Connection) -> None:
    expect(db, "r1", conn=1)
    expect(db, "r2", conn=2, origin=OPERATOR)
    assert take(db, conn=3) is None
    assert take(db, conn=2) == RemoteStart(OPERATOR)
    assert take(db, conn=1) == RemoteStart(CSMS)


def test_the_newest_of_two_for_one_connector_is_used_first(db: sqlite3.Connection) -> None:
    expect(db, "r1", origin=CSMS, expires_wall_ms=1000)
    expect(db, "r2", origin=OPERATOR, expires_wall_ms=2000)
    assert take(db) == RemoteStart(OPERATOR)
    assert take(db) == RemoteStart(CSMS)


def test_a_remote_start_that_nobody_followed_expires(db: sqlite3.Connection) -> None:
    expect(db, "r1", expires_wall_ms=1000)
    assert remote_starts.is_awaited(db, ONE, TAG, 1000)
    assert take(db, now=1001) is None
    assert db.execute("SELECT count(*) FROM id_map").fetchone() == (0,)


def test_a_refused_remote_start_is_not_awaited(db: sqlite3.Connection) -> None:
    expect(db, "r1")
    expect(db, "r2", conn=2)
    remote_starts.cancel(db, "r1")
    remote_starts.cancel(db, "never asked")
    assert take(db, conn=1) == RemoteStart(CSMS)  # the one for connector 2 is the only one of the token
    assert not remote_starts.is_awaited(db, ONE, TAG, 500)


def test_a_token_with_a_line_break_in_it_is_found_again(db: sqlite3.Connection) -> None:
    expect(db, "r1", token=IdToken("a\nb"))
    assert take(db, token="A\nB") == RemoteStart(CSMS)


def test_a_message_id_that_the_csms_uses_again_replaces_what_was_awaited(db: sqlite3.Connection) -> None:
    expect(db, "1", conn=1)
    expect(db, "1", conn=2)
    assert take(db, conn=2) is not None

"""A full disk costs meter values, never a start or a stop: room for these is kept in a file beside the store."""

import sqlite3
from pathlib import Path

import pytest

from edge.domain.ids import ChargerId
from edge.store import capacity, connectors, exchange, reserve, thinning, transactions
from edge.store.capacity import Level
from edge.store.db import CommitFailed, Store
from edge.store.exchange import Kind, NewExchange
from edge.store.transactions import NewTransaction
from tests.store.givens import NOON, moment, running
from tests.store.history import CLEAN, value

TEXT = "x" * 300
PAGES_LEFT = 20


def enrol(db: sqlite3.Connection) -> tuple[int, int]:
    no = connectors.enrol(db, ChargerId("CP-01"), connectors.KNOWN, "file")
    (connector,) = connectors.count(db, no, 1)
    return no, connector


def start(db: sqlite3.Connection) -> int:
    """A session of this many hundred octets."""
    charger, connector = enrol(db)
    new = NewTransaction(transactions.TRANSACTION, charger, connector, exchange.peek_seq(db), started_at=NOON)  # type: ignore[arg-type]
    tx_no = transactions.begin(db, new)
    row = NewExchange(moment(), charger, Kind.CHARGER_CALL, TEXT, action="StartTransaction", tx_no=tx_no, relay=True)
    exchange.append(db, row)
    return tx_no


def is_stored(db: sqlite3.Connection, tx_no: int) -> bool:
    """Whether a meter value of this session is."""
    if not thinning.admits(db, tx_no, value(NOON, context=CLEAN), moment()):  # type: ignore[arg-type]
        return False
    row = NewExchange(moment(), 1, Kind.CHARGER_CALL, TEXT, action="MeterValues", tx_no=tx_no, relay=True)  # type: ignore[arg-type]
    exchange.append(db, row)
    return True


async def fill(store: Store, pages_left: int = PAGES_LEFT) -> None:
    """A limit so near that it is reached soon."""

    def near(db: sqlite3.Connection) -> None:
        capacity.tell(db, capacity.pages(db).in_file + pages_left, Level.GREEN)

    await store.write(near)


async def starts_until_full(store: Store, most: int) -> int:
    for number in range(most):
        try:
            await store.write(start)
        except CommitFailed:
            return number
    return most


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve, "RESERVE_BYTES", 400 * 4096)


async def test_without_the_room_that_is_kept_a_full_store_refuses_starts(path: Path) -> None:
    async with running(path) as store:
        await fill(store)
        assert await starts_until_full(store, 2000) < 2000


async def test_when_the_store_is_full_starts_are_stored_with_the_room_that_was_kept_and_values_are_not(
    path: Path,
) -> None:
    reserve.hold(path)
    assert path.with_name("edge.db.reserve").stat().st_size == reserve.RESERVE_BYTES
    async with running(path) as store:
        await fill(store)
        tx_no = await store.write(start)
        assert await store.write(lambda db: is_stored(db, tx_no))
        assert await starts_until_full(store, 1000) == 1000
        assert not reserve.is_held(path)
        assert store.failed_commits == 0
        assert await store.write(capacity.level_told) is Level.RED
        assert not await store.write(lambda db: is_stored(db, tx_no))
        stored = await store.read(lambda db: db.execute("SELECT count(*) FROM tx").fetchone()[0])
        assert stored == 1001


async def test_whoever_shares_the_commit_that_finds_no_room_is_stored_once(path: Path) -> None:
    reserve.hold(path)
    async with running(path) as store:
        await fill(store, 3)
        together = [store.submit(start) for _ in range(100)]
        numbers = [await one for one in together]
        assert numbers == sorted(set(numbers))
        assert await store.read(lambda db: db.execute("SELECT count(*) FROM exchange").fetchone()[0]) == 100
    assert not reserve.is_held(path)


def test_where_there_is_no_room_none_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve, "RESERVE_BYTES", 2**60)
    with pytest.raises(OSError):
        reserve.hold(path)
    assert list(path.parent.iterdir()) == []


async def test_the_room_once_given_is_not_given_twice(path: Path) -> None:
    reserve.hold(path)
    async with running(path) as store:
        await fill(store)
        assert await starts_until_full(store, 20_000) < 20_000
        assert store.failed_commits == 1

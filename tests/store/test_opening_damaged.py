"""However a store was damaged, opening it ends in one of the ways that the daemon copes with."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.domain.timekeeping import EARLIEST
from edge.store import boots, delivery, exchange, succeeding
from edge.store.db import open_store, open_threaded
from edge.store.migration import StoreDamaged, StoreForeign, StoreUnusable
from edge.world import SystemClock
from tests.store import corruption
from tests.store.corruption import KINDS, Files
from tests.store.givens import opened, running

PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a store in the midst of its life."""
    store = tmp_path_factory.mktemp("whole") / "edge.db"
    corruption.filled(store, 3, sessions=12)
    return {suffix: Path(f"{store}{suffix}").read_bytes() for suffix in ("", "-wal")}


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One without a log, in which everything stands that a start reads."""
    store = tmp_path_factory.mktemp("settled") / "edge.db"
    corruption.filled(store, 3, sessions=5)
    with closing(opened(store)) as db:
        boots.begin(db, corruption.NOW, 0, "ntp")
        for key, value in (("last_wall_ms", 1_770_000_000_000), ("csms_wall_ms", 1_770_000_100_000)):
            db.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
        boots.set_station_setting(db, "HeartbeatInterval", "60")
        succeeding.keep_state(db, succeeding.Salvage("20260302T000000Z", "tried", 0))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return store.read_bytes()


async def outcome(path: Path) -> str:
    """How opening it ends; any other error is the test's."""
    try:
        store = await open_store(path, open_threaded, SystemClock())
    except (StoreDamaged, StoreForeign, StoreUnusable) as error:
        assert str(path) in str(error)
        return type(error).__name__
    await store.close()
    return "opened"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", range(3))
async def test_each_kind_of_damage_is_known_for_what_it_is(
    whole: dict[str, bytes], path: Path, kind: Callable[[Files], None], seed: int
) -> None:
    for suffix, octets in whole.items():
        Path(f"{path}{suffix}").write_bytes(octets)
    kind(Files(path, random.Random(seed)))
    assert await outcome(path) in {"opened", "StoreDamaged"}


def pages_with(octets: bytes, text: bytes) -> list[int]:
    return [page for page in range(len(octets) // PAGE) if text in octets[page * PAGE : (page + 1) * PAGE]]


def flips(octets: bytes, pages: list[int], count: int) -> list[tuple[int, int]]:
    """Places within what stands in these pages, each with a bit of its octet."""
    filled = [place for page in pages for place in range(page * PAGE, (page + 1) * PAGE) if octets[place]]
    drawn = random.Random(count)
    return [(place, 1 << drawn.choice((0, 4, 7))) for place in drawn.sample(filled, count)]


async def assert_flips_are_coped_with(octets: bytes, path: Path, places: list[tuple[int, int]]) -> set[str]:
    found = set()
    for place, bit in places:
        damaged = bytearray(octets)
        damaged[place] ^= bit
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        path.write_bytes(damaged)
        try:
            found.add(await outcome(path))
        except Exception as error:
            raise AssertionError(f"bit {bit:#x} of octet {place} ({octets[place : place + 12]!r})") from error
    return found


async def test_a_flipped_bit_in_the_schema_is_damage_or_harmless(settled: bytes, path: Path) -> None:
    places = flips(settled, [0, *pages_with(settled, b"CREATE ")], 120)
    assert await assert_flips_are_coped_with(settled, path, places) == {"opened", "StoreDamaged"}


async def test_a_flipped_bit_in_the_header_is_damage_or_harmless(settled: bytes, path: Path) -> None:
    places = [(place, bit) for place in range(100) for bit in (1, 8, 0x80)]
    assert await assert_flips_are_coped_with(settled, path, places) == {"opened", "StoreDamaged"}


async def test_a_flipped_bit_in_a_single_value_is_damage_or_harmless(settled: bytes, path: Path) -> None:
    (page,) = pages_with(settled, b"counter:session")
    assert await assert_flips_are_coped_with(settled, path, flips(settled, [page], 120)) == {"opened", "StoreDamaged"}


async def test_a_flipped_bit_anywhere_is_damage_or_harmless(settled: bytes, path: Path) -> None:
    places = flips(settled, list(range(len(settled) // PAGE)), 120)
    assert await assert_flips_are_coped_with(settled, path, places) == {"opened", "StoreDamaged"}


# --- what SQLite does not notice


def altered(settled: bytes, path: Path, statement: str) -> Path:
    path.write_bytes(settled)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(statement).rowcount > 0
        db.commit()
        assert db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = x'00ffee11' WHERE key = 'settled_seq'",
        "UPDATE meta SET value = '12' WHERE key = 'settled_seq'",
        "UPDATE meta SET value = value | (1 << 60) WHERE key = 'settled_seq'",
        "UPDATE meta SET value = -1 WHERE key = 'settled_seq'",
        "UPDATE meta SET value = value | (1 << 31) WHERE key = 'counter:session'",
        "INSERT INTO meta VALUES ('counter:stream', x'31')",
        "INSERT INTO meta VALUES ('counter:charger_tx', 2100000001)",
        "UPDATE meta SET key = CAST(x'636f756e7465723aff' AS TEXT) WHERE key = 'counter:session'",
        "UPDATE exchange SET seq = 1 << 61 WHERE seq = (SELECT max(seq) FROM exchange)",
        "UPDATE exchange SET kind = 77",
    ],
)
async def test_numbers_that_no_site_reaches_are_damage(settled: bytes, path: Path, statement: str) -> None:
    assert await outcome(altered(settled, path, statement)) == "StoreDamaged"


@pytest.mark.parametrize(
    "value", ["-139", "1770000000000 - (1 << 47)", "1770000000000 | (1 << 60)", "'soon'", "x'00'", "1.5", "NULL"]
)
async def test_a_floor_that_is_no_time_is_none(settled: bytes, path: Path, value: str) -> None:
    altered(settled, path, f"UPDATE meta SET value = {value} WHERE key GLOB '*_wall_ms'")
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE exchange SET at_wall_ms = {value if value.endswith(')') else -139}")
        db.execute("UPDATE boot SET trust = 'ntp'")
        db.commit()
    async with running(path) as store:
        floor = await store.write(boots.floor)
    assert (floor.vouched, floor.told) == (EARLIEST, EARLIEST)


async def test_the_floor_is_the_latest_time_that_is_one(settled: bytes, path: Path) -> None:
    altered(settled, path, "UPDATE meta SET value = x'00' WHERE key = 'csms_wall_ms'")
    async with running(path) as store:
        floor = await store.write(boots.floor)
    assert floor.vouched >= datetime.fromtimestamp(1_770_000_000, UTC)
    assert floor.told == EARLIEST


async def test_a_column_whose_name_was_altered_is_damage(settled: bytes, path: Path) -> None:
    path.write_bytes(settled.replace(b"other_serial_wall_ms", b"other_seriam_wall_ms"))
    assert await outcome(path) == "StoreDamaged"


async def test_a_chain_that_leads_in_circles_is_walked_once(settled: bytes, path: Path) -> None:
    altered(settled, path, "UPDATE exchange SET prev_tx = seq + 1, prev_peer = seq WHERE prev_tx IS NOT NULL")
    async with running(path) as store:
        waiting = await store.write(delivery.lanes)
        for one in await store.write(delivery.due):
            found, before = await store.write(lambda db, one=one: delivery.waiting_backwards(db, one, None, 1))  # type: ignore[misc]
            assert before is None
            assert len(found) <= 1
        ends = await store.write(lambda db: db.execute("SELECT tx_no, last_seq FROM tx").fetchall())
        for tx_no, last_seq in ends:
            rows = await store.write(
                lambda db, tx_no=tx_no, last=last_seq: list(exchange.of_transaction(db, tx_no, last))  # type: ignore[misc]
            )
            assert len(rows) <= 1
    assert sum(len(rows) for rows in waiting.values()) <= len(ends)


async def test_a_message_whose_kind_is_no_text_any_more_keeps_no_other_from_the_cloud(
    settled: bytes, path: Path
) -> None:
    path.write_bytes(settled)
    async with running(path) as store:
        before = await store.write(delivery.lanes)
    altered(
        path.read_bytes(), path, "UPDATE exchange SET action = CAST(x'4dff' AS TEXT) WHERE action = 'StopTransaction'"
    )
    async with running(path) as store:
        after = await store.write(delivery.lanes)
    assert {lane: [one.seq for one in rows] for lane, rows in after.items()} == {
        lane: [one.seq for one in rows] for lane, rows in before.items()
    }
    assert after != before

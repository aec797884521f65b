"""The small file beside the store: what is not what was written is not believed, what a newer program added is left out."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from edge.keeping import Keeping
from edge.store import boots, keepsake, recovery, succession
from edge.store.db import open_store, open_threaded
from edge.store.keepsake import Keepsake
from edge.store.migration import StoreDamaged
from edge.world import SystemClock
from tests.store.corruption import NOW
from tests.store.givens import StoredSite, in_one_commit, opened, running

PLACES = "SELECT id, conn, up16_connector FROM connector JOIN charger USING (charger_no) ORDER BY 3"


@pytest.fixture
def kept(path: Path) -> Path:
    """The file of a store with two chargers; the store itself has lost its first page."""
    with closing(opened(path)) as db:
        site = StoredSite(db)
        site.charger("CP-A", 2)
        second, connectors = site.charger("CP-B", 1)
        db.execute("UPDATE charger SET secret_hash = x'0102'")
        in_one_commit(db, lambda _: [site.begin(second, connectors[0]) for _ in range(3)])
        keepsake.write(path, keepsake.text(db))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    content = path.read_bytes()
    path.write_bytes(bytes(4096) + content[4096:])
    return path


def rewritten(path: Path, **changed: object) -> None:
    """As a program would have written it that has this to say."""
    content = json.loads(keepsake.path_of(path).read_text())
    del content["digest"]
    content |= changed
    keepsake.path_of(path).write_text(json.dumps(content | {"digest": keepsake._digest(content)}))


def content(path: Path) -> dict:
    return json.loads(keepsake.path_of(path).read_text())


def test_what_was_written_is_read(kept: Path) -> None:
    found = keepsake.read(kept)
    assert isinstance(found, Keepsake)
    assert [row["id"] for row in found.rows["charger"]] == ["CP-A", "CP-B"]
    assert found.rows["charger"][0]["secret_hash"] == b"\1\2"
    assert len(found.rows["connector"]) == 3
    assert found.numbers.counters["session"] == 100


def test_one_wrong_letter_anywhere_and_it_is_not_believed_which_is_told_once(kept: Path) -> None:
    whole = keepsake.path_of(kept).read_bytes()
    for place in range(0, len(whole), 7):
        if whole[place : place + 1].isspace():
            continue
        keepsake.path_of(kept).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with structlog.testing.capture_logs() as lines:
            assert keepsake.read(kept) is None, whole[place : place + 20]
        assert [line["event"] for line in lines] == ["numbers_unreadable"]


@pytest.mark.parametrize("octets", [b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"digest": 1}', b"null"])
def test_what_is_something_else_altogether_is_not_believed(kept: Path, octets: bytes) -> None:
    keepsake.path_of(kept).write_bytes(octets)
    assert keepsake.read(kept) is None


async def test_with_a_wrong_letter_in_it_a_damaged_store_is_replaced_all_the_same(kept: Path) -> None:
    file = keepsake.path_of(kept)
    file.write_text(file.read_text().replace('"origin"', '"oriein"', 1))
    recovery.replace(kept, StoreDamaged("tried"), NOW, lambda: 0.0)
    with closing(sqlite3.connect(kept)) as db:
        assert len(db.execute(PLACES).fetchall()) == 3
    await (await open_store(kept, open_threaded, SystemClock())).close()


def test_what_a_newer_program_has_added_is_left_out(kept: Path) -> None:
    rows = content(kept)["rows"]
    rows["charger"] = [row | {"colour": "green"} for row in rows["charger"]] + [{"charger_no": 9, "name": "CP-C"}]
    rows["depot"] = [{"depot_no": 1}]
    rewritten(kept, rows=rows)
    recovery.replace(kept, StoreDamaged("tried"), NOW, lambda: 0.0)
    with closing(sqlite3.connect(kept)) as db:
        assert {one for (one,) in db.execute("SELECT id FROM charger")} == {"CP-A", "CP-B"}
        assert len(db.execute(PLACES).fetchall()) == 3


@pytest.mark.parametrize(
    "row",
    [
        {"charger_no": "9"}, {"charger_no": None}, {"id": 7}, {"id": None}, {"state": "knowm"}, {"charger_no": True},
        {"charger_no": 9.0},
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_left_out(kept: Path, row: dict) -> None:
    rows = content(kept)["rows"]
    rewritten(kept, rows=rows | {"charger": [rows["charger"][0] | row, rows["charger"][1]]})
    found = keepsake.read(kept)
    assert found is not None
    assert [one["id"] for one in found.rows["charger"]] == ["CP-B"]


def test_numbers_beyond_reason_are_not_believed_and_places_are(kept: Path) -> None:
    counters = {"session": 1 << 50, "charger_tx": 2_099_000_000, "stream": (1 << 40) + 5}
    rewritten(kept, seq=1 << 61, boot=1 << 62, counters=counters)
    kept.write_bytes(bytes(4096 * 4))
    recovery.replace(kept, StoreDamaged("tried"), NOW, lambda: 0.0)
    with closing(sqlite3.connect(kept)) as db:
        found = succession.numbers(db)
        assert len(db.execute(PLACES).fetchall()) == 3
    assert found.seq < 1 << 33
    assert found.boot < 1 << 30
    assert found.counters["session"] < 1 << 30
    assert found.counters["charger_tx"] < 1 << 30
    assert found.counters["stream"] > (1 << 40) + 5


# --- keeping it


async def here(function):  # type: ignore[no-untyped-def]
    return function()


async def told(keeping: Keeping, looks: int) -> list[str]:
    """What is logged in so many looks."""
    with structlog.testing.capture_logs() as lines:
        for _ in range(looks):
            await keeping.look()
    return [line["event"] for line in lines]


async def test_a_store_whose_counters_are_damaged_is_given_up_before_a_charger_is_given_such_a_number(
    path: Path,
) -> None:
    async with running(path) as store:
        await store.write(lambda db: boots.next_number(db, "charger_tx", 1 << 31))
        assert await told(Keeping(store, path, here), 1) == ["numbers_not_kept"]
        assert store.damage is not None
        assert "charger_tx" in store.damage


async def test_what_cannot_be_kept_is_told_once(path: Path) -> None:
    async with running(path) as store:
        site = await store.write(lambda db: StoredSite(db).charger("CP-A", 1))
        await store.write(lambda db: db.execute("UPDATE charger SET vendor = CAST(x'ff' AS TEXT)"))
        assert await told(Keeping(store, path, here), 3) == ["numbers_not_kept"]
        assert store.damage is None
    assert site

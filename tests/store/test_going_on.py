"""With which numbers the next store goes on when what is left of the damaged one lies."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.store import boots, chains, keepsake, recovery, succession
from edge.store.db import open_store, open_threaded
from edge.store.migration import StoreDamaged
from edge.store.succession import AHEAD_A_DAY, Numbers
from edge.world import SystemClock
from tests.store.corruption import NOW
from tests.store.givens import StoredSite, opened

FIRST_ID, LAST_ID = 1001, 1003
A_FEW_DAYS = 40 * AHEAD_A_DAY["seq"]


def succeeded(path: Path, *lies: str) -> Numbers:
    """Of the store that takes the place of one with three sessions and with these statements executed."""
    with closing(opened(path)) as db:
        site = StoredSite(db)
        charger, connectors = site.charger("CP-A", 1)
        boots.next_number(db, "charger_tx", LAST_ID)
        for _ in range(3):
            site.begin(charger, connectors[0])
        boots.begin(db, NOW, 0, "ntp")
        chains.settle(db)
        for lie in lies:
            assert db.execute(lie).rowcount > 0
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    content = path.read_bytes()
    path.write_bytes(bytes(4096) + content[4096:])
    keepsake.path_of(path).write_text("lost as well")
    recovery.replace(path, StoreDamaged("tried"), NOW, lambda: 0.0)
    with closing(sqlite3.connect(path)) as db:
        return succession.numbers(db)


@pytest.mark.parametrize(
    "lie",
    [
        "UPDATE meta SET value = x'00ffee11' WHERE key = 'settled_seq'",
        "UPDATE meta SET value = 'many' WHERE key = 'settled_seq'",
        "UPDATE meta SET value = value | (1 << 61) WHERE key = 'settled_seq'",
        "UPDATE tx SET begin_seq = begin_seq | (1 << 61) WHERE tx_no = 2",
        "UPDATE tx SET last_seq = last_seq | (1 << 61) WHERE tx_no = 2",
        "UPDATE tx SET acked_seq = acked_seq | (1 << 61) WHERE tx_no = 2",
        "UPDATE tx SET tx_no = tx_no | (1 << 61) WHERE tx_no = 2",
        "UPDATE tx SET tx_no = tx_no | (1 << 39) WHERE tx_no = 2",
        "UPDATE tx SET charger_tx = 2147483000 WHERE tx_no = 2",
        "UPDATE boot SET boot_no = boot_no | (1 << 62)",
        "UPDATE boot SET boot_no = 9223372036854775807",
        "UPDATE meta SET value = value | (1 << 61) WHERE key = 'counter:charger_tx'",
        "UPDATE meta SET value = 2100000000 WHERE key = 'counter:charger_tx'",
        "UPDATE meta SET value = value | (1 << 45) WHERE key = 'counter:session'",
        "INSERT INTO meta VALUES ('counter:stream', 1 << 61)",
        "INSERT INTO meta VALUES ('last_wall_ms', x'00')",
        "INSERT INTO meta VALUES ('last_wall_ms', 1 << 60)",
    ],
)
async def test_a_lie_is_not_gone_on_from_and_the_truth_is(path: Path, lie: str) -> None:
    found = succeeded(path, lie)
    assert 3 < found.seq < A_FEW_DAYS
    assert 1 <= found.boot < 10_000_000
    assert LAST_ID < found.counters["charger_tx"] < 10_000_000
    assert 3 < found.counters["session"] < 10_000_000
    assert 2**40 < found.counters["stream"] < 2**40 + 10_000_000
    await (await open_store(path, open_threaded, SystemClock())).close()


@pytest.mark.parametrize("name", ["seq", "boot", "session", "stream", "charger_tx", "something new"])
def test_from_the_highest_that_is_believed_the_next_store_can_be_opened_and_kept(path: Path, name: str) -> None:
    """However long nothing was known: else its successor would not open, or give ids that a charger cannot take."""
    most = succession.most_to_go_on_from(name)
    counters = {} if name in {"seq", "boot"} else {name: most}
    given = Numbers(most if name == "seq" else 0, most if name == "boot" else 0, counters)
    with closing(opened(path)) as db:
        moved = succession.move_numbers(db, given, 0, round(NOW.timestamp() * 1000))
        chains.settle(db)
        keepsake.text(db)
    with closing(opened(path)) as db:
        assert succession.numbers(db) == moved
    assert moved.counters.get("charger_tx", 0) < 2**31

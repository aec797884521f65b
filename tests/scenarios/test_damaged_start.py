"""Whatever is wrong in its store, the daemon serves its chargers: with what is left of it, or in control-only mode."""

import asyncio
import contextlib
import json
import random
import sqlite3

import pytest
from simulators.charger import Charger

from edge.store.quarantine import DONE, NOTE
from tests.scenarios.site import ChargerSettings, Site, configuration
from tests.scenarios.test_control_only import alarm_codes, simulate
from tests.store import corruption
from tests.store.corruption import KINDS, Files
from tests.store.givens import opened

WHY = "found by the weekly check"


def at_site(folder):
    return Site(configuration(folder, chargers=(ChargerSettings("CP-0", evses=(1, 1)),)))


async def assert_it_serves(folder):
    """It starts, a charger is served, and it leaves when it is told to; its status."""
    site = at_site(folder)
    async with site.running():
        charger = Charger("CP-0", site.url, meter_interval_s=0, answer_timeout_s=2, retry_interval_s=0.2)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            status = await site.ask("status")
    assert site.ending == "stopped"
    return status


def quarantined(folder):
    root = folder / "quarantine"
    return sorted(root.iterdir()) if root.exists() else []


@pytest.fixture
def store(folder):
    path = folder / "edge.db"
    corruption.filled(path, 3, sessions=5)
    with contextlib.closing(opened(path)) as db:
        for key, value in (("last_wall_ms", 1_770_000_000_000), ("station:HeartbeatInterval", "60")):
            db.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
        state = {"folder": "20260302T000000Z", "why": "tried", "at_ms": 0, "phase": "done", "done_ms": 0}
        db.execute("INSERT INTO meta VALUES ('salvage:state', ?)", (json.dumps(state),))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_after_each_kind_of_damage_chargers_are_served(folder, kind):
    corruption.filled(folder / "edge.db", 3, sessions=12)
    kind(Files(folder / "edge.db", random.Random(1)))
    assert "store_unusable" not in alarm_codes(await assert_it_serves(folder))


@pytest.mark.parametrize("letter", [b"\xc5", b"@", b"f"])
async def test_with_a_damaged_octet_in_the_schema_chargers_are_served(folder, store, letter):
    store.write_bytes(store.read_bytes().replace(b"CREATE TABLE tx", b"CREAT" + letter + b" TABLE tx"))
    assert "store_unusable" not in alarm_codes(await assert_it_serves(folder))
    assert len(quarantined(folder)) == 1


@pytest.mark.parametrize(
    ("statement", "is_put_aside"),
    [
        ("UPDATE meta SET value = 1770000000000 - (1 << 47) WHERE key = 'last_wall_ms'", False),
        ("UPDATE meta SET value = x'00ffee11' WHERE key = 'settled_seq'", True),
        ("UPDATE meta SET value = 1 << 45 WHERE key = 'counter:session'", True),
        ("UPDATE meta SET value = CAST(x'ff' AS TEXT) WHERE key = 'station:HeartbeatInterval'", True),
        ("UPDATE meta SET value = '{\"phase\": 3' WHERE key = 'salvage:state'", True),
        ("UPDATE meta SET value = '[]' WHERE key = 'salvage:state'", True),
        ("UPDATE charger SET id = CAST(x'43ff' AS TEXT) WHERE charger_no = 2", True),
        ("UPDATE exchange SET prev_tx = seq", False),
        ("UPDATE exchange SET action = CAST(x'4dff' AS TEXT)", False),
    ],
)
async def test_with_a_value_that_nobody_stored_chargers_are_served(folder, store, statement, is_put_aside):
    with contextlib.closing(sqlite3.connect(store)) as db:
        assert db.execute(statement).rowcount > 0
        db.commit()
        assert db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    assert "store_unusable" not in alarm_codes(await assert_it_serves(folder))
    assert len(quarantined(folder)) == is_put_aside


# --- a store that is condemned


def condemn(site):
    site.daemon.inside._parts.store.damage = WHY


async def until_alarm(site, code, *, is_raised):
    while (code in alarm_codes(await site.ask("status"))) is not is_raised:
        await asyncio.sleep(1)


def test_a_condemned_store_that_cannot_be_put_aside_yet_is_put_aside_as_soon_as_it_can_be():
    async def story(site):
        folder = site.daemon._in_force().store.path.parent
        (folder / "quarantine").write_text("in the way")
        condemn(site)
        await until_alarm(site, "store_unusable", is_raised=True)
        await asyncio.sleep(600)
        assert "store_unusable" in alarm_codes(await site.ask("status"))
        (folder / "quarantine").unlink()
        await until_alarm(site, "store_unusable", is_raised=False)
        (aside,) = quarantined(folder)
        (note,) = (aside / name for name in (NOTE, DONE) if (aside / name).exists())
        assert json.loads(note.read_text())["why"] == WHY

    simulate(story)


def test_of_a_condemned_store_that_is_put_aside_the_successor_is_not_condemned():
    async def story(site):
        folder = site.daemon._in_force().store.path.parent
        (folder / "edge.db.new").mkdir()
        condemn(site)
        await until_alarm(site, "store_unusable", is_raised=True)
        assert not (folder / "edge.db").exists()
        (folder / "edge.db.new").rmdir()
        await until_alarm(site, "store_unusable", is_raised=False)
        assert len(quarantined(folder)) == 1

    simulate(story)


def test_a_store_that_is_damaged_twice_in_a_row_is_not_used_again():
    async def story(site):
        folder = site.daemon._in_force().store.path.parent
        condemn(site)
        while len(quarantined(folder)) < 1:
            await asyncio.sleep(1)
        await site.chargers[0].wait_for(lambda: site.chargers[0].is_ready, 600)
        await asyncio.sleep(30)
        condemn(site)
        await until_alarm(site, "store_unusable", is_raised=True)
        await until_alarm(site, "store_unusable", is_raised=False)
        assert len(quarantined(folder)) == 2

    simulate(story)

"""A damaged store is put aside by itself: chargers are served at once, and what they had said reaches the cloud."""

import asyncio
import contextlib
from dataclasses import replace

from simulators.charger import Charger

from edge.store import chains
from tests.scenarios.site import IDENTITY, ChargerSettings, DaemonProcess, Site, configuration, free_port
from tests.scenarios.test_outage import assert_cloud_has_what_was_sent, charge, toml
from tests.store.givens import StoredSite, opened
from tests.store.history import History

PAGE = 4096


def alarm_codes(status: dict) -> list[str]:
    return [alarm["code"] for alarm in status.get("alarms", ())]


async def alarms_meanwhile(site: Site) -> list[str]:
    """Also while the daemon is between two lives."""
    with contextlib.suppress(OSError, ValueError):
        return alarm_codes(await site.ask("status"))
    return []


def lose_first_page(path) -> bytes:
    whole = path.read_bytes()
    path.write_bytes(bytes(PAGE) + whole[PAGE:])
    return path.read_bytes()


def with_old_history(path) -> int:
    """A store with a long session in it, which the cloud has; more than SQLite keeps in memory. How many rows."""
    with contextlib.closing(opened(path)) as db:
        history = History(StoredSite(db))
        db.execute("BEGIN")
        charger, (connector, _) = history.charger("CP-01", 2)
        tx_no = history.begin(0, (charger, connector))
        for number in range(1500):
            history.values(tx_no, number * 60.0, context="x" * 3000)
        history.end(tx_no, 100_000)
        db.execute("UPDATE tx SET due = 0, acked_seq = 2000, acked_rows = 1502")
        chains.settle(db)
        db.execute("COMMIT")
        return db.execute("SELECT count(*) FROM exchange").fetchone()[0]


def ids(csms, action: str) -> list:
    return [call.payload.get("transactionId") for call in csms.calls(action)]


async def test_a_session_that_was_open_when_the_store_was_damaged_ends_at_the_cloud_under_its_own_id(folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=(ChargerSettings("CP-01", evses=(1, 1)),))
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0, retry_interval_s=0.2)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await charger.plug_in(1)
            await charger.start_session(1, "TAG-1", authorize=False)
            await csms.wait_for(lambda: csms.calls("StartTransaction"))
            await site.until("status", lambda status: status["backlog"]["messages"] == 0)
    damaged = lose_first_page(config.store.path)
    began = asyncio.get_running_loop().time()
    async with Site(config).running() as site:
        charger.url = site.url
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            served_after = asyncio.get_running_loop().time() - began
            charger.add_energy(1, 5000)
            await charger.stop_session(1)
            await csms.wait_for(lambda: csms.calls("StopTransaction"), 20)
        status = await site.ask("status")
    assert served_after < 10
    assert "store_salvaged" in alarm_codes(status)
    (started,) = [call for call in csms.received if call.action == "StartTransaction"]
    assert len(csms.calls("StartTransaction")) == 1
    assert ids(csms, "StopTransaction") == [started.answer["transactionId"]]
    (aside,) = (folder / "quarantine").iterdir()
    assert (aside / "edge.db").read_bytes() == damaged
    told = [one.payload for one in csms.calls("StatusNotification") if one.payload["connectorId"] == 0]
    assert any("store" in one.get("info", "") for one in told)


async def test_what_the_cloud_had_not_got_when_the_store_was_damaged_reaches_it_once_and_in_order(folder, csms):
    chargers_in_file = tuple(ChargerSettings(f"CP-0{number}", evses=(1, 1)) for number in (1, 2))
    config = configuration(folder, csms_url=csms.url, chargers=chargers_in_file)
    offline = replace(config, uplink=replace(config.uplink, url="ws://127.0.0.1:1"))
    chargers = [Charger(f"CP-0{number}", "", meter_interval_s=0, retry_interval_s=0.2) for number in (1, 2)]

    async def all_charge(site, tag: str) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for charger in chargers:
                charger.url = site.url
                await stack.enter_async_context(charger.running())
                await charger.wait_for(lambda charger=charger: charger.is_ready)
            for charger in chargers:
                for connector in (1, 2):
                    await charge(charger, connector, f"{tag}-{connector}")

    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        await all_charge(site, "SENT")
        await site.until("status", lambda status: status["backlog"]["messages"] == 0)
    sent_before = len(csms.calls("StartTransaction"))
    assert sent_before == 4
    async with Site(offline).running() as site:
        await all_charge(site, "WAITS")
    lose_first_page(config.store.path)
    async with Site(offline).running() as site:
        await all_charge(site, "SINCE")
        await site.until("status", lambda status: "salvaged" in str(status["alarms"]) or None, 30)
    async with Site(config).running() as site:
        await site.until("status", lambda status: status["backlog"] and status["backlog"]["messages"] == 0, 30)
        assert (await site.ask("status"))["backlog"]["parked"] == 0
        # what the cloud had is brought back last
        await site.until("sessions", lambda said: len({one["session"] for one in said["sessions"]}) == 12, 30)
    assert csms.violations == []
    assert len(csms.calls("StartTransaction")) == len(csms.calls("StopTransaction")) == 12
    assert_cloud_has_what_was_sent(csms, chargers, repeats_allowed=False)
    given = [one.payload["transactionId"] for charger in chargers for one in charger.sent if "Stop" in one.action]
    assert len(set(given)) == 12


async def test_a_store_that_is_damaged_while_it_is_in_use_is_replaced_at_once(folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=(ChargerSettings("CP-01", evses=(1, 1)),))
    config = replace(config, store=replace(config.store, retention_days=3650))
    rows = with_old_history(config.store.path)
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0, answer_timeout_s=2, retry_interval_s=0.2)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await charge(charger, 1, "BEFORE")
            await csms.wait_for(lambda: csms.calls("StopTransaction"), 20)
            with config.store.path.open("r+b") as file:
                file.seek(PAGE * 100)
                file.write(bytes(PAGE * 200))
            began = asyncio.get_running_loop().time()
            with contextlib.suppress(OSError, ValueError):
                await site.ask("session", session="S1")
            async with asyncio.timeout(20):
                while "store_salvaged" not in await alarms_meanwhile(site):
                    await asyncio.sleep(0.02)
            assert asyncio.get_running_loop().time() - began < 10
            await charger.wait_for(lambda: charger.is_ready, 20)
            await charge(charger, 1, "AFTER")
            await csms.wait_for(lambda: len(csms.calls("StopTransaction")) == 2, 30)
            told = await site.until("status", lambda status: "Salvaged: " in str(status) and str(status["alarms"]), 30)
            back = int(told.split("Salvaged: ")[1].split()[0])
            assert rows - 1000 < back < rows


async def test_a_daemon_that_is_killed_in_the_midst_of_a_salvage_goes_on_with_it(folder, csms):
    port = free_port()
    daemon = DaemonProcess(folder, toml(port, "ws://127.0.0.1:1"))
    await daemon.start()
    charger = Charger("CP-01", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0, retry_interval_s=0.2)
    async with charger.running():
        await charger.wait_for(lambda: charger.is_ready)
        for number in range(6):
            await charge(charger, 1, f"TAG-{number}", values=20)
    assert await daemon.stop() == 0
    lose_first_page(folder / "edge.db")
    for _ in range(4):
        await daemon.start()
        await daemon.kill()
    daemon.file.write_text(toml(port, csms.url))
    await daemon.start()
    try:
        await daemon.told("salvage_done", within=30)
        await daemon.until("status", lambda status: status["backlog"]["messages"] == 0, 30)
        assert len(csms.calls("StopTransaction")) == 6
        assert len(csms.calls("StartTransaction")) == 6
        assert_cloud_has_what_was_sent(csms, [charger], repeats_allowed=False)
        assert len(list((folder / "quarantine").iterdir())) == 1
    finally:
        assert await daemon.stop() == 0

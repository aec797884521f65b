"""A disk that fails does not cost the site its chargers, and no charger is told that something is safe that is not."""

import asyncio
import json

from simulators.charger import Charger
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from edge.console.render_site import status as site_status
from edge.console.table import Page
from edge.store.lock import StoreTaken
from edge.store.migration import StoreUnusable
from tests.scenarios.site import IDENTITY, ChargerSettings, DaemonProcess, Site, configuration, free_port
from tests.scenarios.test_outage import toml
from tests.scenarios.test_process import edge
from tests.simulation.loop import run
from tests.simulation.world import folder_in_memory
from tests.simulation.yard import yard


def alarm_codes(status: dict) -> list[str]:
    return [alarm["code"] for alarm in status["alarms"]]


def put_in_its_way(path) -> None:
    """Where the log is to be, nothing can be written: the store is well, and cannot be opened."""
    path.with_name(path.name + "-wal").mkdir()


async def test_a_store_that_cannot_be_opened_leaves_the_chargers_connected_and_promises_them_nothing(folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=(ChargerSettings("CP-01", evses=(1, 1)),))
    async with Site(config).running():
        await csms.wait_registered(IDENTITY)
    put_in_its_way(config.store.path)
    statuses_before = len(csms.calls("StatusNotification"))
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0, answer_timeout_s=0.5, retry_interval_s=0.2)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            assert (await charger.ask("Heartbeat", {}))["currentTime"]
            await charger.plug_in(1)
            charger.begin_session(1, "TAG-1")
            await charger.wait_for(lambda: len([f for f in charger.frames if '"StartTransaction"' in f.text]) >= 2)
            assert (await charger.ask("Heartbeat", {}))["currentTime"]
            assert charger.queue  # said twice, and still to be said
            status = await site.ask("status")
            assert "store_unusable" in alarm_codes(status)
            # What is not known is not called empty.
            for command, words in (
                ("sessions", {}),
                ("session", {"session": "S1"}),
                ("queue", {}),
                ("trace", {"subject": "S1"}),
            ):
                error = (await site.ask(command, **words))["error"]
                assert error["code"] == "store_unusable" and "edge status" in error["hint"]
            shown = "\n".join(site_status(status, Page(None, colour=False)))
            assert "backlog   not known" in shown and "control-only mode: nothing is stored" in shown
            assert "No connectors yet" not in shown
        # the CSMS hears of connector 0 only: numbers that are not known may not be guessed
        await csms.wait_for(lambda: len(csms.calls("StatusNotification")) > statuses_before)
        told = [one.payload for one in csms.calls("StatusNotification")[statuses_before:]]
        assert {(one["connectorId"], one["status"]) for one in told} == {(0, "Faulted")}
    assert csms.calls("StartTransaction") == []


def simulate(story, **options):
    with folder_in_memory() as folder:

        async def main(loop):
            async with yard(loop, folder, **options) as site:
                return await story(site)

        return run(main).value


async def test_a_charger_that_says_again_what_nobody_may_answer_is_not_taken_for_a_flooder(folder):
    config = configuration(folder, chargers=(ChargerSettings("CP-01", evses=(1, 1)),))
    async with Site(config).running():
        pass
    put_in_its_way(config.store.path)
    start = {"connectorId": 1, "idTag": "TAG-1", "meterStart": 0, "timestamp": "2026-03-01T12:00:00Z"}
    async with (
        Site(config).running() as site,
        connect(f"{site.url}/CP-01", subprotocols=[Subprotocol("ocpp1.6")]) as charger,
    ):
        for number in range(40):
            await charger.send(json.dumps([2, "the same", "StartTransaction", start]))
            await charger.send(json.dumps([2, f"{number}", "Heartbeat", {}]))
            async with asyncio.timeout(10):
                while json.loads(await charger.recv())[1] != f"{number}":
                    pass


def test_a_disk_that_goes_on_failing_leads_to_control_only_mode_and_back():
    async def story(site):
        (charger,) = site.chargers
        await charger.plug_in(1)
        await charger.start_session(1, "A", authorize=False)
        site.disk.fail_commits(100_000)
        charger.end_session(1)
        while "store_unusable" not in alarm_codes(await site.ask("status")):
            await asyncio.sleep(1)
        await charger.wait_for(lambda: charger.is_ready, 600)
        connections = len(charger.boots)
        await asyncio.sleep(900)
        assert charger.is_ready
        assert len(charger.boots) == connections
        assert site.csms.calls("StopTransaction") == []
        site.disk.recover()
        while "store_unusable" in alarm_codes(await site.ask("status")):
            await asyncio.sleep(1)
        await site.csms.wait_for(lambda: site.csms.calls("StopTransaction"), 3600)
        assert len(site.csms.calls("StartTransaction")) == 1
        assert len(site.csms.calls("StopTransaction")) == 1

    simulate(story)


def test_a_store_that_recovers_when_it_is_opened_anew_needs_no_control_only_mode():
    async def story(site):
        (charger,) = site.chargers
        await charger.plug_in(1)
        await charger.start_session(1, "A", authorize=False)
        site.disk.fail_commits(100_000, "disk I/O error", until_reopened=True)
        charger.end_session(1)
        life = site.daemon.inside
        while site.daemon.inside is life:
            await asyncio.sleep(1)
        await site.csms.wait_for(lambda: site.csms.calls("StopTransaction"), 3600)
        assert "store_unusable" not in alarm_codes(await site.ask("status"))
        assert len(site.csms.calls("StopTransaction")) == 1

    simulate(story)


def test_a_store_that_may_not_be_touched_is_not_opened_until_it_may_be():
    why = [StoreUnusable("edge.db.lock cannot be locked: Read-only file system")]

    def claim() -> None:
        if why:
            raise why[0]

    async def story(site):
        store = site.daemon._in_force().store.path
        (charger,) = site.chargers
        assert "Read-only file system" in next(
            alarm["message"] for alarm in (await site.ask("status"))["alarms"] if alarm["code"] == "store_unusable"
        )
        assert not store.exists()
        await charger.plug_in(1)
        charger.begin_session(1, "A")
        why[:] = [StoreTaken("another daemon, or edge restore, uses it")]
        await asyncio.sleep(600)
        assert charger.is_ready
        assert not store.exists()
        why.clear()
        while "store_unusable" in alarm_codes(await site.ask("status")):
            await asyncio.sleep(1)
        await site.csms.wait_for(lambda: site.csms.calls("StartTransaction"), 3600)
        assert store.exists()
        assert len(site.csms.calls("StartTransaction")) == 1

    simulate(story, claim=claim)


async def test_a_daemon_that_can_put_its_lock_nowhere_serves_the_chargers_and_says_why(folder, csms):
    port = free_port()
    daemon = DaemonProcess(folder, toml(port, csms.url))
    (folder / "edge.db.lock").symlink_to(folder / "unmounted" / "lock")
    await daemon.start()
    try:
        (why,) = [one["message"] for one in (await daemon.ask("status"))["alarms"] if one["code"] == "store_unusable"]
        assert f"{folder}/edge.db.lock cannot be locked: No such file or directory" in why
        assert not (folder / "edge.db").exists()
        charger = Charger("CP-01", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            assert (await charger.ask("Heartbeat", {}))["currentTime"]
            code, _, err = await edge("run", "--config", str(daemon.file))  # nor can a second one
            assert code == 1
            assert str(port) in err
            assert (await charger.ask("Heartbeat", {}))["currentTime"]
    finally:
        assert await daemon.stop() == 0

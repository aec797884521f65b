"""SIGHUP: what is live counts at once and together, the rest when it can, a bad file not at all; a kill loses nothing."""

import asyncio
import base64
import re
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from simulators.charger import AuthorizationRefused, Charger
from simulators.csms import Csms
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from edge.config import Authorization, ChargerSettings, Config
from edge.daemon import build
from edge.store.db import open_threaded
from edge.world import real_world
from tests.scenarios.site import IDENTITY, DaemonProcess, Site, configuration, free_port
from tests.scenarios.test_outage import assert_cloud_has_what_was_sent, charge, toml

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


class Reloading(Site):
    """A site whose file a test changes: `await site.reload(config)` returns when the reload is over."""

    def __init__(self, config: Config, world=None) -> None:
        super().__init__(config)
        self.told: list[str] = []
        self.world = replace(world or real_world(), notify=self.told.append)
        self.file = config

    async def reload(self, config: Config) -> None:
        self.file = config
        ready = self.told.count("READY=1")
        self.daemon.reload()
        async with asyncio.timeout(10):
            while self.told.count("READY=1") == ready:
                await asyncio.sleep(0.01)

    def build(self):
        return build(self.config, self.world, lambda: (self.file, ()))


async def is_let_in(url: str, identity: str, password: str | None) -> bool:
    headers = {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{identity}:{password}".encode()).decode()
    try:
        async with connect(f"{url}/{identity}", subprotocols=["ocpp1.6"], additional_headers=headers):
            return True
    except InvalidStatus as error:
        assert error.response.status_code in {401, 404}
        return False


# --- live


async def test_chargers_come_go_and_grow_while_the_others_stay_connected(folder):
    one, two = ChargerSettings("CP-01", evses=(1,)), ChargerSettings("CP-02", evses=(1,))
    config = configuration(folder, chargers=(one, two), unknown="reject")
    site = Reloading(config)
    async with site.running():
        stays = Charger("CP-01", site.url, connectors=1)
        goes = Charger("CP-02", site.url, connectors=1, reconnect_s=(0.05, 0.1))
        async with stays.running(), goes.running():
            await stays.wait_for(lambda: stays.is_ready)
            await goes.wait_for(lambda: goes.is_ready)
            boots = len(stays.boots)
            assert not await is_let_in(site.url, "CP-03", None)
            grown = (replace(one, evses=(1, 1)), ChargerSettings("CP-03", evses=(1,)))
            await site.reload(replace(config, charger=grown))
            assert await is_let_in(site.url, "CP-03", None)
            await goes.wait_for(lambda: not goes.is_ready)
            await goes.wait_for(lambda: "404" in (goes.last_error or ""))
            document = await site.until("status", lambda d: len(d["connectors"]) == 4 and d)
            numbers = {(one["upstream_connector"], one["charger"], one["connector"]) for one in document["connectors"]}
            assert numbers == {(1, "CP-01", 1), (2, "CP-02", 1), (3, "CP-01", 2), (4, "CP-03", 1)}
            assert document["connectors"][1]["status"] == "Unavailable"
            assert {one["id"]: one["state"] for one in (await site.ask("chargers"))["chargers"]} == {
                "CP-01": "online", "CP-02": "retired", "CP-03": "offline"
            }  # fmt: skip
            # back in the file, back under its number
            await site.reload(config)
            await goes.wait_for(lambda: goes.is_ready)
            document = await site.until("status", lambda d: d["connectors"][1]["status"] == "Available" and d)
            assert document["connectors"][1]["charger"] == "CP-02"
            assert len(stays.boots) == boots
            assert stays.is_ready


async def test_a_new_password_is_asked_for_at_the_next_login_while_the_connection_stays(folder):
    old = ChargerSettings("CP-01", password=OLD.encode())
    config = configuration(folder, chargers=(old,), security_profile=1)
    site = Reloading(config)
    async with site.running():
        charger = Charger("CP-01", site.url, password=OLD.encode())
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await site.reload(replace(config, charger=(replace(old, password=NEW.encode()),)))
            assert await charger.authorize("TAG") == "Accepted"
            assert charger.is_ready
            await charger.disconnect()
            assert not await is_let_in(site.url, "CP-01", OLD)
            assert await is_let_in(site.url, "CP-01", NEW)


async def test_a_stranger_that_is_listed_has_to_show_its_password_first(folder):
    config = configuration(folder, security_profile=1)
    site = Reloading(config)
    async with site.running():
        stranger = Charger("CP-09", site.url, password=b"whatever-it-says", reconnect_s=(0.05, 0.1))
        async with stranger.running():
            await site.until("status", lambda d: d["chargers"]["pending"] == 1)
            await site.reload(replace(config, charger=(ChargerSettings("CP-09", password=NEW.encode()),)))
            await stranger.wait_for(lambda: "401" in (stranger.last_error or ""))
            assert (await site.ask("status"))["chargers"] == {"known": 1, "online": 0, "pending": 0}
            stranger.password = NEW.encode()
            await stranger.wait_for(lambda: stranger.is_ready)


async def test_rules_and_intervals_count_for_what_happens_next(folder):
    config = configuration(folder, chargers=(ChargerSettings("CP-01"),), offline="everyone")
    site = Reloading(config)
    async with site.running():
        charger = Charger("CP-01", site.url)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            assert await charger.authorize("TAG") == "Accepted"
            changed = replace(
                config,
                authorization=Authorization(offline="nobody"),
                chargers=replace(config.chargers, meter_interval=45),
                site=replace(config.site, name="Yard"),
            )
            await site.reload(changed)
            with pytest.raises(AuthorizationRefused):
                await charger.start_session(1, "TAG")
            await charger.wait_for(lambda: charger.configuration["MeterValueSampleInterval"].value == "45")
            assert (await site.ask("status"))["site"]["name"] == "Yard"


# --- on reconnect


async def test_a_changed_uplink_is_connected_anew_at_once(folder):
    async with Csms() as first, Csms() as second:
        config = configuration(folder, csms_url=first.url)
        site = Reloading(config)
        async with site.running():
            await first.wait_registered(IDENTITY)
            await site.reload(replace(config, uplink=replace(config.uplink, vendor="Acme")))
            await first.wait_for(lambda: len(first.calls("BootNotification")) == 2)
            assert first.calls("BootNotification")[-1].payload["chargePointVendor"] == "Acme"
            await site.reload(replace(config, uplink=replace(config.uplink, url=second.url)))
            await second.wait_registered(IDENTITY)
            await site.until("uplink", lambda d: d["uplink"]["url"] == second.url)
            await site.reload(replace(config, uplink=None))
            await second.wait_for(lambda: not second.stations)
            document = await site.until("status", lambda d: d["uplink"]["state"] == "offline" and d)
            assert document["uplink"]["last_error"] == "no uplink is configured"
            assert document["alarms"] == []
            await site.reload(config)
            await first.wait_for(lambda: len(first.calls("BootNotification")) == 3)


async def test_another_cloud_gets_nothing_of_what_the_first_one_has_begun_to_know(folder):
    async with Csms() as first, Csms() as second:
        config = configuration(folder, csms_url=first.url, chargers=(ChargerSettings("CP-01", evses=(1,)),))
        site = Reloading(config)
        async with site.running():
            charger = Charger("CP-01", site.url, connectors=1, meter_interval_s=0)
            async with charger.running():
                await charger.wait_for(lambda: charger.is_ready)
                await first.wait_registered(IDENTITY)
                await charger.start_session(1, "TAG")
                await site.until("status", lambda d: d["backlog"]["messages"] == 0)
                await site.reload(replace(config, uplink=replace(config.uplink, url=second.url)))
                why = await site.until(
                    "status", lambda d: d["uplink"]["state"] == "offline" and d["uplink"]["last_error"]
                )
                assert "put that uplink back" in why
                await charger.stop_session(1)
                assert second.received == []
                await site.reload(config)
                await first.wait_for(lambda: len(first.calls("StopTransaction")) == 1)
            assert second.received == []


# --- on restart, and not at all


async def test_what_needs_a_restart_is_named_and_stays_until_then(folder):
    async with Csms() as csms:
        port = free_port()
        daemon = DaemonProcess(folder, toml(port, csms.url))
        await daemon.start()
        try:
            await csms.wait_registered(IDENTITY)
            text = daemon.file.read_text()
            changed = text.replace('path = "edge.db"', 'path = "other.db"').replace(f":{port}", f":{free_port()}")
            daemon.file.write_text(changed.replace('offline = "everyone"', 'offline = "nobody"'))
            daemon.signal(signal.SIGHUP)
            told = await daemon.told("configuration_reloaded")
            assert told["live"] == ["authorization.offline"]
            assert told["with_new_connection_to_csms"] == []
            assert [re.sub(r"\d{4,5}", "PORT", one) for one in told["after_restart"]] == [
                "listener[127.0.0.1:PORT] added", "listener[127.0.0.1:PORT] removed", "store.path"
            ]  # fmt: skip
            (alarm,) = (await daemon.ask("status"))["alarms"]
            assert alarm["code"] == "restart_needed"
            assert "store.path" in alarm["message"]
            assert not (folder / "other.db").exists()
            async with connect(f"ws://127.0.0.1:{port}/ocpp/CP-01", subprotocols=["ocpp1.6"]):
                pass
            daemon.file.write_text(text)
            daemon.signal(signal.SIGHUP)
            await daemon.told("configuration_reloaded", 2)
            assert (await daemon.ask("status"))["alarms"] == []
        finally:
            assert await daemon.stop() == 0


async def test_a_file_that_edge_check_refuses_changes_nothing_and_every_mistake_is_told_with_its_line(folder):
    daemon = DaemonProcess(folder, toml(free_port(), "ws://127.0.0.1:9/ocpp"))
    await daemon.start()
    try:
        good = daemon.file.read_text()
        daemon.file.write_text(
            good.replace('id = "CP-03"', 'id = "CP-04"').replace("evses = [1, 1]", "evses = [0]", 1)
            + '[sessions]\nhold = "long"\n'
        )
        daemon.signal(signal.SIGHUP)
        told = await daemon.told("configuration_refused")
        assert [re.search(r":(\d+): (\S+):", one).groups() for one in told["problems"]] == [
            ("11", "charger[CP-01].evses"), (str(good.count("\n") + 2), "sessions.hold")
        ]  # fmt: skip
        document = await daemon.ask("status")
        assert {one["charger"] for one in document["connectors"]} == {"CP-01", "CP-02", "CP-03"}
        assert "configuration_refused" in {one["code"] for one in document["alarms"]}
        daemon.file.unlink()
        daemon.signal(signal.SIGHUP)
        told = await daemon.told("configuration_refused", 2)
        assert "no such file" in told["problems"][0]
        # with this one the daemon would start, and limit itself; a running one has a better
        daemon.file.write_text(good + '[[circuit]]\nid = "main"\nlimit = 10\nfailsafe = 20\n')
        daemon.signal(signal.SIGHUP)
        told = await daemon.told("configuration_refused", 3)
        assert "circuit[main].failsafe" in told["problems"][0]
        daemon.file.write_text(good)
        daemon.signal(signal.SIGHUP)
        assert (await daemon.told("configuration_reloaded"))["live"] == []
        assert {one["code"] for one in (await daemon.ask("status"))["alarms"]} == {"uplink_down"}
    finally:
        assert await daemon.stop() == 0


async def test_a_disk_that_takes_no_row_changes_nothing(folder):
    full = False

    class Disk:
        def __init__(self, database) -> None:
            self.database = database

        async def run(self, function):
            if full:
                raise sqlite3.OperationalError("database or disk is full")
            return await self.database.run(function)

        async def close(self) -> None:
            await self.database.close()

    async def opened(path: Path) -> Disk:
        return Disk(await open_threaded(path))

    config = configuration(folder, chargers=(ChargerSettings("CP-01", evses=(1,)),), unknown="reject")
    site = Reloading(config, replace(real_world(), open_database=opened))
    async with site.running():
        full = True
        changed = replace(config, charger=(ChargerSettings("CP-02", evses=(1,)),), site=replace(config.site, name="X"))
        await site.reload(changed)
        full = False
        document = await site.until("status", lambda d: not d["alarms"] or d)
        assert [one["charger"] for one in document["connectors"]] == ["CP-01"]
        assert document["site"]["name"] == "Test Depot"
        assert "full" in next(one["message"] for one in document["alarms"] if one["code"] == "configuration_refused")
        assert await is_let_in(site.url, "CP-01", None)
        assert not await is_let_in(site.url, "CP-02", None)
        await site.reload(changed)
        assert await is_let_in(site.url, "CP-02", None)


# --- signals


async def test_the_service_manager_hears_of_each_reload_and_of_its_end(folder):
    config = configuration(folder)
    site = Reloading(config)
    async with site.running():
        await site.reload(replace(config, site=replace(config.site, name="New")))
        assert site.told[0] == "READY=1"
        reloading = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", site.told[1])
        assert reloading is not None
        assert abs(int(reloading[1]) / 1e6 - asyncio.get_running_loop().time()) < 10
        assert site.told[2:] == ["READY=1"]
    assert site.told[-1] == "STOPPING=1"


async def test_a_signal_during_a_reload_is_not_lost(folder):
    config = configuration(folder)
    names = ["second", "first"]
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(function):
        read = function()
        if names == ["second"]:
            under_way.set()
            await go_on.wait()
        return read

    site = Reloading(config, replace(real_world(), offload=slowly))
    site.build = lambda: build(
        config, site.world, lambda: (replace(config, site=replace(config.site, name=names.pop())), ())
    )
    async with site.running():
        site.daemon.reload()
        await under_way.wait()
        site.daemon.reload()
        site.daemon.reload()
        go_on.set()
        await site.until("status", lambda d: d["site"]["name"] == "second")
        assert names == []


async def test_a_signal_before_the_daemon_listens_is_kept(folder):
    """Sent again and again from the first moment of the process on: none ends it, and the last one counts."""
    daemon = DaemonProcess(folder, toml(free_port(), "ws://127.0.0.1:9/ocpp"))
    signal_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # inherited, as from a service manager
    try:
        async with asyncio.TaskGroup() as tasks:
            starting = tasks.create_task(daemon.start())
            while daemon._process is None:
                await asyncio.sleep(0)
            daemon.signal(signal.SIGHUP)
            await starting
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signal_mask)
    try:
        assert (await daemon.told("configuration_reloaded"))["live"] == []
    finally:
        assert await daemon.stop() == 0


# --- a kill

POINTS = [("asked",), ("before", "1"), ("after", "1"), ("before", "2"), ("after", "2"), ("done",)]


@pytest.mark.parametrize("point", POINTS, ids=" ".join)
async def test_a_kill_in_the_middle_of_a_reload_loses_nothing(folder, point):
    program = str(Path(__file__).with_name("reloading_process.py"))
    async with Csms() as csms:
        port = free_port()
        text = toml(port, csms.url)
        daemon = DaemonProcess(folder, text)
        await daemon.start(program, str(daemon.file), *point)
        try:
            await csms.wait_registered(IDENTITY)
            options = {"meter_interval_s": 0, "reconnect_s": (0.1, 0.3)}
            charging = Charger("CP-01", f"ws://127.0.0.1:{port}/ocpp", **options)
            new = Charger("CP-04", f"ws://127.0.0.1:{port}/ocpp", **options)
            async with charging.running():
                await charging.start_session(1, "BEFORE")
                await charging.send_meter_values(1)
                # CP-03 leaves, CP-04 comes, CP-01 grows
                daemon.file.write_text(
                    text.replace('id = "CP-03"', 'id = "CP-04"').replace("evses = [1, 1]", "evses = [1, 1, 1]", 1)
                )
                daemon.signal(signal.SIGHUP)
                assert await daemon.died() == -signal.SIGKILL
                await daemon.start()
                await charging.wait_for(lambda: charging.is_ready, 20)
                await charging.send_meter_values(1)
                await charging.stop_session(1)
                await charging.unplug(1)
                async with new.running():
                    await new.wait_for(lambda: new.is_ready)
                    await charge(new, 1, "AFTER")
                    await daemon.until("status", lambda d: d["backlog"]["messages"] == 0)
            assert_cloud_has_what_was_sent(csms, [charging], repeats_allowed=True)
            document = await daemon.ask("status")
            owners = [one["charger"] for one in document["connectors"]]
            assert [one["upstream_connector"] for one in document["connectors"]] == list(range(1, 10))
            assert owners == ["CP-01"] * 2 + ["CP-02"] * 2 + ["CP-03"] * 2 + ["CP-01"] + ["CP-04"] * 2
            assert csms.calls("StopTransaction")[-1].payload["transactionId"] in csms.transactions
            assert not csms.violations
        finally:
            await daemon.stop()

"""Chargers come, go and are exchanged; the numbers by which the cloud knows their connectors stay what they are."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from simulators.charger import Charger
from simulators.csms import Csms
from websockets.asyncio.client import connect

from tests.scenarios.site import IDENTITY, ChargerSettings, DaemonProcess, Site, configuration, free_port
from tests.scenarios.test_chargers import KEY, basic, call, handshake
from tests.scenarios.test_outage import charge, toml

THREE = tuple(ChargerSettings(f"CP-0{number}", evses=(1, 1)) for number in (1, 2, 3))
START = {"connectorId": 1, "idTag": "T", "meterStart": 100, "timestamp": "2026-11-21T10:00:00Z"}
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


def a_charger(identity: str, site: Site, **options) -> Charger:
    return Charger(identity, site.url, meter_interval_s=0, reconnect_s=(0.05, 0.2), **options)


@contextlib.asynccontextmanager
async def socket_of(site: Site, identity: str, **options) -> AsyncIterator:
    async with connect(f"{site.url}/{identity}", subprotocols=["ocpp1.6"], proxy=None, **options) as socket:
        yield socket


async def come_again(charger: Charger) -> None:
    """What a box does by itself after half a minute when it was told to wait."""
    await charger.disconnect()
    charger.boot_again()
    await charger.connect()


async def waits(site: Site, identity: str) -> dict:
    """The charger knocks and has said who it is."""
    found = await site.until(
        "chargers",
        lambda d: [
            one for one in d["chargers"] if (one["id"], one["state"]) == (identity, "pending") and one["vendor"]
        ],
    )
    return found[0]


async def fleet(site: Site | DaemonProcess) -> dict[str, tuple[str, list[int]]]:
    return {one["id"]: (one["state"], one["upstream_connectors"]) for one in (await site.ask("chargers"))["chargers"]}


async def alarm_codes(site: Site | DaemonProcess) -> list[tuple[str, str]]:
    return [(one["code"], one["subject"]) for one in (await site.ask("status"))["alarms"]]


def statuses(csms: Csms, connector: int) -> list[str]:
    return [one.payload["status"] for one in csms.calls("StatusNotification") if one.connector == connector]


# --- forget


async def test_a_forgotten_charger_is_unavailable_upstream_and_gets_its_numbers_back_when_it_is_adopted(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url)).running() as site:
        await csms.wait_registered(IDENTITY)
        charger, other = a_charger("CP-A", site), a_charger("CP-B", site, connectors=1)
        async with charger.running(), other.running():
            for one, numbers in ((charger, [1, 2]), (other, [3])):
                await waits(site, one.identity)
                await site.ask("adopt", charger=one.identity)
                await come_again(one)
                await site.until(
                    "chargers", lambda d, n=numbers: n in [c["upstream_connectors"] for c in d["chargers"]]
                )
            await csms.wait_for(lambda: statuses(csms, 2)[-1:] == ["Available"])
            answer = await site.ask("forget", charger="CP-A")
            assert (answer["state"], answer["upstream_connectors"], answer["note"]) == ("retired", [1, 2], None)
            await csms.wait_for(lambda: statuses(csms, 1)[-1:] == statuses(csms, 2)[-1:] == ["Unavailable"])
            again = await waits(site, "CP-A")  # it comes back by itself, and is a stranger
            assert again["upstream_connectors"] == [1, 2]
            assert await fleet(site) == {"CP-A": ("pending", [1, 2]), "CP-B": ("online", [3])}
            back = await site.ask("adopt", charger="CP-A")
            assert back["upstream_connectors"] == [1, 2]
            await come_again(charger)
            await csms.wait_for(lambda: statuses(csms, 2)[-1:] == ["Available"])
            assert statuses(csms, 3)[-1] == "Available"
            await charge(charger, 2, "BACK")
            await csms.wait_for(lambda: csms.calls("StopTransaction"))
            assert csms.calls("StartTransaction")[0].connector == 2


async def test_a_charger_that_charges_is_forgotten_only_by_force(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running() as site:
        charger = a_charger("CP-01", site)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await charger.start_session(1, "A", authorize=False)
            refused = (await site.ask("forget", charger="CP-01"))["error"]
            assert refused["code"] == "rejected" and "S1 is open" in refused["message"] and "--force" in refused["hint"]
            assert (await fleet(site))["CP-01"] == ("online", [1, 2])
            answer = await site.ask("forget", charger="CP-01", force=True)
            assert answer["open_sessions"] == ["S1"]
            assert "take it out there" in answer["note"]
            again = (await site.ask("forget", charger="CP-01"))["error"]
            assert "retired already" in again["message"]
            assert (await site.ask("forget", charger="NOPE"))["error"]["code"] == "no_such_charger"


async def test_a_forgotten_charger_of_the_file_is_back_at_the_next_start_and_an_adopted_one_is_not(folder):
    config = configuration(folder, chargers=THREE)
    async with Site(config).running() as site:
        async with socket_of(site, "ADOPTED") as socket:
            await call(socket, "BootNotification", BOOT)
            await site.ask("adopt", charger="ADOPTED")
        await site.ask("forget", charger="ADOPTED")
        await site.ask("forget", charger="CP-02")
    async with Site(config).running() as site:
        found = await fleet(site)
        assert (found["CP-02"], found["ADOPTED"]) == (("offline", [3, 4]), ("retired", []))
        # It need not be there to be taken back.
        assert (await site.ask("adopt", charger="ADOPTED"))["state"] == "offline"
        assert "adopted already" in (await site.ask("adopt", charger="ADOPTED"))["error"]["message"]


@pytest.mark.parametrize("security_profile", [0, 1])
async def test_where_strangers_are_accepted_a_forgotten_charger_has_to_wait(folder, security_profile):
    async with Site(configuration(folder, unknown="accept", security_profile=security_profile)).running() as site:
        charger = a_charger("CP-A", site, password=KEY)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await site.ask("forget", charger="CP-A")
            await waits(site, "CP-A")
        # Like any that waits, it may knock without showing a password.
        assert await handshake(f"{site.url}/CP-A") == 101


async def test_a_forgotten_charger_needs_its_password_again(folder):
    config = configuration(folder, security_profile=1, unknown="reject", chargers=(ChargerSettings("X", password=KEY),))
    async with Site(config).running() as site:
        assert await handshake(f"{site.url}/X", additional_headers=basic("X", KEY)) == 101
        await site.ask("forget", charger="X")
        assert await handshake(f"{site.url}/X", additional_headers=basic("X", KEY)) == 404
        await site.ask("adopt", charger="X")
        assert await handshake(f"{site.url}/X", additional_headers=basic("X", b"wrong")) == 401
        assert await handshake(f"{site.url}/X", additional_headers=basic("X", KEY)) == 101


# --- replace


async def test_a_new_box_takes_the_numbers_and_what_the_old_one_had_to_say_goes_up_under_them(folder):
    async with Csms() as csms:
        async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running() as site:
            await csms.wait_registered(IDENTITY)
            csms.refuse_connections()
            csms.cut()
            old = a_charger("CP-02", site)
            async with old.running():
                await old.wait_for(lambda: old.is_ready)
                await charge(old, 1, "OLD-ENDED")
                await old.start_session(2, "OLD-OPEN", authorize=False)
                await old.send_meter_values(2)
            await site.until("chargers", lambda d: d["chargers"][1]["state"] == "offline")
            new = a_charger("CP-99", site, registers_wh=(70_000, 80_000))
            async with new.running():
                await waits(site, "CP-99")
                answer = await site.ask("replace", old="CP-02", new="CP-99")
                assert answer["moved"] == [
                    {"upstream_connector": 3, "connector": 1},
                    {"upstream_connector": 4, "connector": 2},
                ]
                assert (answer["state"], answer["open_sessions"]) == ("online", ["S2"])
                assert "write CP-99 there" in answer["note"]
                await come_again(new)
                await charge(new, 2, "NEW")
                # A stop that names nothing must not end what the other box has left open.
                stray = {"transactionId": -1, "meterStop": 90_000, "timestamp": "2099-01-01T00:00:00Z"}
                assert await new.ask("StopTransaction", stray) == {}
                sessions = {one["session"]: one for one in (await site.ask("sessions"))["sessions"]}
                assert {name: (s["charger"], s["state"], s["upstream_connector"]) for name, s in sessions.items()} == {
                    "S1": ("CP-02", "ended", 3),
                    "S2": ("CP-02", "open", 4),
                    "S3": ("CP-99", "ended", 4),
                }
                connector = (await site.ask("status"))["connectors"][3]
                assert (connector["charger"], connector["session"]) == ("CP-99", None)
                csms.refuse_connections(False)
                await site.until("status", lambda d: d["backlog"]["messages"] == 0, within=30)
                got = [
                    (one.action, one.payload.get("idTag"), one.connector)
                    for one in csms.received
                    if one.action == "StartTransaction"
                ]
                assert sorted(got, key=lambda one: one[1]) == [
                    ("StartTransaction", "NEW", 4),
                    ("StartTransaction", "OLD-ENDED", 3),
                    ("StartTransaction", "OLD-OPEN", 4),
                ]
                of_connector_4 = [
                    one.payload.get("idTag") for one in csms.calls("StartTransaction") if one.connector == 4
                ]
                assert of_connector_4 == ["OLD-OPEN", "NEW"]
                assert csms.orphans == []
                assert await fleet(site) == {
                    "CP-01": ("offline", [1, 2]),
                    "CP-02": ("retired", []),
                    "CP-03": ("offline", [5, 6]),
                    "CP-99": ("online", [3, 4]),
                }
                assert ("replaced_still_listed", "CP-02") in await alarm_codes(site)


@pytest.mark.parametrize(("outlets", "numbers", "unavailable"), [(1, [1, 2], [2]), (2, [1, 2], []), (3, [1, 2, 4], [])])
async def test_a_box_with_fewer_or_more_connectors(folder, csms, outlets, numbers, unavailable):
    chargers = (ChargerSettings("OLD", evses=(1, 1)), ChargerSettings("OTHER", evses=(1,)))
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        await csms.wait_registered(IDENTITY)
        async with a_charger("OLD", site).running(), a_charger("OTHER", site, connectors=1).running():
            await csms.wait_for(lambda: [statuses(csms, n)[-1:] for n in (1, 2, 3)] == [["Available"]] * 3)
        new = a_charger("NEW", site, connectors=outlets)
        async with new.running():
            await waits(site, "NEW")
            await site.until("chargers", lambda d: d["chargers"][0]["state"] == "offline")
            await site.ask("replace", old="OLD", new="NEW")
            await csms.wait_for(lambda: statuses(csms, 2)[-1:] == ["Unavailable"])
            await come_again(new)
            await site.until("chargers", lambda d: numbers in [one["upstream_connectors"] for one in d["chargers"]])
            served = [number for number in numbers if number not in unavailable]
            await csms.wait_for(lambda: all(statuses(csms, n)[-1:] == ["Available"] for n in served))
            assert all(statuses(csms, n)[-1] == "Unavailable" for n in unavailable)


async def test_what_cannot_be_replaced_is_refused_with_a_reason(folder):
    chargers = (*THREE, ChargerSettings("BARE"))
    async with Site(configuration(folder, chargers=chargers)).running() as site:
        charger = a_charger("CP-01", site)
        async with charger.running(), socket_of(site, "NEW") as new:
            await call(new, "BootNotification", BOOT)
            await charger.wait_for(lambda: charger.is_ready)
            for old, with_, code, words in (
                ("CP-01", "NEW", "rejected", "CP-01 is connected"),
                ("CP-02", "CP-03", "rejected", "numbers of its own (5, 6)"),
                ("CP-02", "NOBODY", "no_such_charger", "NOBODY is not known"),
                ("NOBODY", "NEW", "no_such_charger", "no charger 'NOBODY'"),
                ("NEW", "BARE", "no_such_charger", "has not been adopted"),
                ("CP-02", "CP-02", "rejected", "its own place"),
                ("BARE", "NEW", "rejected", "has no upstream numbers"),
            ):
                error = (await site.ask("replace", old=old, new=with_))["error"]
                assert error["code"] == code and words in error["message"] and error["hint"], (old, with_)
            assert (await site.ask("replace", old="CP-01", new="NEW", force=True))["state"] == "online"
            await waits(site, "CP-01")  # the old one was sent away, and is a stranger
            assert (await call(new, "BootNotification", BOOT))[2]["status"] == "Accepted"


async def test_a_listed_box_without_numbers_takes_the_place_under_its_own_password_also_before_it_comes(folder):
    other = b"another-password"
    chargers = (ChargerSettings("OLD", password=KEY, evses=(1, 1)), ChargerSettings("NEW", password=other))
    config = configuration(folder, chargers=chargers, security_profile=1)
    async with Site(config).running() as site:
        answer = await site.ask("replace", old="OLD", new="NEW")
        assert (answer["state"], [one["upstream_connector"] for one in answer["moved"]]) == ("offline", [1, 2])
        assert answer["note"] == "The configuration file still lists OLD: take it out there."
        assert await handshake(f"{site.url}/NEW", additional_headers=basic("NEW", other)) == 101
        assert await handshake(f"{site.url}/NEW", additional_headers=basic("NEW", KEY)) == 401
    async with Site(config).running() as site:  # the file still lists both
        assert await fleet(site) == {"OLD": ("retired", []), "NEW": ("offline", [1, 2])}
        assert ("replaced_still_listed", "OLD") in await alarm_codes(site)
        async with socket_of(site, "OLD", additional_headers=basic("OLD", KEY)) as socket:
            assert (await call(socket, "BootNotification", BOOT))[2]["status"] == "Pending"
            # Put up elsewhere, the old box is a charger like any other.
            adopted = await site.ask("adopt", charger="OLD")
            assert adopted["upstream_connectors"] == []
            await call(socket, "BootNotification", BOOT)
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            await call(socket, "StatusNotification", status)
    listing_new = configuration(
        folder, chargers=(ChargerSettings("NEW", password=other, evses=(1, 1)),), security_profile=1
    )
    async with Site(listing_new).running() as site:
        assert (await fleet(site))["NEW"] == ("offline", [1, 2])


async def test_a_box_without_a_password_is_not_let_in_where_every_listener_asks_for_one(folder):
    chargers = (ChargerSettings("OLD", password=KEY, evses=(1,)),)
    async with Site(configuration(folder, chargers=chargers, security_profile=1)).running() as site:
        async with socket_of(site, "NEW") as socket:
            await call(socket, "BootNotification", BOOT)
            error = (await site.ask("replace", old="OLD", new="NEW"))["error"]
            assert "has shown no password" in error["message"] and "--password-file" in error["hint"]
            await site.ask("replace", old="OLD", new="NEW", password="bmV3LXBhc3N3b3JkLTEyMw==")
        assert await handshake(f"{site.url}/NEW", additional_headers=basic("NEW", b"new-password-123")) == 101


async def test_what_a_box_said_before_it_had_a_number_goes_up_under_the_number_that_it_takes(folder, csms):
    """Known from the file and not counted yet, it has values waiting on a connector of its own."""
    chargers = (ChargerSettings("OLD", evses=(1, 1)), ChargerSettings("NEW"))
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        await csms.wait_registered(IDENTITY)
        async with socket_of(site, "NEW") as socket:
            sample = {"timestamp": "2026-11-21T10:00:00Z", "sampledValue": [{"value": "7"}]}
            await call(socket, "MeterValues", {"connectorId": 2, "meterValue": [sample]})
            status = {"connectorId": 2, "errorCode": "NoError", "status": "Preparing"}
            await call(socket, "StatusNotification", status)
            await site.until("status", lambda d: d["backlog"]["messages"] == 1)
            await site.ask("replace", old="OLD", new="NEW")
            values = await csms.wait_for(lambda: csms.calls("MeterValues"))
            assert values[0].connector == 2
            await csms.wait_for(lambda: statuses(csms, 2)[-1:] == ["Preparing"])
            await site.until("status", lambda d: d["backlog"]["messages"] == 0)


async def test_a_replacement_can_be_taken_back(folder):
    async with Site(configuration(folder, chargers=THREE)).running() as site:
        async with socket_of(site, "CP-02") as socket:
            await call(socket, "StartTransaction", START)
        async with socket_of(site, "WRONG") as socket:
            await call(socket, "BootNotification", BOOT)
            await site.ask("replace", old="CP-02", new="WRONG")
        await site.until(
            "chargers", lambda d: [one for one in d["chargers"] if one["id"] == "WRONG"][0]["state"] == "offline"
        )
        await site.ask("replace", old="WRONG", new="CP-02")
        found = await fleet(site)
        assert (found["CP-02"], found["WRONG"]) == (("offline", [3, 4]), ("retired", []))
        assert (await site.ask("sessions"))["sessions"][0]["upstream_connector"] == 3


# --- identities


async def test_a_box_that_has_changed_its_identity_is_known_by_its_serial(folder):
    config = configuration(folder, chargers=(ChargerSettings("CP-03", evses=(1,)),))
    async with Site(config).running() as site:
        boot = {**BOOT, "chargePointSerialNumber": "A-4711"}
        async with socket_of(site, "CP-03") as socket:
            await call(socket, "BootNotification", boot)
        for identity, said, same in (
            ("NEW", boot, "CP-03"),
            ("OTHER-MAKE", {**boot, "chargePointVendor": "W"}, None),
            ("OTHER-SERIAL", {**boot, "chargePointSerialNumber": "A-4712"}, None),
            ("NO-SERIAL", BOOT, None),
        ):
            async with socket_of(site, identity) as socket:
                await call(socket, "BootNotification", said)
                assert (await waits(site, identity))["same_serial_as"] == same


async def test_another_serial_under_a_known_identity_is_an_alarm_until_it_is_acknowledged(folder):
    config = configuration(folder, chargers=(ChargerSettings("CP-03", evses=(1,)),))

    def boot(serial: str) -> dict:
        return {**BOOT, "chargePointSerialNumber": serial}

    async with Site(config).running() as site:
        async with socket_of(site, "CP-03") as socket:
            for serial, is_alarm in (("A", False), ("B", True), ("A", True), ("B", True)):
                await call(socket, "BootNotification", boot(serial))
                alarms = await alarm_codes(site)
                assert (("serial_changed", "CP-03") in alarms) == is_alarm, serial
            await call(socket, "BootNotification", BOOT)  # no serial at all says nothing
            await call(socket, "BootNotification", boot("B"))
            shown = (await site.ask("chargers", charger="CP-03"))["chargers"][0]
            assert (shown["serial"], shown["serial_was"], shown["findings"]["serial_changed"]) == ("B", "A", 3)
    async with Site(config).running() as site:
        assert ("serial_changed", "CP-03") in await alarm_codes(site)
        assert (await site.ask("adopt", charger="CP-03"))["acknowledged_serial"] == "B"
        assert ("serial_changed", "CP-03") not in await alarm_codes(site)
        async with socket_of(site, "CP-03") as socket:
            await call(socket, "BootNotification", boot("B"))
            assert ("serial_changed", "CP-03") not in await alarm_codes(site)
            await call(socket, "BootNotification", boot("A"))
            assert ("serial_changed", "CP-03") in await alarm_codes(site)
            summaries = [one["summary"] for one in (await site.ask("trace", subject="CP-03"))["entries"]]
            assert any("serial_changed" in one for one in summaries)
            assert any("operator acknowledge_serial" in one for one in summaries)


async def test_when_a_charger_was_last_there_is_known_after_a_restart(folder):
    config = configuration(folder, chargers=THREE)
    async with Site(config).running() as site:
        async with socket_of(site, "CP-02") as socket:
            await call(socket, "Heartbeat", {})
        left = await site.until("chargers", lambda d: d["chargers"][1]["state"] == "offline" and d["chargers"][1])
    async with Site(config).running() as site:
        first, second, _ = (await site.ask("chargers"))["chargers"]
        assert first["last_seen"] is None
        assert second["last_seen"] is not None and second["last_seen"][:16] == left["last_seen"][:16]


# --- connectors that appear later


@pytest.mark.parametrize("evses", [(1, 1), ()])
async def test_a_connector_that_is_named_later_is_appended(folder, csms, evses):
    chargers = (ChargerSettings("A", evses=evses), ChargerSettings("B", evses=(1,)))
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        await csms.wait_registered(IDENTITY)
        charger = a_charger("A", site)
        expected = [1, 2, 4] if evses else [2, 3, 4]
        async with charger.running():
            await site.until("chargers", lambda d: d["chargers"][0]["upstream_connectors"] == expected[:2])
            status = {"connectorId": 3, "errorCode": "NoError", "status": "Preparing"}
            await charger.wait_for(lambda: charger.is_ready)
            await charger.ask("StatusNotification", status)
            await csms.wait_for(lambda: statuses(csms, 4)[-1:] == ["Preparing"])
            assert (await site.ask("chargers"))["chargers"][0]["upstream_connectors"] == expected
            answer = await csms.call(IDENTITY, "GetConfiguration", {"key": ["NumberOfConnectors"]})
            assert answer["configurationKey"][0]["value"] == "4"


async def boots_and_counts(site: Site, identity: str, connectors: int) -> None:
    """A charger that says how many connectors it has when it is asked, and names none of them."""
    async with socket_of(site, identity) as socket:
        await socket.send(json.dumps([2, "boot", "BootNotification", BOOT]))
        async with asyncio.timeout(10):
            while True:
                frame = json.loads(await socket.recv())
                if frame[0] == 2 and frame[2] == "GetConfiguration":
                    key = {"key": "NumberOfConnectors", "readonly": True, "value": str(connectors)}
                    await socket.send(json.dumps([3, frame[1], {"configurationKey": [key]}]))
                    break
        await call(socket, "Heartbeat", {})
        # What it was asked for next comes after its connectors were counted.
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(site.ask("trigger", charger=identity, message="Heartbeat"))
            await answer_one(socket)


async def answer_one(socket) -> None:
    frame = json.loads(await socket.recv())
    await socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))


async def test_a_charger_that_says_after_its_boot_that_it_has_grown_gets_a_number_more(folder, csms):
    chargers = (ChargerSettings("A"), ChargerSettings("B", evses=(1,)))
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        await csms.wait_registered(IDENTITY)
        for says, numbers in ((1, [2]), (2, [2, 3]), (1, [2, 3])):
            await boots_and_counts(site, "A", says)
            assert (await fleet(site))["A"][1] == numbers
        await csms.wait_for(lambda: set(statuses(csms, 3)) == {"Unavailable"})
        async with a_charger("A", site).running() as grown:
            await grown.wait_for(lambda: grown.is_ready)
            await csms.wait_for(lambda: statuses(csms, 3)[-1:] == ["Available"])
            await charge(grown, 2, "T")
            start = await csms.wait_for(lambda: csms.calls("StartTransaction"))
            assert start[0].connector == 3


async def test_the_file_wins_over_a_charger_that_counts_otherwise(folder):
    chargers = (ChargerSettings("A", evses=(1,)),)
    async with Site(configuration(folder, chargers=chargers)).running() as site:
        await boots_and_counts(site, "A", 7)
        assert (await fleet(site))["A"][1] == [1]


async def test_evses_that_grow_in_the_file_are_appended_at_the_next_start(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE[:2])).running():
        await csms.wait_registered(IDENTITY)
    grown = (ChargerSettings("CP-01", evses=(1, 1, 1)), THREE[1])
    before = len(csms.calls())
    async with Site(configuration(folder, csms_url=csms.url, chargers=grown)).running() as site:
        assert await fleet(site) == {"CP-01": ("offline", [1, 2, 5]), "CP-02": ("offline", [3, 4])}
        told = await csms.wait_for(
            lambda: {one.connector for one in csms.calls()[before:] if one.action == "StatusNotification"} >= {0, 5}
        )
        assert told
        async with a_charger("CP-01", site, connectors=3).running():
            await csms.wait_for(lambda: statuses(csms, 5)[-1:] == ["Available"])


# --- killed in between


async def test_a_kill_right_after_a_replacement_or_a_forgetting_takes_nothing_of_it_back(folder):
    port = free_port()
    daemon = DaemonProcess(folder, toml(port, "ws://127.0.0.1:9/ocpp"))
    await daemon.start()
    url = f"ws://127.0.0.1:{port}/ocpp"
    try:
        async with connect(f"{url}/CP-02", subprotocols=["ocpp1.6"], proxy=None) as socket:
            await call(socket, "StartTransaction", START)
        async with connect(f"{url}/NEW", subprotocols=["ocpp1.6"], proxy=None) as socket:
            await call(socket, "BootNotification", BOOT)
            await daemon.until("chargers", lambda d: d["chargers"][1]["state"] == "offline")
            assert "error" not in await daemon.ask("replace", old="CP-02", new="NEW")
            await daemon.ask("forget", charger="CP-01")
            await daemon.kill()
        await daemon.start()
        expected = {
            "CP-01": ("offline", [1, 2]),  # the file still lists it
            "CP-02": ("retired", []),
            "CP-03": ("offline", [5, 6]),
            "NEW": ("offline", [3, 4]),
        }
        assert await fleet(daemon) == expected
        async with connect(f"{url}/NEW", subprotocols=["ocpp1.6"], proxy=None) as socket:
            assert (await call(socket, "BootNotification", BOOT))[2]["status"] == "Accepted"
            answer = await call(socket, "StartTransaction", {**START, "idTag": "NEW"})
            assert answer[2]["transactionId"] > 0
        queue = (await daemon.ask("queue"))["entries"]
        assert [(one["charger"], one["upstream_connector"], one["session"]) for one in queue] == [
            ("CP-02", 3, "S1"),
            ("NEW", 3, "S2"),
        ]
    finally:
        await daemon.stop()


@pytest.mark.parametrize("turns", [0, 1, 3, 10])
async def test_a_kill_in_the_middle_of_a_replacement_leaves_all_of_it_or_nothing(folder, turns):
    port = free_port()
    daemon = DaemonProcess(folder, toml(port, "ws://127.0.0.1:9/ocpp"))
    await daemon.start()
    try:
        async with connect(f"ws://127.0.0.1:{port}/ocpp/NEW", subprotocols=["ocpp1.6"], proxy=None) as socket:
            await call(socket, "BootNotification", BOOT)
            reader, writer = await asyncio.open_unix_connection(daemon.socket)
            writer.write(json.dumps({"command": "replace", "args": {"old": "CP-02", "new": "NEW"}}).encode() + b"\n")
            await writer.drain()
            for _ in range(turns):
                await daemon.ask("uplink")  # the daemon goes on working meanwhile
            await daemon.kill()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            del reader
        await daemon.start()
        found = await fleet(daemon)
        before = {"CP-01": ("offline", [1, 2]), "CP-02": ("offline", [3, 4]), "CP-03": ("offline", [5, 6])}
        after = {**before, "CP-02": ("retired", []), "NEW": ("offline", [3, 4])}
        assert found in (before, after)
    finally:
        await daemon.stop()


# --- who is let in


OTHER = b"another-password-of-20"


async def gone(socket) -> int:
    """The code with which we end this connection."""
    async with asyncio.timeout(10):
        await socket.wait_closed()
    return socket.close_code


async def accepted(site: Site, identity: str, key: bytes) -> bool:
    return await handshake(f"{site.url}/{identity}", additional_headers=basic(identity, key)) == 101


@pytest.mark.parametrize("shown", [None, OTHER])
async def test_adopting_with_a_password_does_not_let_in_who_has_shown_another(folder, shown):
    async with Site(configuration(folder, security_profile=1)).running() as site:
        headers = {} if shown is None else {"additional_headers": basic("CP-9", shown)}
        async with socket_of(site, "CP-9", **headers) as stranger:
            await call(stranger, "BootNotification", BOOT)
            answer = await site.ask("adopt", charger="CP-9", password=base64.b64encode(KEY).decode())
            assert answer["state"] == "offline"
            assert await gone(stranger) == 1012
        assert await accepted(site, "CP-9", KEY)
        assert not await accepted(site, "CP-9", OTHER)


async def test_adopting_with_the_password_that_it_has_shown_serves_it_at_once(folder):
    async with Site(configuration(folder, security_profile=1)).running() as site:
        async with socket_of(site, "CP-9", additional_headers=basic("CP-9", KEY)) as charger:
            await call(charger, "BootNotification", BOOT)
            answer = await site.ask("adopt", charger="CP-9", password=base64.b64encode(KEY).decode())
            assert answer["state"] == "online"
            assert (await call(charger, "BootNotification", BOOT))[2]["status"] == "Accepted"


async def test_a_replacement_with_a_password_does_not_let_in_who_has_shown_another(folder):
    chargers = (ChargerSettings("OLD", password=KEY, evses=(1,)),)
    async with Site(configuration(folder, chargers=chargers, security_profile=1)).running() as site:
        async with socket_of(site, "NEW", additional_headers=basic("NEW", OTHER)) as stranger:
            await call(stranger, "BootNotification", BOOT)
            answer = await site.ask("replace", old="OLD", new="NEW", password=base64.b64encode(KEY).decode())
            assert answer["state"] == "offline"
            assert await gone(stranger) == 1012


@pytest.mark.parametrize(
    ("host", "key"), [("127.0.0.1", OTHER), ("127.0.0.2", KEY), ("127.0.0.2", OTHER), ("127.0.0.1", None)]
)
async def test_who_waits_is_not_displaced_by_another_and_a_person_has_to_say_which_one_is_meant(folder, host, key):
    async with Site(configuration(folder, security_profile=1)).running() as site:
        async with socket_of(site, "CP-10", additional_headers=basic("CP-10", KEY)) as first:
            await call(first, "BootNotification", BOOT)
            headers = {} if key is None else {"additional_headers": basic("CP-10", key)}
            async with socket_of(site, "CP-10", local_addr=(host, 0), **headers) as newcomer:
                assert await gone(newcomer) == 1008
            shown = await waits(site, "CP-10")
            assert host in shown["refused_because"]
            assert shown["address"].rpartition(":")[0] == "127.0.0.1"
            error = (await site.ask("adopt", charger="CP-10"))["error"]
            assert error["code"] == "rejected" and shown["address"] in error["message"] and host in error["message"]
            assert "--password-file" in error["hint"]
            answer = await site.ask("adopt", charger="CP-10", password=base64.b64encode(KEY).decode())
            assert answer["state"] == "online"
            assert (await call(first, "BootNotification", BOOT))[2]["status"] == "Accepted"
        assert await accepted(site, "CP-10", KEY)
        assert not await accepted(site, "CP-10", OTHER)


async def test_one_that_waits_and_comes_again_with_the_same_password_takes_its_own_place(folder):
    async with Site(configuration(folder, security_profile=1)).running() as site:
        async with (
            socket_of(site, "CP-10", additional_headers=basic("CP-10", KEY)) as before,
            socket_of(site, "CP-10", additional_headers=basic("CP-10", KEY)) as again,
        ):
            assert await gone(before) == 1000
            await call(again, "BootNotification", BOOT)
            assert (await site.ask("adopt", charger="CP-10"))["state"] == "online"

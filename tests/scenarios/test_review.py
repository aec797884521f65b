"""Behaviours that a review by attack has shown to be wrong once; each stays right."""

import asyncio

from simulators.charger import Charger
from websockets.asyncio.client import connect

from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration
from tests.scenarios.test_chargers import call

ONE = (ChargerSettings("CP-01", evses=(1, 1)),)
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


def start(connector: int = 1, token: str = "A", timestamp: str = "2026-11-21T10:00:00Z") -> dict:
    return {"connectorId": connector, "idTag": token, "meterStart": 0, "timestamp": timestamp}


async def test_a_second_session_under_a_clock_that_was_never_set_is_a_session_of_its_own(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=ONE)).running() as site:
        await csms.wait_registered(IDENTITY)
        async with connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket:
            ids = []
            for meter in (1000, 2000):
                begun = await call(socket, "StartTransaction", start(timestamp="1970-01-01T00:00:00Z"))
                ids.append(begun[2]["transactionId"])
                stop = {"transactionId": ids[-1], "meterStop": meter, "timestamp": "1970-01-01T00:00:00Z"}
                await call(socket, "StopTransaction", stop)
            await csms.wait_for(lambda: len(csms.calls("StopTransaction")) == 2)
            assert len(set(ids)) == 2
            assert [one.payload["meterStop"] for one in csms.calls("StopTransaction")] == [1000, 2000]


async def test_an_old_wish_is_not_applied_after_a_newer_command(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=ONE)).running() as site:
        await csms.wait_registered(IDENTITY)
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        wish = {"connectorId": 1, "type": "Inoperative"}
        assert await csms.call(IDENTITY, "ChangeAvailability", wish) == {"status": "Accepted"}
        newer = {"connectorId": 1, "type": "Operative"}
        assert await csms.call(IDENTITY, "ChangeAvailability", newer) == {"status": "Accepted"}
        async with charger.running():
            applied = await charger.wait_for(lambda: [p for a, p in charger.requests if a == "ChangeAvailability"])
            assert applied == [newer]
            assert await csms.call(IDENTITY, "ChangeAvailability", wish) == {"status": "Accepted"}
            await charger.disconnect()
            charger.boot_again()
            await charger.connect()
            await charger.wait_for(lambda: len([a for a, _ in charger.requests if a == "GetConfiguration"]) == 2)
        assert [p for a, p in charger.requests if a == "ChangeAvailability"] == [newer, wish]


async def test_a_remote_start_for_the_token_of_an_old_open_session_still_reaches_the_charger(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=ONE)).running() as site:
        await csms.wait_registered(IDENTITY)
        charger = Charger("CP-01", site.url, meter_interval_s=0, has_driver=True)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await charger.ask("StartTransaction", start(token="FLEET", timestamp="2026-11-20T10:00:00Z"))
            await csms.wait_for(lambda: csms.calls("StartTransaction"))
            request = {"connectorId": 1, "idTag": "FLEET"}
            assert await csms.call(IDENTITY, "RemoteStartTransaction", request) == {"status": "Accepted"}
            assert ("RemoteStartTransaction", request) in charger.requests


async def test_a_flood_of_authorize_does_not_hold_up_a_start(folder, csms):
    chargers = (ChargerSettings("CP-01", evses=(1,)), ChargerSettings("CP-02", evses=(1,)))
    config = configuration(folder, csms_url=csms.url, chargers=chargers)
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        async with (
            connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as flooding,
            connect(f"{site.url}/CP-02", subprotocols=["ocpp1.6"], proxy=None) as charging,
        ):
            csms.delay(None, 0.01, times=None)

            async def flood():
                number = 0
                while True:
                    number += 1
                    await call(flooding, "Authorize", {"idTag": f"T{number}"})

            async with asyncio.TaskGroup() as tasks:
                flooder = tasks.create_task(flood())
                await csms.wait_for(lambda: len(csms.calls("Authorize")) > 5)
                await call(charging, "StartTransaction", start())
                await csms.wait_for(lambda: csms.calls("StartTransaction"), 5)
                flooder.cancel()


async def test_one_message_that_the_csms_always_answers_with_security_error_does_not_stop_the_site(folder, csms):
    csms.refuse("StartTransaction", "SecurityError", times=None, when=lambda one: one.payload["idTag"] == "POISON")
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        await csms.wait_registered(IDENTITY)
        async with connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket:
            csms.be_silent("Authorize", times=None)
            await call(socket, "StartTransaction", start(1, "POISON"))
            begun = (await call(socket, "StartTransaction", start(2, "GOOD")))[2]["transactionId"]
            stop = {"transactionId": begun, "meterStop": 5, "timestamp": "2026-11-21T10:05:00Z"}
            await call(socket, "StopTransaction", stop)
            await csms.wait_for(lambda: csms.calls("StopTransaction"), 20)


async def test_a_boot_that_the_csms_triggers_while_pending_comes_at_once(folder, csms):
    csms.boot_status, csms.boot_interval_s = "Pending", 3600
    async with Site(configuration(folder, csms_url=csms.url, chargers=ONE)).running() as site:
        await site.until("uplink", lambda d: d["uplink"]["registration"] == "Pending")
        csms.boot_status = "Accepted"
        other = {"requestedMessage": "StatusNotification"}
        assert await csms.call(IDENTITY, "TriggerMessage", other) == {"status": "Rejected"}
        trigger = {"requestedMessage": "BootNotification"}
        assert await csms.call(IDENTITY, "TriggerMessage", trigger) == {"status": "Accepted"}
        await csms.wait_for(lambda: csms.calls("Heartbeat"))

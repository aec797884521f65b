"""A charger of another make: what it says reaches our cloud unharmed, and what it says wrongly is refused rightly."""

import asyncio
import json

import pytest
from simulators.csms import Csms
from simulators.ledger import Received

from tests.independent.parties import TRANSACTION, CommandFailed, NodeCharger
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration, replace

TWO = tuple(ChargerSettings(f"CP-0{number}", evses=(1, 1)) for number in (1, 2))
KEY = bytes.fromhex("8fd5ff00a30a41c2e9f07b1ce3ab5d0c6e1f2233")
"""An AuthorizationKey that is no text: 20 bytes, among them a zero and a line end."""


async def charge(charger: NodeCharger, connector: int, tag: str) -> None:
    """A session as a driver makes it."""
    await charger.do("plugIn", connector=connector)
    assert await charger.do("authorize", idTag=tag) == {"idTagInfo": {"status": "Accepted"}}
    await charger.do("start", connector=connector, idTag=tag)
    for _ in range(3):
        await charger.do("sample", connector=connector, addWh=700)
    await charger.do("stop", connector=connector, reason="Local", idTag=tag)


async def until_answered(csms: Csms, action: str, count: int = 1) -> list[Received]:
    """So many CALLs have come to our cloud and been answered; all of them."""
    return await csms.wait_for(
        lambda: len(done := [call for call in csms.calls(action) if call.is_answered]) >= count and done
    )


def assert_arrived_as_sent(csms: Csms, charger: NodeCharger, upstream: int) -> None:
    """One session, equal but for the connector and the transaction id, which are the station's."""
    got = [call for call in csms.received if call.action in TRANSACTION and call.connector == upstream]
    assert [call.action for call in got] == [call.action for call in charger.sent]
    csms_id = got[0].answer["transactionId"]
    for call, one in zip(got, charger.sent, strict=True):
        expected = dict(one.payload)
        if "connectorId" in expected:
            expected["connectorId"] = upstream
        if "transactionId" in expected:
            expected["transactionId"] = csms_id
        assert call.payload == expected


async def test_a_session_of_a_charger_of_another_make_reaches_the_csms_as_it_was_sent(stack, folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=TWO)
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        async with NodeCharger(stack, "CP-02", site.url).running() as charger:
            assert (await charger.do("connect"))["status"] == "Accepted"
            await charge(charger, 2, "TAG-1")
            await until_answered(csms, "StopTransaction")
            assert_arrived_as_sent(csms, charger, upstream=4)
            statuses = [one.payload["status"] for one in charger.talk.of("out", "StatusNotification")]
            assert statuses[-4:] == ["Preparing", "Charging", "Finishing", "Available"]
            last = {**charger.talk.of("out", "StatusNotification")[-1].payload, "connectorId": 4}
            await csms.wait_for(lambda: last in [one.payload for one in csms.calls("StatusNotification")])
    assert csms.violations == []


async def test_what_the_controller_asks_of_a_charger_of_another_make_is_valid_and_is_done(stack, folder, csms):
    """Commissioning, and each command of the CSMS that goes through to a charger."""
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        await csms.wait_registered(IDENTITY)
        async with NodeCharger(stack, "CP-01", site.url).running() as charger:
            await charger.do("connect")
            wanted = [("HeartbeatInterval", "300"), ("MeterValueSampleInterval", "30")]
            await charger.wait_for(
                lambda: (
                    [tuple(call.payload.values()) for call in charger.talk.of("in", "ChangeConfiguration")] == wanted
                )
            )
            start = {"connectorId": 1, "idTag": "APP-1"}
            assert await csms.call(IDENTITY, "RemoteStartTransaction", start) == {"status": "Accepted"}
            received = (await until_answered(csms, "StartTransaction"))[0]
            assert received.payload["idTag"] == "APP-1"
            trigger = {"requestedMessage": "MeterValues", "connectorId": 1}
            assert await csms.call(IDENTITY, "TriggerMessage", trigger) == {"status": "Accepted"}
            await csms.wait_for(lambda: csms.calls("MeterValues"))
            stop = {"transactionId": received.answer["transactionId"]}
            assert await csms.call(IDENTITY, "RemoteStopTransaction", stop) == {"status": "Accepted"}
            assert (await csms.wait_for(lambda: csms.calls("StopTransaction")))[0].payload["reason"] == "Remote"
            assert await csms.call(IDENTITY, "UnlockConnector", {"connectorId": 2}) == {"status": "Unlocked"}
            wish = {"connectorId": 2, "type": "Inoperative"}
            assert await csms.call(IDENTITY, "ChangeAvailability", wish) == {"status": "Accepted"}
            assert await csms.call(IDENTITY, "ClearCache", {}) == {"status": "Accepted"}
            await charger.wait_for(lambda: charger.talk.of("in", "ClearCache"))
            assert {call.answer[0] for call in charger.talk.of("in") if call.answer} == {3}
    assert csms.violations == []


async def test_equal_message_ids_of_two_chargers_are_two_messages(stack, folder, csms):
    """Both count 1, 2, 3, …: an id means something on its own connection only (1.6J §4.1.4)."""
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        await csms.wait_registered(IDENTITY)
        async with (
            NodeCharger(stack, "CP-01", site.url, counts=True).running() as one,
            NodeCharger(stack, "CP-02", site.url, counts=True).running() as other,
        ):
            for charger in (one, other):
                await charger.do("connect")
            async with asyncio.TaskGroup() as tasks:
                for charger in (one, other):
                    tasks.create_task(charge(charger, 1, f"TAG-{charger.identity}"))
            await until_answered(csms, "StopTransaction", 2)
            assert [call.message_id for call in one.sent] == [call.message_id for call in other.sent]
            assert_arrived_as_sent(csms, one, upstream=1)
            assert_arrived_as_sent(csms, other, upstream=3)
    assert csms.violations == []


STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Authorize", {}, "ProtocolError"),
        ("Authorize", {"idTag": 7}, "TypeConstraintViolation"),
        ("Authorize", {"idTag": "longer than 20 letters"}, "TypeConstraintViolation"),
        ("Authorize", {"idTag": "A", "color": "red"}, "FormationViolation"),
        ("BootNotification", {"chargePointModel": "only the model"}, "ProtocolError"),
        ("Heartbeat", [], "FormationViolation"),
        ("StatusNotification", {**STATUS, "connectorId": "left"}, "TypeConstraintViolation"),
        ("SmokeDetected", {}, "NotImplemented"),
        ("RemoteStartTransaction", {"idTag": "A"}, "NotSupported"),
    ],
)
async def test_an_invalid_payload_gets_its_code_and_the_connection_lives(stack, folder, action, payload, code):
    async with Site(configuration(folder, chargers=TWO)).running() as site:
        async with NodeCharger(stack, "CP-01", site.url).running() as charger:
            await charger.do("connect")
            answer = await charger.ask_raw("bad-1", json.dumps([2, "bad-1", action, payload]))
            assert (answer[0], answer[2]) == (4, code), answer
            assert (len(answer), len(answer[3]) <= 255, answer[4]) == (5, True, {})
            assert "currentTime" in await charger.do("call", action="Heartbeat", payload={})
            assert len(charger.told("connected")) == 1
            assert charger.told("disconnected") == []


@pytest.mark.parametrize("shown", [KEY, KEY.hex().encode()], ids=["as its bytes", "as hexadecimal digits"])
async def test_the_authorization_key_opens_in_both_forms(stack, folder, shown):
    config = with_passwords(configuration(folder, chargers=TWO, security_profile=1))
    async with Site(config).running() as site:
        async with NodeCharger(stack, "CP-01", site.url, password=shown.hex()).running() as charger:
            assert (await charger.do("connect"))["status"] == "Accepted"


async def test_another_key_is_refused_with_401(stack, folder):
    config = with_passwords(configuration(folder, chargers=TWO, security_profile=1))
    async with Site(config).running() as site:
        wrong = bytes(20).hex()
        async with NodeCharger(stack, "CP-01", site.url, password=wrong).running() as charger:
            with pytest.raises(CommandFailed, match="Unauthorized"):
                await charger.do("connect")


def with_passwords(config):
    return replace(config, charger=tuple(replace(one, password=KEY.hex().encode()) for one in config.charger))

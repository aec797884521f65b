"""A cloud of another make, strict by the schemas: it understands our station, and our station does what it asks."""

import pytest
from simulators.charger import Charger

from tests.independent.parties import TRANSACTION, CommandFailed, NodeCsms
from tests.scenarios.apart import apart
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration, replace

TWO = tuple(ChargerSettings(f"CP-0{number}", evses=(1, 1)) for number in (1, 2))
STATUSES = 5


def assert_arrived_as_sent(csms: NodeCsms, charger: Charger, upstream: int) -> None:
    """One session, equal but for the connector and the transaction id, which are the station's."""
    got = apart(csms.received(*TRANSACTION))
    assert [call.action for call in got] == [one.action for one in charger.sent]
    csms_id = got[0].result["transactionId"]
    for call, one in zip(got, charger.sent, strict=True):
        expected = dict(one.payload)
        if "connectorId" in expected:
            expected["connectorId"] = upstream
        if "transactionId" in expected:
            expected["transactionId"] = csms_id
        assert call.payload == expected


async def test_a_session_reaches_a_cloud_of_another_make_as_it_was_sent(stack, folder):
    async with NodeCsms(stack, IDENTITY, firstTransactionId=900).running() as csms:
        async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
            await csms.until_told_statuses(STATUSES)
            charger = Charger("CP-02", site.url, meter_interval_s=0)
            async with charger.running():
                await charger.wait_for(lambda: charger.is_ready)
                await charger.start_session(1, "TAG-1")
                for _ in range(3):
                    charger.add_energy(1, 500)
                    await charger.send_meter_values(1)
                await charger.stop_session(1)
                await csms.until_answered("StopTransaction")
                assert_arrived_as_sent(csms, charger, upstream=3)
                assert [call.payload["idTag"] for call in csms.received("Authorize")] == ["TAG-1"]
                await site.until("status", lambda d: d["backlog"]["messages"] == 0)
        assert {call.answer[0] for call in csms.received() if call.answer} == {3}
        assert csms.talk.stray == []


async def test_a_cloud_of_another_make_starts_and_stops_a_session(stack, folder):
    async with NodeCsms(stack, IDENTITY).running() as csms:
        async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
            charger = Charger("CP-01", site.url, meter_interval_s=0)
            async with charger.running():
                await charger.wait_for(lambda: charger.is_ready)
                await csms.until_told_statuses(STATUSES)
                start = {"connectorId": 2, "idTag": "APP-1"}
                assert await csms.call("RemoteStartTransaction", start) == {"status": "Accepted"}
                started = await csms.until_answered("StartTransaction")
                stop = {"transactionId": started[0].result["transactionId"]}
                assert await csms.call("RemoteStopTransaction", stop) == {"status": "Accepted"}
                await csms.until_answered("StopTransaction")
                assert_arrived_as_sent(csms, charger, upstream=2)
                assert [call.payload["reason"] for call in csms.received("StopTransaction")] == ["Remote"]


async def test_what_a_strict_cloud_refuses_is_sent_once_more_without_what_the_schema_forbids(stack, folder):
    async with NodeCsms(stack, IDENTITY).running() as csms:
        async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
            charger = Charger("CP-01", site.url, meter_interval_s=0)
            async with charger.running():
                await charger.wait_for(lambda: charger.is_ready)
                await csms.until_told_statuses(STATUSES)
                own_id = await charger.start_session(1, "TAG-1")
                value = {"timestamp": "2026-11-21T10:00:00Z", "sampledValue": [{"value": "1500", "unit": "Wh"}]}
                values = {"connectorId": 1, "transactionId": own_id, "meterValue": [value]}
                assert await charger.ask("MeterValues", {**values, "vendor": "extra"}) == {}
                refused, mended = await csms.until_answered("MeterValues", 2)
                relayed = {**values, "transactionId": csms.received("StartTransaction")[0].result["transactionId"]}
                assert (refused.payload, refused.answer[0]) == ({**relayed, "vendor": "extra"}, 4)
                assert (mended.payload, mended.answer[0]) == (relayed, 3)
                await charger.stop_session(1)
                await csms.until_answered("StopTransaction")
        assert csms.violations == ["CALL MeterValues received: data must NOT have additional properties"]
        csms.violations.clear()


SMART = {
    "connectorId": 1,
    "csChargingProfiles": {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.5}]},
    },
}
SETTING = {"key": "HeartbeatInterval", "value": "600"}
COMMANDS = [
    ("RemoteStartTransaction", {"connectorId": 0, "idTag": "X"}, "Rejected"),
    ("RemoteStartTransaction", {"idTag": "X"}, "Rejected"),
    ("RemoteStopTransaction", {"transactionId": 4711}, "Rejected"),
    ("ChangeAvailability", {"connectorId": 0, "type": "Operative"}, "Accepted"),
    ("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, "Accepted"),
    ("ChangeAvailability", {"connectorId": 77, "type": "Inoperative"}, "Rejected"),
    ("UnlockConnector", {"connectorId": 1}, "Unlocked"),
    ("UnlockConnector", {"connectorId": 3}, "UnlockFailed"),
    ("UnlockConnector", {"connectorId": 77}, "NotSupported"),
    ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}, "Accepted"),
    ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 2}, "Accepted"),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}, "Accepted"),
    ("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}, "Accepted"),
    ("ChangeConfiguration", SETTING, "Accepted"),
    ("ChangeConfiguration", {"key": "NumberOfConnectors", "value": "9"}, "Rejected"),
    ("ChangeConfiguration", {"key": "Unheard", "value": "9"}, "NotSupported"),
    ("ClearCache", {}, "Accepted"),
]
NOT_BUILT = [
    ("SetChargingProfile", SMART),
    ("DataTransfer", {"vendorId": "com.example"}),
    ("GetLocalListVersion", {}),
]


async def test_every_command_of_the_core_gets_a_valid_answer(stack, folder):
    """The cloud itself checks each answer against the schema, and each message that follows."""
    async with NodeCsms(stack, IDENTITY).running() as csms:
        site = Site(configuration(folder, csms_url=csms.url, chargers=TWO))
        async with site.running():
            charger = Charger("CP-01", site.url, meter_interval_s=0)
            async with charger.running():
                await charger.wait_for(lambda: charger.is_ready)
                await csms.until_told_statuses(STATUSES)
                for action, payload, status in COMMANDS:
                    assert await csms.call(action, payload) == {"status": status}, (action, payload)
                triggered = await csms.wait_for(lambda: csms.received("MeterValues"))
                assert triggered[0].payload["connectorId"] == 2
                await csms.wait_for(lambda: csms.received("Heartbeat"))

                everything = await csms.call("GetConfiguration", {})
                assert "unknownKey" not in everything
                values = {one["key"]: one["value"] for one in everything["configurationKey"]}
                assert values["NumberOfConnectors"] == "4"
                assert "Core" in values["SupportedFeatureProfiles"]
                some = await csms.call("GetConfiguration", {"key": ["HeartbeatInterval", "Unheard"]})
                assert some["unknownKey"] == ["Unheard"]

                nothing = await csms.call("GetDiagnostics", {"location": "ftps://logs.example.com/"})
                assert nothing == {}  # there is no bridge here that could collect any
                for action, payload in NOT_BUILT:
                    with pytest.raises(CommandFailed) as refused:
                        await csms.call(action, payload)
                    assert refused.value.code == "NotSupported", action
                unknown = await csms.ask_raw("own-1", '[2,"own-1","MakeCoffee",{}]')
                assert (unknown[0], unknown[2], unknown[4]) == (4, "NotImplemented", {})
                broken = await csms.ask_raw("own-2", '[2,"own-2","UnlockConnector",{}]')
                assert (broken[0], broken[2], broken[4]) == (4, "ProtocolError", {})

                assert await csms.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}
                await csms.wait_for(lambda: csms.told("disconnected"))
        assert site.ending == "restart"
        assert csms.talk.stray == []


KEY = bytes.fromhex("8fd5ff00a30a41c2e9f07b1ce3ab5d0c6e1f2233")


async def test_the_password_arrives_at_a_cloud_of_another_make_octet_by_octet(stack, folder):
    async with NodeCsms(stack, IDENTITY).running() as csms:
        config = configuration(folder, csms_url=csms.url, chargers=TWO)
        config = replace(config, uplink=replace(config.uplink, security_profile=1, password=KEY))
        async with Site(config).running():
            await csms.until_told_statuses(STATUSES)
            assert [one["password"] for one in csms.told("connected")] == [KEY.hex()]

"""Commands of the CSMS find their way down, and are answered once."""

import asyncio

import pytest
from simulators.charger import Charger
from simulators.csms import CsmsCallError

from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration

THREE = tuple(ChargerSettings(f"CP-0{number}", evses=(1, 1)) for number in (1, 2, 3))


async def test_remote_start_on_connector_4_reaches_charger_2_connector_2(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running() as site:
        charger = Charger("CP-02", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await csms.wait_registered(IDENTITY)
            answer = await csms.call(IDENTITY, "RemoteStartTransaction", {"connectorId": 4, "idTag": "APP-1"})
            assert answer == {"status": "Accepted"}
            start = await csms.wait_for(lambda: csms.calls("StartTransaction"))
            assert ("RemoteStartTransaction", {"connectorId": 2, "idTag": "APP-1"}) in charger.requests
            assert start[0].payload["connectorId"] == 4
            session = (await site.ask("sessions"))["sessions"][0]
            assert (session["remote_start"], session["connector"], session["upstream_connector"]) == (True, 2, 4)


async def test_remote_stop_one_turn_after_the_answer_to_the_start_carries_the_chargers_own_id(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running() as site:
        charger = Charger("CP-03", site.url, meter_interval_s=0)
        answers = []

        async def stop_at_once(received):
            answers.append(
                await csms.call(IDENTITY, "RemoteStopTransaction", {"transactionId": received.answer["transactionId"]})
            )

        csms.after_answer("StartTransaction", stop_at_once)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await csms.wait_registered(IDENTITY)
            await charger.plug_in(1)
            own_id = await charger.start_session(1, "TAG-1", authorize=False)
            stop = await csms.wait_for(lambda: csms.calls("StopTransaction"))
            assert answers == [{"status": "Accepted"}]
            assert ("RemoteStopTransaction", {"transactionId": own_id}) in charger.requests
            assert stop[0].payload["transactionId"] == csms.calls("StartTransaction")[0].answer["transactionId"]
            assert own_id != stop[0].payload["transactionId"]


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("RemoteStartTransaction", {"connectorId": 1, "idTag": "X"}, "Rejected"),
        ("RemoteStartTransaction", {"connectorId": 0, "idTag": "X"}, "Rejected"),
        ("RemoteStartTransaction", {"idTag": "X"}, "Rejected"),
        ("RemoteStartTransaction", {"connectorId": 99, "idTag": "X"}, "Rejected"),
        ("RemoteStopTransaction", {"transactionId": 4711}, "Rejected"),
        ("UnlockConnector", {"connectorId": 1}, "UnlockFailed"),
        ("UnlockConnector", {"connectorId": 99}, "NotSupported"),
        ("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, "Accepted"),
        ("ChangeAvailability", {"connectorId": 99, "type": "Inoperative"}, "Rejected"),
        ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}, "Rejected"),
        ("TriggerMessage", {"requestedMessage": "MeterValues"}, "Rejected"),
        ("TriggerMessage", {"requestedMessage": "BootNotification"}, "Rejected"),
        ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 99}, "Rejected"),
        ("TriggerMessage", {"requestedMessage": "DiagnosticsStatusNotification"}, "Accepted"),
        ("ClearCache", {}, "Accepted"),
        ("ChangeConfiguration", {"key": "NumberOfConnectors", "value": "9"}, "Rejected"),
        ("ChangeConfiguration", {"key": "Unheard", "value": "9"}, "NotSupported"),
        ("ChangeConfiguration", {"key": "WebSocketPingInterval", "value": "-1"}, "Rejected"),
        ("ChangeConfiguration", {"key": "ClockAlignedDataInterval", "value": "300"}, "Accepted"),
    ],
)
async def test_a_command_for_an_offline_charger_or_the_station_is_answered_at_once(
    folder, csms, action, payload, answer
):
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running():
        await csms.wait_registered(IDENTITY)
        async with asyncio.timeout(3):  # at once: no charger is waited for
            assert await csms.call(IDENTITY, action, payload) == {"status": answer}


@pytest.mark.parametrize(
    "action",
    ["SetChargingProfile", "GetLocalListVersion", "SendLocalList", "ReserveNow", "DataTransfer"],
)
async def test_what_is_not_built_is_answered_not_supported(folder, csms, action):
    payloads = {
        "SetChargingProfile": {
            "connectorId": 1,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "chargingProfileKind": "Relative",
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
                },
            },
        },
        "SendLocalList": {"listVersion": 1, "updateType": "Full"},
        "ReserveNow": {"connectorId": 1, "expiryDate": "2027-01-01T00:00:00Z", "idTag": "A", "reservationId": 1},
        "GetDiagnostics": {"location": "ftp://198.51.100.1/"},
        "DataTransfer": {"vendorId": "x"},
    }
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running():
        await csms.wait_registered(IDENTITY)
        with pytest.raises(CsmsCallError) as refused:
            await csms.call(IDENTITY, action, payloads.get(action, {}))
        assert refused.value.code == "NotSupported"


async def test_the_stations_own_keys_are_read_changed_and_kept(folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=THREE)
    async with Site(config).running():
        await csms.wait_registered(IDENTITY)
        await csms.wait_for(lambda: len(csms.calls("StatusNotification")) >= 7)
        answer = await csms.call(IDENTITY, "GetConfiguration", {"key": ["NumberOfConnectors", "Nope"]})
        assert answer == {
            "configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "6"}],
            "unknownKey": ["Nope"],
        }
        change = {"key": "TransactionMessageAttempts", "value": "9"}
        assert await csms.call(IDENTITY, "ChangeConfiguration", change) == {"status": "Accepted"}
    before = len(csms.calls("BootNotification"))
    async with Site(config).running():
        await csms.wait_for(lambda: len(csms.calls("BootNotification")) > before)
        answer = await csms.call(IDENTITY, "GetConfiguration", {"key": ["transactionmessageattempts"]})
        assert answer["configurationKey"][0]["value"] == "9"
        everything = await csms.call(IDENTITY, "GetConfiguration", {})
        assert {one["key"] for one in everything["configurationKey"]} >= {
            "HeartbeatInterval",
            "SupportedFeatureProfiles",
        }


async def test_unlock_availability_and_triggers_reach_the_charger_and_come_back(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await csms.wait_registered(IDENTITY)
            assert await csms.call(IDENTITY, "UnlockConnector", {"connectorId": 2}) == {"status": "Unlocked"}
            assert ("UnlockConnector", {"connectorId": 2}) in charger.requests
            request = {"connectorId": 2, "type": "Inoperative"}
            assert await csms.call(IDENTITY, "ChangeAvailability", request) == {"status": "Accepted"}
            await csms.wait_for(
                lambda: [
                    one
                    for one in csms.calls("StatusNotification")
                    if one.payload["connectorId"] == 2
                    and one.payload["status"] == "Unavailable"
                    and "info" not in one.payload
                ]
            )
            assert await csms.call(IDENTITY, "ChangeAvailability", {"connectorId": 0, "type": "Operative"}) == {
                "status": "Accepted"
            }
            told = len(csms.calls("StatusNotification"))
            trigger = {"requestedMessage": "StatusNotification", "connectorId": 1}
            assert await csms.call(IDENTITY, "TriggerMessage", trigger) == {"status": "Accepted"}
            await csms.wait_for(lambda: len(csms.calls("StatusNotification")) > told)
            beats = len(csms.calls("Heartbeat"))
            assert await csms.call(IDENTITY, "TriggerMessage", {"requestedMessage": "Heartbeat"}) == {
                "status": "Accepted"
            }
            await csms.wait_for(lambda: len(csms.calls("Heartbeat")) > beats)
            trigger = {"requestedMessage": "MeterValues", "connectorId": 1}
            assert await csms.call(IDENTITY, "TriggerMessage", trigger) == {"status": "Accepted"}
            values = await csms.wait_for(lambda: csms.calls("MeterValues"))
            assert values[0].payload["connectorId"] == 1
            assert "transactionId" not in values[0].payload


async def test_a_wish_for_an_absent_charger_is_applied_when_it_is_back(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running() as site:
        await csms.wait_registered(IDENTITY)
        wish = {"connectorId": 6, "type": "Inoperative"}
        assert await csms.call(IDENTITY, "ChangeAvailability", wish) == {"status": "Accepted"}
        charger = Charger("CP-03", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(
                lambda: ("ChangeAvailability", {"connectorId": 2, "type": "Inoperative"}) in charger.requests
            )


async def test_reset_is_answered_before_the_daemon_starts_again(folder, csms):
    site = Site(configuration(folder, csms_url=csms.url, chargers=THREE))
    async with site.running():
        await csms.wait_registered(IDENTITY)
        assert await csms.call(IDENTITY, "Reset", {"type": "Soft"}) == {"status": "Accepted"}
        await site.ended()
    assert site.ending == "restart"


async def test_a_message_id_that_the_csms_uses_twice_is_not_executed_twice(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            station = await csms.wait_registered(IDENTITY)
            text = '[2,"same-id","UnlockConnector",{"connectorId":1}]'
            for _ in range(2):
                await station.wire.send(text)
                await csms.wait_for(lambda: [f for f in csms.frames if "same-id" in f.text and f.text.startswith("[3")])
            await csms.wait_for(
                lambda: len([f for f in csms.frames if "same-id" in f.text and f.text.startswith("[3")]) == 2
            )
            assert len([one for one in charger.requests if one[0] == "UnlockConnector"]) == 1


async def test_nothing_starts_while_the_registration_is_pending(folder, csms):
    csms.boot_status = "Pending"
    csms.boot_interval_s = 1
    async with Site(configuration(folder, csms_url=csms.url, chargers=THREE)).running() as site:
        await csms.wait_for(lambda: csms.calls("BootNotification"))
        await site.until("uplink", lambda d: d["uplink"]["registration"] == "Pending")
        request = {"connectorId": 1, "idTag": "X"}
        assert await csms.call(IDENTITY, "RemoteStartTransaction", request) == {"status": "Rejected"}
        assert (await csms.call(IDENTITY, "GetConfiguration", {"key": ["HeartbeatInterval"]}))["configurationKey"]
        assert csms.calls("StatusNotification") == []
        csms.boot_status = "Accepted"
        await csms.wait_for(lambda: len(csms.calls("StatusNotification")) == 7)
        assert [one.payload["connectorId"] for one in csms.calls("StatusNotification")] == list(range(7))
        await csms.wait_for(lambda: csms.calls("Heartbeat"))

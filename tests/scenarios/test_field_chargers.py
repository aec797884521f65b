"""What chargers of named makes do on the wire (ocpp-rules.md J.2), each as a short script of raw texts.

The docstring of a test gives the row of the list. What takes minutes runs on virtual time.
"""

import asyncio
import contextlib
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.scenarios.apart import apart
from tests.scenarios.field import (
    AT,
    ENERGY,
    LATER,
    Raw,
    counted,
    energy,
    field,
    raw,
    raw_on_virtual_time,
    simulate,
    values,
)
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration

# --- connection and commissioning


def test_a_wallbox_is_asked_nothing_before_its_boot_has_settled():
    """J.2, 4"""

    async def story(site):
        async with raw_on_virtual_time() as charger:
            await charger.boot("Wall Box Chargers", "PULSAR-PLUS")  # from now on its model is known
            await charger.command("GetConfiguration")
        async with raw_on_virtual_time() as charger, asyncio.TaskGroup() as tasks:
            begun = asyncio.get_running_loop().time()
            command = tasks.create_task(site.csms.call("depot-7", "UnlockConnector", {"connectorId": 3}, 60))
            await asyncio.sleep(5)
            await charger.boot("Wall Box Chargers", "PULSAR-PLUS")
            first = await charger.hear()
            assert first[2] == "GetConfiguration"  # the cloud's command was not worth waiting for
            assert asyncio.get_running_loop().time() - begun >= 25
            assert await command == {"status": "UnlockFailed"}
        return True

    assert simulate(story)


async def test_a_charger_that_never_boots_is_served_when_it_is_known(folder, csms):
    """J.2, 5"""
    async with field(folder, csms) as site, raw(site) as charger:
        transaction = await charger.start()
        await charger.call("StopTransaction", {"transactionId": transaction, "meterStop": 5, "timestamp": LATER})
        await csms.wait_for(lambda: csms.calls("StopTransaction"))


def test_a_missing_status_is_triggered_after_a_while_and_once_more():
    """J.2, 10 and 14"""

    async def story(site):
        async with raw_on_virtual_time() as charger:
            await charger.boot("EVBox", "Elvi")
            await charger.call("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"})
            heard = await _triggers(charger, 40)
            assert heard == [2, 2]
        return True

    assert simulate(story)


def test_a_mennekes_is_asked_for_connector_0_first():
    """J.2, 12"""

    async def story(site):
        async with raw_on_virtual_time() as charger:
            await charger.boot("Mennekes", "Amtron")
            assert await _triggers(charger, 20) == [0, 1, 2]
        return True

    assert simulate(story)


def test_a_charger_that_does_not_know_triggers_is_left_alone():
    """J.2, 13"""

    async def story(site):
        async with raw_on_virtual_time() as charger:
            await charger.boot()
            assert await _triggers(charger, 60, "NotImplemented") == [1]
        return True

    assert simulate(story)


def test_a_status_that_was_promised_and_never_came_is_found():
    """J.2, 10; solidstudio"""

    async def story(site):
        async with raw_on_virtual_time() as charger:
            await charger.boot("Solidstudio", "VirtualChargePoint")
            await _triggers(charger, 60)
            known = site.daemon.inside.chargers()
            found = next(one for one in known if one.id == "CP-02").findings
            assert found["status_never_came"] == 2
        return True

    assert simulate(story)


async def _triggers(
    charger: Raw, seconds: float, status: str = "Accepted", message: str = "StatusNotification"
) -> list[int]:
    """Connectors for which this message was triggered meanwhile; everything is answered."""
    found = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                # what came while it waited for an answer of ours is still to be answered
                frame = charger.commands.pop(0) if charger.commands else json.loads(await charger.socket.recv())
                if frame[0] != 2:
                    continue
                answer = {"status": status} if frame[2] == "TriggerMessage" else {"configurationKey": []}
                if frame[2] == "TriggerMessage" and frame[3]["requestedMessage"] == message:
                    found.append(frame[3]["connectorId"])
                await charger.socket.send(json.dumps([3, frame[1], answer]))
    return found


def test_a_charger_without_pongs_is_kept_until_it_says_nothing_for_long():
    """J.2, 3"""

    async def story(site):
        async with raw_on_virtual_time() as charger:
            await charger.boot("EN+", "AC7000")
            charger.socket.transport.pause_reading()  # nothing is read any more: no pong goes back
            await asyncio.sleep(200)
            assert site.daemon.inside._parts.roster.is_online("CP-02")
            await asyncio.sleep(600)
            assert not site.daemon.inside._parts.roster.is_online("CP-02")
        return True

    assert simulate(story)


async def test_an_entratek_is_asked_for_one_key_at_a_time(folder, csms):
    """J.2, 17"""
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.boot("Entratek", "Power Dot Pro")
        asked = []
        for _ in range(3):
            command = await charger.command("GetConfiguration")
            asked.append(command[3]["key"])
            found = [{"key": key, "readonly": True, "value": "2"} for key in command[3]["key"]]
            await charger.socket.send(json.dumps([3, command[1], {"configurationKey": found}]))
        assert [len(keys) for keys in asked] == [1, 1, 1]
        assert len({keys[0] for keys in asked}) == 3


async def test_a_charger_that_refuses_several_keys_is_asked_one_by_one(folder, csms):
    """J.2, 17"""
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.boot()
        first = await charger.command("GetConfiguration")
        assert len(first[3]["key"]) > 1
        await charger.socket.send(json.dumps([4, first[1], "OccurenceConstraintViolation", "too many", {}]))
        assert len((await charger.command("GetConfiguration"))[3]["key"]) == 1


async def test_a_grizzl_e_that_forgets_a_bracket_is_understood(folder, csms):
    """J.2, 20"""
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.boot("Grizzl-E", "Smart 48A", "05.43")
        command = await charger.command("GetConfiguration")
        await charger.socket.send(f'[3,"{command[1]}",{{"configurationKey":[]')
        await site.until("chargers", lambda d: "json_missing_bracket" in d["chargers"][0]["tolerances"])
        await charger.call("Heartbeat", {})


async def test_a_boot_with_a_long_serial_and_a_member_of_its_own_is_accepted(folder, csms):
    """J.2, 29"""
    async with field(folder, csms) as site, raw(site) as charger:
        answer = await charger.call(
            "BootNotification",
            {
                "chargePointVendor": "Schneider",
                "chargePointModel": "EVlink",
                "chargePointSerialNumber": "S" * 33,
                "boardTemperature": 31,
            },
        )
        assert answer["status"] == "Accepted"
        shown = (await site.ask("chargers", charger="CP-01"))["chargers"][0]
        assert shown["serial"] == "S" * 33
        assert shown["tolerances"] == {"long_string": 1, "unknown_member": 1}


# --- the handshake and what follows it


@contextlib.asynccontextmanager
async def without_subprotocol(site, identity="CP-01"):
    async with connect(f"{site.url}/{identity}", proxy=None) as socket:
        yield Raw(socket)


async def test_a_handshake_without_a_version_is_one_of_16_where_that_is_named(folder, csms):
    """J.2, 1"""
    async with field(folder, csms, tolerate=("subprotocol_missing",)) as site, without_subprotocol(site) as charger:
        assert (await charger.boot())["status"] == "Accepted"
        shown = (await site.ask("chargers", charger="CP-01"))["chargers"][0]
        assert shown["tolerances"] == {"subprotocol_missing": 1}


async def test_a_handshake_without_a_version_is_refused_where_nobody_has_named_it_and_says_what_to_do(folder, csms):
    """J.2, 1"""
    async with field(folder, csms) as site:
        async with without_subprotocol(site) as charger:
            with pytest.raises(ConnectionClosed):
                await charger.hear()
            assert charger.socket.close_code == 1002
        shown = (await site.ask("chargers", charger="CP-01"))["chargers"][0]
        assert 'tolerate = ["subprotocol_missing"]' in shown["refused_because"]
        async with raw(site) as charger:  # its make is known from now on, and its model may come without
            await charger.boot("Grizzl-E", "Smart")
        async with without_subprotocol(site) as charger:
            await charger.start()


async def test_an_offer_of_another_version_is_never_taken_for_16(folder, csms):
    async with field(folder, csms, tolerate=("subprotocol_missing",)) as site:
        offers = [Subprotocol("ocpp2.0.1")]
        async with connect(f"{site.url}/CP-01", subprotocols=offers, proxy=None) as socket:
            await socket.wait_closed()
            assert socket.close_code == 1002
        assert "ocpp2.0.1" in (await site.ask("chargers", charger="CP-01"))["chargers"][0]["refused_because"]


async def test_a_request_without_connection_upgrade_is_refused_in_words(folder, csms):
    """J.2, 2"""
    async with field(folder, csms) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.daemon.charger_ports[0])
        writer.write(
            b"GET /ocpp/CP-01 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        )
        assert b" 426 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
        shown = (await site.ask("chargers", charger="CP-01"))["chargers"][0]
        assert "Connection: Upgrade" in shown["refused_because"]


async def test_an_identity_may_be_followed_by_a_query(folder, csms):
    """J.2, 8"""
    async with field(folder, csms) as site:
        async with connect(f"{site.url}//CP-01/?=sn", subprotocols=["ocpp1.6"], proxy=None) as socket:
            assert (await Raw(socket).boot())["status"] == "Accepted"


def test_a_charger_that_stops_answering_gets_a_new_connection():
    """J.2, 15"""

    async def story(site):
        async with raw_on_virtual_time() as charger:
            await charger.boot()
            await _triggers(charger, 60)
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(_only_listens(charger))
                for _ in range(3):
                    answer = await site.csms.call("depot-7", "UnlockConnector", {"connectorId": 3}, 60)
                    assert answer == {"status": "UnlockFailed"}
                await charger.socket.wait_closed()
                listening.cancel()
            assert charger.socket.close_code == 1001
            assert _found(site)["commands_unanswered"] == 1
        return True

    assert simulate(story)


def test_a_charger_that_never_answers_anything_keeps_its_connection():
    """J.2, 15: it would do the same on the next one"""

    async def story(site):
        async with raw_on_virtual_time() as charger, asyncio.TaskGroup() as tasks:
            await charger.boot()
            listening = tasks.create_task(_only_listens(charger))
            for _ in range(5):
                await site.csms.call("depot-7", "UnlockConnector", {"connectorId": 3}, 60)
            listening.cancel()
            assert "commands_unanswered" not in _found(site)
        return True

    assert simulate(story)


async def _only_listens(charger: Raw) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await charger.socket.recv()


def _found(site) -> dict:
    one = next(one for one in site.daemon.inside.chargers() if one.id == "CP-02")
    return dict(one.tolerances) | dict(one.findings)


async def test_a_charger_that_refuses_availability_as_a_whole_is_asked_connector_by_connector(folder, csms):
    """J.2, 23 and 24"""
    async with field(folder, csms) as site, raw(site) as charger, asyncio.TaskGroup() as tasks:
        await charger.call("Heartbeat", {})
        order = tasks.create_task(site.ask("availability", charger="CP-01", evse=None, connector=None, on=True))
        asked = []
        for status in ("Rejected", "Accepted", "Scheduled"):
            command = await charger.command("ChangeAvailability")
            asked.append(command[3]["connectorId"])
            await charger.socket.send(json.dumps([3, command[1], {"status": status}]))
        assert asked == [0, 1, 2]
        assert (await order)["status"] == "Scheduled"


async def test_a_reset_that_is_accepted_and_not_done_changes_nothing(folder, csms):
    """The demo of open-ocpp"""
    async with field(folder, csms) as site, raw(site) as charger, asyncio.TaskGroup() as tasks:
        transaction = await charger.start()
        order = tasks.create_task(site.ask("reset", charger="CP-01", hard=False, force=False))
        command = await charger.command("Reset")
        await charger.socket.send(json.dumps([3, command[1], {"status": "Accepted"}]))
        assert (await order)["status"] == "Accepted"
        await charger.call("MeterValues", values(energy("700"), transactionId=transaction))
        (one,) = (await site.ask("sessions"))["sessions"]
        assert (one["state"], one["energy_wh"]) == ("open", 700)


def test_a_syncev_is_asked_for_its_values_while_it_charges():
    """J.2, 28"""

    async def story(site):
        async with raw_on_virtual_time() as charger:
            await charger.boot("SyncEV", "EVSM7PP")
            for connector in (1, 2):
                status = {"connectorId": connector, "status": "Preparing", "errorCode": "NoError"}
                await charger.call("StatusNotification", status)
            transaction = await charger.start(connector=2)
            asked = await _triggers(charger, 200, message="MeterValues")
            assert asked == [2, 2, 2]
            await charger.call("StopTransaction", {"transactionId": transaction, "meterStop": 5, "timestamp": LATER})
            assert await _triggers(charger, 200, message="MeterValues") == []
        return True

    assert simulate(story)


def test_a_grizzl_e_gets_a_remote_start_a_moment_later():
    """J.2, 70"""

    async def story(site):
        waited = []
        for vendor in ("Grizzl-E", "Other"):
            async with raw_on_virtual_time() as charger, asyncio.TaskGroup() as tasks:
                await charger.boot(vendor, "Smart")
                await _triggers(charger, 60)
                begun = asyncio.get_running_loop().time()
                asked = {"connectorId": 3, "idTag": "A"}
                command = tasks.create_task(site.csms.call("depot-7", "RemoteStartTransaction", asked, 60))
                start = await charger.command("RemoteStartTransaction")
                waited.append(asyncio.get_running_loop().time() - begun)
                await charger.socket.send(json.dumps([3, start[1], {"status": "Accepted"}]))
                assert await command == {"status": "Accepted"}
        assert waited[0] >= 1.5
        assert waited[1] < 1
        return True

    assert simulate(story)


def test_a_charger_that_charges_and_never_starts_is_an_alarm():
    """J.2, 60"""

    async def story(site):
        async def alarms():
            return [one["subject"] for one in (await site.ask("status"))["alarms"] if "without_session" in one["code"]]

        async with raw_on_virtual_time() as charger:
            await charger.boot()
            await charger.call("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError"})
            assert await alarms() == []
            await _triggers(charger, 130)
            assert await alarms() == ["CP-02/1"]
            transaction = await charger.start()
            assert await alarms() == []
            now = site.csms.utc_now().strftime("%Y-%m-%dT%H:%M:%SZ")
            await charger.call("StopTransaction", {"transactionId": transaction, "meterStop": 5, "timestamp": now})
            assert await alarms() == []  # its status comes in a moment
        return True

    assert simulate(story)


# --- messages


async def test_an_object_numbers_and_hz_are_understood_and_reach_a_strict_cloud(folder, csms):
    """J.2, 30, 31 and 34: as they came, and when the cloud refuses, as they were understood"""
    csms.refuses_malformed = True
    async with field(folder, csms) as site, raw(site) as charger:
        transaction = await charger.start()
        sampled = [
            {"value": 1234, "measurand": ENERGY, "unit": "Wh"},
            {"value": "50", "measurand": "Frequency", "unit": "Hz"},
        ]
        one = {"timestamp": LATER, "sampledValue": sampled}
        assert (
            await charger.call("MeterValues", {"connectorId": 1, "transactionId": transaction, "meterValue": one}) == {}
        )
        assert (await site.ask("sessions"))["sessions"][0]["energy_wh"] == 1234
        await charger.call("StopTransaction", {"transactionId": transaction, "meterStop": 1300, "timestamp": LATER})
        await csms.wait_for(lambda: csms.calls("StopTransaction"))
        as_it_came, as_understood = csms.calls("MeterValues")
        assert as_it_came.payload["meterValue"] == one
        assert as_understood.payload["meterValue"] == [
            {"timestamp": LATER, "sampledValue": [{**sampled[0], "value": "1234"}, {**sampled[1], "unit": "Hertz"}]}
        ]
        trace = (await site.ask("trace", subject="S1"))["entries"]
        assert any("number_for_string" in entry["summary"] for entry in trace if entry["kind"] == "decision")
        for rule in ("object_for_list", "number_for_string", "unit_alias", "schema_violated"):
            assert await counted(site, rule)


COMMA = '[2,"v","MeterValues",{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":"' + LATER + (
    '","sampledValue":[,{"value":"700","unit":"Wh"}]}]}]'
)  # fmt: skip


async def test_a_text_that_is_no_json_is_kept_as_it_came_and_its_payload_reaches_the_cloud(folder, csms):
    """J.2, 32: named in the configuration"""
    async with field(folder, csms, tolerate=("json_extra_comma",)) as site, raw(site) as charger:
        transaction = await charger.start()
        text = COMMA % transaction
        with csms.outage():
            assert await charger.say(text) == [3, "v", {}]
            assert await charger.say(text.replace('"v"', '"again"')) == [3, "again", {}]  # known as a repetition
            assert (await site.ask("sessions"))["sessions"][0]["energy_wh"] == 700
            waiting = (await site.ask("queue"))["entries"]
            entry = await site.ask("queue", seq=waiting[-1]["seq"])
            assert entry["received_payload"]["meterValue"][0]["sampledValue"] == [{"value": "700", "unit": "Wh"}]
        await csms.wait_for(lambda: csms.calls("MeterValues"))
        (relayed,) = csms.calls("MeterValues")
        assert relayed.payload["meterValue"][0]["sampledValue"] == [{"value": "700", "unit": "Wh"}]
        trace = (await site.ask("trace", subject="S1", raw=True))["entries"]
        assert text in [entry["text"] for entry in trace]


async def test_a_text_that_is_no_json_is_refused_where_nobody_has_named_the_repair(folder, csms):
    """J.2, 32"""
    async with field(folder, csms) as site, raw(site) as charger:
        answer = await charger.say(COMMA % 7)
        assert answer[:3] == [4, "v", "FormationViolation"]
        assert await counted(site, "message_malformed") == 1


async def test_what_was_repaired_survives_a_restart_before_it_went_up(folder, csms):
    """J.2, 32"""
    csms.be_silent("MeterValues", times=None)
    chargers = (ChargerSettings("CP-01", evses=(1, 1), tolerate=("json_extra_comma",)),)
    site = Site(configuration(folder, csms_url=csms.url, chargers=chargers))
    async with site.running():
        await csms.wait_registered(IDENTITY)
        async with raw(site) as charger:
            transaction = await charger.start()
            await charger.say(COMMA % transaction)
    csms.behave()
    async with site.running():
        await csms.wait_for(lambda: csms.calls("MeterValues") and csms.calls("MeterValues")[-1].is_answered)
        async with raw(site) as charger:  # and it is known again
            await charger.say(COMMA % transaction)
        assert (await site.ask("trace", subject="S1"))["entries"][-1]["action"] == "MeterValues"
        assert (
            len(
                [
                    e
                    for e in (await site.ask("trace", subject="S1"))["entries"]
                    if e["peer"] == "charger" and e["type"] == "CALL"
                ]
            )
            == 2
        )


async def test_an_aefa_that_leaves_out_a_value_is_understood(folder, csms):
    """J.2, 33 and 95: its model is known from its boot"""
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.boot("AEFA", "Home")
        await charger.start()
        text = (
            '[2,"v","MeterValues",{"connectorId":1,"transactionId":,"meterValue":[{"timestamp":'
            '"2026-11-21T13:35:45.377","sampledValue":[{"value":"5","unit":"Wh"}]}]}]'
        )
        assert await charger.say(text) == [3, "v", {}]
        for rule in ("json_missing_value", "null_member", "values_attached_by_connector", "timestamp_without_zone"):
            assert await counted(site, rule) == 1
        await csms.wait_for(lambda: csms.calls("MeterValues"))


async def test_what_a_model_needs_is_known_after_our_restart_without_a_boot(folder, csms):
    """J.2, 32: a charger does not boot because its link was lost (1.6 §4.2)"""
    site = Site(configuration(folder, csms_url=csms.url, chargers=(ChargerSettings("CP-01", evses=(1, 1)),)))
    async with site.running():
        async with raw(site) as charger:
            await charger.boot("ZJ Beny", "BCP-AT1N")
            transaction = await charger.start()
    async with site.running(), raw(site) as charger:
        assert await charger.say(COMMA % transaction) == [3, "v", {}]
        shown = (await site.ask("chargers", charger="CP-01"))["chargers"][0]
        assert shown["model_tolerances"] == {"json_extra_comma": 1}


async def test_a_misspelled_connector_is_never_somebody_elses_upstream(folder, csms):
    csms.refuses_malformed = False
    async with field(folder, csms, "CP-01", "CP-02") as site, raw(site, "CP-02") as charger:
        start = {"ConnectorID": 1, "idTag": "A", "meterStart": 0, "timestamp": AT}
        transaction = (await charger.call("StartTransaction", start))["transactionId"]
        stop = {"TransactionID": transaction, "meterStop": 5, "timestamp": LATER}
        await charger.call("StopTransaction", stop)
        (sent,) = await csms.wait_for(lambda: csms.calls("StartTransaction"))
        assert sent.payload == start | {"ConnectorID": 3}
        (ended,) = await csms.wait_for(lambda: csms.calls("StopTransaction"))
        (in_cloud,) = csms.transactions
        assert ended.payload == stop | {"TransactionID": in_cloud, "transactionId": in_cloud}
        assert await counted(site, "member_spelling", "CP-02") == 2


async def test_power_that_is_told_by_phase_is_added_up(folder, csms):
    """J.2, 41"""
    async with field(folder, csms, max_current=16.0) as site, raw(site) as charger:
        transaction = await charger.start()
        by_phase = [
            {"value": "5", "measurand": "Power.Active.Import", "unit": "kW", "phase": f"L{number}-N"}
            for number in (1, 2, 3)
        ]
        await charger.call("MeterValues", values(*by_phase, transactionId=transaction))
        assert await counted(site, "power_beyond_physics") == 1


async def test_kwh_where_wh_are_said_is_found_by_the_power_and_goes_up_as_it_came(folder, csms):
    """ocpp-rules.md E.12"""
    async with field(folder, csms) as site, raw(site) as charger:
        transaction = await charger.start(meter=100)
        sent = [
            values(
                {"value": f"{100 + 0.1 * minute:.1f}", "measurand": ENERGY, "unit": "Wh"},
                {"value": "6000", "measurand": "Power.Active.Import", "unit": "W"},
                at=f"2026-11-21T10:{minute:02}:00Z",
                transactionId=transaction,
            )
            for minute in range(12)
        ]
        for one in sent:
            await charger.call("MeterValues", one)
        assert await counted(site, "energy_power_disagree") == 1
        await csms.wait_for(lambda: len(apart(csms.calls("MeterValues"))) == 12)
        got = [one.payload["meterValue"] for one in apart(csms.calls("MeterValues"))]
        assert got == [one["meterValue"] for one in sent]


async def test_an_error_code_of_its_own_is_a_fault_for_everybody(folder, csms):
    """J.2, 35"""
    csms.refuses_malformed = True
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.call("StatusNotification", {"connectorId": 1, "status": "Faulted", "errorCode": "Error"})
        await csms.wait_for(
            lambda: [
                one for one in csms.calls("StatusNotification")
                if one.payload["connectorId"] == 1 and one.payload["errorCode"] == "OtherError"
            ]
        )  # fmt: skip
        assert await counted(site, "error_code_alias") == 1


async def test_a_measurand_that_nobody_knows_is_kept_and_left_out_for_a_strict_cloud(folder, csms):
    """J.2, 36 and 37"""
    csms.refuses_malformed = True
    async with field(folder, csms) as site, raw(site) as charger:
        transaction = await charger.start()
        odd = {"value": "7", "measurand": "Request.Energy", "context": "Stored"}
        await charger.call("MeterValues", values(odd, energy("50"), transactionId=transaction))
        await csms.wait_for(lambda: len(csms.calls("MeterValues")) == 2)
        first, second = csms.calls("MeterValues")
        assert first.payload["meterValue"][0]["sampledValue"] == [odd, energy("50")]
        assert second.payload["meterValue"][0]["sampledValue"] == [{"value": "7"}, energy("50")]
        assert await counted(site, "unknown_value") == 1


# --- transactions


@pytest.mark.parametrize("placeholder", [2**63 - 1, 0, -1, None, 4711, "offline-6", ""])
async def test_values_without_a_usable_transaction_belong_to_the_open_one_of_their_connector(folder, csms, placeholder):
    """J.2, 39, 47, 48 and 72"""
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.start()
        await charger.call("MeterValues", values(energy("700"), transactionId=placeholder))
        assert (await site.ask("sessions"))["sessions"][0]["energy_wh"] == 700
        await csms.wait_for(lambda: csms.calls("MeterValues"))
        assert await counted(site, "values_attached_by_connector") == 1


@pytest.mark.parametrize("placeholder", [-1, 0, None])
async def test_a_stop_without_a_transaction_ends_the_only_open_one(folder, csms, placeholder):
    """J.2, 49, 51 and 52"""
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.start()
        stop = {"transactionId": placeholder, "meterStop": 5, "timestamp": LATER}
        await charger.call("StopTransaction", stop)
        assert (await site.ask("sessions"))["sessions"][0]["state"] == "ended"
        (sent,) = await csms.wait_for(lambda: csms.calls("StopTransaction"))
        assert sent.payload["transactionId"] in csms.transactions
        assert await counted(site, "stop_attached_to_only_transaction") == 1


async def test_a_stop_from_another_life_ends_the_one_that_its_register_continues(folder, csms):
    """J.2, 50 and 71"""
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.start(1, "A", 1_000)
        second = await charger.start(2, "B", 900_000)
        await charger.call("MeterValues", values(energy("900900"), connector=2, transactionId=second))
        stop = {"transactionId": 99, "meterStop": 901_000, "timestamp": "2026-11-21T10:06:00Z"}
        await charger.call("StopTransaction", stop)
        states = {one["connector"]: one["state"] for one in (await site.ask("sessions"))["sessions"]}
        assert states == {1: "open", 2: "ended"}
        assert await counted(site, "stop_attached_by_meter") == 1


@pytest.mark.parametrize("token", ["20:69:C0:21", " F6 CA 0C C5"])
async def test_a_start_that_is_repeated_after_a_lost_link_is_the_same_transaction(folder, csms, token):
    """J.2, 44 and 53: and an odd token goes up as it came"""
    async with field(folder, csms) as site:
        async with raw(site) as charger:
            first = await charger.start(token=token)
        async with raw(site) as charger:
            assert await charger.start(token=token) == first
        await csms.wait_for(lambda: csms.calls("StartTransaction"))
        assert len((await site.ask("sessions"))["sessions"]) == 1
        assert [one.payload["idTag"] for one in csms.calls("StartTransaction")] == [token]


async def test_an_absurd_register_is_found_and_goes_up_as_it_came(folder, csms):
    """J.2, 54 and 56"""
    async with field(folder, csms) as site, raw(site) as charger:
        transaction = await charger.start(meter=2147483647)
        await charger.call("MeterValues", values(energy("12"), transactionId=transaction))
        await charger.call("StopTransaction", {"transactionId": transaction, "meterStop": -1, "timestamp": LATER})
        await csms.wait_for(lambda: csms.calls("StopTransaction"))
        assert csms.calls("StartTransaction")[0].payload["meterStart"] == 2147483647
        # Its values show that it does not sign: what the stop says is put right, the start had gone up by then.
        assert csms.calls("StopTransaction")[0].payload["meterStop"] == 2147483647 + 12
        assert await counted(site, "register_fell") >= 1
        assert await counted(site, "meter_stop_unknown") == 1


@pytest.mark.parametrize("names_it", [True, False])
async def test_closing_values_after_the_stop_are_kept_and_not_sent(folder, csms, names_it):
    """J.2, 58"""
    async with field(folder, csms) as site, raw(site) as charger:
        transaction = await charger.start()
        await charger.call("StopTransaction", {"transactionId": transaction, "meterStop": 700, "timestamp": LATER})
        closing = {**energy("700"), "context": "Transaction.End"}
        more = {"transactionId": transaction} if names_it else {}
        await charger.call("MeterValues", values(closing, **more))
        await csms.wait_for(lambda: csms.calls("StopTransaction"))
        await site.until("status", lambda d: d["backlog"]["messages"] == 0)
        assert csms.calls("MeterValues") == []
        trace = (await site.ask("trace", subject="CP-01"))["entries"]
        assert any("values_after_stop" in entry["summary"] for entry in trace)


async def test_a_stop_is_never_refused(folder, csms):
    """J.2, 63, 64, 71 and 108"""
    async with field(folder, csms) as site, raw(site) as charger:
        stop = {"transactionId": 5, "meterStop": 700, "timestamp": LATER, "idTag": "A"}
        assert await charger.call("StopTransaction", stop) == {}
        assert await counted(site, "orphan_stop") == 1
        assert await charger.call("StopTransaction", {"transactionId": "five", "meterStop": "700"}) == {}
        assert csms.calls("StopTransaction") == []


async def test_a_charger_that_has_lost_its_stop_may_start_again(folder, csms):
    """J.2, 61 and 62: the old session gets a stop from us first"""
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.start(at=AT)
        await charger.boot("Grizzl-E", "Smart")
        await charger.call("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"})
        await charger.start(at=LATER)
        for rule in ("boot_while_open", "available_while_open", "start_while_open"):
            assert await counted(site, rule) == 1
        sessions = (await site.ask("sessions"))["sessions"]
        assert [(one["state"], one["end_cause"]) for one in sessions] == [("open", None), ("ended", "synthetic")]


async def test_a_clock_that_was_never_set_is_found(folder, csms):
    """J.2, 39 and 96"""
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.start(at="1970-01-01T00:00:05Z")
        assert await counted(site, "clock_not_set") == 1


async def test_the_same_message_once_more_before_its_answer_is_answered_twice_and_done_once(folder, csms):
    """J.2, 105"""
    csms.be_silent("StartTransaction", times=None)
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    config = configuration(folder, csms_url=csms.url, chargers=chargers, offline="list")
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        async with raw(site) as charger:
            payload = {"connectorId": 1, "idTag": "NOBODY", "meterStart": 0, "timestamp": AT}
            text = json.dumps([2, "same", "StartTransaction", payload])
            await charger.socket.send(text)
            await charger.socket.send(text)
            first, second = await charger.answer_to("same"), await charger.answer_to("same")
            assert first == second
            assert first[0] == 3
            assert len((await site.ask("sessions"))["sessions"]) == 1
            assert await counted(site, "repeated_while_pending") == 1
            assert await counted(site, "calls_in_parallel") == 0


# --- the conversation


async def test_an_effect_before_the_answer_to_its_command_is_found(folder, csms):
    """shiv3: what was triggered comes before the CALLRESULT of the trigger"""
    async with field(folder, csms) as site, raw(site) as charger, asyncio.TaskGroup() as tasks:
        asked = {"requestedMessage": "MeterValues", "connectorId": 2}
        command = tasks.create_task(csms.call(IDENTITY, "TriggerMessage", asked))
        trigger = await charger.command("TriggerMessage")
        await charger.call("MeterValues", values(energy("5"), connector=2))
        await charger.socket.send(json.dumps([3, trigger[1], {"status": "Accepted"}]))
        assert await command == {"status": "Accepted"}
        assert await counted(site, "effect_before_answer") == 1


async def test_equal_message_ids_of_two_chargers_are_never_mixed_up(folder, csms):
    """open-ocpp counts its messages: the ids of two chargers may coincide at the same moment"""
    async with field(folder, csms, "CP-01", "CP-02", connectors=(1,)) as site:
        async with raw(site, "CP-01") as one, raw(site, "CP-02") as other:
            for charger, token in ((one, "A"), (other, "B")):
                payload = {"connectorId": 1, "idTag": token, "meterStart": 0, "timestamp": AT}
                await charger.socket.send(json.dumps([2, "707999281", "StartTransaction", payload]))
            ids = [(await charger.answer_to("707999281"))[2]["transactionId"] for charger in (one, other)]
            assert len(set(ids)) == 2
            await csms.wait_for(lambda: len(csms.calls("StartTransaction")) == 2)
            sessions = (await site.ask("sessions"))["sessions"]
            assert {(s["charger"], s["id_token"], s["charger_transaction_id"]) for s in sessions} == {
                ("CP-01", "A", ids[0]),
                ("CP-02", "B", ids[1]),
            }


async def test_a_message_id_that_comes_again_for_something_else_is_found(folder, csms):
    """open-ocpp: a counter that begins again on the next connection"""
    async with field(folder, csms) as site:
        for token in ("A", "B"):
            async with raw(site) as charger:
                assert (await charger.say(f'[2,"1","Authorize",{{"idTag":"{token}"}}]'))[0] == 3
        assert await counted(site, "message_id_repeated") == 1


async def test_an_answer_that_names_its_action_is_taken(folder, csms):
    async with field(folder, csms) as site, raw(site) as charger, asyncio.TaskGroup() as tasks:
        command = tasks.create_task(csms.call(IDENTITY, "UnlockConnector", {"connectorId": 1}))
        unlock = await charger.command("UnlockConnector")
        await charger.socket.send(json.dumps([3, unlock[1], "UnlockConnector", {"status": "Unlocked"}]))
        assert await command == {"status": "Unlocked"}
        assert await counted(site, "result_names_action") == 1


async def test_all_of_one_model_are_counted_together(folder, csms):
    async with field(folder, csms, "CP-01", "CP-02") as site:
        for name in ("CP-01", "CP-02"):
            async with raw(site, name) as charger:
                await charger.boot("Legrand", "Green'up", "2.1")
                await charger.call("StatusNotification", {"connectorId": 1, "status": "Faulted", "errorCode": "Error"})
        one = (await site.ask("chargers", charger="CP-01"))["chargers"][0]
        assert one["tolerances"] == {"error_code_alias": 1}
        assert one["model_tolerances"] == {"error_code_alias": 2}


async def test_a_pending_charger_with_a_long_serial_can_be_adopted(folder, csms):
    """J.2, 29"""
    async with Site(configuration(folder, csms_url=csms.url)).running() as site:
        async with raw(site, "NEW") as charger:
            boot = {"chargePointVendor": "Siemens", "chargePointModel": "EVlink", "chargePointSerialNumber": "S" * 26}
            assert (await charger.call("BootNotification", boot))["status"] == "Pending"
            assert (await site.ask("adopt", charger="NEW"))["state"] == "online"
            assert (await charger.call("BootNotification", boot))["status"] == "Accepted"


async def test_a_hostile_charger_gains_nothing_by_repairs(folder, csms):
    every = (
        "json_control_characters", "json_duplicate_key", "json_extra_comma", "json_half_surrogate",
        "json_missing_bracket", "json_missing_value",
    )  # fmt: skip
    async with field(folder, csms, tolerate=every) as site, raw(site) as charger:
        for text in ("[" * 200_000, '[2,"a","Heartbeat",' + '{"a":' * 40 + "1", '"' + '\\"' * 100_000, "\0" * 1000):
            with contextlib.suppress(ConnectionClosed):
                await charger.socket.send(text)
        await charger.socket.send('[2,"after","Heartbeat",{}]')
        assert (await charger.answer_to("after"))[0] == 3
        assert (await site.ask("status"))["v"] == 1

"""Recordings of real chargers, played against the simulated cloud."""

import asyncio
import json

import pytest
from simulators.csms import Csms, CsmsCallError, Rule
from simulators.recording import Recording
from simulators.replay import Replay

# name → for each transaction in the order given: connector, number of MeterValues, energy in Wh
RECORDINGS = {
    "shiv3_16_session": [(1, 3, 2500), (2, 1, 750)],
    "shiv3_16_outage": [(1, 3, 2500), (2, 0, 0)],
    "openocpp_16_two_connectors": [(1, 0, 100), (2, 0, 100)],
    "solidstudio_16_ocmf": [(1, 2, 320), (1, 0, 40)],
}
SPEED = 500


def recorded_calls(path):
    """The up CALLs of a recording, read without our code: (message, text)."""
    frames = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    return [
        (json.loads(frame["text"]), frame["text"])
        for frame in frames
        if frame["dir"] == "up" and json.loads(frame["text"])[0] == 2
    ]


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recording_leaves_the_right_transactions(csms, recording, name):
    report = await Replay(recording(name), csms.url, speed=SPEED).run()

    assert report.is_complete
    assert [
        (transaction.connector, len(transaction.meter_values), transaction.energy_wh)
        for transaction in csms.transactions.values()
    ] == RECORDINGS[name]
    assert all(len(transaction.stops) == 1 for transaction in csms.transactions.values())
    assert not csms.orphans
    assert {violation.rule for violation in csms.violations} <= {Rule.NOT_REGISTERED, Rule.SECOND_CALL}
    assert not csms.violations or name == "solidstudio_16_ocmf"  # it does not wait for the boot's answer


@pytest.mark.parametrize("name", RECORDINGS)
async def test_every_text_is_sent_as_recorded_but_for_the_transaction_id(csms, recording, name):
    report = await Replay(recording(name), csms.url, speed=SPEED).run()

    calls = recorded_calls(recording(name))
    assert len(calls) == len(csms.received)
    for (message, text), received in zip(calls, csms.received, strict=True):
        recorded_id = message[3].get("transactionId")
        given_id = report.transaction_ids.get(recorded_id)
        expected = text if given_id is None else text.replace(f":{recorded_id}", f":{given_id}")
        assert received.text == expected
        assert received.message_id == message[1]


async def test_ids_of_the_recording_are_replaced_by_those_that_were_given(csms, recording):
    report = await Replay(recording("shiv3_16_session"), csms.url, speed=SPEED).run()
    assert report.transaction_ids == {1000: 100, 1001: 101}
    assert [stop.payload["transactionId"] for stop in csms.calls("StopTransaction")] == [100, 101]


async def test_the_signed_blob_arrives_intact(csms, recording):
    path = recording("solidstudio_16_ocmf")
    await Replay(path, csms.url, speed=SPEED).run()

    [recorded] = [
        message[3]
        for message, _ in recorded_calls(path)
        if message[2] == "StopTransaction" and "transactionData" in message[3]
    ]
    [blob] = recorded["transactionData"][0]["sampledValue"]
    [arrived] = csms.transactions[100].stop.payload["transactionData"][0]["sampledValue"]
    assert arrived == blob
    assert len(blob["value"]) > 500


async def test_connections_open_and_end_as_recorded(csms, recording):
    lines = []
    csms._tell = lines.append
    await Replay(recording("shiv3_16_outage"), csms.url, speed=SPEED).run()
    await csms.wait_for(lambda: lines.count("SH16O disconnected") == 2)
    assert lines.count("SH16O connected (ocpp1.6)") == 2
    boots = [received for received in csms.received if received.action == "BootNotification"]
    assert len(boots) == 2


async def test_time_is_kept_at_the_speed_asked_for(csms, recording):
    speed = 200
    await Replay(recording("shiv3_16_outage"), csms.url, speed=speed).run()
    first, second = csms.calls("BootNotification")
    assert second.at - first.at >= (36.837 - 0.075) / speed * 0.95


async def test_commands_are_answered_as_the_recorded_charger_did(csms, recording):
    replay = Replay(recording("shiv3_16_session"), csms.url)

    async def ask(action, payload):
        return await csms.call("SH16", action, payload)

    async with asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(replay.run())
        await csms.wait_registered("SH16")
        every = await ask("GetConfiguration", {})
        some = await ask("GetConfiguration", {"key": ["ConnectionTimeOut", "Nope"]})
        assert len(every["configurationKey"]) > 10
        assert [entry["value"] for entry in some["configurationKey"]] == ["60"]
        assert some["unknownKey"] == ["Nope"]
        assert await ask("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
        assert await ask("ChangeConfiguration", {"key": "Mine", "value": "1"}) == {"status": "Accepted"}
        [mine] = (await ask("GetConfiguration", {"key": ["Mine"]}))["configurationKey"]
        assert mine["value"] == "1"
        assert await ask("RemoteStopTransaction", {"transactionId": 99}) == {"status": "Rejected"}
        assert await ask("ClearCache", {}) == {"status": "Accepted"}
        with pytest.raises(CsmsCallError, match="NotImplemented"):
            await ask("GetLog", {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": "ftp://x"}})
        playing.cancel()
    assert [request.action for request in replay.report.requests][:2] == ["GetConfiguration"] * 2
    assert not csms.violations


async def test_a_remote_stop_of_the_recorded_transaction_is_accepted_under_its_new_id(csms, recording):
    verdicts = []

    async def stop(received):
        for transaction_id in (received.answer["transactionId"], 4711):
            answer = await csms.call("SO16", "RemoteStopTransaction", {"transactionId": transaction_id})
            verdicts.append(answer["status"])

    csms.after_answer("StartTransaction", stop)
    await Replay(recording("solidstudio_16_ocmf"), csms.url, speed=SPEED).run()
    assert verdicts == ["Accepted", "Rejected"]


async def test_the_recorded_answer_keeps_its_bytes_but_for_the_message_id(recording):
    parsed = Recording.load(recording("openocpp_16_two_connectors"))
    command = next(command for command in parsed.commands if command.action == "DataTransfer")
    assert command.text_for("x-1") == '[3, "x-1", {"status":"UnknownVendorId","data":""}]'


async def test_an_unanswered_transaction_message_is_repeated_when_the_link_was_lost(csms, recording):
    csms.ledger.dedupe = True
    csms.lose_answer("StartTransaction")
    csms.lose_answer("StopTransaction")
    report = await Replay(recording("openocpp_16_two_connectors"), csms.url, speed=SPEED).run()
    assert report.is_complete
    assert [transaction.energy_wh for transaction in csms.transactions.values()] == [100, 100]
    assert len(csms.transactions[100].starts) == 2
    assert len(csms.transactions[100].stops) == 2


async def test_what_needs_an_id_that_was_never_given_is_not_sent(csms, recording):
    csms.refuse("StartTransaction", "InternalError", times=None)
    report = await Replay(recording("shiv3_16_session"), csms.url, speed=SPEED).run()
    assert [error[:2] for error in report.errors] == [("StartTransaction", "InternalError")] * 2
    assert {played.action for played in report.unsent} == {"MeterValues", "StopTransaction"}
    assert not report.is_complete


async def test_silence_is_reported(csms, recording):
    csms.be_silent("Heartbeat")
    report = await Replay(recording("shiv3_16_session"), csms.url, speed=SPEED, answer_timeout_s=0.05).run()
    assert [played.action for played in report.unanswered] == ["Heartbeat"]


async def test_a_cloud_that_is_not_there_is_reported(csms, recording):
    csms.refuse_connections()
    replay = Replay(recording("openocpp_16_two_connectors"), csms.url, speed=10_000, connect_timeout_s=0.01)
    report = await replay.run()
    assert len(report.unsent) == len(report.calls)
    assert report.connections_failed


async def test_another_identity_and_a_password_can_be_used(recording):
    async with Csms(password=b"secret") as csms:
        report = await Replay(
            recording("openocpp_16_two_connectors"), csms.url, identity="CP-07", password=b"secret", speed=SPEED
        ).run()
        assert report.is_complete
        assert {received.identity for received in csms.received} == {"CP-07"}

"""The simulated charger and the simulated cloud, talking to each other without a controller between them."""

import asyncio

import pytest
from simulators.charger import AuthorizationRefused, StartRefused
from simulators.csms import Csms, CsmsCallError, StationOffline
from simulators.wire import CallRefused, LinkLost


def actions(transaction):
    return [received.action for received in transaction.messages]


async def test_a_session_reaches_the_cloud_complete_and_in_order(csms, charger):
    transaction_id = await charger.start_session(1, "TAG-1")
    charger.add_energy(1, 40)
    await charger.send_meter_values(1)
    charger.add_energy(1, 2)
    session = await charger.stop_session(1)

    transaction = csms.transactions[transaction_id]
    assert transaction_id == 100
    assert actions(transaction) == ["StartTransaction", "MeterValues", "StopTransaction"]
    assert (transaction.connector, transaction.id_tag, transaction.energy_wh) == (1, "TAG-1", 42)
    assert session.meter_stop == 1042
    assert [sent.payload for sent in charger.sent] == [received.payload for received in transaction.messages]
    assert all(sent.answered for sent in charger.sent)
    assert not csms.violations
    assert not charger.violations


async def test_statuses_follow_the_car(csms, charger):
    await charger.plug_in(2)
    await charger.start_session(2, "TAG-1")
    charger.draw(2, 0)
    charger.draw(2, 10)
    await charger.stop_session(2)
    await csms.wait_for(lambda: len(statuses(csms, 2)) == 7)
    assert statuses(csms, 2) == [
        "Available",
        "Preparing",
        "Charging",
        "SuspendedEV",
        "Charging",
        "Finishing",
        "Available",
    ]


def statuses(csms, connector):
    return [
        received.payload["status"] for received in csms.calls("StatusNotification") if received.connector == connector
    ]


async def test_payload_and_answer_are_kept_as_they_were_on_the_wire(csms, charger):
    payload = {"vendorId": "x.y", "data": '{"transactionId":1}', "messageId": "größe"}
    assert await charger.ask("DataTransfer", payload) == {"status": "UnknownVendorId"}
    [received] = csms.calls("DataTransfer")
    assert received.payload == payload
    assert received.answer == {"status": "UnknownVendorId"}
    assert received.text in [frame.text for frame in csms.frames]


async def test_periodic_meter_values_are_sent_while_charging(csms, build_charger):
    charger = build_charger(meter_interval_s=0.01)
    async with charger.running():
        await charger.connect()
        await charger.start_session(1, "TAG-1")
        await csms.wait_for(lambda: len(csms.transactions[100].meter_values) >= 3)
        await charger.stop_session(1)
    assert csms.transactions[100].messages[-1].action == "StopTransaction"


async def test_an_unanswered_stop_is_repeated_with_equal_payload_and_new_message_id(csms, charger):
    csms.lose_answer("StopTransaction")
    await charger.start_session(1, "TAG-1")
    await charger.stop_session(1)

    first, second = csms.transactions[100].stops
    assert first.payload == second.payload
    assert first.message_id != second.message_id
    assert not first.is_answered
    assert second.is_answered
    assert charger.sent[-1].attempts == 2


async def test_a_session_of_an_outage_arrives_afterwards_in_order_with_its_own_id(csms, charger):
    with csms.outage():
        await charger.wait_for(lambda: not charger.is_ready)
        session = charger.begin_session(1, "TAG-1")
        charger.sessions.sample(1)
        charger.end_session(1)
        charger.begin_session(1, "TAG-2")
        assert len(charger.queue) == 4
        assert session.transaction_id is None
    await charger.wait_drained()

    assert actions(csms.transactions[100]) == ["StartTransaction", "MeterValues", "StopTransaction"]
    assert actions(csms.transactions[101]) == ["StartTransaction"]
    assert session.transaction_id == 100
    assert [sent.payload["transactionId"] for sent in charger.sent[1:3]] == [100, 100]
    assert not csms.violations


async def test_a_cloud_that_is_cut_and_refuses_gets_nobody_back_until_it_accepts(csms, charger):
    csms.refuse_connections()
    csms.cut()
    await csms.wait_for(lambda: csms.handshakes_refused >= 2)
    assert not csms.stations
    assert "503" in charger.last_error
    csms.refuse_connections(False)
    await csms.wait_registered("CP-01")
    await charger.wait_for(lambda: charger.is_ready)


async def test_a_lost_start_makes_two_transactions_unless_the_cloud_recognises_repetitions(csms, build_charger):
    for dedupe, ids in ((False, [100, 101]), (True, [102])):
        csms.ledger.dedupe = dedupe
        before = set(csms.transactions)
        csms.lose_answer("StartTransaction")
        charger = build_charger(f"CP-{dedupe}")
        async with charger.running():
            await charger.connect()
            transaction_id = await charger.start_session(1, "TAG-1")
            await charger.stop_session(1)
        assert sorted(set(csms.transactions) - before) == ids
        assert transaction_id == ids[-1]
        assert csms.transactions[transaction_id].stop is not None
    assert len(csms.transactions[102].starts) == 2


async def test_a_remote_stop_in_the_turn_after_the_start_is_obeyed(csms, charger):
    async def stop(received):
        answer = await csms.call("CP-01", "RemoteStopTransaction", {"transactionId": received.answer["transactionId"]})
        assert answer == {"status": "Accepted"}

    csms.after_answer("StartTransaction", stop)
    charger.begin_session(1, "TAG-1")
    await csms.wait_for(lambda: csms.transactions and csms.transactions[100].stop)
    assert csms.transactions[100].stop.payload["reason"] == "Remote"


async def test_a_remote_start_without_connector_goes_where_the_car_is(csms, charger):
    await charger.plug_in(2)
    assert await csms.call("CP-01", "RemoteStartTransaction", {"idTag": "R"}) == {"status": "Accepted"}
    await csms.wait_for(lambda: csms.transactions)
    assert csms.transactions[100].connector == 2
    assert not csms.calls("Authorize")
    assert charger.requests == [("RemoteStartTransaction", {"idTag": "R"})]


async def test_a_refused_start_is_given_up_with_all_that_depends_on_it(csms, charger):
    csms.refuse("StartTransaction", "InternalError", times=3)
    with pytest.raises(StartRefused):
        await charger.start_session(1, "TAG-1")
    await charger.stop_session(1)
    await charger.wait_drained()
    assert [(sent.given_up, sent.attempts) for sent in charger.sent] == [(True, 3)]
    assert not csms.transactions


async def test_silence_is_met_with_repetition(csms, build_charger):
    csms.be_silent("StartTransaction")
    charger = build_charger(answer_timeout_s=0.02)
    async with charger.running():
        await charger.connect()
        await charger.start_session(1, "TAG-1")
    assert len(csms.calls("StartTransaction")) == 2
    assert len(csms.transactions) == 1
    assert not csms.violations


async def test_hooks_take_only_the_calls_that_they_want(csms, charger):
    csms.refuse("Authorize", "GenericError", times=None, when=lambda received: received.payload["idTag"] == "B")
    assert await charger.authorize("A") == "Accepted"
    for _ in range(2):
        with pytest.raises(CallRefused, match="GenericError"):
            await charger.authorize("B")
    csms.behave()
    assert await charger.authorize("B") == "Accepted"


async def test_a_delayed_answer_comes_late_and_holds_up_no_command(csms, charger):
    released = asyncio.Event()

    async def ask_meanwhile():
        await csms.call("CP-01", "ClearCache", {})
        released.set()

    csms.delay("Authorize", 0.05, times=1)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(charger.authorize("A"))
        await csms.wait_for(lambda: csms.calls("Authorize"))
        await ask_meanwhile()
        assert not asked.done()
    assert released.is_set()
    [received] = csms.calls("Authorize")
    assert received.answered_at - received.at >= 0.05


async def test_a_token_that_the_cloud_blocks_does_not_charge(csms, charger):
    csms.tokens["BAD"] = "Blocked"
    with pytest.raises(AuthorizationRefused, match="Blocked"):
        await charger.start_session(1, "BAD")
    assert not csms.transactions
    # without asking first, the start itself is the question
    await charger.start_session(1, "BAD", authorize=False)
    await csms.wait_for(lambda: csms.transactions[100].stop)
    assert csms.transactions[100].stop.payload["reason"] == "DeAuthorized"


async def test_a_cloud_that_minds_refuses_the_second_session_of_a_token(csms, charger):
    csms.ledger.concurrent_tx = True
    await charger.start_session(1, "TAG-1")
    await charger.start_session(2, "TAG-1")
    await csms.wait_for(lambda: csms.transactions[101].stop)
    assert csms.transactions[101].start.answer["idTagInfo"] == {"status": "ConcurrentTx"}
    assert csms.transactions[100].is_open


async def test_nothing_is_said_before_the_registration_is_accepted(csms, build_charger):
    csms.boot_status, csms.boot_interval_s = "Pending", 0
    charger = build_charger()
    async with charger.running():
        await csms.wait_for(lambda: len(csms.calls("BootNotification")) >= 2)
        assert await csms.call("CP-01", "GetConfiguration", {"key": ["HeartbeatInterval"]})
        assert {received.action for received in csms.received} == {"BootNotification"}
        csms.boot_status = "Accepted"
        await charger.wait_for(lambda: charger.is_ready)
    assert not csms.violations


async def test_a_cloud_that_forgot_the_charger_is_told_again_who_it_is(csms, charger):
    csms.forget_registration("CP-01")
    await charger.start_session(1, "TAG-1", authorize=False)
    assert len(csms.calls("BootNotification")) == 2
    assert "CP-01" in csms.registered


async def test_a_charger_that_does_not_boot_again_is_served_after_a_reconnect(csms, build_charger):
    charger = build_charger(boot_on_reconnect=False)
    async with charger.running():
        await charger.connect()
        await charger.disconnect()
        await charger.connect()
        await charger.start_session(1, "TAG-1")
    assert len(csms.calls("BootNotification")) == 1
    assert not csms.violations


async def test_a_new_connection_must_boot_first_where_the_cloud_wants_it(csms, build_charger):
    csms.boot_on_each_connection = True
    charger = build_charger(boot_on_reconnect=False)
    async with charger.running():
        await charger.connect()
        await charger.disconnect()
        await charger.connect()
    assert len(csms.calls("BootNotification")) == 2


async def test_a_wrong_password_is_refused_and_the_right_one_is_let_in(csms, build_charger):
    csms.password = b"right:\xff"
    charger = build_charger(password=b"wrong")
    async with charger.running():
        await csms.wait_for(lambda: csms.handshakes_refused)
        await charger.wait_for(lambda: charger.last_error)
        assert "401" in charger.last_error
        charger.password = b"right:\xff"
        await charger.connect()


async def test_identities_are_percent_encoded_on_the_way(csms, build_charger):
    charger = build_charger("CP 1/ä")
    async with charger.running():
        await charger.connect()
        assert list(csms.stations) == ["CP 1/ä"]


COMMANDS = [
    ("ClearCache", {}, {"status": "Accepted"}),
    ("DataTransfer", {"vendorId": "v"}, {"status": "UnknownVendorId"}),
    ("UnlockConnector", {"connectorId": 2}, {"status": "Unlocked"}),
    ("UnlockConnector", {"connectorId": 9}, {"status": "NotSupported"}),
    ("RemoteStopTransaction", {"transactionId": 4}, {"status": "Rejected"}),
    ("RemoteStartTransaction", {"idTag": "R", "connectorId": 9}, {"status": "Rejected"}),
    ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, {"status": "Accepted"}),
    ("ChangeAvailability", {"connectorId": 9, "type": "Inoperative"}, {"status": "Rejected"}),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}, {"status": "Accepted"}),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "x"}, {"status": "Rejected"}),
    ("ChangeConfiguration", {"key": "NumberOfConnectors", "value": "3"}, {"status": "Rejected"}),
    ("ChangeConfiguration", {"key": "Unknown", "value": "3"}, {"status": "NotSupported"}),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}, {"status": "Accepted"}),
    ("TriggerMessage", {"requestedMessage": "Heartbeat", "connectorId": 9}, {"status": "Rejected"}),
    ("SendLocalList", {"listVersion": 3, "updateType": "Full"}, {"status": "Accepted"}),
    ("GetLocalListVersion", {}, {"listVersion": 0}),
    ("ClearChargingProfile", {}, {"status": "Accepted"}),
    ("GetCompositeSchedule", {"connectorId": 1, "duration": 60}, {"status": "Rejected"}),
    (
        "SetChargingProfile",
        {
            "connectorId": 1,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "chargingProfileKind": "Relative",
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.1}],
                },
            },
        },
        {"status": "Accepted"},
    ),
    (
        "GetConfiguration",
        {"key": ["NumberOfConnectors", "Nope"]},
        {
            "configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "2"}],
            "unknownKey": ["Nope"],
        },
    ),
]


@pytest.mark.parametrize(("action", "payload", "answer"), COMMANDS)
async def test_the_charger_obeys(csms, charger, action, payload, answer):
    assert await csms.call("CP-01", action, payload) == answer
    assert charger.requests == [(action, payload)]
    assert not csms.violations
    assert not charger.violations


async def test_a_connector_becomes_unavailable_only_after_its_session(csms, charger):
    await charger.start_session(1, "TAG-1")
    inoperative = {"connectorId": 1, "type": "Inoperative"}
    assert await csms.call("CP-01", "ChangeAvailability", inoperative) == {"status": "Scheduled"}
    await charger.stop_session(1)
    await csms.wait_for(lambda: statuses(csms, 1)[-1] == "Unavailable")
    assert await csms.call("CP-01", "RemoteStartTransaction", {"idTag": "R", "connectorId": 1}) == {
        "status": "Rejected"
    }
    await csms.call("CP-01", "ChangeAvailability", {"connectorId": 1, "type": "Operative"})
    await csms.wait_for(lambda: statuses(csms, 1)[-1] == "Available")


async def test_unlocking_ends_the_session(csms, charger):
    await charger.start_session(1, "TAG-1")
    await csms.call("CP-01", "UnlockConnector", {"connectorId": 1})
    await csms.wait_for(lambda: csms.transactions[100].stop)
    assert csms.transactions[100].stop.payload["reason"] == "UnlockCommand"


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("BootNotification", "BootNotification"),
        ("Heartbeat", "Heartbeat"),
        ("StatusNotification", "StatusNotification"),
        ("MeterValues", "MeterValues"),
        ("FirmwareStatusNotification", "FirmwareStatusNotification"),
        ("DiagnosticsStatusNotification", "DiagnosticsStatusNotification"),
    ],
)
async def test_a_triggered_message_comes_after_the_answer(csms, charger, message, action):
    before = len(csms.calls(action))
    await csms.call("CP-01", "TriggerMessage", {"requestedMessage": message, "connectorId": 1})
    await csms.wait_for(lambda: len(csms.calls(action)) > before)
    texts = [frame.text for frame in csms.frames]
    answer = next(
        text for text in texts if text.startswith("[3,") and '"Accepted"}]' in text and "interval" not in text
    )
    assert texts.index(answer) < texts.index(csms.calls(action)[before].text)
    assert not csms.violations


async def test_the_meter_interval_can_be_changed_remotely(csms, charger):
    await charger.start_session(1, "TAG-1")
    await csms.call("CP-01", "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "7"})
    assert charger.meter_interval_s == 7


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
async def test_a_reset_stops_the_session_and_boots_again(csms, charger, kind):
    await charger.start_session(1, "TAG-1")
    assert await csms.call("CP-01", "Reset", {"type": kind}) == {"status": "Accepted"}
    await csms.wait_for(lambda: len(csms.calls("BootNotification")) == 2)
    await charger.wait_drained()
    assert csms.transactions[100].stop.payload["reason"] == f"{kind}Reset"
    assert not csms.violations


async def test_the_cloud_learns_a_callerror_with_its_code(csms, charger):
    with pytest.raises(CsmsCallError) as refused:
        await csms.call("CP-01", "ReserveNow", {})
    assert refused.value.code in ("NotImplemented", "ProtocolError")
    assert charger.violations


async def test_a_command_to_a_station_that_is_away_fails_at_once(csms, charger):
    with pytest.raises(StationOffline):
        await csms.call("CP-99", "ClearCache", {})


async def test_a_command_fails_when_the_link_is_lost_before_the_answer(csms, charger):
    async with asyncio.TaskGroup() as tasks:

        async def command():
            with pytest.raises(LinkLost):
                await csms.call("CP-01", "ClearCache", {})

        tasks.create_task(command())
        await csms.wait_for(lambda: csms.frames[-1].text.endswith('"ClearCache",{}]'))
        csms.cut()


@pytest.mark.parametrize(("fate", "reasons"), [("stop", ["PowerLoss"]), ("resume", []), ("forget", [])])
async def test_a_power_cut_leaves_the_session_as_it_is_told(csms, charger, fate, reasons):
    await charger.start_session(1, "TAG-1")
    await charger.power_cut(fate)
    await csms.wait_for(lambda: "CP-01" not in csms.stations)
    await charger.connect()
    await charger.wait_drained()
    assert [stop.payload["reason"] for stop in csms.transactions[100].stops] == reasons
    assert (charger.outlets[1].session is not None) == (fate == "resume")
    assert charger.outlets[1].power_w == (11040 if fate == "resume" else 0)
    assert len(csms.calls("BootNotification")) == 2


async def test_a_prescribed_answer_is_given_and_filed(csms, charger):
    csms.answer_with("StartTransaction", {"transactionId": 0, "idTagInfo": {"status": "Accepted"}})
    assert await charger.start_session(1, "TAG-1") == 0
    await charger.stop_session(1)
    assert csms.transactions[0].stop is not None
    assert csms.transactions[0].start.answer["transactionId"] == 0


async def test_a_stop_of_an_unknown_transaction_is_an_orphan(csms, charger):
    stop = {"transactionId": 7, "meterStop": 1, "timestamp": "2026-11-21T08:00:00Z"}
    assert await charger.ask("StopTransaction", stop) == {}
    assert [orphan.payload for orphan in csms.orphans] == [stop]


async def test_a_failing_callback_fails_the_test_that_stops_the_cloud(build_charger):
    async def broken(received):
        raise RuntimeError("in a callback")

    csms = Csms()
    await csms.start()
    csms.after_answer("BootNotification", broken)
    charger = build_charger(url=csms.url)
    async with charger.running():
        await charger.connect()
    with pytest.raises(ExceptionGroup) as failed:
        await csms.stop()
    assert failed.group_contains(RuntimeError, match="in a callback")


async def test_waiting_in_vain_tells_what_was_awaited_and_seen(csms, charger):
    with pytest.raises(TimeoutError, match="a miracle(?s:.*)BootNotification"):
        await csms.wait_for(lambda: False, 0.01, "a miracle")
    with pytest.raises(TimeoutError, match="another(?s:.*)BootNotification"):
        await charger.wait_for(lambda: False, 0.01, "another")


async def test_a_heartbeat_is_sent_when_there_is_nothing_else_to_say(csms, charger):
    charger.heartbeat_interval_s = 0.01
    await charger.ask("Heartbeat", {})
    await csms.wait_for(lambda: len(csms.calls("Heartbeat")) >= 3)


async def test_the_charger_ends_when_its_link_breaks_in_the_moment_of_its_end(csms, build_charger):
    for cut in (csms.cut, csms.refuse_connections):
        charger = build_charger()
        async with charger.running():
            await charger.connect()
            charger.begin_session(1, "TAG-1")
            csms.cut()
            cut()
        assert not charger.is_ready


async def test_no_thread_is_used(monkeypatch, build_charger):
    def forbidden(*_):
        raise AssertionError("a simulated loop has no threads")

    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", forbidden)
    async with Csms() as csms:
        charger = build_charger(url=csms.url)
        async with charger.running():
            await charger.connect()
            await charger.start_session(1, "TAG-1")
            await csms.call("CP-01", "RemoteStopTransaction", {"transactionId": 1})
            await charger.wait_drained()
        assert csms.transactions[1].stop is not None

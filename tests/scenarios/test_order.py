"""Whose turn it is after an outage, and what happens to messages that the CSMS refuses or does not answer."""

from simulators.charger import Charger

from tests.scenarios.apart import apart, values
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration
from tests.scenarios.test_outage import charge

TWO = tuple(ChargerSettings(f"CP-0{number}", evses=(1, 1)) for number in (1, 2))


async def test_a_new_driver_waits_one_round_after_a_long_outage_and_never_passes_his_own_connector(folder, csms):
    """Connectors 1..3 have long backlogs; the driver on 4 starts while they drain."""
    csms.refuse_connections(True)
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        first = Charger("CP-01", site.url, meter_interval_s=0)
        second = Charger("CP-02", site.url, meter_interval_s=0)
        async with first.running(), second.running():
            for charger, connector in ((first, 1), (first, 2), (second, 1)):
                await charge(charger, connector, f"OLD-{connector}", values=30)
            await charge(second, 2, "OLD-4", values=0)
            csms.delay("MeterValues", 0.4, times=None)
            csms.refuse_connections(False)
            await csms.wait_for(lambda: len(values(csms)) >= 10, 30)
            await second.plug_in(2)
            await second.start_session(2, "NEW", authorize=False)
            seen = len(csms.received)
            start = await csms.wait_for(
                lambda: [one for one in csms.calls("StartTransaction") if one.payload["idTag"] == "NEW"], 30
            )
            before = [
                one for one in csms.received[seen : csms.received.index(start[0])] if one.action != "StatusNotification"
            ]
            assert len(before) <= 4, [one.line() for one in before]  # one turn each for 1, 2 and 3, and a heartbeat
            assert len(values(csms)) < 90  # and the yard's backlog was still there
            on_four = [one.action for one in csms.received if one.connector == 4 and "Transaction" in one.action]
            assert on_four == ["StartTransaction", "StopTransaction", "StartTransaction"]


async def test_chronological_order_is_the_order_of_the_whole_station(folder, csms):
    csms.refuse_connections(True)
    config = configuration(folder, csms_url=csms.url, chargers=TWO, order="chronological")
    async with Site(config).running() as site:
        first = Charger("CP-01", site.url, meter_interval_s=0)
        async with first.running():
            await first.plug_in(1)
            await first.start_session(1, "A", authorize=False)
            for _ in range(3):
                await first.send_meter_values(1)
            await first.plug_in(2)
            await first.start_session(2, "B", authorize=False)
            await first.send_meter_values(1)
            await first.stop_session(1)
            csms.refuse_connections(False)
            await site.until("status", lambda d: d["backlog"]["messages"] == 0)
            order = [(one.action, one.connector) for one in apart(csms.received) if one.transaction is not None]
            assert order == [
                ("StartTransaction", 1), ("MeterValues", 1), ("MeterValues", 1), ("MeterValues", 1),
                ("StartTransaction", 2), ("MeterValues", 1), ("StopTransaction", 1),
            ]  # fmt: skip


async def test_a_transient_refusal_is_sent_again_and_uses_up_no_attempt(folder, csms):
    csms.refuse("StartTransaction", "InternalError", times=1)
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await csms.wait_registered(IDENTITY)
            await charge(charger, 1, "A", values=1)
            entry = await site.until("queue", lambda d: [e for e in d["entries"] if e["error"]])
            assert entry[0]["error"]["code"] == "InternalError"
            assert entry[0]["next_attempt_at"] is not None
            assert (await site.ask("status"))["backlog"]["drain_s"] is None  # nobody knows how often it is refused
            await site.until("status", lambda d: d["backlog"]["messages"] == 0)
            assert len(csms.calls("StartTransaction")) == 2
            first, second = csms.calls("StartTransaction")
            assert first.payload == second.payload
            assert first.message_id != second.message_id


async def test_a_permanently_refused_start_is_parked_with_its_session_and_the_next_one_goes_on(folder, csms):
    csms.refuse(
        "StartTransaction", "PropertyConstraintViolation", times=None, when=lambda one: one.payload["idTag"] == "BAD"
    )
    config = configuration(folder, csms_url=csms.url, chargers=TWO)
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        for change in (
            {"key": "TransactionMessageAttempts", "value": "2"},
            {"key": "TransactionMessageRetryInterval", "value": "0"},
        ):
            assert (await csms.call(IDENTITY, "ChangeConfiguration", change))["status"] == "Accepted"
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charge(charger, 1, "BAD", values=1)
            await charge(charger, 1, "GOOD", values=1)
            await csms.wait_for(lambda: csms.calls("StopTransaction"))
            queue = await site.until("queue", lambda d: d if d["parked"] == 3 else None)
            assert [entry["state"] for entry in queue["entries"]] == ["parked"] * 3
            assert queue["entries"][0]["attempts"] == 2
            assert queue["entries"][1]["blocked_by"] == queue["entries"][0]["seq"]
            assert [one.payload["idTag"] for one in csms.calls("StartTransaction")] == ["BAD", "BAD", "GOOD"]
            status = await site.ask("status")
            assert [alarm["code"] for alarm in status["alarms"]] == ["message_parked"]
            session = (await site.ask("session", session="S1"))["session"]
            assert session["delivery"].items() >= {"state": "parked", "waiting": 0, "acked": 0, "parked": 3}.items()
            shown = await site.ask("queue", seq=queue["entries"][0]["seq"])
            assert shown["received_payload"]["idTag"] == "BAD"
            assert shown["upstream_payload"]["connectorId"] == 1


async def test_a_lost_answer_is_repeated_equal_under_a_new_message_id(folder, csms):
    csms.lose_answer("StartTransaction", times=1)
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await csms.wait_registered(IDENTITY)
            await charge(charger, 1, "A", values=1)
            await site.until("status", lambda d: d["backlog"]["messages"] == 0)
            first, second = csms.calls("StartTransaction")
            assert first.payload == second.payload
            assert first.message_id != second.message_id
            assert csms.calls("StopTransaction")[0].payload["transactionId"] == second.answer["transactionId"]


async def test_a_status_never_waits_behind_the_queue(folder, csms):
    csms.refuse_connections(True)
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charge(charger, 1, "A", values=120)
            csms.delay("MeterValues", 0.1, times=None)
            csms.refuse_connections(False)
            await csms.wait_for(lambda: len(values(csms)) >= 5, 30)
            charger.set_status(2, "Faulted", "GroundFailure")
            await csms.wait_for(
                lambda: [
                    one for one in csms.calls("StatusNotification") if one.payload["errorCode"] == "GroundFailure"
                ],
                30,
            )
            assert len(values(csms)) < 120


async def test_what_the_charger_put_in_against_the_schema_is_left_out_at_the_second_try(folder, csms):
    """The CSMS refuses the unknown member; the message goes up once more without it, and the loss is on record."""
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await csms.wait_registered(IDENTITY)
            answer = await charger.ask(
                "StartTransaction",
                {"connectorId": 1, "idTag": "A", "meterStart": 5, "timestamp": "2026-11-21T10:00:00Z", "bay": 7},
            )
            assert answer["transactionId"] > 0
            await site.until("status", lambda d: d["backlog"]["messages"] == 0)
            first, second = csms.calls("StartTransaction")
            assert first.payload["bay"] == 7
            assert second.payload == {key: value for key, value in first.payload.items() if key != "bay"}
            trace = (await site.ask("trace", subject="S1", raw=True))["entries"]
            assert any("left_out" in (entry["text"] or "") for entry in trace if entry["kind"] == "decision")
            notes = (await site.ask("session", session="S1"))["session"]["notes"]
            assert "schema_violated" in [note["rule"] for note in notes]

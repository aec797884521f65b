"""After an outage several values of a session share a message: none is lost, none overtakes, the faulty one is found."""

import contextlib

import pytest
from simulators.charger import Charger

from tests.scenarios.apart import apart, sizes, values
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration
from tests.scenarios.test_outage import assert_cloud_has_what_was_sent
from tests.scenarios.test_queue import be_strict, parked_entries

ONE = (ChargerSettings(id="CP-01", evses=(1, 1)),)


@contextlib.asynccontextmanager
async def after_an_outage(folder, csms, number_of_values, **uplink):
    """A session of so many values waits; `csms.refuse_connections(False)` lets it go."""
    async with Site(configuration(folder, csms_url=csms.url, chargers=ONE, **uplink)).running() as site:
        await be_strict(csms)
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await charger.plug_in(1)
            await charger.start_session(1, "A", authorize=False)
            await csms.wait_for(
                lambda: csms.calls("StartTransaction") and csms.calls("StartTransaction")[0].is_answered
            )
            csms.refuse_connections(True)
            csms.cut()
            await site.until("status", lambda d: d["uplink"]["state"] != "accepted")
            for _ in range(number_of_values):
                charger.add_energy(1, 10)
                await charger.send_meter_values(1)
            yield site, charger


async def drained(site):
    await site.until("status", lambda d: d["backlog"]["messages"] == 0)


def entries_of(received):
    return len(received.payload.get("meterValue", ()))


async def test_values_that_wait_share_messages_and_the_console_tells_which(folder, csms):
    async with after_an_outage(folder, csms, 45) as (site, charger):
        await charger.stop_session(1)
        csms.refuse_connections(False)
        await drained(site)
        assert sizes(csms) == [20, 20, 5]
        assert_cloud_has_what_was_sent(csms, [charger], repeats_allowed=False)
        assert csms.violations == []
        session = (await site.ask("session", session="S1"))["session"]
        told = [(one["action"], one["state"], one["attempts"], one["result"]) for one in session["messages"]]
        assert told[1:-1] == [("MeterValues", "acked", 1, "Accepted")] * 45
        assert session["delivery"]["acked"] == 47
        numbers = [one["seq"] for one in session["messages"] if one["action"] == "MeterValues"]
        trace = (await site.ask("trace", subject="S1", raw=True))["entries"]
        calls = [one for one in trace if one["peer"] == "csms" and one["type"] == "CALL" and one["direction"] == "out"]
        shared = [one for one in calls if one["action"] == "MeterValues"]
        assert [one["summary"] for one in shared] == [
            f"sent to the CSMS (messages {', '.join(map(str, some))})"
            for some in (numbers[:20], numbers[20:40], numbers[40:])
        ]
        assert [one["text"] for one in shared] == [one.text for one in csms.calls("MeterValues")]


async def test_a_value_that_waits_alone_goes_alone_and_at_once(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=ONE)).running() as site:
        await csms.wait_registered(IDENTITY)
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await charger.plug_in(1)
            await charger.start_session(1, "A", authorize=False)
            for number in range(1, 4):
                await charger.send_meter_values(1)
                await csms.wait_for(lambda number=number: len(csms.calls("MeterValues")) == number)
                await csms.wait_for(lambda: csms.calls("MeterValues")[-1].is_answered)
            assert sizes(csms) == [1, 1, 1]


async def test_while_values_are_on_their_way_the_queue_says_so_of_each(folder, csms):
    async with after_an_outage(folder, csms, 22) as (site, _):
        csms.delay("MeterValues", 2.0, times=1)
        csms.refuse_connections(False)
        queue = await site.until("queue", lambda d: d if any(e["state"] == "sending" for e in d["entries"]) else None)
        assert [one["state"] for one in queue["entries"]] == ["sending"] * 20 + ["waiting"] * 2
        uplink = await site.ask("uplink")
        assert uplink["outstanding"]["seq"] == queue["entries"][0]["seq"]
        await drained(site)


@pytest.mark.parametrize(
    ("at_most", "expected"), [(1, [20, 10] + [1] * 45), (10, [20, 10, 10, 10, 10, 5]), (5, [20, 10] + [1] * 45)]
)
@pytest.mark.parametrize("code", ["PropertyConstraintViolation", "OccurenceConstraintViolation"])
async def test_a_cloud_that_takes_fewer_values_gets_fewer_and_nothing_is_held_against_a_row(
    folder, csms, at_most, expected, code
):
    csms.refuse("MeterValues", code, times=None, when=lambda one: entries_of(one) > at_most)
    async with after_an_outage(folder, csms, 45) as (site, charger):
        await charger.stop_session(1)
        csms.refuse_connections(False)
        await drained(site)
        assert sizes(csms) == expected
        csms.received[:] = [one for one in csms.received if one.error_code is None]
        assert_cloud_has_what_was_sent(csms, [charger], repeats_allowed=False)
        assert (await site.ask("status"))["backlog"]["parked"] == 0


async def test_the_one_value_that_the_cloud_does_not_like_is_found_and_the_others_are_not_blamed(folder, csms):
    bad = []

    def is_bad(received):
        return any(entry in bad for entry in received.payload.get("meterValue", ()))

    csms.refuse("MeterValues", "PropertyConstraintViolation", times=None, when=is_bad)
    async with after_an_outage(folder, csms, 60) as (site, charger):
        await charger.stop_session(1)
        said = [one.payload["meterValue"][0] for one in charger.sent if one.action == "MeterValues"]
        bad.append(said[13])
        csms.refuse_connections(False)
        first, *behind = await parked_entries(site, 48)
        assert (await site.ask("queue", seq=first["seq"]))["received_payload"]["meterValue"] == bad
        assert (first["attempts"], first["error"]["code"]) == (1, "PropertyConstraintViolation")
        assert {one["blocked_by"] for one in behind} == {first["seq"]}
        # 20 with it are refused, the first ten are taken, ten with it are refused, then it is found.
        assert sizes(csms) == [20, 10, 10, 1, 1, 1, 1]
        await site.ask("queue_drop", seq=first["seq"])
        await drained(site)
        assert sizes(csms)[7:] == [1, 1, 1, 1, 1, 1, 20, 20]  # the rest of the doubted ones, and again as many as ever
        got = [one.payload["meterValue"][0] for one in values(csms) if one.error_code is None]
        assert got == [one for one in said if one not in bad]


async def test_a_cloud_that_fails_for_a_moment_gets_all_of_it_later(folder, csms):
    csms.refuse("MeterValues", "InternalError", times=1)
    async with after_an_outage(folder, csms, 25) as (site, charger):
        csms.refuse_connections(False)
        queue = await site.until("queue", lambda d: d if any(e["error"] for e in d["entries"]) else None)
        assert queue["entries"][0]["error"]["code"] == "InternalError"
        assert queue["entries"][0]["attempts"] == 0
        await drained(site)
        assert sizes(csms) == [20, 10, 10, 5]
        csms.received[:] = [one for one in csms.received if one.error_code is None]
        assert_cloud_has_what_was_sent(csms, [charger], repeats_allowed=False)


async def test_what_a_lost_connection_leaves_open_comes_again_equal(folder, csms):
    csms.be_silent("MeterValues", times=1)
    async with after_an_outage(folder, csms, 25) as (site, charger):
        csms.refuse_connections(False)
        await csms.wait_for(lambda: csms.calls("MeterValues"))
        csms.cut()
        await drained(site)
        assert sizes(csms) == [20, 20, 5]
        lost, again, _ = csms.calls("MeterValues")
        assert lost.payload == again.payload
        csms.received.remove(lost)
        assert_cloud_has_what_was_sent(csms, [charger], repeats_allowed=False)


async def test_in_chronological_order_only_what_follows_directly_shares_a_message(folder, csms):
    async with after_an_outage(folder, csms, 3, order="chronological") as (site, charger):
        await charger.plug_in(2)
        await charger.start_session(2, "B", authorize=False)
        for connector in (1, 1, 2, 2, 2, 1):
            await charger.send_meter_values(connector)
        csms.refuse_connections(False)
        await drained(site)
        got = [(one.action, one.connector, entries_of(one)) for one in csms.received if one.transaction is not None]
        assert got[1:] == [
            ("MeterValues", 1, 3), ("StartTransaction", 2, 0), ("MeterValues", 1, 2), ("MeterValues", 2, 3),
            ("MeterValues", 1, 1),
        ]  # fmt: skip


async def test_values_against_the_schema_travel_alone_and_only_they_are_sent_twice(folder, csms):
    async with after_an_outage(folder, csms, 3) as (site, charger):
        own = charger.sent[-1].payload
        await charger.ask(
            "MeterValues", {**own, "bay": 7, "meterValue": [{**own["meterValue"][0], "timestamp": LATER}]}
        )
        await charger.send_meter_values(1)
        await charger.send_meter_values(1)
        csms.refuse_connections(False)
        await drained(site)
        assert sizes(csms) == [3, 1, 1, 2]
        assert [("bay" in one.payload) for one in csms.calls("MeterValues")] == [False, True, False, False]


LATER = "2031-01-01T00:00:00Z"


async def test_two_sessions_of_a_connector_never_share_a_message(folder, csms):
    async with after_an_outage(folder, csms, 4) as (site, charger):
        await charger.stop_session(1)
        await charger.unplug(1)
        await charger.plug_in(1)
        await charger.start_session(1, "B", authorize=False)
        for _ in range(4):
            await charger.send_meter_values(1)
        csms.refuse_connections(False)
        await drained(site)
        assert [one.action for one in apart(csms.received) if one.transaction is not None] == [
            "StartTransaction", *["MeterValues"] * 4, "StopTransaction", "StartTransaction", *["MeterValues"] * 4,
        ]  # fmt: skip
        assert sizes(csms) == [4, 4]
        assert_cloud_has_what_was_sent(csms, [charger], repeats_allowed=False)

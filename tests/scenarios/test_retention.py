"""A store with little room: what an outage costs, what never goes, and that all is well again afterwards.

On virtual time, with the unmodified daemon and a real SQLite file.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from simulators.charger import Charger

from edge.console.errors import CommandError
from edge.dialects import timestamps
from tests.scenarios.apart import apart
from tests.simulation.loop import SimLoop, run
from tests.simulation.world import folder_in_memory
from tests.simulation.yard import Yard, yard

TRANSACTION = ("StartTransaction", "MeterValues", "StopTransaction")


def simulate(story: Callable[[Yard, SimLoop], Awaitable[None]], **options) -> None:
    async def main(loop: SimLoop) -> None:
        with folder_in_memory() as folder:
            async with yard(loop, folder, **options) as site:
                await story(site, loop)

    run(main, max_steps=20_000_000)


async def status(site: Yard) -> dict:
    return await site.ask("status")


async def level(site: Yard) -> str | None:
    store = (await status(site))["store"]
    return None if store is None else store["level"]


async def until_level(site: Yard, *wanted: str, within: float = 300.0) -> dict:
    """The status that first shows one of these levels."""
    for _ in range(int(within)):
        found = await status(site)
        if found["store"] is not None and found["store"]["level"] in wanted:
            return found
        await asyncio.sleep(1.0)
    raise AssertionError(f"never {wanted}: {found['store']}, {found['alarms']}")


def filling(found: dict) -> list[str]:
    return [alarm["message"] for alarm in found["alarms"] if alarm["code"] == "store_filling"]


async def triggered(site: Yard, charger: Charger, connector: int) -> None:
    """A value that is never thinned, of some size."""
    now = timestamps.text(datetime.fromtimestamp(site.loop.elapsed() + site.loop.epoch.timestamp(), UTC))
    sampled = {"value": "1", "context": "Trigger", "measurand": "Voltage", "location": "Outlet", "unit": "V"}
    session = charger.outlets[connector].session
    await charger.ask(
        "MeterValues",
        {
            "connectorId": connector,
            "transactionId": session.transaction_id,
            "meterValue": [{"timestamp": now, "sampledValue": [sampled] * 20}],
        },
    )


def test_an_outage_in_a_small_store_costs_resolution_and_no_session():
    async def story(site, loop):
        first, second = site.chargers
        csms = site.csms
        assert (await until_level(site, "green"))["alarms"] == []
        csms.refuse_connections(True)
        csms.cut()
        await first.plug_in(1)
        await first.start_session(1, "LONG", authorize=False)
        # What waits is thinned as often as the store has grown to ORANGE, which takes a moment only.
        while not (found := await status(site))["store"]["thinned"]:
            for _ in range(20):
                first.add_energy(1, 100)
                await first.send_meter_values(1)
                await asyncio.sleep(30)
        assert found["store"]["level"] in ("green", "yellow")
        # Until there is nothing more to thin. Both fill it: of one alone nothing would be stored from 90 % on.
        await second.plug_in(1)
        await second.start_session(1, "OTHER", authorize=False)
        while (found := await status(site))["store"]["level"] != "orange":
            await triggered(site, first, 1)
            await triggered(site, second, 1)
            await asyncio.sleep(30)
        (message,) = filling(found)
        assert "thinned to one in 15 minutes" in message
        assert "store.max_size_mb" in message

        # Half a day more of the same costs next to nothing: what comes is thinned as well.
        waiting, used = found["backlog"]["messages"], found["store"]["bytes"]
        for _ in range(12 * 120):
            await first.send_meter_values(1)
            await asyncio.sleep(30)
        found = await status(site)
        assert found["store"]["level"] != "red"
        # Of each of the two sessions one value in 15 minutes; about 1 kB each with all that belongs to it.
        assert found["backlog"]["messages"] - waiting <= 2 * 4 * 12 + 4
        assert found["store"]["bytes"] - used <= 2 * 4 * 12 * 1200

        # Values that must not be thinned fill it up; then nothing but starts and stops is stored.
        while await level(site) != "red":
            await triggered(site, first, 1)
            await triggered(site, second, 1)
            await asyncio.sleep(2)
        before = (await status(site))["backlog"]["messages"]
        for _ in range(30):
            second.add_energy(1, 100)
            await second.send_meter_values(1)
        (message,) = filling(await status(site))
        assert "only starts and stops" in message
        await second.stop_session(1)
        await second.unplug(1)
        await second.start_session(2, "IN RED", authorize=False)
        await second.stop_session(2)
        await first.stop_session(1)
        found = await status(site)
        assert found["backlog"]["messages"] == before + 4
        assert all(one.answered for charger in site.chargers for one in charger.sent)

        # The cloud is back: all sessions reach it, in order, and there is room again.
        csms.refuse_connections(False)
        for _ in range(3600):
            found = await status(site)
            if found["backlog"]["messages"] == 0 and found["store"]["level"] == "green":
                break
            await asyncio.sleep(2)
        assert found["backlog"]["messages"] == 0
        found = await until_level(site, "green")
        assert filling(found) == []
        assert csms.violations == []
        assert_sessions_arrived(site)
        shown = (await site.ask("session", session="S1"))["session"]
        assert shown["delivery"]["state"] == "delivered"
        assert shown["delivery"]["thinned"] > 100
        assert site.disk.commits > 0

    simulate(story, chargers=2, max_size_mb=1)


def assert_sessions_arrived(site: Yard) -> None:
    """Each start and stop once, with the values between them in order of time and at most 15 minutes apart."""
    got = [call for call in apart(site.csms.received) if call.action in TRANSACTION]
    by_id: dict[int, list] = {}
    for call in got:
        number = call.answer["transactionId"] if call.action == "StartTransaction" else call.payload["transactionId"]
        by_id.setdefault(number, []).append(call)
    assert len(by_id) == 3
    for calls in by_id.values():
        assert [calls[0].action, calls[-1].action] == ["StartTransaction", "StopTransaction"]
        assert {call.action for call in calls[1:-1]} <= {"MeterValues"}
        times = [timestamps.parse(call.payload["meterValue"][0]["timestamp"]) for call in calls[1:-1]]
        assert times == sorted(times)
    longest = max(by_id.values(), key=len)
    times = [timestamps.parse(call.payload["meterValue"][0]["timestamp"]) for call in longest[1:-1]]
    assert max(b - a for a, b in zip(times, times[1:], strict=False)) <= timedelta(minutes=16)
    sent = [one for charger in site.chargers for one in charger.sent if one.action in TRANSACTION]
    in_cloud = [call.payload["meterStop"] for call in got if call.action == "StopTransaction"]
    assert sorted(in_cloud) == sorted(one.payload["meterStop"] for one in sent if one.action == "StopTransaction")


def test_delivered_history_goes_after_its_time_and_what_is_left_can_be_read():
    async def story(site, loop):
        (charger,) = site.chargers
        for tag in ("ONE", "TWO"):
            await charger.start_session(1, tag, authorize=False)
            await charger.send_meter_values(1)
            await charger.stop_session(1)
        await site.csms.wait_for(lambda: len(site.csms.calls("StopTransaction")) == 2)
        await asyncio.sleep(26 * 3600)
        await charger.start_session(1, "THREE", authorize=False)
        await charger.stop_session(1)
        await asyncio.sleep(30)
        sessions = (await site.ask("sessions"))["sessions"]
        assert [one["id_token"] for one in sessions] == ["THREE", "TWO", "ONE"]
        old = (await site.ask("session", session="S1"))["session"]
        assert old["messages"] == []
        assert old["energy_wh"] is not None
        new = (await site.ask("session", session="S3"))["session"]
        assert [one["action"] for one in new["messages"]] == ["StartTransaction", "StopTransaction"]
        assert (await site.ask("trace", subject="S1", raw=True))["entries"] == []
        entries = (await site.ask("trace", subject="CP-01", raw=True))["entries"]
        assert {entry["session"] for entry in entries} <= {None, "S3"}
        assert (await status(site))["store"]["removed"] > 8
        # Two days later they are not known any more, and their numbers are not given again.
        await asyncio.sleep(50 * 3600)
        sessions = (await site.ask("sessions"))["sessions"]
        assert [one["id_token"] for one in sessions] == ["THREE"]
        with pytest.raises(CommandError, match="no session"):
            await site.ask("session", session="S1")
        await charger.start_session(1, "FOUR", authorize=False)
        assert (await site.ask("sessions", open=True))["sessions"][0]["session"] == "S4"

    simulate(story, retention_days=1)


def test_a_parked_message_keeps_its_session_while_the_others_go():
    async def story(site, loop):
        (charger,) = site.chargers
        site.csms.refuse("StopTransaction", "FormationViolation", times=None, when=lambda call: True)
        await charger.start_session(1, "STAYS", authorize=False)
        await charger.stop_session(1)
        for _ in range(600):
            if (await status(site))["backlog"]["parked"]:
                break
            await asyncio.sleep(10)
        site.csms.behave()
        await charger.start_session(2, "GOES", authorize=False)
        await charger.stop_session(2)
        await asyncio.sleep(30 * 3600)
        messages = (await site.ask("session", session="S1"))["session"]["messages"]
        assert [(one["action"], one["state"]) for one in messages] == [
            ("StartTransaction", "acked"),
            ("StopTransaction", "parked"),
        ]
        assert (await site.ask("session", session="S2"))["session"]["messages"] == []
        (entry,) = (await site.ask("queue"))["entries"]
        assert entry["state"] == "parked"
        trace = (await site.ask("trace", subject="CP-01"))["entries"]
        assert "S1" in {one["session"] for one in trace}

    simulate(story, retention_days=1)

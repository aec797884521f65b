"""What takes minutes or hours: late answers, grace times, silence, half-open links, a disk that fails for a while."""

import asyncio

from tests.simulation.loop import run
from tests.simulation.world import folder_in_memory
from tests.simulation.yard import CLOUD, IDENTITY, yard


def simulate(story, **options):
    with folder_in_memory() as folder:

        async def main(loop):
            async with yard(loop, folder, **options) as site:
                return await story(site)

        return run(main).value


def test_a_late_answer_to_a_start_gives_its_id_and_a_second_id_is_flagged_not_used():
    async def story(site):
        (charger,) = site.chargers
        # The first answer takes 40 s: after 30 s it is given up, after 35 s the start is sent again.
        site.csms.delay("StartTransaction", 40.0, times=1)
        site.csms.delay("StartTransaction", 20.0, times=1)
        await charger.plug_in(1)
        await charger.start_session(1, "A", authorize=False)
        await charger.send_meter_values(1)
        await charger.stop_session(1)
        await site.csms.wait_for(lambda: site.csms.calls("StopTransaction"), 300)
        await asyncio.sleep(60)
        first, second = site.csms.calls("StartTransaction")
        assert first.payload == second.payload
        assert [one.answer["transactionId"] for one in (first, second)] == [500, 501]
        for action in ("MeterValues", "StopTransaction"):
            assert [one.payload["transactionId"] for one in site.csms.calls(action)] == [500]
        trace = (await site.ask("trace", subject="S1"))["entries"]
        assert [one["summary"] for one in trace if "duplicate_upstream_tx" in one["summary"]] == [
            "duplicate_upstream_tx 501, kept 500"
        ]
        status = await site.ask("status")
        assert status["backlog"]["messages"] == 0

    simulate(story, station_timeout_s=1000.0)


def test_silence_backs_off_to_five_minutes_and_never_uses_up_attempts():
    async def story(site):
        (charger,) = site.chargers
        site.csms.be_silent("StartTransaction", times=12)
        await charger.plug_in(1)
        await charger.start_session(1, "A", authorize=False)
        await site.csms.wait_for(lambda: len(site.csms.calls("StartTransaction")) == 13, 7200)
        times = [one.at for one in site.csms.calls("StartTransaction")]
        waits = [round(later - earlier - 30) for earlier, later in zip(times, times[1:], strict=False)]
        assert waits[:6] == [5, 10, 20, 40, 80, 160]
        assert set(waits[6:]) == {300}
        await asyncio.sleep(1)
        assert (await site.ask("status"))["backlog"] == {
            "messages": 0, "parked": 0, "oldest_age_s": None, "drain_s": None,
        }  # fmt: skip

    simulate(story, station_timeout_s=30.0)


def test_an_absent_charger_keeps_its_status_for_two_minutes_and_with_a_session_for_fifteen():
    async def story(site):
        (charger,) = site.chargers
        await charger.plug_in(1)
        await charger.start_session(1, "A", authorize=False)
        await asyncio.sleep(10)
        left = site.loop.time()
        await charger.disconnect()

        def unavailable(connector):
            return [
                one
                for one in site.csms.calls("StatusNotification")
                if one.payload["connectorId"] == connector
                and one.payload.get("info") == "charger offline"
                and one.at > left
            ]

        idle = await site.csms.wait_for(lambda: unavailable(2), 3600)
        assert 119 <= idle[0].at - left <= 125
        charging = await site.csms.wait_for(lambda: unavailable(1), 3600)
        assert 899 <= charging[0].at - left <= 905
        before = len(site.csms.received)
        await charger.connect()
        await site.csms.wait_for(
            lambda: (
                {
                    one.payload["connectorId"]
                    for one in site.csms.received[before:]
                    if one.action == "StatusNotification" and "info" not in one.payload
                }
                >= {1, 2}
            ),
            120,
        )

    simulate(story)


def test_a_half_open_uplink_is_found_by_pings_and_nothing_is_lost():
    async def story(site):
        (charger,) = site.chargers
        await charger.plug_in(1)
        await charger.start_session(1, "A", authorize=False)
        await site.csms.wait_for(lambda: site.csms.calls("StartTransaction"))
        cut_at = site.loop.time()
        site.loop.network.cut(CLOUD)  # no FIN: bytes just vanish
        await charger.send_meter_values(1)
        await charger.stop_session(1)
        while (await site.ask("uplink"))["uplink"]["state"] == "accepted":
            await asyncio.sleep(1)
        assert site.loop.time() - cut_at < 60
        await asyncio.sleep(600)
        site.loop.network.heal(CLOUD)
        await site.csms.wait_for(lambda: [one for one in site.csms.calls("StopTransaction") if one.is_answered], 600)
        assert [one.action for one in site.csms.received if one.transaction is not None] == [
            "StartTransaction", "MeterValues", "StopTransaction",
        ]  # fmt: skip

    simulate(story)


def test_a_commit_that_fails_is_never_answered_and_the_charger_repeats():
    async def story(site):
        (charger,) = site.chargers
        await charger.plug_in(1)
        await asyncio.sleep(31)  # others look into the store at half a minute
        site.disk.fail_commits(1)
        await charger.start_session(1, "A", authorize=False, timeout_s=120)
        start = charger.sent[0]
        assert start.attempts >= 2
        await site.csms.wait_for(lambda: site.csms.calls("StartTransaction"), 120)
        await asyncio.sleep(30)
        assert len(site.csms.calls("StartTransaction")) == 1
        assert site.csms.calls("StartTransaction")[0].payload == {**start.payload, "connectorId": 1}

    simulate(story)


def test_heartbeats_come_as_often_as_the_csms_asked_and_a_quiet_night_sends_nothing_else():
    async def story(site):
        await asyncio.sleep(600)
        site.csms.received.clear()
        await asyncio.sleep(3600)
        actions = {one.action for one in site.csms.received}
        assert actions == {"Heartbeat"}
        assert 11 <= len(site.csms.received) <= 13
        assert IDENTITY in site.csms.stations

    simulate(story, boot_interval_s=300)

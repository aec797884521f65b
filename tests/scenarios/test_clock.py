"""A machine without a battery-backed clock: what it stores before it knows the time is put right, not rewritten."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from edge.domain.timekeeping import EARLIEST, Anchor, Trust, judged, wall_time
from tests.simulation.loop import run
from tests.simulation.world import folder_in_memory
from tests.simulation.yard import yard

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
PAST = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "machine", "believed"),
    [
        (Trust.NTP, NOW, Trust.NTP),
        (Trust.NTP, PAST, Trust.NTP),
        (Trust.RTC, NOW, Trust.RTC),
        (Trust.RTC, PAST, Trust.FLOOR),
        (Trust.SYSTEM, NOW, Trust.SYSTEM),
        (Trust.SYSTEM, PAST, Trust.FLOOR),
        (Trust.FLOOR, NOW, Trust.FLOOR),
    ],
)
def test_only_the_network_may_put_the_clock_before_what_has_been(said, machine, believed):
    assert judged(said, machine, EARLIEST) is believed


def test_without_trust_the_time_is_at_least_the_floor_and_goes_on_with_the_monotonic_clock():
    floor = Anchor(NOW, 100.0)
    assert wall_time(Trust.FLOOR, PAST, 160.0, floor, None) == NOW + timedelta(seconds=60)
    assert wall_time(Trust.FLOOR, NOW + timedelta(hours=1), 160.0, floor, None) == NOW + timedelta(hours=1)
    assert wall_time(Trust.CSMS, PAST, 110.0, floor, Anchor(NOW, 105.0)) == NOW + timedelta(seconds=5)
    assert wall_time(Trust.RTC, NOW, 110.0, floor, None) == NOW


def simulate(story, **options):
    with folder_in_memory() as folder:

        async def main(loop):
            async with yard(loop, folder, **options) as site:
                return await story(site, loop)

        return run(main).value


def test_the_csms_tells_a_machine_without_a_clock_what_time_it_is():
    async def unsynchronised():
        return Trust.FLOOR

    async def story(site, loop):
        true_now = site.csms.utc_now
        status = await site.ask("status")
        assert abs(datetime.fromisoformat(status["at"]) - true_now()) < timedelta(seconds=2)
        assert "clock_not_synchronised" not in [alarm["code"] for alarm in status["alarms"]]
        (charger,) = site.chargers
        await charger.plug_in(1)
        await charger.start_session(1, "A", authorize=False)
        await asyncio.sleep(120)
        # what was stored before the CSMS had said the time is shown where it belongs
        entries = (await site.ask("trace", subject="CP-01"))["entries"]
        times = [datetime.fromisoformat(entry["at"]) for entry in entries]
        assert all(abs(at - true_now()) < timedelta(minutes=10) for at in times)

    simulate(story, machine_wall=PAST, how_clock_was_set=unsynchronised)


def test_a_machine_that_nobody_vouches_for_says_so():
    async def unsynchronised():
        return Trust.FLOOR

    async def story(site, loop):
        status = await site.ask("status")
        assert "clock_not_synchronised" in [alarm["code"] for alarm in status["alarms"]]
        assert datetime.fromisoformat(status["at"]) >= EARLIEST

    simulate(story, machine_wall=PAST, how_clock_was_set=unsynchronised, has_cloud=False)


def test_a_csms_that_jumps_is_doubted_then_believed_and_costs_no_history_for_an_hour():
    async def unsynchronised():
        return Trust.FLOOR

    async def story(site, loop):
        async def ours():
            return datetime.fromisoformat((await site.ask("status"))["at"])

        async def removed():
            return (await site.ask("status"))["store"]["removed"]

        true_now = site.csms.utc_now
        (charger,) = site.chargers
        await charger.plug_in(1)
        await charger.start_session(1, "A", authorize=False)
        await charger.stop_session(1)
        await asyncio.sleep(4000)
        site.csms.utc_now = lambda: true_now() + timedelta(days=1000)
        await asyncio.sleep(500)
        assert abs(await ours() - true_now()) < timedelta(minutes=1)
        while await ours() - true_now() < timedelta(days=999):
            await asyncio.sleep(60)
        assert "clock_differs" in [alarm["code"] for alarm in (await site.ask("status"))["alarms"]]
        await asyncio.sleep(3500)
        assert await removed() == 0
        await asyncio.sleep(8000)
        assert await removed() > 0  # it has vouched for an hour

    simulate(story, machine_wall=PAST, how_clock_was_set=unsynchronised, retention_days=30)

import asyncio
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import structlog
from simulators.meter import MeterSimulator

from edge.config.connections import ConnectionInvalid
from edge.domain.readings import Quality
from edge.site.profiles import load_profile
from tests.site.polling import STALE_AFTER_S, eventually, listening, polling


async def test_an_sdm630_is_read_on_each_phase(sdm630):
    sdm630.set(frequency_hz=49.98, energy_import_wh=12_345_500, energy_export_wh=125)
    async with polling(sdm630.connection) as site:
        await eventually(lambda: len(site.readings) > 0)
        reading = site.readings[0]
    assert reading.voltage_v == (230.5, 231.25, 229.75)
    assert reading.power_w == (3680.0, 2415.0, -150.0)
    assert reading.current_a == pytest.approx((3680 / 230.5, 2415 / 231.25, 150 / 229.75))
    assert reading.power_total_w == 5945.0
    assert reading.frequency_hz == pytest.approx(49.98)
    assert reading.energy_import_wh == pytest.approx(12_345_500, abs=1)
    assert reading.energy_export_wh == 125
    assert reading.at.tzinfo is not None


async def test_what_the_load_draws_now_is_what_the_next_reading_says(sdm630):
    draw = [1000.0]
    sdm630.load = lambda: (draw[0], 0.0, 0.0)
    async with polling(sdm630.connection) as site:
        assert (await site.reads_once_more()).power_w == (1000.0, 0.0, 0.0)
        draw[0] = 2000.0
        assert (await site.reads_once_more()).power_w == (2000.0, 0.0, 0.0)


async def test_the_state_tells_who_is_read_how_often_and_how_old_it_is(sdm630):
    async with polling(sdm630.connection, role="sub") as site:
        await site.reads_once_more()
        state = site.poller.state()
    assert (state.id, state.profile, state.unit, state.role) == ("grid", "eastron-sdm630", 1, "sub")
    assert state.connection == sdm630.connection
    assert (state.quality, state.reading, state.last_error) == (Quality.GOOD, site.readings[-1], None)
    assert state.polls == len(site.readings)
    assert state.failures == 0
    assert 0 <= state.age_s < STALE_AFTER_S


async def test_a_silent_meter_keeps_its_last_reading_until_it_is_stale_and_is_good_again_when_it_returns(sdm630):
    async with polling(sdm630.connection) as site:
        await site.reads_once_more()
        sdm630.silent()
        await eventually(lambda: site.poller.state().failures > 0)
        last = site.readings[-1]
        assert site.quality == Quality.GOOD
        await eventually(lambda: site.quality == Quality.STALE)
        state = site.poller.state()
        assert state.reading == last
        assert state.age_s >= STALE_AFTER_S
        assert "no answer within 0.2 s" in site.last_error
        sdm630.silent(False)
        await eventually(lambda: site.quality == Quality.GOOD)
        assert site.last_error == ""


async def test_a_meter_that_was_switched_off_and_on_is_read_again(sdm630):
    async with polling(sdm630.connection) as site:
        await site.reads_once_more()
        await sdm630.stop()
        await eventually(lambda: "Connection refused" in site.last_error)
        await eventually(lambda: site.quality == Quality.STALE)
        await sdm630.start()
        await eventually(lambda: site.quality == Quality.GOOD)


async def test_a_meter_that_never_answered_is_absent():
    meter = MeterSimulator()
    await meter.start()
    await meter.stop()
    async with polling(meter.connection) as site:
        await eventually(lambda: site.poller.state().failures > 1)
        state = site.poller.state()
    assert (state.quality, state.reading, state.age_s) == (Quality.ABSENT, None, None)
    assert state.polls == state.failures
    assert site.readings == []


async def test_a_refusing_meter_fails_the_poll_with_the_name_of_the_exception(sdm630):
    async with polling(sdm630.connection) as site:
        await site.reads_once_more()
        sdm630.refuse(6)
        await eventually(lambda: "refused with Modbus exception 6 (device busy)" in site.last_error)
        sdm630.refuse(None)
        await site.reads_once_more()


async def test_a_meter_that_answers_too_slowly_for_a_whole_cycle_fails_the_poll():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(12):
            await asyncio.sleep(0.15)
            words = request[11]
            writer.write(request[:5] + bytes([3 + 2 * words, request[6], 4, 2 * words]) + bytes(2 * words))

    profile = replace(load_profile("eastron-sdm630"), max_read=6)  # five requests of 0.15 s
    async with listening(serve) as port, polling(f"tcp://127.0.0.1:{port}", profile) as site:
        await eventually(lambda: site.last_error != "")
        assert site.last_error == "the meter answered, but not all requests within 0.4 s"
    assert site.readings == []


async def test_pauses_grow_while_a_meter_fails(sdm630):
    sdm630.refuse(4)
    async with polling(sdm630.connection, poll_interval=0.01) as site:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await eventually(lambda: site.poller.state().failures == 6)
        assert loop.time() - start >= 0.01 + 0.02 + 0.04 + 0.08 + 0.16


IMPLAUSIBLE = [
    ({"voltage_v": (400.0, 230.0, 230.0)}, "u1: 400.0 V is not a phase voltage"),
    ({"power_w": (9000.0, 0.0, 0.0), "current_a": (1.0, 0.0, 0.0)}, "p1: 9000 W is more than 230.0 V and 1.0 A can be"),
    (
        {"power_w": (math.nan, 0.0, 0.0), "current_a": (0.0, 0.0, 0.0)},
        "p1: the meter marks the value as not available; p_total",
    ),
]


@pytest.mark.parametrize(("values", "reason"), IMPLAUSIBLE)
async def test_an_implausible_answer_is_a_failure_and_never_a_reading(sdm630, values, reason):
    sdm630.set(voltage_v=(230.0, 230.0, 230.0), power_w=(0.0, 0.0, 0.0))
    async with polling(sdm630.connection) as site:
        good = await site.reads_once_more()
        sdm630.set(**values)
        await eventually(lambda: site.last_error.startswith(reason))
        sdm630.set(voltage_v=(230.0, 230.0, 230.0), power_w=(0.0, 0.0, 0.0))
        await site.reads_once_more()
    assert {each.power_w for each in site.readings} == {good.power_w}


async def test_an_exchanged_meter_with_a_lower_counter_spoils_one_poll_only(sdm630):
    sdm630.set(power_w=(0.0, 0.0, 0.0), energy_import_wh=5_000)
    with structlog.testing.capture_logs() as logs:
        async with polling(sdm630.connection) as site:
            await site.reads_once_more()
            await sdm630.stop()
            await eventually(lambda: site.poller.state().failures > 0)
            sdm630.set(energy_import_wh=1_000)
            await sdm630.start()
            reading = await site.reads_once_more()
    assert reading.energy_import_wh == 1_000
    reasons = [each["reason"] for each in logs if each["event"] == "meter_poll_failed"]
    assert reasons.count("e_import: went back from 5000 Wh to 1000 Wh") == 1


async def test_a_value_that_a_variant_of_the_meter_lacks_leaves_the_rest_readable(sdm630):
    profile = load_profile("eastron-sdm630")
    places = {"f": 380, "e_export": 382}  # asked with one request; the simulated meter ends at 381
    moved = tuple(replace(value, address=places.get(value.name, value.address)) for value in profile.values)
    profile = replace(profile, values=moved)
    async with polling(sdm630.connection, profile) as site:
        reading = await site.reads_once_more()
    assert (reading.frequency_hz, reading.energy_export_wh) == (0.0, None)
    assert reading.energy_import_wh is not None
    assert reading.power_w == (3680.0, 2415.0, -150.0)


async def test_a_request_across_registers_that_the_meter_lacks_is_asked_in_parts(sdm630):
    asked = []

    def refuse_long_reads(address: int, count: int) -> None:
        asked.append((address, count))
        sdm630.refuse(2 if count > 40 else None)

    sdm630.on_read = refuse_long_reads
    with structlog.testing.capture_logs() as logs:
        async with polling(sdm630.connection) as site:
            await site.reads_once_more()
    assert asked[:5] == [(70, 6), (0, 54), (70, 6), (0, 18), (52, 2)]
    split = [(each["address"], each["parts"]) for each in logs if each["event"] == "meter_block_split"]
    assert split == [(0, 2)]


async def test_a_meter_that_needs_silence_between_requests_gets_it(sdm630):
    asked: list[float] = []
    sdm630.on_read = lambda _address, _count: asked.append(asyncio.get_running_loop().time())
    async with polling(sdm630.connection, replace(load_profile("eastron-sdm630"), min_gap_s=0.05)) as site:
        await site.reads_once_more()
    assert all(after - before > 0.045 for before, after in pairwise(asked))


async def test_losing_and_finding_a_meter_is_logged_once_each(sdm630):
    with structlog.testing.capture_logs() as logs:
        async with polling(sdm630.connection) as site:
            await site.reads_once_more()
            sdm630.refuse(4)
            await eventually(lambda: site.quality == Quality.STALE)
            failures = site.poller.state().failures
            await eventually(lambda: site.poller.state().failures > failures + 1)
            sdm630.refuse(None)
            await site.reads_once_more()
    told = [each["event"] for each in logs if each["log_level"] != "debug"]
    assert told == ["meter_connected", "meter_lost", "meter_connected"]
    lost = next(each for each in logs if each["event"] == "meter_lost")
    assert (lost["meter"], lost["quality"]) == ("grid", "stale")
    assert "device failure" in lost["reason"]


async def test_a_poller_that_is_cancelled_leaves_nothing_behind(sdm630):
    async with polling(sdm630.connection) as site:
        await site.reads_once_more()
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    await eventually(lambda: sdm630.connections == 0)


async def test_a_connection_that_cannot_be_used_is_refused_at_the_start():
    with pytest.raises(ConnectionInvalid, match="http"):
        async with polling("http://192.0.2.20"):
            pass

"""The simulator is what other tests, the demo and technicians lean on, so it is tested itself."""

import asyncio
import heapq
import re
import selectors
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymodbus.transport import NULLMODEM_HOST
from simulators.meter import MeterSimulator

from edge.config import Meter
from edge.domain.readings import MeterState, Quality, SiteReading
from edge.site.installation import Installation
from edge.site.modbus import ModbusRefused, TcpLine
from edge.site.poller import MeterPoller
from edge.site.rtu import Question
from tests.site.polling import LoopClock, polling

PROGRAM = Path(__file__).parents[2] / "tools/simulators/meter.py"


@pytest.fixture
async def link(sdm630) -> AsyncIterator[TcpLine]:
    link = TcpLine(sdm630.host, sdm630.port, 1)
    yield link
    link.close()


async def read(link: TcpLine, function_code: int, address: int, count: int) -> tuple[int, ...]:
    return await link.read(Question(1, function_code, address, count), 1)


async def test_each_simulator_picks_a_free_port(sdm630):
    other = MeterSimulator()
    await other.start()
    assert 0 < other.port != sdm630.port
    await other.stop()


async def test_it_refuses_what_the_real_meter_refuses(link):
    with pytest.raises(ModbusRefused, match="illegal function"):
        await read(link, 3, 0, 2)
    with pytest.raises(ModbusRefused, match="illegal data value"):
        await read(link, 4, 0, 82)
    with pytest.raises(ModbusRefused, match="illegal data address"):
        await read(link, 4, 400, 2)


async def test_a_frozen_meter_answers_with_the_old_values(sdm630, link):
    before = await read(link, 4, 0, 54)
    sdm630.freeze()
    sdm630.set(power_w=(1.0, 2.0, 3.0))
    assert await read(link, 4, 0, 54) == before
    sdm630.freeze(False)
    assert await read(link, 4, 0, 54) != before


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time jumps to the next timer whenever nothing is ready to run."""

    def __init__(self) -> None:
        super().__init__(selectors.SelectSelector())
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        if not self._ready and self._scheduled:
            self._now = max(self._now, self._scheduled[0]._when)
        super()._run_once()


def poller_of(settings: Meter, readings: list[SiteReading]) -> MeterPoller:
    (poller,) = Installation([settings], LoopClock(), lambda _, reading: readings.append(reading)).pollers
    return poller


async def poll_for_two_hours() -> tuple[list[SiteReading], list[MeterState]]:
    """One hour of 6 kW import, half an hour of silence, half an hour of 2 kW export, without a socket."""
    meter = MeterSimulator(NULLMODEM_HOST, 5020)
    meter.set(power_w=(2000.0, 2000.0, 2000.0))
    await meter.start()
    readings: list[SiteReading] = []
    states: list[MeterState] = []
    poller = poller_of(Meter(id="grid", profile="eastron-sdm630", connection=meter.connection), readings)
    async with asyncio.TaskGroup() as tasks:
        polls = tasks.create_task(poller.run())
        await asyncio.sleep(3600.5)
        meter.silent()
        meter.set(power_w=(0.0, 0.0, 0.0))
        await asyncio.sleep(1800)
        states.append(poller.state())
        meter.silent(False)
        meter.set(power_w=(-1000.0, -1000.0, 0.0))
        await asyncio.sleep(1840)
        states.append(poller.state())
        polls.cancel()
    await meter.stop()
    return readings, states


def test_hours_pass_in_an_instant_on_virtual_time_without_drift_and_with_counted_energy():
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        readings, (silent, back) = runner.run(poll_for_two_hours())
    importing = [each for each in readings if each.power_total_w == 6000.0]
    seconds = [(each.at - readings[0].at).total_seconds() for each in importing]
    assert seconds == [float(second) for second in range(3601)]
    assert importing[-1].energy_import_wh == pytest.approx(6000, abs=1)
    assert (silent.quality, back.quality) == (Quality.STALE, Quality.GOOD)
    # a second to notice, then a pause of at most five
    assert 1800 / 6 - 2 <= silent.failures <= 1800 / 6 + 4
    assert back.failures <= silent.failures + 1
    assert back.reading.energy_export_wh == pytest.approx(2000 * 1840 / 3600, abs=2000 * 31 / 3600)


async def poll_ten_times_a_second_for_a_minute() -> int:
    meter = MeterSimulator(NULLMODEM_HOST, 5020)
    await meter.start()
    readings: list[SiteReading] = []
    settings = Meter(id="grid", profile="eastron-sdm630", connection=meter.connection, poll_interval=0.1)
    poller = poller_of(settings, readings)
    async with asyncio.TaskGroup() as tasks:
        polls = tasks.create_task(poller.run())
        await asyncio.sleep(60.05)
        polls.cancel()
    await meter.stop()
    return len(readings)


def test_no_poll_is_doubled_or_left_out_where_time_is_not_a_round_number():
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(poll_ten_times_a_second_for_a_minute()) == 601


async def test_the_program_serves_until_it_is_interrupted():
    program = await asyncio.create_subprocess_exec(
        sys.executable, PROGRAM, "--port", "0", "--base-load", "4500", "--verbose", stdout=asyncio.subprocess.PIPE
    )
    hello = (await program.stdout.readline()).decode()
    connection = re.search(r"tcp://\S+:\d+", hello).group()
    async with polling(connection) as site:
        assert (await site.reads_once_more()).power_w == (1500.0, 1500.0, 1500.0)
    program.send_signal(signal.SIGINT)
    printed = (await program.stdout.read()).decode()
    assert await program.wait() == 0
    assert printed.startswith("read 6 registers from 70\nread 54 registers from 0\n")

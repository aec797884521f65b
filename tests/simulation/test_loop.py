"""The loop itself: virtual time, determinism, incarnations, and what it refuses to do."""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from tests.simulation.loop import Deadlock, NotSimulated, RanTooLong, Unhandled, run

ROOT = Path(__file__).parents[2]
CSMS = ("csms.example", 9000)
METER = ("10.0.0.5", 502)
HOUR = 3600.0


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def a_day_of_messages(loop):
    answers = 0
    async with (
        serve(echo, *CSMS, ping_interval=30, ping_timeout=10),
        connect("ws://csms.example:9000/cp", proxy=None, ping_interval=30, ping_timeout=10) as link,
    ):
        while loop.elapsed() < 24 * HOUR:
            await asyncio.sleep(60)
            await link.send(f"message {answers}")
            assert await link.recv() == f"message {answers}"
            answers += 1
    return answers


async def an_hour_of_meter_readings(loop):
    """Polls each second; from minute 20 to minute 25 the meter is behind a black hole."""
    outcomes = []
    meter = ModbusTcpServer(
        SimDevice(1, [SimData(0, count=10, values=230, datatype=DataType.REGISTERS)]), address=METER
    )
    await meter.serve_forever(background=True)
    client = AsyncModbusTcpClient(
        METER[0], port=METER[1], timeout=1, retries=0, reconnect_delay=1, reconnect_delay_max=10
    )
    loop.call_later(1200, loop.network.cut, METER)
    loop.call_later(1500, loop.network.heal, METER)
    await client.connect()
    while loop.elapsed() < HOUR:
        began = loop.time()
        try:
            answer = await client.read_holding_registers(0, count=3, device_id=1)
        except ModbusException:
            outcomes.append((loop.elapsed(), "silent"))
        else:
            outcomes.append((loop.elapsed(), answer.registers))
        loop.trace.note(str(outcomes[-1]))
        await asyncio.sleep(max(0.0, began + 1 - loop.time()))
    client.close()
    await meter.shutdown()
    return outcomes


async def a_busy_server_closing(loop):
    """Many connections at once in the sets of websockets and asyncio, closed together."""

    async def client(number):
        async with connect("ws://csms.example:9000/", proxy=None) as link:
            await link.send(str(number))
            with pytest.raises(ConnectionClosed):
                while True:
                    await link.recv()

    async with asyncio.TaskGroup() as tasks, serve(echo, *CSMS):
        for number in range(20):
            tasks.create_task(client(number))
        await asyncio.sleep(5)


async def siblings_cancelled_together(loop):
    """A task group keeps its tasks in a set and cancels them in its order."""

    async def sibling(number):
        await asyncio.sleep(number % 3)
        try:
            await asyncio.sleep(HOUR)
        finally:
            loop.trace.note(f"{number} is cancelled")

    async def failing():
        await asyncio.sleep(5 + loop.network.jitter * random.random())
        raise LookupError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            for number in range(40):
                tasks.create_task(sibling(number))
            tasks.create_task(failing())


def test_a_day_on_a_websocket_takes_a_moment():
    began = time.perf_counter()
    finished = run(a_day_of_messages)
    took = time.perf_counter() - began
    assert finished.value == 1440
    assert finished.virtual_seconds >= 24 * HOUR
    assert finished.virtual_seconds / took > 3000


def test_the_meter_is_read_again_after_a_black_hole_of_five_minutes():
    outcomes = run(an_hour_of_meter_readings).value
    silent = [at for at, outcome in outcomes if outcome == "silent"]
    assert 1200 < silent[0] < 1203
    assert 1490 < silent[-1] < 1515
    assert {tuple(outcome) for at, outcome in outcomes if at < 1200 or at > 1520} == {(230, 230, 230)}
    assert sum(at > 1520 for at, _ in outcomes) > 2000


@pytest.mark.parametrize(
    "scenario", [a_day_of_messages, an_hour_of_meter_readings, a_busy_server_closing, siblings_cancelled_together]
)
def test_the_same_seed_gives_the_same_trace_and_another_seed_another(scenario):
    first, second, other = run(scenario, seed=7), run(scenario, seed=7), run(scenario, seed=8)
    assert first.trace.sha256() == second.trace.sha256()
    assert first.steps == second.steps
    assert first.trace.sha256() != other.trace.sha256()


@pytest.mark.parametrize("scenario", [an_hour_of_meter_readings, a_busy_server_closing, siblings_cancelled_together])
def test_the_trace_is_the_same_in_processes_with_different_hash_seeds(scenario):
    program = (
        "from tests.simulation import test_loop, loop\n"
        f"print(loop.run(test_loop.{scenario.__name__}, seed=3).trace.sha256())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert hashes == {run(scenario, seed=3).trace.sha256()}


def test_the_process_gets_its_own_chance_and_clock_back_after_a_run():
    before = random.getstate(), time.time, os.urandom  # noqa: TID251

    async def draw(loop):
        return random.random(), os.urandom(8), time.time()  # noqa: TID251

    first, second = run(draw).value, run(draw).value
    assert first == second
    assert first[2] == pytest.approx(1772323200)  # 2026-03-01, the loop's epoch
    assert (random.getstate(), time.time, os.urandom) == before  # noqa: TID251


def test_timers_of_the_same_instant_run_in_the_order_in_which_they_were_made():
    async def main(loop):
        seen = []
        for number in range(50):
            loop.call_at(loop.time() + 5, seen.append, number)
        await asyncio.sleep(6)
        return seen

    assert run(main).value == list(range(50))


def test_cancelled_timers_do_not_pile_up():
    async def main(loop):
        for _ in range(10_000):
            async with asyncio.timeout(HOUR):
                await asyncio.sleep(0.001)
        return len(loop._scheduled)

    assert run(main).value < 1000


def test_a_deadlock_is_reported_with_who_waits_where():
    async def wait_for_nobody():
        await asyncio.Event().wait()

    async def main(loop):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait_for_nobody(), name="the-stuck-one")

    with pytest.raises(Deadlock, match=r"the-stuck-one .*wait_for_nobody > Event\.wait"):
        run(main)


def test_a_run_beyond_its_virtual_time_or_its_steps_is_ended():
    async def for_ever(loop):
        while True:
            await asyncio.sleep(1)

    async def without_time_passing(loop):
        while True:
            await asyncio.sleep(0)

    with pytest.raises(RanTooLong, match="after the start"):
        run(for_ever, max_virtual_time=HOUR)
    with pytest.raises(RanTooLong, match="steps"):
        run(for_ever, max_steps=1000)
    with pytest.raises(RanTooLong, match="without time passing"):
        run(without_time_passing)


def test_an_exception_that_nobody_caught_fails_the_run():
    async def main(loop):
        loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(Unhandled) as caught:
        run(main)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_threads_signals_and_tls_are_refused_by_name():
    async def main(loop):
        for call in (
            lambda: loop.run_in_executor(None, print),
            lambda: loop.add_signal_handler(15, print),
            lambda: loop.add_reader(0, print),
        ):
            with pytest.raises(NotSimulated, match=r"loop\.\w+ has no place on virtual time"):
                call()
        with pytest.raises(NotSimulated, match="run_in_executor"):
            await asyncio.to_thread(print)  # noqa: TID251
        with pytest.raises(NotSimulated, match="TLS"):
            await loop.create_connection(asyncio.Protocol, *CSMS, ssl=True)
        from_this_thread = loop.create_future()
        loop.call_soon_threadsafe(from_this_thread.set_result, 1)
        return await from_this_thread

    assert run(main).value == 1


def test_tasks_left_at_the_end_are_cancelled_and_may_clean_up():
    async def main(loop):
        cleaned = []

        async def left_over():
            try:
                await asyncio.sleep(HOUR)
            finally:
                await asyncio.sleep(1)
                cleaned.append(loop.elapsed())

        loop.create_task(left_over())
        await asyncio.sleep(1)
        return cleaned

    assert run(main).value == [2.0]


# ── schedule exploration ────────────────────────────────────────────────────────


async def racing_tasks(loop):
    order = []

    async def racer(number):
        for _ in range(3):
            await asyncio.sleep(1)
            order.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(6):
            tasks.create_task(racer(number))
    return order


def test_a_shuffled_ready_queue_explores_other_orders_and_repeats_them():
    plain = run(racing_tasks).value
    orders = {tuple(run(racing_tasks, shuffle=random.Random(seed)).value) for seed in range(20)}
    assert plain == [*range(6)] * 3
    assert len(orders) > 15
    again = {tuple(run(racing_tasks, shuffle=random.Random(seed)).value) for seed in range(20)}
    assert orders == again


def test_streams_keep_their_order_in_a_shuffled_world():
    async def main(loop):
        loop.network.fragmentation = 0.5
        loop.network.jitter = 0.0
        received = []

        async def keep(reader, writer):
            received.append(await reader.read(-1))
            writer.close()

        server = await asyncio.start_server(keep, *CSMS)
        _reader, writer = await asyncio.open_connection(*CSMS)
        for number in range(200):
            writer.write(f"{number},".encode())
        writer.write_eof()
        await asyncio.sleep(1)
        writer.close()
        server.close()
        await server.wait_closed()
        return received

    for seed in range(5):
        received = run(main, shuffle=random.Random(seed)).value
        assert received == ["".join(f"{number}," for number in range(200)).encode()]


# ── incarnations ────────────────────────────────────────────────────────────────


def test_a_crash_leaves_no_callback_and_runs_no_cleanup():
    async def main(loop):
        heard = []

        async def daemon():
            try:
                async with serve(echo, *CSMS), asyncio.TaskGroup() as tasks:
                    for _ in range(3):
                        tasks.create_task(asyncio.sleep(HOUR))
                    while True:
                        await asyncio.sleep(0.1)
                        heard.append(loop.elapsed())
            finally:
                heard.append("cleaned up")

        loop.launch("edge#1", daemon())
        await asyncio.sleep(1)
        async with connect("ws://csms.example:9000/", proxy=None, ping_interval=5) as link:
            await asyncio.sleep(10)
            assert loop.callbacks_of("edge#1")
            loop.crash("edge#1")
            died_at = loop.elapsed()
            assert loop.callbacks_of("edge#1") == []
            with pytest.raises(ConnectionClosed) as closed:
                await link.recv()
            assert isinstance(closed.value.__cause__, ConnectionResetError)
            assert 0.001 <= loop.elapsed() - died_at < 0.002
        await asyncio.sleep(HOUR)
        assert loop.callbacks_of("edge#1") == []
        assert loop.network.links() == []
        with pytest.raises(ConnectionRefusedError):
            await connect("ws://csms.example:9000/", proxy=None)
        return died_at, list(heard)

    died_at, heard = run(main).value
    assert "cleaned up" not in heard
    assert heard[-1] <= died_at


def test_the_next_life_listens_on_the_same_address_and_the_crashed_tag_is_not_used_again():
    async def main(loop):
        async def daemon(answer):
            async def tell(connection):
                await connection.send(answer)

            async with serve(tell, *CSMS) as server:
                await server.serve_forever()

        answers = []
        for life in (1, 2, 3):
            loop.launch(f"edge#{life}", daemon(f"life {life}"))
            await asyncio.sleep(1)
            async with connect("ws://csms.example:9000/", proxy=None) as link:
                answers.append(await link.recv())
            loop.crash(f"edge#{life}")
        late = daemon("ghost")
        with pytest.raises(ValueError, match="next life"):
            loop.launch("edge#1", late)
        late.close()
        return answers

    assert run(main).value == ["life 1", "life 2", "life 3"]


def test_what_the_living_do_for_the_dead_is_not_run():
    async def main(loop):
        answered = []
        question = loop.create_future()

        async def daemon():
            answered.append(await question)

        task = loop.launch("edge#1", daemon())
        await asyncio.sleep(1)
        loop.crash("edge#1")
        question.set_result("too late")
        await asyncio.sleep(1)
        return answered, task.done()

    assert run(main).value == ([], False)

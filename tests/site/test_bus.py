"""Whose turn it is on a line that several meters share."""

import asyncio

import pytest

from edge.site.bus import Bus
from edge.site.rtu import Question
from tests.site.polling import eventually


class Wire:
    """A line that nobody asks anything; counts how often it is closed."""

    baudrate = None
    closed = 0

    def patience_s(self, count: int, turnaround_s: float) -> float:
        return 1.0

    async def read(self, question: Question, within: float) -> tuple[int, ...]:
        raise AssertionError

    def close(self) -> None:
        self.closed += 1


class Queue:
    """Who had the line, in order; each holds it until it is told to go on."""

    def __init__(self) -> None:
        self.line = Wire()
        self.bus = Bus(self.line)
        self.had: list[str] = []
        self._go_on = asyncio.Semaphore(0)

    async def take(self, name: str, *, first: bool = False) -> None:
        async with self.bus.turn(first=first):
            self.had.append(name)
            await self._go_on.acquire()

    async def waits(self, count: int) -> None:
        await eventually(lambda: len(self.bus._waiting) == count)

    def go_on(self, turns: int = 1) -> None:
        for _ in range(turns):
            self._go_on.release()


@pytest.fixture
def queue() -> Queue:
    return Queue()


async def test_one_talks_at_a_time_in_the_order_of_asking(queue):
    async with asyncio.TaskGroup() as tasks:
        for name in "abcd":
            tasks.create_task(queue.take(name))
        await queue.waits(3)
        assert queue.had == ["a"]
        queue.go_on()
        await queue.waits(2)
        assert queue.had == ["a", "b"]
        queue.go_on(3)
    assert queue.had == ["a", "b", "c", "d"]


async def test_the_grid_meter_is_next_however_many_wait(queue):
    async with asyncio.TaskGroup() as tasks:
        for name in "abc":
            tasks.create_task(queue.take(name))
        await queue.waits(2)
        tasks.create_task(queue.take("grid", first=True))
        await queue.waits(3)
        queue.go_on(4)
    assert queue.had == ["a", "grid", "b", "c"]


async def test_the_others_get_a_turn_also_from_a_grid_meter_that_always_asks(queue):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(queue.take("a"))
        for _ in range(8):
            tasks.create_task(queue.take("grid", first=True))
        for name in "bc":
            tasks.create_task(queue.take(name))
        await queue.waits(10)
        queue.go_on(11)
    assert queue.had == ["a", *["grid"] * 3, "b", *["grid"] * 3, "c", *["grid"] * 2]


async def test_who_gives_up_waiting_is_passed_over(queue):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(queue.take("a"))
        gives_up = tasks.create_task(queue.take("b"))
        tasks.create_task(queue.take("c"))
        await queue.waits(2)
        gives_up.cancel()
        await queue.waits(1)
        queue.go_on(2)
    assert queue.had == ["a", "c"]


async def test_who_gives_up_at_the_moment_of_his_turn_hands_it_on(queue):
    async with asyncio.TaskGroup() as tasks:
        async with queue.bus.turn(first=False):
            gives_up = tasks.create_task(queue.take("b"))
            tasks.create_task(queue.take("c"))
            await queue.waits(2)
        gives_up.cancel()  # the turn is his, but he has not run since
        queue.go_on()
    assert queue.had == ["c"]
    assert queue.bus._is_taken is False


async def test_all_may_give_up_at_once(queue):
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(queue.take(name)) for name in "abcd"]
        await queue.waits(3)
        for task in waiting:
            task.cancel()
    async with queue.bus.turn(first=False):
        assert queue.had == ["a"]


async def test_who_fails_in_his_turn_hands_it_on(queue):
    with pytest.raises(OSError, match="broken"):
        async with queue.bus.turn(first=False):
            raise OSError("broken")
    async with queue.bus.turn(first=False):
        pass


def test_the_line_is_closed_when_its_last_user_leaves(queue):
    with queue.bus.in_use():
        with queue.bus.in_use():
            pass
        assert queue.line.closed == 0
    assert queue.line.closed == 1

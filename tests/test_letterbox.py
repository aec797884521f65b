"""What is put into a letterbox is read one after the other, by a task that lives only meanwhile."""

import asyncio

import pytest

from edge.letterbox import Letterbox


class Reader:
    """Reads each thing when it is allowed to."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.begun: list[int] = []
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def __call__(self, thing: int) -> None:
        self.begun.append(thing)
        await self.may_read.wait()
        self.read.append(thing)


async def test_things_are_read_one_at_a_time_in_their_order() -> None:
    reader = Reader()
    letterbox = Letterbox(reader)
    reader.may_read.clear()
    async with asyncio.TaskGroup() as tasks:
        letterbox.open(tasks)
        for thing in range(5):
            letterbox.put(thing)
        await asyncio.sleep(0)
        assert (reader.begun, len(letterbox), letterbox.is_idle) == ([0], 4, False)
        reader.may_read.set()
        await letterbox.emptied()
        assert (reader.read, letterbox.is_idle) == ([0, 1, 2, 3, 4], True)


async def test_what_came_before_it_was_opened_is_read_then() -> None:
    reader = Reader()
    letterbox = Letterbox(reader)
    letterbox.put(1)
    async with asyncio.TaskGroup() as tasks:
        letterbox.open(tasks)
        letterbox.put(2)
        await letterbox.emptied()
    assert reader.read == [1, 2]


async def test_without_anything_to_read_there_is_no_task() -> None:
    letterbox = Letterbox(Reader())
    before = len(asyncio.all_tasks())
    async with asyncio.TaskGroup() as tasks:
        letterbox.open(tasks)
        assert len(asyncio.all_tasks()) == before
        letterbox.put(1)
        assert len(asyncio.all_tasks()) == before + 1
        await letterbox.emptied()
        assert len(asyncio.all_tasks()) == before


async def test_after_its_end_nothing_more_is_read() -> None:
    reader = Reader()
    letterbox = Letterbox(reader)
    reader.may_read.clear()
    async with asyncio.TaskGroup() as tasks:
        letterbox.open(tasks)
        letterbox.put(1)
        letterbox.put(2)
        await asyncio.sleep(0)
        letterbox.close()
        letterbox.put(3)
    reader.may_read.set()
    await letterbox.emptied()
    assert (reader.begun, reader.read) == ([1], [])


async def test_what_the_reader_raises_is_for_the_task_group() -> None:
    async def fail(_thing: int) -> None:
        raise LookupError

    letterbox = Letterbox(fail)
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.TaskGroup() as tasks:
            letterbox.open(tasks)
            letterbox.put(1)
            letterbox.put(2)
    assert isinstance(raised.value.exceptions[0], LookupError)

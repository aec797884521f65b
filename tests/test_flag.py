"""A flag lets everybody go on who waits for it, as an `asyncio.Event` does."""

import asyncio

import pytest

from edge.flag import Flag


async def test_everybody_who_waits_goes_on_when_it_is_set() -> None:
    flag, passed = Flag(), []

    async def wait(name: str) -> None:
        await flag.wait()
        passed.append(name)

    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(wait(name)) for name in "ab"]
        await asyncio.sleep(0)
        assert (passed, flag.is_set()) == ([], False)
        flag.set()
        await asyncio.wait(waiting)
        await flag.wait()
    assert (passed, flag.is_set()) == (["a", "b"], True)


async def test_who_comes_after_it_was_cleared_waits_for_the_next_time() -> None:
    flag = Flag()
    flag.set()
    flag.clear()
    assert not flag.is_set()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(flag.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        flag.set()
        flag.clear()
        await waiting


async def test_who_stops_waiting_is_forgotten() -> None:
    flag = Flag()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await flag.wait()
    flag.set()
    await flag.wait()

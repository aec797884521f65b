"""What the CSMS is told of firmware and logs, it is told once, whatever the disk does."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from edge.domain.rollouts import Wish, as_json
from edge.store import rollouts
from edge.store.db import CommitFailed
from edge.uplink.job_reports import AGAIN_AFTER, JobReports, Subject
from tests.store.givens import opened


class World:
    """A clock that is set by hand, and a store in memory, of which the disk may be full."""

    def __init__(self, connection):
        self.now = 0.0
        self.is_full = False
        self._connection = connection

    def monotonic(self):
        return self.now

    def utc_now(self):
        return datetime.fromtimestamp(self.now, UTC)

    async def look(self, unit):
        return await self.write(unit)

    async def write(self, unit):
        await asyncio.sleep(0)
        before = self._connection.total_changes
        self._connection.execute("BEGIN IMMEDIATE")
        found = unit(self._connection)
        if self.is_full and self._connection.total_changes > before:
            self._connection.rollback()
            raise CommitFailed("disk full")
        self._connection.commit()
        await asyncio.sleep(0)
        return found


@pytest.fixture
def world(tmp_path):
    connection = opened(tmp_path / "edge.db")
    rollouts.begin(connection, rollouts.CSMS, as_json(Wish("https://a.example/x.bin")), [], 1000)
    connection.commit()
    yield World(connection)
    connection.close()


@contextlib.asynccontextmanager
async def running(world):
    made = JobReports(world, world, lambda: None)
    async with asyncio.TaskGroup() as tasks:
        service = tasks.create_task(made.run())
        await asyncio.sleep(0.01)
        try:
            yield made
        finally:
            service.cancel()


@pytest.mark.parametrize("is_full", [False, True])
async def test_a_status_is_told_once_also_while_the_disk_is_full(world, is_full):
    world.is_full = is_full
    told = []
    async with running(world) as reports:
        for _ in range(50):
            if (news := reports.next_news()) is not None:
                told.append(news.status)
                reports.changed()  # as a charger's words do meanwhile
                await reports.told(news)
            await asyncio.sleep(0)
        assert len(told) == 1
        reports.tell_again(Subject.FIRMWARE, is_extended=False)
        await asyncio.sleep(0.01)
        answer = reports.next_news()
        assert answer is not None and answer.asked is not None
        await reports.told(answer)
        await asyncio.sleep(0.01)
        assert reports.next_news() is None


async def test_a_csms_that_never_takes_it_is_told_less_and_less_often(world):
    tries = 0
    async with running(world) as reports:
        while world.now < 86_400:
            if (news := reports.next_news()) is not None:
                tries += 1
                await reports.told(news, again=True)
            world.now += AGAIN_AFTER
    assert 100 < tries < 200

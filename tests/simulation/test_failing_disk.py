"""What a disk that takes nothing does to each part of the daemon: it says so in words and goes on, without a traceback."""

import asyncio
import gc
import sqlite3

import pytest
import structlog
from simulators.csms import CsmsCallError

from edge.config import Api, Config, Listener, Site, StoreSettings
from edge.daemon import build
from edge.store.db import Store
from edge.world import World
from tests.simulation.loop import run
from tests.simulation.world import SimClock, SimDisk, SimIds, SimNotify, SimOffload, folder_in_memory
from tests.simulation.yard import IDENTITY, yard


def log_of(story):
    """What the daemon says in a yard of one charger."""
    with folder_in_memory() as folder, structlog.testing.capture_logs() as lines:

        async def main(loop):
            async with yard(loop, folder) as site:
                await story(site)

        run(main)
    return lines


def tracebacks_in(lines):
    return [line for line in lines if line.get("exc_info")]


def test_a_full_disk_does_not_end_the_service_that_tells_statuses():
    async def story(site):
        await site.chargers[0].plug_in(1)
        site.disk.is_full = True
        await asyncio.sleep(45)
        site.disk.is_full = False
        await asyncio.sleep(60)

    lines = log_of(story)
    assert [line for line in lines if line["event"] == "statuses_not_looked_up"]
    assert tracebacks_in(lines) == []


def test_a_failed_commit_ends_a_connection_to_the_cloud_in_words():
    said = []

    async def story(site):
        site.disk.is_full = True
        site.csms.cut()
        for _ in range(200):
            await asyncio.sleep(0.1)
            said.append(site.daemon.inside.uplink().last_error)
        site.disk.is_full = False

    assert tracebacks_in(log_of(story)) == []
    assert [why for why in said if why is not None and why.startswith("nothing of this was stored")]


def test_a_command_that_cannot_be_stored_is_refused_without_a_traceback():
    refused = []

    async def story(site):
        await asyncio.sleep(60)
        site.disk.is_full = True
        try:
            await site.csms.call(IDENTITY, "RemoteStartTransaction", {"connectorId": 1, "idTag": "A"})
        except CsmsCallError as error:
            refused.append(error.code)
        site.disk.is_full = False

    assert tracebacks_in(log_of(story)) == []
    assert refused == ["InternalError"]


def test_a_unit_that_fails_after_its_caller_was_cancelled_is_no_unhandled_exception():
    class Broken:
        async def run(self, _function):
            await asyncio.sleep(1)
            raise sqlite3.OperationalError("disk I/O error")

        async def close(self):
            pass

    async def main(loop):
        store = Store(Broken(), Broken(), SimClock(loop))
        writer = loop.create_task(store.run())
        caller = loop.create_task(store.write(lambda _db: None))
        await asyncio.sleep(0.5)
        caller.cancel()
        await asyncio.sleep(1)
        writer.cancel()
        await asyncio.wait({caller, writer})
        del caller
        gc.collect()
        said, loop.unhandled = loop.unhandled, []
        return said

    assert run(main).value == []


def log_of_a_start(commit):
    """After so many commits one fails."""

    async def main(loop):
        disk = SimDisk(loop)
        world = World(SimClock(loop), SimIds(0), disk.open_database, SimOffload(), SimNotify(loop))
        config = Config(
            site=Site(id=IDENTITY), listeners=(Listener("127.0.0.1", 8887, "/ocpp", 0),),
            store=StoreSettings(folder / "edge.db"), api=Api(socket=None),
        )  # fmt: skip
        daemon = build(config, world)
        life = loop.create_task(daemon.run())
        while disk.commits < commit:
            await asyncio.sleep(0.0002)
        disk.fail_commits(1)
        async with asyncio.timeout(60):
            await daemon.ready.wait()
        await asyncio.sleep(60)
        assert not life.done(), life.exception()
        daemon.leave()
        await life

    with folder_in_memory() as folder, structlog.testing.capture_logs() as lines:
        run(main)
    return lines


@pytest.mark.parametrize("commit", [1, 2, 3, 4])
def test_a_commit_that_fails_while_the_daemon_starts_does_not_end_it(commit):
    lines = log_of_a_start(commit)
    assert tracebacks_in(lines) == []
    (why,) = [line["why"] for line in lines if line["event"] == "store_reopened"]
    assert why.endswith("started: nothing of this was stored: database or disk is full")


@pytest.mark.parametrize("commit", [5, 6, 7, 8])
def test_a_commit_that_fails_soon_after_the_start_ends_no_service(commit):
    assert tracebacks_in(log_of_a_start(commit)) == []

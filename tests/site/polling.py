"""What the site tests work with: time, waiting for facts, and a poller at work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from edge.config import Meter
from edge.config.connections import parse_connection
from edge.domain.readings import SiteReading
from edge.site.bus import Bus
from edge.site.installation import line_to
from edge.site.poller import MeterPoller
from edge.site.profiles import load_profile
from edge.site.registers import MeterProfile

# generous for a loaded machine, short enough that a test with several failed polls stays below a second or two
STALE_AFTER_S = 0.4


class LoopClock:
    """The running loop's time, counted from a fixed date."""

    def utc_now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def eventually(is_fact: Callable[[], bool], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not is_fact():
            await asyncio.sleep(0.002)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """The port of a device in raw bytes, which serves each connection with `serve`."""
    writers: list[asyncio.StreamWriter] = []
    serving: list[asyncio.Task[None] | None] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        serving.append(asyncio.current_task())
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        await eventually(lambda: all(task is None or task.done() for task in serving))


class Polling:
    """A poller at work, and what it handed on."""

    def __init__(self, settings: Meter, profile: MeterProfile) -> None:
        self.readings: list[SiteReading] = []
        bus = Bus(line_to([parse_connection(settings.connection)], [profile.serial]))
        self.poller = MeterPoller(settings, profile, bus, LoopClock(), lambda _, reading: self.readings.append(reading))

    @property
    def quality(self) -> str:
        return self.poller.state().quality

    @property
    def last_error(self) -> str:
        return self.poller.state().last_error or ""

    async def reads_once_more(self) -> SiteReading:
        """A reading of which every part was asked for after this call."""
        count = len(self.readings)
        await eventually(lambda: len(self.readings) >= count + 2)
        return self.readings[-1]


@asynccontextmanager
async def polling(connection: str, profile: MeterProfile | None = None, **settings: object) -> AsyncIterator[Polling]:
    meter = Meter(
        id="grid",
        profile="eastron-sdm630",
        connection=connection,
        poll_interval=0.01,
        stale_after=STALE_AFTER_S,
    )
    at_work = Polling(replace(meter, **settings), profile or load_profile("eastron-sdm630"))  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(at_work.poller.run())
        try:
            yield at_work
        finally:
            task.cancel()

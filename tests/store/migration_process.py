"""A program that opens a store as the daemon does: `words` is its path. Run by test_migration.py through lives.py."""

import asyncio
import logging
from pathlib import Path

import structlog

from edge.store.db import open_store, open_threaded
from edge.world import SystemClock
from tests.store.lives import serve


def work(path: str) -> None:
    async def opened() -> None:
        store = await open_store(Path(path), open_threaded, SystemClock())
        await store.close()

    asyncio.run(opened())


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    serve(work)

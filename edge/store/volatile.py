"""A store in memory, for as long as the one on disk cannot be used.

It lets the rest of the daemon run unchanged (control-only mode, `edge/daemon.py`); what is put into it is gone when
the process ends, and so no charger is ever told that its transaction message was stored here.
"""

from pathlib import Path

from edge.domain.ports import Clock
from edge.store import chains, measured, repeats
from edge.store.db import OpenDatabase, Store
from edge.store.migration import migrate

IN_MEMORY = Path(":memory:")


async def open_volatile(open_database: OpenDatabase, clock: Clock) -> Store:
    """An empty store that needs no disk; the writer's connection also answers what is read."""
    database = await open_database(IN_MEMORY)
    await database.run(migrate)
    await database.run(chains.load)
    await database.run(repeats.load)
    await database.run(measured.load)
    return Store(database, database, clock)

"""When each charger was last there, kept for the next life of the daemon: LAST SEEN of `edge chargers`.

That a charger came or went is stored at once (`link.note`). What it says in between is often no more than heartbeats,
which are not stored: those that are connected are written down every few minutes.
"""

import asyncio

from edge.chargers.roster import Roster
from edge.domain.ids import ChargerNo
from edge.store import fleet
from edge.store.db import Store

EVERY = 300.0
"""Seconds; so much may be missing after a crash."""


class Sightings:
    """Looks at the links now and then; what it writes rides in somebody's commit."""

    def __init__(self, store: Store, roster: Roster) -> None:
        self._store = store
        self._roster = roster

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            self.write_down()

    def write_down(self) -> None:
        at: dict[ChargerNo, int] = {
            link.charger_no: round(link.last_seen().timestamp() * 1000)
            for link in self._roster.links()
            if link.charger_no is not None
        }
        if at:
            self._store.defer(lambda db: fleet.seen(db, at))

"""Keeps the small file beside the store up to date, so that no number is ever given twice (`store/keepsake.py`)."""

import asyncio
from functools import partial
from pathlib import Path

import structlog

from edge.domain.ports import Offload
from edge.store import keepsake
from edge.store.damage import UNREADABLE
from edge.store.db import CommitFailed, Store
from edge.store.inspection import Unusable

LOOK_EVERY = 60.0
NOT_KEPT: tuple[type[Exception], ...] = (CommitFailed, OSError, *UNREADABLE)
"""What may be otherwise a minute later."""


class Keeping:
    """`run` is its task."""

    def __init__(self, store: Store, path: Path, offload: Offload) -> None:
        self._store = store
        self._path = path
        self._offload = offload
        self._written: str | None = None
        self._why_not: str | None = None
        """What kept it from being written the last time, told once."""
        self._log = structlog.get_logger("edge.keeping")

    async def run(self) -> None:
        """Look every minute; write when something has changed."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Write when something has changed; what keeps it from being written is told."""
        try:
            await self._keep()
        except Unusable as error:
            self._not_kept(error)
            self._store.damage = str(error)  # the daemon puts it aside: no charger may be given such numbers
        except NOT_KEPT as error:
            self._not_kept(error)
        else:
            self._why_not = None

    async def _keep(self) -> None:
        text = await self._store.look(keepsake.text)
        if text != self._written:
            await self._offload(partial(keepsake.write, self._path, text))
            self._written = text

    def _not_kept(self, error: Exception) -> None:
        if str(error) != self._why_not:
            self._log.warning("numbers_not_kept", why=str(error))
        self._why_not = str(error)

"""The real firmware bridge as a process of its own, beside the daemon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from demonstration.folder import Folder
from demonstration.process import Process
from firmware_bridge.api import Bridge, BridgeUnreachable


class BridgeProcess:
    """It reads the folder's configuration."""

    def __init__(self, folder: Folder) -> None:
        words = ["firmware_bridge", "--config", str(folder.config), "run"]
        self.process = Process("the firmware bridge", words, folder.bridge_log)
        self._asks = Bridge(folder.bridge_socket)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["BridgeProcess"]:
        async with self.process.running(self._is_ready):
            yield self

    async def _is_ready(self) -> bool:
        try:
            await self._asks.files()
        except BridgeUnreachable:
            return False
        return True

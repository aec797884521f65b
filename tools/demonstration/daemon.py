"""The real daemon as a process of its own: where its chargers connect, and its console socket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from demonstration.folder import Folder
from demonstration.process import DemoFailed, Process

ANSWERS_WITHIN = 10.0


class DaemonProcess:
    """It reads the folder's configuration."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.process = Process("the daemon", ["edge", "run", "--config", str(folder.config)], folder.log)
        self.port = 0
        """Where the chargers connect; the daemon picks a free one."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["DaemonProcess"]:
        async with self.process.running(self._is_ready):
            yield self

    async def ask(self, command: str, **args: object) -> dict:
        """One question to the console socket, as `edge` asks it. Raises OSError or ValueError without an answer."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            reader, writer = await asyncio.open_unix_connection(self._folder.socket, limit=16_000_000)
            try:
                writer.write(json.dumps({"command": command, "args": args}).encode() + b"\n")
                document = json.loads(await reader.readline())
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        if "error" in document:
            raise DemoFailed(f"the daemon answered `{command}`: {document['error']['message']}")
        return document

    async def _is_ready(self) -> bool:
        """The log says so; the port stands there too."""
        self.port = next((event["ports"][0] for event in self._events() if event.get("event") == "ready"), 0)
        return self.port != 0 and self._folder.socket.exists()

    def _events(self) -> list[dict]:
        found = []
        for line in self._folder.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    found.append(event)
        return found

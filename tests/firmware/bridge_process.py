"""`firmware-bridge run` as a process of its own, which can be killed and started again on the same folder and ports."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Self

from firmware_bridge.api import Bridge, BridgeUnreachable
from tests.scenarios.site import free_port


class BridgeProcess:
    """`async with BridgeProcess(folder) as process:` runs it; none is left behind."""

    def __init__(self, folder: Path) -> None:
        self.asks = Bridge(folder / "firmware.sock")
        self._file, self._log = folder / "bridge.toml", folder / "bridge.log"
        self._file.write_text(
            "[firmware_bridge]\n"
            f'socket = "{folder}/firmware.sock"\npath = "{folder}/bridge"\n'
            f'http = "127.0.0.1:{free_port()}"\nftp = "127.0.0.1:{free_port()}"\n'
            'sources = ["http://127.0.0.1"]\n'
        )
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self, *by: str) -> None:
        """It answers when this returns. `by`: a program that starts it, and that becomes it."""
        words = (*by, sys.executable, "-m", "firmware_bridge", "--config", str(self._file), "run")
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *words, stdout=log, stderr=log, env={**os.environ, "EDGE_LOG": "warning"}
            )
        async with asyncio.timeout(60):
            while True:
                assert self._process.returncode is None, self._log.read_text()
                with contextlib.suppress(BridgeUnreachable):
                    await self.asks.files()
                    return
                await asyncio.sleep(0.05)

    async def has_ended(self) -> None:
        """Once it has, by itself or by whoever has killed it."""
        assert self._process is not None
        async with asyncio.timeout(10):
            await self._process.wait()

    def log(self) -> str:
        return self._log.read_text()

    async def kill(self) -> None:
        """SIGKILL, as the kernel or a power cut would."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()

"""`edge run` as the unit runs it: its words, and the environment, folder and umask that systemd gives; no sandbox."""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.systemd.unit import seconds, value

EXEC = 'umask "$1"; shift; export SYSTEMD_EXEC_PID=$$ WATCHDOG_PID=$$; exec "$@"'
CREDENTIALS_OF_SENDER = struct.Struct("3i")


class Service:
    """The main process, and what it tells the service manager."""

    def __init__(self, process: asyncio.subprocess.Process, notify: socket.socket, log: Path) -> None:
        self.process = process
        self.log = log
        self._notify = notify

    async def heard(self, what: str, within: float = 20.0) -> str:
        """The next that begins like this. Nothing is taken from anybody but the main process (NotifyAccess=main)."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within):
            while True:
                readable = loop.create_future()
                loop.add_reader(self._notify, readable.set_result, None)
                try:
                    await readable
                finally:
                    loop.remove_reader(self._notify)
                state, ancillary, _, _ = self._notify.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS_OF_SENDER.size))
                ((_, _, sender),) = ancillary
                assert CREDENTIALS_OF_SENDER.unpack(sender)[0] == self.process.pid, state
                if state.decode().startswith(what):
                    return state.decode()

    async def reload(self) -> None:
        """As the unit says."""
        words = shlex.split(value("ExecReload").replace("$MAINPID", str(self.process.pid)))
        kill = await asyncio.create_subprocess_exec(*words)
        assert await kill.wait() == 0

    async def ended(self, within: float = 30.0) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def service(folder: Path, config: str, *around: str, **environment: str) -> AsyncIterator[Service]:
    """From its start to its end; `around` are words before those of the unit."""
    (folder / "edge.toml").write_text(config)
    program, *words = shlex.split(value("ExecStart"))
    assert Path(program).name == "edge"
    environment = {
        **inherited(("PATH", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE")),
        **dict(setting.split("=") for setting in [value("Environment")]),
        "NOTIFY_SOCKET": str(folder / "notify"),
        "WATCHDOG_USEC": str(round(seconds("WatchdogSec") * 1e6)),
        "EDGE_CONFIG": str(folder / "edge.toml"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **environment,
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, (folder / "log").open("wb") as log:
        notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        notify.bind(str(folder / "notify"))
        notify.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", EXEC, "sh", value("UMask"), *around, sys.executable, "-m", "edge", *words,
            env=environment, cwd="/", stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        running = Service(process, notify, folder / "log")
        try:
            yield running
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()
            (folder / "notify").unlink()


def inherited(names: tuple[str, ...]) -> Mapping[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}

"""A program of ours as a process of its own: its log, its end.

It ends with `running()`, and also when the demo is killed. All waits have a deadline.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 60.0
LEAVES_WITHIN = 15.0
TAIL_LINES = 12
NOT_INHERITED = ("NOTIFY_SOCKET", "INVOCATION_ID", "CREDENTIALS_DIRECTORY", "EDGE_CONFIG", "EDGE_SOCKET")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class DemoFailed(Exception):
    """The demo cannot go on; the message says why. `log`: of the process that is to blame, where one is known."""

    def __init__(self, why: str, log: Path | None = None) -> None:
        super().__init__(why)
        self.log = log


class Process:
    """`name` is what people call it; `words` follow `python -m`."""

    def __init__(self, name: str, words: list[str], log: Path) -> None:
        self.name = name
        self.exit_code: int | None = None
        self._words = words
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @contextlib.asynccontextmanager
    async def running(self, is_ready: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
        """It is ready when the block begins, and has ended after it."""
        demo = os.getpid()
        with self._log.open("ab") as log:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *self._words,
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name not in NOT_INHERITED},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends this process
                preexec_fn=lambda: _end_with(demo),
            )
        try:
            await self._become_ready(process, is_ready)
            yield
        finally:
            await self._leave(process)

    async def watch(self) -> None:
        """Raises DemoFailed when the process ends before it was told to."""
        assert self._process is not None
        code = await self._process.wait()
        raise DemoFailed(f"{self.name} ended by itself ({_in_words(code)})", self._log)

    def kill(self) -> None:
        """For someone who does not want to wait any longer."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _become_ready(self, process: asyncio.subprocess.Process, is_ready: Callable[[], Awaitable[bool]]) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN
        while not await is_ready():
            if process.returncode is not None:
                raise DemoFailed(f"{self.name} did not start ({_in_words(process.returncode)})", self._log)
            if asyncio.get_running_loop().time() > deadline:
                raise DemoFailed(f"{self.name} was not ready within {READY_WITHIN:.0f} s", self._log)
            await asyncio.sleep(0.05)

    async def _leave(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(LEAVES_WITHIN):
                self.exit_code = await process.wait()
        except TimeoutError:
            process.kill()
            self.exit_code = await process.wait()


def tail(log: Path) -> list[str]:
    """The end of a log, for people."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return [_readable(line) for line in text.splitlines()[-TAIL_LINES:]]


def _end_with(demo: int) -> None:
    """In the new process: be told to end when the demo dies without doing so."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != demo:
        os.kill(os.getpid(), signal.SIGTERM)


def _readable(line: str) -> str:
    """An event of the log for people; of a traceback only what was raised."""
    try:
        event = dict(json.loads(line))
    except (ValueError, TypeError):
        return line
    raised = [part.strip(" |+-") for part in str(event.pop("exception", "")).splitlines()]
    event.pop("timestamp", None)
    head = f"{event.pop('level', '')} {event.pop('event', '')}"
    fields = [f"{name}={value}" for name, value in event.items()]
    return " ".join([head, *fields, *[part for part in raised if part][-1:]])


def _in_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

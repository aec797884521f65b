"""Processes of a measurement: started, asked line by line in JSON, looked at through /proc, and ended whatever happens.

A party that is asked reads one JSON object a line from its standard input and answers each with one on its standard
output (`parties/asked.py`).
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ANSWERS_WITHIN = 120.0
LEAVES_WITHIN = 20.0
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ocpp-edge-bench"
NOT_INHERITED = (
    "NOTIFY_SOCKET", "INVOCATION_ID", "CREDENTIALS_DIRECTORY", "EDGE_CONFIG", "EDGE_SOCKET", "EDGE_LOG",
    "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
_TICK = os.sysconf("SC_CLK_TCK")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class BenchFailed(Exception):
    """The measurement cannot go on; the message says why."""


def environment(**more: str) -> dict[str, str]:
    """Ours, without what is meant for us alone, and with byte code: an installed program has it, a checkout may not."""
    kept = {name: text for name, text in os.environ.items() if name not in NOT_INHERITED}
    return {**kept, "PYTHONPATH": str(ROOT / "tools"), "PYTHONPYCACHEPREFIX": str(CACHE / "pycache"), **more}


class Child:
    """A process of ours. It dies with us."""

    def __init__(self, name: str, command: Sequence[str], log: Path, *, is_asked: bool = False, **more: str) -> None:
        self.name = name
        self._log = log
        self._unread = b""
        bench = os.getpid()
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(**more),
                stdin=subprocess.PIPE if is_asked else subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_asked else errors,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the bench, which then ends them
                preexec_fn=lambda: _end_with(bench),  # noqa: PLW1509 - no threads here
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, do: str, within: float = ANSWERS_WITHIN, **args: object) -> dict[str, Any]:
        """What the party answers. Raises BenchFailed."""
        self.tell(do, **args)
        return self.answer(within)

    def tell(self, do: str, **args: object) -> None:
        """Ask without waiting; `answer` later."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **args}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise BenchFailed(f"{self.name} has ended: {self.tail()}") from error

    def answer(self, within: float = ANSWERS_WITHIN) -> dict[str, Any]:
        assert self.process.stdout is not None
        source, deadline = self.process.stdout.fileno(), time.perf_counter() + within
        while b"\n" not in self._unread:
            ready, _, _ = select.select([source], [], [], max(0.0, deadline - time.perf_counter()))
            if not ready:
                raise BenchFailed(f"{self.name} did not answer within {within:g} s: {self.tail()}")
            more = os.read(source, 65536)
            if not more:
                raise BenchFailed(f"{self.name} has ended: {self.tail()}")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        said = json.loads(line)
        if "failed" in said:
            raise BenchFailed(f"{self.name}: {said['failed']}")
        return dict(said)

    def tail(self) -> str:
        """The end of its log."""
        text = self._log.read_text(errors="replace").strip() if self._log.exists() else ""
        return " | ".join(text.splitlines()[-3:])[-600:] or "its log is empty"

    # --- what the kernel knows of it

    def cpu(self) -> float:
        """Seconds of processor that it has used, in all its threads."""
        fields = (Path("/proc") / str(self.pid) / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def own_memory(self) -> int:
        """Bytes that would be free if it ended (USS)."""
        rollup = (Path("/proc") / str(self.pid) / "smaps_rollup").read_text(encoding="ascii")
        private = [line.split() for line in rollup.splitlines() if line.startswith("Private_")]
        return 1024 * sum(int(fields[1]) for fields in private)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(LEAVES_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # whatever it has started and left behind
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def finished(
    command: Sequence[str], within: float, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, and what it said. Raises OSError, or TimeoutExpired.

    `env`: `environment()` unless told otherwise.
    """
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment() if env is None else env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the bench, which then ends it
    ) as process:
        try:
            said, complaints = process.communicate(timeout=within)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # and whatever it has started
    return subprocess.CompletedProcess(command, process.returncode, said, complaints)


@contextlib.contextmanager
def running(child: Child) -> Iterator[Child]:
    """The child for the length of a block."""
    try:
        yield child
    finally:
        child.end()


@contextlib.contextmanager
def party(module: str, folder: Path, *arguments: str, python: str = sys.executable) -> Iterator[Child]:
    """A module of `benchmarks.parties` as a process that is asked."""
    command = [python, "-m", f"benchmarks.parties.{module}", *arguments]
    with running(Child(module, command, folder / f"{module}.log", is_asked=True)) as child:
        yield child


def _end_with(bench: int) -> None:
    """In the new process: be told to end when the bench dies without doing so."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != bench:
        os.kill(os.getpid(), signal.SIGTERM)

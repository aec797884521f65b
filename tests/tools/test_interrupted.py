"""Ctrl-C ends each tool at once and without a traceback, and with it all that it has started."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.crash import strace

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN = 8.0
"""On a busy machine; else a tenth of a second."""
SPAWNED = b"spawn_main"
AT_WORK = {
    "simulate": (SPAWNED, "tools/simulation", "--seeds", "1..500", "--workers", "2"),
    "fuzz": (SPAWNED, "tools/fuzzing", "--minutes", "10", "--workers", "2"),
    "crash": (b"cradle.py", "tests/crash", "--only", "kills", "--processes", "2"),
    "prove": (SPAWNED, "tools/proving", "--only", "simulation"),
    "bench": (b"ocpp.v201", "tools/benchmarks", "--only", "starting", "--quick"),
}
"""With work for some time in other processes: what the command of one of them has in it, and the tool's own command."""


class Tool:
    """A tool in a group of its own. All that comes of it bears its mark, whatever group or session that is in."""

    def __init__(self, name, folder):
        self._mark = uuid.uuid4().hex.encode()
        self.errors = folder / "errors"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *AT_WORK[name][1:]], cwd=ROOT, env={**os.environ, "STARTED_BY": self._mark.decode()},
                stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
            )  # fmt: skip

    def commands(self):
        """Of the processes that there are, the tool's own included, by their numbers."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                pass  # it has ended
        return found

    def kill(self):
        for pid in self.commands():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def tool(request, tmp_path, prepared):
    if request.param == "crash" and strace.why_not() is not None:
        pytest.skip("strace is missing")
    started = Tool(request.param, tmp_path)
    yield started
    started.kill()


def eventually(fact, within):
    until = time.perf_counter() + within
    while not fact():
        assert time.perf_counter() < until
        time.sleep(0.02)


@pytest.mark.parametrize("how", [os.kill, os.killpg], ids=["process", "group"])
@pytest.mark.parametrize("tool", AT_WORK, indirect=True)
def test_an_interrupted_tool_ends_and_leaves_nothing(request, tool, how):
    sign, *_ = AT_WORK[request.node.callspec.params["tool"]]
    eventually(lambda: any(sign in command for command in tool.commands().values()), within=60)
    how(tool.process.pid, signal.SIGINT)
    assert tool.process.wait(ENDS_WITHIN) == 130
    assert "Traceback" not in tool.errors.read_text()
    eventually(lambda: not tool.commands(), within=30)

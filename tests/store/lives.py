"""A piece of work that is done again and again in processes of its own and killed on the way.

`serve(work)` is the program: for each line that it gets it forks a child, which does the work once and is killed before
its n-th step or after some time. A step is a change of a name or a file in the folder that is watched, or a statement
of SQL. `Lives` is the test's side of it.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parent.parent.parent
CHANGES = {
    "open",
    "os.chown",
    "os.link",
    "os.remove",
    "os.rename",
    "shutil.copyfile",
    "sqlite3.connect",
}
MOVING = ("edge/store/files.py", "shutil.py")
"""In these each call that leaves Python is a step as well: names may change hands there."""


@dataclass(frozen=True)
class Life:
    was_killed: bool
    steps: int
    seconds: float


class Lives:
    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def live(self, folder: Path, *words: object, step: int = 0, after: float | None = None) -> Life:
        """One life in which the files in `folder` are changed; killed before this step, or after so many seconds."""
        order = {"folder": str(folder), "words": [str(word) for word in words], "step": step, "after": after}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Life(**json.loads(self._process.stdout.readline()))


@contextmanager
def lives_of(program: Path) -> Iterator[Lives]:
    with subprocess.Popen(
        [sys.executable, str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    ) as process:
        yield Lives(process)
        process.stdin.close()
        assert process.wait() == 0


# --- the program's side


def serve(work: Callable[..., None]) -> None:
    for line in sys.stdin:
        order = json.loads(line)
        ours, theirs = os.pipe()
        begun = time.perf_counter()
        child = os.fork()
        if child == 0:
            try:
                steps = _count_steps(Path(order["folder"]), order["step"])
                work(*order["words"])
                os.write(theirs, b"%d" % steps())
                os._exit(0)
            finally:  # it must never come back to the loop
                traceback.print_exc()
                os._exit(1)
        os.close(theirs)
        if order["after"] is not None:
            time.sleep(order["after"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        seconds = time.perf_counter() - begun
        with open(ours, "rb") as told:
            steps = told.read()
        how = os.waitstatus_to_exitcode(status)
        if how not in {0, -signal.SIGKILL}:
            sys.exit(f"the work failed: {how}")
        life = {"was_killed": how != 0 and not steps, "steps": int(steps or 0), "seconds": seconds}
        sys.stdout.write(json.dumps(life) + "\n")
        sys.stdout.flush()


def _count_steps(folder: Path, deadly: int) -> Callable[[], int]:
    seen = 0

    def step() -> None:
        nonlocal seen
        seen += 1
        if seen == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, args: tuple) -> None:
        if event in CHANGES and any(str(folder) in str(one) for one in args):
            step()

    connect = sqlite3.connect

    def traced(*words: object, **more: object) -> sqlite3.Connection:
        connection = connect(*words, **more)
        connection.set_trace_callback(lambda _statement: step())
        return connection

    def called(frame: FrameType, event: str, _: object) -> None:
        if event == "c_call" and frame.f_code.co_filename.endswith(MOVING):
            step()

    sqlite3.connect = traced
    sys.addaudithook(watch)
    sys.setprofile(called)
    return lambda: seen

"""P10: how soon there is an answer: the command line beside a bare interpreter, the daemon beside a stack of imports.

`edge status` asks a daemon that runs. The daemon is ready when it tells its service manager so: chargers may connect
then. The stack is what one imports who writes such a controller with these libraries and loads all of them at once.
"""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import rounds
from benchmarks.findings import Findings, Shown, at_most
from benchmarks.processes import ROOT, Child, environment, party, running
from benchmarks.running import Run
from benchmarks.site import Site

STACK = (
    "import asyncio, ocpp.v16, ocpp.v201, ocpp.v21, jsonschema, websockets.asyncio.server, websockets.asyncio.client,"
    " aiosqlite, structlog, pymodbus.client, pymodbus.server, serial, cattrs, tomllib"
)
READY_WITHIN = 60.0
CHARGERS = 50


def measure(run: Run) -> Findings:
    times = run.sized(1, 7)
    found = Findings()
    with party("load", run.folder) as load:
        site = Site(run.folder / "running", CHARGERS)
        other = Site(run.folder / "starting", CHARGERS)
        with other.running():  # it has been there before: a start makes no new store
            load.ask("open", group="other", url=other.url, count=run.sized(2, CHARGERS))
        with site.running():
            contenders: dict[str, Callable[[], float]] = {
                "bare": partial(_took, [sys.executable, "-c", "pass"], times),
                "help": partial(_took, [sys.executable, "-m", "edge", "--help"], times),
                "status": partial(_took, [sys.executable, "-m", "edge", "--socket", str(site.socket), "status"], times),
                "stack": partial(_took, [sys.executable, "-c", STACK], run.sized(1, 3)),
                "ready": partial(_ready_after, other, run.sized(1, 3)),
            }
            series = rounds.interleaved(contenders, run.rounds, run.on_round)
    found.goal("P10", "edge status, to a bare interpreter",
               at_most(3.0), rounds.ratio(series["status"], series["bare"]))  # fmt: skip
    found.goal("P10", "daemon ready, to importing the whole stack",
               at_most(1 / 2, Shown.FRACTION), rounds.ratio(series["ready"], series["stack"]))  # fmt: skip
    for name, what in (("bare", "bare interpreter"), ("help", "edge --help"), ("status", "edge status"),
                       ("stack", "the stack, imported"), ("ready", "edge run, until it is ready")):  # fmt: skip
        found.figure(what, [1e3 * one for one in series[name]], "ms")
    return found


def _took(command: list[str], times: int) -> float:
    """Seconds of the quickest of so many: what comes in between is the machine's, not the program's."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment(),
            check=True,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the bench, which then kills it
        )
        best = min(best, time.perf_counter() - began)
    return best


def _ready_after(site: Site, times: int) -> float:
    """Seconds from the start of `edge run` to READY=1, of the quickest of so many."""
    return min(_start(site) for _ in range(times))


def _start(site: Site) -> float:
    with _listening(site.folder / "notify") as told:
        began = time.perf_counter()
        child = Child("edge", site.command, site.log, NOTIFY_SOCKET=str(site.folder / "notify"))
        with running(child):
            told.settimeout(READY_WITHIN)
            while b"READY=1" not in told.recv(4096):
                pass
            return time.perf_counter() - began


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        try:
            yield told
        finally:
            path.unlink()

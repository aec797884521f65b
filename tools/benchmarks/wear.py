"""R17: what a message costs the flash: octets written and syncs, one by one and in bursts of 50, beside the usual way.

Counted by `strace` as what the process asks of the kernel for the files of its store, with the checkpoints that come
later. The message is a MeterValues with one value (264 octets), as most chargers send them.
"""

import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import rounds
from benchmarks.findings import Findings, Shown, at_most
from benchmarks.processes import BenchFailed, Child, finished, party
from benchmarks.running import Run
from benchmarks.site import Site

BURST = 50
ALONE = (20, 1_500)
"""Messages one by one, quick and whole: enough for SQLite to copy its log back more than once."""
_CALL = re.compile(r"(pwrite64|fdatasync|fsync)\(\d+<([^>]*)>(?:, [^,]*, (\d+))?")
_STRACE = ("strace", "-f", "--seccomp-bpf", "-y", "-qq", "-s", "0", "-e", "trace=pwrite64,fdatasync,fsync", "-o")
_BESIDE = ("strace", "-D", *_STRACE[1:])
"""Not as the parent: what is ended is the daemon, not strace."""


@dataclass(frozen=True, slots=True)
class Written:
    """To the files of one store."""

    octets: int
    syncs: int

    def __sub__(self, before: "Written") -> "Written":
        return Written(self.octets - before.octets, self.syncs - before.syncs)

    def a_message(self, messages: int) -> tuple[float, float]:
        return self.octets / messages, self.syncs / messages


def written(lines: Iterable[str], store: str) -> Written:
    """What a trace says of the store and its log."""
    octets = syncs = 0
    for line in lines:
        found = _CALL.search(line)
        if found is None or not Path(found[2]).name.startswith(store):
            continue
        if found[1] == "pwrite64":
            octets += int(found[3] or 0)
        else:
            syncs += 1
    return Written(octets, syncs)


def measure(run: Run) -> Findings:
    found = Findings()
    if shutil.which("strace") is None:
        found.remarks.append("Octets and syncs: not measured, strace is missing (Debian: apt install strace).")
        return found
    series: rounds.Series = {name: [] for name in ("octets", "syncs", "burst octets", "burst syncs", "five", "naive")}
    with party("load", run.folder) as load:
        for number in rounds.counted(run.rounds, run.on_round):
            one, many = _of_site(run, load, f"one{number}", samples=1)
            series["octets"].append(one[0])
            series["syncs"].append(one[1])
            series["burst octets"].append(many[0])
            series["burst syncs"].append(many[1])
            series["five"].append(_of_site(run, load, f"five{number}", samples=5)[0][0])
            series["naive"].append(_of_naive(run, number))
    spread = rounds.Spread.of
    found.goal("R17", "written for a message alone", at_most(6000, Shown.BYTES), spread(series["octets"]))
    found.goal("R17", "syncs for a message alone", at_most(1.05, Shown.SHARE), spread(series["syncs"]))
    found.goal("R17", f"written for one in a burst of {BURST}",
               at_most(1500, Shown.BYTES), spread(series["burst octets"]))  # fmt: skip
    found.goal("R17", f"syncs for one in a burst of {BURST}",
               at_most(0.05, Shown.SHARE), spread(series["burst syncs"]))  # fmt: skip
    found.figure("alone, with five values (791 octets)", series["five"], "octets a message")
    found.figure("the usual way, with one value", series["naive"], "octets a message")
    found.figure("the usual way to ours", rounds.ratio(series["naive"], series["octets"]), "x")
    return found


def _of_site(run: Run, load: Child, name: str, samples: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Octets and syncs of a message alone, and of one in a burst, checkpoints included."""
    trace, bursts = run.folder / f"{name}.trace", run.sized(2, 30)
    with Site(run.folder / name, BURST).running(*_BESIDE, str(trace)) as site:
        load.ask("open", group=name, url=site.url, count=BURST, samples=samples)
        marks = [_of(trace)]
        told = load.ask("closed", group=name, seconds=300, most=run.sized(*ALONE), chargers=1)
        marks.append(_of(trace))
        load.ask("burst", group=name, times=bursts, pause=0.05)
        marks.append(_of(trace))
        load.ask("close", group=name)
    one, many = marks[1] - marks[0], marks[2] - marks[1]
    return one.a_message(told["messages"]), many.a_message(bursts * BURST)


def _of(trace: Path) -> Written:
    with trace.open(encoding="utf-8", errors="replace") as lines:
        return written(lines, "edge.db")


def _of_naive(run: Run, number: int) -> float:
    """Octets a message."""
    trace, store, count = run.folder / f"naive{number}.trace", run.folder / f"naive{number}.db", run.sized(*ALONE)
    command = [*_STRACE, str(trace), sys.executable, "-m", "benchmarks.parties.naive_writer", str(store), str(count)]
    done = finished(command, within=300)
    if done.returncode != 0:
        raise BenchFailed(f"strace: {(done.stderr or 'failed').strip().splitlines()[-1][:200]}")
    with trace.open(encoding="utf-8", errors="replace") as lines:
        return written(lines, store.name).octets / count

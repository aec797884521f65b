"""P11: whether chargers wait longer for their answers while 100,000 messages drain to a cloud that answers at once.

The same daemon in turns: in one the cloud holds its answers, so that the queue rests; in the other it lets them flow.
The goal is judged at 100 messages a second of 100 chargers, far above what a yard says; beside it, all chargers as
fast as they can, where the queue and they share one processor.
"""

import contextlib
import time

from benchmarks import backlog, rounds
from benchmarks.findings import Findings, at_most
from benchmarks.processes import BenchFailed, Child, party
from benchmarks.running import Run
from benchmarks.site import Site

RATE = 100.0
STARTS_WITHIN = 60.0


def measure(run: Run) -> Findings:
    chargers, waiting, seconds = run.sized(10, 100), run.sized(2_000, 100_000), run.sized(1, 4)
    series: rounds.Series = {
        f"{load} {state} {what}": []
        for load in ("paced", "closed")
        for state in ("resting", "draining")
        for what in ("p50", "p99", "rate")
    }
    drained: list[float] = []
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(party("load", run.folder))
        cloud = stack.enter_context(party("cloud", run.folder))
        url = f"ws://127.0.0.1:{cloud.ask('port')['port']}"
        site: Site = stack.enter_context(backlog.site(run, "site", chargers, waiting, url).running())
        # Starts of unknown tokens ask the cloud, so it has to flow until all have begun.
        cloud.ask("flow")
        load.ask("open", group="edge", url=site.url, count=chargers)
        _until_accepted(site)
        for _ in rounds.counted(run.rounds, run.on_round):
            for state, order in (("resting", "hold"), ("draining", "flow")):
                cloud.ask(order)
                before, began = cloud.ask("told")["seen"], time.perf_counter()
                for kind in ("paced", "closed"):
                    told = _load(load, kind, seconds)
                    for what in ("p50", "p99"):
                        series[f"{kind} {state} {what}"].append(told[what])
                    series[f"{kind} {state} rate"].append(told["messages"] / told["seconds"])
                if state == "draining":
                    drained.append((cloud.ask("told")["seen"] - before) / (time.perf_counter() - began))
        left = site.ask("status")["backlog"]["messages"]
    found = Findings()
    found.goal("P11", f"p99 of an answer while {waiting:,} drain, to while nothing does",
               at_most(1.5), rounds.ratio(series["paced draining p99"], series["paced resting p99"]))  # fmt: skip
    for name, values in series.items():
        is_rate = name.endswith("rate")
        found.figure(name, values if is_rate else [1e3 * one for one in values], "a second" if is_rate else "ms")
    found.figure("drained meanwhile", drained, "a second")
    found.figure("still waiting at the end", [left], "messages")
    if left == 0:
        found.remarks.append("The queue was empty before the end: the last rounds drained nothing.")
    return found


def _load(load: Child, kind: str, seconds: float) -> dict:
    if kind == "paced":
        return load.ask("paced", group="edge", seconds=seconds, rate=RATE)
    return load.ask("closed", group="edge", seconds=seconds)


def _until_accepted(site: Site) -> None:
    deadline = time.perf_counter() + STARTS_WITHIN
    while site.ask("status")["uplink"]["state"] != "accepted":
        if time.perf_counter() > deadline:
            raise BenchFailed("the cloud was not reached")
        time.sleep(0.1)

"""P4: what a charger waits for its answer, stored before it is given, beside the least that a disk can do.

The disk's part is a file that is appended to: as many octets as the message has, then fdatasync. Same disk, same run,
turn and turn about. `ocpp` without a store stands beside it.
"""

import contextlib
import statistics
import time

from benchmarks import messages, rounds
from benchmarks.findings import Findings, at_most
from benchmarks.machine import Appended
from benchmarks.processes import Child, party
from benchmarks.running import Run
from benchmarks.site import Site

PACED_CHARGERS, PACED_RATE = 100, 100.0


def measure(run: Run) -> Findings:
    seconds, crowd = run.sized(1, 2), run.sized(10, PACED_CHARGERS)
    found = Findings()
    series: rounds.Series = {name: [] for name in ("append", "alone", "paced", "paced p99", "stock", "stock paced")}
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(party("load", run.folder))
        site = stack.enter_context(Site(run.folder / "site", crowd).running())
        stock = stack.enter_context(party("stock", run.folder))
        file = stack.enter_context(Appended(run.folder / "append.bin"))
        load.ask("open", group="edge", url=site.url, count=crowd)
        load.ask("open", group="stock", url=f"ws://127.0.0.1:{stock.ask('port')['port']}", count=crowd)
        for _ in rounds.counted(run.rounds, run.on_round):
            series["append"].append(_appended(file, seconds))
            series["alone"].append(_alone(load, "edge", seconds))
            series["stock"].append(_alone(load, "stock", seconds))
            paced = load.ask("paced", group="edge", seconds=seconds, rate=PACED_RATE)
            series["paced"].append(paced["p50"])
            series["paced p99"].append(paced["p99"])
            series["stock paced"].append(load.ask("paced", group="stock", seconds=seconds, rate=PACED_RATE)["p50"])
    found.goal("P4", "durable answer to one charger, p50, to append + fdatasync",
               at_most(4.0), rounds.ratio(series["alone"], series["append"]))  # fmt: skip
    found.goal("P4", f"the same of {crowd} chargers, {PACED_RATE:g} messages a second",
               at_most(5.0), rounds.ratio(series["paced"], series["append"]))  # fmt: skip
    found.figure("append + fdatasync, p50", _ms(series["append"]), "ms")
    found.figure("one charger, edge, p50", _ms(series["alone"]), "ms")
    found.figure("one charger, ocpp, p50", _ms(series["stock"]), "ms")
    found.figure("100 a second, edge, p50", _ms(series["paced"]), "ms")
    found.figure("100 a second, edge, p99", _ms(series["paced p99"]), "ms")
    found.figure("100 a second, ocpp, p50", _ms(series["stock paced"]), "ms")
    return found


def _appended(file: Appended, seconds: float) -> float:
    record = messages.MeterValues("append", 1).text(0).encode()
    took = []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        file.append(record)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def _alone(load: Child, group: str, seconds: float) -> float:
    return float(load.ask("closed", group=group, seconds=seconds, chargers=1)["p50"])


def _ms(seconds: list[float]) -> list[float]:
    return [1e3 * one for one in seconds]

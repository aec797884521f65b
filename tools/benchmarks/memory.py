"""P8: memory of one connected charger, beside a bare `websockets` connection and `ocpp`'s charge point on one.

Own memory (USS) of the server's process with many chargers less that with a few, by the number in between: what is
loaded once, by whomever, does not count. Each round has fresh processes.
"""

import contextlib
import time
from collections.abc import Iterator

from benchmarks import rounds
from benchmarks.findings import Findings, at_most
from benchmarks.processes import Child, party
from benchmarks.running import Run
from benchmarks.site import Site

FEW, MANY = 20, 200
SETTLES_WITHIN = 0.5


def measure(run: Run) -> Findings:
    more = run.sized(20, MANY)
    series: rounds.Series = {"edge": [], "ocpp": [], "websockets": []}
    with party("load", run.folder) as load:
        for number in rounds.counted(run.rounds, run.on_round):
            with Site(run.folder / f"site{number}", FEW + more).running() as site:
                assert site.child is not None
                series["edge"].append(_of_one(load, site.child, site.url, more, is_charging=True))
            for name, module in (("ocpp", "stock"), ("websockets", "bare")):
                with _server(run, module) as (child, url):
                    series[name].append(_of_one(load, child, url, more, is_charging=name == "ocpp"))
    found = Findings()
    found.goal("P8", "memory of a connected charger, to a bare websockets connection",
               at_most(2.0), rounds.ratio(series["edge"], series["websockets"]))  # fmt: skip
    found.goal("P8", "the same, to ocpp's", at_most(1.0), rounds.ratio(series["edge"], series["ocpp"]))
    for name, values in series.items():
        found.figure(f"{name}, a charger", [value / 1024 for value in values], "KiB")
    return found


@contextlib.contextmanager
def _server(run: Run, module: str) -> Iterator[tuple[Child, str]]:
    with party(module, run.folder) as child:
        yield child, f"ws://127.0.0.1:{child.ask('port')['port']}"


def _of_one(load: Child, server: Child, url: str, more: int, *, is_charging: bool) -> float:
    """Bytes a charger, after all have booted and begun to charge."""
    load.ask("open", group="memory", url=url, count=FEW, is_charging=is_charging)
    time.sleep(SETTLES_WITHIN)
    before = server.own_memory()
    load.ask("open", group="memory", url=url, count=more, is_charging=is_charging)
    time.sleep(SETTLES_WITHIN)
    after = server.own_memory()
    load.ask("close", group="memory")
    return max(1, after - before) / more

"""P9: whether a message costs more when more chargers are connected: 1, 10, 100 and 500, all as fast as they can."""

import contextlib

from benchmarks import rounds
from benchmarks.findings import Findings, at_most
from benchmarks.processes import party
from benchmarks.running import Run
from benchmarks.site import Site


def measure(run: Run) -> Findings:
    sizes = (1, 4) if run.is_quick else (1, 10, 100, 500)
    seconds = run.sized(1, 3)
    series: rounds.Series = {str(size): [] for size in sizes}
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(party("load", run.folder))
        sites = {}
        for size in sizes:
            run.tell(f"{size} chargers connect")
            site = stack.enter_context(Site(run.folder / f"site{size}", size).running())
            load.ask("open", group=str(size), url=site.url, count=size)
            load.ask("closed", group=str(size), seconds=1)
            sites[str(size)] = site
        for _ in rounds.counted(run.rounds, run.on_round):
            for size, site in sites.items():
                before = site.cpu
                told = load.ask("closed", group=size, seconds=seconds)
                series[size].append((site.cpu - before) / told["messages"])
    found = Findings()
    most, many = series[str(sizes[-1])], series[str(sizes[-2])]
    found.goal("P9", f"CPU a message at {sizes[-1]} chargers, to {sizes[-2]}", at_most(1.2), rounds.ratio(most, many))
    for size, values in series.items():
        found.figure(f"{size} chargers: CPU", [1e6 * value for value in values], "us a message")
    return found

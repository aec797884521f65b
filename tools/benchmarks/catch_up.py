"""P7: how much sooner a long backlog is up when old values share a message, than one value a round trip.

50 chargers, each with hours of values that wait; the cloud is 50 ms away and takes everything. What counts is the
values that arrive in a round trip. That starts and stops are up within as many round trips as there are of them is
shown by the simulation, which lives through 72 hours.
"""

import contextlib
import time

from benchmarks import backlog, rounds
from benchmarks.drain import line
from benchmarks.findings import Findings, Shown, at_most
from benchmarks.processes import Child
from benchmarks.running import Run

TRIP = 0.05
CHARGERS, WAITING = 50, 30_000


def measure(run: Run) -> Findings:
    chargers, seconds = run.sized(5, CHARGERS), run.sized(1, 4)
    series: rounds.Series = {"values": [], "messages": []}
    with contextlib.ExitStack() as stack:
        cloud, url = line(run, stack, TRIP)
        site = backlog.site(run, "site", chargers, run.sized(1_000, WAITING), f"{url}/edge")
        stack.enter_context(site.running())
        cloud.ask("expect", calls=2 * chargers)  # the starts, and the first values, are not what is measured
        for _ in rounds.counted(run.rounds, run.on_round):
            values, messages = _arrived(cloud, seconds)
            series["values"].append(values * TRIP / seconds)
            series["messages"].append(messages * TRIP / seconds)
    found = Findings()
    found.goal("P7", "time for a value of a backlog, to one a round trip",
               at_most(1 / 10, Shown.FRACTION), rounds.ratio([1.0] * run.rounds, series["values"]))  # fmt: skip
    found.figure("values in a round trip", series["values"], "")
    found.figure("messages in a round trip", series["messages"], "")
    return found


def _arrived(cloud: Child, seconds: float) -> tuple[int, int]:
    """Values and messages that came while the cloud let them."""
    before = cloud.ask("told")
    cloud.ask("flow")
    time.sleep(seconds)
    cloud.ask("hold")
    after = cloud.ask("told")
    return after["values"] - before["values"], after["counts"]["MeterValues"] - before["counts"].get("MeterValues", 0)

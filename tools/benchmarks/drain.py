"""P6: how close the queue upstream comes to one message a round trip, the most that one outstanding CALL allows.

Beside it a bare loop does the same over the same line: it sends a text, waits for the answer, and knows nothing else.
The line delays each octet by half a round trip each way (`parties/delay.py`). One round is the daemon's turn, then the
loop's; the cloud holds its answer back while it is not the daemon's turn. It takes one value in a message.
"""

import contextlib
import time

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks import backlog, messages, rounds
from benchmarks.findings import Findings, Shown, at_least
from benchmarks.processes import Child, party
from benchmarks.running import Run

CHARGERS = 10
TRIPS = {0.005: 300, 0.05: 60}
"""Messages a round, by the seconds of a round trip."""


def measure(run: Run) -> Findings:
    found = Findings()
    for trip, count in TRIPS.items():
        calls = run.sized(10, count)
        shares = _shares(run, trip, calls)
        name = f"{1000 * trip:g} ms"
        against_trip, against_loop = shares["edge"], rounds.ratio(shares["edge"], shares["loop"])
        if trip >= 0.05:
            found.goal("P6", f"drain at {name}, to one a round trip",
                       at_least(0.97, Shown.SHARE), rounds.Spread.of(against_trip))  # fmt: skip
        else:
            found.goal("P6", f"drain at {name}, to a bare loop", at_least(0.95, Shown.SHARE), against_loop)
        found.figure(f"{name}: edge, of one a round trip", against_trip, "")
        found.figure(f"{name}: bare loop, of one a round trip", shares["loop"], "")
        found.figure(f"{name}: edge to bare loop", against_loop, "")
    return found


def _shares(run: Run, trip: float, calls: int) -> rounds.Series:
    """Messages a second times the round trip, of the daemon and of the loop."""
    series: rounds.Series = {"edge": [], "loop": []}
    with contextlib.ExitStack() as stack:
        cloud, url = line(run, stack, trip)
        waiting = (run.rounds + 1) * calls + 100
        site = backlog.site(run, f"drain{1000 * trip:g}", CHARGERS, waiting, f"{url}/edge")
        cloud.ask("take", values=1)  # like for like: what several values in a message gain is P7's
        stack.enter_context(site.running())
        cloud.ask("expect", calls=CHARGERS + 10)  # the starts, and the first answers, are not what is measured
        socket = stack.enter_context(connect(f"{url}/loop", subprotocols=[Subprotocol("ocpp1.6")], compression=None))
        for _ in rounds.counted(run.rounds, run.on_round):
            told = cloud.ask("expect", calls=calls)
            series["edge"].append((told["calls"] - 1) / told["seconds"] * trip)
            series["loop"].append(calls / _looped(socket, calls) * trip)
    return series


def line(run: Run, stack: contextlib.ExitStack, trip: float) -> tuple[Child, str]:
    """A cloud at the end of a long line, and the line's URL."""
    cloud = stack.enter_context(party("cloud", run.folder))
    delay = stack.enter_context(party("delay", run.folder, str(cloud.ask("port")["port"]), str(trip)))
    return cloud, f"ws://127.0.0.1:{delay.ask('port')['port']}"


def _looped(socket: ClientConnection, calls: int) -> float:
    """Seconds that so many messages take when nothing is done between answer and next."""
    values = messages.MeterValues("loop", 1)
    texts = [values.text(number).replace("MeterValues", "Heartbeats!", 1) for number in range(calls)]
    began = time.perf_counter()
    for text in texts:
        socket.send(text)
        socket.recv()
    return time.perf_counter() - began

"""The parts of the bench, in the order in which they run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks import (
    acknowledgement,
    catch_up,
    codec,
    commits,
    drain,
    fleet_size,
    memory,
    path,
    priority,
    row_costs,
    starting,
    verdicts,
    wear,
)
from benchmarks.findings import Findings
from benchmarks.running import Run


@dataclass(frozen=True, slots=True)
class Part:
    """`measure` runs it; `what` is told by `--list`."""

    what: str
    measure: Callable[[Run], Findings]


PARTS: Mapping[str, Part] = {
    "codec": Part("reading, checking and answering, beside ocpp's route_message (P1)", codec.measure),
    "path": Part("the whole durable path at 100 chargers, beside ocpp and packages (P2, P3)", path.measure),
    "acknowledgement": Part("one durable answer, beside append + fdatasync (P4)", acknowledgement.measure),
    "commits": Part("shared commits, beside one for each message (P5)", commits.measure),
    "drain": Part("the queue upstream, beside one message a round trip (P6)", drain.measure),
    "catch-up": Part("a backlog's values, beside one a round trip (P7)", catch_up.measure),
    "memory": Part("memory of a charger, beside a bare connection (P8)", memory.measure),
    "fleet": Part("the price of a message at 1, 10, 100 and 500 chargers (P9)", fleet_size.measure),
    "rows": Part("the price of a row at 1,000 and 1,000,000 that wait (P9)", row_costs.measure),
    "starting": Part("command line and daemon, beside interpreter and imports (P10)", starting.measure),
    "priority": Part("answers while 100,000 messages drain (P11)", priority.measure),
    "verdicts": Part("the schema check's verdicts, beside ocpp's (P12)", verdicts.measure),
    "wear": Part("octets and syncs of a message, beside the usual way (R17)", wear.measure),
}

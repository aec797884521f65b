"""What the three proofs have said, as lines of one table: what was done how often, and what was lost by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
"""What a tool has printed with `--json`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure. `goal`: the least that it must be; for what must not happen, the most."""

    what: str
    figure: float
    goal: float
    is_most: bool = False

    @property
    def is_met(self) -> bool:
        return self.figure <= self.goal if self.is_most else self.figure >= self.goal

    @property
    def wanted(self) -> str:
        return f"{'≤' if self.is_most else '≥'} {self.goal:,.0f}"


def never(what: str, count: float) -> Line:
    return Line(what, count, 0, is_most=True)


def simulation(said: Document, times: int) -> list[Line]:
    """Of `tools/simulate`. `times`: so many times the goals of a change."""
    return [
        Line("Site-hours simulated", said["site_hours"], 1_000 * times),
        Line("Faults injected", said["faults_injected"], 100_000 * times),
        Line("Classes of faults", len(said["faults"]), 20),
        Line("Messages acknowledged to chargers", said["messages_acknowledged"], 1),
        never("Acknowledged messages neither delivered nor parked", said["lost"]),
        never("Messages out of order", said["out_of_order"]),
        never("Duplicates that cannot be recognised", said["unrecognisable_duplicates"]),
        never("Sessions whose watt-hours differ", said["watt_hours_not_conserved"]),
        never("Unhandled exceptions", said["unhandled_exceptions"]),
        never("Other rules broken", said["other_breaches"]),
    ]


def crashes(said: Document, times: int) -> list[Line]:
    """Of `tools/crash`."""
    bites = said["bites"]
    return [
        Line("Disk images after a power cut", said["images"], 50_000 * times),
        Line("Points at which the daemon was killed", said["kill_points"], 1_000 * times),
        Line("Calls of the kernel that failed", said["error_points"], 250 * times),
        Line("Times that an acknowledged message was looked for", said["looked_for"], 1),
        never("Acknowledged messages lost", said["lost"]),
        never("Databases damaged", said["corrupt"]),
        never("Transactions by half", said["half_transactions"]),
        never("Anything else wrong", sum(said["wrong"].values())),
        Line("Daemons broken on purpose, found out", sum(one["is_found_out"] for one in bites), len(bites)),
    ]


def hostile(said: Document, times: int) -> list[Line]:
    """Of `tools/fuzz`."""
    return [
        Line("Mutated inputs", said["inputs"], 1_000_000 * times),
        Line("Targets", len(said["targets"]), 6),
        never("Exceptions that escaped", said["escaped"]),
        never("Inputs that did other harm", len(said["findings"])),
        Line("Most memory kept by a target, kB", said["most_memory_growth_kb"], 5 * 1024, is_most=True),
    ]


def fault_classes(said: Document) -> list[tuple[str, int]]:
    """How often each class struck, the most frequent first."""
    return sorted(((name.replace("_", " "), count) for name, count in said["faults"].items()), key=lambda one: -one[1])


def crash_classes(said: Document) -> list[tuple[str, int]]:
    """What was done to the process and its disk, and how often."""
    return [
        (f"{kind}: {what}", count) for kind, each in said["kinds"].items() for what, count in each["covered"].items()
    ]


def fuzz_targets(said: Document) -> list[tuple[str, int]]:
    return [(name.replace("_", " "), figures["inputs"]) for name, figures in said["targets"].items()]

"""Many simulated sites, in as many processes as there are cores, and what they come to together.

`outcomes` yields each as it is done; `Total` adds them up: its `table` is for people, its `document` for programs.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from operator import methodcaller
from typing import Any

from tests.side_by_side import side_by_side
from tests.simulation.plan import Run
from tests.simulation.simulate import Outcome

GRAVEST = {
    "lost": ("acknowledged_is_on_disk", "rows_stay", "acknowledged_is_delivered"),
    "out_of_order": ("order_of_each_connector",),
    "unrecognisable_duplicates": ("repeats_are_equal", "repeats_have_a_reason", "nothing_is_invented"),
    "watt_hours_not_conserved": ("energy_is_conserved", "our_stops_are_provable"),
    "unhandled_exceptions": ("nothing_fails",),
}
"""Names for breaches of these rules (`invariants.py`); those of all others are `other_breaches`."""


def outcomes(runs: Sequence[Run], workers: int = 1) -> Iterator[tuple[Run, Outcome]]:
    """One of each run, in the order in which they are done. Whoever takes them closes the iterator."""
    if workers == 1 or len(runs) <= 1:
        yield from ((run, run.live()) for run in runs)
        return
    with closing(side_by_side(methodcaller("live"), runs, workers)) as lived:
        for run, outcome in lived:
            yield run, outcome.result()


@dataclass(slots=True)
class Total:
    """Of all runs so far."""

    runs: int = 0
    hours: float = 0.0
    cpu_seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    clouds: Counter[str] = field(default_factory=Counter)
    breaches: Counter[str] = field(default_factory=Counter)
    """By the kinds of `GRAVEST`."""
    rules_broken: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)
    """Commands that repeat the runs in which a rule was broken."""

    def add(self, outcome: Outcome) -> None:
        self.runs += 1
        self.hours += outcome.virtual_hours
        self.cpu_seconds += outcome.cpu_seconds
        self.faults.update(outcome.faults)
        self.figures.update(outcome.figures)
        self.clouds[outcome.cloud] += 1
        self.breaches.update(_kind(breach) for breach in outcome.breaches)
        self.rules_broken.update(breach.partition(":")[0] for breach in outcome.breaches)
        if outcome.breaches:
            self.broken.append(outcome.command)

    def line(self, of: int) -> str:
        return f"{self.runs} of {of} runs, {self.hours:,.0f} site-hours, {len(self.broken)} broken"

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "site_hours": round(self.hours, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "runs": self.runs,
            "clouds": dict(sorted(self.clouds.items())),
            **dict(sorted(self.figures.items())),
            "faults_injected": self.faults.total(),
            "faults": dict(self.faults.most_common()),
            **{kind: self.breaches[kind] for kind in (*GRAVEST, "other_breaches")},
            "rules_broken": sorted(self.rules_broken),
            "broken": self.broken,
        }

    def table(self) -> list[str]:
        speed = self.hours * 3600 / self.cpu_seconds if self.cpu_seconds else 0.0
        rows = [
            ("site-hours", f"{self.hours:,.1f}"),
            ("processor seconds", f"{self.cpu_seconds:,.0f} ({speed:,.0f} times real time on one core)"),
            ("runs", f"{self.runs:,} ({', '.join(f'{count} {kind}' for kind, count in sorted(self.clouds.items()))})"),
            *((_in_words(name), f"{count:,}") for name, count in sorted(self.figures.items())),
            ("faults injected", f"{self.faults.total():,} of {len(self.faults)} classes"),
            *((f"  {_in_words(name)}", f"{count:,}") for name, count in self.faults.most_common()),
            *((_in_words(kind), f"{self.breaches[kind]:,}") for kind in (*GRAVEST, "other_breaches")),
            ("rules broken", ", ".join(sorted(self.rules_broken)) or "none"),
        ]
        return [
            f"{name:34}{value:>12}" if value.replace(",", "").isdigit() else f"{name:34}{value}" for name, value in rows
        ]


def _kind(breach: str) -> str:
    rule = breach.partition(":")[0].rpartition(" ")[2]
    return next((kind for kind, rules in GRAVEST.items() if rule in rules), "other_breaches")


def _in_words(name: str) -> str:
    return name.replace("_", " ")

"""What a proof has covered, and what it has found: added up, shown as a table, or told to a machine."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

CORRUPT = frozenset({"cannot be opened", "is damaged", "a copy is damaged", "was put aside"})
"""The file is not what SQLite or the daemon could go on with."""
BY_HALF = frozenset({"contradicts itself", "was never so"})
"""A unit of work is there in part, or without one before it."""
EXAMPLES = 5


@dataclass
class Figures:
    """Of a replay, of kill points, or of failing calls; they can be added."""

    covered: Counter[str] = field(default_factory=Counter)
    """How often, by what was done."""
    points: int = 0
    """Moments of a run, or calls of the kernel, at which it was done."""
    acknowledged: int = 0
    """Messages that were answered in the runs."""
    promises: int = 0
    """How often it was looked for one of them: in each image for all that were answered by then."""
    lost: int = 0
    """Acknowledged messages that were not there."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Anything else that must not be, by kind."""
    examples: list[str] = field(default_factory=list)
    """The first few, in words."""
    seconds: float = 0.0
    """Of a processor, for replays; of the clock, for processes that wait for one another."""
    notes: Counter[str] = field(default_factory=Counter)
    """What else is worth knowing."""

    @property
    def cases(self) -> int:
        return self.covered.total()

    @property
    def corrupt(self) -> int:
        return sum(count for kind, count in self.wrong.items() if kind in CORRUPT)

    @property
    def by_half(self) -> int:
        return sum(count for kind, count in self.wrong.items() if kind in BY_HALF)

    @property
    def is_clean(self) -> bool:
        return self.lost == 0 and not self.wrong

    def complain(self, kind: str, words: str) -> None:
        self.wrong[kind] += 1
        self._keep(f"{kind}: {words}")

    def lose(self, count: int, words: str) -> None:
        self.lost += count
        self._keep(f"lost: {words}")

    def _keep(self, words: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(words[:600])

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.covered + other.covered,
            self.points + other.points,
            self.acknowledged + other.acknowledged,
            self.promises + other.promises,
            self.lost + other.lost,
            self.wrong + other.wrong,
            (self.examples + other.examples)[:EXAMPLES],
            self.seconds + other.seconds,
            self.notes + other.notes,
        )

    def __str__(self) -> str:
        rate = f"{self.cases / self.seconds:,.1f} a second" if self.seconds else ""
        lines = [
            f"{self.cases:,} cases at {self.points:,} points, {rate}",
            f"  {self.acknowledged:>8,}  messages acknowledged, looked for {self.promises:,} times",
            *(f"  {count:>8,}  {what}" for what, count in sorted(self.covered.items())),
            *(f"  {count:>8,}  ({what})" for what, count in sorted(self.notes.items())),
            f"  {self.lost:>8,}  acknowledged messages lost",
            *(f"  {count:>8,}  WRONG: {what}" for what, count in sorted(self.wrong.items())),
            *(f"    {one}" for one in self.examples),
        ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "cases": self.cases,
            "points": self.points,
            "acknowledged": self.acknowledged,
            "looked_for": self.promises,
            "lost": self.lost,
            "corrupt": self.corrupt,
            "half_transactions": self.by_half,
            "wrong": dict(sorted(self.wrong.items())),
            "examples": self.examples,
            "covered": dict(sorted(self.covered.items())),
            "notes": dict(sorted(self.notes.items())),
            "seconds": round(self.seconds, 1),
        }


def total(figures: Iterable[Figures]) -> Figures:
    return sum(figures, Figures())

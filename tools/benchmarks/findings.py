"""What a part found: goals with their verdict, and the figures behind them."""

from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.rounds import Spread


class Shown(StrEnum):
    """How a measured value is written."""

    FRACTION = "fraction"
    """1/29: smaller than the other by so much."""
    TIMES = "times"
    """8.7x"""
    SHARE = "share"
    """0.985"""
    BYTES = "bytes"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Target:
    """`at_most` or at least this."""

    value: float
    is_most: bool
    shown: Shown

    def is_met(self, measured: float) -> bool:
        return measured <= self.value if self.is_most else measured >= self.value


def at_most(value: float, shown: Shown = Shown.TIMES) -> Target:
    return Target(value, is_most=True, shown=shown)


def at_least(value: float, shown: Shown = Shown.TIMES) -> Target:
    return Target(value, is_most=False, shown=shown)


@dataclass(frozen=True, slots=True)
class Goal:
    """One row of the table. `number` is P1… of performance, R1… of reliability; `measured` None: not measured here."""

    number: str
    what: str
    target: Target
    measured: Spread | None
    why_not: str = ""
    """Why it was not measured."""

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "-"
        return "met" if self.target.is_met(self.measured.median) else "missed"


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured that has no goal, or stands behind one: absolute, so true of this machine only."""

    what: str
    spread: Spread
    unit: str


@dataclass(slots=True)
class Findings:
    """Of one part."""

    goals: list[Goal] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What a reader must know to judge the rows."""

    def goal(self, number: str, what: str, target: Target, measured: Spread) -> None:
        self.goals.append(Goal(number, what, target, measured))

    def figure(self, what: str, values: "list[float] | Spread", unit: str) -> None:
        self.figures.append(Figure(what, values if isinstance(values, Spread) else Spread.of(values), unit))

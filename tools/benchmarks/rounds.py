"""Interleaved rounds: A B C A B C …, so that a machine that grows slower in between does so for all of them.

What is compared is the ratio within each round; its median counts, and how far the rounds lie apart is always told.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Series = dict[str, list[float]]
"""What was measured, by name, one value a round."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the smallest and the largest of its rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


def interleaved(
    contenders: Mapping[str, Callable[[], float]],
    rounds: int,
    on_round: Callable[[int, int], None] = lambda _n, _of: None,
) -> Series:
    """One value of each contender in each round, after one round that does not count."""
    for measure in contenders.values():
        measure()
    series: Series = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        on_round(number, rounds)
        for name, measure in contenders.items():
            series[name].append(measure())
    return series


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours over theirs, round by round."""
    return Spread.of([one / other for one, other in zip(ours, theirs, strict=True)])


def counted(rounds: int, on_round: Callable[[int, int], None]) -> Iterator[int]:
    """The numbers of the rounds, each told before it begins; for parts whose rounds are more than one value."""
    for number in range(1, rounds + 1):
        on_round(number, rounds)
        yield number

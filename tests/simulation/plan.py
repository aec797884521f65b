"""Runs of simulated sites: one of them, and those with which everything is proven.

`test_yard.py` lives them all once; `tools/simulate --times 10`, and with it `tools/prove --full`, ten times as many.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from tests.simulation.faults import EVERYTHING
from tests.simulation.simulate import Outcome, simulate


@dataclass(frozen=True, slots=True)
class Run:
    """`cloud`: another kind than the seed says. `only` these faults, `intensity` times as often."""

    seed: int
    hours: float
    chargers: int
    cloud: str | None = None
    only: Collection[str] = EVERYTHING
    intensity: float = 1.0

    def live(self) -> Outcome:
        return simulate(
            self.seed, self.hours, self.chargers, cloud=self.cloud, only=self.only, intensity=self.intensity
        )


INTENSITY = 1.35
CHARGERS = (2, 2, 2, 3)
SHORT = tuple(Run(seed, 20.0, CHARGERS[seed % len(CHARGERS)], intensity=INTENSITY) for seed in range(1, 49))
LONG = (Run(201, 80.0, 3, intensity=INTENSITY),)
"""Long enough for three days without the cloud."""
NEXT_TIME = 1000
"""From the seed of a run to that of the same run the next time."""


def runs(times: int = 1) -> list[Run]:
    """All of them so many times, never with the same seed; the long ones first, that nobody waits for one at the end."""
    return [replace(run, seed=run.seed + NEXT_TIME * again) for run in (*LONG, *SHORT) for again in range(times)]

"""Givens of the simulation: where the outcomes of many runs come together, whichever worker of a test run has lived them."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulation.simulate import Outcome

Harvest = Callable[[Outcome], list[Outcome]]


@pytest.fixture(scope="session")
def harvest(tmp_path_factory: pytest.TempPathFactory) -> Harvest:
    """Adds an outcome to those of this test run, and returns all that are there so far: who comes last sees them all."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the one that all workers share
    folder /= "outcomes"
    folder.mkdir(exist_ok=True)

    def bring_in(outcome: Outcome) -> list[Outcome]:
        name = f"{outcome.seed}-{outcome.virtual_hours:.6f}"
        fresh = folder / f"{name}.new"
        fresh.write_bytes(pickle.dumps(outcome))
        fresh.rename(folder / f"{name}.outcome")
        return [_read(path) for path in sorted(folder.glob("*.outcome"))]

    return bring_in


def _read(path: Path) -> Outcome:
    return pickle.loads(path.read_bytes())

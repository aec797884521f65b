"""Givens of the firmware bridge's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.jobs import rollouts
from firmware_bridge import fetching, forwarding
from tests.scenarios.site import short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout goes on as soon as something has happened, in the bridge as well."""
    monkeypatch.setattr(rollouts, "EVERY", 0.2)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before the next attempt."""
    for module in (fetching, forwarding):
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
        monkeypatch.setattr(module, "LONGEST_PAUSE", 0.1)

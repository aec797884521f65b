"""Givens of the crash tests."""

import pytest
import structlog

from tests.crash import proof, strace


@pytest.fixture(scope="session")
def has_strace() -> None:
    """Without strace nothing of this is proven, and the tests say so."""
    why = strace.why_not()
    if why is not None:
        pytest.skip(f"not proven here: {why}")


@pytest.fixture(autouse=True)
def quiet() -> None:
    """What opening a store says of each of a thousand images."""
    proof.quiet()
    yield
    structlog.reset_defaults()

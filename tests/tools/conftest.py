"""Givens of the tests of the tools."""

import bootstrap
import pytest


@pytest.fixture
def prepared() -> None:
    """A tool would otherwise make the environment anew under the feet of the running tests."""
    lock, locked, project = bootstrap.present()
    is_fresh = lock is not None and (locked, project) == (
        bootstrap.digest_of(lock),
        bootstrap.digest_of("pyproject.toml"),
    )
    if not is_fresh:
        pytest.fail("the environment is not that of the lock files: run tools/test")

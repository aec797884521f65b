"""Givens of the scenarios."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from simulators.csms import Csms

from tests.scenarios.site import short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    async with Csms() as cloud:
        yield cloud

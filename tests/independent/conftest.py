"""Givens: the stack, or why it is missing."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from simulators.csms import Csms

from tests.independent.runtime import Missing, Stack, must_be_there, provide
from tests.scenarios.site import short_folder


@pytest.fixture(scope="session")
def stack() -> Stack:
    try:
        return provide(os.environ)
    except Missing as missing:
        if must_be_there(os.environ):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    async with Csms() as cloud:
        yield cloud

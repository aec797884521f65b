"""Folders with short names: the path of a UNIX socket may have 107 characters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.site import short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path

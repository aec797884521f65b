"""Givens of the store's tests; `givens.py` beside this file has what they are made of."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.givens import StoredSite, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge.db"


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    connection = opened(path)
    yield connection
    connection.close()


@pytest.fixture
def site(db: sqlite3.Connection) -> StoredSite:
    return StoredSite(db)

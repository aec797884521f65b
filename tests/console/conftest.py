"""Sockets in short folders (a UNIX socket's path has at most 107 bytes), local time, and a daemon of canned answers."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.canned import CannedDaemon


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edge", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture(autouse=True)
def central_european_time(monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch) -> None:
    for name in ("EDGE_SOCKET", "EDGE_CONFIG", "NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def daemon(folder, monkeypatch) -> Iterator[CannedDaemon]:
    canned = CannedDaemon(folder / "edge.sock")
    monkeypatch.setenv("EDGE_SOCKET", str(canned.path))
    yield canned
    canned.close()

"""The unit files of `systemd/`, as the tests read them; and the tools of the distribution that judge them."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
EDGE_SERVICE = SYSTEMD / "edge.service"
DROP_INS = SYSTEMD / "edge.service.d"
UNITS = {"s": 1.0, "min": 60.0, "": 1.0}


class Line(NamedTuple):
    section: str
    key: str
    value: str


def lines(file: Path) -> list[Line]:
    """Each setting; a key may stand there more than once."""
    found, section = [], ""
    for text in file.read_text(encoding="utf-8").splitlines():
        if text.startswith("["):
            section = text.strip("[]")
        elif text and not text.startswith("#"):
            key, is_setting, value = text.partition("=")
            assert is_setting, f"{file.name}: {text}"
            found.append(Line(section, key, value))
    return found


def values(key: str, file: Path = EDGE_SERVICE) -> list[str]:
    return [line.value for line in lines(file) if line.key == key]


def value(key: str, file: Path = EDGE_SERVICE) -> str:
    (only,) = values(key, file)
    return only


def seconds(key: str) -> float:
    """A time span as this unit writes it: `60`, `15min`."""
    span = value(key)
    number = span.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number) * UNITS[span.removeprefix(number)]


def tool(name: str, package: str) -> str:
    """Its path. Without it the test is skipped, but not where everything has to be there."""
    path = shutil.which(name)
    if path is None:
        missing = f"{name} is not installed: apt install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return path

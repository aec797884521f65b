"""How a mistake in the file is told: file, line, key, and what was expected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from edge.config.rules import printable
from edge.domain.ports import EdgeError

KeyPath: TypeAlias = tuple[str | int, ...]
"""From the top of the document: `("charger", 1, "password_file")`; tables of an array count from 0."""

LineIndex: TypeAlias = Mapping[KeyPath, int]


@dataclass(frozen=True, slots=True)
class Problem:
    file: str
    line: int | None
    """The key's line, or its table's when the key is missing. None: the file as a whole."""
    key: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        subject = f"{self.key}: " if self.key else ""
        return f"{place}: {'warning: ' if self.warning else ''}{subject}{self.message}"


class ConfigurationError(EdgeError):
    """The file cannot be used. `problems` are all that is wrong with it, in the order of its lines."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Unexpected(Exception):
    """One value is not what its key expects; the message says what that is."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem before it has a line."""

    path: KeyPath
    message: str
    warning: bool = False
    can_run: bool = False
    """The daemon starts in spite of it (and limits itself), `edge check` fails."""


def located(fault: Fault, file: str, document: Mapping[str, object], lines: LineIndex) -> Problem:
    """The fault with its line, and with its path as people read it."""
    return Problem(file, _line_of(fault.path, lines), _spelled(fault.path, document), fault.message, fault.warning)


def _line_of(path: KeyPath, lines: LineIndex) -> int:
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1  # a table that is missing altogether: the document itself begins in line 1


def _spelled(path: KeyPath, document: Mapping[str, object]) -> str:
    """`charger[CP-02].password_file`; a table without a usable id goes by its place, `listener[#1]`."""
    text = ""
    value: object = document
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
            name = value.get("id") if isinstance(value, dict) else None
            usable = isinstance(name, str) and 0 < len(name) <= 48 and name.isprintable()
            text += f"[{name}]" if usable else f"[#{step + 1}]"
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
            text += ("." if text else "") + printable(step)
    return text

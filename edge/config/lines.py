"""On which line each key of a TOML text stands; `tomllib` does not tell.

In comes text that `tomllib` has accepted, so this reads leniently: it follows table headers, dotted and quoted
keys, and steps over values, going into arrays and inline tables. Out comes a line for every key and every table.
"""

import re
import tomllib
from bisect import bisect_left

from edge.config.problems import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
_STRING = re.compile(
    r'''"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL
)
_PLAIN = re.compile(r"[^,\]}\n#]*")


def index(text: str) -> dict[KeyPath, int]:
    """`{("charger", 1, "password_file"): 14, …}`, lines from 1."""
    return _Scanner(text.replace("\r\n", "\n")).scanned()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [place for place, letter in enumerate(text) if letter == "\n"]
        self._lines: dict[KeyPath, int] = {}
        self._tables: dict[KeyPath, int] = {}
        """How many tables each `[[array]]` has so far."""

    def scanned(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _header(self) -> KeyPath:
        line = self._line()
        is_array = self._text.startswith("[[", self._at)
        brackets = 2 if is_array else 1
        self._at += brackets
        names = self._key()
        self._at += brackets
        path = (*self._resolved(names[:-1]), names[-1])
        if is_array:
            number = self._tables.get(path, 0)
            self._tables[path] = number + 1
            self._lines.setdefault(path, line)
            path += (number,)
        else:
            path = self._resolved(names)
        self._note(path, line)
        return path

    def _resolved(self, names: list[str]) -> KeyPath:
        """A header's `a.b` means the latest table of the array `a`, if `a` is one."""
        path: KeyPath = ()
        for name in names:
            path += (name,)
            if path in self._tables:
                path += (self._tables[path] - 1,)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = (*table, *self._key())
        self._note(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _note(self, path: KeyPath, line: int) -> None:
        """Also for the tables that the path makes on its way (`a.b.c = 1`)."""
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _key(self) -> list[str]:
        names = []
        while found := _KEY.match(self._text, self._at):
            self._at = found.end()
            name = found[1]
            names.append(name if name[0] not in "\"'" else tomllib.loads(f"key = {name}")["key"])
            if not found[2]:
                break
        return names

    def _value(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        match self._peek():
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_PLAIN)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        number = 0
        self._skip(_BLANK)
        while self._peek() not in ("]", ""):
            self._lines[*path, number] = self._line()
            self._value((*path, number))
            number += 1
            self._comma()
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        self._skip(_BLANK)
        while self._peek() not in ("}", ""):
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self._peek() == ",":
            self._at += 1
        self._skip(_BLANK)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if found := pattern.match(self._text, self._at):
            self._at = found.end()

    def _line(self) -> int:
        return bisect_left(self._ends, self._at) + 1

"""Tables, labelled lines and colour on a terminal of any width; through a pipe plain and as wide as it gets."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_GREEN, _YELLOW, _RED = "32", "33", "31"
_COLOURS = {
    **dict.fromkeys(("accepted", "online", "good", "delivered", "acked", "valid"), _GREEN),
    **dict.fromkeys(("Available", "Preparing", "Charging", "Finishing", "Occupied", "Reserved"), _GREEN),
    **dict.fromkeys(("connecting", "pending", "stale", "waiting", "sending", "open", "warning"), _YELLOW),
    **dict.fromkeys(("SuspendedEV", "SuspendedEVSE", "Unavailable", "not enforced"), _YELLOW),
    **dict.fromkeys(("offline", "rejected", "refused", "absent", "parked", "Faulted", "retired", "error"), _RED),
}
_GAP = "  "
_NARROWEST = 6
"""No column is made narrower than this many characters."""


class Page(NamedTuple):
    """What the text is printed on."""

    width: int | None
    """Columns of the terminal; None: not a terminal, lines may have any length."""
    colour: bool

    def state(self, word: str, shown: str | None = None) -> str:
        """The word of a state, or what is shown for it, coloured by how good it is."""
        return self.ink(word if shown is None else shown, _COLOURS.get(word, ""))

    def alarm(self, words: str) -> str:
        return self.ink(words, _RED)

    def ink(self, words: str, colour: str) -> str:
        return f"\x1b[{colour}m{words}\x1b[0m" if colour and self.colour else words


class Column(NamedTuple):
    title: str
    right: bool = False
    is_state: bool = False
    gives: bool = False
    """May be shortened when the page is too narrow: the widest of them first."""


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], page: Page) -> list[str]:
    """Lines of a table with a headline. A column without any entry is left out."""
    cells = [list(row) for row in rows]
    shown = [index for index in range(len(columns)) if any(row[index] for row in cells)]
    columns = [columns[index] for index in shown]
    cells = [[row[index] for index in shown] for row in cells]
    widths = [max(len(column.title), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    if page.width is not None:
        _fit(widths, [i for i, column in enumerate(columns) if column.gives], page.width)
    lines = [_line([column.title for column in columns], columns, widths, None)]
    lines += [_line(row, columns, widths, page) for row in cells]
    return lines


def _fit(widths: list[int], giving: Sequence[int], available: int) -> None:
    """Make the giving columns narrower until the line fits, or until there is nothing left to give."""
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - available
    while excess > 0 and giving:
        widest = max(giving, key=lambda index: widths[index])
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1
        excess -= 1


def _line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int], page: Page | None) -> str:
    """One line; without a page (the headline) nothing is coloured."""
    cells = []
    for word, column, width in zip(row, columns, widths, strict=True):
        short = clip(word, width)
        padding = " " * (width - len(short))
        ink = page.state(word, short) if page is not None and column.is_state else short
        cells.append(padding + ink if column.right else ink + padding)
    return _GAP.join(cells).rstrip()


def clip(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"


def labelled(pairs: Iterable[tuple[str, str]], page: Page) -> list[str]:
    """`label   value` lines with aligned values; a value may hold colour and is wrapped, not cut."""
    pairs = list(pairs)
    indent = max((len(label) for label, _ in pairs), default=0) + 2
    return [line for label, value in pairs for line in wrapped(f"{label:<{indent}}{value}", indent, page)]


def wrapped(words: str, indent: int, page: Page) -> list[str]:
    """The words on as many lines as they need, all but the first indented."""
    if page.width is None or _visible(words) <= page.width:
        return [words]
    first, *others = words.split(" ")
    lines = [first]
    for word in others:
        longer = f"{lines[-1]} {word}"
        if _visible(longer) <= page.width or not lines[-1].strip():
            lines[-1] = longer
        else:
            lines.append(" " * indent + word)
    return [line.rstrip() for line in lines]


def _visible(words: str) -> int:
    return len(re.sub("\x1b\\[[0-9]*m", "", words))

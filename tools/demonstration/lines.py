"""What the demo prints: one fact a line, with the local time, in 80 columns of plain ASCII, at once also in a pipe."""

import os
import sys
import textwrap
from collections.abc import Callable

from simulators.wire import utc_now

WIDTH = 80
_INDENT = " " * 20


class Lines:
    """`on_gone` is called once when nobody reads any more (`tools/demo | head`)."""

    def __init__(self, on_gone: Callable[[], None] = lambda: None) -> None:
        self.on_gone = on_gone
        self.count = 0

    def say(self, who: str, text: str) -> None:
        """A thing that has just happened."""
        first = f"{clock()}  {who:<8}  "
        self.plain(textwrap.fill(first + text, WIDTH, subsequent_indent=_INDENT, break_on_hyphens=False))

    def plain(self, text: str = "") -> None:
        self.count += 1
        try:
            print(text, flush=True)
        except BrokenPipeError:
            # What is still in the buffer would fail again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.on_gone()


def clock() -> str:
    return f"{utc_now().astimezone():%H:%M:%S}"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def kilowatts(watts: float | None) -> str:
    return "?" if watts is None else f"{watts / 1000:.1f} kW"

"""How far something is, on one line of the terminal that is written over; nothing where stderr is no terminal."""

import sys


class Progress:
    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._is_shown = sys.stderr.isatty()
        self._last = ""
        self.has_begun = False

    def show(self, what: str, done: int, of: int) -> None:
        self.has_begun = True
        share = f" {100 * done // of} %" if of else ""
        words = f"{self._subject} {what}{share}"
        if self._is_shown and words != self._last:
            print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)
            self._last = words

    def clear(self) -> None:
        if self._last:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._last = ""

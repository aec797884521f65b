"""The command's half of `edge meter probe`: who does it, and what is shown meanwhile.

A daemon that reads the line already lets nobody else onto it: it is asked first. Without a daemon, or where it says
that the line is not its own, the function that was handed in does it in this process. Loaded only for this command.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import TypeAlias

from edge.console.client import Request, ask
from edge.console.document import part, text
from edge.console.errors import CommandError
from edge.jsontypes import Payload

ProbeHere: TypeAlias = Callable[[Payload, Callable[[str], None]], Payload]
"""What to probe, and what is told of each step → the document. Raises CommandError."""

ANSWER_SECONDS = 30.0
"""Each step of the daemon takes a second or two."""
_NOT_THE_DAEMON = ("not_in_use", "unreachable", "unknown_command")


def probe(socket: str, args: Payload, probe_here: ProbeHere | None) -> Payload:
    """The document. Raises CommandError."""
    progress = _Progress()
    try:
        try:
            return _ask_daemon(socket, args, progress)
        except CommandError as error:
            if probe_here is None or progress.has_begun or not _may_be_done_here(error, socket):
                raise
        return probe_here(args, progress.show)
    finally:
        progress.clear()


def _may_be_done_here(error: CommandError, socket: str) -> bool:
    """A daemon that lives but lets us not in may be reading the very line: two at a time would disturb each other."""
    is_locked = os.path.exists(socket) and not os.access(socket, os.W_OK)  # noqa: PTH110 - pathlib costs start time
    return error.code in _NOT_THE_DAEMON and not is_locked


def _ask_daemon(socket: str, args: Payload, progress: "_Progress") -> Payload:
    document: Payload = {}
    for line in ask(socket, Request("meter_probe", args, stream=True, timeout_s=ANSWER_SECONDS)):
        document = json.loads(line)
        if error := part(document, "error"):
            raise CommandError(text(error, "code"), text(error, "message"), text(error, "hint", ""))
        if "found" in document:
            return document
        progress.show(text(document, "trying", ""))
    raise CommandError("unreachable", "The daemon closed the connection without a result.", "Look at its log.")


class _Progress:
    """One line on the terminal that is written over; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self.has_begun = False
        """Something has been tried already."""

    def show(self, words: str) -> None:
        self.has_begun = True
        if self._is_shown and words:
            print(f"\r\x1b[K{words[:79]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_shown and self.has_begun:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

"""How a command fails, on both sides of the socket: a code for programs, a sentence and a next step for people.

The codes become the exit codes of `edge`. Standard library only: the client loads this module.
"""

from edge.jsontypes import Payload

FAILED = 1
USAGE = 2
UNREACHABLE = 3
NOT_FOUND = 4
TIMED_OUT = 5

_EXIT_CODES = {
    "usage": USAGE,
    "invalid_configuration": USAGE,
    "unreachable": UNREACHABLE,
    "stopping": UNREACHABLE,
    "timed_out": TIMED_OUT,
}


class CommandError(Exception):
    """A command could not be done; the person who gave it is told why and what to do next."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def document(self) -> Payload:
        return {"v": 1, "error": {"code": self.code, "message": self.message, "hint": self.hint}}


def exit_code(code: str) -> int:
    """The exit code of `edge` for an error code; one that is not known here is a failed operation."""
    if code.startswith("no_such_"):
        return NOT_FOUND
    return _EXIT_CODES.get(code, FAILED)

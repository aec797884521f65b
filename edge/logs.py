"""How the daemon logs: past facts with fields, as JSON for the journal, in columns for a person's terminal.

Everything that reaches stderr while the daemon runs goes through here: our own events, those of the libraries, and
exceptions that nobody caught. What may be said of a value is decided in `redaction.py`.
"""

import contextlib
import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO, cast

import structlog

from edge.redaction import told, traceback, without_secret_values

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_OURS = frozenset({"level", "timestamp"})


class Stderr:
    """The process's stderr, which may go away: whoever read it has ended, or its disk is full.

    A line that cannot be written is lost; it never ends the daemon.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Each field as it may be told."""
    for name, value in without_secret_values(event).items():
        if name == "exception":
            event[name] = traceback(str(value))
        elif name not in _OURS:
            event[name] = told(name, value)
    return event


def set_up(level: str = "info") -> None:
    """Log to stderr. Called once, by the process."""
    is_terminal = sys.stderr.isatty()
    stream = cast("TextIO", Stderr(sys.stderr))
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    last: list[structlog.typing.Processor] = [
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if is_terminal
        else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, *last],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS.get(level, logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    _take_in_libraries(stream, stamp, last)
    log = structlog.get_logger("edge.logs")
    if level not in LEVELS:
        log.warning("log_level_unknown", level_asked_for=level, expected=list(LEVELS))
    sys.excepthook = lambda *failure: log.error("program_failed", exc_info=failure)
    threading.excepthook = lambda hook: log.error(
        "thread_failed", exc_info=(hook.exc_type, hook.exc_value, hook.exc_traceback)
    )
    sys.unraisablehook = lambda hook: log.error(
        "error_ignored", where=repr(hook.object), exc_info=(hook.exc_type, hook.exc_value, hook.exc_traceback)
    )


def _take_in_libraries(
    stream: TextIO, stamp: structlog.typing.Processor, last: list[structlog.typing.Processor]
) -> None:
    """The libraries' own loggers: only what a person must know, told like our own events."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, stamp],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.ERROR, force=True)
    logging.captureWarnings(capture=True)
    # We log ourselves what a peer does wrong; pymodbus would dump its frames besides.
    for library in ("websockets", "pymodbus.logging"):
        logging.getLogger(library).setLevel(logging.CRITICAL)

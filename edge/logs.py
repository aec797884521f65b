"""How the daemon logs: past facts with fields, as JSON for the journal, in columns for a person's terminal.

Secrets and tokens are cut here, by key, so that no call site can forget it.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET = frozenset({"password", "secret", "authorization"})
MASKED = frozenset({"token", "id_token", "id_tag"})


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Passwords vanish, tokens keep their last four characters."""
    for name in event:
        if name in SECRET and isinstance(event[name], str | bytes):
            event[name] = "[redacted]"
        elif name in MASKED and isinstance(event[name], str):
            event[name] = f"…{event[name][-4:]}"
    return event


def set_up(*, is_verbose: bool = False) -> None:
    """Log to stderr. Called once, by `daemon.main`."""
    is_terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if is_terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.StackInfoRenderer(),
            *([] if is_terminal else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if is_verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # The libraries' own loggers: only what a person must know.
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, format="%(name)s: %(message)s")
    # We log ourselves what a peer does wrong; pymodbus would dump its frames besides.
    for library in ("websockets", "pymodbus.logging"):
        logging.getLogger(library).setLevel(logging.CRITICAL)

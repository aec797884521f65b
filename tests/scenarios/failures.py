"""What must not happen in any life of the daemon: an error in its log, an exception that nobody handled."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import structlog


class _Kept(logging.Handler):
    """What the libraries log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(f"{record.name}: {record.getMessage()}\n{record.exc_text or record.exc_info or ''}")


@contextlib.contextmanager
def no_failure() -> Iterator[list[dict[str, Any]]]:
    """The lines of the log so far; raises at the end if one of them tells of an error or an exception.

    Also when a library logs one, or the loop met an exception that nobody awaited.
    """
    loop = asyncio.get_running_loop()
    unhandled: list[dict[str, Any]] = []
    handler_before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    kept = _Kept()
    logging.getLogger().addHandler(kept)
    try:
        with structlog.testing.capture_logs() as lines:
            yield lines
    finally:
        logging.getLogger().removeHandler(kept)
        loop.set_exception_handler(handler_before)
    told = [
        line
        for line in lines
        if line["log_level"] in {"error", "critical"} or line.get("exc_info") or "exception" in line
    ]
    assert (told, kept.records, unhandled) == ([], [], [])

"""The log as a judge: what the daemon, or a library, says of an exception that nobody caught is a failure."""

import contextlib
import logging
import traceback
from collections.abc import Iterator

import structlog

FAILURES = frozenset(
    {
        "link_failed", "uplink_failed", "command_failed", "deferred_unit_failed", "service_failed",
        "console_command_failed", "console_client_failed",
    }
)  # fmt: skip
"""Events of supervisors, whether they name an exception or not."""


@contextlib.contextmanager
def watched_log() -> Iterator[list[str]]:
    """What the log would say of our own defects, instead of a log."""
    failures: list[str] = []

    def watch(_logger: object, _method: str, event: dict) -> str:
        if event.get("exc_info") or event["event"] in FAILURES:
            error = event.get("exc_info")
            told = (
                "".join(traceback.format_exception(error))
                if isinstance(error, BaseException)
                else traceback.format_exc()
            )
            failures.append(f"{event['event']}: {told}")
        raise structlog.DropEvent

    of_libraries = _Errors(failures)
    before = structlog.get_config()
    structlog.configure(processors=[watch], cache_logger_on_first_use=False)
    logging.getLogger().addHandler(of_libraries)
    try:
        yield failures
    finally:
        logging.getLogger().removeHandler(of_libraries)
        structlog.configure(**before)


class _Errors(logging.Handler):
    """What a library says of an exception that nobody caught: websockets of one in our hooks, asyncio of one in a task."""

    def __init__(self, failures: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        told = "".join(traceback.format_exception(error)) if error is not None else ""
        self._failures.append(f"{record.name}: {record.getMessage()} {told}")

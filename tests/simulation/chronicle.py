"""What the daemon logs in a simulated run: counted by event, searched for secrets, and kept where it is a failure.

Each line goes through the daemon's own redaction first, as it would before it reaches the journal of the machine.
"""

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, MutableMapping
from typing import Any, NoReturn

import structlog

from edge.logs import redact

FOREIGN = ("websockets", "asyncio", "pymodbus.logging")
"""Libraries whose errors count as ours: an exception in a connection's handler ends there."""
NOT_OURS = ("opening handshake failed",)
"""What a peer does to us before it is somebody."""


class Chronicle:
    def __init__(self, now: Callable[[], float], secrets: Collection[bytes]) -> None:
        self.events: Counter[str] = Counter()
        self.failures: list[str] = []
        """Exceptions that were caught by nobody below a supervisor."""
        self.leaks: list[str] = []
        """Lines with a secret in them."""
        self.recent: deque[str] = deque(maxlen=200)
        self.is_over = False
        """The run is being taken down: what is said now concerns nobody."""
        self._now = now
        self._secrets = [secret.decode() for secret in secrets]

    def take(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        """A processor of structlog; nothing comes after it."""
        if self.is_over:
            raise structlog.DropEvent
        name = str(event["event"])
        self.events[name] += 1
        has_failed = bool(event.get("exc_info"))
        if has_failed:
            event = structlog.processors.format_exc_info(None, method, event)
        line = f"{self._now():.3f} {method} {redact(None, method, event)}"
        self.recent.append(line)
        if has_failed:
            self.failures.append(line)
        if any(secret in line for secret in self._secrets):
            self.leaks.append(line)
        raise structlog.DropEvent

    def take_foreign(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in NOT_OURS and not self.is_over:
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            self.failures.append(f"{self._now():.3f} {record.name}: {message}\n{trace}")

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """For one run."""
        before = structlog.get_config()
        structlog.configure(
            processors=[self.take],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=False,
        )
        handler = _Listening(self)
        loggers = [logging.getLogger(name) for name in FOREIGN]
        propagated = [logger.propagate for logger in loggers]
        for logger in loggers:
            logger.addHandler(handler)
            logger.propagate = False
        try:
            yield
        finally:
            for logger, was in zip(loggers, propagated, strict=True):
                logger.removeHandler(handler)
                logger.propagate = was
            structlog.configure(**before)


class _Listening(logging.Handler):
    def __init__(self, chronicle: Chronicle) -> None:
        super().__init__(logging.ERROR)
        self._chronicle = chronicle

    def emit(self, record: logging.LogRecord) -> None:
        self._chronicle.take_foreign(record)

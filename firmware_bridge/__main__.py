"""The program `firmware-bridge`, also as `python -m firmware_bridge`."""

import argparse
import asyncio
import errno
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from firmware_bridge import config
from firmware_bridge.bridge import Bridge

DONE, FAILED, INVALID = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    path = Path(options.config or os.environ.get("EDGE_CONFIG") or "/etc/edge/edge.toml")
    try:
        settings = config.read(path)
    except config.InvalidConfiguration as error:
        _say(f"{error}\nNothing was started. `edge check --config {path}` says more.")
        return INVALID
    _log(os.environ.get("EDGE_LOG") or "info")
    os.umask(0o077)
    try:
        bridge = Bridge(settings)
    except ValueError as error:
        _say(f"{path}: [firmware_bridge] {error}\nNothing was started.")
        return INVALID
    done = DONE
    try:
        asyncio.run(_until_told(bridge))
    except* OSError as errors:
        done = FAILED
        for failure in _leaves(errors):
            _say(f"firmware-bridge cannot run: {_told(failure)}")
    return done


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="firmware-bridge",
        description="Brings firmware to chargers that have no internet, and their diagnostics out. A service of its "
        "own beside `edge run`, to which `edge firmware` leads.",
    )
    parser.add_argument("--config", metavar="FILE", help="default: $EDGE_CONFIG, else /etc/edge/edge.toml")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="serve until SIGTERM")
    return parser.parse_args(arguments)


async def _until_told(bridge: Bridge) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bridge.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)


def _leaves(errors: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _told(failure: BaseException) -> str:
    """With what it is about, and without the number of the error."""
    if not isinstance(failure, OSError) or failure.strerror is None:
        return str(failure)
    about = f"{failure.filename}: " if failure.filename is not None else ""
    hint = "\nWho has it: sudo ss -ltnp" if failure.errno == errno.EADDRINUSE else ""
    return f"{about}{failure.strerror}.{hint}"


def _log(level: str) -> None:
    least = {"debug": logging.DEBUG, "warning": logging.WARNING, "error": logging.ERROR}.get(level, logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.ERROR)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - for whoever started us


if __name__ == "__main__":
    sys.exit(main())

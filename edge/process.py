"""The process around the daemon: configuration, log, lock, signals, and the way to start again.

Nothing of this is below: the simulation runs `daemon.build(config, world).run()` without it.
"""

import asyncio
import fcntl
import os
import signal
import sys
from pathlib import Path

import structlog

from edge import logs
from edge.config import check
from edge.daemon import Daemon, Ending, build
from edge.domain.ports import EdgeError
from edge.site.profiles import profile_names
from edge.world import real_world

DONE, FAILED, INVALID = 0, 1, 2


def main(config_path: Path) -> int:
    """`edge run`: the exit code. 2: the configuration is invalid; 1: the daemon could not start or had to give up."""
    config, problems = check(config_path, known_profiles=profile_names())
    for problem in problems:
        _say(str(problem))
    if config is None:
        _say(f"{config_path} is not valid: nothing was started. `edge check` shows these problems again.")
        return INVALID
    logs.set_up()
    try:
        lock = _lock(config.store.path)
    except OSError as error:
        _say(f"edge cannot start: {error}")
        return FAILED
    if lock is None:
        _say(f"Another daemon uses {config.store.path}: stop it first, or set another store.path.")
        return FAILED
    ending: Ending | None = None
    try:
        ending = asyncio.run(_with_signals(build(config, real_world())))
    except* (EdgeError, OSError) as errors:
        for failure in _leaves(errors):
            _say(f"edge cannot run: {failure}")
    finally:
        os.close(lock)
    if ending is None:
        return FAILED
    if ending is Ending.RESTART and "INVOCATION_ID" not in os.environ:
        # Outside systemd nobody starts us again (decided.md); under it, Restart=always does.
        os.execv(sys.executable, [sys.executable, "-m", "edge", *sys.argv[1:]])  # noqa: S606 - ourselves
    return DONE


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - for whoever started us


def _leaves(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in errors.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def _lock(store: Path) -> int | None:
    """A lock that dies with the process; None when another daemon holds it."""
    store.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(store.with_name(store.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


async def _with_signals(daemon: Daemon) -> Ending:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.leave)
    log = structlog.get_logger("edge.process")
    loop.add_signal_handler(signal.SIGHUP, lambda: log.warning("reload_needs_restart", why="restart to apply changes"))
    return await daemon.run()

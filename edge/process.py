"""The process around the daemon: configuration, log, lock, signals, and the way to start again.

Nothing of this is below: the simulation runs `daemon.build(config, world).run()` without it.
"""

import asyncio
import gc
import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType

from edge import logs
from edge.config import Config, Problem, check
from edge.daemon import Daemon, Ending, build
from edge.domain.ports import EdgeError
from edge.redaction import redacted
from edge.site.profiles import meter_model, profile_names
from edge.store.lock import StoreLock, StoreTaken
from edge.store.migration import StoreUnusable
from edge.world import real_world

DONE, FAILED, INVALID = 0, 1, 2
INTERPRETER_HELD_AT_MOST = 0.0002
"""Seconds that the store's thread waits for the interpreter after each of its statements while the loop is busy.
With Python's own 5 ms the slowest answers to 100 chargers were a seventh slower, or more."""
OBJECTS_BETWEEN_LOOKS = 10_000
"""Objects more than before, after which the collector looks for cycles among the newest; Python's own are 700."""
OURS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
"""They would end a process that does not listen yet: so they wait until `_with_signals` does, in this process or in the
one that takes its place. Once we are leaving they say nothing new."""


def main(config_path: Path) -> int:
    """`edge run`: the exit code. 2: the configuration is invalid; 1: the daemon could not start or had to give up."""
    signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
    config, problems = _check(config_path)
    for problem in problems:
        _say(str(problem))
    if config is None:
        _say(f"{config_path} is not valid: nothing was started. `edge check` shows these problems again.")
        return INVALID
    logs.set_up(os.environ.get("EDGE_LOG") or "info")
    lock = StoreLock(config.store.path)
    try:
        lock.hold()
    except StoreTaken:
        _say(f"Another daemon uses {config.store.path}: stop it first, or set another store.path.")
        return FAILED
    except StoreUnusable:
        pass  # of a disk that is no disk any more the daemon makes the best: it asks again, and says why
    # What was imported stays, and a message leaves no cycles behind: the collector looks less often, and not at that.
    # That is a twentieth of the processor's work for a message.
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS, 10, 10)
    sys.setswitchinterval(INTERPRETER_HELD_AT_MOST)
    ending: Ending | None = None
    try:
        ending = asyncio.run(_with_signals(build(config, real_world(), partial(_check, config_path), lock.hold)))
    except* (EdgeError, OSError) as errors:
        for failure in _leaves(errors):
            _say(f"edge cannot run: {failure}")
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
        lock.let_go()
    if ending is None:
        return FAILED
    if ending is Ending.RESTART and os.environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()):
        # Outside systemd nobody starts us again (decided.md); under it, Restart=always does.
        os.execv(sys.executable, [sys.executable, "-m", "edge", *sys.argv[1:]])  # noqa: S606 - ourselves
    for number in OURS:
        signal.signal(number, signal.SIG_IGN)  # a thread that has not quite ended has not blocked them
    return DONE


def _check(path: Path) -> tuple[Config | None, tuple[Problem, ...]]:
    """What `edge check` says of the file, at the start and at each reload."""
    return check(path, known_profiles=profile_names(), read_profile=meter_model, now=real_world().clock.utc_now())


def _say(line: str) -> None:
    print(redacted(line), file=sys.stderr, flush=True)  # noqa: T201 - for whoever started us


def _leaves(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in errors.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


async def _with_signals(daemon: Daemon) -> Ending:
    loop = asyncio.get_running_loop()

    def hear(number: int, _frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(daemon.reload if number == signal.SIGHUP else daemon.leave)

    for number in OURS:
        # Not the loop's own handlers: it takes them away when it closes, and then the second SIGTERM kills.
        signal.signal(number, hear)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
    return await daemon.run()

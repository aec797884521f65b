"""Everything that is not pure, in one value: the simulation puts another one here (and another loop), nothing else."""

import asyncio
import contextlib
import os
import random
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from edge.domain.ports import Clock, Ids, Offload
from edge.domain.timekeeping import Trust
from edge.store.db import OpenDatabase, open_threaded

T = TypeVar("T")


async def nobody_to_ask() -> Trust:
    """A machine of which nothing says how its clock was set."""
    return Trust.SYSTEM


@dataclass(frozen=True, slots=True)
class World:
    """What `daemon.build` needs beside the configuration. The event loop is whatever runs."""

    clock: Clock
    ids: Ids
    open_database: OpenDatabase
    offload: Offload
    notify: Callable[[str], None]
    """Tells the service manager `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=…`."""
    how_clock_was_set: Callable[[], Awaitable[Trust]] = nobody_to_ask
    has_service_manager: bool = False
    """Whether somebody listens to `notify`."""
    watchdog: float | None = None
    """Seconds within which the service manager wants to hear `WATCHDOG=1`; None: it does not."""


class SystemClock:
    def utc_now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock

    def monotonic(self) -> float:
        return time.monotonic()  # noqa: TID251 - the same clock as the running loop's


class RandomIds:
    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def message_id(self) -> str:
        return str(uuid.uuid4())

    def jitter(self, upto: float) -> float:
        return self._random.uniform(0.0, upto)

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


async def in_thread(function: Callable[[], T]) -> T:
    """The loop's own executor; the one place that uses it."""
    return await asyncio.get_running_loop().run_in_executor(None, function)


def notify_service_manager(state: str) -> None:
    """sd_notify: one datagram to the socket that systemd names; nothing when there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        contextlib.suppress(OSError),  # nobody listens there, or does not keep up: no reason to stop serving the site
    ):
        sender.sendto(state.encode(), socket.MSG_DONTWAIT, address)


def watchdog_seconds() -> float | None:
    """What the service manager has asked for (sd_watchdog_enabled(3))."""
    asked, of = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID") or str(os.getpid())
    if not (asked.isascii() and asked.isdigit()) or int(asked) == 0 or of != str(os.getpid()):
        return None
    return int(asked) / 1e6


async def how_clock_was_set() -> Trust:
    """What the system's time service and the kernel say of the wall clock."""
    if await in_thread(Path("/run/systemd/timesync/synchronized").exists):
        return Trust.NTP
    try:
        async with asyncio.timeout(5.0):
            asking = await asyncio.create_subprocess_exec(
                "timedatectl", "show", "--property=NTPSynchronized", "--value",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                # It would tell our service manager its own errors.
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
            )  # fmt: skip
            answer, _ = await asking.communicate()
    except (OSError, TimeoutError):
        answer = b""
    if answer.strip() == b"yes":
        return Trust.NTP
    if answer.strip() != b"no":
        return Trust.SYSTEM
    return Trust.RTC if await in_thread(_was_set_from_rtc) else Trust.FLOOR


def _was_set_from_rtc() -> bool:
    """Whether the kernel took the time from a battery-backed clock when it started."""
    try:
        return any(one.read_text(encoding="ascii").strip() == "1" for one in Path("/sys/class/rtc").glob("*/hctosys"))
    except OSError:
        return False


def real_world() -> World:
    return World(
        SystemClock(),
        RandomIds(),
        open_threaded,
        in_thread,
        notify_service_manager,
        how_clock_was_set,
        has_service_manager="NOTIFY_SOCKET" in os.environ,
        watchdog=watchdog_seconds(),
    )

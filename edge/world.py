"""Everything that is not pure, in one value: the simulation puts another one here (and another loop), nothing else."""

import asyncio
import os
import random
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from edge.domain.ports import Clock, Ids, Offload
from edge.store.db import OpenDatabase, open_threaded

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """What `daemon.build` needs beside the configuration. The event loop is whatever runs."""

    clock: Clock
    ids: Ids
    open_database: OpenDatabase
    offload: Offload
    notify: Callable[[str], None]
    """Tells the service manager `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=…`."""


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
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)


def real_world() -> World:
    return World(SystemClock(), RandomIds(), open_threaded, in_thread, notify_service_manager)

"""What waits for one reader, whose task lives only while something waits.

A charger's connection has several of these and says nothing for minutes: an empty one takes a thirtieth of the memory
of an `asyncio.Queue` with a task that waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Letterbox(Generic[T]):
    """Things are read one at a time, in the order in which they were put in, from `open` until `close`."""

    __slots__ = ("_read", "_reader", "_tasks", "_waiting")

    def __init__(self, read: Callable[[T], Awaitable[None]]) -> None:
        """What `read` raises is for the TaskGroup."""
        self._read = read
        self._tasks: asyncio.TaskGroup | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: list[T] = []  # short, and empty it takes a tenth of a deque

    def __len__(self) -> int:
        """How many wait, without the one that is being read."""
        return len(self._waiting)

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """Readers are tasks of this group from now on."""
        self._tasks = tasks
        if self._waiting:
            self._reader = tasks.create_task(self._read_all())

    def put(self, thing: T) -> None:
        """Let it wait for its turn."""
        self._waiting.append(thing)
        if self._reader is None and self._tasks is not None:
            self._reader = self._tasks.create_task(self._read_all())

    @property
    def is_idle(self) -> bool:
        """Nothing waits, and nothing is being read."""
        return self._reader is None and not self._waiting

    async def emptied(self) -> None:
        """Return when all that was put in has been read, or never will be."""
        if self._reader is not None:
            await asyncio.wait({self._reader})

    def close(self) -> None:
        """Nothing more is read; what is being read is cancelled."""
        self._tasks = None
        if self._reader is not None:
            self._reader.cancel()

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                await self._read(self._waiting.pop(0))
        finally:
            self._reader = None

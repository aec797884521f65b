"""Who may talk now, where several meters share a serial line or a gateway.

A poller takes a turn for the requests of one group and hands the line on. The grid meter, which protects the fuse, is
next whenever it asks (but for one turn of the others after three of its own: it may be told to ask faster than the
line can carry); the others follow in the order in which they asked. How often a meter asks is its poller's business
(`poller.py`), and so is the pause of one that does not answer: a silent unit costs the others its patience and the
guard after it (`rtu_line.py`), once in a while.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from edge.site.modbus import Line

IN_A_ROW: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    is_first: bool
    turn: "asyncio.Future[None]"


class Bus:
    def __init__(self, line: Line) -> None:
        self.line = line
        self.meters = 0
        """How many share it."""
        self._users = 0
        self._is_taken = False
        self._firsts_in_a_row = 0
        self._waiting: list[_Waiting] = []

    @property
    def is_shared(self) -> bool:
        return self.meters > 1

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The line is closed when its last user leaves."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self.line.close()

    @asynccontextmanager
    async def turn(self, *, first: bool) -> AsyncIterator[Line]:
        """The line, alone; `first`: before all others that wait."""
        await self._take(first=first)
        try:
            yield self.line
        finally:
            self._hand_on()

    async def _take(self, *, first: bool) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        mine = _Waiting(first, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            await mine.turn
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
            else:
                self._hand_on()  # it was our turn already
            raise

    def _hand_on(self) -> None:
        following = self._next()
        self._is_taken = following is not None
        if following is not None:
            self._firsts_in_a_row = self._firsts_in_a_row + 1 if following.is_first else 0
            self._waiting.remove(following)
            following.turn.set_result(None)

    def _next(self) -> _Waiting | None:
        waiting = [each for each in self._waiting if not each.turn.done()]  # done: given up, but has not run since
        first = next((each for each in waiting if each.is_first), None)
        other = next((each for each in waiting if not each.is_first), None)
        return other if first is None or (other is not None and self._firsts_in_a_row >= IN_A_ROW) else first

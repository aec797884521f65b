"""Our CALLs to one charger: one outstanding at a time (1.6J §4.1.1), the most urgent first."""

import asyncio
import heapq
from dataclasses import dataclass, field
from itertools import count

from edge.connection import RpcConnection
from edge.domain.ports import CallTimedOut, ChargerOffline, Clock, LinkLost, PeerRefused, Urgency
from edge.jsontypes import Payload
from edge.ocppj.frames import CallError


@dataclass(order=True, slots=True)
class _Command:
    urgency: Urgency
    number: int
    action: str = field(compare=False)
    payload: Payload = field(compare=False)
    deadline: float = field(compare=False)
    done: asyncio.Future[Payload] = field(compare=False)


class CommandQueue:
    """Commands that wait for one charger. `run` sends them until it is cancelled or the connection ends."""

    def __init__(self, connection: RpcConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._waiting: list[_Command] = []
        self._numbers = count()
        self._wake = asyncio.Event()
        self._is_over = False

    async def call(self, action: str, payload: Payload, *, within: float, urgency: Urgency) -> Payload:
        """The charger's answer. Raises ChargerOffline, CallTimedOut or PeerRefused."""
        if self._is_over:
            raise ChargerOffline("the connection has ended")
        done: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        deadline = self._clock.monotonic() + within
        heapq.heappush(self._waiting, _Command(urgency, next(self._numbers), action, payload, deadline, done))
        self._wake.set()
        try:
            async with asyncio.timeout_at(deadline):
                return await done
        except TimeoutError:
            raise CallTimedOut(f"{action}: no answer within {within:g} s") from None

    async def run(self) -> None:
        try:
            while True:
                while not self._waiting:
                    self._wake.clear()
                    await self._wake.wait()
                await self._send(heapq.heappop(self._waiting))
        finally:
            self._is_over = True
            for command in self._waiting:
                _fail(command, ChargerOffline("the connection ended before the command was sent"))

    async def _send(self, command: _Command) -> None:
        if command.done.done():
            return  # whoever asked has given up: a command is never sent after its time
        within = command.deadline - self._clock.monotonic()
        try:
            answer = await self._connection.call(command.action, command.payload, within=within)
        except (CallTimedOut, LinkLost) as error:
            _fail(command, ChargerOffline(str(error)) if isinstance(error, LinkLost) else error)
            return
        except asyncio.CancelledError:
            _fail(command, ChargerOffline("the connection ended before the answer came"))
            raise
        if isinstance(answer, CallError):
            _fail(command, PeerRefused(answer.code, answer.description))
        elif not command.done.done():
            command.done.set_result(answer.payload)


def _fail(command: _Command, error: Exception) -> None:
    if not command.done.done():
        command.done.set_exception(error)

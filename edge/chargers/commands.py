"""Our CALLs to one charger: one outstanding at a time (1.6J §4.1.1), the most urgent first."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from edge.connection import Answer, RpcConnection
from edge.domain.ids import TransactionNo
from edge.domain.ports import CallTimedOut, ChargerOffline, Clock, Ids, LinkLost, PeerRefused, Urgency
from edge.jsontypes import Payload
from edge.ocppj.frames import CallError, call_text


@dataclass(order=True, slots=True)
class _Command:
    urgency: Urgency
    number: int
    action: str = field(compare=False)
    payload: Payload = field(compare=False)
    deadline: float = field(compare=False)
    transaction: TransactionNo | None = field(compare=False)
    cause: int | None = field(compare=False)
    done: asyncio.Future[Payload] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Said:
    """A command that was sent, for the journal."""

    text: str
    action: str
    message_id: str
    transaction: TransactionNo | None
    cause: int | None
    """The row of what led to it."""
    answer: str | None
    """The exact text, None when none came."""


class CommandQueue:
    """Commands that wait for one charger. `run` sends them until it is cancelled or the connection ends."""

    def __init__(self, connection: RpcConnection, clock: Clock, ids: Ids, on_said: Callable[[Said], None]) -> None:
        self._connection = connection
        self._clock = clock
        self._ids = ids
        self._on_said = on_said
        self._waiting: list[_Command] = []
        self._numbers = count()
        self._wake = asyncio.Event()
        self._is_over = False

    async def call(
        self,
        action: str,
        payload: Payload,
        *,
        within: float,
        urgency: Urgency,
        transaction: TransactionNo | None = None,
        cause: int | None = None,
    ) -> Payload:
        """The charger's answer. Raises ChargerOffline, CallTimedOut or PeerRefused."""
        if self._is_over:
            raise ChargerOffline("the connection has ended")
        done: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        deadline = self._clock.monotonic() + within
        command = _Command(urgency, next(self._numbers), action, payload, deadline, transaction, cause, done)
        heapq.heappush(self._waiting, command)
        self._wake.set()
        try:
            async with asyncio.timeout_at(deadline):
                return await done
        except TimeoutError:
            raise CallTimedOut(f"{action}: no answer within {within:g} s") from None

    async def run(self, ready: Awaitable[None] | None = None) -> None:
        """`ready`: what to wait for before the first one."""
        try:
            if ready is not None:
                await ready
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
        message_id = self._ids.message_id()
        answer: Answer | None = None
        try:
            answer = await self._connection.call(command.action, command.payload, within=within, message_id=message_id)
        except (CallTimedOut, LinkLost) as error:
            _fail(command, ChargerOffline(str(error)) if isinstance(error, LinkLost) else error)
            return
        except asyncio.CancelledError:
            _fail(command, ChargerOffline("the connection ended before the answer came"))
            raise
        finally:
            text = call_text(message_id, command.action, command.payload)
            answered = None if answer is None else answer.text
            self._on_said(Said(text, command.action, message_id, command.transaction, command.cause, answered))
        if isinstance(answer, CallError):
            _fail(command, PeerRefused(answer.code, answer.description))
        elif not command.done.done():
            command.done.set_result(answer.payload)


def _fail(command: _Command, error: Exception) -> None:
    if not command.done.done():
        command.done.set_exception(error)

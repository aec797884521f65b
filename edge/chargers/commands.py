"""Our CALLs to one charger: one outstanding at a time (1.6J §4.1.1), the most urgent first."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from edge.connection import Answer, RpcConnection
from edge.domain.ids import TransactionNo
from edge.domain.ports import CallTimedOut, ChargerOffline, Clock, Ids, LinkLost, PeerRefused, Urgency
from edge.flag import Flag
from edge.jsontypes import Payload
from edge.ocppj.frames import CallError, call_text

UNANSWERED_AT_MOST = 3
"""Commands in a row, after which the connection is given up."""
TIME_ENOUGH = 5.0
"""Seconds that a charger must have had for an answer, for its silence to count."""


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

    def __init__(
        self,
        connection: RpcConnection,
        clock: Clock,
        ids: Ids,
        on_said: Callable[[Said], None],
        on_mute: Callable[[], Awaitable[None]],
    ) -> None:
        """`on_mute`: it used to answer on this connection, and does not any more."""
        self._connection = connection
        self._clock = clock
        self._ids = ids
        self._on_said = on_said
        self._on_mute = on_mute
        self._has_answered = False
        self._unanswered_in_a_row = 0
        self._waiting: list[_Command] = []
        self._numbers = count()
        self._wake = Flag()
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

    async def run(self, ready: Callable[[], Awaitable[None]] | None = None) -> None:
        """`ready`: what to wait for before the first one."""
        try:
            if ready is not None:
                await ready()
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
        except LinkLost as error:
            _fail(command, ChargerOffline(str(error)))
            return
        except CallTimedOut as error:
            _fail(command, error)
            await self._was_silent(within)
            return
        except asyncio.CancelledError:
            _fail(command, ChargerOffline("the connection ended before the answer came"))
            raise
        finally:
            text = call_text(message_id, command.action, command.payload)
            answered = None if answer is None else answer.text
            self._on_said(Said(text, command.action, message_id, command.transaction, command.cause, answered))
        self._has_answered, self._unanswered_in_a_row = True, 0
        if isinstance(answer, CallError):
            _fail(command, PeerRefused(answer.code, answer.description))
        elif not command.done.done():
            command.done.set_result(answer.payload)

    async def _was_silent(self, within: float) -> None:
        """Some stop answering after a day, though their heartbeats go on: a new connection helps (J.2, 15).

        One that has never answered on this connection is left alone: it would do the same on the next one.
        """
        if within < TIME_ENOUGH or not self._has_answered:
            return
        self._unanswered_in_a_row += 1
        if self._unanswered_in_a_row >= UNANSWERED_AT_MOST:
            self._unanswered_in_a_row = 0
            await self._on_mute()


def _fail(command: _Command, error: Exception) -> None:
    if not command.done.done():
        command.done.set_exception(error)

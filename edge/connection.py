"""A WebSocket that speaks OCPP-J: the shell of tasks around `ocppj.peer.RpcPeer`, the same for both sides of us.

The reader never awaits work: a CALL goes to `on_call` at once, an answer to whoever awaits it. What is sent goes to
the socket at once, and waits its turn only while the peer does not read. `chargers/link.py` and `uplink/link.py` say
what the CALLs mean.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from edge.domain.ports import CallTimedOut, Clock, Ids, LinkLost
from edge.jsontypes import Payload
from edge.letterbox import Letterbox
from edge.ocppj.frames import CallError, CallResult
from edge.ocppj.peer import (
    AnswerReceived,
    AnswerUnknown,
    CallReceived,
    Flooded,
    OutstandingCall,
    Refused,
    ResultRefused,
    RpcPeer,
    SendReceived,
)

Answer = CallResult | CallError
Hook = Callable[[Answer], None]
LATE_HOOKS_AT_MOST = 256


@dataclass(frozen=True, slots=True)
class Refusal:
    """To be answered with a CALLERROR; `code` in its canonical spelling."""

    code: str
    description: str


Reply = Payload | Refusal
"""What a CALL is answered with."""
UNREAD_AT_MOST = 128
"""Texts that may wait for a peer that does not read, before it is given up."""
TEXTS_IN_A_ROW = 16
"""So many of one peer are read before the others have their turn."""


def is_worth_a_line(times: int) -> bool:
    """The first, second, fourth, eighth … time: whoever does it all the time must not fill the log."""
    return times & (times - 1) == 0


class RpcConnection:
    """One connection. `run` lives as long as the socket does."""

    def __init__(
        self,
        socket: Connection,
        peer: RpcPeer,
        clock: Clock,
        ids: Ids,
        *,
        on_call: Callable[[CallReceived], None],
        bad_input: Counter[str] | None = None,
        on_odd: Callable[[str], None] = lambda _rule: None,
        on_refused: Callable[[str, Refused], None] | None = None,
    ) -> None:
        """`on_odd` gets the name of each peculiarity of the peer (`edge/domain/peculiarities.py`).

        `on_refused` gets each text that is refused, and sends the reply to it.
        """
        self._socket = socket
        self._peer = peer
        self._clock = clock
        self._ids = ids
        self._on_call = on_call
        self._on_odd = on_odd
        self._on_refused = on_refused
        self._outgoing = Letterbox(self._write)
        self._awaited: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        self._hook: Hook | None = None
        self._late_hooks: dict[str, Hook] = {}
        self._is_over = False
        self.bad_input: Counter[str] = Counter() if bad_input is None else bad_input
        """Refused input by CALLERROR code, as the protocol version spells it."""
        self.last_received = clock.monotonic()
        self._log = structlog.get_logger("edge.connection")

    async def run(self) -> None:
        """Until the peer or we close."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._outgoing.open(tasks)
                try:
                    await self._read()
                finally:
                    self._outgoing.close()
        finally:
            self._is_over = True
            if self._awaited is not None and not self._awaited.done():
                self._awaited.set_exception(LinkLost("the connection ended before the answer came"))

    async def _read(self) -> None:
        try:
            texts = 0
            async for text in self._socket:
                self.last_received = self._clock.monotonic()
                texts += 1
                if texts % TEXTS_IN_A_ROW == 0:
                    await asyncio.sleep(0)  # what has come already is handed over without a turn of the loop
                if not isinstance(text, str):
                    await self._socket.close(1003, "OCPP-J uses text frames")
                    return
                if not self._received(text):
                    await self._socket.close(1008, "too many unanswered CALLs")
                    return
        except ConnectionClosed:
            return

    def _received(self, text: str) -> bool:
        """Hand over what a text says; False when the peer must be dropped."""
        match self._peer.receive(text, self._clock.monotonic()):
            case CallReceived() as received:
                self._on_call(received)
            case AnswerReceived() as received:
                self._answered(received)
            case Refused(reason, code, reply, misuse) as refused:
                self.bad_input[code] += 1
                self._on_odd(misuse)
                if is_worth_a_line(self.bad_input[code]):
                    self._log.warning("input_refused", code=code, reason=reason, times=self.bad_input[code])
                if self._on_refused is not None:
                    self._on_refused(text, refused)
                elif reply is not None:
                    self.send(reply)
            case Flooded(unanswered):
                self.bad_input["Flooded"] += 1
                self._log.warning("peer_floods", unanswered=unanswered)
                return False
            case AnswerUnknown(message_id) | ResultRefused(message_id):
                self.bad_input["UnknownAnswer"] += 1
                self._on_odd("answer_nobody_asked_for")
                if is_worth_a_line(self.bad_input["UnknownAnswer"]):
                    self._log.info("answer_ignored", message_id=message_id, times=self.bad_input["UnknownAnswer"])
            case SendReceived(send):
                self.bad_input["UnexpectedSend"] += 1
                if is_worth_a_line(self.bad_input["UnexpectedSend"]):
                    self._log.info("send_ignored", action=send.action, times=self.bad_input["UnexpectedSend"])
        return len(self._outgoing) <= UNREAD_AT_MOST

    def _answered(self, received: AnswerReceived) -> None:
        for repair in received.repairs:
            self._on_odd(repair)
        if received.late:
            self._on_odd("answer_late")
            late = self._late_hooks.pop(received.message_id, None)
            if late is not None:
                late(received.answer)
            return
        if received.violations:
            self._on_odd("answer_violates_schema")
            self._log.warning("answer_breaks_schema", action=received.action, violation=received.violations[0].message)
        if self._awaited is not None:
            self._answer = received.answer
            if self._hook is not None:
                self._hook(received.answer)
            if not self._awaited.done():  # else its time is up at this very moment
                self._awaited.set_result(received.answer)

    async def _write(self, text: str) -> None:
        with suppress(ConnectionClosed):  # the reader sees it too, and ends the connection
            await self._socket.send(text)

    def send(self, text: str) -> None:
        """Hand a text to the socket, after those that wait for a peer that does not read."""
        socket = self._socket
        if socket.paused or socket.state is not State.OPEN or not self._outgoing.is_idle:
            self._outgoing.put(text)
            return
        # As `socket.send` does it when it need not wait, without a task that does so: a sixth of the loop's work for a
        # message, and a turn of the loop less before the charger has its answer.
        socket.protocol.send_text(text.encode())
        socket.send_data()

    async def flushed(self) -> None:
        """Return when all that was sent has been handed to the socket."""
        await self._outgoing.emptied()

    @property
    def outstanding(self) -> OutstandingCall | None:
        """Our CALL that the peer has not answered yet."""
        return self._peer.outstanding

    @property
    def unanswered(self) -> int:
        """The peer's CALLs that we have not answered yet."""
        return self._peer.unanswered

    def reply(self, message_id: str, reply: Reply) -> None:
        """Answer a CALL."""
        if isinstance(reply, Refusal):
            self.bad_input[reply.code] += 1
            self.send(self._peer.refuse(message_id, reply.code, reply.description))
        else:
            self.send(self._peer.answer(message_id, reply))

    def leave_unanswered(self, message_id: str) -> None:
        """A CALL of the peer gets no answer."""
        self._peer.leave_unanswered(message_id)

    async def call(
        self,
        action: str,
        payload: Payload,
        *,
        within: float,
        on_answer: Hook | None = None,
        message_id: str | None = None,
    ) -> Answer:
        """The peer's answer. One at a time; raises CallTimedOut after `within` seconds, LinkLost when it ends.

        `on_answer` is called by the reader before it reads on, so that nothing that the peer says next can overtake
        what its answer means (a RemoteStop one millisecond after the answer to the start). It is called for an answer
        after the deadline too: a late StartTransaction.conf carries the transaction id (A.2).
        """
        if self._is_over:
            raise LinkLost("the connection has ended")
        now = self._clock.monotonic()
        deadline = now + within
        message_id = message_id or self._ids.message_id()
        text = self._peer.start_call(message_id, action, payload, now, deadline)
        self._awaited = asyncio.get_running_loop().create_future()
        self._hook = on_answer
        self.send(text)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._awaited
        except TimeoutError:
            if self._answer is not None:
                return self._answer  # it came in the moment in which its time was up
            if on_answer is not None:
                self._late_hooks[message_id] = on_answer
                if len(self._late_hooks) > LATE_HOOKS_AT_MOST:
                    del self._late_hooks[next(iter(self._late_hooks))]
            raise CallTimedOut(f"{action}: no answer within {within:g} s") from None
        finally:
            self._peer.expire(deadline)
            self._awaited = self._answer = self._hook = None

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code, reason)

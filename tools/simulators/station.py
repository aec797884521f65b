"""One connection of a station to the simulated cloud.

Each frame is recorded; each CALL is checked, becomes a `Received` and gets the answer that `answers16.py`
builds, unless a hook of `csms.py` wants something else. Whoever breaks a rule is written down, never cut off.
"""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ocpp.v16.enums import RegistrationStatus
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from simulators.answers16 import Answers16
from simulators.hooks import Callback, Effects, Refuse
from simulators.ledger import Received
from simulators.wire import Direction, Frame, LinkLost, MessageType, Wire, encode, parse, schema_violation

if TYPE_CHECKING:
    from simulators.csms import Csms


class Rule(StrEnum):
    """What a station must not do."""

    NOT_OCPP = "not an OCPP message"
    SCHEMA = "schema"
    MESSAGE_ID_REUSED = "message id reused"
    SECOND_CALL = "second CALL while one is unanswered"
    NOT_REGISTERED = "CALL before BootNotification was accepted"
    UNASKED_ANSWER = "answer to a CALL that was never made"


@dataclass(frozen=True, slots=True)
class Violation:
    at: float
    identity: str
    rule: Rule
    message: str
    text: str


@dataclass(slots=True, eq=False)
class Attended:
    """A CALL that waits for its answer, with what the hooks want done with it."""

    received: Received
    effects: Effects


class Station:
    def __init__(self, csms: "Csms", socket: ServerConnection, identity: str, tasks: asyncio.TaskGroup) -> None:
        self.identity = identity
        self.subprotocol = socket.subprotocol or ""
        self.connected_at = asyncio.get_running_loop().time()
        self.wire = Wire(socket, identity, self._see)
        self.attended: dict[str, Attended] = {}
        self._csms = csms
        self._tasks = tasks
        self._answers = Answers16(csms, self)
        self._message_ids: set[str] = set()

    @property
    def version(self) -> str:
        return self.subprotocol.removeprefix("ocpp")

    @property
    def is_registered(self) -> bool:
        return self.identity in self._csms.registered

    async def run(self) -> None:
        """Read until the connection ends; the newest connection of an identity counts."""
        replaced = self._csms.stations.get(self.identity)
        self._csms.stations[self.identity] = self
        if replaced is not None:
            replaced.wire.abort()
        self._csms.say(f"{self.identity} connected ({self.subprotocol or 'no subprotocol'})")
        self._csms.bell.ring()
        try:
            while True:
                frame = await self.wire.recv()
                attended = self._receive(frame)
                if attended is not None:
                    # A task each, so that a delayed answer holds up nothing else.
                    self._tasks.create_task(self._attend(attended))
        finally:
            self.wire.lose()
            if self._csms.stations.get(self.identity) is self:
                del self._csms.stations[self.identity]
            self._csms.say(f"{self.identity} disconnected")
            self._csms.bell.ring()

    async def send(self, text: str) -> None:
        """Where ocpp's `ChargePoint` and `_attend` leave the answer: written, unless a hook loses or changes it."""
        message = parse(text)
        attended = self.attended.pop(message[1], None)
        if attended is None:  # a reused message id: the other one has been answered already
            await self.wire.send(text)
            return
        received, effects = attended.received, attended.effects
        if effects.lose_answer is not None:
            self.wire.abort()
            return
        if effects.answer_with is not None and message[0] == MessageType.CALLRESULT:
            message = [MessageType.CALLRESULT, message[1], effects.answer_with.payload]
            text = encode(*message)
        await self.wire.send(text)
        received.answered_at = asyncio.get_running_loop().time()
        if message[0] == MessageType.CALLERROR:
            received.error_code = message[2]
        else:
            received.answer = message[2]
            if received.action == "BootNotification":
                accepted = received.answer.get("status") == RegistrationStatus.accepted
                (self._csms.registered.add if accepted else self._csms.registered.discard)(self.identity)
        if effects.after_answer is not None:
            self._tasks.create_task(self._run_callback(effects.after_answer.callback, received))
        self._csms.say(received.line())
        self._csms.bell.ring()

    def violate(self, rule: Rule, message: str, text: str) -> None:
        now = asyncio.get_running_loop().time()
        self._csms.violations.append(Violation(now, self.identity, rule, message, text))
        self._csms.say(f"{self.identity} VIOLATION {rule}: {message}")
        self._csms.bell.ring()

    def _see(self, frame: Frame) -> None:
        self._csms.frames.append(frame)
        if self._csms.on_frame is not None:
            self._csms.on_frame(frame)
        is_answer = frame.type in (MessageType.CALLRESULT, MessageType.CALLERROR)
        if frame.direction is Direction.IN and is_answer and not self.wire.has_asked(frame.message_id):
            self.violate(Rule.UNASKED_ANSWER, f"message id {frame.message_id}", frame.text)
        self._csms.bell.ring()

    def _receive(self, frame: Frame) -> Attended | None:
        """Record a CALL and everything that is wrong with it."""
        if frame.message is None:
            self.violate(Rule.NOT_OCPP, "", frame.text)
            return None
        _, message_id, action, payload = frame.message
        violation = schema_violation(self.version, MessageType.CALL, action, payload)
        if violation is not None:
            self.violate(Rule.SCHEMA, violation.message, frame.text)
        if message_id in self._message_ids:
            self.violate(Rule.MESSAGE_ID_REUSED, f"{action} {message_id}", frame.text)
        if not self.is_registered and action != "BootNotification":
            self.violate(Rule.NOT_REGISTERED, action, frame.text)
        for other in self.attended.values():
            is_given_up = frame.at - other.received.at >= self._csms.station_timeout_s
            if other.effects.be_silent is None and not is_given_up:
                self.violate(Rule.SECOND_CALL, f"{action} during {other.received.action}", frame.text)
        self._message_ids.add(message_id)
        received = Received(frame.at, self.identity, action, message_id, payload, frame.text, violation)
        self._csms.received.append(received)
        attended = Attended(received, self._csms.hooks.take(received))
        self.attended[message_id] = attended
        self._csms.bell.ring()
        return attended

    async def _attend(self, attended: Attended) -> None:
        """Answer one CALL."""
        received, effects = attended.received, attended.effects
        if effects.delay is not None:
            await asyncio.sleep(effects.delay.seconds)
        if effects.be_silent is not None:
            return
        refusal = effects.refuse
        if refusal is None and self._csms.refuses_malformed and received.violation is not None:
            refusal = Refuse(received.violation.code, received.violation.message)
        if refusal is None and not self.is_registered and received.action != "BootNotification":
            refusal = Refuse("SecurityError", "send BootNotification first")
        try:
            if refusal is None:
                await self._answers.route_message(received.text)
            else:
                error = [MessageType.CALLERROR, received.message_id, refusal.code, refusal.description, {}]
                await self.send(encode(*error))
        except ConnectionClosed:
            return  # the reader notices the same and ends this connection

    async def _run_callback(self, callback: Callback, received: Received) -> None:
        try:
            await callback(received)
        except LinkLost:
            return  # the world failed, as tests make it do
        except Exception as failure:  # noqa: BLE001  Csms.stop() raises it; here it would pass unseen
            self._csms.failures.append(failure)


def identity_of(request: Request) -> str:
    """The last segment of the path, percent-decoded."""
    return unquote(request.path.partition("?")[0].rstrip("/").rpartition("/")[2])

"""The RPC of OCPP-J on one connection, for both sides and every version.

What passes through: each text received (`receive` → exactly one event) and each text to send (`start_call`,
`answer`, `refuse` → the text). One `RpcPeer` lives as long as its connection.
What is guaranteed: nothing that a peer sends raises; one CALL of ours is outstanding at most; an answer that comes
after its deadline is still recognised, because a late StartTransaction.conf carries the transaction id; an answer is
never answered; what is remembered is bounded.
Next: `edge/chargers/link.py` and `edge/uplink/link.py` act on the events; a charger's CALL goes on to
`edge/chargers/intake.py`.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from edge.jsontypes import Payload
from edge.ocppj.actions import UNCONFIRMED, Sender, error_code, sender
from edge.ocppj.frames import (
    UNREADABLE_ID,
    Call,
    CallError,
    CallResult,
    CallResultError,
    Limits,
    Malformed,
    Send,
    call_text,
    error_text,
    parse,
    result_text,
)
from edge.ocppj.repair import mended
from edge.ocppj.schemas import Violation, check_request, check_response

MAX_LATE = 256
UNANSWERED_TEXTS = 2
"""So many of the longest texts may wait for their answers at once; of shorter ones, more (`max_unanswered`)."""


@dataclass(frozen=True, slots=True)
class OutstandingCall:
    """A CALL of ours that is not answered yet. Times are monotonic seconds."""

    message_id: str
    action: str
    sent_at: float
    deadline: float
    payload: Payload = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class CallReceived:
    """To be answered with `answer` or `refuse`, once, also when the schema is violated."""

    call: Call
    violations: tuple[Violation, ...]
    repairs: tuple[str, ...] = ()
    """What had to be done to the text before it could be read (`repair.py`)."""


@dataclass(frozen=True, slots=True)
class AnswerReceived:
    """The answer to a CALL of ours. `late`: its deadline had passed and `expire` had given it up."""

    message_id: str
    action: str
    answer: CallResult | CallError
    late: bool
    violations: tuple[Violation, ...]
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerUnknown:
    """An answer to nothing that we asked, or not any more: to be counted and forgotten."""

    message_id: str


@dataclass(frozen=True, slots=True)
class ResultRefused:
    """2.1: the peer could not process our CALLRESULT. The words are the peer's."""

    message_id: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Bad input, of which nothing was accepted. `reply` is to be sent, unless it is None."""

    reason: str
    code: str
    reply: str | None
    misuse: str = field(default="message_malformed", compare=False)
    """What is odd about the peer, as `edge/domain/peculiarities.py` names it."""


@dataclass(frozen=True, slots=True)
class SendReceived:
    send: Send
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class Flooded:
    """One CALL more than may wait for its answer, or more of their texts than is held. Close with 1008."""

    unanswered: int


Received: TypeAlias = CallReceived | AnswerReceived | AnswerUnknown | ResultRefused | Refused | SendReceived | Flooded


class RpcPeer:
    """`accepts_from` is the side at the other end: STATION on the charger listener, CSMS on the uplink."""

    def __init__(
        self,
        version: str,
        accepts_from: Sender,
        limits: Limits,
        *,
        max_unanswered: int = 32,
        late_for: float = 600.0,
        repairs: Callable[[], AbstractSet[str]] | None = None,
    ) -> None:
        """`repairs`: the names of `repair.py` that may help when a text cannot be read; None for a peer without any."""
        self._version = version
        self._accepts_from = accepts_from
        self._limits = limits
        self._max_unanswered = max_unanswered
        self._late_for = late_for
        self._repairs = repairs
        self._outstanding: OutstandingCall | None = None
        # Given up at their deadline; in the order in which they will be forgotten.
        self._late: dict[str, OutstandingCall] = {}
        # Ids and lengths. A list: a peer may use one id twice, and each CALL is owed its answer.
        self._unanswered: list[tuple[str, int]] = []
        self._unanswered_characters = 0

    # --- what the peer says -------------------------------------------------------------------------------------

    def receive(self, text: str, now: float) -> Received:
        frame = parse(text, self._limits)
        repairs: tuple[str, ...] = ()
        if isinstance(frame, Malformed) and self._repairs is not None:
            found = mended(text, self._limits, self._repairs())
            frame, repairs = (frame, ()) if found is None else found
        match frame:
            case Call():
                return self._received_call(frame, repairs)
            case CallResult() | CallError():
                return self._received_answer(frame, now, repairs)
            case CallResultError():
                if self._version != "2.1":
                    return self._unknown_type(5, None)
                return ResultRefused(frame.message_id, frame.code, frame.description)
            case Send():
                if self._version != "2.1":
                    return self._unknown_type(6, frame.message_id)
                return self._received_send(frame)
            case Malformed():
                return self._malformed(frame)
        assert_never(frame)

    def _received_call(self, call: Call, repairs: tuple[str, ...]) -> Received:
        refusal = self._refusal_of(call.action)
        if refusal is not None:
            code, reason = refusal
            misuse = "action_unknown" if code == "NotImplemented" else "action_of_csms"
            return Refused(reason, code, self._error(call.message_id, code, reason), misuse)
        characters = self._unanswered_characters + len(call.text)
        is_too_much = characters > UNANSWERED_TEXTS * self._limits.max_characters
        if len(self._unanswered) >= self._max_unanswered or is_too_much:
            return Flooded(len(self._unanswered) + 1)
        self._unanswered.append((call.message_id, len(call.text)))
        self._unanswered_characters = characters
        return CallReceived(call, check_request(self._version, call.action, call.payload), repairs)

    def _refusal_of(self, action: str) -> tuple[str, str] | None:
        allowed = sender(self._version, action)
        if allowed is None:
            return "NotImplemented", "unknown action"
        if allowed not in (self._accepts_from, Sender.BOTH):
            return "NotSupported", f"{action} is not for this side to send"
        if action in UNCONFIRMED:
            return "NotSupported", f"{action} is sent unconfirmed, not called"
        return None

    def _received_answer(self, answer: CallResult | CallError, now: float, repairs: tuple[str, ...]) -> Received:
        self._forget_late(now)
        asked = self._outstanding
        late = asked is None or asked.message_id != answer.message_id
        if late:
            asked = self._late.pop(answer.message_id, None)
        else:
            self._outstanding = None
        if asked is None:
            return AnswerUnknown(answer.message_id)
        violations: tuple[Violation, ...] = ()
        if isinstance(answer, CallResult):
            violations = check_response(self._version, asked.action, answer.payload)
        return AnswerReceived(answer.message_id, asked.action, answer, late, violations, repairs)

    def _received_send(self, send: Send) -> Received:
        if send.action not in UNCONFIRMED:
            return Refused("not an action that is sent unconfirmed", "NotImplemented", None)
        if sender(self._version, send.action) not in (self._accepts_from, Sender.BOTH):
            return Refused(f"{send.action} is not for this side to send", "NotSupported", None)
        return SendReceived(send, check_request(self._version, send.action, send.payload))

    def _unknown_type(self, number: int, message_id: str | None) -> Refused:
        is_answer = message_id is None
        return self._malformed(
            Malformed(f"message type {number} is unknown", "MessageTypeNotSupported", message_id, is_answer)
        )

    def _malformed(self, frame: Malformed) -> Refused:
        # 1.6 ignores unknown message types (1.6J §4.1.3) and has no id for an unreadable one.
        ignored = self._version == "1.6" and (frame.message_id is None or frame.code == "MessageTypeNotSupported")
        if frame.is_answer or ignored:
            misuse = "answer_malformed" if frame.is_answer else "message_malformed"
            return Refused(frame.reason, frame.code, None, misuse)
        message_id = frame.message_id if frame.message_id is not None else UNREADABLE_ID
        return Refused(frame.reason, frame.code, self._error(message_id, frame.code, frame.reason))

    # --- what we ask --------------------------------------------------------------------------------------------

    @property
    def outstanding(self) -> OutstandingCall | None:
        return self._outstanding

    def start_call(self, message_id: str, action: str, payload: Payload, now: float, deadline: float) -> str:
        """The text to send. One CALL at a time and direction (1.6J §4.1.1)."""
        if self._outstanding is not None:
            raise RuntimeError(f"{self._outstanding.action} is still outstanding, {action} has to wait")
        text = call_text(message_id, action, payload)
        self._outstanding = OutstandingCall(message_id, action, now, deadline, payload)
        return text

    def expire(self, now: float) -> OutstandingCall | None:
        """The outstanding CALL if its deadline has come. Its answer will be recognised as late for a while."""
        call = self._outstanding
        if call is None or now < call.deadline:
            return None
        self._outstanding = None
        self._forget_late(now)
        if len(self._late) >= MAX_LATE:
            del self._late[next(iter(self._late))]
        self._late[call.message_id] = call
        return call

    def abandon(self) -> OutstandingCall | None:
        """The link is lost: the outstanding CALL, which nobody will answer any more."""
        call, self._outstanding = self._outstanding, None
        self._late.clear()
        return call

    def _forget_late(self, now: float) -> None:
        for message_id, call in tuple(self._late.items()):
            if now - call.deadline > self._late_for:
                del self._late[message_id]

    # --- what we answer -----------------------------------------------------------------------------------------

    @property
    def unanswered(self) -> int:
        """CALLs received that are owed an answer."""
        return len(self._unanswered)

    def answer(self, message_id: str, payload: Payload) -> str:
        """The text of the CALLRESULT for a CALL received."""
        text = result_text(message_id, payload)
        self._settle(message_id)
        return text

    def refuse(self, message_id: str, code: str, description: str = "") -> str:
        """The text of the CALLERROR for a CALL received; `code` is canonical."""
        self._settle(message_id)
        return self._error(message_id, code, description)

    def leave_unanswered(self, message_id: str) -> None:
        """A CALL received gets no answer, because there must be none (1.6 §4.2.1)."""
        self._settle(message_id)

    def _settle(self, message_id: str) -> None:
        open_one = next((one for one in self._unanswered if one[0] == message_id), None)
        if open_one is None:
            raise RuntimeError("answered a CALL that is not open, or answered it twice")
        self._unanswered.remove(open_one)
        self._unanswered_characters -= open_one[1]

    def _error(self, message_id: str, code: str, description: str) -> str:
        return error_text(message_id, error_code(self._version, code), description)

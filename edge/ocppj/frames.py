"""One WebSocket text message to one frame, and back.

What passes through: every text that a charger or the CSMS sends us, and every text that we send.
What is guaranteed: `parse` never raises, whatever the text; a frame that it returns holds only values that
SQLite and UTF-8 can hold (int64, finite floats, no NUL, no lone surrogates), no key twice, no depth beyond the
limit; and it keeps the text as it was received, because that text is what is stored.
Next: `edge/ocppj/peer.py`, which says what a frame means on its connection.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import NoReturn, TypeAlias

from edge.jsontypes import JsonValue, Payload

MAX_MESSAGE_ID = 255
"""OCPP-J says 36; chargers in the field exceed it, and an id is only ever echoed."""
MAX_DESCRIPTION = 255
UNREADABLE_ID = "-1"
"""The id of a CALLERROR about a message whose id could not be read (2.x Part 4 §4.2.3)."""

_CALL, _CALL_RESULT, _CALL_ERROR, _CALL_RESULT_ERROR, _SEND = 2, 3, 4, 5, 6
_ANSWERS = frozenset({_CALL_RESULT, _CALL_ERROR, _CALL_RESULT_ERROR})


@dataclass(frozen=True, slots=True)
class Call:
    message_id: str
    action: str
    payload: Payload
    text: str


@dataclass(frozen=True, slots=True)
class CallResult:
    message_id: str
    payload: Payload
    text: str


@dataclass(frozen=True, slots=True)
class CallError:
    """`code` and `description` are the peer's words: escape them before showing them."""

    message_id: str
    code: str
    description: str
    details: Payload
    text: str


@dataclass(frozen=True, slots=True)
class CallResultError:
    """2.1: the peer could not process our CALLRESULT. Never answered."""

    message_id: str
    code: str
    description: str
    details: Payload
    text: str


@dataclass(frozen=True, slots=True)
class Send:
    """2.1: an unconfirmed message. Never answered."""

    message_id: str
    action: str
    payload: Payload
    text: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not a frame. `reason` is in our words only; `code` is a canonical CALLERROR name (see `actions.error_code`)."""

    reason: str
    code: str
    message_id: str | None
    is_answer: bool = False
    """It says that it is an answer: then nothing may be sent back, or two peers could complain for ever."""


Frame: TypeAlias = Call | CallResult | CallError | CallResultError | Send


@dataclass(frozen=True, slots=True)
class Limits:
    """Characters of one text, and levels of `[` and `{` within it (the frame's own `[` is the first)."""

    max_characters: int
    max_depth: int = 32


CHARGER_LIMITS = Limits(max_characters=256 * 1024)
CSMS_LIMITS = Limits(max_characters=4 * 1024 * 1024)


class RejectedError(ValueError):
    """Legal JSON that we refuse to hold. A ValueError, so that it passes through `json.loads` unharmed."""


def parse(text: str, limits: Limits) -> Frame | Malformed:
    """The frame in a text, or what is wrong with it. Raises nothing."""
    if len(text) > limits.max_characters:
        return Malformed(f"longer than {limits.max_characters} characters", "FormationViolation", _salvaged_id(text))
    if exceeds_depth(text, limits.max_depth):
        return Malformed(f"nested deeper than {limits.max_depth}", "FormationViolation", _salvaged_id(text))
    try:
        value = _DECODER.decode(text)
        if "\\u" in text or not text.isascii():
            _check_characters(value)
    except json.JSONDecodeError as problem:
        return Malformed(f"not JSON at character {problem.pos}", "RpcFrameworkError", _salvaged_id(text))
    except RejectedError as refusal:
        return Malformed(str(refusal), "FormationViolation", _salvaged_id(text))
    return frame_of(value, text)


def call_text(message_id: str, action: str, payload: Payload) -> str:
    return encode_json([_CALL, message_id, action, payload])


def result_text(message_id: str, payload: Payload) -> str:
    if not payload:  # most answers: written out, that is done in a third of the time
        return f"[3,{encode_basestring(message_id)},{{}}]"
    return encode_json([_CALL_RESULT, message_id, payload])


def error_text(message_id: str, code: str, description: str = "", details: Payload | None = None) -> str:
    """`code` is sent as given: spell it with `actions.error_code` first."""
    return encode_json([_CALL_ERROR, message_id, code, description[:MAX_DESCRIPTION], details or {}])


def encode_json(value: JsonValue) -> str:
    """Compact JSON. Raises ValueError for NaN and infinities: those would be our own mistake."""
    return _ENCODER.encode(value)


_TOKEN_OR_BLANKS = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*")|[ \t\n\r]++')


def without_blanks(text: str) -> str:
    """A JSON text without what stands between its tokens; all numbers and strings are written as before."""
    return _TOKEN_OR_BLANKS.sub(r"\1", text)


def _plain(value: object) -> dict[str, JsonValue] | list[JsonValue]:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


# --- a value to a frame -----------------------------------------------------------------------------------------


def frame_of(value: JsonValue, text: str) -> Frame | Malformed:
    """What a JSON value means as a frame; `text` is what came over the wire, and is kept."""
    if not isinstance(value, list) or len(value) < 2:
        return Malformed("not an array of at least two elements", "RpcFrameworkError", None)
    kind, message_id = value[0], value[1]
    # `True == 1` and `2.0 == 2`: only a JSON integer names a message type.
    if type(kind) is not int:
        return Malformed("the message type is not an integer", "RpcFrameworkError", _usable_id(message_id))
    is_answer = kind in _ANSWERS
    if _usable_id(message_id) is None:
        reason = f"the message id is not a string of 1 to {MAX_MESSAGE_ID} characters"
        return Malformed(reason, "RpcFrameworkError", None, is_answer)
    if kind in (_CALL, _SEND):
        return _asking_frame(value, text)
    if kind == _CALL_RESULT:
        return _result_frame(value, text)
    if is_answer:
        return _error_frame(value, text)
    return Malformed(f"message type {kind} is unknown", "MessageTypeNotSupported", message_id)


def _asking_frame(value: list[JsonValue], text: str) -> Call | Send | Malformed:
    kind, message_id = value[0], str(value[1])
    if len(value) != 4:
        return Malformed(f"{len(value)} elements where 4 belong", "RpcFrameworkError", message_id)
    action, payload = value[2], {} if value[3] is None else value[3]
    if not isinstance(action, str):
        return Malformed("the action is not a string", "RpcFrameworkError", message_id)
    if not isinstance(payload, dict):
        return Malformed("the payload is not an object", "FormationViolation", message_id)
    return (Call if kind == _CALL else Send)(message_id, action, payload, text)


def _result_frame(value: list[JsonValue], text: str) -> CallResult | Malformed:
    message_id = str(value[1])
    if len(value) != 3:
        reason = f"{len(value)} elements where 3 belong"
        return Malformed(reason, "RpcFrameworkError", message_id, is_answer=True)
    payload = {} if value[2] is None else value[2]
    if not isinstance(payload, dict):
        return Malformed("the payload is not an object", "FormationViolation", message_id, is_answer=True)
    return CallResult(message_id, payload, text)


def _error_frame(value: list[JsonValue], text: str) -> CallError | CallResultError | Malformed:
    """An error tells us enough once its code is there: description and details may be missing or odd."""
    message_id = str(value[1])
    if not 3 <= len(value) <= 5:
        reason = f"{len(value)} elements where 5 belong"
        return Malformed(reason, "RpcFrameworkError", message_id, is_answer=True)
    code = value[2]
    if not isinstance(code, str):
        return Malformed("the error code is not a string", "RpcFrameworkError", message_id, is_answer=True)
    description = value[3] if len(value) > 3 else None
    details = value[4] if len(value) > 4 else None
    return (CallError if value[0] == _CALL_ERROR else CallResultError)(
        message_id,
        code,
        description if isinstance(description, str) else "",
        details if isinstance(details, dict) else {},
        text,
    )


def _usable_id(value: JsonValue) -> str | None:
    return value if isinstance(value, str) and 1 <= len(value) <= MAX_MESSAGE_ID else None


_CALL_HEAD = re.compile(r'\s{0,9}\[\s{0,9}2\s{0,9},\s{0,9}"([^"\\\x00-\x1f\ud800-\udfff]{1,255})"\s{0,9},')


def _salvaged_id(text: str) -> str | None:
    """The id of a CALL whose text we refuse: its sender is told at once instead of running into its timeout."""
    head = _CALL_HEAD.match(text)
    return head[1] if head is not None else None


# --- limits of what we hold -------------------------------------------------------------------------------------

# Content with a string that never ends: linear whatever the text. No possessive groups: Python 3.11.2 mistakes them.
_NO_BRACKETS = re.compile(r'[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*"?', re.DOTALL)


def exceeds_depth(text: str, max_depth: int) -> bool:
    """Whether brackets outside of strings are nested deeper, also in a text that is no JSON."""
    if text.count("[") + text.count("{") <= max_depth:
        return False
    depth = 0
    for bracket in _NO_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        if depth > max_depth:
            return True
    return False


def _integer(digits: str) -> int:
    # The length first: Python itself refuses to convert more than 4300 digits.
    if len(digits) <= 20:
        value = int(digits)
        if -(2**63) <= value < 2**63:
            return value
    raise RejectedError("an integer beyond 64 bits")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise RejectedError("a number beyond double precision")
    return value


def _no_constant(_name: str) -> NoReturn:
    raise RejectedError("NaN and Infinity are not JSON")


def _object(members: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = dict(members)
    if len(value) != len(members):
        raise RejectedError("a key stands twice in one object")
    return value


def decoder(
    members: Callable[[list[tuple[str, JsonValue]]], dict[str, JsonValue]], *, strict: bool
) -> json.JSONDecoder:
    """A decoder with our limits of numbers; `strict` forbids control characters inside strings, as JSON does."""
    return json.JSONDecoder(
        object_pairs_hook=members, parse_int=_integer, parse_float=_float, parse_constant=_no_constant, strict=strict
    )


_DECODER = decoder(_object, strict=True)

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _check_characters(value: JsonValue) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if _UNSTORABLE.search(item) is not None:
                raise RejectedError("NUL or half a surrogate pair in a string")
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)

"""A text that cannot be read strictly → the frame that its sender meant, by known patterns only.

What passes through: texts of chargers that `frames.parse` has refused, never those of a CSMS. Each repair has a name;
all but `result_names_action` must be asked for, because they guess (ocpp-rules.md J.0, step 1). What is guaranteed: the
limits of `frames.parse` hold for what comes out, the work is linear in the text, and the frame keeps the text as it
was received.
"""

import json
import re
from collections.abc import Set as AbstractSet

from edge.jsontypes import JsonValue
from edge.ocppj.frames import CallResult, Frame, Limits, Malformed, RejectedError, decoder, exceeds_depth, frame_of

RESULT_NAMES_ACTION = "result_names_action"
NAMES = (
    "json_control_characters",
    "json_missing_value",
    "json_extra_comma",
    "json_missing_bracket",
    "json_duplicate_key",
    "json_half_surrogate",
    RESULT_NAMES_ACTION,
)

# A string (its escapes included), a bracket, a comma, a colon, blanks, or anything else. Content with a string that
# never ends: linear whatever the text.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?|[\[\]{},:]|\s++|[^\s"\[\]{},:]++', re.DOTALL)
_CLOSES = {"[": "]", "{": "}"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUL = re.compile("\x00")


def mended(text: str, limits: Limits, allowed: AbstractSet[str]) -> tuple[Frame, tuple[str, ...]] | None:
    """The frame and the repairs that it took; None when they do not help."""
    if len(text) > limits.max_characters or exceeds_depth(text, limits.max_depth):
        return None
    done: list[str] = []
    better = text
    if "json_control_characters" in allowed and "\0" in better:
        better = better.replace("\0", "")
        done.append("json_control_characters")
        if exceeds_depth(better, limits.max_depth):  # strings may begin and end elsewhere now
            return None
    tokens = _TOKEN.findall(better)
    for name, repair in (
        ("json_missing_value", _with_missing_values),
        ("json_extra_comma", _without_extra_commas),
        ("json_missing_bracket", _with_missing_brackets),
    ):
        if name in allowed:
            changed = repair(tokens)
            if changed != tokens:
                tokens = changed
                done.append(name)
    value = _decoded("".join(tokens), allowed, done)
    if value is None:
        return None
    frame = frame_of(value, text)
    if isinstance(frame, Malformed):
        frame = _result_with_action(value, text) or frame
        done.append(RESULT_NAMES_ACTION)
    return None if isinstance(frame, Malformed) else (frame, tuple(dict.fromkeys(done)))


def _result_with_action(value: JsonValue, text: str) -> CallResult | None:
    match value:
        case [3, str(message_id), str(), dict(payload)] if not isinstance(value[0], bool | float) and message_id:
            short = frame_of([3, message_id, payload], text)
            return short if isinstance(short, CallResult) else None
    return None


# --- JSON in tokens ---------------------------------------------------------------------------------------------


def _is_blank(token: str) -> bool:
    return token.isspace()


def _with_missing_values(tokens: list[str]) -> list[str]:
    """`"key":,` and `"key":}` get a null."""
    found: list[str] = []
    before = ""
    for token in tokens:
        if before == ":" and token in {",", "}"}:
            found.append("null")
        found.append(token)
        if not _is_blank(token):
            before = token
    return found


def _without_extra_commas(tokens: list[str]) -> list[str]:
    """No comma directly after an opening bracket, before a closing one, or after another comma."""
    found: list[str] = []
    before = ""
    comma: int | None = None  # where the last comma stands, while nothing has followed it
    for piece in tokens:
        if _is_blank(piece):
            found.append(piece)
            continue
        if piece == "," and (before in {"", "[", "{", ","}):
            continue
        if piece in {"]", "}"} and before == "," and comma is not None:
            del found[comma]
        found.append(piece)
        comma = len(found) - 1 if piece == "," else None
        before = piece
    return found


def _with_missing_brackets(tokens: list[str]) -> list[str]:
    """Closing brackets where they must have been. A text cut in the middle of a value is left alone.

    After a number at the end nobody knows how many digits it had: 12 of 1234 Wh must not become a reading.
    """
    found: list[str] = []
    opened: list[str] = []
    before = ""
    for token in tokens:
        if token in _CLOSES:
            opened.append(_CLOSES[token])
        elif token in {"]", "}"}:
            if token not in opened:
                return tokens
            while (missing := opened.pop()) != token:
                found.append(missing)
        found.append(token)
        if not _is_blank(token):
            before = token
    if opened and not (before in {"]", "}"} or (len(before) > 1 and before[0] == before[-1] == '"')):
        return tokens
    return [*found, *reversed(opened)]


# --- JSON that we refuse to hold --------------------------------------------------------------------------------


def _decoded(text: str, allowed: AbstractSet[str], done: list[str]) -> JsonValue:
    """The value, with the names of what had to be overlooked added to `done`; None when it still cannot be held."""

    def members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        return _members(pairs, allowed, done)

    is_lax = "json_control_characters" in allowed
    try:
        value: JsonValue = decoder(members, strict=True).decode(text)
    except json.JSONDecodeError:
        if not is_lax:
            return None
        try:
            value = decoder(members, strict=False).decode(text)
        except (json.JSONDecodeError, RejectedError):
            return None
        done.append("json_control_characters")
    except RejectedError:
        return None
    try:
        return _clean(value, allowed, done)
    except RejectedError:
        return None


def _members(pairs: list[tuple[str, JsonValue]], allowed: AbstractSet[str], done: list[str]) -> dict[str, JsonValue]:
    value = dict(pairs)
    if len(value) != len(pairs):
        if "json_duplicate_key" not in allowed:
            raise RejectedError("a key stands twice in one object")
        done.append("json_duplicate_key")
    return value


def _clean(value: JsonValue, allowed: AbstractSet[str], done: list[str]) -> JsonValue:
    """A copy without NUL and half surrogate pairs, without which two keys may be one. The depth is limited already."""
    if isinstance(value, str):
        for name, pattern, instead in (
            ("json_control_characters", _NUL, ""),
            ("json_half_surrogate", _SURROGATE, "\ufffd"),
        ):
            if pattern.search(value):
                if name not in allowed:
                    raise RejectedError(name)
                done.append(name)
                value = pattern.sub(instead, value)
        return value
    if isinstance(value, list):
        return [_clean(item, allowed, done) for item in value]
    if isinstance(value, dict):
        return _members(
            [(str(_clean(key, allowed, done)), _clean(item, allowed, done)) for key, item in value.items()],
            allowed,
            done,
        )
    return value

"""A payload that breaks its schema → what its sender meant, step by step, each step a named tolerance.

Runs only after the strict check has said no (ocpp-rules.md J.0, steps 2 to 7), and looks only at what the schema
forbids: what is valid is never touched. What comes out is for our own understanding and for the answer; the text that
was received is what is stored, and the payload that was received is what is relayed (`edge/uplink/second_try.py` has
the one exception). The work is bounded by `ROUNDS` and `MOST`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.dialects.v16 import aliases
from edge.domain.peculiarities import Peculiarity, Rule
from edge.jsontypes import JsonValue, Payload
from edge.ocppj.schemas import Path, Violation, check_request, is_required

MOST = 1000
"""Violations of one payload that are looked at in a round."""
ROUNDS = 4
"""What one step uncovers (the content of an object that became a list) is for the next round."""
TOLD = 8
"""Peculiarities of one rule in one message that are told."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A payload as we understand it."""

    payload: Payload
    applied: tuple[Peculiarity, ...] = ()
    violations: tuple[Violation, ...] = ()
    """What no tolerance covers."""


@dataclass(slots=True)
class _Work:
    version: str
    action: str
    tree: dict[str, JsonValue]
    applied: list[Peculiarity]

    def at(self, path: Path) -> Any:
        value: Any = self.tree
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None  # a step before has removed or moved it
        return value

    def put(self, path: Path, value: JsonValue) -> None:
        self.at(path[:-1])[path[-1]] = value

    def drop(self, path: Path) -> None:
        del self.at(path[:-1])[path[-1]]

    def tell(self, rule: Rule, path: Path, how: str) -> None:
        self.applied.append(Peculiarity(rule, f"{_place(path)} {how}"))


def read(version: str, action: str, payload: Payload, violations: tuple[Violation, ...]) -> Reading:
    """What a request means, from what the strict check has found against it."""
    if not violations:
        return Reading(payload)
    work = _Work(version, action, _copy(payload), [])
    left = check_request(version, action, payload, MOST)
    for _ in range(ROUNDS):
        before = len(work.applied)
        for step in _STEPS:
            known = len(work.applied)
            step(work, left)
            if len(work.applied) != known:
                left = check_request(version, action, work.tree, MOST)
        if len(work.applied) == before or not left:
            break
    remaining = [violation for violation in left if not _is_waved(work, violation)]
    return Reading(work.tree, _told(work.applied), tuple(remaining))


def understood(version: str, action: str, payload: Payload) -> Payload:
    """What a stored request says; the text in which it came is kept elsewhere."""
    return read(version, action, payload, check_request(version, action, payload)).payload


def _told(applied: Iterable[Peculiarity]) -> tuple[Peculiarity, ...]:
    """At most `TOLD` of each rule: a long backlog of meter values repeats itself."""
    told: list[Peculiarity] = []
    counts: dict[Rule, int] = {}
    for one in applied:
        counts[one.rule] = counts.get(one.rule, 0) + 1
        if counts[one.rule] <= TOLD:
            told.append(one)
    return tuple(told)


def _copy(payload: Payload) -> dict[str, JsonValue]:
    return {key: _copy_of(value) for key, value in payload.items()}


def _copy_of(value: JsonValue) -> JsonValue:
    if isinstance(value, Mapping):
        return _copy(value)
    return [_copy_of(item) for item in value] if isinstance(value, list) else value


def _place(path: Path) -> str:
    return ".".join(str(step) if isinstance(step, int) else ascii(step)[1:-1][:50] for step in path)


# --- the steps, in the order of J.0 -----------------------------------------------------------------------------


def _drop_nothing(work: _Work, violations: tuple[Violation, ...]) -> None:
    """Step 2: null members and items, and empty strings where the member may be absent."""
    nulls: set[Path] = set()
    empties: set[Path] = set()
    for violation in violations:
        path = violation.path
        if not path or violation.keyword not in ("type", "enum") or path in nulls:
            continue
        value = work.at(path)
        if value is None and violation.keyword == "type":
            nulls.add(path)
        elif value == "" and isinstance(path[-1], str) and not is_required(work.version, work.action, path):
            empties.add(path)
    # From the back, so that the numbers of list items stay right.
    for path in sorted(nulls | empties, reverse=True):
        work.drop(path)
        is_null = path in nulls
        work.tell(
            Rule.NULL_MEMBER if is_null else Rule.EMPTY_STRING,
            path,
            "was null" if is_null else "was empty",
        )


def _wrap(work: _Work, violations: tuple[Violation, ...]) -> None:
    """Step 3: an object where a list belongs."""
    for violation in violations:
        value = work.at(violation.path)
        if violation.keyword == "type" and violation.expected == "array" and isinstance(value, dict):
            work.put(violation.path, [value])
            work.tell(Rule.OBJECT_FOR_LIST, violation.path, "was an object, not a list")


def _retype(work: _Work, violations: tuple[Violation, ...]) -> None:
    """Step 4: numbers, texts of numbers, booleans."""
    for violation in violations:
        if violation.keyword != "type" or not violation.path:
            continue
        value = work.at(violation.path)
        retyped = _RETYPED.get(violation.expected, _not_retyped)(value, violation.path)
        if retyped is not None:
            better, rule = retyped
            work.put(violation.path, better)
            work.tell(rule, violation.path, f"was a {_kind(value)}")


_Retyped = tuple[JsonValue, Rule] | None


def _not_retyped(_value: JsonValue, _path: Path) -> _Retyped:
    return None


def _as_string(value: JsonValue, path: Path) -> _Retyped:
    # A token's text must be the charger's own: 7 may have been "007".
    if isinstance(value, int | float) and not isinstance(value, bool) and path[-1] not in aliases.TOKENS:
        return repr(value), Rule.NUMBER_FOR_STRING
    return None


def _as_number(value: JsonValue, _path: Path) -> _Retyped:
    number = _number(value)
    return None if number is None else (number, Rule.STRING_FOR_NUMBER)


def _as_integer(value: JsonValue, path: Path) -> _Retyped:
    number = _number(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < 2**63:
        return None
    if number != int(number) and path[-1] not in aliases.REGISTERS:
        return None
    rule = Rule.STRING_FOR_NUMBER if isinstance(value, str) else Rule.FRACTION_FOR_INTEGER
    return round(number), rule


def _as_boolean(value: JsonValue, _path: Path) -> _Retyped:
    meant = _BOOLEANS.get(str(value).strip().casefold()) if isinstance(value, str | int) else None
    return None if meant is None else (meant, Rule.STRING_FOR_BOOLEAN)


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_RETYPED: Mapping[str, Callable[[JsonValue, Path], _Retyped]] = {
    "string": _as_string,
    "number": _as_number,
    "integer": _as_integer,
    "boolean": _as_boolean,
}


def _number(value: JsonValue) -> int | float | None:
    """A number written as text, within what a double tells exactly."""
    if not isinstance(value, str) or not value.isascii() or "_" in value or len(value) > 40:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not abs(number) < 2**63:  # refuses NaN and infinity too
        return None
    try:
        return int(value)
    except ValueError:
        return number


def _kind(value: JsonValue) -> str:
    return "text" if isinstance(value, str) else "truth value" if isinstance(value, bool) else "number"


def _respell(work: _Work, violations: tuple[Violation, ...]) -> None:
    """Step 5: names and values in another spelling, and words that mean the same."""
    for violation in violations:
        path, value = violation.path, work.at(violation.path)
        if not path or not isinstance(name := path[-1], str):
            continue
        if violation.keyword == "additionalProperties":
            known = aliases.spelled(name, violation.expected)
            owner = work.at(path[:-1])
            if known is not None and isinstance(owner, dict) and known not in owner and name in owner:
                owner[known] = owner.pop(name)
                work.tell(Rule.MEMBER_SPELLING, path, f"is {known}")
        elif violation.keyword == "enum" and isinstance(value, str):
            better = _word(name, value, violation.expected)
            if better is not None:
                word, rule = better
                work.put(path, word)
                work.tell(rule, path, f"is {word}")


def _word(name: str, value: str, allowed: list[str]) -> tuple[str, Rule] | None:
    known = aliases.spelled(value, allowed)
    if known is not None:
        return known, Rule.VALUE_SPELLING
    rule, words = aliases.ALIASES.get(name, (Rule.UNKNOWN_VALUE, {}))
    other = words.get(aliases.folded(value)) or words.get(value.strip().casefold())
    if other is not None and other in allowed:
        return other, rule
    if name == "errorCode" and aliases.UNKNOWN_ERROR_CODE in allowed:
        return aliases.UNKNOWN_ERROR_CODE, Rule.UNKNOWN_ERROR_CODE
    return None


_STEPS = (_drop_nothing, _wrap, _retype, _respell)


def _is_waved(work: _Work, violation: Violation) -> bool:
    """Steps 6 and 7: kept as it is, and no reason to refuse the message."""
    match violation.keyword:
        case "maxLength" if violation.path[-1] not in aliases.TOKENS:
            work.tell(Rule.LONG_STRING, violation.path, f"is longer than {violation.expected} characters")
        case "additionalProperties" if work.action in aliases.INDISPENSABLE:
            work.tell(Rule.UNKNOWN_MEMBER, violation.path, "is unknown")
        case "enum" if violation.path and not is_required(work.version, work.action, violation.path):
            work.tell(Rule.UNKNOWN_VALUE, violation.path, "is none of the values allowed")
        case _:
            return False
    return True

"""Payloads against OCPP's JSON schemas: is it valid, and if not, what exactly is forbidden.

What passes through: each payload received (`check_request`, `check_response`), and each that a peer called malformed
(`without_forbidden`). The only module that knows the `ocpp` package; it reads nothing of it but the schema files.
What is guaranteed: the verdict and the code are those of `ocpp.messages` (one generated function, `acceptance.py`,
says yes or no in microseconds; only after a no does a slow walk, in the order in which `jsonschema` walks, say why), no
payload makes it raise, and the work for one payload is bounded.
A payload here is a tree of `dict` and `list`, as `frames.parse` makes it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, TypeAlias

from edge.jsontypes import JsonValue, Payload
from edge.ocppj.acceptance import Accept, acceptance
from edge.ocppj.actions import UNCONFIRMED, sender

MAX_VIOLATIONS = 32
"""At most so many are told of one payload: a hostile one could hold a hundred thousand."""
# Removing one thing may forbid another (an emptied list, its owner): as many rounds as a schema is deep, and some.
_ROUNDS, _REMOVED_PER_ROUND = 16, 256

Path: TypeAlias = tuple[str | int, ...]
_Schema: TypeAlias = Mapping[str, Any]

_FOLDERS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that the schema forbids. `path` names the member, also one that is missing.

    `message` holds no text of the peer's but the name of an unknown member, escaped and cut; `code` is canonical.
    """

    path: Path
    keyword: str
    message: str
    code: str
    expected: Any = field(default=None, compare=False, repr=False)
    """The schema's word for it: a type, the list of values, a length; of an unknown member all that are known."""

    def __str__(self) -> str:
        """`meterValue.0.timestamp: …`, for people and for the description of a CALLERROR."""
        return f"{_place(self.path)}: {self.message}" if self.path else self.message


def check_request(version: str, action: str, payload: Payload, most: int = MAX_VIOLATIONS) -> tuple[Violation, ...]:
    """What the schema forbids in a CALL's (or SEND's) payload; the first decides the CALLERROR code."""
    return _check(_request_schema(version, action), action, payload, most)


def is_required(version: str, action: str, path: Path) -> bool:
    """Whether a member of a request, which the schema knows, must be there."""
    loaded = _request_schema(version, action)
    return loaded is not None and bool(path) and path[-1] in _required(loaded.schema, path[:-1])


def check_response(version: str, action: str, payload: Payload) -> tuple[Violation, ...]:
    """What the schema forbids in the payload of a CALLRESULT that answers `action`."""
    return _check(_response_schema(version, action), action, payload)


def warm_up(version: str, actions: Iterable[str]) -> None:
    """Compiles both schemas of each action now instead of at its first message."""
    for action in actions:
        _request_schema(version, action)
        _response_schema(version, action)


def without_forbidden(version: str, action: str, payload: Payload) -> tuple[Payload, tuple[Violation, ...]]:
    """A copy of the payload without what its schema forbids, and what was removed, by its path in the original.

    What is forbidden but required takes its owner with it: a sampled value without `value` goes as a whole. What the
    message itself requires stays, and is reported: such a payload cannot be made valid, `check_request` still says so.
    """
    loaded = _request_schema(version, action)
    if loaded is None:
        return payload, _check(loaded, action, payload)
    removed: dict[Path, Violation] = {}
    hopeless: dict[Path, Violation] = {}
    tree = payload
    for _ in range(_ROUNDS):
        found: dict[Path, Violation] = {}
        kept: dict[Path, list[int]] = {}
        for violation in _check(loaded, action, tree, _REMOVED_PER_ROUND):
            member = _removable(loaded.schema, violation.path)
            moved = _in_original(violation, payload, removed, kept)
            if member:
                path = moved.path[: len(member)]
                found.setdefault(path, replace(moved, path=path))
            else:
                hopeless.setdefault(moved.path, moved)
        if not found:
            break
        removed |= found
        tree = _pruned_members(payload, (), removed)
    return tree, (*removed.values(), *hopeless.values())


# --- loading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Loaded:
    schema: _Schema
    accepts: Accept


def _request_schema(version: str, action: str) -> _Loaded | None:
    # The name comes from the peer and becomes a file name: only names of our own tables get that far.
    if sender(version, action) is None:
        return None
    return _load(version, action if version == "1.6" or action in UNCONFIRMED else f"{action}Request")


def _response_schema(version: str, action: str) -> _Loaded | None:
    if sender(version, action) is None or action in UNCONFIRMED:
        return None
    return _load(version, f"{action}Response")


@cache
def _load(version: str, name: str) -> _Loaded:
    source = files("ocpp").joinpath(_FOLDERS[version], "schemas", f"{name}.json")
    schema = json.loads(source.read_text(encoding="utf-8-sig"))
    return _Loaded(schema, acceptance(schema, _objection))


def _check(loaded: _Loaded | None, action: str, payload: Payload, most: int = MAX_VIOLATIONS) -> tuple[Violation, ...]:
    if loaded is None:
        return (Violation((), "action", f"no message {_shown(action)}", "NotImplemented"),)
    if loaded.accepts(payload):
        return ()
    # The walk has the last word: a no that it cannot explain is a yes.
    return tuple(islice(_violations(loaded.schema, loaded.schema, payload, ()), most))


# --- saying why -------------------------------------------------------------------------------------------------

_CODES = {
    "type": "TypeConstraintViolation",
    "maxLength": "TypeConstraintViolation",
    "additionalProperties": "FormationViolation",
    "required": "ProtocolError",
}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


def _violations(root: _Schema, node: _Schema, value: JsonValue, path: Path) -> Iterator[Violation]:
    """All violations, in the order in which `jsonschema` finds them: the schema's keywords as they are written."""
    node = _resolved(root, node)
    for keyword, rule in node.items():
        if keyword in ("properties", "items"):
            for below, member, step in _children(keyword, rule, value):
                yield from _violations(root, below, member, (*path, step))
        elif keyword in ("required", "additionalProperties"):
            for name, misfit in _misfits(keyword, rule, node, value):
                yield _violation(keyword, (*path, name), misfit, tuple(node.get("properties", ())))
        else:
            objection = _objection(keyword, rule, value)
            if objection is not None:
                yield _violation(keyword, path, objection, rule)


def _children(keyword: str, rule: Any, value: JsonValue) -> Iterator[tuple[_Schema, JsonValue, str | int]]:
    if keyword == "properties" and isinstance(value, dict):
        yield from ((below, value[name], name) for name, below in rule.items() if name in value)
    elif keyword == "items" and isinstance(value, list):
        yield from ((rule, item, index) for index, item in enumerate(value))


def _misfits(keyword: str, rule: Any, node: _Schema, value: JsonValue) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        return
    if keyword == "required":
        yield from ((name, "is missing") for name in rule if name not in value)
    else:  # OCPP says additionalProperties only to forbid them
        yield from ((name, "is unknown") for name in value if name not in node.get("properties", ()))


def _objection(keyword: str, rule: Any, value: JsonValue) -> str | None:
    """What a keyword that looks at one value only has against it."""
    if keyword == "type":
        # A bool is an int to Python, not to JSON.
        is_type = isinstance(value, _TYPES[rule]) and (rule == "boolean" or not isinstance(value, bool))
        return None if is_type else f"is not of type {rule}"
    if keyword == "enum":
        return None if value in rule else "is none of the values allowed"
    if isinstance(value, str):
        return f"is longer than {rule} characters" if keyword == "maxLength" and len(value) > rule else None
    if isinstance(value, list):
        if keyword == "minItems" and len(value) < rule:
            return f"has fewer than {rule} items"
        return f"has more than {rule} items" if keyword == "maxItems" and len(value) > rule else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _numeric_objection(keyword, rule, value)
    return None


def _numeric_objection(keyword: str, rule: Any, value: float) -> str | None:
    if keyword == "minimum" and value < rule:
        return f"is below {rule:g}"
    if keyword == "maximum" and value > rule:
        return f"is above {rule:g}"
    if keyword == "multipleOf":
        # Decimal, as `ocpp` does it: as binary fractions, 21.4 is no multiple of 0.1.
        steps = Decimal(repr(value)) / Decimal(repr(rule))
        return None if steps == int(steps) else f"is not a multiple of {rule:g}"
    return None


def _violation(keyword: str, path: Path, objection: str, expected: Any) -> Violation:
    code = _CODES.get(keyword, "FormationViolation")
    return Violation(path, keyword, f"{_place(path)} {objection}", code, expected)


def _place(path: Path) -> str:
    return ".".join(_shown(step) for step in path) or "the payload"


def _shown(step: str | int) -> str:
    text = ascii(step)[1:-1] if isinstance(step, str) else str(step)
    return text if len(text) <= 50 else f"{text[:50]}…"


def _resolved(root: _Schema, node: _Schema) -> _Schema:
    reference = node.get("$ref")
    return node if reference is None else root["definitions"][reference.removeprefix("#/definitions/")]


# --- removing ---------------------------------------------------------------------------------------------------


def _removable(root: _Schema, path: Path) -> Path:
    """The offending member, or the nearest owner that may be missing; () if that is the message itself."""
    while path and path[-1] in _required(root, path[:-1]):
        path = path[:-1]
    return path


def _required(root: _Schema, path: Path) -> frozenset[str | int]:
    node = _resolved(root, root)
    for step in path:
        node = _resolved(root, node["items"] if isinstance(step, int) else node["properties"][step])
    return frozenset(node.get("required", ()))


def _in_original(
    violation: Violation, payload: Payload, removed: Mapping[Path, Violation], kept: dict[Path, list[int]]
) -> Violation:
    """A violation of the pruned tree where it stood in the payload. `kept`: the indexes left of each list."""
    origin: Path = ()
    value: Any = payload
    for step in violation.path:
        index = step
        if isinstance(step, int):
            if origin not in kept:
                kept[origin] = [number for number in range(len(value)) if (*origin, number) not in removed]
            index = kept[origin][step]
        origin = (*origin, index)
        # Only the last step of a path may name what is not there.
        value = value[index] if isinstance(index, int) else value.get(index)
    message = _place(origin) + violation.message.removeprefix(_place(violation.path))
    return replace(violation, path=origin, message=message)


def _pruned(value: JsonValue, path: Path, removed: Mapping[Path, Violation]) -> JsonValue:
    if isinstance(value, dict):
        return _pruned_members(value, path, removed)
    if isinstance(value, list):
        kept = (number for number in range(len(value)) if (*path, number) not in removed)
        return [_pruned(value[number], (*path, number), removed) for number in kept]
    return value


def _pruned_members(value: Payload, path: Path, removed: Mapping[Path, Violation]) -> dict[str, JsonValue]:
    return {
        name: _pruned(member, (*path, name), removed) for name, member in value.items() if (*path, name) not in removed
    }

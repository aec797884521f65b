"""A JSON schema of OCPP → a function that says whether a payload is valid, and nothing else.

It is written as Python source, once for each schema, and compiled: a MeterValues with five values is judged in a third
of the time that the code of `fastjsonschema` takes, and reading, checking and answering it in two thirds.
What is guaranteed: it says yes only where the walk in `schemas.py`, which says why not, finds nothing. A payload is a
tree of `dict` and `list`, as `frames.parse` makes it; of anything else (a subclass, say) it says no.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Accept = Callable[[object], bool]
Objection = Callable[[str, Any, Any], str | None]
"""What a keyword, with its value in the schema, has against a value of the payload."""
_Schema = Mapping[str, Any]

_SAID_ELSEWHERE = frozenset({"$id", "$schema", "additionalItems", "comment", "default", "definitions", "description",
                             "format", "javaType", "title"})  # fmt: skip
"""What forbids nothing: formats are not checked, and `additionalItems` counts for tuples only."""
_CLASSES = {"array": ("list",), "boolean": ("bool",), "integer": ("int",), "number": ("int", "float"),
            "object": ("dict",), "string": ("str",)}  # fmt: skip
_OF_OBJECTS = frozenset({"properties", "required", "additionalProperties"})


def acceptance(schema: _Schema, objection: Objection) -> Accept:
    """Raises ValueError for a schema that it cannot write down; OCPP has none of that kind."""
    names: dict[str, Any] = {"objection": objection}
    lines = ["def accepts(v0):", *_judged(schema, "v0", 1, names), " return True"]
    for name, definition in schema.get("definitions", {}).items():
        lines += [f"def accepts_{_named(name)}(v0):", *_judged(definition, "v0", 1, names), " return True"]
    exec("\n".join(lines), names)  # noqa: S102 - of a file of `ocpp`, whose texts stand in it as literals only
    accepts: Accept = names["accepts"]
    return accepts


def _judged(node: _Schema, value: str, depth: int, names: dict[str, Any]) -> Iterator[str]:
    """Lines that return False when the value, a variable of that name, is forbidden. `names`: what else they name."""
    indent = " " * depth
    if "$ref" in node:
        yield f"{indent}if not accepts_{_named(node['$ref'].removeprefix('#/definitions/'))}({value}): return False"
        return
    kind = node.get("type")
    if kind is not None:
        # A bool is an int to Python, not to JSON: `isinstance` would not do.
        wrong = " and ".join(f"{value}.__class__ is not {one}" for one in _CLASSES[kind])
        yield f"{indent}if {wrong}: return False"
    elif not _SAID_ELSEWHERE.issuperset(node):
        raise ValueError(f"a schema without a type that forbids something: {sorted(node)}")
    for keyword, rule in node.items():
        if keyword == "type" or keyword in _SAID_ELSEWHERE:
            continue
        if keyword in _OF_OBJECTS:
            if kind == "object":  # of anything else they say nothing
                yield from _of_object(keyword, rule, node, value, depth, names)
        elif keyword == "items" and kind == "array":
            yield f"{indent}for v{depth} in {value}:"
            yield from _judged(rule, f"v{depth}", depth + 1, names)
            yield f"{indent} pass"
        elif keyword == "enum" and kind == "string":
            words = ", ".join(repr(str(word)) for word in rule)
            yield f"{indent}if {value} not in {{{words}}}: return False"
        elif keyword == "maxLength" and kind == "string":
            yield f"{indent}if len({value}) > {int(rule)}: return False"
        elif keyword == "minItems" and kind == "array":
            yield f"{indent}if len({value}) < {int(rule)}: return False"
        else:
            yield f"{indent}if objection({keyword!r}, {rule!r}, {value}) is not None: return False"


def _of_object(keyword: str, rule: Any, node: _Schema, value: str, depth: int, names: dict[str, Any]) -> Iterator[str]:
    indent = " " * depth
    if keyword == "required":
        for name in rule:
            yield f"{indent}if {name!r} not in {value}: return False"
    elif keyword == "additionalProperties":
        if rule is not False:
            raise ValueError(f"additionalProperties: {rule!r}")
        known = f"known{len(names)}"
        names[known] = frozenset(node.get("properties", ()))
        yield f"{indent}if not {known}.issuperset({value}): return False"
    else:
        for name, below in rule.items():
            yield f"{indent}if {name!r} in {value}:"
            yield f"{indent} v{depth} = {value}[{name!r}]"
            yield from _judged(below, f"v{depth}", depth + 1, names)


def _named(definition: str) -> str:
    if not definition.isidentifier():
        raise ValueError(f"a definition of the name {definition!r}")
    return definition

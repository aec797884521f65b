"""The keys of the file, read off the dataclasses: name, rule, whether it is required, default.

`structure.py` checks by them, `tools/configuration_page` prints them.
"""

from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

from edge.config import rules
from edge.config.effects import Effect
from edge.config.rules import Each, Named, Rule


@dataclass(frozen=True, slots=True)
class Key:
    attribute: str
    name: str
    """In the file."""
    kind: Any
    """The field's type without `Annotated` and `| None`; of an array of tables, the table's class."""
    rule: Rule | Each | None
    """None: a table."""
    is_array: bool
    """Of tables."""
    is_required: bool
    default: object
    effect: Effect | None
    """When a change of it comes into force. None: a table, whose keys say it."""

    @property
    def expected(self) -> str:
        if self.rule is not None:
            return self.rule.expected
        return f"a table [[{self.name}]]" if self.is_array else f"a table [{self.name}]"


def keys_of(table: type[Any]) -> tuple[Key, ...]:
    """In the order of the class. Two fields may have the same key (`address`)."""
    return tuple(
        _key(each.name, each.type, MISSING if each.default is MISSING else each.default) for each in fields(table)
    )


def _key(attribute: str, annotation: Any, default: object) -> Key:
    kind, marks = _bare(annotation)
    is_array = get_origin(kind) is tuple and is_dataclass(get_args(kind)[0])
    if is_array:
        kind = get_args(kind)[0]
    rule = next((mark for mark in marks if isinstance(mark, Rule | Each)), None)
    name = next((mark.key for mark in marks if isinstance(mark, Named)), attribute)
    if rule is None and not is_dataclass(kind):
        rule = _rule_of(kind)
    effect = next((mark for mark in marks if isinstance(mark, Effect)), None)
    return Key(attribute, name, kind, rule, is_array, default is MISSING, default, effect)


def _bare(annotation: Any) -> tuple[Any, tuple[object, ...]]:
    if get_origin(annotation) is Annotated:
        kind, *marks = get_args(annotation)
        inner, more = _bare(kind)
        return inner, (*marks, *more)
    if isinstance(annotation, UnionType) or NoneType in get_args(annotation):
        return _bare(next(part for part in get_args(annotation) if part is not NoneType))
    return annotation, ()


def _rule_of(kind: Any) -> Rule:
    """Of a field that has no rule of its own."""
    if get_origin(kind) is Literal:
        return rules.one_of(get_args(kind))
    return {str: rules.TEXT, bool: rules.BOOLEAN, Path: rules.PATH, bytes: rules.SECRET}[kind]

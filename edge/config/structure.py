"""The document as TOML gives it → a `Config`, or every single value that is not what its key expects.

cattrs walks the dataclasses and collects; each value is judged by its key's rule (`keys.py`, `rules.py`).
What takes more than one value to judge is in `consistency.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.config.files import Files
from edge.config.keys import Key, keys_of
from edge.config.problems import Fault, KeyPath, Unexpected
from edge.config.rules import Each, Rule, guess, printable, shown
from edge.config.values import Config

if TYPE_CHECKING:  # its import takes 67 ms: only where a file is read
    from cattrs import ClassValidationError, Converter


def structure(document: Mapping[str, object], files: Files) -> tuple[Config | None, tuple[Fault, ...]]:
    from cattrs import ClassValidationError, Converter

    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    _teach(converter, Config, files)
    try:
        return converter.structure(document, Config), ()
    except ClassValidationError as failed:
        # Host and port complain of the same address: once is enough.
        return None, tuple(dict.fromkeys(_faults_of_table(failed, ())))


def _teach(converter: "Converter", table: type[Any], files: Files) -> None:
    """How tables of that class are read, inner ones first."""
    from cattrs.gen import make_dict_structure_fn, override

    overrides = {}
    for key in keys_of(table):
        if key.rule is None:
            _teach(converter, key.kind, files)
        overrides[key.attribute] = override(rename=key.name, struct_hook=_hook(key, converter, files))
    structured = make_dict_structure_fn(table, converter, **overrides)  # type: ignore[arg-type]
    converter.register_structure_hook(table, structured)


def _hook(key: Key, converter: "Converter", files: Files) -> Callable[[Any, Any], Any]:
    match key.rule:
        case None if key.is_array:
            return lambda value, _: converter.structure(_tables(value, key), tuple[key.kind, ...])  # type: ignore[name-defined]
        case None:
            return lambda value, _: converter.structure(_table(value, key), key.kind)
        case Each() as each:
            return lambda value, _: _items(value, each)
        case Rule() as rule:
            return lambda value, _: _single(value, key, rule, files)


def _table(value: object, key: Key) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Unexpected(f"expected a table [{key.name}], got {shown(value)}")
    return value


def _tables(value: object, key: Key) -> list[dict[str, object]]:
    if isinstance(value, dict):
        raise Unexpected(f"expected an array of tables: write [[{key.name}]]")
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise Unexpected(f"expected an array of tables [[{key.name}]], got {shown(value)}")
    if key.is_required and not value:
        raise Unexpected(f"expected at least one table [[{key.name}]]")
    return value


def _items(value: object, each: Each) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise Unexpected(f"expected {each.expected}, got {shown(value)}")
    if not value and not each.may_be_empty:
        raise Unexpected(f"expected {each.expected}, at least one; got an empty list")
    bad = [
        f"item {number}: {_objection(item, each.item)}"
        for number, item in enumerate(value, 1)
        if not each.item.holds(item)
    ]
    if bad:
        raise Unexpected("; ".join(bad))
    return tuple(value)


def _single(value: object, key: Key, rule: Rule, files: Files) -> object:
    if key.kind is bytes:
        try:
            return files.secret(value)
        except Unexpected as failed:
            raise Unexpected(f"{failed}; expected {rule.expected}") from None
    if key.kind is Path:
        try:
            located = files.locate(value)
        except Unexpected as failed:
            raise Unexpected(f"expected {rule.expected}, {failed}") from None
        if not rule.holds(located):
            raise Unexpected(_objection(value, rule))
        return located
    if not rule.holds(value):
        raise Unexpected(_objection(value, rule))
    if rule.convert is not None:
        return rule.convert(value)
    return float(value) if key.kind is float else value  # type: ignore[arg-type]


def _objection(value: object, rule: Rule) -> str:
    if rule.is_planned(value):
        return f"{shown(value)} is not built yet, expected {rule.expected}"
    hint = ""
    if isinstance(value, str):
        why = rule.objection(value)
        hint = f": {printable(why)}" if why else guess(value, rule.choices())
    return f"expected {rule.expected}, got {shown(value)}{hint}"


def _faults_of_table(failed: "ClassValidationError", path: KeyPath) -> Iterator[Fault]:
    from cattrs import ForbiddenExtraKeysError

    keys = keys_of(failed.cl)
    with_field, others = failed.group_exceptions()
    for inner, note in with_field:
        key = next(key for key in keys if key.attribute == note.name)
        if isinstance(inner, KeyError):
            yield Fault((*path, key.name), f"missing, expected {key.expected}")
        else:
            yield from _faults_of_value(inner, (*path, key.name))
    for other in others:
        if not isinstance(other, ForbiddenExtraKeysError):
            raise other
        known = tuple(dict.fromkeys(key.name for key in keys))
        yield from (_unknown(name, path, known) for name in sorted(other.extra_fields))


def _faults_of_value(failed: Exception, path: KeyPath) -> Iterator[Fault]:
    from cattrs import ClassValidationError, IterableValidationError

    match failed:
        case Unexpected():
            yield Fault(path, str(failed))
        case ClassValidationError():
            yield from _faults_of_table(failed, path)
        case IterableValidationError():
            for inner, note in failed.group_exceptions()[0]:
                yield from _faults_of_value(inner, (*path, note.index))
        case _:
            raise failed


def _unknown(name: str, path: KeyPath, known: tuple[str, ...]) -> Fault:
    word = "key" if path else "table"
    return Fault((*path, name), f"unknown {word}{guess(name, known)}; expected one of: {' | '.join(known)}")

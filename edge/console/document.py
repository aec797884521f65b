"""Reading members of a JSON document for people: what is missing or of another type is "not known".

The documents come from a daemon that may be older or newer than this client, and texts in them come from chargers,
so nothing is trusted: `printable` takes away what could steer a terminal.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from edge.jsontypes import JsonValue, Payload

UNKNOWN = "-"


def part(document: Payload, name: str) -> Payload:
    """The object of that name; empty when there is none."""
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}


def parts(document: Payload, name: str) -> list[Payload]:
    """The objects of the list of that name."""
    return [value for value in items(document, name) if isinstance(value, Mapping)]


def items(document: Payload, name: str) -> Sequence[JsonValue]:
    value = document.get(name)
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def text(document: Payload, name: str, unknown: str = UNKNOWN) -> str:
    value = document.get(name)
    return unknown if value is None or value == "" else str(value)


def number(document: Payload, name: str) -> float | None:
    return as_number(document.get(name))


def as_number(value: JsonValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def count(document: Payload, name: str) -> int:
    return int(number(document, name) or 0)


def flag(document: Payload, name: str) -> bool:
    return document.get(name) is True


def instant(document: Payload, name: str) -> datetime | None:
    value = document.get(name)
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def printable(value: JsonValue) -> JsonValue:
    """The same document with each character that is not plain text (escape sequences, line ends) spelled out."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(map(_spelled, value))
    if isinstance(value, Mapping):
        return {"".join(map(_spelled, name)): printable(member) for name, member in value.items()}
    if isinstance(value, Sequence):
        return [printable(member) for member in value]
    return value


def _spelled(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()

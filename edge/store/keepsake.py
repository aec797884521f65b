"""A small file beside the store with what nobody could find out again if the store were lost.

Which charger and which connector has which number, towards whom, and how far numbers may have been given. It is written
whole, under another name, then renamed; when the store is in order it is never read. The numbers are rounded up, so
that it changes seldom. A digest shows whether it is what was written; what a newer program has added is left out.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from edge.store import chains
from edge.store.carving import Shape, Value, shape_of
from edge.store.files import to_disk
from edge.store.succession import Numbers, numbers

SUFFIX = ".numbers.json"
FORMAT = 1
ROUNDED_UP = {"seq": 100_000, "stream": 1_000}
ROUNDED_UP_ELSE = 100
KEPT = {
    "charger": ("last_seq", "boot_wall_ms", "last_seen_wall_ms", "firmware"),
    "connector": ("status", "status_wall_ms", "wish"),
    "uplink_epoch": (),
}
"""Tables, and what of them is left out: it changes all the time, or is said again."""


@dataclass(frozen=True, slots=True)
class Keepsake:
    at_ms: int
    numbers: Numbers
    rows: dict[str, list[dict[str, Value]]]


def path_of(store: Path) -> Path:
    return store.with_name(store.name + SUFFIX)


def text(connection: sqlite3.Connection) -> str:
    """What is to stand in the file, but for the time."""
    given = numbers(connection)
    rows: dict[str, list[dict[str, Value]]] = {}
    for table, left_out in KEPT.items():
        names = [column.name for column in shape_of(table).columns if column.name not in left_out]
        found = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY 1")  # noqa: S608 - names of the schema
        rows[table] = [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in found]
    content = {
        "format": FORMAT,
        "seq": _up("seq", max(given.seq, chains.last_seq(connection))),
        "boot": _up("boot", given.boot),
        "counters": {name: _up(name, value) for name, value in sorted(given.counters.items())},
        "rows": rows,
    }
    return json.dumps(content | {"digest": _digest(content)}, indent=1)


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def _up(name: str, number: int) -> int:
    step = ROUNDED_UP.get(name, ROUNDED_UP_ELSE)
    return (number // step + 1) * step


def _plain(value: Value) -> Value:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def write(store: Path, what: str) -> None:
    """Raises OSError."""
    target = path_of(store)
    fresh = target.with_name(target.name + ".new")
    fresh.touch(mode=0o600)
    fresh.write_text(what, encoding="utf-8")
    to_disk(fresh)
    fresh.rename(target)
    to_disk(target.parent)


def read(store: Path) -> Keepsake | None:
    """None: there is none, or it is damaged itself."""
    target = path_of(store)
    try:
        content = _content(target.read_text(encoding="utf-8"))
        counters = {str(name): int(value) for name, value in content["counters"].items()}
        given = Numbers(int(content["seq"]), int(content["boot"]), counters)
        rows = {table: _rows(shape_of(table), content["rows"].get(table, ())) for table in KEPT}
        return Keepsake(round(target.stat().st_mtime * 1000), given, rows)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        structlog.get_logger("edge.store").error("numbers_unreadable", file=str(target), why=repr(error))
        return None


def _content(written: str) -> dict[str, Any]:
    """What `text` has put together. Raises ValueError, KeyError or TypeError when it was not written like this."""
    content: dict[str, Any] = json.loads(written)
    if content.pop("digest") != _digest(content) or content["format"] != FORMAT:
        raise ValueError("its digest or its format is another one")
    return content


def _rows(shape: Shape, found: list[Mapping[str, Value]]) -> list[dict[str, Value]]:
    """With the columns that we know, as far as they fit into our table."""
    rows = [{one.name: _value(one.name, row[one.name]) for one in shape.columns if one.name in row} for row in found]
    fitting = [row for row in rows if _fits(shape, row)]
    if len(fitting) < len(rows):
        log = structlog.get_logger("edge.store")
        log.warning("numbers_left_out", table=shape.table, rows=len(rows) - len(fitting))
    return fitting


def _fits(shape: Shape, row: Mapping[str, Value]) -> bool:
    whole = tuple(row.get(column.name, column.default) for column in shape.columns)
    return shape.fits(whole) and all(row.get(name) is not None for name in shape.key)


def _value(name: str, value: Value) -> Value:
    return bytes.fromhex(str(value)[2:]) if name == "secret_hash" and value is not None else value

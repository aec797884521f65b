"""Rows out of single pages of a store, whatever has become of the pages around them.

A page that holds rows of a table says nothing of which table it is: the rows are known by their shape (number, types
and `NOT NULL` of the columns, as the schema files make them). Each row comes with its table and with whether its page
is *whole*: every cell is where it should be, and together they account for every octet. Nothing here decides whether a
row is true: `proving.py` does that.

Formats: "Database File Format" of SQLite, 1.6 (pages), 2.1 (records).
"""

import sqlite3
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from edge.store.migration import schema_files, statements

Value = int | float | str | bytes | None
ReadPage = Callable[[int], bytes | None]

FILE_HEADER_BYTES = 100
LEAF_TABLE, LEAF_INDEX, INNER_INDEX = 0x0D, 0x0A, 0x02
DIGEST_KIND = 12 + 2 * 8
"""Of a value in a record: eight octets."""
LARGEST_ROW = 8 * 1024 * 1024
"""Octets. A longer one was never stored: the largest message is 4 MiB."""
KEYS = (
    "counter:", "station:", "synchronised:", "settled_seq", "station_last_seq", "min_reader", "last_wall_ms",
    "csms_wall_ms", "checked_wall_ms",
)  # fmt: skip
"""What `meta` is known by: two columns alone would also fit an index."""
WORDS: Mapping[tuple[str, str], frozenset[str]] = {
    ("charger", "state"): frozenset({"known", "pending", "retired"}),
    ("tx", "kind"): frozenset({"transaction", "meter", "orphan"}),
    ("tx", "state"): frozenset({"open", "ended"}),
    ("delivery", "state"): frozenset({"bound", "failed", "parked", "dropped"}),
    ("token", "source"): frozenset({"list", "cache"}),
}
_TYPES: Mapping[str, type] = {"INTEGER": int, "TEXT": str, "BLOB": bytes}


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: type | None
    """None: any."""
    is_required: bool
    default: Value


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a table's rows."""

    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    least: int
    """Columns of a row that was written under the first schema."""
    has_rowid: bool

    def fits(self, values: tuple[Value, ...]) -> bool:
        if not self.least <= len(values) <= len(self.columns):
            return False
        for column, value in zip(self.columns, values, strict=False):
            if not self._admits(column, value):
                return False
        if self.table == "meta":
            return isinstance(values[0], str) and values[0].startswith(KEYS)
        return True

    def _admits(self, column: Column, value: Value) -> bool:
        if value is None:
            return not column.is_required
        if column.type is not None and type(value) is not column.type:
            return False
        words = WORDS.get((self.table, column.name))
        return words is None or value in words

    def completed(self, values: tuple[Value, ...]) -> tuple[Value, ...]:
        """With the columns that were added after the row was written."""
        return values + tuple(column.default for column in self.columns[len(values) :])


@dataclass(frozen=True, slots=True)
class Row:
    shape: Shape
    values: tuple[Value, ...]
    is_page_whole: bool


@cache
def shapes() -> tuple[Shape, ...]:
    """Of all tables, by the newest schema."""
    first = schema_files()[0][1]
    with closing(sqlite3.connect(":memory:")) as old, closing(sqlite3.connect(":memory:")) as new:
        old.executescript(first)
        for _, text in schema_files():
            for statement in statements(text):
                new.execute(statement)
        tables = new.execute("SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
        return tuple(
            _shape(old, new, name, has_rowid=not wr) for name, wr in tables.fetchall() if not name.startswith("sqlite_")
        )


def shape_of(table: str) -> Shape:
    return next(one for one in shapes() if one.table == table)


def _shape(old: sqlite3.Connection, new: sqlite3.Connection, table: str, *, has_rowid: bool) -> Shape:
    info = 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?) ORDER BY cid'
    found = new.execute(info, (table,)).fetchall()
    least = len(old.execute(info, (table,)).fetchall()) or len(found)
    key = tuple(name for name, *_, pk in sorted(found, key=lambda one: one[4]) if pk)
    columns = tuple(
        # the key of a table with row ids is stored as NULL, its value is the row's id
        Column(
            name, _TYPES.get(kind), bool(notnull) and not (has_rowid and pk), None if default is None else int(default)
        )
        for name, kind, notnull, default, pk in found
    )
    return Shape(table, columns, key, least, has_rowid)


def require_columns(connection: sqlite3.Connection) -> None:
    """Raises ValueError when a table lacks one of its columns: SQLite takes any name in a schema for a good one."""
    for shape in shapes():
        names = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (shape.table,))}
        missing = [column.name for column in shape.columns if column.name not in names]
        if missing:
            raise ValueError(f"table {shape.table} has no column {missing[0]}")


def rows(number: int, content: bytes, read: ReadPage) -> Iterator[Row]:
    """The rows in this page; `read` gives those on which long ones go on."""
    start = FILE_HEADER_BYTES if number == 1 else 0
    kind = content[start]
    if kind not in {LEAF_TABLE, LEAF_INDEX, INNER_INDEX}:
        return
    cells = _cells(content, start, kind)
    found: list[tuple[Shape, tuple[Value, ...]]] = []
    spans: list[tuple[int, int]] = []
    is_whole = True
    for offset in cells:
        cell = _cell(content, offset, kind, read)
        if cell is None:
            is_whole = False
            continue
        values, end = cell
        spans.append((offset, end))
        if values is None:
            continue
        shape = next((one for one in shapes() if one.has_rowid is (kind == LEAF_TABLE) and one.fits(values)), None)
        if shape is not None:
            found.append((shape, shape.completed(values)))
    is_whole = is_whole and _accounts_for_all(content, start, kind, len(cells), spans)
    for shape, values in found:
        yield Row(shape, values, is_whole)


def is_of_journal(content: bytes) -> bool:
    """Whether the first row of a page is one of the journal: then all are. Cheap."""
    if content[0] != LEAF_TABLE:
        return False
    shape = shape_of("exchange")
    try:
        _, at = _varint(content, int.from_bytes(content[8:10], "big"))
        _, at = _varint(content, at)
        head, start = _varint(content, at)
        end, at, kinds = at + head, start, []
        while at < end:
            kind, at = _varint(content, at)
            kinds.append(kind)
    except IndexError:
        return False
    return len(kinds) == len(shape.columns) and kinds[0] == 0 and kinds[-1] == DIGEST_KIND and kinds[1] in range(1, 10)


def _cells(content: bytes, start: int, kind: int) -> list[int]:
    count = int.from_bytes(content[start + 3 : start + 5], "big")
    first = start + (12 if kind == INNER_INDEX else 8)
    count = min(count, (len(content) - first) // 2)
    return list(struct.unpack_from(f">{count}H", content, first))


def _accounts_for_all(content: bytes, start: int, kind: int, count: int, spans: list[tuple[int, int]]) -> bool:
    """Whether cells, free blocks and fragments fill the page, and none lies on another."""
    free, area, fragments = struct.unpack_from(">H2xHB", content, start + 1)
    area = area or len(content)
    pointers = start + (12 if kind == INNER_INDEX else 8) + 2 * count
    for _ in range(len(content) // 4):
        if free == 0:
            break
        if not area <= free <= len(content) - 4:
            return False
        behind, size = struct.unpack_from(">HH", content, free)
        spans.append((free, free + size))
        free = behind
    spans.sort()
    if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
        return False
    used = sum(end - begin for begin, end in spans)
    return pointers <= area and used + fragments == len(content) - area and all(begin >= area for begin, _ in spans)


def _cell(content: bytes, offset: int, kind: int, read: ReadPage) -> tuple[tuple[Value, ...] | None, int] | None:
    """The record of one cell, None if it goes on on pages that are lost, and where the cell ends; None: it is none."""
    try:
        at = offset + (4 if kind == INNER_INDEX else 0)
        size, at = _varint(content, at)
        rowid = None
        if kind == LEAF_TABLE:
            rowid, at = _varint(content, at)
        if not 2 <= size <= LARGEST_ROW or at >= len(content):
            return None
        payload, end = _payload(content, at, size, kind, read)
        if payload is None:
            return (None, end) if end else None
        values = _record(payload)
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    if values is None:
        return None
    if rowid is not None:
        if values[0] is not None:
            return None
        values = (rowid - 2**64 if rowid >= 2**63 else rowid, *values[1:])
    return values, max(end, offset + 4)


def _payload(content: bytes, at: int, size: int, kind: int, read: ReadPage) -> tuple[bytes | None, int]:
    usable = len(content)
    most = usable - 35 if kind == LEAF_TABLE else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return (content[at : at + size], at + size) if at + size <= usable else (None, 0)
    least = (usable - 12) * 32 // 255 - 23
    local = least + (size - least) % (usable - 4)
    local = local if local <= most else least
    if at + local + 4 > usable:
        return None, 0
    parts, missing = [content[at : at + local]], size - local
    following = int.from_bytes(content[at + local : at + local + 4], "big")
    while missing > 0:
        page = read(following) if following else None
        if page is None:
            return None, at + local + 4
        parts.append(page[4 : 4 + missing])
        missing -= len(parts[-1])
        following = int.from_bytes(page[:4], "big")
    return b"".join(parts), at + local + 4


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(at, at + 8):
        octet = octets[index]
        value = value << 7 | octet & 0x7F
        if octet < 0x80:  # the bit that says that more come
            return value, index + 1
    return value << 8 | octets[at + 8], at + 9


_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)


def _record(payload: bytes) -> tuple[Value, ...] | None:
    """Its values; None: it is no record, or one that does not fill its place exactly."""
    head, at = _varint(payload, 0)
    if not at < head <= len(payload):
        return None
    values: list[Value] = []
    body = head
    while at < head:
        kind, at = _varint(payload, at)
        value, body = _value(payload, kind, body)
        values.append(value)
    return tuple(values) if at == head and body == len(payload) else None


def _value(payload: bytes, kind: int, at: int) -> tuple[Value, int]:
    """One value and where it ends. Raises IndexError when it goes beyond the record."""
    if kind == 0:
        return None, at
    if kind in {8, 9}:
        return kind - 8, at
    if kind in {10, 11}:
        raise IndexError
    if kind >= 12:
        end = at + (kind - 12) // 2
        if end > len(payload):
            raise IndexError
        octets = payload[at:end]
        return (octets.decode() if kind % 2 else octets), end
    end = at + (8 if kind == 7 else _INTEGER_BYTES[kind])
    if end > len(payload):
        raise IndexError
    if kind == 7:
        return float(struct.unpack(">d", payload[at:end])[0]), end
    return int.from_bytes(payload[at:end], "big", signed=True), end

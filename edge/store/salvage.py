"""Reads all that is left of a damaged store into `findings.py`: first as SQLite still reads it, then page by page.

`Reading.survey` is for the time before chargers are served: everything but the journal. `Reading.gather` and
`Reading.prove` go on with the journal, a little at a time, while the next store is in use. What is found goes into the
next store by `succeeding.py` (numbers, places, open sessions) and `reimport.py` (rows).
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from edge.store import carving, findings, proving
from edge.store.carving import Row, Shape, Value, shape_of, shapes
from edge.store.files import remove
from edge.store.findings import A_STORE, EXCHANGE, FROM_SQL, Source
from edge.store.pages import Pages
from edge.store.quarantine import Quarantined

T = TypeVar("T")

PAGES_A_STEP = 16
ROWS_A_STEP = 250
SKIPPED_AT_FIRST = 16
"""Row numbers that are stepped over where SQLite cannot read; twice as many each time in a row."""
SKIPS_AT_MOST = 40
NOT_READ = (sqlite3.Error, ValueError)
"""What reading a damaged store raises; a ValueError where SQLite quotes in its message what is no text."""


class _Part:
    """One of the stores that are read together."""

    def __init__(self, quarantined: Quarantined, age_rank: int) -> None:
        self.store = quarantined.store
        self.name = quarantined.folder.name
        self.rank = age_rank * A_STORE
        self.pages = Pages(self.store)

    def source(self, rank: int, *, is_sure: bool, is_live: bool) -> Source:
        return Source(self.rank + rank, is_sure, is_live)


class Reading:
    """Of quarantined stores that followed each other, oldest first. Close it after use.

    More than one: the next was damaged before all of the one before was back. Together they are one store, of which
    each has what the others lack; where two say something different, the newer one is right.
    It may be used in any thread, one at a time.
    """

    found: sqlite3.Connection

    def __init__(self, quarantined: Sequence[Quarantined]) -> None:
        self._quarantined = quarantined
        self._parts: list[_Part] = []
        """Newest first."""
        self._lock = threading.Lock()
        """Whoever awaits a step may be cancelled while a thread is still at it."""
        self._is_closed = False

    def open(self) -> "Reading":
        """Before anything else. Findings of a life before are gone on with, unless they are damaged themselves.

        Raises OSError or sqlite3.Error.
        """
        with self._lock:
            if not self._is_closed:
                try:
                    self._open()
                except BaseException:
                    self._close_parts()
                    raise
        return self

    def _open(self) -> None:
        for older in self._quarantined[:-1]:
            remove(older.found)
        for rank in reversed(range(len(self._quarantined))):
            self._parts.append(_Part(self._quarantined[rank], rank))
        self.found = _findings(self._quarantined[-1].found)

    def close(self) -> None:
        with self._lock:
            if self._parts and not self._is_closed:
                self.found.close()
                self._close_parts()
            self._is_closed = True

    def _close_parts(self) -> None:
        while self._parts:
            self._parts.pop().pages.close()

    def look(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the findings."""
        with self._lock:
            return query(self.found)

    @property
    def pages(self) -> int:
        return sum(part.pages.count for part in self._parts)

    def survey(self, until: Callable[[], bool]) -> bool:
        """Find all but the journal; False when `until` says that there is no more time for it."""
        return all(self._survey(part, until) for part in self._parts)

    def _survey(self, part: _Part, until: Callable[[], bool]) -> bool:
        if self._progress(part, "surveyed"):
            return True
        wanted = {shape.table for shape in shapes() if shape.table != EXCHANGE}
        newer = part.rank + A_STORE // 2
        # what the next store has of these was copied from this one; what it lacks has been removed since
        wanted -= {table for table in ("token", "id_map") if findings.has_from(self.found, table, newer)}
        self._by_sql(part, [shape for shape in shapes() if shape.table in wanted])
        while not until():
            first = self._progress(part, "surveyed_to")
            if first >= part.pages.count:
                self._set_progress(part, "surveyed", 1)
                return True
            self._carve(part, first, PAGES_A_STEP * 8, "surveyed_to", wanted)
        return False

    def gather(self) -> bool:
        """The next pages; False when there are no more."""
        with self._lock:
            self.survey(lambda: False)
            return any(self._gather(part) for part in self._parts)

    def _gather(self, part: _Part) -> bool:
        if not self._progress(part, "sql_done"):
            if self._rows_by_sql(part):
                return True
            self._set_progress(part, "sql_done", 1)
        first = self._progress(part, "gathered_to")
        if first >= part.pages.count:
            return False
        self._carve(part, first, PAGES_A_STEP, "gathered_to", {EXCHANGE})
        return True

    def prove(self) -> bool:
        """Judge the next rows; False when there are no more."""
        with self._lock, findings.in_one(self.found):
            after = proving.prove(self.found, findings.progress(self.found, "proven_to"), ROWS_A_STEP)
            if after is None:
                proving.leave_out_removed(self.found)
            else:
                findings.set_progress(self.found, "proven_to", after)
            return after is not None

    def _carve(self, part: _Part, first: int, most: int, progress: str, wanted: AbstractSet[str]) -> None:
        with findings.in_one(self.found):
            for image in part.pages.images(first, most):
                if EXCHANGE in wanted or not carving.is_of_journal(image.content):
                    rows = carving.rows(image.number, image.content, part.pages.page)
                    source = part.source(image.rank, is_sure=image.is_sure, is_live=image.is_live)
                    findings.add(self.found, ((row, source) for row in rows if row.shape.table in wanted))
            self._set_progress(part, progress, first + most)

    def _progress(self, part: _Part, name: str) -> int:
        return findings.progress(self.found, f"{name} {part.name}")

    def _set_progress(self, part: _Part, name: str, value: int) -> None:
        findings.set_progress(self.found, f"{name} {part.name}", value)

    # --- as SQLite reads it

    def _by_sql(self, part: _Part, wanted: Sequence[Shape]) -> None:
        """Small tables, as far as they can be read."""
        for shape in wanted:
            rows: list[tuple[Value, ...]] = []
            with suppress(*NOT_READ), _connected(part.store) as store:
                names = ", ".join(one.name for one in _present(store, shape))
                rows = store.execute(f"SELECT {names} FROM {shape.table}").fetchall()  # noqa: S608 - names of the schema
            self._take(part, shape, rows)

    def _rows_by_sql(self, part: _Part) -> bool:
        """The next range of the journal; False when no more can be read."""
        shape = shape_of(EXCHANGE)
        after, skips = self._progress(part, "sql_to"), self._progress(part, "sql_skips")
        try:
            with _connected(part.store) as store:
                names = ", ".join(one.name for one in _present(store, shape))
                rows = store.execute(
                    f"SELECT {names} FROM exchange WHERE seq > :after ORDER BY seq LIMIT :most",  # noqa: S608 - names of the schema
                    {"after": after, "most": ROWS_A_STEP},
                ).fetchall()
        except NOT_READ:
            self._set_progress(part, "sql_to", after + SKIPPED_AT_FIRST * 2 ** min(skips, 20))
            self._set_progress(part, "sql_skips", skips + 1)
            return skips < SKIPS_AT_MOST
        self._take(part, shape, rows)
        if rows:
            # pages that stand in each other's places may lead in a circle: it never goes back
            self._set_progress(part, "sql_to", max(int(str(row[0])) for row in rows))
            self._set_progress(part, "sql_skips", 0)
        return bool(rows)

    def _take(self, part: _Part, shape: Shape, rows: Sequence[tuple[Value, ...]]) -> None:
        # Without its log the file is of one state, but an older one than the log's: what the pages say is newer then.
        is_newest = not part.pages.log.frames
        source = part.source(FROM_SQL if is_newest else 0, is_sure=True, is_live=is_newest)
        fitting = (Row(shape, shape.completed(row), is_page_whole=True) for row in rows if _fits(shape, row))
        with findings.in_one(self.found):
            findings.add(self.found, ((row, source) for row in fitting))


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Nothing is written, no lock and no log beside it is made."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as store:
        for setting in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
            store.execute(f"PRAGMA {setting}").close()
        yield store


def _findings(path: Path) -> sqlite3.Connection:
    if path.exists():
        with suppress(*NOT_READ):
            found = findings.open_findings(path, anew=False)
            with suppress(*NOT_READ):
                if found.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
                    return found
            found.close()
    return findings.open_findings(path, anew=True)


def _present(store: sqlite3.Connection, shape: Shape) -> Iterator[carving.Column]:
    """The columns that the table has there: it may be of an older schema."""
    known = {name for (name,) in store.execute("SELECT name FROM pragma_table_info(?)", (shape.table,))}
    if not known:
        raise sqlite3.DatabaseError("the table is not known there")
    return (one for one in shape.columns if one.name in known)


def _fits(shape: Shape, values: tuple[Value, ...]) -> bool:
    if shape.has_rowid and values[0] is None:
        return False
    return shape.fits((None, *values[1:]) if shape.has_rowid else values)

"""Stores, and what may happen to their files: ten kinds of damage, each drawn by a seed.

Used by `test_salvage.py`, and by anybody who wants more seeds: `python -m tests.store.corruption 100`.
`bring_back` is the service that brings back what is left.
"""

import asyncio
import contextlib
import random
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edge.daemon import SERVICE_PAUSE
from edge.domain.delivery import Order
from edge.salvaging import Salvaging
from edge.store import carving, chains, quarantine
from edge.store.capacity import Condition
from edge.store.findings import PROVEN, UNPROVEN
from edge.store.pages import PAGE_BYTES, Pages
from edge.store.reimport import NAMES
from edge.store.salvage import Reading
from edge.store.succeeding import Salvage
from edge.uplink.lanes import Lanes
from tests.simulation.loop import SimLoop, run
from tests.simulation.world import SimClock, SimOffload
from tests.store.givens import Disk, StoredSite, opened, running
from tests.store.history import History

NOW = datetime(2026, 3, 2, tzinfo=UTC)
FRAME = 24 + PAGE_BYTES
WAL_HEADER = 32
CHARGERS, SESSIONS = 6, 110
TEXT, FITS_ON_A_PAGE = NAMES.index("text"), 3500


def filled(path: Path, seed: int, sessions: int = SESSIONS) -> dict[int, tuple[object, ...]]:
    """A store with delivered, waiting and open sessions, as it lies on the disk in the midst of its life; its rows."""
    drawn = random.Random(seed)
    connection = opened(path)
    history = History(StoredSite(connection))
    places = [(no, one) for no, all_of in [history.charger(f"CP-{n}", 2) for n in range(CHARGERS)] for one in all_of]
    for number in range(sessions):
        connection.execute("BEGIN IMMEDIATE")
        place = drawn.choice(places)
        tx_no = history.begin(number * 600.0, place)
        for value in range(drawn.randint(0, 25)):
            history.values(tx_no, number * 600.0 + value, context="x" * drawn.choice([1] * 160 + [200] * 39 + [6000]))
            if drawn.random() < 0.1:
                history.row(number * 600.0 + value, place[0], "StatusNotification")
        if number == sessions - 1:
            history.values(tx_no, number * 600.0 + 100)  # it goes on, and the CSMS has nothing of it
            connection.execute("COMMIT")
            break
        if drawn.random() < 0.9:
            history.end(tx_no, number * 600.0 + 500)
        if drawn.random() < 0.6:
            history.deliver(tx_no, number * 600.0 + 550)
        if drawn.random() < 0.2:
            history.remove_older(number * 600.0 - 45_000)
        if drawn.random() < 0.3:
            chains.settle(connection)
        connection.execute("COMMIT")
        if number == sessions * 9 // 10:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    rows = connection.execute(f"SELECT {', '.join(NAMES)} FROM exchange").fetchall()
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        source.with_name("kept" + suffix).write_bytes(source.read_bytes())
    connection.close()
    for suffix in ("", "-wal"):
        path.with_name("kept" + suffix).replace(path.with_name(path.name + suffix))
    return {row[0]: row for row in rows}


@dataclass(frozen=True)
class Files:
    """Of a store, to be damaged."""

    store: Path
    drawn: random.Random

    @property
    def wal(self) -> Path:
        return self.store.with_name(self.store.name + "-wal")

    @property
    def pages(self) -> int:
        return self.store.stat().st_size // PAGE_BYTES

    @property
    def frames(self) -> int:
        return (self.wal.stat().st_size - WAL_HEADER) // FRAME

    def write(self, file: Path, offset: int, octets: bytes) -> None:
        with file.open("r+b") as handle:
            handle.seek(offset)
            handle.write(octets)

    def some(self, of: int, share: float) -> list[int]:
        return self.drawn.sample(range(of), max(1, round(of * share)))


def header_lost(files: Files) -> None:
    files.write(files.store, 0, bytes(PAGE_BYTES))


def cut_in_half(files: Files) -> None:
    with files.store.open("r+b") as handle:
        handle.truncate(files.store.stat().st_size // 2 - files.drawn.randrange(PAGE_BYTES))


def pages_zeroed(files: Files) -> None:
    for page in files.some(files.pages, 0.03):
        files.write(files.store, page * PAGE_BYTES, bytes(PAGE_BYTES))


def pages_garbage(files: Files) -> None:
    for page in files.some(files.pages, 0.03):
        files.write(files.store, page * PAGE_BYTES, files.drawn.randbytes(PAGE_BYTES))


def sectors_garbage(files: Files) -> None:
    for sector in files.some(files.pages * 8, 0.01):
        files.write(files.store, sector * 512, files.drawn.randbytes(512))


def pages_misplaced(files: Files) -> None:
    """Writes that went to the place of another page."""
    whole = files.store.read_bytes()
    places = files.some(files.pages, 0.03)
    for page, other in zip(places, places[1:] + places[:1], strict=True):
        files.write(files.store, page * PAGE_BYTES, whole[other * PAGE_BYTES :][:PAGE_BYTES])


def texts_altered(files: Files) -> None:
    """Single octets within texts: SQLite does not notice."""
    whole = files.store.read_bytes()
    for _ in range(12):
        at = whole.find(b'"timestamp"', files.drawn.randrange(len(whole)))
        if at > 0:
            files.write(files.store, at + files.drawn.randrange(3, 20), b"7")


def frames_garbage(files: Files) -> None:
    for frame in files.some(files.frames, 0.05):
        offset = WAL_HEADER + frame * FRAME + 24 + files.drawn.randrange(PAGE_BYTES - 600)
        files.write(files.wal, offset, files.drawn.randbytes(600))


def both_headers_lost(files: Files) -> None:
    files.write(files.store, 0, files.drawn.randbytes(100))
    files.write(files.wal, 0, files.drawn.randbytes(WAL_HEADER))


def maps_lost(files: Files) -> None:
    """The header says other things, the pointer map nothing."""
    files.write(files.store, 28, files.drawn.randbytes(72))
    files.write(files.store, PAGE_BYTES, files.drawn.randbytes(PAGE_BYTES))


KINDS: tuple[Callable[[Files], None], ...] = (
    header_lost,
    cut_in_half,
    pages_zeroed,
    pages_garbage,
    sectors_garbage,
    pages_misplaced,
    texts_altered,
    frames_garbage,
    both_headers_lost,
    maps_lost,
)


@dataclass
class Score:
    """Of one salvage."""

    rows: int = 0
    intact: int = 0
    """Rows of which a whole image is left."""
    recovered: int = 0
    """Of these: proven."""
    unproven: int = 0
    beyond: int = 0
    """Proven, although no whole image is left of them."""
    resurrected: int = 0
    """Proven rows that had been removed."""
    false: int = 0
    false_unproven: int = 0


def readable(store: Path) -> dict[tuple[int, int, bytes], set[int]]:
    """Rows of the journal by the image that holds them."""
    pages = Pages(store)
    try:
        return {
            (image.number, image.rank, image.content): {
                int(str(row.values[0]))
                for row in carving.rows(image.number, image.content, pages.page)
                if row.shape.table == "exchange" and len(str(row.values[TEXT])) < FITS_ON_A_PAGE
            }
            for image in pages.images(0, pages.count)
            if image.is_sure and image.is_live
        }
    finally:
        pages.close()


def salvage(store: Path, truth: dict[int, tuple[object, ...]], kind: Callable[[Files], None], seed: int) -> Score:
    """Damage it, put it aside, read it, and compare."""
    before = readable(store)
    kind(Files(store, random.Random(f"{kind.__name__} {seed}")))
    after = {(number, content) for number, _, content in _images(store)}
    intact = {
        seq for (number, _, content), rows in before.items() if (number, content) in after for seq in rows
    } & truth.keys()
    reading = Reading([quarantine.put_aside(store, kind.__name__, NOW)]).open()
    try:
        while reading.gather():
            pass
        while reading.prove():
            pass
        found = reading.look(_chosen)
    finally:
        reading.close()
    score = Score(len(truth), len(intact))
    for row in found:
        seq, verdict = row[0], row[-1]
        if seq not in truth:
            score.resurrected += 1
        elif row[:-1] != truth[seq]:
            score.false += verdict == PROVEN
            score.false_unproven += verdict == UNPROVEN
        elif verdict == PROVEN:
            score.recovered += seq in intact
            score.beyond += seq not in intact
        else:
            score.unproven += 1
    return score


@dataclass
class Service:
    """`Salvaging`, on virtual time, called again when it has failed, as the daemon does."""

    salvaging: Salvaging
    lanes: Lanes
    is_enough: Callable[[Salvage], bool]
    """The life ends there."""
    errors: list[Exception] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def salvage(self) -> Salvage:
        assert self.salvaging.salvage is not None
        return self.salvaging.salvage

    async def serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._serve(lambda: self.is_enough(self.salvage) and task.cancel()))
        self.ended.set()

    async def _serve(self, on_news: Callable[[], object]) -> None:
        while True:
            try:
                await self.salvaging.run((on_news,))
            except Exception as error:  # noqa: BLE001 - as the daemon's supervisor
                self.errors.append(error)
            await asyncio.sleep(SERVICE_PAUSE)

    async def until_done(self) -> Salvage:
        while self.salvage.phase != "done":
            await asyncio.sleep(0.1)
        return self.salvage


@contextlib.asynccontextmanager
async def serving(
    loop: SimLoop, path: Path, is_enough: Callable[[Salvage], bool] = lambda _: False
) -> AsyncIterator[Service]:
    """A life of the daemon, of which there is nothing else."""
    clock = SimClock(loop, NOW)
    async with running(path, Disk().open_database, clock) as store:
        lanes = Lanes(store, clock, Order.FAIR)
        await lanes.begin()
        service = Service(Salvaging(store, lanes, clock, path, SimOffload(), Condition()), lanes, is_enough)  # type: ignore[arg-type]
        await service.salvaging.begin()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(service.serve())
            yield service
            task.cancel()


def bring_back(path: Path) -> Salvage:
    """Until all is back; nothing may fail, and nothing be sent before all that comes first is there."""

    async def main(loop: SimLoop) -> Salvage:
        async with serving(loop, path) as service:
            assert service.lanes.is_held
            done = await service.until_done()
            assert not service.lanes.is_held
            assert service.errors == []
            return done

    return run(main).value


def _images(store: Path) -> list[tuple[int, int, bytes]]:
    pages = Pages(store)
    try:
        return [(image.number, image.rank, image.content) for image in pages.images(0, pages.count)]
    finally:
        pages.close()


def _chosen(found: sqlite3.Connection) -> list[tuple[object, ...]]:
    return found.execute(f"SELECT {', '.join(NAMES)}, verdict_ FROM exchange WHERE verdict_ IN (1, 2)").fetchall()


def prove(seeds: int) -> dict[str, Score]:
    """All kinds with so many seeds each."""
    total = {kind.__name__: Score() for kind in KINDS}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "edge.db"
            truth = filled(store, seed)
            whole = {suffix: Path(f"{store}{suffix}").read_bytes() for suffix in ("", "-wal")}
            for kind in KINDS:
                for suffix, octets in whole.items():
                    Path(f"{store}{suffix}").write_bytes(octets)
                one = salvage(store, truth, kind, seed)
                for name in vars(one):
                    setattr(total[kind.__name__], name, getattr(total[kind.__name__], name) + getattr(one, name))
    return total


if __name__ == "__main__":
    for name, one in prove(int(sys.argv[1])).items():
        share = 100 * one.recovered / max(1, one.intact)
        print(f"{name:18} {share:7.3f} % of {one.intact} rows on whole pages; {one}")  # noqa: T201 - for people

"""SIGKILL at every call with which the daemon changes its disk or speaks to somebody.

`census` tells a story once and counts those calls: by life, by call, by file. `kill_points` tells it again for each of
them: strace kills the life at that call, which is not done any more; the service manager starts the daemon anew, and
the story goes on to its end, where it is judged (`telling.py`). The next two lives are killed as well, while they
recover or a little later.

strace counts by thread. With a file named it counts only the calls on that file, and each file of the store has one
thread that writes it. What is sent is counted without, and there the first thread that comes to its K-th call dies.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.crash import strace
from tests.crash.cradle import Cradle
from tests.crash.figures import Figures
from tests.crash.keeper import NOBODY, Observer
from tests.crash.stories import Story
from tests.crash.telling import Teller
from tests.crash.yard import PATIENCE, Place, Yard

CHANGING = (*strace.NAMES, *strace.CONTENT, *strace.SYNCS, "copy_file_range", "sendfile", "openat")
SENDING = "sendto"
IN_A_ROW = 4
"""Lives that are killed in one telling."""
AFTERWARDS = (
    ("pwrite64", "edge.db-wal", 40),
    ("fdatasync", "edge.db-wal", 12),
    ("sendto", None, 20),
    ("pwrite64", "edge.db-wal", 9),
    ("pwrite64", "edge.db", 8),
)
"""Calls at which lives are killed that find what a killed one has left, and how far into them."""
_OF_NO_USE = re.compile(r"-shm$|\.lock$| \(deleted\)$")


@dataclass(frozen=True, order=True)
class Point:
    """The `number`-th such call of this life. `path` is on the disk; None: to a socket."""

    life: int
    call: str
    path: str | None
    number: int

    def __str__(self) -> str:
        return (
            f"life {self.life}, {self.call} {self.number} {'to a socket' if self.path is None else f'of {self.path}'}"
        )

    def observer(self, here: Place, what: str, times: int = 1, apart: int = 1) -> Observer:
        """strace, doing `what` at this call, and at each `apart`-th after it, so many in all."""
        only = [] if self.path is None else ["-P", os.path.normpath(here.disk / self.path)]
        when = f"{self.number}" if times == 1 else f"{self.number}..{self.number + (times - 1) * apart}+{apart}"
        words = (
            str(strace.STRACE), "-f", *only, "-e", f"trace={self.call}", "-e", "signal=none", "-s", "0",
            "-e", f"inject={self.call}:{what}:when={when}",
        )  # fmt: skip
        return Observer((*words, "-o", "/dev/null")) if what.startswith("signal") else Observer(words, times)


async def census(teller: Teller, figures: Figures) -> list[Point]:
    """All calls of one telling, in order."""
    found: list[Point] = []

    def observe(life: int, here: Place) -> Observer:
        words = [
            str(strace.STRACE), "-f", "-y", "-xx", "-s", "1024", "-e", f"trace={','.join((*CHANGING, SENDING))}",
            "-e", "signal=none", "-o", str(here.folder / f"census-{life}"),
        ]  # fmt: skip
        return Observer(words)

    def look(site: Yard) -> None:
        for life in range(1, site.keeper.lives + 1):
            found.extend(_points(life, site.place))

    await teller.tell(figures, "counted", observe, look)
    return found


def _points(life: int, here: Place) -> Iterable[Point]:
    counts: Counter[tuple[int, str, str | None]] = Counter()
    most: Counter[tuple[str, str | None]] = Counter()
    for call in strace.calls(here.folder / f"census-{life}", may_be_cut=True):
        for path in _subjects(call, here):
            counts[call.thread, call.name, path] += 1
            number = counts[call.thread, call.name, path]
            if number > most[call.name, path]:
                most[call.name, path] = number
                if call.error is None and (call.name != "openat" or "O_CREAT" in call.arguments):
                    yield Point(life, call.name, path, number)


def _subjects(call: strace.Syscall, here: Place) -> list[str | None]:
    """Files on the disk that it is about; None: a socket."""
    if call.name == SENDING:
        return [None]
    named = [path for _, path in strace.handles(call.arguments)]
    if call.name in strace.NAMES or call.name == "openat":
        named = [text.decode() for text in strace.strings(call.arguments)]
    prefix = f"{here.disk}/"
    inside = [path.removeprefix(prefix) for path in named if path.startswith(prefix) and not _OF_NO_USE.search(path)]
    if call.name in strace.SYNCS and str(here.disk) in named:
        inside.append(".")
    return list(inside[:1])


async def kill_points(
    story: Story,
    cradle: Cradle,
    *,
    most: int | None = None,
    part: tuple[int, int] = (0, 1),
    variant: str | None = None,
    afresh: bool = False,
    until_wrong: bool = False,
    patience: float = PATIENCE,
) -> Figures:
    """`most`: evenly chosen among all points. `part`: (1, 3) is the second third of them."""
    figures = Figures()
    began = time.perf_counter()
    teller = Teller(story, cradle, variant, patience=patience)
    points = await census(teller, figures)
    chosen = spread(points, most)[part[0] :: part[1]]
    for number, point in enumerate(chosen):
        then = [afterwards(point.life + more, number * (IN_A_ROW - 1) + more - 1) for more in range(1, IN_A_ROW)]
        await _kill(teller, [point, *then], figures, afresh=afresh)
        if until_wrong and not figures.is_clean:
            break
    figures.notes["calls counted"] += len(points)
    figures.seconds = time.perf_counter() - began
    return figures


def afterwards(life: int, number: int) -> Point:
    """One of the earlier calls of a life that finds what another one has left."""
    call, path, most = AFTERWARDS[number % len(AFTERWARDS)]
    return Point(life, call, path, 1 + number // len(AFTERWARDS) % most)


async def _kill(teller: Teller, points: Sequence[Point], figures: Figures, *, afresh: bool) -> None:
    kills = 0
    by_life = {point.life: point for point in points}

    def observe(life: int, here: Place) -> Observer:
        deadly = by_life.get(life)
        return NOBODY if deadly is None else deadly.observer(here, "signal=SIGKILL")

    def look(site: Yard) -> None:
        nonlocal kills
        kills = site.keeper.kills

    await teller.tell(figures, f"killed at {', then '.join(map(str, points))}", observe, look, afresh=afresh)
    figures.points += kills
    for point in points[:kills]:
        figures.covered[f"killed at {point.call}"] += 1
    figures.notes["lives killed that found what a killed one had left"] += max(0, kills - 1)
    figures.notes["calls that were not reached this time"] += not kills


def spread(points: Sequence[Point], most: int | None) -> list[Point]:
    """So many of them, evenly."""
    if most is None or most >= len(points):
        return list(points)
    return [points[index * len(points) // most] for index in range(most)]

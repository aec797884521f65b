"""A disk that fails: each call that changes it is answered with an error, now and then, or many in a row.

`io_errors` tells a story with strace letting calls fail, and judges its end (`telling.py`): nobody was answered whose
message is not stored, the daemon has not given up, and afterwards the site goes on as if nothing had been.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.crash.cradle import Cradle
from tests.crash.figures import Figures
from tests.crash.keeper import NOBODY, Observer
from tests.crash.kill import Point, census, spread
from tests.crash.stories import Story
from tests.crash.telling import Teller
from tests.crash.yard import PATIENCE, Place, Yard


@dataclass(frozen=True)
class Manner:
    """So many calls fail, each the `apart`-th after the one before."""

    times: int
    apart: int

    def __str__(self) -> str:
        return "in a row" if self.apart == 1 else "now and then"


NOW_AND_THEN = Manner(3, 23)
"""Each of them is a point: the disk has worked again in between."""
IN_A_ROW = Manner(7, 1)
LASTING = Manner(80, 1)
"""So long that the store is opened anew, and then done without."""
MANNERS = (NOW_AND_THEN, NOW_AND_THEN, NOW_AND_THEN, IN_A_ROW, NOW_AND_THEN, NOW_AND_THEN, NOW_AND_THEN, LASTING)
OF_ANY = ("EIO", "ENOSPC")
OF_CALL = {
    "openat": (*OF_ANY, "EMFILE", "ENOMEM"),
    "pwrite64": (*OF_ANY, "EDQUOT"),
    "fdatasync": (*OF_ANY, "EDQUOT"),
    "fsync": (*OF_ANY, "EDQUOT"),
    "ftruncate": (*OF_ANY, "ENOMEM"),
    "rename": (*OF_ANY, "ENOMEM"),
    "link": (*OF_ANY, "EMLINK"),
    "unlink": (*OF_ANY, "ENOMEM"),
}
"""With what a call fails."""


TELLING = frozenset(
    {
        "commit_failed",
        "control_only",
        "end_not_stored",
        "housekeeping_failed",
        "link_closed_after_failed_commit",
        "reserve_not_held",
        "reserve_released",
        "store_reopened",
    }
)
"""What the log may say of it. A charger whose message is not stored gets no answer, and its link is closed."""


async def io_errors(
    story: Story,
    cradle: Cradle,
    *,
    manners: Sequence[Manner] = MANNERS,
    most: int | None = None,
    part: tuple[int, int] = (0, 1),
    variant: str | None = None,
    until_wrong: bool = False,
    patience: float = PATIENCE,
) -> Figures:
    """`most`: so many tellings, evenly begun at all points; each has one of the errors and of the manners in turn."""
    figures = Figures()
    began = time.perf_counter()
    teller = Teller(story, cradle, variant, command_may_fail=True, patience=patience)
    points = [point for point in await census(teller, figures) if point.path is not None]
    for index, point in list(enumerate(spread(points, most)))[part[0] :: part[1]]:
        errors = OF_CALL.get(point.call, OF_ANY)
        error = errors[(index + index // len(manners)) % len(errors)]
        await fail(teller, point, error, manners[index % len(manners)], figures)
        if until_wrong and not figures.is_clean:
            break
    figures.seconds = time.perf_counter() - began
    return figures


async def fail(teller: Teller, point: Point, error: str, manner: Manner, figures: Figures) -> None:
    """Tell the story once with these calls failing so."""
    where = f"{error} at {point}, {manner}"

    def observe(life: int, here: Place) -> Observer:
        if life != point.life:
            return NOBODY
        return point.observer(here, f"error={error}", manner.times, manner.apart)

    def look(site: Yard) -> None:
        keeper = site.keeper
        failed = keeper.failed_calls
        points = failed if manner is NOW_AND_THEN else min(1, failed)
        figures.points += points
        figures.covered[f"{error} at {point.call}, {manner}"] += points
        figures.notes["calls that failed"] += failed
        figures.notes["calls that were not reached this time"] += not failed
        figures.notes["lives that ended at their start"] += keeper.gave_up
        for event, exception in _told(site.place):
            if event in TELLING:
                figures.notes[f"runs with {event}"] += 1
            if "never retrieved" in event:
                figures.complain("an error that nobody was told of", f"{where}: {event} {exception}")

    await teller.tell(figures, where, observe, look, leaves_out_values=error == "ENOSPC")


def _told(here: Place) -> set[tuple[str, str | None]]:
    """What the log says: events, and the last words of their tracebacks."""
    if not here.log.exists():
        return set()
    found = set()
    for line in here.log.read_text(errors="replace").splitlines():
        if line.startswith('{"'):
            said = json.loads(line)
            raised = re.findall(r"[\w.]+(?:Error|Failed): .{0,80}", said.get("exception", ""))
            subject = f"{said['event']} {said['service']}" if "service" in said else said["event"]
            found.add((subject, raised[-1] if raised else said.get("exception")))
    return found

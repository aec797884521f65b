"""The whole proof as *jobs*: each takes one story, does one thing to it many times, and says what it found.

`plan` cuts the figures wanted into jobs of some seconds. pytest runs the plan of `CI`, a test for each job; `tools/crash`
runs any plan, several jobs side by side (`program.py`), and `document` is what it tells a machine.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from tests.crash.cradle import with_cradle
from tests.crash.faults import io_errors
from tests.crash.figures import Figures, total
from tests.crash.kill import kill_points
from tests.crash.recorder import record
from tests.crash.replay import kept, replay
from tests.crash.stories import STORIES


class What(StrEnum):
    POWER_CUTS = "power cuts"
    KILLS = "kills"
    FAILING_DISK = "failing disk"


@dataclass(frozen=True)
class Amounts:
    images: int
    kills: int
    failures: int

    def __mul__(self, times: int) -> "Amounts":
        return Amounts(self.images * times, self.kills * times, self.failures * times)


GOALS = Amounts(50_000, 1_000, 250)
CI = Amounts(51_000, 1_050, 280)
"""A little more than the goals: some points are not reached when the story is told again."""
FULL = CI * 10

FAILED_SYNCS = (12, 20, 28)
"""Of the first life: a run is recorded in which this sync of the writer fails."""
UNCHANGED = "charging"
"""This story is also told to the daemon with its own times and limits, in processes that are started afresh."""
KILLS_A_TELLING = 3.5
"""Of the lives that are to be killed, so many come to their points (measured)."""
FAILURES_A_TELLING = 2.0
IMAGES_A_JOB, TELLINGS_A_JOB = 4_000, 24


@dataclass(frozen=True)
class Job:
    """`amount`: images, or tellings. `part`: (1, 3) is the second third of them. `failing`: a call that strace lets
    fail while the run is recorded.
    """

    what: What
    story: str
    amount: int
    part: tuple[int, int] = (0, 1)
    unchanged: bool = False
    failing: str | None = None
    seed: int = 1

    def __str__(self) -> str:
        more = [
            *(["unchanged daemon"] if self.unchanged else []),
            *([self.failing] if self.failing is not None else []),
            *([f"{self.part[0] + 1} of {self.part[1]}"] if self.part[1] > 1 else []),
        ]
        return ", ".join([self.what, self.story, *more])

    def run(self) -> Figures:
        story = STORIES[self.story]
        if self.what is What.POWER_CUTS:
            variant = "edge" if self.unchanged else None
            run = with_cradle(lambda cradle: record(story, cradle, variant=variant, failing=self.failing))
            figures = replay(run, self.amount, seed=self.seed)
            if not figures.is_clean:
                figures.examples.insert(
                    0, f"its recording, for tools/crash --again: {kept(run, self.amount, self.seed)}"
                )
            return figures
        prove = kill_points if self.what is What.KILLS else io_errors
        more = {"afresh": True, "variant": "edge"} if self.unchanged else {}
        return with_cradle(lambda cradle: prove(story, cradle, most=self.amount, part=self.part, **more))


def plan(wanted: Amounts, stories: Iterable[str] = tuple(STORIES), what: Iterable[What] = tuple(What)) -> list[Job]:
    """Jobs that together come to what is wanted, in equal shares."""
    chosen, kinds, jobs = list(stories), set(what), []
    if What.POWER_CUTS in kinds and wanted.images:
        jobs += _power_cuts(wanted.images, chosen)
    if What.KILLS in kinds and wanted.kills:
        jobs += _tellings(What.KILLS, round(wanted.kills / KILLS_A_TELLING), chosen)
        if UNCHANGED in chosen:
            jobs.append(Job(What.KILLS, UNCHANGED, max(2, wanted.kills // 250), unchanged=True))
    if What.FAILING_DISK in kinds and wanted.failures:
        jobs += _tellings(What.FAILING_DISK, round(wanted.failures / FAILURES_A_TELLING), chosen)
    return jobs


def _power_cuts(images: int, stories: list[str]) -> list[Job]:
    # Where a store is put aside, each opening makes another one: no image is what the run has had before.
    whole = [story for story in stories if STORIES[story].spoil is None]
    recorded: list[tuple[str, bool, str | None]] = [(story, False, None) for story in whole]
    if UNCHANGED in stories:
        recorded.append((UNCHANGED, True, None))
        recorded += [(UNCHANGED, False, f"fdatasync:error=EIO:when={number}") for number in FAILED_SYNCS]
    if not recorded:
        return []
    each = -(-images // len(recorded))
    rounds = -(-each // IMAGES_A_JOB)  # each records anew, and chance chooses anew
    return [
        Job(What.POWER_CUTS, story, -(-each // rounds), (number, rounds), unchanged, failing, seed=number + 1)
        for story, unchanged, failing in recorded
        for number in range(rounds)
    ]


def _tellings(what: What, tellings: int, stories: list[str]) -> list[Job]:
    each = max(1, -(-tellings // len(stories)))
    parts = -(-each // TELLINGS_A_JOB)
    return [Job(what, story, each, (part, parts)) for story in stories for part in range(parts)]


def quiet() -> None:
    """Opening a store tells something of each of a thousand images."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


def document(found: Mapping[Job, Figures]) -> dict[str, Any]:
    """What a machine is told."""
    by_kind: dict[What, list[Figures]] = defaultdict(list)
    by_story: dict[str, dict[What, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for job, figures in found.items():
        by_kind[job.what].append(figures)
        by_story[job.story][job.what].append(figures)
    everything = total(found.values())
    return {
        "images": total(by_kind[What.POWER_CUTS]).cases,
        "moments": total(by_kind[What.POWER_CUTS]).points,
        "kill_points": total(by_kind[What.KILLS]).points,
        "error_points": total(by_kind[What.FAILING_DISK]).points,
        "acknowledged": everything.acknowledged,
        "looked_for": everything.promises,
        "lost": everything.lost,
        "corrupt": everything.corrupt,
        "half_transactions": everything.by_half,
        "wrong": dict(everything.wrong),
        "examples": everything.examples,
        "is_clean": everything.is_clean,
        "kinds": {str(kind): total(each).as_json() for kind, each in by_kind.items()},
        "scenarios": {
            story: {str(kind): total(each).as_json() for kind, each in kinds.items()}
            for story, kinds in by_story.items()
        },
    }

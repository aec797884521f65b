"""Daemons that are broken on purpose (`variants.py`), and what finds each of them out."""

from dataclasses import dataclass

from tests.crash.cradle import with_cradle
from tests.crash.faults import io_errors
from tests.crash.figures import BY_HALF, CORRUPT, Figures
from tests.crash.kill import kill_points
from tests.crash.proof import What
from tests.crash.recorder import record
from tests.crash.replay import replay
from tests.crash.stories import STORIES

LOST = "lost"
UNFINISHED = "it did not come to its end"
IMPATIENT = 4.0
"""Seconds: what never comes true is not waited for long."""


@dataclass(frozen=True)
class Bite:
    """`finds`: of what the proof must then complain, and of nothing else."""

    variant: str
    story: str
    what: What
    amount: int
    finds: frozenset[str]

    def __str__(self) -> str:
        return f"{self.variant}, {self.what}"

    def run(self) -> Figures:
        """As far as to the first complaint."""
        story = STORIES[self.story]
        if self.what is What.POWER_CUTS:
            run = with_cradle(lambda cradle: record(story, cradle, variant=self.variant))
            return replay(run, self.amount, until_wrong=True)
        prove = kill_points if self.what is What.KILLS else io_errors
        more = {"variant": self.variant, "until_wrong": True, "patience": IMPATIENT}
        return with_cradle(lambda cradle: prove(story, cradle, most=self.amount, **more))

    def found(self, figures: Figures) -> set[str]:
        return ({LOST} if figures.lost else set()) | set(figures.wrong)

    def bites(self, figures: Figures) -> bool:
        return bool(found := self.found(figures)) and found <= self.finds


BITES = (
    Bite("commits are not synced", "outage and drain", What.POWER_CUTS, 1000, CORRUPT | {LOST}),
    Bite("answers come before the commit", "outage and drain", What.POWER_CUTS, 1000, frozenset({LOST})),
    Bite("answers come before the commit", "outage and drain", What.KILLS, 80, frozenset({LOST, UNFINISHED})),
    Bite(
        "a commit that failed counts as one",
        "outage and drain",
        What.FAILING_DISK,
        80,
        BY_HALF | {LOST, UNFINISHED},
    ),
    Bite("statements are committed one by one", "outage and drain", What.POWER_CUTS, 1000, BY_HALF),
    Bite("messages count as delivered before they leave", "outage and drain", What.KILLS, 80, frozenset({UNFINISHED})),
    Bite("new names are not synced", "backup and restore", What.POWER_CUTS, 1000, CORRUPT | {LOST, "is as before"}),
    Bite("a new store is made under its own name", "first start", What.POWER_CUTS, 1000, CORRUPT),
)

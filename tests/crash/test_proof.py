"""Whatever a power cut leaves, wherever the daemon is killed, whatever its disk refuses: nothing acknowledged is lost.

Each test is one job of the plan (`proof.py`); `tools/crash --full` runs ten times as much.
"""

import pytest

from tests.crash.cuts import Mode
from tests.crash.faults import IN_A_ROW, LASTING, NOW_AND_THEN
from tests.crash.figures import Figures
from tests.crash.proof import CI, FULL, GOALS, Job, What, document, plan
from tests.crash.stories import STORIES

PLAN = plan(CI)
LEAST = {What.POWER_CUTS: 0.95, What.KILLS: 1.9, What.FAILING_DISK: 0.75}
"""Cases that come of each that is asked for, at least."""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("job", PLAN, ids=str)
def test_nothing_is_lost(job: Job, has_strace: None):
    figures = job.run()
    assert figures.is_clean, str(figures)
    asked_for = job.amount if job.what is What.POWER_CUTS else job.amount // job.part[1]
    assert figures.cases >= LEAST[job.what] * asked_for, str(figures)
    assert figures.acknowledged > 0


def test_the_plan_comes_to_what_was_set():
    images = sum(job.amount for job in PLAN if job.what is What.POWER_CUTS)
    assert images >= CI.images >= GOALS.images
    assert {job.story for job in PLAN if job.what is What.KILLS} == set(STORIES)
    assert len(STORIES) >= 6
    assert FULL.images >= 10 * GOALS.images


@pytest.mark.parametrize("what", What)
def test_the_parts_of_a_kind_are_told_apart_and_are_all_of_it(what):
    jobs = plan(FULL, what=[what])
    assert len(set(jobs)) == len(jobs) == len({str(job) for job in jobs})
    for story in STORIES:
        parts = [job.part for job in jobs if job.story == story and not job.unchanged and job.failing is None]
        assert parts == [(number, len(parts)) for number in range(len(parts))]


def test_what_a_machine_is_told_adds_up():
    one, other = Figures(points=2, acknowledged=3), Figures(points=4, acknowledged=5)
    one.covered["killed at rename"] += 2
    other.covered[Mode.TORN] += 7
    other.complain("is damaged", "step 1")
    told = document({Job(What.KILLS, "charging", 1): one, Job(What.POWER_CUTS, "charging", 7): other})
    assert (told["kill_points"], told["images"], told["moments"], told["error_points"]) == (2, 7, 4, 0)
    assert (told["acknowledged"], told["lost"], told["corrupt"], told["is_clean"]) == (8, 0, 1, False)
    assert told["scenarios"]["charging"]["kills"]["points"] == 2


def test_a_failure_that_comes_now_and_then_lets_the_disk_work_in_between():
    assert NOW_AND_THEN.apart > 1
    assert IN_A_ROW.apart == LASTING.apart == 1

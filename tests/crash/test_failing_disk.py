"""What a disk that fails brings about: no answer to whose message is not stored, and a site that goes on afterwards."""

import pytest

from tests.crash.cradle import Cradle
from tests.crash.faults import IN_A_ROW, LASTING, NOW_AND_THEN, Manner, fail
from tests.crash.figures import Figures
from tests.crash.kill import Point
from tests.crash.stories import STORIES
from tests.crash.telling import Teller

pytestmark = pytest.mark.usefixtures("has_strace")


async def told(name: str, point: Point, error: str, manner: Manner) -> Figures:
    figures = Figures()
    async with Cradle.open() as cradle:
        await fail(Teller(STORIES[name], cradle), point, error, manner, figures)
    assert figures.is_clean, str(figures)
    return figures


async def test_a_disk_that_fails_for_long_is_done_without_until_it_works_again():
    figures = await told("outage and drain", Point(1, "pwrite64", "edge.db-wal", 60), "EIO", LASTING)
    assert figures.notes["runs with store_reopened"] == 1
    assert figures.notes["calls that failed"] > IN_A_ROW.times


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
async def test_a_first_commit_that_fails_does_not_end_the_daemon(error):
    figures = await told("restart with a backlog", Point(1, "pwrite64", "edge.db-wal", 1), error, IN_A_ROW)
    assert figures.notes["runs with commit_failed"] == 1
    assert figures.notes["lives that ended at their start"] == 0


async def test_a_sync_that_fails_is_not_taken_for_one_that_worked():
    """What it was to sync is then forgotten in `test_power_cuts.py`."""
    figures = await told("charging", Point(1, "fdatasync", "edge.db-wal", 8), "EIO", IN_A_ROW)
    assert figures.notes["runs with commit_failed"] == 1
    assert figures.points >= 1


async def test_a_store_is_looked_after_also_when_its_reserve_cannot_be_made():
    """The first sync of the folder in this life is that of the reserve."""
    figures = await told("a store that is filling", Point(1, "fsync", ".", 1), "EDQUOT", NOW_AND_THEN)
    assert figures.notes["runs with reserve_not_held"] == 1


async def test_a_first_look_that_fails_is_soon_made_again():
    """After those of the opening, the first writes of this life are those of the first look at how full the store is."""
    figures = await told("a store that is filling", Point(1, "pwrite64", "edge.db-wal", 7), "EIO", IN_A_ROW)
    assert figures.notes["runs with housekeeping_failed"] == 1

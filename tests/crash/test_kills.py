"""The points at which the daemon is killed are all calls that change its disk or leave by a socket."""

import pytest

from tests.crash.cradle import Cradle
from tests.crash.figures import Figures
from tests.crash.kill import census
from tests.crash.stories import STORIES
from tests.crash.telling import Teller

pytestmark = pytest.mark.usefixtures("has_strace")


async def test_the_points_are_all_calls_that_change_the_disk_or_leave_by_a_socket():
    figures = Figures()
    async with Cradle.open() as cradle:
        points = await census(Teller(STORIES["first start"], cradle), figures)
    assert figures.is_clean
    assert len(set(points)) == len(points) > 200
    found = {(point.call, point.path) for point in points}
    assert found >= {
        ("pwrite64", "edge.db.new"),
        ("rename", "edge.db.new"),
        ("fsync", "."),
        ("openat", "edge.db-wal"),
        ("pwrite64", "edge.db-wal"),
        ("fdatasync", "edge.db-wal"),
        ("pwrite64", "edge.db"),
        ("fdatasync", "edge.db"),
        ("unlink", "edge.db-wal"),
        ("sendto", None),
    }

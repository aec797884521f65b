"""Recordings see what they have to: the modes of a power cut, a kernel that forgets, folders that the daemon makes."""

import pytest

from tests.crash.cradle import with_cradle
from tests.crash.cuts import Mode
from tests.crash.recorder import record
from tests.crash.recording import Rename, Resize, Sync, Unlink
from tests.crash.replay import Run, replay
from tests.crash.stories import STORIES

pytestmark = pytest.mark.usefixtures("has_strace")


def recorded(name: str, **more: str) -> Run:
    return with_cradle(lambda cradle: record(STORIES[name], cradle, **more))


def test_a_recording_has_the_creation_and_each_sync_and_is_cut_in_every_way():
    run = recorded("first start")
    steps = run.recording.steps
    assert Rename("edge.db.new", "edge.db") in steps
    assert {Unlink, Resize, Sync} <= {type(step) for step in steps}
    assert {step.path for step in steps if isinstance(step, Sync)} >= {".", "edge.db.new", "edge.db-wal", "edge.db"}
    figures = replay(run, images=900)
    assert figures.is_clean, str(figures)
    # The other modes need more luck, or something to forget; `test_disk.py` has them all.
    ways = (Mode.ALL, Mode.NOTHING, Mode.ONLY_NAMES, Mode.PREFIX, Mode.TORN, Mode.NOISE)
    assert set(figures.covered) >= {str(mode) for mode in ways}


def test_nothing_is_lost_when_the_kernel_forgets_what_it_could_not_sync():
    figures = replay(recorded("charging", failing="fdatasync:error=EIO:when=9+6"), images=1300)
    assert figures.is_clean, str(figures)
    assert figures.covered[str(Mode.FORGOTTEN)] > 10


def test_a_store_in_a_folder_that_the_daemon_made_is_there_as_well():
    figures = replay(recorded("first start", store_name="edge/edge.db"), images=800, until_wrong=True)
    assert figures.is_clean, str(figures)

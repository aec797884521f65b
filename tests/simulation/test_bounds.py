"""What the daemon takes from its machine stays bounded: memory, whatever happens for how long, and what it writes."""

import pytest

from edge.uplink import outcomes
from tests.simulation import simulate as one_run
from tests.simulation.faults import EVERYTHING
from tests.simulation.simulate import simulate
from tests.simulation.weight import weight

ENDING_A_LIFE = {"controller_crash", "controller_restart", "controller_wakes_without_time", "commit_fails", "disk_full"}
HOURS = 12
BYTES_AT_MOST = 600_000
"""With three chargers; what is there once for each process is not counted."""
COMMITS_AT_MOST, PAGES_AT_MOST = 2.6, 7.5
"""For each transaction message of a calm site, with all that belongs to it: statuses, questions, acknowledgements."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def weights(monkeypatch):
    """Of the daemon, each hour."""
    seen = []

    def look(site):
        tag = f"edge#{site.controller.lives}"
        tasks = [task for task in site.loop.living_tasks() if task.incarnation == tag]
        seen.append(weight([site.controller.daemon, *tasks]))

    monkeypatch.setattr(one_run, "_look", look)
    return seen


def live_one_life():
    """Under all faults that leave the daemon its life."""
    simulate(7, HOURS, 3, only=set(EVERYTHING) - ENDING_A_LIFE, intensity=1.2)


def is_bounded(weights):
    first, last = weights[: HOURS // 3], weights[-HOURS // 3 :]
    return max(last) < 1.2 * max(first) and max(weights) < BYTES_AT_MOST


def test_memory_does_not_grow_with_time(weights):
    live_one_life()
    assert len(weights) >= HOURS
    assert is_bounded(weights), weights


def test_memory_that_grows_with_each_answer_is_noticed(weights, monkeypatch):
    kept = []
    answered = outcomes.Outcomes.answered

    def keep(self, *message):
        kept.append(message)
        self.everything = kept
        return answered(self, *message)

    monkeypatch.setattr(outcomes.Outcomes, "answered", keep)
    live_one_life()
    assert not is_bounded(weights), weights


def test_a_calm_site_writes_little():
    outcome = simulate(7, 3, 8, only=())
    assert outcome.breaches == []
    messages = outcome.figures["messages_acknowledged"]
    assert messages > 300
    assert outcome.figures["commits"] < COMMITS_AT_MOST * messages
    assert outcome.figures["pages_written"] < PAGES_AT_MOST * messages

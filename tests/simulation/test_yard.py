"""Whole sites under all faults, a thousand hours of them: each rule of `invariants.py` is kept, by every kind of cloud.

The runs are many short ones, so that they spread over the workers of a test run; whichever comes last adds them up.
When one goes red, its message has the command that repeats it with the end of its log and trace. `tools/simulate` lives
as many and as long ones as you like. Where the variable SIMULATED_SITES names a file, the sum is written there as JSON.
"""

import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.cloud import KINDS
from tests.simulation.faults import BLOWS, DAYS, EVERYTHING, SLIPS
from tests.simulation.invariants import INVARIANTS
from tests.simulation.many import GRAVEST, Total
from tests.simulation.plan import LONG, SHORT, runs
from tests.simulation.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
HASH_OF = """
from tests.simulation.simulate import simulate
print(simulate(5, 1.0, 3, intensity=2.0).trace)
"""

RARE = {DAYS, "uplink_cut_for_hours"}
"""Faults that take so long that they cannot happen often."""


def kept_its_rules(outcome):
    assert outcome.breaches == [], f"{outcome.report}\nagain: {outcome.command}"
    return outcome


def add_up(outcomes):
    """If these are all of them."""
    if {one.seed for one in outcomes} < {run.seed for run in runs()}:
        return
    total = Total()
    for one in outcomes:
        total.add(one)
    if "SIMULATED_SITES" in os.environ:
        Path(os.environ["SIMULATED_SITES"]).write_text(json.dumps(total.document(), indent=2))
    assert total.hours >= 1000
    assert total.faults.total() >= 100_000
    assert set(total.faults) == set(EVERYTHING)
    assert {name: count for name, count in total.faults.items() if count < 250 and name not in RARE} == {}
    assert len(total.clouds) == len(KINDS)
    delivered, parked = total.figures["messages_delivered"], total.figures["messages_parked"]
    late = total.figures["stops_after_ours"]
    assert delivered + parked + late == total.figures["messages_acknowledged"]
    assert min(parked, late, total.figures["sessions_ended_by_us"]) > 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("run", SHORT, ids=lambda run: str(run.seed))
def test_every_rule_is_kept(run, harvest):
    outcome = kept_its_rules(run.live())
    add_up(harvest(outcome))
    assert outcome.figures["messages_acknowledged"] > 200
    assert outcome.figures["looks_at_the_disk"] >= 2


@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", LONG, ids=lambda run: str(run.seed))
def test_every_rule_is_kept_in_three_days_without_the_cloud(run, harvest):
    outcome = kept_its_rules(run.live())
    add_up(harvest(outcome))
    assert outcome.faults[DAYS] == 1
    assert outcome.figures["messages_shared_by_values"] > 50


def test_a_calm_site_repeats_nothing():
    outcome = kept_its_rules(simulate(7, 3, 4, only=()))
    assert outcome.faults == Counter()
    assert outcome.figures["messages_repeated_upstream"] == 0
    assert outcome.figures["messages_delivered"] == outcome.figures["messages_acknowledged"] > 50


def test_the_same_seed_gives_the_same_trace_also_under_another_hash_seed_and_another_seed_another():
    def hash_in_a_process(hash_seed):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tools'}"}
        done = subprocess.run([sys.executable, "-c", HASH_OF], env=env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    here = simulate(5, 1.0, 3, intensity=2.0)
    assert here.faults.total() > 50
    assert hash_in_a_process("1") == hash_in_a_process("20") == here.trace
    assert simulate(6, 1.0, 3, intensity=2.0).trace != here.trace


def test_a_broken_run_says_how_to_repeat_it():
    outcome = simulate(11, 1, 2, cloud="plain", only={"answer_lost"})
    assert outcome.command == "tools/simulate --seed 11 --hours 1 --chargers 2 --cloud plain --faults answer_lost"
    total = Total()
    total.add(outcome)
    assert "rules broken                      none" in total.table()
    repeat = [sys.executable, "tools/simulation", *shlex.split(outcome.command)[1:], "--trace"]
    again = subprocess.run(repeat, cwd=ROOT, capture_output=True, text=True, check=True)
    assert again.stdout.split() == ["11", outcome.trace]


def test_faults_have_a_name_a_frequency_and_somebody_who_deals_them():
    assert len(SLIPS) + len(BLOWS) + 2 == len(EVERYTHING) == len(set(EVERYTHING))
    assert len(EVERYTHING) >= 25


def test_the_gravest_breaches_are_counted_by_kind():
    assert {rule for rules in GRAVEST.values() for rule in rules} <= {one.name for one in INVARIANTS}
    outcome = simulate(11, 0.1, 2, only=())
    outcome.breaches.append("I1 acknowledged_is_on_disk: StartTransaction …")
    total = Total()
    total.add(outcome)
    document = total.document()
    assert (document["lost"], document["out_of_order"], document["other_breaches"]) == (1, 0, 0)
    assert document["broken"] == [outcome.command]


def test_each_rule_has_a_number_and_a_sentence():
    assert len({one.name for one in INVARIANTS}) == len(INVARIANTS) > 20
    for one in INVARIANTS:
        assert one.number.startswith("I"), one.name
        assert len(one.rule) > 20, one.name

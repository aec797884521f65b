"""A million inputs that are almost right: each is refused, or accepted and right, and none does any harm."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.fuzzing import CORPUS, Tally, fuzz, read_kept, stuck_is_told
from tests.hostile.plan import AT_LEAST, PLAN, SLICES, TARGETS, Share

ROOT = Path(__file__).parents[2]
MOST_GROWTH_KB = 5 * 1024


@pytest.mark.parametrize(("share", "seed"), SLICES, ids=lambda one: one.target.name if isinstance(one, Share) else None)
def test_no_mutated_input_escapes(share, seed, record_property):
    result = fuzz(share.target, seed, share.inputs)
    figures = result.figures
    record_property(share.target.name, figures.as_json())
    assert not result.findings, "\n" + "\n".join(map(str, result.findings))
    assert figures.inputs == share.inputs
    assert figures.accepted + figures.refused == figures.inputs
    assert 0.01 < figures.accepted / figures.inputs < 0.99, "a fuzzer that is always refused, or never, finds nothing"
    assert figures.memory_growth_kb < MOST_GROWTH_KB


def test_all_together_they_are_a_million():
    assert sum(share.inputs * share.slices for share in PLAN) >= AT_LEAST


def test_the_program_tells_the_figures_and_replays_what_was_kept():
    def said(*words: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, str(ROOT / "tools" / "fuzzing"), *words]
        return subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)

    figures = json.loads(said("modbus-rtu", "frames", "--inputs", "400", "--json", "--workers", "2").stdout)
    assert (figures["inputs"], figures["escaped"], figures["findings"]) == (800, 0, [])
    assert {name: one["inputs"] for name, one in figures["targets"].items()} == {"modbus-rtu": 400, "frames": 400}
    kept = next(CORPUS.glob("frames-*.json"))
    assert "no harm done" in said("--replay", str(kept)).stdout


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*.json")), ids=lambda file: file.stem)
def test_what_once_did_harm_does_none_any_more(file):
    name, inputs = read_kept(file)
    tally = Tally()
    with stuck_is_told(tally):
        TARGETS[name].feed(iter(inputs), tally)
    assert tally.inputs == len(inputs)

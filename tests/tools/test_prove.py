"""`tools/prove` says what the proofs have found, and calls a figure missed when it is."""

import pytest
from proving import evidence, program

SIMULATED = {
    "site_hours": 1200.0,
    "faults_injected": 102_000,
    "faults": {"disk_full": 100_000, "answer_lost": 2_000},
    "messages_acknowledged": 10,
    **dict.fromkeys(
        (
            "lost",
            "out_of_order",
            "unrecognisable_duplicates",
            "watt_hours_not_conserved",
            "unhandled_exceptions",
            "other_breaches",
        ),
        0,
    ),
}
CRASHED = {
    "images": 50_000,
    "kill_points": 999,
    "error_points": 500,
    "looked_for": 7,
    "lost": 0,
    "corrupt": 0,
    "half_transactions": 0,
    "wrong": {},
    "bites": [{"is_found_out": True}, {"is_found_out": False}],
    "kinds": {"kills": {"covered": {"killed at rename": 3}}},
}


def missed(lines):
    return [line.what for line in lines if not line.is_met]


def test_what_was_simulated_is_told():
    lines = evidence.simulation(SIMULATED, 1)
    assert missed(lines) == ["Classes of faults"]
    assert lines[0].figure == 1200
    assert evidence.fault_classes(SIMULATED) == [("disk full", 100_000), ("answer lost", 2_000)]


@pytest.mark.parametrize("name", [name for name, figure in SIMULATED.items() if figure == 0])
def test_one_thing_that_must_not_be_is_a_goal_that_is_missed(name):
    assert len(missed(evidence.simulation({**SIMULATED, name: 1}, 1))) == 2


@pytest.mark.parametrize(("how", "times"), [([], "1"), (["--full"], "10")])
def test_the_runs_that_are_simulated_are_those_of_the_tests(how, times, monkeypatch, capsys):
    asked = []

    def said(*words):
        asked.append(words)
        return SIMULATED

    monkeypatch.setattr(program, "_said", said)
    assert program.main([*how, "--only", "simulation"]) == 1
    assert asked == [("simulate", "--times", times)]
    assert "NOT KEPT" in capsys.readouterr().out


def test_a_long_proof_can_be_gone_on_with(tmp_path, monkeypatch, capsys):
    asked = []

    def said(*words):
        asked.append(words[0])
        if words[0] == "crash" and len(asked) < 3:
            raise program.CannotProve("it was interrupted")
        return {"simulate": SIMULATED, "crash": CRASHED}[words[0]]

    code = ["v1"]
    monkeypatch.setattr(program, "_said", said)
    monkeypatch.setattr(program, "_code", lambda: code[0])
    words = ["--keep", str(tmp_path / "kept"), "--only", "simulation", "--only", "crashes"]
    assert program.main(words) == 2
    assert program.main(words) == 1
    assert asked == ["simulate", "crash", "crash"]
    first = capsys.readouterr().out
    assert program.main(words) == 1
    assert capsys.readouterr().out == first
    assert program.main([*words, "--full"]) == 1
    for code[0] in ("v2", "v2-dirty", "v2-dirty"):  # nobody knows what a state with changes is
        assert program.main(words) == 1
    assert asked[3:] == ["simulate", "crash"] * 4


def test_too_few_of_them_and_a_broken_daemon_that_nobody_noticed_are_missed_as_well():
    lines = evidence.crashes(CRASHED, 1)
    assert missed(lines) == ["Points at which the daemon was killed", "Daemons broken on purpose, found out"]
    assert len(missed(evidence.crashes(CRASHED, 10))) == 4
    assert evidence.crash_classes(CRASHED) == [("kills: killed at rename", 3)]


def test_hostile_input_is_counted_by_target():
    said = {
        "inputs": 1_000_000, "escaped": 0, "findings": [], "most_memory_growth_kb": 6000,
        "targets": {f"t_{number}": {"inputs": 5} for number in range(6)},
    }  # fmt: skip
    assert missed(evidence.hostile(said, 1)) == ["Most memory kept by a target, kB"]
    assert evidence.fuzz_targets(said)[0] == ("t 0", 5)

"""`tools/simulate` lives the runs that it is asked for, and repeats each by the command that it tells."""

import json
import shlex

import pytest
from simulation import keeping, program
from simulation.program import main

from tests.simulation.plan import LONG, SHORT, Run, runs
from tests.simulation.simulate import simulate


def test_a_run_without_faults_is_repeated_by_its_command(capsys):
    outcome = simulate(3, 0.05, 1, only=())
    tool, *arguments = shlex.split(outcome.command)
    assert tool == "tools/simulate"
    assert main([*arguments, "--trace"]) == 0
    assert capsys.readouterr().out.split() == ["3", outcome.trace]


def test_a_run_that_cannot_be_begun_says_why():
    with pytest.raises(ExceptionGroup) as failed:
        simulate(3, 0.05, 1, only=("typo",))
    assert "no such faults: ['typo']" in str(failed.value.exceptions[0])


def test_the_runs_of_the_tests_are_lived_so_many_times_as_many(monkeypatch, capsys):
    lived = []

    def outcomes(chosen, _workers):
        lived.append(chosen)
        yield from ()

    monkeypatch.setattr(program, "outcomes", outcomes)
    assert main(["--times", "1"]) == main(["--times", "10"]) == main(["--seeds", "4..5", "--hours", "2"]) == 0
    once, ten_times, others = lived
    assert set(once) == {*SHORT, *LONG}
    assert set(ten_times) > set(once)
    assert len({run.seed for run in ten_times}) == len(ten_times) == 10 * len(once)
    assert sum(run.hours for run in ten_times) == 10 * sum(run.hours for run in once) >= 10_000
    assert sorted((run.hours, run.chargers, run.intensity) for run in ten_times) == sorted(
        10 * [(run.hours, run.chargers, run.intensity) for run in once]
    )
    assert others == [Run(4, 2.0, 4), Run(5, 2.0, 4)]
    assert once == runs()


def test_what_was_lived_is_not_lived_again_by_the_same_code(monkeypatch, capsys, tmp_path):
    def figures(*more: str) -> dict:
        assert main(["--hours", "0.05", "--chargers", "1", "--workers", "1", "--keep", str(file), "--json", *more]) == 0
        return json.loads(capsys.readouterr().out)

    file, code = tmp_path / "sites.jsonl", ["one"]
    monkeypatch.setattr(keeping, "_code", lambda: code[0])
    figures("--seeds", "1..2")
    file.write_text(file.read_text() + '{"code": "o')  # it was ended in the midst of a line
    lived = []
    monkeypatch.setattr(Run, "live", lambda run: lived.append(run.seed) or simulate(run.seed, 0.05, 1))
    again = figures("--seeds", "1..3")
    assert lived == [3] and again["runs"] == 3
    assert figures("--seeds", "1..3") == again
    assert lived == [3]
    code[0] = "another"
    lived.clear()
    figures("--seeds", "1..3")
    assert sorted(lived) == [1, 2, 3]


def test_code_that_git_does_not_know_is_not_kept(monkeypatch, capsys, tmp_path):
    def changed() -> str:
        raise keeping.UnknownCode("the code has been changed since the last commit: edge/clock.py")

    monkeypatch.setattr(keeping, "_code", changed)
    assert main(["--seed", "1", "--keep", str(tmp_path / "sites.jsonl")]) == 2
    assert "has been changed" in capsys.readouterr().err

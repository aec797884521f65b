"""`tools/crash` says what was wrong with a part, and how to run that part again."""

import json
import shlex
from concurrent.futures import Future

import pytest

from tests.crash import program, strace
from tests.crash.figures import Figures
from tests.crash.program import main


@pytest.fixture
def everything_is_wrong(monkeypatch):
    """No part is run: of each there is a complaint that nobody expects."""

    def side_by_side(_do, parts, _processes, _begin):
        for part in parts:
            figures = Figures()
            figures.complain("is odd", f"{part}, and more\nthan fits " + 1000 * "x")
            done = Future()
            done.set_result(figures)
            yield part, done

    monkeypatch.setattr(program, "side_by_side", side_by_side)
    monkeypatch.setattr(strace, "why_not", lambda: None)


@pytest.mark.parametrize("how", [[], ["--json"]])
@pytest.mark.parametrize(
    "plan",
    [
        [],
        ["--full", "--failures", "0"],
        ["--images", "9000", "--kills", "600", "--failures", "700"],
        ["--story", "charging", "--story", "first start", "--images", "20000"],
    ],
)
def test_a_part_that_is_wrong_is_found_again_by_the_command_that_is_told(plan, how, everything_is_wrong, capsys):
    assert main([*plan, *how]) == 1
    said = capsys.readouterr()
    if how:
        assert len(json.loads(said.out)["examples"]) > 0
    commands = [line.removeprefix("again: ") for line in said.err.splitlines() if line.startswith("again: ")]
    assert main([*plan, "--list"]) == 0
    parts = capsys.readouterr().out.splitlines()
    assert len(commands) == len(parts) > 10
    for part, command in zip(parts, commands, strict=True):
        assert f"\n  is odd: {part}, and more than fits xxx" in said.err
        program, *arguments = shlex.split(command)
        assert program == "tools/crash"
        assert main([*arguments, "--list"]) == 0
        assert part in capsys.readouterr().out.splitlines()
    assert max(map(len, said.err.splitlines())) < 400

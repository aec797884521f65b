"""What makes no sense on a tool's command line is told in one clear sentence, with exit code 2, before anything runs."""

import pytest
from benchmarks.program import main as bench
from fuzzing.program import main as fuzz
from proving.program import main as prove
from simulation.program import main as simulate

from tests.crash.program import main as crash
from tests.hostile.plan import TARGETS

NOTHING = ["0", "-1", "nan", "inf", "soon"]
"""For an amount."""
NONE = ["0", "-3", "1.5", "many"]
"""For a number of things."""

WRONG = [
    *((simulate, ["--seeds", seeds], "FIRST..LAST") for seeds in ("abc", "5..3", "1..", "")),
    *((simulate, ["--hours", hours], "more than 0") for hours in NOTHING),
    *((simulate, ["--intensity", often], "more than 0") for often in NOTHING),
    *((simulate, [f"--{name}", count], "1 or more") for name in ("chargers", "workers", "times") for count in NONE),
    (simulate, ["--faults", "answer_lost,typo"], "no fault is named typo"),
    (simulate, ["--times", "2", "--hours", "3"], "not with --hours"),
    *((fuzz, ["--minutes", minutes], "more than 0") for minutes in NOTHING),
    *((fuzz, [f"--{name}", count], "1 or more") for name in ("inputs", "workers", "times") for count in NONE),
    (fuzz, ["--batch", "-1"], "0 or more"),
    (fuzz, ["typo"], "no target typo"),
    (crash, ["--only", "nonsense"], "nothing is left to be run"),
    (crash, ["--images", "0", "--kills", "0", "--failures", "0", "--no-bites"], "nothing is left to be run"),
    *((crash, [f"--{name}", "-1"], "0 or more") for name in ("images", "kills", "failures")),
    *((crash, ["--processes", count], "1 or more") for count in NONE),
    *((bench, ["--rounds", count], "1 or more") for count in NONE),
    (bench, ["--only", "codec", "--write", "docs/performance.md"], "not with --only"),
    (prove, ["--only", "hostile", "--write", "docs/performance.md"], "hostile: begin"),
    (prove, ["--only", "luck"], "hostile"),
]


def refused(main, arguments, capsys):
    """The sentence."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()[-1]


@pytest.mark.parametrize(("main", "arguments", "words"), WRONG, ids=lambda one: one if isinstance(one, str) else None)
def test_wrong_usage_is_told(main, arguments, words, capsys):
    sentence = refused(main, arguments, capsys)
    assert sentence.startswith("tools/")
    assert words in sentence


@pytest.mark.parametrize(("main", "part"), [(bench, "measured"), (prove, "simulation")])
def test_a_page_that_cannot_be_written_is_told_before_anything_runs(main, part, tmp_path, capsys):
    assert "No such file" in refused(main, ["--write", str(tmp_path / "missing.md")], capsys)
    page = tmp_path / "page.md"
    for text in ("nothing to write between\n", f"<!-- {part}: begin -->\n"):
        page.write_text(text)
        assert f"{part}: end" in refused(main, ["--write", str(page)], capsys)
        assert page.read_text() == text


def test_a_folder_that_is_none_is_told_before_anything_is_measured(tmp_path, capsys):
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        assert "is no folder" in refused(bench, ["--data", str(tmp_path / name)], capsys)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "no JSON",
        "[]",
        "{}",
        '{"target": "frames"}',
        '{"target": "frames", "inputs": []}',
        '{"target": "frames", "inputs": [1]}',
        '{"target": "frames", "inputs": ["\\u20ac"]}',
        '{"target": "typo", "inputs": ["x"]}',
    ],
)
def test_a_file_that_holds_no_inputs_is_not_replayed(text, tmp_path, capsys):
    file = tmp_path / "kept.json"
    if text is not None:
        file.write_text(text)
    assert str(file) in refused(fuzz, ["--replay", str(file)], capsys)


def test_the_targets_are_listed(capsys):
    assert fuzz(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(TARGETS)
    assert max(map(len, lines)) <= 80


def test_the_table_of_the_targets_fits_a_terminal(capsys):
    assert fuzz(["modbus-rtu", "--inputs", "50", "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) == 80

"""tools/bench: that it measures what it says, and prints it. Nothing here depends on how fast the machine is."""

import contextlib
import json
import sqlite3

import pytest
from benchmarks import backlog, codec, corpus, paper, program, rounds, wear
from benchmarks.findings import Findings, Goal, Shown, at_least, at_most
from benchmarks.parts import PARTS
from benchmarks.processes import BenchFailed, party
from benchmarks.program import main
from benchmarks.rounds import Spread
from benchmarks.running import Run
from benchmarks.site import Site

from edge.store import exchange
from tests.scenarios.site import short_folder

# --- rounds


def test_contenders_take_turns_and_the_first_round_does_not_count():
    order = []

    def measured(name):
        order.append(name)
        return float(len(order))

    series = rounds.interleaved({"a": lambda: measured("a"), "b": lambda: measured("b")}, 2)
    assert "".join(order) == "ababab"
    assert series == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_ratio_is_the_median_of_the_ratios_of_each_round():
    assert rounds.ratio([1, 10, 6], [2, 10, 2]) == Spread(1.0, 0.5, 3.0)


# --- findings and paper


@pytest.mark.parametrize(
    ("target", "measured", "verdict"),
    [
        (at_most(1 / 25, Shown.FRACTION), 1 / 26, "met"),
        (at_most(1 / 25, Shown.FRACTION), 1 / 24, "missed"),
        (at_least(6.0), 6.0, "met"),
        (at_least(6.0), 5.9, "missed"),
        (at_most(0, Shown.COUNT), 0, "met"),
    ],
)
def test_goal_is_judged_by_the_median(target, measured, verdict):
    assert Goal("P1", "of something", target, Spread(measured, 0.0, 100.0)).verdict == verdict


def test_goal_that_was_not_measured_is_neither_met_nor_missed():
    goal = Goal("P7", "of something", at_most(1.0), None, "not built")
    assert goal.verdict == "-"
    assert "not built" in "\n".join(paper.goals([goal]))


def a_finding():
    found = Findings()
    what = "a goal whose words are so many that they do not fit into the column that is there for them"
    found.goal("P10", what, at_most(1 / 25, Shown.FRACTION), Spread(1 / 29.33, 1 / 31.4, 1 / 27.1))
    found.goal("R17", "octets", at_most(6000, Shown.BYTES), Spread(123_456, 120_000, 999_999))
    found.goal("P2", "times", at_least(6.0), Spread(123.4, 1.2, 1234.5))
    found.figure("a figure with words that are longer than the paper is wide " * 2, [123_456.0, 0.001], "a second")
    found.remarks.append("A remark. " * 30)
    return found


def test_paper_is_eighty_columns_wide():
    found = a_finding()
    lines = [*paper.goals(found.goals), *paper.figures(found.figures), *paper.remark(found.remarks[0])]
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("P10 ") and "1/29.3 (1/31.4..1/27.1)" in line for line in lines)


def test_goals_stand_in_the_order_of_their_numbers():
    found = a_finding()
    assert [goal.number for goal in sorted(found.goals, key=paper.by_number)] == ["P2", "P10", "R17"]


def test_findings_are_written_between_the_marks_of_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n{}\nold\n{}\n\nAfter.\n".format(*paper.marks()))
    paper.write(page, paper.markdown({"part": a_finding()}, {"Processor": "one"}))
    text = page.read_text()
    assert text.startswith("Before.")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert "| P10 |" in text


def test_page_without_marks_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Nothing.\n")
    with pytest.raises(ValueError, match="measured: begin"):
        paper.write(page, "x")
    assert page.read_text() == "Nothing.\n"


# --- what is measured with


def test_each_message_of_the_load_is_another_one_and_valid():
    for kind in ("MeterValues 1", "MeterValues 5", "MeterValues 12", "StatusNotification", "StartTransaction"):
        texts = codec.texts(kind, 20)
        assert len(set(texts)) == 20
        assert codec.of_ours(texts) > 0  # which asserts that none violates its schema


def test_corpus_is_the_same_in_each_run_and_holds_both_kinds():
    first, again = (list(corpus.payloads("1.6", "MeterValues", 40)) for _ in range(2))
    assert json.dumps(first) == json.dumps(again)
    assert len({json.dumps(one) for one in first}) > 30


def test_trace_counts_what_goes_to_the_store_and_nothing_else():
    trace = [
        '12 pwrite64(9</var/lib/edge.db-wal>, ""..., 24, 32) = 24',
        '12 pwrite64(9</var/lib/edge.db-wal>, ""..., 4096, 56 <unfinished ...>',
        "12 <... pwrite64 resumed>)            = 4096",
        "12 fdatasync(9</var/lib/edge.db-wal> <unfinished ...>",
        "12 <... fdatasync resumed>)           = 0",
        '12 pwrite64(7</var/lib/other.db>, ""..., 4096, 0) = 4096',
        "12 fsync(3</var/lib>)                 = 0",
    ]
    assert wear.written(trace, "edge.db") == wear.Written(24 + 4096, 1)


# --- the other processes


@pytest.fixture
def load(tmp_path):
    with party("load", tmp_path) as child:
        yield child


@pytest.mark.parametrize("module", ["stock", "bare"])
def test_load_counts_the_answers_of_a_server(tmp_path, load, module):
    with party(module, tmp_path) as server:
        url = f"ws://127.0.0.1:{server.ask('port')['port']}"
        load.ask("open", group="g", url=url, count=3)
        told = load.ask("closed", group="g", seconds=30, most=30)
        assert told["messages"] == 30
        assert 0 < told["p50"] <= told["p99"] <= told["most"]
        assert load.ask("burst", group="g", times=2, pause=0.0)["messages"] == 6
        assert load.ask("paced", group="g", seconds=0.2, rate=50)["messages"] <= 10
        assert server.own_memory() > 1_000_000


def test_party_that_is_not_there_is_told_in_words(tmp_path, load):
    with pytest.raises(BenchFailed, match="load: "):
        load.ask("open", group="g", url="ws://127.0.0.1:1", count=1)


def test_a_daemon_under_load_stores_what_it_answers_and_delivers_what_was_added(tmp_path, load):
    with party("cloud", tmp_path) as cloud:
        site = Site(tmp_path / "s", 2)
        with site.running():
            load.ask("open", group="g", url=site.url, count=2)
            assert load.ask("closed", group="g", seconds=30, most=10)["messages"] == 10
            assert site.cpu > 0
        backlog.extend(site.store, 20)
        with contextlib.closing(sqlite3.connect(site.store)) as db:
            rows = [exchange.load(db, seq) for (seq,) in db.execute("SELECT seq FROM exchange WHERE relay = 1")]
            assert len(rows) == 2 + 10 + 20
            assert all(exchange.is_intact(db, row) for row in rows)
            assert db.execute("SELECT sum(rows) FROM tx").fetchone()[0] == len(rows)
        site.configure(2, f"ws://127.0.0.1:{cloud.ask('port')['port']}")
        cloud.ask("take", values=1)
        with site.running():
            assert cloud.ask("expect", calls=len(rows), within=60)["calls"] == len(rows)
        assert cloud.ask("told")["counts"]["MeterValues"] == 30


# --- the program


def test_quick_run_prints_the_shape_of_a_whole_one(tmp_path, capsys):
    chosen = ["--only", "codec", "--only", "commits", "--only", "verdicts"]
    assert main(["--quick", "--rounds", "1", "--json", "--data", str(tmp_path), *chosen]) == 0
    document = json.loads(capsys.readouterr().out)
    goals = {goal["number"]: goal for goal in document["goals"]}
    assert sorted(goals) == ["P1", "P12", "P5"]
    assert document["quick"] is True
    assert all(goals[number]["measured"]["median"] > 0 for number in ("P1", "P5"))
    assert goals["P12"]["measured"]["median"] == 0
    assert "Processor" in document["machine"]
    assert not list(tmp_path.iterdir()), "the folder of the run is gone"


def test_the_work_of_a_store_with_a_backlog_is_measured(capsys):
    with short_folder() as folder:
        assert main(["--quick", "--rounds", "1", "--json", "--data", str(folder), "--only", "rows"]) == 0
    goals = json.loads(capsys.readouterr().out)["goals"]
    assert [goal["number"] for goal in goals] == ["P9"] * 3
    assert all(goal["measured"]["median"] > 0 for goal in goals)


def test_part_that_cannot_be_measured_is_named_and_the_others_are_printed(tmp_path, capsys, monkeypatch):
    def broken(_run: Run) -> Findings:
        raise BenchFailed("the daemon did not start")

    monkeypatch.setitem(PARTS, "path", type(PARTS["path"])("", broken))
    arguments = ["--quick", "--rounds", "1", "--data", str(tmp_path), "--only", "path", "--only", "commits"]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "path could not be measured: the daemon did not start" in printed.err
    assert "P5" in printed.out


def test_page_is_as_it_was_when_a_part_could_not_be_measured(tmp_path, capsys, monkeypatch):
    def broken(_run: Run) -> Findings:
        raise BenchFailed("the daemon did not start")

    monkeypatch.setattr(program, "PARTS", {"path": type(PARTS["path"])("", broken)})
    page = tmp_path / "page.md"
    page.write_text("{}\nold\n{}\n".format(*paper.marks()))
    assert main(["--quick", "--data", str(tmp_path), "--write", str(page)]) == 1
    assert "is as it was" in capsys.readouterr().err
    assert "old" in page.read_text()


def test_parts_are_listed(capsys):
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(PARTS)

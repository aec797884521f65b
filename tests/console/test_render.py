"""Each document of interface.md as text on 80 columns, compared with a page that was looked at."""

from pathlib import Path

import pytest

from edge.console.document import instant, printable
from edge.console.render import printer
from edge.console.table import Column, Page, labelled, table
from edge.console.units import duration, moment, offset, power
from tests.console.canned import DOCUMENTS, document

GOLDEN = Path(__file__).parent / "golden"
PLAIN_80 = Page(80, colour=False)
PIPE = Page(None, colour=False)
COLOUR = Page(80, colour=True)
NAMES = sorted(path.stem for path in DOCUMENTS.glob("*.json"))


def rendered(name: str, page: Page) -> str:
    command = name.split("-", maxsplit=1)[0]
    args = {"charger": {"charger": "CP-01"}, "trace": {"subject": "CP-01"}}.get(command, {})
    if name == "trace-session":
        args = {"subject": "S42"}
    return printer("chargers" if command == "charger" else command, args)(document(name), page)


@pytest.mark.parametrize("name", NAMES)
def test_document_looks_as_agreed_on_80_columns(name):
    assert rendered(name, PLAIN_80) + "\n" == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("trace")])
def test_no_line_is_wider_than_the_terminal(name):
    assert max(map(len, rendered(name, PLAIN_80).splitlines())) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_or_wrapped_through_a_pipe(name):
    assert "…" not in rendered(name, PIPE)


@pytest.mark.parametrize("name", NAMES)
def test_colour_changes_nothing_but_colour(name):
    for code in (31, 32, 33, 0):
        assert f"\x1b[{code}m" not in rendered(name, PLAIN_80)
    assert "\x1b[32maccepted\x1b[0m" in rendered("status-online", COLOUR)


def test_entries_that_come_one_by_one_are_one_timeline():
    whole = document("trace-session")
    show = printer("trace", {"subject": "S42"})
    one_by_one = "\n".join(show(entry, PLAIN_80) for entry in whole["entries"])
    assert rendered("trace-session", PLAIN_80).startswith(f"{one_by_one}\n\nVerdict")


def test_sessions_say_whether_there_are_none_or_none_that_fit():
    nothing = document("sessions-empty")
    assert printer("sessions", {"open": False, "charger": None, "since": None})(nothing, PLAIN_80) == "No sessions yet."
    assert printer("sessions", {"open": True, "charger": None, "since": None})(nothing, PLAIN_80) == "No session fits."


def test_queue_entry_is_understood_without_an_envelope():
    enveloped = document("queue-show")
    flat = {"v": 1, "at": enveloped["at"], **enveloped["entry"]}
    assert printer("queue", {})(flat, PLAIN_80) == rendered("queue-show", PLAIN_80)


def test_more_than_one_charger_for_a_detail_is_shown_as_a_list():
    assert printer("chargers", {"charger": "CP"})(document("chargers-fleet"), PLAIN_80).startswith("CHARGER")


def test_escape_sequences_of_a_charger_do_not_reach_the_terminal():
    evil = document("charger-one")
    evil["chargers"][0]["vendor"] = "\x1b]0;pwned\x07\nACME \u202e"
    assert "\\x1b]0;pwned\\x07\\nACME \\u202e" in printer("chargers", {"charger": "CP-01"})(evil, PIPE)
    assert printable({"a\x1b": ["\r", 1, None, True, "ä€"]}) == {"a\\x1b": ["\\r", 1, None, True, "ä€"]}


@pytest.mark.parametrize("command", ["status", "chargers", "sessions", "session", "queue", "uplink", "outages", "meter",
    "start", "adopt", "forget", "replace", "reset", "unlock", "availability", "trigger", "get", "set",
    "diagnose", "meter_probe"])  # fmt: skip
def test_a_document_without_its_members_does_not_break_the_client(command):
    assert printer(command, {})({"v": 1}, PLAIN_80)


def test_a_member_of_another_type_is_not_known():
    wrong = {"at": 5, "meters": "none", "uplink": [], "connectors": [None, 3], "backlog": {"messages": "many"}}
    assert "backlog   empty" in printer("status", {})(wrong, PLAIN_80)
    assert instant({"at": "yesterday"}, "at") is None
    assert instant({"at": "2026-11-21T07:15:02"}, "at") is None


def test_the_widest_column_that_may_be_is_shortened():
    columns = [Column("A"), Column("B", gives=True), Column("C", gives=True)]
    assert table(columns, [["a" * 10, "b" * 20, "c" * 8]], Page(30, colour=False)) == [
        "A           B         C",
        "aaaaaaaaaa  bbbbbbb…  cccccccc",
    ]
    narrow = table(columns, [["a" * 10, "b" * 20, "c" * 8]], Page(5, colour=False))
    assert narrow[1] == "aaaaaaaaaa  bbbbb…  ccccc…"


def test_a_column_without_entries_is_left_out():
    assert table([Column("A"), Column("B")], [["1", ""], ["2", ""]], PIPE) == ["A", "1", "2"]


def test_a_long_value_is_wrapped_under_itself():
    lines = labelled([("last error", "the cloud does not answer " * 3)], Page(60, colour=False))
    assert lines[0].startswith("last error  the cloud") and lines[1].startswith("            ")


def test_colour_does_not_count_when_a_line_is_wrapped():
    words = f"{COLOUR.state('offline')} " + "x" * 72
    assert labelled([("", words)], COLOUR) == [
        "  " + words[: words.index("x")].rstrip(),
        "  " + "x" * 72,
    ]
    assert labelled([("", words[:-2])], COLOUR) == ["  " + words[:-2]]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0, "0s"), (0.44, "0.4s"), (9.97, "10s"), (42, "42s"), (59.6, "1m"), (130, "2m 10s"),
        (3600, "1h"), (11100, "3h 5m"), (1051200, "12d 4h"), (-3, "0s"),
    ],
)  # fmt: skip
def test_durations_have_their_two_largest_units(seconds, text):
    assert duration(seconds) == text


def test_moments_are_local_and_as_short_as_they_can_be():
    now = instant({"at": "2026-07-01T12:00:00Z"}, "at")
    assert moment(instant({"at": "2026-07-01T06:02:11Z"}, "at"), now) == "08:02:11"
    assert moment(instant({"at": "2026-01-01T06:02:11Z"}, "at"), now) == "1 Jan 07:02"
    assert moment(instant({"at": "2025-12-31T06:02:11Z"}, "at"), now) == "31 Dec 2025"
    assert moment(now, None) == "1 Jul 2026"


def test_offsets_before_the_start_are_negative():
    now = instant({"at": "2026-07-01T12:00:00Z"}, "at")
    assert offset(now, instant({"at": "2026-07-01T11:59:58.5Z"}, "at")) == "-00:01.500"


def test_power_has_a_sign_and_a_handy_unit():
    assert [power(each) for each in (None, 0.0, -850.0, -12400.0)] == ["-", "0 W", "-850 W", "-12.4 kW"]

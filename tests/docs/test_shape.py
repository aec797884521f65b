"""The tests of the pages can fail: what differs is seen, what differs from day to day is not."""

import pytest

from tests.docs.pages import Block, Then, take_apart
from tests.docs.programs import words_of
from tests.docs.shape import differs

TABLE = (
    "ID  CONNECTOR  STARTED   LASTED    ENERGY  END   DELIVERY  TOKEN",
    "S2  CP-01/1/1  16:26:45     45m  8.05 kWh  open  waiting   04A2B3C4",
)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (
            TABLE,
            "ID  CONNECTOR  STARTED LASTED ENERGY END DELIVERY TOKEN\nS41  CP-01/1/1  1 Feb 16:26 1h 2m 18.5 kWh open waiting 04A2B3C4\n",
        ),
        (("power 4.1 kW 150 W",), "power 3 W -2.0 kW"),
        (("at 21 Nov 2026 16:15:20 CET (0.2s ago)",), "at 1 Jul 2027 08:00:00 CEST (3d 4h ago)"),
        (("…", "alarms none", "…"), "uplink accepted\nalarms none\n\nNo meters"),
        (("last error the CSMS …", "order fair"), "last error the CSMS closed (code 1006)\norder fair"),
        (("made by edge.db.before-…",), "made by edge.db.before-restore-20261121T162516Z"),
        (("long words of a line", "go on here"), "long words\nof a line go on here"),
    ],
)
def test_times_numbers_and_line_breaks_make_no_difference(shown, printed):
    assert differs(shown, printed) is None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (TABLE, "\n".join(TABLE).replace("open", "Local")),
        (TABLE, "\n".join(TABLE).replace("CP-01", "CP-02")),
        (TABLE, "\n".join(TABLE).replace("DELIVERY", "DELIVERED")),
        (TABLE, TABLE[0]),
        (TABLE, "\n".join((*TABLE, TABLE[1]))),
        (("…", "alarms none"), "alarms none\nNo meters"),
        (("energy 8.05 kWh",), "energy 8.05 Wh"),
        (("edge.toml is valid.",), "edge.toml is valid (1 warning)."),
    ],
)
def test_other_words_make_a_difference(shown, printed):
    assert differs(shown, printed) is not None


def test_a_page_is_taken_apart_into_what_a_reader_does():
    text = """\
# Page
## Part
<!-- scene: a depot -->
<!-- then: a car comes -->
<!-- exit: 3 -->
<!-- let: 7 = the message -->
```console
$ edge status
gone
$ sudo edge queue \\
      show 7
```
"""
    before, scene = take_apart("page.md", text)
    then, block = scene.steps
    assert (before.steps, scene.name, scene.heading) == ([], "a depot", "Part")
    assert isinstance(then, Then) and then.what == "a car comes"
    assert isinstance(block, Block) and (block.note("exit"), block.lets) == ("3", [("7", "the message")])
    assert [(one.line, one.shown) for one in block.commands] == [
        ("edge status", ("gone",)),
        ("sudo edge queue show 7", ()),
    ]


@pytest.mark.parametrize(
    "text",
    ["<!-- than: a car comes -->", "```console\n$ edge status\n", "<!-- exit: 3 -->\nText.\n"],
)
def test_a_page_that_cannot_be_played_is_refused(text):
    with pytest.raises(ValueError, match="page.md"):
        take_apart("page.md", text)


def test_the_programs_of_a_line_are_found():
    assert words_of("openssl rand -hex 10 | sudo tee /etc/edge/cp-01.key > /dev/null && sudo -u edge edge check") == [
        ["openssl", "rand", "-hex", "10"],
        ["tee", "/etc/edge/cp-01.key"],
        ["edge", "check"],
    ]

"""For which chargers a firmware of the CSMS is meant."""

import pytest

from edge.domain.firmware_targets import Box, FileRule, NobodyMeant, chosen, split
from edge.domain.ids import ChargerId

YARD = [
    Box(ChargerId("CP-01"), "Acme", "EVB"),
    Box(ChargerId("CP-02"), "Acme", "EVB"),
    Box(ChargerId("CP-03"), "Acme", "Duo"),
    Box(ChargerId("CP-04"), None, None),
]
RULES = [FileRule("evb-*.bin", "Acme", "EVB"), FileRule("wall-*", "Acme", "Wall")]


@pytest.mark.parametrize(
    ("location", "chargers"),
    [
        ("https://a/x.bin#target=CP-03", ["CP-03"]),
        ("https://a/x.bin#target=cp-04,CP-01", ["CP-01", "CP-04"]),
        ("https://a/x.bin#target=Acme:EVB", ["CP-01", "CP-02"]),
        ("https://a/x.bin#target=acme:", ["CP-01", "CP-02", "CP-03"]),
        ("https://a/EVB-1.4.bin", ["CP-01", "CP-02"]),
        ("https://a/evb-1.4.bin?key=1", ["CP-01", "CP-02"]),
        ("https://a/evb-1.4.bin#target=CP-03", ["CP-03"]),
    ],
)
def test_it_is_said_for_whom(location, chargers):
    assert chosen(location, YARD, RULES) == chargers


@pytest.mark.parametrize(
    "location",
    ["https://a/x.bin", "https://a/x.bin#target=CP-99", "https://a/x.bin#target=CP-01,CP-99", "https://a/wall-2.bin",
     "https://a/x.bin#target=Other:EVB", "https://a/x.bin#other=CP-01"],
)  # fmt: skip
def test_nobody_is_asked_by_guess(location):
    with pytest.raises(NobodyMeant, match=r"\."):
        chosen(location, YARD, RULES)


def test_where_all_are_of_one_model_all_are_meant():
    assert chosen("https://a/x.bin", YARD[:2], ()) == ["CP-01", "CP-02"]
    with pytest.raises(NobodyMeant):
        chosen("https://a/x.bin", YARD[3:], ())
    with pytest.raises(NobodyMeant):
        chosen("https://a/x.bin", [], ())


def test_the_target_is_no_part_of_the_url():
    assert split("https://a/x.bin?b=1#target=CP-01") == ("https://a/x.bin?b=1", "CP-01")
    assert split("https://a/x.bin#target=Acme:Duo%2022") == ("https://a/x.bin", "Acme:Duo 22")
    assert split("https://a/x.bin?target=Acme:Duo%2022") == ("https://a/x.bin", "Acme:Duo 22")
    assert split("https://a/x.bin?b=1&target=CP-01&c=%202#part") == ("https://a/x.bin?b=1&c=%202", "CP-01")
    assert split("https://a/x.bin?b=1&targets=2") == ("https://a/x.bin?b=1&targets=2", None)
    assert split("https://a/x.bin#other") == ("https://a/x.bin", None)

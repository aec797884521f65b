"""Numbering of a charger's connectors, and what the CSMS is told of one whose charger is away."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.connectors import Presence, Shown, grace, layout, shown

ONLINE = Presence(was_seen=True, is_online=True, away_for=0.0, is_charging=False)


@pytest.mark.parametrize(
    ("evses", "expected"),
    [
        ([1], [(1, 1)]),
        ([1, 1], [(1, 1), (2, 2)]),
        ([2], [(1, 1), (1, 2)]),
        ([2, 1, 3], [(1, 1), (1, 2), (2, 3), (3, 4), (3, 5), (3, 6)]),
        ([], []),
    ],
)
def test_connectors_are_numbered_evse_by_evse(evses, expected):
    assert list(layout(evses)) == expected


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=8))
def test_connectors_are_numbered_from_1_without_gaps(evses):
    places = list(layout(evses))
    assert [connector for _, connector in places] == list(range(1, sum(evses) + 1))
    assert [sum(evse == number for evse, _ in places) for number in range(1, len(evses) + 1)] == evses


@pytest.mark.parametrize(
    ("is_charging", "away_for", "expected"),
    [
        (False, 0.0, Shown.AS_REPORTED),
        (False, 119.9, Shown.AS_REPORTED),
        (False, 120.0, Shown.UNAVAILABLE),
        (True, 120.0, Shown.AS_REPORTED),
        (True, 899.9, Shown.AS_REPORTED),
        (True, 900.0, Shown.UNAVAILABLE),
    ],
)
def test_a_connector_keeps_its_status_for_two_minutes_and_for_fifteen_while_it_charges(is_charging, away_for, expected):
    away = Presence(was_seen=True, is_online=False, away_for=away_for, is_charging=is_charging)
    assert shown(away) is expected


def test_the_grace_times_are_those_of_the_interface():
    assert grace(ONLINE) == 120.0
    assert grace(replace(ONLINE, is_charging=True)) == 900.0


@settings(deadline=None)
@given(st.booleans(), st.booleans(), st.floats(0, 1e9))
def test_a_connector_that_never_reported_is_unavailable_at_once(is_online, is_charging, away_for):
    assert shown(Presence(False, is_online, away_for, is_charging)) is Shown.UNAVAILABLE


@settings(deadline=None)
@given(st.booleans(), st.booleans(), st.floats(0, 1e9))
def test_a_connector_out_of_service_is_unavailable_even_while_its_charger_is_there(is_online, is_charging, away_for):
    presence = Presence(True, is_online, away_for, is_charging, is_out_of_service=True)
    assert shown(presence) is Shown.UNAVAILABLE


@settings(deadline=None)
@given(st.booleans(), st.floats(0, 1e9))
def test_a_connector_whose_charger_is_there_is_shown_as_reported(is_charging, away_for):
    presence = replace(ONLINE, is_charging=is_charging, away_for=away_for)
    assert shown(presence) is Shown.AS_REPORTED

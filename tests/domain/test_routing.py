"""One answer out of many."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.routing import merged_availability


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        # ocpp-rules.md B.2, ChangeAvailability of connector 0
        (["Accepted"], "Accepted"),
        (["Accepted", "Accepted"], "Accepted"),
        (["Scheduled"], "Scheduled"),
        (["Accepted", "Scheduled"], "Scheduled"),
        (["Rejected", "Scheduled"], "Scheduled"),
        (["Accepted", "Rejected", "Scheduled"], "Scheduled"),
        (["Rejected"], "Rejected"),
        (["Rejected", "Rejected"], "Rejected"),
        (["Accepted", "Rejected"], "Accepted"),
        ([], "Accepted"),
        (["nonsense"], "Rejected"),
    ],
)
def test_one_scheduled_makes_the_station_scheduled_and_one_accepted_makes_it_accepted(answers, expected):
    assert {merged_availability(order) for order in permutations(answers)} == {expected}


@settings(deadline=None)
@given(st.lists(st.text()))
def test_whatever_chargers_answer_the_csms_gets_a_status_that_it_knows(answers):
    assert merged_availability(answers) in {"Accepted", "Rejected", "Scheduled"}

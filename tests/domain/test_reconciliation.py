"""What speaks for an end, what speaks against it, and what is done about it when."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain import reconciliation
from edge.domain.reconciliation import (
    ANSWERED_WITHIN,
    ASKED_EVERY,
    LIVE_MS,
    Doubt,
    Evidence,
    Step,
    Waits,
    after,
    after_old_status,
    after_status,
    after_values,
    agrees,
    ended_at_ms,
    next_step,
    reason,
    wait,
)

WAITS = Waits(available=300.0, boot=600.0, hold=900.0)
FREE = Doubt(Evidence.AVAILABLE, 7, 1000)
BOOTED = Doubt(Evidence.BOOT, 7, 1000, has_booted=True)
LONG = 10 * 24 * 3600.0


@pytest.mark.parametrize(
    ("status", "evidence"),
    [
        ("Available", Evidence.AVAILABLE),
        ("Reserved", Evidence.AVAILABLE),
        ("Unavailable", Evidence.UNAVAILABLE),
        ("Preparing", Evidence.PREPARING),
        ("Finishing", Evidence.FINISHING),
        ("Faulted", None),
        ("Charging", None),
        ("SuspendedEV", None),
        ("SuspendedEVSE", None),
        ("Occupied", None),
    ],
)
def test_what_a_status_says_of_an_open_session(status, evidence):
    doubt = after_status(None, status, 7, 1000)
    assert (None if doubt is None else doubt.evidence) is evidence


@pytest.mark.parametrize("status", ["Charging", "SuspendedEV", "SuspendedEVSE"])
def test_a_status_of_charging_takes_a_doubt_away_unless_it_may_be_that_of_another_session(status):
    assert after_status(FREE, status, 9, 2000) is None
    for evidence in (Evidence.RIVAL, Evidence.FOLLOWED, Evidence.REPLACED):
        doubt = replace(FREE, evidence=evidence)
        assert after_status(doubt, status, 9, 2000) == doubt


def test_the_stronger_evidence_counts_and_the_time_of_the_first():
    doubt = after(BOOTED, Evidence.AVAILABLE, 9, 2000)
    assert (doubt.evidence, doubt.seq, doubt.at_ms, doubt.has_booted) == (Evidence.AVAILABLE, 9, 1000, True)
    assert after(FREE, Evidence.FINISHING, 9, 2000) == FREE


def test_a_status_of_before_is_a_reason_to_ask_and_no_more():
    doubt = after_old_status(None, "Available", 7, 1000)
    assert doubt is not None and doubt.evidence is Evidence.SAID_BEFORE and not doubt.evidence.is_enough
    assert after_old_status(None, "Charging", 7, 1000) is None
    assert after_old_status(FREE, "Available", 9, 2000) == FREE


# --- signs of life


def test_a_register_that_rises_after_the_evidence_is_a_sign_of_life():
    first = after_values(FREE, 5000, 2000, 2000, is_named=True)
    assert first == replace(FREE, first_wh=5000, first_ms=2000)  # it may have been taken at the very end
    assert after_values(first, 5000 + reconciliation.RISES_BY_WH, 3000, 3000, is_named=True) == first
    assert after_values(first, 5001 + reconciliation.RISES_BY_WH, 3000, 3000, is_named=True) is None


def test_values_of_the_time_before_the_evidence_are_none():
    first = replace(FREE, first_wh=5000)
    assert after_values(first, 9000, 1000, 5000, is_named=True) == first


@pytest.mark.parametrize(("came_ms", "is_life"), [(2000 + LIVE_MS - 1, False), (2000 + LIVE_MS, True)])
def test_values_without_a_time_are_no_sign_of_life_in_a_burst(came_ms, is_life):
    first = after_values(FREE, 5000, None, 2000, is_named=True)
    assert (after_values(first, 9000, None, came_ms, is_named=True) is None) is is_life


def test_where_two_sessions_are_open_values_that_name_neither_are_no_sign_of_life():
    rival = replace(FREE, evidence=Evidence.RIVAL, has_rivals=True, first_wh=5000, first_ms=2000)
    assert after_values(rival, 9000, 3000, 3000, is_named=False) == rival
    assert after_values(rival, 9000, 3000, 3000, is_named=True) is None


def test_a_status_of_charging_that_was_replayed_is_no_sign_of_life_of_later():
    assert after_status(FREE, "Charging", 9, 999, is_replayed=True) == FREE
    assert after_status(FREE, "Charging", 9, 1001, is_replayed=True) is None
    assert after_status(FREE, "Charging", 9, 999) is None  # perhaps its clock is behind


@pytest.mark.parametrize("evidence", [Evidence.BOOT, Evidence.STOP_REFUSED, Evidence.SAID_BEFORE])
def test_who_names_the_transaction_has_not_lost_it(evidence):
    doubt = replace(FREE, evidence=evidence)
    assert after_values(doubt, 5000, 2000, 2000, is_named=True) is None
    assert after_values(doubt, 5000, 2000, 2000, is_named=False) is not None
    assert after_values(doubt, 5000, None, 2000, is_named=True) is not None  # its clock does not tell


# --- what the time brings


def steps(doubt, *, away=False, asked=None):
    return [next_step(doubt, stood, WAITS, asked_ago=asked, is_away=away) for stood in (0.0, wait(doubt, WAITS), LONG)]


def test_what_is_certain_waits_for_nothing():
    doubt = replace(FREE, evidence=Evidence.NEXT_START)
    assert steps(doubt) == [Step.CONCLUDE] * 3
    assert steps(replace(doubt, concluded_ms=1)) == [Step.SEND] * 3


@pytest.mark.parametrize("evidence", [one for one in Evidence if one.is_enough and not one.is_certain])
def test_evidence_that_is_enough_waits_asks_and_concludes(evidence):
    doubt = replace(FREE, evidence=evidence)
    assert steps(doubt) == [Step.WAIT, Step.ASK, Step.ASK]
    assert steps(doubt, asked=ANSWERED_WITHIN - 1) == [Step.WAIT] * 3
    assert steps(doubt, asked=ANSWERED_WITHIN) == [Step.WAIT, Step.CONCLUDE, Step.CONCLUDE]
    assert steps(doubt, away=True) == [Step.WAIT, Step.CONCLUDE, Step.CONCLUDE]


@pytest.mark.parametrize("evidence", [one for one in Evidence if not one.is_enough])
@given(stood=st.floats(0, LONG), asked=st.none() | st.floats(0, LONG), away=st.booleans())
def test_weak_evidence_never_concludes(evidence, stood, asked, away):
    doubt = replace(FREE, evidence=evidence)
    assert next_step(doubt, stood, WAITS, asked_ago=asked, is_away=away) in (Step.WAIT, Step.ASK)


def test_where_the_answer_is_needed_it_is_asked_for_again():
    assert steps(BOOTED, asked=ASKED_EVERY - 1) == [Step.WAIT] * 3
    assert steps(BOOTED, asked=ASKED_EVERY) == [Step.WAIT, Step.ASK, Step.ASK]


def test_a_conclusion_is_held_so_that_the_real_stop_can_come():
    concluded = replace(FREE, concluded_ms=5000)
    assert [next_step(concluded, held, WAITS, asked_ago=None, is_away=False) for held in (0.0, 899.0, 900.0)] == [
        Step.WAIT, Step.WAIT, Step.SEND,
    ]  # fmt: skip


# --- what is concluded


@pytest.mark.parametrize(
    ("doubt", "expected"),
    [
        (FREE, "EVDisconnected"),
        (replace(FREE, has_booted=True), "PowerLoss"),
        (BOOTED, "PowerLoss"),
        (replace(FREE, evidence=Evidence.STOP_PROMISED), "Remote"),
        (replace(FREE, evidence=Evidence.NEXT_START), "Other"),
    ],
)
def test_why_it_ended(doubt, expected):
    assert reason(doubt) == expected


@given(
    at=st.integers(0, 10**6), started=st.integers(0, 10**6), heard=st.integers(0, 10**6), now=st.integers(0, 10**6),
    evidence=st.sampled_from(Evidence), booted=st.booleans(),
)  # fmt: skip
def test_the_end_lies_after_all_that_is_known_of_it_and_not_in_the_future(at, started, heard, now, evidence, booted):
    end = ended_at_ms(Doubt(evidence, 1, at, has_booted=booted), started, heard, now)
    assert max(started, heard) <= end <= max(now, started, heard)


def test_after_a_boot_it_ended_with_its_last_values_and_before_the_next_start_a_second_earlier():
    assert ended_at_ms(replace(BOOTED, at_ms=9000), 0, 4000, 20_000) == 4000
    assert ended_at_ms(replace(FREE, evidence=Evidence.NEXT_START, at_ms=9000), 0, 4000, 20_000) == 8000


@pytest.mark.parametrize(
    ("said", "is_same"),
    [
        ((1100, 60_000), True),
        ((1101, 0), False),
        ((1000, 60_001), False),
        ((None, None), True),
        ((None, 60_001), False),
    ],
)
def test_a_late_stop_says_the_same_within_a_tolerance(said, is_same):
    assert agrees(1000, 0, *said) is is_same


def test_a_doubt_is_stored_whole_and_what_is_no_doubt_is_none():
    doubt = replace(BOOTED, first_wh=5, concluded_ms=9, has_rivals=True)
    assert reconciliation.from_json(reconciliation.as_json(doubt)) == doubt
    for wrong in ({}, {"evidence": "a hunch"}, {**reconciliation.as_json(doubt), "more": 1}):
        assert reconciliation.from_json(wrong) is None


def test_each_evidence_has_words_and_a_place():
    assert all(one.words for one in Evidence)
    for weaker, stronger in pairwise(Evidence):
        assert after(after(None, weaker, 1, 1), stronger, 2, 2).evidence is stronger

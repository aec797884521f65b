"""Collections of diagnostics: what a charger's words and its file mean."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.collecting import (
    MOST_REQUESTS,
    PATIENCE_MS,
    STABLE_MS,
    Progress,
    Step,
    Wish,
    after_answer,
    after_file,
    after_status,
    as_json,
    from_json,
    is_over,
)
from edge.domain.station_jobs import LogKind

FINAL = [step for step in Step if step.is_final]


def at(step: Step) -> Progress:
    return Progress(step, 1000, "log.zip")


def test_an_answer_without_a_name_means_that_there_is_nothing():
    assert after_answer(Progress(Step.ASKED, 1000), None, 2000).step is Step.NOTHING
    assert after_answer(Progress(Step.ASKED, 1000), "a.log", 2000) == Progress(Step.ASKED, 2000, "a.log")
    assert after_answer(at(Step.UPLOADING), None, 2000) == at(Step.UPLOADING)


@pytest.mark.parametrize(
    ("step", "status", "after"),
    [
        (Step.ASKED, "Uploading", Step.UPLOADING),
        (Step.ASKED, "Uploaded", Step.UPLOADING),
        (Step.UPLOADING, "Uploaded", Step.UPLOADING),
        (Step.UPLOADING, "UploadFailed", Step.WAITING),
        (Step.UPLOADING, "PermissionDenied", Step.WAITING),
        (Step.ASKED, "Idle", Step.ASKED),
        (Step.WAITING, "Uploaded", Step.WAITING),
        (Step.UPLOADED, "UploadFailed", Step.UPLOADED),
    ],
)
def test_its_words_alone_make_no_file(step, status, after):
    assert after_status(at(step), status, 2000).step is after


def test_who_says_without_end_that_it_uploads_is_given_up_when_nothing_comes():
    now = after_status(at(Step.ASKED), "Uploading", 2000)
    for at_ms in range(3000, 3000 + PATIENCE_MS, 60_000):
        now = after_status(now, "Uploading", at_ms)
    assert after_file(now, None, None, now.since_ms, 2000 + PATIENCE_MS).step is Step.FAILED


def test_after_a_failed_upload_it_is_asked_once_more():
    again = replace(at(Step.UPLOADING), requests=MOST_REQUESTS)
    assert after_status(again, "UploadFailed", 2000).step is Step.FAILED


def test_a_whole_file_counts_when_nothing_is_added_any_more():
    now = after_file(at(Step.ASKED), 5000, 5000, 1000, 5000 + STABLE_MS - 1)
    assert (now.step, now.since_ms) == (Step.UPLOADING, 5000)
    assert after_file(now, 5000, None, 5000, 5000 + STABLE_MS).step is Step.UPLOADED


def test_who_says_nothing_and_sends_nothing_is_given_up():
    assert after_file(at(Step.ASKED), None, None, 1000, 1000 + PATIENCE_MS - 1).step is Step.ASKED
    assert after_file(at(Step.UPLOADING), None, None, 1000, 1000 + PATIENCE_MS).step is Step.FAILED
    assert after_file(at(Step.UPLOADING), None, None, 2000, 1000 + PATIENCE_MS).step is Step.UPLOADING
    assert after_file(at(Step.UPLOADING), None, PATIENCE_MS, 1000, 1000 + PATIENCE_MS).step is Step.UPLOADING


@given(st.sampled_from(FINAL), st.text(), st.integers(0, 10**13))
def test_what_is_over_stays_as_it_is(step, status, now):
    assert after_status(at(step), status, now) == at(step)
    assert after_file(at(step), now, now, now, now) == at(step)
    assert after_answer(at(step), None, now) == at(step)


def test_it_is_over_when_all_are():
    assert is_over(FINAL) and is_over([])
    assert not is_over([Step.UPLOADED, Step.UPLOADING]) and not is_over([Step.WAITING])


def test_a_wish_is_the_same_after_it_was_stored():
    wish = Wish(1, 2, "ftp://a.example/", "x.zip", LogKind.SECURITY, 7)
    assert from_json(as_json(wish)) == wish
    assert from_json({"since_ms": "x", "name": 3}) == Wish()

"""Our answers to a 1.6 charger are what the schema says."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dialects.v16 import replies
from edge.ocppj.schemas import check_response
from tests.dialects.payloads import instants

AUTHORIZATION = ["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
NOW = datetime(2026, 11, 21, 9, 0, 0, 7_900, tzinfo=UTC)


@settings(deadline=None)
@given(st.sampled_from(["Accepted", "Pending", "Rejected"]), instants, st.integers(0, 2**31))
def test_the_answer_to_a_boot_is_valid(status, now, interval):
    assert check_response("1.6", "BootNotification", replies.boot(status, now, interval)) == ()


def test_the_answer_to_a_boot_gives_status_time_and_interval():
    expected = {"status": "Accepted", "currentTime": "2026-11-21T09:00:00.007Z", "interval": 300}
    assert replies.boot("Accepted", NOW, 300) == expected


@settings(deadline=None)
@given(instants)
def test_the_answer_to_a_heartbeat_is_valid(now):
    assert check_response("1.6", "Heartbeat", replies.heartbeat(now)) == ()


def test_the_answer_to_a_heartbeat_is_the_time():
    assert replies.heartbeat(NOW) == {"currentTime": "2026-11-21T09:00:00.007Z"}


@pytest.mark.parametrize("status", AUTHORIZATION)
def test_the_answers_about_a_token_are_valid(status):
    assert replies.authorize(status) == {"idTagInfo": {"status": status}}
    assert check_response("1.6", "Authorize", replies.authorize(status)) == ()
    assert replies.stop(status) == {"idTagInfo": {"status": status}}
    assert check_response("1.6", "StopTransaction", replies.stop(status)) == ()


@settings(deadline=None)
@given(st.integers(1, 2**31 - 1), st.sampled_from(AUTHORIZATION))
def test_the_answer_to_a_start_gives_the_id_as_an_integer(number, status):
    answer = replies.start(str(number), status)
    assert answer == {"transactionId": number, "idTagInfo": {"status": status}}
    assert type(answer["transactionId"]) is int
    assert check_response("1.6", "StartTransaction", answer) == ()


def test_the_answer_to_a_stop_without_a_token_says_nothing_of_one():
    assert replies.stop(None) == {}
    assert check_response("1.6", "StopTransaction", {}) == ()


@pytest.mark.parametrize(
    "action",
    [
        "MeterValues",
        "StatusNotification",
        "StopTransaction",
        "FirmwareStatusNotification",
        "DiagnosticsStatusNotification",
    ],
)
def test_the_empty_answer_is_valid_where_it_is_given(action):
    assert replies.EMPTY == {}
    assert check_response("1.6", action, replies.EMPTY) == ()


def test_the_answers_to_a_data_transfer_are_valid():
    assert replies.unknown_vendor() == {"status": "UnknownVendorId"}
    assert replies.rejected() == {"status": "Rejected"}
    for answer in (replies.unknown_vendor(), replies.rejected()):
        assert check_response("1.6", "DataTransfer", answer) == ()

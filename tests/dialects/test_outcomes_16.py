"""What the answer to a command says, whoever wrote it."""

import pytest

from edge.dialects.v16 import outcomes
from edge.domain.obedience import Reply


@pytest.mark.parametrize(
    ("action", "text", "expected"),
    [
        ("Reset", '[3,"m",{"status":"Accepted"}]', Reply(is_accepted=True, words="Accepted")),
        ("Reset", '[3,"m",{"status":"Rejected"}]', Reply(is_accepted=False, words="Rejected")),
        ("ChangeAvailability", '[3,"m",{"status":"Scheduled"}]', Reply(is_accepted=True, words="Scheduled")),
        ("UnlockConnector", '[3,"m",{"status":"UnlockFailed"}]', Reply(is_accepted=False, words="UnlockFailed")),
        ("ChangeConfiguration", '[3,"m",{"status":"RebootRequired"}]', Reply(is_accepted=True, words="RebootRequired")),
        ("TriggerMessage", '[3,"m",{"status":"NotImplemented"}]', Reply(is_accepted=False, words="NotImplemented")),
        ("GetConfiguration", '[3,"m",{"configurationKey":[]}]', Reply(is_accepted=True, words="without a status")),
        ("RemoteStartTransaction", '[3,"m",{}]', Reply(is_accepted=False, words="without a status")),
        ("RemoteStartTransaction", '[3,"m",[]]', Reply(is_accepted=False, words="without a status")),
        ("Reset", '[4,"m","NotSupported","no",{}]', Reply(is_accepted=False, words="NotSupported no")),
        ("Reset", "[4,", Reply(is_accepted=True, words="a text that could not be read")),
        ("Reset", "[3]", Reply(is_accepted=True, words="a text that could not be read")),
    ],
)
def test_an_answer_is_read_as_yes_or_no_with_its_words(action, text, expected):
    assert outcomes.reply(action, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None), ('[3,"m",{}]', None), ("", None), ("[4", None), ("4", None), ("[4]", "without a code"),
        (' [ 4,"m","InternalError","",{}]', "InternalError"), ('[4,"m","A","b",{}]', "A: b"), ("[42]", None),
    ],
)  # fmt: skip
def test_a_callerror_is_told_by_its_code_and_description(text, expected):
    assert outcomes.refusal(text) == expected


def test_orders_that_a_charger_must_be_asked_for_are_known():
    assert outcomes.ordered("stop") == "RemoteStopTransaction"
    assert outcomes.ordered("availability") is None
    assert outcomes.ordered(7) is None


def test_a_place_is_a_whole_number_and_a_token_a_text():
    assert outcomes.place({"connectorId": 2, "idTag": "A"}) == (2, "A")
    assert outcomes.place({"connectorId": True, "idTag": 5}) == (None, None)

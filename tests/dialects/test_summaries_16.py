"""A frame in a few words, for a person: whatever was stored can be shown."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dialects.v16 import summaries
from edge.ocppj.frames import CSMS_LIMITS, CallError, CallResult, error_text, parse, result_text
from tests.dialects.payloads import FOLLOWED, REQUESTS, any_json, any_payload, flawed_payload, recorded, valid_payload

AT = "2026-11-21T09:00:00Z"
START = {"connectorId": 1, "idTag": "ANNA", "meterStart": 1500, "timestamp": AT}
STOP = {"transactionId": 7, "meterStop": 12345, "timestamp": AT}
VALUES = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [{"value": "2.5", "unit": "kWh"}]}]}
EMPTY_VALUES = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": []}]}


@pytest.mark.parametrize(
    ("action", "payload", "expected"),
    [
        ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1.0"}, "V M 1.0"),
        ("BootNotification", {"chargePointModel": "M", "chargePointSerialNumber": "S"}, "M"),
        ("BootNotification", {}, "boots"),
        ("StatusNotification", {"connectorId": 1, "status": "Charging"}, "connector 1 Charging"),
        (
            "StatusNotification",
            {"connectorId": 0, "status": "Faulted", "errorCode": "GroundFailure"},
            "connector 0 Faulted, GroundFailure",
        ),
        ("Authorize", {"idTag": "ANNA"}, "token ANNA"),
        ("StartTransaction", START, "connector 1, token ANNA, meter 1.500 kWh"),
        ("StartTransaction", START | {"meterStart": None}, "connector 1, token ANNA"),
        ("StartTransaction", START | {"meterStart": 0}, "connector 1, token ANNA, meter 0.000 kWh"),
        ("MeterValues", VALUES, "connector 1, meter 2.500 kWh"),
        ("MeterValues", EMPTY_VALUES, "connector 1"),
        ("StopTransaction", STOP, "transaction 7, Local, meter 12.345 kWh"),
        ("StopTransaction", STOP | {"meterStop": None, "reason": "Remote"}, "transaction 7, Remote"),
        ("Heartbeat", {}, ""),
        ("Reset", {"type": "Soft"}, "type Soft"),
        ("DataTransfer", {"vendorId": "V", "data": None, "n": 1}, "vendorId V, data null, n 1"),
        ("GetConfiguration", {"key": ["Ä", 1]}, 'key ["Ä", 1]'),
        ("StartTransaction", {"idTag": "ANNA"}, "idTag ANNA"),
    ],
)
def test_a_request_is_told_by_what_happened_or_else_by_its_members(action, payload, expected):
    assert summaries.call(action, payload) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ([3, "m", {}], ("CALLRESULT", "ok")),
        ([3, "m", None], ("CALLRESULT", "ok")),
        ([3, "m", {"status": "Accepted"}], ("CALLRESULT", "status Accepted")),
        ([3, "m", {"idTagInfo": {"status": "Blocked"}}], ("CALLRESULT", "Blocked")),
        (
            [3, "m", {"idTagInfo": {"status": "Accepted"}, "transactionId": 0}],
            ("CALLRESULT", "Accepted, transaction 0"),
        ),
        ([3, "m", {"transactionId": 5}], ("CALLRESULT", "transaction 5")),
        ([3, "m", {"idTagInfo": "odd"}], ("CALLRESULT", "idTagInfo odd")),
        ([3, "m", {"idTagInfo": {}}], ("CALLRESULT", "None")),
        ([4, "m", "InternalError", "out of beer", {}], ("CALLERROR", "InternalError out of beer")),
        ([4, "m", "InternalError", "", {}], ("CALLERROR", "InternalError")),
        ([4, "m", "InternalError", "out of beer"], ("CALLERROR", "InternalError out of beer")),
    ],
)
def test_an_answer_is_told_by_its_outcome(frame, expected):
    assert summaries.answer(json.dumps(frame)) == expected


def test_an_error_without_a_description_can_be_shown():
    assert summaries.answer('[4,"m","InternalError"]') == ("CALLERROR", "InternalError")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"decision":"accept","status":"Accepted","source":"csms"}', "decision accept, status Accepted, source csms"),
        ('{"left_out":[{"path":["a",0]}]}', 'left_out [{"path": ["a", 0]}]'),
        ("{}", ""),
        ('"a word"', "a word"),
        ("5", "5"),
        ("null", "None"),
    ],
)
def test_a_decision_of_ours_is_told_by_its_members(text, expected):
    assert summaries.decision(text) == expected


@pytest.mark.parametrize(
    ("energy", "expected"),
    [(0, "0.000 kWh"), (1, "0.001 kWh"), (12345, "12.345 kWh"), (-1, "-0.001 kWh"), (10**12, "1000000000.000 kWh")],
)
def test_energy_is_told_in_kwh_to_the_watt_hour(energy, expected):
    assert summaries.kwh(energy) == expected


def test_the_members_of_a_huge_request_are_cut():
    payload = {f"member{number}": "x" * 100 for number in range(1000)}
    assert summaries.call("DataTransfer", payload).startswith("member0 xxx")
    assert len(summaries.call("DataTransfer", payload)) == 200
    assert len(summaries.answer(json.dumps([3, "m", payload]))[1]) == 200


@settings(deadline=None)
@given(st.sampled_from([*REQUESTS, "", "nonsense"]), any_payload)
def test_no_request_makes_it_raise(action, payload):
    assert isinstance(summaries.call(action, payload), str)


@pytest.mark.parametrize("action", FOLLOWED)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_no_flaw_in_a_real_request_makes_it_raise(action, data):
    assert isinstance(summaries.call(action, data.draw(valid_payload(action) | flawed_payload(action))), str)


@settings(deadline=None)
@given(any_payload, st.text(), st.text())
def test_no_answer_that_we_would_store_makes_it_raise(payload, code, description):
    assert summaries.answer(json.dumps([3, "m", payload]))[0] == "CALLRESULT"
    assert summaries.answer(error_text("m", code, description))[0] == "CALLERROR"


@settings(deadline=None)
@given(st.lists(any_json, max_size=3))
def test_no_answer_that_is_taken_for_one_makes_it_raise(elements):
    text = json.dumps([3, "m", *elements])
    if isinstance(parse(text, CSMS_LIMITS), CallResult):
        assert summaries.answer(text)[0] == "CALLRESULT"
    text = json.dumps([4, "m", "Code", "", *elements])
    if isinstance(parse(text, CSMS_LIMITS), CallError):
        assert summaries.answer(text)[0] == "CALLERROR"


@settings(deadline=None)
@given(any_json)
def test_no_decision_makes_it_raise(found):
    assert isinstance(summaries.decision(json.dumps(found)), str)


def test_each_recorded_frame_can_be_told():
    told = 0
    for _, text in recorded("*_16_*.jsonl"):
        frame = json.loads(text)
        words = summaries.call(frame[2], frame[3]) if frame[0] == 2 else summaries.answer(text)[1]
        told += bool(words)
    assert told > 100


def test_our_own_answers_can_be_told():
    assert summaries.answer(result_text("m", {})) == ("CALLRESULT", "ok")
    assert summaries.answer(error_text("m", "NotSupported", "no")) == ("CALLERROR", "NotSupported no")

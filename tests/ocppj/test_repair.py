"""Text that is no JSON, or JSON that we refuse to hold: read by named repairs only, and never more than was meant."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ocppj.actions import Sender
from edge.ocppj.frames import CHARGER_LIMITS, Call, CallResult, Limits, Malformed, parse
from edge.ocppj.peer import AnswerReceived, CallReceived, Refused, RpcPeer
from edge.ocppj.repair import NAMES, mended
from tests.dialects.payloads import any_json

ALL = frozenset(NAMES)

# name → (text as it came, payload that was meant)
KNOWN = {
    "json_extra_comma": [
        ('[2,"1","MeterValues",{"connectorId":1,"meterValue":[{"sampledValue":[,{"value":"1"}]}]}]',
         {"connectorId": 1, "meterValue": [{"sampledValue": [{"value": "1"}]}]}),
        ('[2,"1","Authorize",{"idTag":"A",}]', {"idTag": "A"}),
        ('[2,"1","Authorize",{,"idTag":"A" , }, ]', {"idTag": "A"}),
        ('[2,"1","Authorize",{"idTag":"A,,]"},,]', {"idTag": "A,,]"}),
    ],
    "json_missing_value": [
        ('[2,"1","StopTransaction",{"transactionId":,"meterStop":5}]', {"transactionId": None, "meterStop": 5}),
        ('[2,"1","StopTransaction",{"meterStop":5,"transactionId": }]', {"transactionId": None, "meterStop": 5}),
        ('[2,"1","Authorize",{"idTag":":,","x":,}]', {"idTag": ":,", "x": None}),
    ],
    "json_missing_bracket": [
        ('[2,"1","X",{"configurationKey":[]', {"configurationKey": []}),
        ('[2,"1","X",{"configurationKey":[]]', {"configurationKey": []}),
        ('[2,"1","X",{"a":{"b":[{"c":"d"}', {"a": {"b": [{"c": "d"}]}}),
        ('[2,"1","X",{"a":"d"', {"a": "d"}),
    ],
    "json_control_characters": [
        ('[2,"1","Authorize",{"idTag":"A"}]\0\0\0', {"idTag": "A"}),
        ('[2,"1","Authorize",{"idTag":"A\tB"}]', {"idTag": "A\tB"}),
        ('[2,"1","Authorize",{"idTag":"A\\u0000"}]', {"idTag": "A"}),
    ],
    "json_duplicate_key": [('[2,"1","Authorize",{"idTag":"A","idTag":"B"}]', {"idTag": "B"})],
    "json_half_surrogate": [('[2,"1","Authorize",{"idTag":"A\\ud800"}]', {"idTag": "A\ufffd"})],
}  # fmt: skip
CASES = [(name, text, payload) for name, cases in KNOWN.items() for text, payload in cases]


@pytest.mark.parametrize(("name", "text", "payload"), CASES)
def test_a_known_pattern_is_read_and_the_text_is_kept(name, text, payload):
    assert isinstance(parse(text, CHARGER_LIMITS), Malformed)
    found = mended(text, CHARGER_LIMITS, ALL)
    assert found is not None
    frame, names = found
    assert isinstance(frame, Call)
    assert (frame.payload, frame.text, frame.message_id) == (payload, text, "1")
    assert name in names


@pytest.mark.parametrize(("name", "text", "payload"), CASES)
def test_a_pattern_is_not_read_without_its_name(name, text, payload):
    found = mended(text, CHARGER_LIMITS, ALL - {name})
    assert found is None


def test_patterns_come_together():
    text = '[2,"1","MeterValues",{"connectorId":1,"transactionId":,"meterValue":[,{"sampledValue":[{"value":"1"},]}]\0'
    frame, names = mended(text, CHARGER_LIMITS, ALL)
    assert frame.payload == {
        "connectorId": 1, "transactionId": None, "meterValue": [{"sampledValue": [{"value": "1"}]}],
    }  # fmt: skip
    assert names == ("json_control_characters", "json_missing_value", "json_extra_comma", "json_missing_bracket")


@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","StopTransaction",{"transactionId":5,"meterStop":12',  # of 1234?
        '[2,"1","StopTransaction",{"transactionId":5,"meterStop":12,"timestamp":"2026-',
        '[2,"1","StopTransaction",{"transactionId":5,"meterStop',
        '[2,"1","Authorize",{"idTag":tru',
        '[2,"1","Authorize",{"idTag":"A"}}]',
        "nonsense",
        "",
        "\0",
    ],
)
def test_a_text_cut_in_the_middle_of_a_value_stays_refused(text):
    assert mended(text, CHARGER_LIMITS, ALL) is None


def test_an_answer_that_names_its_action_is_an_answer():
    text = '[3,"1","Reset",{"status":"Accepted"}]'
    assert mended(text, CHARGER_LIMITS, ALL) == (
        CallResult("1", {"status": "Accepted"}, text), ("result_names_action",),
    )  # fmt: skip
    for bad in ('[3,"1","Reset"]', '[3,"1",{},{}]', '[4,"1","Reset",{}]', '[3,"","Reset",{}]', '[true,"1","R",{}]'):
        found = mended(bad, CHARGER_LIMITS, ALL)
        assert found is None or not isinstance(found[0], CallResult)


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ('[2,"1","Authorize",{"idTag":"A","idTag\\u0000":"B"}]', {"idTag": "B"}),
        ('[2,"1","Authorize",{"\\ud800":"A","\\udfff":"B"}]', {"\ufffd": "B"}),
        ('[2,"1","Authorize",{"a":[{"idTag":"A","idTag\\u0000":"B"}]}]', {"a": [{"idTag": "B"}]}),
    ],
)
def test_two_keys_that_become_one_are_a_key_that_stands_twice(text, payload):
    assert mended(text, CHARGER_LIMITS, ALL - {"json_duplicate_key"}) is None
    found = mended(text, CHARGER_LIMITS, ALL)
    assert found is not None
    assert found[0].payload == payload
    assert "json_duplicate_key" in found[1]


@given(any_json, st.sampled_from(["", ",", "]", "}", "\0", '"', "[", '{"a":,']))
def test_what_is_mended_holds_the_limits_of_what_is_parsed(value, noise):
    text = json.dumps([2, "1", "X", {"v": value}]) + noise
    found = mended(text, Limits(10_000, 12), ALL)
    if found is not None:
        again = json.dumps([2, "1", "X", dict(found[0].payload)])
        assert not isinstance(parse(again, Limits(100_000, 12)), Malformed)


@pytest.mark.parametrize(
    "text",
    ['"' + '\\"' * 120_000, "[" * 250_000, '{"a":[]' * 35_000, ",[" * 120_000, '[2,"1","X",{' + '"k":,' * 50_000],
)
def test_a_hostile_text_costs_no_more_than_its_length(text):
    begun = time.perf_counter()
    mended(text, CHARGER_LIMITS, ALL)
    assert time.perf_counter() - begun < 2.0


# --- on a connection


def peer(*names: str) -> RpcPeer:
    return RpcPeer("1.6", Sender.STATION, CHARGER_LIMITS, repairs=lambda: frozenset(names))


COMMA = '[2,"1","Heartbeat",{,}]'


def test_a_peer_reads_what_it_may_repair_and_says_so():
    received = peer("json_extra_comma").receive(COMMA, 0.0)
    assert received == CallReceived(Call("1", "Heartbeat", {}, COMMA), (), ("json_extra_comma",))


def test_a_peer_without_the_name_refuses_as_before():
    for one in (peer(), RpcPeer("1.6", Sender.CSMS, CHARGER_LIMITS)):
        received = one.receive(COMMA, 0.0)
        assert isinstance(received, Refused)
        assert received.code == "RpcFrameworkError"


@pytest.mark.parametrize("levels", [40, 50_000])
def test_a_text_that_is_deep_only_when_it_is_mended_is_refused(levels):
    """A NUL behind a backslash: without it the string ends elsewhere, and the brackets count."""
    text = '[2,"\\\0" ,","Heartbeat",{"a":' + "[" * levels + "]" * levels + "}]"
    assert isinstance(peer("json_control_characters").receive(text, 0.0), Refused)


def test_a_cut_answer_settles_the_call_that_it_answers():
    one = peer("json_missing_bracket")
    one.start_call("7", "GetConfiguration", {}, 0.0, 30.0)
    received = one.receive('[3,"7",{"configurationKey":[]', 1.0)
    assert isinstance(received, AnswerReceived)
    assert received.repairs == ("json_missing_bracket",)
    assert one.outstanding is None

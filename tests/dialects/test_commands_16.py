"""Requests to a 1.6 charger are what the schema says, and its answers are read leniently."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dialects.v16 import commands
from edge.dialects.v16.commands import Setting
from edge.ocppj.schemas import check_request
from tests.dialects.payloads import any_json, any_payload, recorded, valid_payload

connectors = st.integers(0, 10**6)


@settings(deadline=None)
@given(connectors, st.text(max_size=20))
def test_a_remote_start_is_valid(connector, token):
    payload = commands.remote_start(connector, token)
    assert payload == {"connectorId": connector, "idTag": token}
    assert check_request("1.6", "RemoteStartTransaction", payload) == ()


@settings(deadline=None)
@given(st.integers(1, 100), valid_payload("RemoteStartTransaction"))
def test_a_remote_start_of_the_csms_goes_on_for_the_chosen_connector_and_else_as_it_is(connector, request):
    before = json.dumps(request)
    payload = commands.remote_start_at(connector, request)
    assert payload == request | {"connectorId": connector}
    assert json.dumps(request) == before
    assert check_request("1.6", "RemoteStartTransaction", payload) == ()


@settings(deadline=None)
@given(st.integers(1, 2**31 - 1))
def test_a_remote_stop_names_the_chargers_own_id_as_an_integer(number):
    payload = commands.remote_stop(str(number))
    assert payload == {"transactionId": number}
    assert check_request("1.6", "RemoteStopTransaction", payload) == ()


@settings(deadline=None)
@given(st.lists(st.text(max_size=50), max_size=5))
def test_a_question_for_keys_is_valid(keys):
    payload = commands.get_configuration(tuple(keys))
    assert payload == ({"key": keys} if keys else {})  # none: for all that there are
    assert check_request("1.6", "GetConfiguration", payload) == ()


@settings(deadline=None)
@given(st.text(max_size=50), st.text(max_size=500))
def test_a_change_of_a_key_is_valid(key, value):
    payload = commands.change_configuration(key, value)
    assert payload == {"key": key, "value": value}
    assert check_request("1.6", "ChangeConfiguration", payload) == ()


@settings(deadline=None)
@given(connectors, st.sampled_from(["Operative", "Inoperative"]))
def test_a_change_of_availability_is_valid(connector, wish):
    payload = commands.change_availability(connector, wish)
    assert payload == {"connectorId": connector, "type": wish}
    assert check_request("1.6", "ChangeAvailability", payload) == ()


def test_the_keys_that_we_set_are_spelled_as_in_1_6():
    keys = (commands.NUMBER_OF_CONNECTORS, commands.HEARTBEAT_INTERVAL, commands.SAMPLE_INTERVAL)
    assert keys == ("NumberOfConnectors", "HeartbeatInterval", "MeterValueSampleInterval")


@settings(deadline=None)
@given(st.integers(1, 10**6))
def test_a_status_is_asked_of_one_connector(connector):
    payload = commands.trigger_status(connector)
    assert payload == {"requestedMessage": "StatusNotification", "connectorId": connector}
    assert check_request("1.6", "TriggerMessage", payload) == ()


def test_a_status_is_asked_of_all_connectors_by_naming_none():
    assert commands.trigger_status(None) == {"requestedMessage": "StatusNotification"}
    assert check_request("1.6", "TriggerMessage", commands.trigger_status(None)) == ()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status": "Accepted"}, "Accepted"),
        ({"status": "nonsense"}, "nonsense"),
        ({"status": None}, "Rejected"),
        ({"status": True}, "Rejected"),
        ({"status": ["Accepted"]}, "Rejected"),
        ({}, "Rejected"),
    ],
)
def test_an_answer_without_a_status_is_a_no(answer, expected):
    assert commands.status_of(answer) == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"key": "A", "value": "1", "readonly": False}], {"A": Setting("1", False)}),
        ([{"key": "A", "value": "1", "readonly": True}], {"A": Setting("1", True)}),
        ([{"key": "A", "value": "", "readonly": False}], {"A": Setting("", False)}),
        ([{"key": "A", "readonly": True}], {"A": Setting(None, True)}),  # AuthorizationKey of open-ocpp
        ([{"key": "A", "value": None}], {"A": Setting(None, False)}),
        ([{"key": "A", "value": 300}], {"A": Setting("300", False)}),
        ([{"key": "A", "value": 0.5}], {"A": Setting("0.5", False)}),
        ([{"key": "A", "value": True}], {"A": Setting(None, False)}),
        ([{"key": "A", "value": []}], {"A": Setting(None, False)}),
        ([{"key": "A", "value": "1", "readonly": "true"}], {"A": Setting("1", False)}),
        ([{"key": "A", "value": "1"}, {"key": "A", "value": "2"}], {"A": Setting("2", False)}),
        ([{"key": 5, "value": "1"}, {"value": "1"}, "A", None, 5, []], {}),
        ([5, {"key": "A", "value": "1"}], {"A": Setting("1", False)}),
        ([], {}),
        ({}, {}),
        ("A", {}),
        (None, {}),
        (5, {}),
    ],
)
def test_the_keys_of_a_charger_are_what_can_be_read_of_its_answer(entries, expected):
    assert commands.settings({"configurationKey": entries}) == expected


def test_a_charger_that_names_no_keys_has_none():
    assert commands.settings({}) == {}
    assert commands.settings({"unknownKey": ["A"]}) == {}


@settings(deadline=None)
@given(any_payload | valid_payload("GetConfigurationResponse"), any_json)
def test_no_answer_makes_the_reading_raise(answer, entries):
    commands.status_of(answer)
    commands.settings(answer)
    found = commands.settings({"configurationKey": entries})
    assert all(isinstance(key, str) and isinstance(setting, Setting) for key, setting in found.items())


def test_all_keys_that_a_recorded_charger_named_are_read():
    frames = [json.loads(text) for way, text in recorded("*_16_*.jsonl") if way == "up"]
    answers = [frame[2] for frame in frames if frame[0] == 3 and "configurationKey" in frame[2]]
    assert answers
    for answer in answers:
        assert len(commands.settings(answer)) == len({entry["key"] for entry in answer["configurationKey"]})

"""What is odd about a valid request, told once by its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dialects.v16 import findings
from tests.dialects.payloads import FROM_CHARGER, any_payload, flawed_payload, recorded_calls, valid_payload

AT = "2026-11-21T09:00:00Z"
ENERGY = "Energy.Active.Import.Register"


def rules(action, payload):
    return [str(one.rule) for one in findings.of_request(action, payload)]


def of_value(**sampled):
    payload = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [{"value": "1"} | sampled]}]}
    return rules("MeterValues", payload)


@pytest.mark.parametrize(
    ("sampled", "expected"),
    [
        ({}, ["energy_without_unit"]),
        ({"unit": "Wh"}, []),
        ({"measurand": ENERGY}, ["energy_without_unit"]),
        ({"unit": "Wh", "value": "20.56"}, ["fraction_of_wh"]),
        ({"unit": "Wh", "value": "20.00"}, []),
        ({"unit": "kWh", "value": "0.30005000000000004"}, []),
        ({"measurand": "Voltage", "unit": "Fahrenheit"}, ["unit_of_other_measurand"]),
        ({"measurand": "SoC", "unit": "V"}, ["unit_of_other_measurand"]),
        ({"measurand": "SoC", "unit": "Percent", "phase": "L2"}, ["phase_of_other_measurand"]),
        ({"measurand": "Temperature", "unit": "K", "phase": "N"}, ["phase_of_other_measurand"]),
        ({"measurand": "Power.Factor"}, []),
        ({"measurand": "RPM"}, []),
        ({"measurand": "Current.Import", "unit": "A", "phase": "L1"}, []),
        ({"value": "string", "measurand": "Voltage", "unit": "V"}, ["value_not_a_number"]),
        ({"value": "NaN", "unit": "Wh"}, ["value_not_a_number"]),
        ({"value": "-Infinity", "measurand": "Voltage", "unit": "V"}, ["value_not_a_number"]),
        ({"value": "string", "format": "SignedData", "unit": "Wh"}, []),
        ({"value": "OCMF|{}|{}"}, ["signed_values"]),
        ({"value": '{"signedMeterData":"' + "x" * 500}, ["value_over_500_characters", "signed_values"]),
        ({"value": "x" * 60, "format": "SignedData"}, ["signed_values"]),
    ],
)
def test_a_value_that_does_not_fit_is_named(sampled, expected):
    assert of_value(**sampled) == expected


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (AT, []),
        ("2026-11-21T09:00:00.123+01:00", []),
        ("2026-11-21 09:00:00.1234567Z", []),
        ("2026-08-04T13:35:45.377", ["timestamp_without_zone"]),
        ("1970-01-01T00:00:05Z", ["clock_not_set"]),
        ("garbage", ["timestamp_unreadable"]),
        (5, ["timestamp_unreadable"]),
        (None, []),
    ],
)
def test_a_time_that_says_little_is_named(timestamp, expected):
    for action in ("StartTransaction", "StatusNotification"):
        assert rules(action, {"timestamp": timestamp}) == expected
    assert rules("MeterValues", {"meterValue": [{"timestamp": timestamp}]}) == expected


def test_a_stop_that_says_neither_who_nor_why_is_named():
    stop = {"transactionId": 1, "meterStop": 5, "timestamp": AT}
    assert rules("StopTransaction", stop) == ["stop_without_reason", "stop_without_token"]
    assert rules("StopTransaction", stop | {"idTag": "A", "reason": "Local"}) == []
    assert rules("StopTransaction", stop | {"idTag": "A", "reason": "Local", "meterStop": -1}) == ["meter_stop_unknown"]


def test_each_finding_is_told_once():
    sampled = [{"value": "1"}, {"value": "2"}]
    payload = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": sampled}] * 3}
    assert rules("MeterValues", payload) == ["energy_without_unit"]


@given(st.sampled_from(FROM_CHARGER).flatmap(lambda n: st.tuples(st.just(n), flawed_payload(n) | any_payload)))
def test_any_request_is_looked_at_without_an_exception(drawn):
    findings.of_request(*drawn)


@given(st.sampled_from(FROM_CHARGER).flatmap(lambda n: st.tuples(st.just(n), valid_payload(n))))
def test_any_valid_request_is_looked_at_without_an_exception(drawn):
    findings.of_request(*drawn)


def test_recorded_requests_are_looked_at():
    assert {rule for action, payload in recorded_calls("up") for rule in rules(action, payload)}


@pytest.mark.parametrize(
    ("command", "asked", "action", "expected"),
    [
        ("TriggerMessage", {"requestedMessage": "MeterValues"}, "MeterValues", True),
        ("TriggerMessage", {"requestedMessage": "MeterValues"}, "StatusNotification", False),
        ("Reset", {}, "BootNotification", True),
        ("RemoteStartTransaction", {}, "StartTransaction", True),
        ("RemoteStopTransaction", {}, "StopTransaction", True),
        ("ChangeAvailability", {}, "StatusNotification", True),
        ("GetConfiguration", {}, "StatusNotification", False),
    ],
)
def test_an_effect_of_a_command_is_known(command, asked, action, expected):
    assert findings.is_effect(command, asked, action, {}) is expected

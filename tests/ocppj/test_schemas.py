"""The verdict of our schema check is the verdict of `ocpp`, and what is forbidden can be taken out."""

import copy
import json
import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.exceptions import ValidationError as SchemaError
from ocpp.exceptions import OCPPError
from ocpp.messages import Call, CallResult, _validate_payload

from edge.ocppj.actions import UNCONFIRMED, error_code
from edge.ocppj.frames import CHARGER_LIMITS, parse
from edge.ocppj.frames import Call as CallFrame
from edge.ocppj.frames import CallResult as ResultFrame
from edge.ocppj.schemas import (
    MAX_VIOLATIONS,
    Violation,
    check_request,
    check_response,
    warm_up,
    without_forbidden,
)
from tests.ocppj.corpus import mutated, recorded, schema, schema_names, valid


def stock_verdict(version, name, payload):
    """What `ocpp` says: None, or its code with the keyword and the path of its first error."""
    if name.endswith("Response"):
        message = CallResult("1", copy.deepcopy(payload), name.removesuffix("Response"))
    else:
        message = Call("1", name if version == "1.6" else name.removesuffix("Request"), copy.deepcopy(payload))
    try:
        _validate_payload(message, version)
    except OCPPError as refusal:
        error = refusal.__context__
        assert isinstance(error, SchemaError)
        # `ocpp` says FormatViolation in 1.6 too, where its name is FormationViolation.
        return error_code("1.6", refusal.code), error.validator, tuple(error.absolute_path)
    return None


def our_verdict(version, name, payload):
    if name.endswith("Response"):
        violations = check_response(version, name.removesuffix("Response"), payload)
    else:
        violations = check_request(version, name if version == "1.6" else name.removesuffix("Request"), payload)
    if not violations:
        return None
    first = violations[0]
    names_a_member = first.keyword in ("required", "additionalProperties")
    return first.code, first.keyword, first.path[:-1] if names_a_member else first.path


def assert_same_verdict(version, name, payloads):
    refused = 0
    for payload in payloads:
        stock = stock_verdict(version, name, payload)
        assert our_verdict(version, name, payload) == stock, json.dumps(payload)
        refused += stock is not None
    return refused


def corpus_of(version, name, size):
    random = Random(f"{version} {name}")
    for number in range(size):
        payload = valid(version, name, random)
        yield mutated(payload, random, number % 4)


@pytest.mark.parametrize("name", [name for name in schema_names("1.6") if not name.endswith("Response")])
def test_verdict_on_each_request_of_16_is_that_of_ocpp(name):
    refused = assert_same_verdict("1.6", name, corpus_of("1.6", name, 120))
    assert 30 <= refused <= 100, "the corpus must hold both kinds"


@pytest.mark.parametrize("name", [name for name in schema_names("1.6") if name.endswith("Response")])
def test_verdict_on_each_response_of_16_is_that_of_ocpp(name):
    assert_same_verdict("1.6", name, corpus_of("1.6", name, 24))


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_verdict_on_each_message_of_2x_is_that_of_ocpp(version):
    for name in schema_names(version):
        if name not in UNCONFIRMED:  # `ocpp` does not know SEND
            assert_same_verdict(version, name, corpus_of(version, name, 8))


def test_verdict_on_each_recorded_message_is_that_of_ocpp():
    asked = {}
    compared = 0
    for _, text in recorded("*_16_*.jsonl"):
        frame = parse(text, CHARGER_LIMITS)
        if isinstance(frame, CallFrame):
            asked[frame.message_id] = frame.action
            assert_same_verdict("1.6", frame.action, [frame.payload])
            compared += 1
        elif isinstance(frame, ResultFrame):
            assert_same_verdict("1.6", f"{asked[frame.message_id]}Response", [frame.payload])
            compared += 1
    assert compared > 100


def profile_with(limit):
    period = {"startPeriod": 0, "limit": limit}
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    }
    return {"connectorId": 1, "csChargingProfiles": profile}


def test_limit_is_a_multiple_of_a_tenth_exactly_where_ocpp_says_so():
    limits = [n / 10 for n in range(0, 641, 7)] + [n / 100 for n in range(1601, 1621)]
    limits += [0.1 + 0.2, 1 / 3, 1e-9, 123456.7, 32, -3.7]
    refused = assert_same_verdict("1.6", "SetChargingProfile", [profile_with(limit) for limit in limits])
    assert refused == 21


@pytest.mark.parametrize("limit", [1e300, -1e300, 1e308, sys.float_info.max, sys.float_info.min, 5e-324, 2**63 - 1])
def test_number_on_which_ocpp_crashes_does_not_crash_us(limit):
    for violation in check_request("1.6", "SetChargingProfile", profile_with(limit)):
        assert violation.keyword == "multipleOf"


@pytest.mark.parametrize(
    ("payload", "violation"),
    [
        ({}, Violation(("idTag",), "required", "idTag is missing", "ProtocolError")),
        ({"idTag": 7}, Violation(("idTag",), "type", "idTag is not of type string", "TypeConstraintViolation")),
        (
            {"idTag": "x" * 21},
            Violation(("idTag",), "maxLength", "idTag is longer than 20 characters", "TypeConstraintViolation"),
        ),
        (
            {"idTag": "x", "a\n\u202e": 1},
            Violation(("a\n\u202e",), "additionalProperties", r"a\n\u202e is unknown", "FormationViolation"),
        ),
        (
            {"idTag": "x", "k" * 99: 1},
            Violation(("k" * 99,), "additionalProperties", "k" * 50 + "… is unknown", "FormationViolation"),
        ),
    ],
)
def test_violation_names_member_keyword_and_code_without_the_peers_text(payload, violation):
    assert check_request("1.6", "Authorize", payload) == (violation,)


@pytest.mark.parametrize(
    ("version", "action", "payload", "message"),
    [
        ("1.6", "Reset", {"type": "Warm"}, "type is none of the values allowed"),
        ("1.6", "MeterValues", {"connectorId": True, "meterValue": [{"timestamp": "", "sampledValue": [{"value": "1"}]}]}, "connectorId is not of type integer"),
        ("1.6", "MeterValues", {"connectorId": 1, "meterValue": "no"}, "meterValue is not of type array"),
        ("1.6", "SetChargingProfile", profile_with(16.05), "csChargingProfiles.chargingSchedule.chargingSchedulePeriod.0.limit is not a multiple of 0.1"),
        ("2.0.1", "GetVariables", {"getVariableData": []}, "getVariableData has fewer than 1 items"),
        ("2.0.1", "SignCertificate", {"csr": "x", "customData": {}}, "customData.vendorId is missing"),
        ("2.0.1", "BootNotification", {"reason": {"x": 1}, "chargingStation": {"model": "m", "vendorName": "v"}}, "reason is not of type string"),
        ("2.1", "BootNotification", {"reason": {"x": 1}, "chargingStation": {"model": "m", "vendorName": "v"}}, "reason is not of type string"),
        ("2.1", "NotifyEVChargingSchedule", {"evseId": -1}, "evseId is below 1"),
    ],
)  # fmt: skip
def test_first_violation_is_explained(version, action, payload, message):
    assert message in [violation.message for violation in check_request(version, action, payload)]


def test_upper_bounds_are_explained():
    needs = {
        "evseId": 1,
        "chargingNeeds": {
            "requestedEnergyTransfer": "DC",
            "dcChargingParameters": {"evMaxCurrent": 1, "evMaxVoltage": 1, "stateOfCharge": 101},
        },
    }
    assert [v.message for v in check_request("2.0.1", "NotifyEVChargingNeeds", needs)] == [
        "chargingNeeds.dcChargingParameters.stateOfCharge is above 100"
    ]
    certificate = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "a",
        "issuerKeyHash": "b",
        "serialNumber": "c",
        "responderURL": "d",
    }
    token = {"idToken": "x", "type": "ISO14443"}
    payload = {"idToken": token, "iso15118CertificateHashData": [certificate] * 5}
    assert [v.message for v in check_request("2.0.1", "Authorize", payload)] == [
        "iso15118CertificateHashData has more than 4 items"
    ]


@pytest.mark.parametrize(
    ("version", "action"),
    [("1.6", "TransactionEvent"), ("2.0.1", "StartTransaction"), ("1.6", "../v201/schemas/Reset"), ("2.1", "")],
)
def test_action_that_the_version_does_not_know_is_not_implemented(version, action):
    for violations in (check_request(version, action, {}), check_response(version, action, {})):
        assert [violation.code for violation in violations] == ["NotImplemented"]
    assert without_forbidden(version, action, {"a": 1}) == ({"a": 1}, check_request(version, action, {}))


def test_unconfirmed_message_is_checked_and_has_no_response():
    missing = {violation.path for violation in check_request("2.1", "NotifyPeriodicEventStream", {})}
    assert missing == {("data",), ("id",), ("pending",), ("basetime",)}
    assert [v.code for v in check_response("2.1", "NotifyPeriodicEventStream", {})] == ["NotImplemented"]


def test_number_of_violations_told_is_bounded():
    payload = {"idTag": "x"} | {f"k{n}": n for n in range(1000)}
    assert len(check_request("1.6", "Authorize", payload)) == MAX_VIOLATIONS


def test_schemas_warmed_up_give_the_same_verdict():
    warm_up("1.6", ["Heartbeat", "NoSuchAction"])
    assert check_request("1.6", "Heartbeat", {}) == ()
    assert check_response("1.6", "Heartbeat", {"currentTime": "2026-01-01T00:00:00Z"}) == ()


EXPLAINED = {
    "$ref",
    "additionalProperties",
    "enum",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minimum",
    "multipleOf",
    "properties",
    "required",
    "type",
}
WITHOUT_EFFECT = {
    "$id", "$schema", "additionalItems", "comment", "default", "definitions", "description", "format", "javaType", "title",
}  # fmt: skip


def nodes(node):
    yield node
    for key, below in node.items():
        if key in ("properties", "definitions"):
            for member in below.values():
                yield from nodes(member)
        elif key == "items":
            yield from nodes(below)


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_schemas_use_no_keyword_that_cannot_be_explained(version):
    for name in schema_names(version):
        for node in nodes(schema(version, name)):
            assert node.keys() <= EXPLAINED | WITHOUT_EFFECT, name
            assert node.get("additionalProperties", False) is False, name


# --- taking out what is forbidden -------------------------------------------------------------------------------


def stop_with(**members):
    return {"transactionId": 7, "meterStop": 900, "timestamp": "2026-01-01T00:00:00Z"} | members


SAMPLE = {"value": "1"}
T = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("given_payload", "left", "removed"),
    [
        (stop_with(), stop_with(), []),
        (stop_with(foo=1, idTag="A"), stop_with(idTag="A"), [("foo",)]),
        (stop_with(idTag="x" * 21), stop_with(), [("idTag",)]),
        (stop_with(reason="Bored"), stop_with(), [("reason",)]),
        (  # a sampled value without its value goes as a whole, its neighbours stay
            stop_with(transactionData=[{"timestamp": T, "sampledValue": [{"unit": "Wh"}, SAMPLE, {"value": 3}]}]),
            stop_with(transactionData=[{"timestamp": T, "sampledValue": [SAMPLE]}]),
            [("transactionData", 0, "sampledValue", 0), ("transactionData", 0, "sampledValue", 2)],
        ),
        (  # a second round finds what the first one left empty; paths count in the original
            {"connectorId": 1, "meterValue": [{"timestamp": T, "sampledValue": [{}]}, {"timestamp": T, "sampledValue": [SAMPLE | {"x": 1}]}]},
            {"connectorId": 1, "meterValue": [{"timestamp": T, "sampledValue": [SAMPLE]}]},
            [("meterValue", 0, "sampledValue", 0), ("meterValue", 1, "sampledValue", 0, "x"), ("meterValue", 0)],
        ),
    ],
)  # fmt: skip
def test_what_is_forbidden_is_taken_out_and_named_by_its_original_path(given_payload, left, removed):
    action = "StopTransaction" if "meterStop" in given_payload else "MeterValues"
    tree, violations = without_forbidden("1.6", action, given_payload)
    assert tree == left
    assert {violation.path for violation in violations} == set(removed)
    assert check_request("1.6", action, tree) == ()


def test_message_of_a_later_round_names_the_original_place():
    bad = {
        "timestamp": T,
        "sampledValue": [{"unit": "Bogus"}, SAMPLE | {"unit": "Bogus"}, {"value": 1}, {"value": "1", "context": 0}],
    }
    payload = {"connectorId": 1, "meterValue": [{"timestamp": T}] * 300 + [bad]}
    tree, violations = without_forbidden("1.6", "MeterValues", payload)
    assert tree["meterValue"] == [{"timestamp": T, "sampledValue": [SAMPLE, SAMPLE]}]
    for violation in violations:
        assert violation.message.startswith(".".join(str(step) for step in violation.path))
    assert ("meterValue", 300, "sampledValue", 3, "context") in {violation.path for violation in violations}


def test_member_that_the_message_requires_stays_and_is_reported():
    payload = {"connectorId": 1, "idTag": "x" * 21, "meterStart": 0, "timestamp": T, "foo": 1}
    tree, violations = without_forbidden("1.6", "StartTransaction", payload)
    assert tree == {"connectorId": 1, "idTag": "x" * 21, "meterStart": 0, "timestamp": T}
    assert [violation.path for violation in violations] == [("foo",), ("idTag",)]
    assert [violation.path for violation in check_request("1.6", "StartTransaction", tree)] == [("idTag",)]


def test_payload_with_thousands_of_errors_takes_bounded_work():
    payload = {"connectorId": 1, "meterValue": [{"timestamp": T, "sampledValue": [{}] * 6000}]}
    tree, violations = without_forbidden("1.6", "MeterValues", payload)
    assert 2000 < len(violations) < 5000
    assert len(tree["meterValue"][0]["sampledValue"]) == 6000 - len(violations)
    assert check_request("1.6", "MeterValues", tree) != ()


REQUESTS = [
    (version, name.removesuffix("Request"))
    for version in ("1.6", "2.0.1")
    for name in schema_names(version)
    if not name.endswith("Response")
]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(REQUESTS), st.integers(0, 10**6), st.integers(1, 6))
def test_taking_out_never_changes_its_input_and_ends_valid_or_with_a_required_member_to_blame(message, seed, mutations):
    version, action = message
    random = Random(seed)
    name = action if version == "1.6" else f"{action}Request"
    payload = mutated(valid(version, name, random), random, mutations)
    before = json.dumps(payload)
    tree, violations = without_forbidden(version, action, payload)
    assert json.dumps(payload) == before
    assert (violations == ()) == (check_request(version, action, payload) == ())
    remaining = check_request(version, action, tree)
    blamed = {violation.path for violation in violations}
    assert all(remains.path in blamed or remains.keyword == "minItems" for remains in remaining)
    if not violations:
        assert tree == payload

"""What a payload that breaks its schema is understood to say, and which named tolerance made it so."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dialects import tolerances
from edge.domain.field_guide import DESCRIBED
from edge.domain.peculiarities import Kind, Rule
from edge.ocppj.schemas import check_request
from edge.uplink.second_try import second_try
from tests.dialects.payloads import FROM_CHARGER, any_payload, flawed_payload

AT = "2026-11-21T09:00:00Z"


def read(action, payload):
    return tolerances.read("1.6", action, payload, check_request("1.6", action, payload))


def values(*sampled, **more):
    return {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": list(sampled)}], **more}


def status(**changed):
    return {"connectorId": 1, "status": "Available", "errorCode": "NoError"} | changed


def boot(**changed):
    return {"chargePointVendor": "V", "chargePointModel": "M"} | changed


def start(**changed):
    return {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": AT} | changed


CASES = [
    # rules, action, as sent, as understood
    (["null_member"], "StartTransaction", start(reservationId=None), start()),
    (["null_member"], "MeterValues", values(None, {"value": "1"}), values({"value": "1"})),
    (["empty_string"], "MeterValues", values({"value": "1", "unit": ""}), values({"value": "1"})),
    (["empty_string"], "StartTransaction", start(reservationId=""), start()),
    (
        ["object_for_list"],
        "MeterValues",
        {"connectorId": 1, "meterValue": {"timestamp": AT, "sampledValue": {"value": "1"}}},
        values({"value": "1"}),
    ),
    (["number_for_string"], "MeterValues", values({"value": 1234.5}), values({"value": "1234.5"})),
    (["string_for_number"], "StartTransaction", start(meterStart="12", connectorId="1"), start(meterStart=12)),
    (["fraction_for_integer"], "StartTransaction", start(meterStart=12.0), start(meterStart=12)),
    (["fraction_for_integer"], "StartTransaction", start(meterStart=12.6), start(meterStart=13)),
    (["member_spelling"], "Authorize", {"idtag": "A"}, {"idTag": "A"}),
    (["value_spelling"], "StatusNotification", status(status="available"), status()),
    (["value_spelling"], "StatusNotification", status(status="'Suspended_EV' "), status(status="SuspendedEV")),
    (["unit_alias"], "MeterValues", values({"value": "50", "unit": "Hz"}), values({"value": "50", "unit": "Hertz"})),
    (
        ["measurand_alias"],
        "MeterValues",
        values({"value": "5", "measurand": "Power"}),
        values({"value": "5", "measurand": "Power.Active.Import"}),
    ),
    (
        ["context_alias"],
        "MeterValues",
        values({"value": "5", "context": "End"}),
        values({"value": "5", "context": "Transaction.End"}),
    ),
    (["error_code_alias"], "StatusNotification", status(errorCode="Error"), status(errorCode="OtherError")),
    (["error_code_alias"], "StatusNotification", status(errorCode=""), status()),
    (["unknown_error_code"], "StatusNotification", status(errorCode="E-17"), status(errorCode="OtherError")),
    (["long_string"], "BootNotification", boot(chargePointSerialNumber="S" * 33), boot(chargePointSerialNumber="S" * 33)),
    (
        ["unknown_value"],
        "MeterValues",
        values({"value": "5", "measurand": "Request.Energy"}),
        values({"value": "5", "measurand": "Request.Energy"}),
    ),
    (["unknown_member"], "BootNotification", boot(vendor={"x": [1]}), boot(vendor={"x": [1]})),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "action", "sent", "understood"), CASES)
def test_a_known_peculiarity_is_understood_under_its_name(rules, action, sent, understood):
    before = copy.deepcopy(sent)
    reading = read(action, sent)
    assert list(dict.fromkeys(one.rule for one in reading.applied)) == rules
    assert reading.payload == understood
    assert reading.violations == ()
    assert sent == before


def test_what_one_step_uncovers_is_for_the_next_round():
    sent = {"ConnectorID": "1", "meterValue": {"timestamp": AT, "sampledValue": {"value": 5, "unit": None}}}
    reading = read("MeterValues", sent)
    assert reading.payload == values({"value": "5"})
    assert {one.rule for one in reading.applied} == {
        Rule.MEMBER_SPELLING, Rule.STRING_FOR_NUMBER, Rule.OBJECT_FOR_LIST, Rule.NULL_MEMBER, Rule.NUMBER_FOR_STRING,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("action", "sent"),
    [
        ("StatusNotification", status(status="Occupied")),
        ("StatusNotification", {"connectorId": 1, "status": "Available"}),
        ("StartTransaction", start(connectorId=1.5)),
        ("StartTransaction", start(connectorId="one")),
        ("StartTransaction", start(meterStart="99999999999999999999")),
        ("BootNotification", {"chargePointVendor": "V"}),
        ("Authorize", {"idTag": None}),
        ("Authorize", {"idTag": 7}),
        ("Authorize", {"idTag": "T" * 21}),
        ("Authorize", {"idTag": "A", "limit": 5}),
        ("Heartbeat", {"extra": 1}),
    ],
)
def test_what_no_tolerance_covers_stays_a_violation(action, sent):
    assert read(action, sent).violations


def test_a_valid_payload_is_not_looked_at():
    payload = values({"value": "1"})
    assert read("MeterValues", payload).payload is payload


def test_many_alike_are_told_a_few_times():
    reading = read("MeterValues", values(*({"value": number} for number in range(500))))
    assert reading.violations == ()
    assert len(reading.applied) == tolerances.TOLD


def test_every_tolerance_of_payloads_is_in_the_table_above():
    first, last = Rule.NULL_MEMBER, Rule.UNKNOWN_MEMBER
    rules = list(Rule)
    of_payloads = rules[rules.index(first) : rules.index(last) + 1]
    tested = {rule for case in CASES for rule in case[0]} | {Rule.STRING_FOR_BOOLEAN}  # no charger's request has one
    assert set(of_payloads) == tested
    assert all(DESCRIBED[rule].kind is Kind.TOLERANCE for rule in of_payloads)


@given(st.sampled_from(FROM_CHARGER).flatmap(lambda name: st.tuples(st.just(name), flawed_payload(name) | any_payload)))
def test_any_payload_is_read_without_an_exception_and_what_it_says_is_what_holds(drawn):
    action, payload = drawn
    if "Infinity" in (text := json.dumps(payload)) or "NaN" in text:
        return  # no parsed payload has them
    reading = read(action, payload)
    left = check_request("1.6", action, reading.payload, 5000)
    waved = {"maxLength", "additionalProperties", "enum"}
    assert {one.keyword for one in left} - waved <= {one.keyword for one in reading.violations} or len(left) == 5000
    assert reading.violations or not left or reading.applied


# --- what is sent to a CSMS that has called the payload malformed


def test_the_second_try_goes_without_what_the_schema_forbids():
    payload, losses = second_try("1.6", "MeterValues", values({"value": "1", "extra": 1, "unit": "Hz"}))
    assert payload == values({"value": "1"})
    assert {tuple(loss["path"])[-1] for loss in losses} == {"extra", "unit"}


def test_the_second_try_is_what_was_understood_where_leaving_out_leaves_no_message():
    payload, losses = second_try("1.6", "MeterValues", values({"value": 1234}, extra=1))
    assert payload == values({"value": "1234"})
    assert [loss.get("rule") for loss in losses] == ["number_for_string", "unknown_member", None]


def test_a_token_is_never_cut():
    payload, _ = second_try("1.6", "StartTransaction", start(idTag="T" * 25))
    assert payload == start(idTag="T" * 25)

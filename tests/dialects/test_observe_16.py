"""What a 1.6 charger's request tells: read leniently, and never an exception."""

import copy
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dialects.v16 import observe
from edge.domain.events import (
    ChargerBooted,
    ConnectorStatusChanged,
    DiagnosticsProgressed,
    EnergyMeasured,
    FirmwareProgressed,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edge.domain.ids import ChargerNo
from edge.domain.transactions import start_key
from edge.ocppj.schemas import check_request
from tests.dialects.payloads import (
    FOLLOWED,
    FROM_CHARGER,
    REQUESTS,
    any_json,
    any_payload,
    flawed_payload,
    recorded_calls,
    valid_payload,
)

NINE = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
AT = "2026-11-21T09:00:00Z"
KINDS = {
    "Authorize": TokenPresented,
    "BootNotification": ChargerBooted,
    "DiagnosticsStatusNotification": DiagnosticsProgressed,
    "FirmwareStatusNotification": FirmwareProgressed,
    "LogStatusNotification": DiagnosticsProgressed,
    "MeterValues": EnergyMeasured,
    "SignedFirmwareStatusNotification": FirmwareProgressed,
    "StartTransaction": TransactionStarted,
    "StatusNotification": ConnectorStatusChanged,
    "StopTransaction": TransactionEnded,
}


def measured(connector, transaction, at, register, last_at=None):
    """Of one sample, if `last_at` does not say otherwise."""
    return EnergyMeasured(connector, transaction, at, register, last_at=last_at or at)


# --- what each action tells


def test_a_boot_tells_what_the_charger_is():
    payload = {
        "chargePointVendor": "V",
        "chargePointModel": "M",
        "chargePointSerialNumber": "S",
        "chargeBoxSerialNumber": "B",
        "firmwareVersion": "F",
        "iccid": "",
    }
    assert observe.observe("BootNotification", payload) == ChargerBooted("V", "M", "S", "F")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, ChargerBooted(None, None, None, None)),
        ({"chargeBoxSerialNumber": "B"}, ChargerBooted(None, None, "B", None)),
        ({"chargePointSerialNumber": "", "chargeBoxSerialNumber": "B"}, ChargerBooted(None, None, "B", None)),
        ({"chargePointVendor": 5, "chargePointModel": [], "firmwareVersion": True}, ChargerBooted(*[None] * 4)),
    ],
)
def test_a_boot_is_known_by_what_it_says_however_little(payload, expected):
    assert observe.observe("BootNotification", payload) == expected


def test_a_status_tells_of_its_connector():
    payload = {"connectorId": 2, "status": "Charging", "errorCode": "NoError", "timestamp": AT}
    told = ConnectorStatusChanged(2, "Charging", "NoError", datetime.fromisoformat(AT))
    assert observe.observe("StatusNotification", payload) == told


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"connectorId": 0, "status": "Faulted", "errorCode": "GroundFailure"}, (0, "Faulted", "GroundFailure")),
        ({"connectorId": 1, "status": "Available"}, (1, "Available", "NoError")),
        ({"connectorId": "1", "status": "Available", "errorCode": 7}, (1, "Available", "NoError")),
        ({"status": "Available", "errorCode": "NoError"}, None),
        ({"connectorId": 1, "errorCode": "NoError"}, None),
        ({"connectorId": 1, "status": 3}, None),
        ({"connectorId": True, "status": "Available"}, None),
        ({"connectorId": None, "status": "Available"}, None),
    ],
)
def test_a_status_without_connector_or_status_tells_nothing(payload, expected):
    found = observe.observe("StatusNotification", payload)
    assert found == (None if expected is None else ConnectorStatusChanged(*expected))


def test_authorize_tells_of_the_token_as_it_is_written():
    assert observe.observe("Authorize", {"idTag": " F6 CA 0C C5"}) == TokenPresented(" F6 CA 0C C5")
    assert observe.observe("Authorize", {"idTag": "20:69:C0:21"}) == TokenPresented("20:69:C0:21")
    assert observe.observe("Authorize", {"idTag": 5}) is None
    assert observe.observe("Authorize", {}) is None


def start(**changes):
    return {"connectorId": 1, "idTag": "ANNA", "meterStart": 1000, "timestamp": AT} | changes


def test_a_start_tells_who_where_when_and_from_which_register():
    found = observe.observe("StartTransaction", start(reservationId=3))
    assert (found.connector, found.token, found.meter_start_wh, found.at) == (1, "ANNA", 1000, NINE)


@pytest.mark.parametrize(
    ("changes", "meter_start_wh"),
    [
        ({"meterStart": 0}, 0),
        ({"meterStart": "1000"}, 1000),
        ({"meterStart": 1000.0}, 1000),
        ({"meterStart": -1}, -1),
        ({"meterStart": 2147483647}, 2147483647),
        ({"meterStart": 2**53 + 1}, 2**53 + 1),
        ({"meterStart": 2**63 - 1}, 2**63 - 1),
        ({"meterStart": None}, None),
        ({"meterStart": True}, None),
        ({"meterStart": "NaN"}, None),
        ({"meterStart": float("nan")}, None),
        ({"meterStart": float("inf")}, None),
        ({"meterStart": 1e300}, None),
        ({"meterStart": "1e400"}, None),
        ({"meterStart": {}}, None),
        ({"meterStart": [1000]}, None),
        ({"meterStart": "12 kWh"}, None),
        ({"meterStart": ""}, None),
    ],
)
def test_a_start_is_a_start_whatever_its_register(changes, meter_start_wh):
    found = observe.observe("StartTransaction", start(**changes))
    assert isinstance(found, TransactionStarted)
    assert found.meter_start_wh == meter_start_wh


@pytest.mark.parametrize("timestamp", [None, "", "garbage", 0, {}, [], "9999-12-31T23:59:59-14:00"])
def test_a_start_is_a_start_whatever_its_time(timestamp):
    found = observe.observe("StartTransaction", start(timestamp=timestamp))
    assert isinstance(found, TransactionStarted)
    assert found.at is None


@pytest.mark.parametrize("changes", [{"connectorId": None}, {"connectorId": "x"}, {"idTag": None}, {"idTag": 77}])
def test_a_start_that_does_not_say_who_or_where_is_none(changes):
    assert observe.observe("StartTransaction", start(**changes)) is None


def test_a_repeated_start_is_known_whatever_else_the_charger_adds_and_a_different_one_is_not():
    """E.2: charger, connector, idTag, timestamp and meterStart."""

    def key(**changes):
        return start_key(ChargerNo(1), observe.observe("StartTransaction", start(**changes)))

    assert key() == key(reservationId=7) == key(vendorField={"a": 1})
    different = [{"idTag": "BERT"}, {"timestamp": "2026-11-21T09:00:01Z"}, {"meterStart": 1001}, {"connectorId": 2}]
    assert len({key(), *(key(**change) for change in different)}) == 5


def stop(**changes):
    return {"transactionId": 7, "meterStop": 2000, "timestamp": AT, "idTag": "ANNA", "reason": "Remote"} | changes


def test_a_stop_tells_which_transaction_ended_and_how():
    assert observe.observe("StopTransaction", stop()) == TransactionEnded("7", 2000, NINE, "Remote", "ANNA")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"reason": None}, TransactionEnded("7", 2000, NINE, "Local", "ANNA")),
        ({"reason": ""}, TransactionEnded("7", 2000, NINE, "Local", "ANNA")),
        ({"reason": "SoftwareUpdate"}, TransactionEnded("7", 2000, NINE, "SoftwareUpdate", "ANNA")),
        ({"idTag": None}, TransactionEnded("7", 2000, NINE, "Remote", None)),
        ({"idTag": ""}, TransactionEnded("7", 2000, NINE, "Remote", None)),
        ({"meterStop": None}, TransactionEnded("7", None, NINE, "Remote", "ANNA")),
        ({"meterStop": -1}, TransactionEnded("7", -1, NINE, "Remote", "ANNA")),
        ({"timestamp": "garbage"}, TransactionEnded("7", 2000, None, "Remote", "ANNA")),
        ({"transactionId": "7"}, TransactionEnded("7", 2000, NINE, "Remote", "ANNA")),
        ({"transactionId": 7.0}, TransactionEnded("7", 2000, NINE, "Remote", "ANNA")),
        ({"transactionId": 0, "idTag": None}, TransactionEnded(None, 2000, NINE, "Remote", None)),
        ({"transactionId": -1, "idTag": None}, TransactionEnded(None, 2000, NINE, "Remote", None)),
        ({"transactionId": -1, "meterStop": None}, TransactionEnded(None, None, NINE, "Remote", "ANNA")),
        ({"transactionId": None}, TransactionEnded(None, 2000, NINE, "Remote", "ANNA")),
        ({"transactionId": "offline-6"}, TransactionEnded(None, 2000, NINE, "Remote", "ANNA")),
        ({"transactionId": True}, TransactionEnded(None, 2000, NINE, "Remote", "ANNA")),
        ({"transactionId": None, "meterStop": None}, None),
        ({"transactionId": {}, "idTag": None, "meterStop": None}, None),
        ({"idTag": None, "meterStop": None}, TransactionEnded("7", None, NINE, "Remote", None)),
    ],
)
def test_a_stop_is_a_stop_when_it_gives_any_evidence_of_its_transaction(changes, expected):
    assert observe.observe("StopTransaction", stop(**changes)) == expected


@pytest.mark.parametrize("transaction", [None, "offline-6"])
def test_a_stop_without_id_and_token_is_a_stop_of_the_only_open_transaction(transaction):
    """E.2: a charger whose stop is refused repeats it for ever, or blocks its queue; a remote stop has no idTag."""
    found = observe.observe("StopTransaction", stop(transactionId=transaction, idTag=None))
    assert found == TransactionEnded(None, 2000, NINE, "Remote", None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (1, "1"),
        (2**31 - 1, str(2**31 - 1)),
        ("42", "42"),
        (42.0, "42"),
        (2**31, None),
        (2**63 - 1, None),  # Alfen (J.2, 47)
        (10**400, None),
        (0, None),
        (-1, None),
        (-123456, None),  # Etrel's own (J.2, 50)
        ("0", None),
        (None, None),
        (True, None),
        (False, None),
        (1.5, None),
        (float("nan"), None),
        (float("-inf"), None),
        ("NaN", None),
        ("", None),
        ("offline-6", None),  # EN+ (J.2, 39)
        ([7], None),
        ({"id": 7}, None),
    ],
)
def test_a_transaction_id_is_one_that_we_could_have_given(written, expected):
    assert observe.transaction_id(written) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"transactionId": 0}, "0"),
        ({"transactionId": "offline-6"}, "offline-6"),
        ({"transactionId": None}, "None"),
        ({}, "none"),
        ({"transactionId": {"a": "x" * 100}}, "{'a': '" + "x" * 33),
    ],
)
def test_the_journal_shows_how_a_charger_named_its_transaction_cut_to_forty_characters(payload, expected):
    assert observe.transaction_as_sent(payload) == expected


# --- meter values


def sampled(value="1234", **members):
    return {"value": value} | members


def values(*samples, timestamp=AT, **changes):
    meter_value = {"timestamp": timestamp, "sampledValue": list(samples)}
    return {"connectorId": 1, "transactionId": 7, "meterValue": [meter_value]} | changes


def register(*samples):
    return observe.observe("MeterValues", values(*samples)).register_wh


def test_values_tell_of_their_connector_transaction_time_and_register():
    assert observe.observe("MeterValues", values(sampled())) == measured(1, "7", NINE, 1234)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (sampled("1234"), 1234),
        (sampled("1234.5"), 1234),
        (sampled("1235.5"), 1236),
        (sampled(1234), 1234),  # OpenEVSE: a number (J.2, 31)
        (sampled(20.56), 21),
        (sampled(" 1234 "), 1234),
        (sampled("0"), 0),
        (sampled("-5"), -5),
        (sampled("1.234", unit="kWh"), 1234),
        (sampled("0.30005000000000004", unit="kWh"), 300),
        (sampled(1.234, unit="kWh"), 1234),
        (sampled("1234", unit="Wh"), 1234),
        (sampled("1234", measurand="Energy.Active.Import.Register"), 1234),
        (sampled("1234", format="Raw"), 1234),
        (sampled("1234", location="Outlet"), 1234),
        (sampled("1234", phase=None), 1234),
        (sampled("1234", context="Transaction.End"), 1234),
        (sampled("1234", measurand="Power.Active.Import", unit="W"), None),
        (sampled("1234", measurand="Energy.Active.Export.Register"), None),
        (sampled("1234", measurand="Energy.Active.Import.Interval"), None),
        (sampled("1234", phase="L1"), None),
        (sampled("1234", format="SignedData"), None),
        (sampled("1234", location="Inlet"), None),
        (sampled("1234", location="EV"), None),
        (sampled(""), None),
        (sampled("NaN"), None),
        (sampled("inf"), None),
        (sampled(float("nan")), None),
        (sampled("1e15"), None),
        (sampled("999999999999999"), 999999999999999),
        (sampled("-1e15"), None),
        (sampled(10**400), None),
        (sampled("1,5"), None),
        (sampled('OCMF|{"RV":1}|'), None),
        (sampled(True), None),
        (sampled(None), None),
        (sampled([1]), None),
        (sampled("1234", unit=""), 1234),
        (sampled("1234", unit=None), 1234),
        (sampled("1.234", unit="kwh"), None),
        (sampled("1234", unit=[1]), None),
        (sampled("1234", unit={"kWh": 1}), None),
        ({"unit": "Wh"}, None),
        ("1234", None),
        (None, None),
        (1234, None),
        ([], None),
    ],
)
def test_the_register_is_the_outlets_total_imported_energy_in_wh(sample, expected):
    assert register(sample) == expected


@pytest.mark.parametrize("unit", ["A", "W", "Percent"])
def test_a_value_in_a_unit_that_is_none_of_energy_is_no_register_even_without_measurand(unit):
    assert register(sampled("16.0", unit=unit), sampled("5000", unit="Wh")) == 5000


@pytest.mark.parametrize("member", ["measurand", "format", "location"])
def test_a_member_that_is_null_counts_as_absent(member):
    assert register(sampled("1234", **{member: None})) == 1234


def test_the_register_is_found_among_other_values_and_a_flawed_one_is_passed_over():
    power, phase = sampled("11000", measurand="Power.Active.Import", unit="W"), sampled("9", phase="L2")
    assert register(power, phase, sampled("broken"), sampled("5"), sampled("6")) == 5
    assert register(power, phase) is None
    assert register() is None


def test_the_register_of_several_samples_is_the_last_one_and_their_time_the_first():
    samples = [
        {"timestamp": "2026-11-21T09:00:00Z", "sampledValue": [sampled("1")]},
        {"timestamp": "2026-11-21T09:01:00Z", "sampledValue": [sampled("2")]},
        {"timestamp": "2026-11-21T09:02:00Z", "sampledValue": [sampled("3", phase="L1")]},
    ]
    assert observe.observe("MeterValues", values(meterValue=samples)) == measured(
        1, "7", NINE, 2, NINE + timedelta(minutes=2)
    )


@pytest.mark.parametrize(
    ("meter_value", "expected"),
    [
        # Huawei: an object instead of a list (J.2, 30)
        ({"timestamp": AT, "sampledValue": [sampled()]}, measured(1, "7", NINE, 1234)),
        ({"timestamp": AT, "sampledValue": sampled()}, measured(1, "7", NINE, 1234)),
        ([{"timestamp": AT, "sampledValue": sampled()}], measured(1, "7", NINE, 1234)),
        ([{"timestamp": AT}], measured(1, "7", NINE, None)),
        ([{"timestamp": AT, "sampledValue": "1234"}], measured(1, "7", NINE, None)),
        ([{"timestamp": AT, "sampledValue": 5}], measured(1, "7", NINE, None)),
        ([{"sampledValue": [sampled()]}], measured(1, "7", None, 1234)),
        ([5, None, {"timestamp": AT, "sampledValue": [sampled()]}], measured(1, "7", NINE, 1234)),
        ([{}], measured(1, "7", None, None)),
        ({}, measured(1, "7", None, None)),
        ([], None),
        ([5], None),
        ("values", None),
        (None, None),
        (5, None),
    ],
)
def test_values_are_read_from_whatever_holds_them(meter_value, expected):
    assert observe.observe("MeterValues", values(meterValue=meter_value)) == expected


@pytest.mark.parametrize("transaction", [None, 0, -1, 2**63 - 1, "", "offline-6"])
def test_values_with_a_placeholder_name_no_transaction(transaction):
    assert observe.observe("MeterValues", values(sampled(), transactionId=transaction)).transaction is None


@pytest.mark.parametrize("connector", [None, "x", True, {}, 1.5])
def test_values_of_no_connector_tell_nothing_unless_they_name_their_transaction(connector):
    nameless = values(sampled(), connectorId=connector, transactionId=None)
    assert observe.observe("MeterValues", nameless) is None
    named = observe.observe("MeterValues", values(sampled(), connectorId=connector, transactionId=7))
    assert (named.connector, named.transaction) == (0, "7")


# --- all of it


def test_other_requests_tell_nothing_that_is_followed():
    others = sorted(set(REQUESTS) - set(FOLLOWED)) + ["", "startTransaction", "TransactionEvent"]
    everything = start() | stop() | values(sampled()) | {"status": "Available"}
    assert [observe.observe(action, everything) for action in others] == [None] * len(others)


@settings(deadline=None)
@given(st.sampled_from([*FOLLOWED, "Heartbeat", "nonsense"]), any_payload)
def test_no_payload_makes_it_raise(action, payload):
    before = copy.deepcopy(payload)
    found = observe.observe(action, payload)
    assert found is None or isinstance(found, KINDS[action])
    assert repr(payload) == repr(before)


@settings(deadline=None)
@given(any_json)
def test_no_value_makes_the_reading_of_an_id_raise(value):
    observe.transaction_id(value)


ODD = [
    None, True, 0, -1, 1.5, 10**400, float("nan"), float("inf"), "", "x", "NaN", [], [1], [[]], {}, {"a": 1}, [{"a": 1}],
]  # fmt: skip
MESSAGES = {
    "Authorize": {"idTag": "ANNA"},
    "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "F"}
    | {"chargePointSerialNumber": "S", "chargeBoxSerialNumber": "B"},
    "DiagnosticsStatusNotification": {"status": "Uploaded"},
    "FirmwareStatusNotification": {"status": "Installed"},
    "LogStatusNotification": {"status": "Uploaded", "requestId": 1},
    "MeterValues": values(sampled()),
    "SignedFirmwareStatusNotification": {"status": "Installed", "requestId": 1},
    "StartTransaction": start(),
    "StatusNotification": {"connectorId": 1, "status": "Available", "errorCode": "NoError"},
    "StopTransaction": stop(),
}


@pytest.mark.parametrize("action", FOLLOWED)
def test_no_member_of_a_message_makes_it_raise_whatever_stands_in_its_place(action):
    message = MESSAGES[action]
    for member in message:
        for odd in ODD:
            found = observe.observe(action, message | {member: odd})
            assert found is None or isinstance(found, KINDS[action]), (member, odd)


@pytest.mark.parametrize("member", ["value", "measurand", "unit", "phase", "format", "location", "context"])
def test_no_member_of_a_sampled_value_makes_it_raise_whatever_stands_in_its_place(member):
    for odd in ODD:
        found = observe.observe("MeterValues", values(sampled() | {member: odd}, sampled("7", context="Trigger")))
        assert isinstance(found, EnergyMeasured), odd


@pytest.mark.parametrize("member", ["timestamp", "sampledValue"])
def test_no_member_of_a_meter_value_makes_it_raise_whatever_stands_in_its_place(member):
    for odd in ODD:
        meter_value = {"timestamp": AT, "sampledValue": [sampled()], member: odd}
        assert isinstance(observe.observe("MeterValues", values(meterValue=[meter_value])), EnergyMeasured), odd


@pytest.mark.parametrize("action", FOLLOWED)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_no_flaw_in_a_real_message_makes_it_raise(action, data):
    found = observe.observe(action, data.draw(flawed_payload(action)))
    assert found is None or isinstance(found, KINDS[action])


@pytest.mark.parametrize("action", FOLLOWED)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_each_message_that_the_schema_allows_is_understood(action, data):
    assert isinstance(observe.observe(action, data.draw(valid_payload(action))), KINDS[action])


@pytest.mark.parametrize(("action", "payload"), [("StartTransaction", start(idTag="")), ("Authorize", {"idTag": ""})])
def test_an_empty_token_is_a_token_because_the_schema_allows_it(action, payload):
    assert check_request("1.6", action, payload) == ()
    assert isinstance(observe.observe(action, payload), KINDS[action])


@settings(deadline=None)
@given(st.sampled_from(["StartTransaction", "MeterValues", "StopTransaction"]), st.data())
def test_numbers_that_are_read_from_a_transaction_fit_the_database(action, data):
    found = observe.observe(action, data.draw(flawed_payload(action)))
    numbers = [getattr(found, name, None) for name in ("connector", "meter_start_wh", "meter_stop_wh", "register_wh")]
    assert all(number is None or (type(number) is int and -(2**63) <= number < 2**63) for number in numbers)


def test_each_request_that_real_chargers_sent_is_understood():
    calls = recorded_calls("up")
    of_the_extension = {"LogStatusNotification", "SignedFirmwareStatusNotification"}  # which none of them knows
    assert {action for action, _ in calls} >= set(FOLLOWED) - of_the_extension
    for action, payload in calls:
        found = observe.observe(action, payload)
        assert isinstance(found, KINDS[action]) if action in KINDS else found is None, json.dumps(payload)


def test_the_sessions_that_were_recorded_have_their_registers():
    registers = [
        event.register_wh
        for action, payload in recorded_calls("up")
        if isinstance(event := observe.observe(action, payload), EnergyMeasured)
    ]
    assert sum(found is not None for found in registers) >= len(registers) // 2
    assert all(found is None or 0 <= found < 10**9 for found in registers)


def test_transaction_messages_are_requests_of_a_charger():
    assert set(FROM_CHARGER) > observe.TRANSACTION_ACTIONS == {"StartTransaction", "MeterValues", "StopTransaction"}


def power(*samples):
    return observe.observe("MeterValues", values(*samples)).power_w


def watts(value, **members):
    return sampled(value, measurand="Power.Active.Import", unit="W") | members


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([watts("11000")], 11000),
        ([watts("11", unit="kW")], 11000),
        ([watts("3"), watts("1", phase="L1"), watts("1", phase="L2")], 3),
        ([watts("1", phase="L1-N", unit="kW"), watts("500", phase="L2-N")], 1500),  # JVH
        ([watts("1", phase="L1"), watts("2", phase="L1-N")], 2),
        ([watts("1", phase="N"), watts("2", phase="L1-L2"), watts("3", phase=["L1"]), watts("4", phase={})], None),
        ([watts("much", phase="L1")], None),
    ],
)
def test_power_is_the_total_else_the_sum_of_the_phases(samples, expected):
    assert power(*samples) == expected

"""What we say as one station is valid; what the CSMS says is read leniently."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dialects.v16 import station
from edge.dialects.v16.station import Registration, TokenInfo
from edge.domain.readings import SiteReading
from edge.domain.routing import ToConnector, ToStation, ToTransaction
from edge.ocppj.schemas import check_request, check_response
from tests.dialects.payloads import FROM_CSMS, any_payload, flawed_payload, instants, recorded_calls, valid_payload

NINE = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
numbers = st.integers(0, 10**6)
words = st.text(max_size=600)


# --- boot


@settings(deadline=None)
@given(words, words, words, words, st.none() | words)
def test_our_boot_is_valid_however_long_the_names_are(vendor, model, serial, firmware, meter):
    payload = station.boot(vendor, model, serial, firmware, meter)
    assert check_request("1.6", "BootNotification", payload) == ()


def test_our_boot_says_what_we_are_cut_to_what_1_6_allows():
    assert station.boot("v" * 99, "m" * 99, "s" * 99, "f" * 99, "t" * 99) == {
        "chargePointVendor": "v" * 20,
        "chargePointModel": "m" * 20,
        "chargePointSerialNumber": "s" * 25,
        "firmwareVersion": "f" * 50,
        "meterType": "t" * 25,
    }
    assert "meterType" not in station.boot("v", "m", "s", "f", None)


def test_a_new_boot_is_due_when_any_of_its_content_changes():
    same = ("v", "m", "s", "f", "t")
    changed = [same[:place] + ("x",) + same[place + 1 :] for place in range(5)] + [("v", "m", "s", "f", None)]
    keys = {station.boot_key(*content) for content in [same, *changed]}
    assert len(keys) == 7
    assert station.boot_key(*same) == station.boot_key(*same)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T09:00:00Z"},
            Registration("Accepted", 300.0, NINE),
        ),
        ({"status": "Rejected", "interval": 0.5}, Registration("Rejected", 1.0, None)),
        ({"status": "Pending", "interval": 1}, Registration("Pending", 1.0, None)),
        ({"status": "accepted", "interval": 300}, Registration("Pending", 300.0, None)),
        ({"status": None, "interval": "300"}, Registration("Pending", 60.0, None)),
        ({"status": ["Accepted"], "interval": None}, Registration("Pending", 60.0, None)),
        ({"status": "Accepted", "interval": 0}, Registration("Accepted", 60.0, None)),
        ({"status": "Accepted", "interval": -5}, Registration("Accepted", 60.0, None)),
        ({"status": "Accepted", "currentTime": "soon"}, Registration("Accepted", 60.0, None)),
        ({"status": {}, "interval": [], "currentTime": 5}, Registration("Pending", 60.0, None)),
        ({"interval": float("nan")}, Registration("Pending", 60.0, None)),
        ({}, Registration("Pending", 60.0, None)),
    ],
)
def test_an_answer_to_our_boot_that_cannot_be_read_is_pending_and_a_minute(answer, expected):
    assert station.registration(answer) == expected


def test_an_interval_that_is_true_is_no_interval():
    assert station.registration({"status": "Accepted", "interval": True}).interval == 60.0


@settings(deadline=None)
@given(valid_payload("BootNotificationResponse") | flawed_payload("BootNotificationResponse") | any_payload)
def test_no_answer_to_our_boot_makes_the_reading_raise(answer):
    if isinstance(answer.get("interval"), int) and abs(answer["interval"]) > 2**63:
        answer["interval"] = 2**63  # longer ones are no frames
    found = station.registration(answer)
    assert found.status in {"Accepted", "Pending", "Rejected"}
    assert found.interval > 0


# --- status

STATUSES = [
    "Available", "Preparing", "Charging", "SuspendedEVSE", "SuspendedEV", "Finishing", "Reserved", "Unavailable",
    "Faulted",
]  # fmt: skip


@settings(deadline=None)
@given(numbers, instants)
def test_the_status_of_an_absent_charger_is_valid(connector, now):
    assert check_request("1.6", "StatusNotification", station.unavailable(connector, now)) == ()


def test_an_absent_charger_is_unavailable_and_the_info_says_why():
    assert station.unavailable(7, NINE) == {
        "connectorId": 7,
        "errorCode": "NoError",
        "info": "charger offline",  # interface.md
        "status": "Unavailable",
        "timestamp": "2026-11-21T09:00:00.000Z",
    }


@settings(deadline=None)
@given(
    st.sampled_from(["Available", "Unavailable", "Faulted"]),
    st.sampled_from(["NoError", "InternalError", "OtherError"]),
    instants,
    st.none() | words,
)
def test_the_status_of_the_station_is_valid_however_long_the_info_is(status, error, now, info):
    payload = station.station_status(status, error, now, info)
    assert check_request("1.6", "StatusNotification", payload) == ()
    assert payload["connectorId"] == 0
    assert payload["status"] == status
    assert payload["errorCode"] == error


def test_the_info_of_the_station_is_there_when_there_is_something_to_say():
    assert "info" not in station.station_status("Available", "NoError", NINE, None)
    assert station.station_status("Faulted", "InternalError", NINE, "disk " * 20)["info"] == ("disk " * 10)


@settings(deadline=None)
@given(valid_payload("StatusNotification"), numbers)
def test_a_chargers_status_goes_up_under_its_number_and_else_as_it_is(payload, connector):
    before = dict(payload)
    assert station.with_connector(payload, connector) == before | {"connectorId": connector}
    assert payload == before
    assert check_request("1.6", "StatusNotification", station.with_connector(payload, connector)) == ()


def test_a_misspelled_connector_of_a_status_is_ours_too():
    said = {"ConnectorID": 1, "status": "Available"}
    assert station.with_connector(said, 17) == {"ConnectorID": 17, "status": "Available", "connectorId": 17}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"status": "Charging", "errorCode": "NoError"}, ("Charging", "NoError")),
        ({"connectorId": 1, "Status": " preparing", "errorCode": "Error"}, ("Preparing", "OtherError")),
        ({"status": "Faulted", "errorCode": "GroundFailure"}, ("Faulted", "GroundFailure")),
        ({"status": 5, "errorCode": None}, ("Unavailable", "NoError")),
        ({}, ("Unavailable", "NoError")),
    ],
)
def test_a_stored_status_is_read_back(payload, expected):
    assert station.reported_status(payload) == expected


# --- the site meter

FULL = SiteReading(
    at=NINE,
    voltage_v=(230.1, 230.2, 230.3),
    current_a=(16.004, 15.996, 0.0),
    power_w=(3680.04, -3679.96, 0.0),
    power_total_w=0.08,
    frequency_hz=50.0,
    energy_import_wh=123_456_789,
    energy_export_wh=42,
)


def entries(reading):
    payload = station.site_meter_values(reading, NINE)
    [meter_value] = payload["meterValue"]
    assert payload["connectorId"] == 0
    assert meter_value["timestamp"] == "2026-11-21T09:00:00.000Z"
    return meter_value["sampledValue"]


def test_the_site_meter_is_told_as_energy_power_and_current_per_phase():
    told = [(entry["measurand"], entry.get("phase"), entry["value"], entry["unit"]) for entry in entries(FULL)]
    assert told == [
        ("Energy.Active.Import.Register", None, "123456789", "Wh"),
        ("Energy.Active.Export.Register", None, "42", "Wh"),
        ("Power.Active.Import", "L1", "3680.0", "W"),
        ("Current.Import", "L1", "16.00", "A"),
        ("Power.Active.Export", "L2", "3680.0", "W"),
        ("Current.Import", "L2", "16.00", "A"),
        ("Power.Active.Import", "L3", "0.0", "W"),
        ("Current.Import", "L3", "0.00", "A"),
    ]


def test_the_site_meter_stands_at_the_inlet_and_is_read_by_the_clock():
    for entry in entries(FULL):
        assert (entry["context"], entry["location"]) == ("Sample.Clock", "Inlet")
        assert all(isinstance(member, str) for member in entry.values())


def test_what_the_meter_does_not_tell_is_left_out():
    one_phase = SiteReading(at=NINE, current_a=(None, 7.0, None), power_w=(None, None, -5.0))
    told = [(entry["measurand"], entry["phase"]) for entry in entries(one_phase)]
    assert told == [("Current.Import", "L2"), ("Power.Active.Export", "L3")]
    zero = SiteReading(at=NINE, energy_import_wh=0, energy_export_wh=0, power_w=(0.0, None, None))
    assert [entry["value"] for entry in entries(zero)] == ["0", "0", "0.0"]


def phases(low, high):
    one = st.none() | st.floats(low, high)
    return st.tuples(one, one, one)


readings = st.builds(
    SiteReading,
    at=st.just(NINE),
    current_a=phases(0, 1e9),
    power_w=phases(-1e12, 1e12),
    energy_import_wh=st.none() | st.integers(0, 2**63),
    energy_export_wh=st.none() | st.integers(0, 2**63),
    power_total_w=st.none() | st.floats(-1e12, 1e12),
    frequency_hz=st.none() | st.just(50.0),
)


@settings(deadline=None)
@given(readings, instants)
def test_whatever_the_site_meter_reads_is_a_valid_message_without_a_sign(reading, now):
    payload = station.site_meter_values(reading, now)
    if payload is None:
        assert reading == SiteReading(at=NINE, voltage_v=reading.voltage_v, frequency_hz=reading.frequency_hz)
        return
    told = payload["meterValue"][0]["sampledValue"]
    assert all(not entry["value"].startswith("-") for entry in told)
    assert all(entry["value"].replace(".", "").isdigit() for entry in told)
    assert check_request("1.6", "MeterValues", payload) == ()


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (1000.0, ("Power.Active.Import", "1000.0")),
        (0.0, ("Power.Active.Import", "0.0")),
        (-999.96, ("Power.Active.Export", "1000.0")),
    ],
)
def test_the_total_power_is_told_when_there_is_none_per_phase(total, expected):
    [entry] = entries(SiteReading(at=NINE, voltage_v=(230.0, None, None), power_total_w=total))
    assert (entry["measurand"], entry["value"], entry["unit"]) == (*expected, "W")
    assert "phase" not in entry


def test_a_reading_without_anything_to_tell_is_no_message_because_1_6_asks_for_at_least_one_value():
    assert (
        station.site_meter_values(SiteReading(at=NINE, voltage_v=(230.0, None, None), frequency_hz=50.0), NINE) is None
    )


# --- requests of the CSMS


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, ToStation()),
        ({"connectorId": 0}, ToStation()),
        ({"connectorId": None}, ToStation()),
        ({"connectorId": 7}, ToConnector(7)),
        ({"connectorId": -1}, ToConnector(-1)),
        ({"connectorId": 7, "transactionId": 5}, ToConnector(7)),
        ({"connectorId": 0, "transactionId": 5}, ToStation()),
        ({"transactionId": 5}, ToTransaction("5")),
        ({"transactionId": 0}, ToTransaction("0")),
        ({"transactionId": -1}, ToTransaction("-1")),
        ({"transactionId": 9223372036854775807}, ToTransaction("9223372036854775807")),
        ({"connectorId": None, "transactionId": 5}, ToTransaction("5")),
        ({"transactionId": True}, ToStation()),
        ({"connectorId": True}, ToStation()),
        ({"transactionId": "5"}, ToStation()),
        ({"connectorId": "7"}, ToStation()),
    ],
)
def test_a_request_is_for_a_connector_a_transaction_or_the_station(payload, expected):
    assert station.address(payload) == expected


@pytest.mark.parametrize("action", FROM_CSMS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_no_request_of_the_csms_makes_the_reading_raise(action, data):
    payload = data.draw(valid_payload(action) | flawed_payload(action) | any_payload)
    station.address(payload)
    station.names_connector(payload)
    station.token_of(payload)
    station.shown_token(payload)
    station.asked_keys(payload)
    station.reported_status(payload)
    station.member(payload, "type")


def test_each_recorded_request_for_a_connector_is_addressed_to_it():
    calls = recorded_calls("down")
    assert {action for action, _ in calls} >= {"RemoteStartTransaction", "RemoteStopTransaction"}
    for _, payload in calls:
        target = station.address(payload)
        if payload.get("connectorId"):
            assert target == ToConnector(payload["connectorId"])
        elif "transactionId" in payload:
            assert target == ToTransaction(str(payload["transactionId"]))
        else:
            assert target == ToStation()


def test_connector_0_is_named_and_an_absent_connector_is_not():
    assert station.names_connector({"connectorId": 0})
    assert not station.names_connector({"connectorId": None})
    assert not station.names_connector({})


def test_the_token_of_a_request_is_told_as_it_is_written():
    assert station.token_of({"idTag": " A:1"}) == " A:1"
    assert station.token_of({}) == ""
    assert station.shown_token({"idTag": " A:1"}) == " A:1"
    assert [station.shown_token(payload) for payload in ({}, {"idTag": ""}, {"idTag": 5})] == [None] * 3


@settings(deadline=None)
@given(st.text(max_size=20))
def test_our_question_about_a_token_is_valid(token):
    assert station.authorize(token) == {"idTag": token}
    assert check_request("1.6", "Authorize", station.authorize(token)) == ()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"key": ["A", "B"]}, ["A", "B"]),
        ({"key": ("A",)}, ["A"]),
        ({"key": ["A", 5, None]}, ["A"]),
        ({"key": []}, None),
        ({"key": "A"}, None),
        ({"key": None}, None),
        ({"key": {"A": 1}}, None),
        ({}, None),
    ],
)
def test_a_question_without_keys_is_for_all_of_them(payload, expected):
    assert station.asked_keys(payload) == expected


def test_a_member_that_is_no_text_is_none():
    assert station.member({"type": "Soft"}, "type") == "Soft"
    assert [station.member(payload, "type") for payload in ({}, {"type": 5}, {"type": None})] == ["", "", ""]


def test_a_trigger_tells_what_it_asks_for():
    assert station.requested_message({"requestedMessage": "MeterValues", "connectorId": 1}) == "MeterValues"
    assert station.requested_message({"requestedMessage": None}) == ""


# --- answers of the CSMS


@pytest.mark.parametrize("status", ["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"])
def test_each_status_of_1_6_is_a_verdict(status):
    assert station.token_info({"idTagInfo": {"status": status}}) == TokenInfo(status, None, None)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"idTagInfo": {"status": "Accepted"}}, TokenInfo("Accepted", None, None)),
        (
            {"idTagInfo": {"status": "Blocked", "expiryDate": "2026-11-21T10:00:00+01:00", "parentIdTag": "P"}},
            TokenInfo("Blocked", NINE, "P"),
        ),
        ({"idTagInfo": {"status": "Accepted", "expiryDate": "never"}}, TokenInfo("Accepted", None, None)),
        ({"idTagInfo": {"status": "Accepted", "parentIdTag": 5}}, TokenInfo("Accepted", None, None)),
        ({"idTagInfo": {"status": 5}}, None),
        ({"idTagInfo": {}}, None),
        ({"idTagInfo": "Accepted"}, None),
        ({"idTagInfo": None}, None),
        ({}, None),
    ],
)
def test_what_the_csms_says_of_a_token_is_read_when_it_has_a_status(answer, expected):
    assert station.token_info(answer) == expected


@pytest.mark.parametrize("status", ["accepted", "", "NoCredit", "x" * 1000])
def test_a_status_that_1_6_does_not_know_is_no_verdict(status):
    assert station.token_info({"idTagInfo": {"status": status}}) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"transactionId": 5}, "5"),
        ({"transactionId": 0}, "0"),
        ({"transactionId": -1}, "-1"),
        ({"transactionId": 2**63 - 1}, str(2**63 - 1)),
        ({"transactionId": True}, None),
        ({"transactionId": 5.0}, "5"),
        ({"transactionId": "5"}, "5"),
        ({"transactionId": "x"}, None),
        ({"transactionId": "-1"}, "-1"),
        ({"transactionId": ""}, None),
        ({"transactionId": 5.5}, None),
        ({"transactionId": None}, None),
        ({"transactionId": [5]}, None),
        ({}, None),
    ],
)
def test_the_id_of_a_started_transaction_is_any_integer(answer, expected):
    assert station.started_transaction(answer) == expected


@settings(deadline=None)
@given(valid_payload("StartTransactionResponse") | flawed_payload("StartTransactionResponse") | any_payload)
def test_no_answer_to_a_start_makes_the_reading_raise(answer):
    station.started_transaction(answer)
    station.token_info(answer)


# --- our answers


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("RemoteStartTransaction", "Accepted"),
        ("RemoteStopTransaction", "Rejected"),
        ("Reset", "Accepted"),
        ("ClearCache", "Accepted"),
        ("ChangeAvailability", "Scheduled"),
        ("ChangeConfiguration", "NotSupported"),
        ("UnlockConnector", "UnlockFailed"),
        ("TriggerMessage", "NotImplemented"),
    ],
)
def test_a_status_is_an_answer(action, status):
    assert station.status(status) == {"status": status}
    assert check_response("1.6", action, station.status(status)) == ()


known_keys = st.lists(st.tuples(st.text(max_size=50), st.booleans(), st.none() | st.text(max_size=500)), max_size=5)


@settings(deadline=None)
@given(known_keys, st.lists(st.text(max_size=50), max_size=5))
def test_our_configuration_is_a_valid_answer(known, unknown):
    assert check_response("1.6", "GetConfiguration", station.configuration(known, unknown)) == ()


def test_our_configuration_tells_what_is_known_and_what_is_not():
    assert station.configuration([("A", True, "1"), ("B", False, None), ("C", False, "")], ("X",)) == {
        "configurationKey": [
            {"key": "A", "readonly": True, "value": "1"},
            {"key": "B", "readonly": False},
            {"key": "C", "readonly": False, "value": ""},
        ],
        "unknownKey": ["X"],
    }
    assert "unknownKey" not in station.configuration([("A", True, "1")], [])

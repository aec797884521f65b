"""The action tables are complete, and error codes are spelled and judged as each version wants it."""

import pytest

from edge.ocppj.actions import UNCONFIRMED, VERSIONS, Sender, error_code, is_permanent, sender
from tests.ocppj.corpus import FOLDERS, schema_names


def actions_with_a_schema(version):
    names = [name.removesuffix("Response").removesuffix("Request") for name in schema_names(version)]
    return sorted(set(names))


@pytest.mark.parametrize(("version", "count"), [("1.6", 39), ("2.0.1", 64), ("2.1", 91)])
def test_each_action_with_a_schema_has_a_sender(version, count):
    actions = actions_with_a_schema(version)
    assert len(actions) == count
    assert [action for action in actions if sender(version, action) is None] == []


def test_versions_are_those_with_schemas():
    assert set(VERSIONS) == set(FOLDERS)


@pytest.mark.parametrize(
    ("version", "action", "who"),
    [
        ("1.6", "StartTransaction", Sender.STATION),
        ("1.6", "SecurityEventNotification", Sender.STATION),
        ("1.6", "SignedUpdateFirmware", Sender.CSMS),
        ("1.6", "RemoteStartTransaction", Sender.CSMS),
        ("1.6", "DataTransfer", Sender.BOTH),
        ("1.6", "TransactionEvent", None),
        ("1.6", "startTransaction", None),
        ("2.0.1", "TransactionEvent", Sender.STATION),
        ("2.0.1", "StartTransaction", None),
        ("2.0.1", "BatterySwap", None),
        ("2.0.1", "DataTransfer", Sender.BOTH),
        ("2.1", "BatterySwap", Sender.STATION),
        ("2.1", "NotifyWebPaymentStarted", Sender.CSMS),
        ("2.1", "NotifyPeriodicEventStream", Sender.STATION),
        ("2.1", "AFRRSignal", Sender.CSMS),
        ("2.1", "DataTransfer", Sender.BOTH),
    ],
)
def test_action_may_be_sent_by_its_side_only(version, action, who):
    assert sender(version, action) is who


def test_only_the_event_stream_is_unconfirmed():
    assert {"NotifyPeriodicEventStream"} == UNCONFIRMED


@pytest.mark.parametrize(
    ("code", "in_16", "in_201", "in_21"),
    [
        ("FormationViolation", "FormationViolation", "FormatViolation", "FormatViolation"),
        ("FormatViolation", "FormationViolation", "FormatViolation", "FormatViolation"),
        ("OccurenceConstraintViolation", "OccurenceConstraintViolation", *["OccurrenceConstraintViolation"] * 2),
        ("OccurrenceConstraintViolation", "OccurenceConstraintViolation", *["OccurrenceConstraintViolation"] * 2),
        ("RpcFrameworkError", "FormationViolation", "RpcFrameworkError", "RpcFrameworkError"),
        ("MessageTypeNotSupported", "FormationViolation", "MessageTypeNotSupported", "MessageTypeNotSupported"),
        ("SecurityError", "SecurityError", "SecurityError", "SecurityError"),
        ("NotImplemented", "NotImplemented", "NotImplemented", "NotImplemented"),
        ("NotSupported", "NotSupported", "NotSupported", "NotSupported"),
        ("ProtocolError", "ProtocolError", "ProtocolError", "ProtocolError"),
        ("InternalError", "InternalError", "InternalError", "InternalError"),
        ("PropertyConstraintViolation", *["PropertyConstraintViolation"] * 3),
        ("TypeConstraintViolation", *["TypeConstraintViolation"] * 3),
        ("GenericError", "GenericError", "GenericError", "GenericError"),
        ("Teapot", "GenericError", "GenericError", "GenericError"),
    ],
)
def test_error_code_is_spelled_for_its_version(code, in_16, in_201, in_21):
    assert [error_code(version, code) for version in ("1.6", "2.0.1", "2.1")] == [in_16, in_201, in_21]


@pytest.mark.parametrize(
    ("code", "permanent"),
    [
        ("NotImplemented", True),
        ("NotSupported", True),
        ("ProtocolError", True),
        ("FormationViolation", True),
        ("FormatViolation", True),
        ("PropertyConstraintViolation", True),
        ("OccurenceConstraintViolation", True),
        ("OccurrenceConstraintViolation", True),
        ("TypeConstraintViolation", True),
        ("InternalError", False),
        ("GenericError", False),
        ("SecurityError", False),
        ("", False),
        ("Teapot", False),
    ],
)
def test_only_a_refusal_of_the_payload_itself_is_permanent(code, permanent):
    assert is_permanent(code) is permanent

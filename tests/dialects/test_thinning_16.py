"""Which meter values may be left out when the disk is filling, and which never."""

from datetime import UTC, datetime

import pytest

from edge.dialects.v16.thinning import Periodic, periodic
from edge.jsontypes import JsonValue, Payload

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def values(*sampled: dict[str, JsonValue], **more: JsonValue) -> Payload:
    sample: dict[str, JsonValue] = {"timestamp": "2026-03-01T12:00:00Z", "sampledValue": list(sampled)}
    return {"connectorId": 1, "meterValue": [sample], **more}


@pytest.mark.parametrize(
    ("payload", "series"),
    [
        (values({"value": "1234"}), "sample"),
        (values({"value": "1234.5", "context": "Sample.Periodic", "format": "Raw"}), "sample"),
        (values({"value": 7}, {"value": -2.5, "measurand": "Power.Active.Import"}), "sample"),
        (values({"value": "1e3", "context": ""}), "sample"),
        (values({"value": "7", "context": "Sample.Clock"}), "clock"),
        (values({"value": "7", "context": "Sample.Clock"}, {"value": "7"}), "clock"),
        ({"meterValue": {"timestamp": "2026-03-01T12:00:00Z", "sampledValue": {"value": "1"}}}, "sample"),
    ],
)
def test_what_comes_at_intervals_may_go(payload: Payload, series: str) -> None:
    assert periodic(payload) == Periodic(series, NOON)


@pytest.mark.parametrize(
    "payload",
    [
        *(
            values({"value": "1"}, {"value": "2", "context": context})
            for context in (
                "Transaction.Begin", "Transaction.End", "Trigger", "Interruption.Begin", "Interruption.End", "Other", "new",
            )
        ),
        values({"value": "AAEC", "format": "SignedData"}),
        values({"value": "1"}, {"value": "2", "format": "SignedData"}),
        values({"value": "OCMF|{}|{}"}),
        values({"value": "<signedData/>"}),
        values({"value": ""}),
        values({"value": None}),
        values({}),
        values(),
        {"meterValue": []},
        {"meterValue": "1"},
        {"meterValue": [7]},
        {"meterValue": [{"sampledValue": [{"value": "1"}]}, {"sampledValue": []}]},
        {"meterValue": [{"sampledValue": ["1"]}]},
        {},
    ],
)  # fmt: skip
def test_what_was_taken_for_a_reason_is_signed_or_cannot_be_read_stays(payload: Payload) -> None:
    assert periodic(payload) is None


@pytest.mark.parametrize("timestamp", [None, "yesterday", 7])
def test_values_without_a_time_that_can_be_read_have_none(timestamp: JsonValue) -> None:
    payload: Payload = {"meterValue": [{"timestamp": timestamp, "sampledValue": [{"value": "1"}]}]}
    assert periodic(payload) == Periodic("sample", None)


def test_the_time_is_that_of_the_first_sample() -> None:
    samples: list[JsonValue] = [
        {"timestamp": f"2026-03-01T12:0{minute}:00Z", "sampledValue": [{"value": "1"}]} for minute in (0, 5)
    ]
    assert periodic({"meterValue": samples}) == Periodic("sample", NOON)

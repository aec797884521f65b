"""MeterValues that share a message: each entry as it was said, none lost, in order; and which must travel alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dialects.v16.gathering import entries, may_share, together
from edge.ocppj.schemas import check_request


def entry(number: int, **more) -> dict:
    return {
        "timestamp": f"2026-03-01T12:{number // 60:02}:{number % 60:02}Z",
        "sampledValue": [{"value": str(number)}],
    } | more


def values(*numbers: int, connector: int = 1, **more) -> dict:
    return {"connectorId": connector, "meterValue": [entry(number) for number in numbers], **more}


@given(st.lists(st.lists(st.integers(0, 3000), min_size=1, max_size=5), min_size=1, max_size=20))
def test_all_entries_are_there_once_in_order_and_the_result_keeps_to_the_schema(groups):
    payloads = [values(*numbers, transactionId=7) for numbers in groups]
    shared = together(payloads)
    assert shared["meterValue"] == [one for payload in payloads for one in payload["meterValue"]]
    assert {name: shared[name] for name in shared if name != "meterValue"} == {"connectorId": 1, "transactionId": 7}
    assert check_request("1.6", "MeterValues", shared) == ()
    assert entries(shared) == sum(map(len, groups))


def test_one_alone_stays_as_it_is():
    assert together([values(1, transactionId=7)]) == values(1, transactionId=7)


@pytest.mark.parametrize(
    "other",
    [values(2, connector=2, transactionId=7), values(2, transactionId=8), values(2), values(2, transactionId=7, bay=1)],
)
def test_another_connector_or_transaction_is_no_company(other):
    assert not may_share(values(1, transactionId=7), other)


def test_values_outside_of_a_transaction_share_among_themselves():
    assert may_share(values(1), values(2))
    assert entries(values(1)) == 1


@pytest.mark.parametrize(
    "payload",
    [
        values(1, bay=7),
        values(1, transactionId="7"),
        {"ConnectorID": 1, "meterValue": [entry(1)]},
        {"connectorId": 1, "meterValue": entry(1)},
        {"connectorId": 1, "meterValue": []},
        {"connectorId": 1, "meterValue": [entry(1, noise=1)]},
        {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T12:00:00Z"}]},
        {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": 7}]}]},
        {"meterValue": [entry(1)]},
        {"connectorId": 1},
    ],
)
def test_what_says_more_or_breaks_the_schema_travels_alone(payload):
    assert entries(payload) is None

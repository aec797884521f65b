"""A relay between equal versions changes exactly the paths that `ids` names (architecture, law 3)."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dialects.v16.aliases import folded
from edge.dialects.v16.ids import bind, csms_id, to_charger
from tests.dialects.payloads import (
    FROM_CHARGER,
    FROM_CSMS,
    any_payload,
    flawed_payload,
    recorded_calls,
    valid_payload,
)

connectors = st.integers(0, 10**6)
csms_ids = st.integers(-(2**63), 2**63 - 1).map(str)
charger_ids = st.integers(1, 2**31 - 1).map(str)


def as_text(payload):
    """Types, order of members and spelling of numbers included: 1, 1.0 and true are different things."""
    return json.dumps(payload)


SPELLED = {"connectorid": "connectorId", "transactionid": "transactionId"}


def is_equal_but_for_ids(before, after, connector, transaction, *, leaves_out, from_charger=False):
    """As JSON text, with the named paths put in by hand."""
    expected = {}
    for key, value in before.items():
        name = SPELLED.get(folded(key), key) if from_charger else key
        if name == "connectorId" and connector is not None:
            expected[key] = connector
        elif name == "transactionId" and transaction is not None:
            expected[key] = int(transaction)
        elif not (name == "transactionId" and leaves_out):
            expected[key] = value
    return as_text(after) == as_text(expected)


def check_bind(payload, connector, transaction):
    before = copy.deepcopy(payload)
    bound = bind(payload, connector, transaction)
    assert is_equal_but_for_ids(
        before, bound, connector, transaction, leaves_out=transaction is None, from_charger=True
    )
    assert set(bound) <= set(payload)
    assert as_text(payload) == as_text(before)
    assert bound is not payload


def check_to_charger(payload, connector, transaction):
    before = copy.deepcopy(payload)
    rewritten = to_charger(payload, connector, transaction)
    assert is_equal_but_for_ids(before, rewritten, connector, transaction, leaves_out=False)
    assert set(rewritten) == set(payload)
    assert as_text(payload) == as_text(before)
    assert rewritten is not payload


@pytest.mark.parametrize("action", FROM_CHARGER)
@settings(deadline=None, max_examples=40)
@given(data=st.data(), connector=connectors, transaction=st.none() | csms_ids)
def test_upward_only_connector_and_transaction_id_change(action, data, connector, transaction):
    check_bind(data.draw(valid_payload(action) | flawed_payload(action)), connector, transaction)


@pytest.mark.parametrize("action", FROM_CSMS)
@settings(deadline=None, max_examples=40)
@given(data=st.data(), connector=st.none() | connectors, transaction=st.none() | charger_ids)
def test_downward_only_connector_and_transaction_id_change(action, data, connector, transaction):
    check_to_charger(data.draw(valid_payload(action) | flawed_payload(action)), connector, transaction)


@settings(deadline=None)
@given(any_payload, connectors, st.none() | csms_ids)
def test_whatever_a_charger_writes_only_its_identifiers_change(payload, connector, transaction):
    check_bind(payload, connector, transaction)
    check_to_charger(payload, connector, None if transaction is None else "5")


def test_of_what_was_recorded_only_the_identifiers_change():
    calls = recorded_calls("up")
    assert len(calls) > 50
    for _, payload in calls:
        check_bind(payload, 17, "-1")
        check_bind(payload, 17, None)
    for _, payload in recorded_calls("down"):
        check_to_charger(payload, 3, "4711")
        check_to_charger(payload, None, None)


def test_an_id_of_the_chargers_is_never_shown_to_the_csms():
    values = {"connectorId": 1, "transactionId": 4711, "meterValue": []}
    assert bind(values, 5, None) == {"connectorId": 5, "meterValue": []}
    assert bind(values | {"transactionId": None}, 5, None) == {"connectorId": 5, "meterValue": []}


@pytest.mark.parametrize(
    ("connector", "transaction"), [("ConnectorID", "TransactionID"), ("connector_id", "transactionid")]
)
def test_a_misspelled_identifier_is_an_identifier_too(connector, transaction):
    """Many a CSMS reads members in any case: the charger's own number would name another connector there."""
    values = {connector: 1, transaction: 4711, "meterValue": []}
    assert bind(values, 17, "99") == {connector: 17, transaction: 99, "meterValue": []}
    assert bind(values, 17, None) == {connector: 17, "meterValue": []}
    assert bind({connector: 2, "connectorId": 1}, 17, None) == {connector: 17, "connectorId": 17}


@pytest.mark.parametrize("csms", ["0", "-1", "9223372036854775807"])
def test_any_integer_that_a_csms_gives_goes_back_to_it_as_the_same_integer(csms):
    bound = bind({"transactionId": 7, "meterStop": 5}, 1, csms)
    assert as_text(bound) == f'{{"transactionId": {csms}, "meterStop": 5}}'
    assert as_text(csms_id(csms)) == csms


@pytest.mark.parametrize("written", [None, 0, "1", 1.0, [], {"connectorId": 1}])
def test_an_identifier_that_a_charger_wrote_wrongly_goes_up_in_its_right_type(written):
    bound = bind({"connectorId": written, "transactionId": written}, 5, "99")
    assert as_text(bound) == '{"connectorId": 5, "transactionId": 99}'


def test_identifiers_deeper_in_a_payload_are_somebody_elses():
    payload = {"transactionData": [{"connectorId": 1, "transactionId": 2}], "vendor": {"connectorId": 3}}
    assert bind(payload, 5, "99") == payload
    assert to_charger(payload, 5, "99") == payload


def test_a_stop_that_was_attached_on_evidence_gets_the_id_that_it_does_not_name():
    """No CSMS could make anything of a StopTransaction without a transactionId (1.6 §6.49)."""
    stop = {"meterStop": 5, "timestamp": "2026-11-21T09:00:00Z"}
    assert bind(stop, 3, "77", is_stop=True) == {**stop, "transactionId": 77}
    assert bind(stop, 3, "77") == stop
    assert bind({**stop, "transactionId": -1}, 3, "77", is_stop=True) == {**stop, "transactionId": 77}

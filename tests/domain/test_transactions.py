"""To which transaction a charger's message belongs: each row of ocpp-rules.md E.2."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.events import EnergyMeasured, TransactionEnded, TransactionStarted
from edge.domain.ids import ChargerNo, ChargerTransactionId, ConnectorNo, IdToken, TransactionNo
from edge.domain.plausibility import Measured
from edge.domain.transactions import Attribution, Transaction, attribute_stop, attribute_values, start_key

NINE = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ANNA, BERT = IdToken("ANNA"), IdToken("BERT")


def transaction(
    no: int = 1, token: IdToken | None = ANNA, meter_start_wh: int | None = 1000, *, is_open: bool = True, start=NINE
) -> Transaction:
    charger_tx = ChargerTransactionId(str(100 + no))
    return Transaction(TransactionNo(no), ConnectorNo(no), charger_tx, token, is_open, start, meter_start_wh)


def values(transaction: str | None = None, at: datetime | None = NINE + SECOND, connector: int = 1) -> EnergyMeasured:
    named = None if transaction is None else ChargerTransactionId(transaction)
    return EnergyMeasured(connector, named, at, register_wh=None)


def stop(
    transaction: str | None = None,
    token: IdToken | None = ANNA,
    meter_stop_wh: int | None = 2000,
    at: datetime | None = NINE + 3600 * SECOND,
) -> TransactionEnded:
    named = None if transaction is None else ChargerTransactionId(transaction)
    return TransactionEnded(named, meter_stop_wh, at, "Local", token)


# --- meter values


def test_values_that_name_an_open_transaction_are_its_own_whatever_else_is_open():
    named, other = transaction(1), transaction(2)
    assert attribute_values(values("101"), named, other) == Attribution(named, relay=True)
    assert attribute_values(values("101"), named, None) == Attribution(named, relay=True)


def test_values_after_the_stop_are_kept_and_not_sent_even_when_the_next_transaction_is_running():
    ended = transaction(1, is_open=False)
    expected = Attribution(ended, relay=False, rule="values_after_stop")
    assert attribute_values(values("101"), ended, None) == expected
    assert attribute_values(values("101"), ended, transaction(2)) == expected


@pytest.mark.parametrize("named_as", [None, "777"], ids=["no id or a placeholder", "an unknown id"])
@pytest.mark.parametrize("at", [NINE, NINE + SECOND, None], ids=["at its start", "later", "no time"])
def test_values_without_a_known_transaction_belong_to_the_open_one_of_their_connector(named_as, at):
    open_one = transaction(1)
    expected = Attribution(open_one, relay=True, rule="values_attached_by_connector")
    assert attribute_values(values(named_as, at), None, open_one) == expected


def test_values_belong_to_an_open_transaction_whose_start_has_no_time():
    open_one = transaction(1, start=None)
    assert attribute_values(values(None), None, open_one).transaction == open_one


@pytest.mark.parametrize(
    ("named_as", "rule"), [(None, None), ("777", "values_of_unknown_transaction")], ids=["no id", "unknown id"]
)
def test_values_measured_before_the_open_transaction_began_are_not_its_own(named_as, rule):
    measured = values(named_as, NINE - timedelta(microseconds=1))
    assert attribute_values(measured, None, transaction(1)) == Attribution(None, relay=True, rule=rule)


@pytest.mark.parametrize(
    ("named_as", "rule"), [(None, None), ("777", "values_of_unknown_transaction")], ids=["no id", "unknown id"]
)
@pytest.mark.parametrize(("connector", "relay"), [(1, True), (2, True), (0, False), (-1, False)])
def test_values_outside_of_transactions_are_sent_but_those_of_a_chargers_connector_0(named_as, rule, connector, relay):
    # B.1: connector 0 upstream is the site meter, never a charger's
    assert attribute_values(values(named_as, connector=connector), None, None) == Attribution(None, relay, rule)


# --- stops


def test_a_stop_ends_the_open_transaction_that_it_names_whatever_its_token_and_register():
    named = transaction(1)
    for ended in (stop("101"), stop("101", BERT), stop("101", None, None), stop("101", meter_stop_wh=1)):
        assert attribute_stop(ended, named, [named, transaction(2)]) == Attribution(named, relay=True)


def test_a_second_stop_is_kept_and_not_sent_even_when_an_open_transaction_would_fit():
    ended = transaction(1, is_open=False)
    expected = Attribution(ended, relay=False, rule="duplicate_stop")
    assert attribute_stop(stop("101"), ended, [transaction(2)]) == expected


@pytest.mark.parametrize("token", [ANNA, BERT, None])
@pytest.mark.parametrize("meter_stop_wh", [2000, 1, None])
def test_a_stop_with_a_placeholder_ends_the_only_open_transaction_of_its_charger(token, meter_stop_wh):
    only = transaction(1)
    attribution = attribute_stop(stop(None, token, meter_stop_wh), None, [only])
    assert attribution == Attribution(only, relay=True, rule="stop_attached_to_only_transaction")


ORPHAN = Attribution(None, relay=False, rule="orphan_stop")


@pytest.mark.parametrize(
    ("ended", "open_ones", "expected"),
    [
        pytest.param(stop("777"), [transaction(1)], 1, id="unknown id, same token, register not lower"),
        pytest.param(stop("777", meter_stop_wh=1000), [transaction(1)], 1, id="nothing was charged"),
        pytest.param(stop("777", meter_stop_wh=999), [transaction(1)], None, id="register is lower"),
        pytest.param(stop("777", BERT), [transaction(1)], None, id="another token"),
        pytest.param(stop("777", None), [transaction(1)], None, id="no token"),
        pytest.param(stop("777", None), [transaction(1, None)], None, id="no token on either side proves nothing"),
        pytest.param(stop("777", meter_stop_wh=None), [transaction(1)], None, id="no register at the stop"),
        pytest.param(stop("777"), [transaction(1, meter_start_wh=None)], None, id="no register at the start"),
        pytest.param(stop("777"), [], None, id="nothing is open"),
        pytest.param(stop(None), [], None, id="a placeholder, nothing is open"),
        pytest.param(stop(None), [transaction(1, BERT), transaction(2)], 2, id="placeholder, two open, one token fits"),
        pytest.param(
            stop(None), [transaction(1, meter_start_wh=5000), transaction(2)], 2, id="placeholder, one register fits"
        ),
        pytest.param(stop(None), [transaction(1), transaction(2)], None, id="placeholder, both fit: not guessed"),
        pytest.param(stop("777"), [transaction(1), transaction(2)], None, id="unknown id, both fit: not guessed"),
        pytest.param(stop("777"), [transaction(1, BERT), transaction(2)], 2, id="unknown id, two open, one fits"),
        pytest.param(
            stop(None, None), [transaction(1), transaction(2)], None, id="placeholder without token, two open"
        ),
        pytest.param(stop("777", meter_stop_wh=0), [transaction(1, meter_start_wh=0)], 1, id="0 is a register"),
    ],
)
def test_a_stop_of_no_known_transaction_is_attached_on_evidence_only(ended, open_ones, expected):
    attribution = attribute_stop(ended, None, open_ones)
    if expected is None:
        assert attribution == ORPHAN
    else:
        by_no = {one.no: one for one in open_ones}
        assert attribution == Attribution(by_no[expected], relay=True, rule="stop_attached_by_token")


@pytest.mark.parametrize("named_as", ["777", None], ids=["an id of another life", "a placeholder"])
def test_a_stop_from_before_a_transaction_began_does_not_end_it(named_as):
    """A late stop of the session before, same fleet card, same register: the running one has charged nothing yet."""
    running = transaction(1, meter_start_wh=2000)
    late = stop(named_as, ANNA, meter_stop_wh=2000, at=NINE - 60 * SECOND)
    assert attribute_stop(late, None, [running]).transaction is None


UNSET = datetime(1970, 1, 1, tzinfo=UTC)


def test_the_time_of_a_clock_that_was_not_set_says_nothing_about_before_and_after():
    """EN+ writes 1970 for what it measured offline (J.2, 39)."""
    running = transaction(1)
    for at in (UNSET, datetime(2019, 12, 31, 23, 59, 59, tzinfo=UTC), None):
        assert attribute_values(values(None, at), None, running).transaction == running
        assert attribute_stop(stop(None, at=at), None, [running]).transaction == running
        assert attribute_stop(stop("777", at=at), None, [running]).transaction == running
    old = datetime(2020, 1, 1, tzinfo=UTC)
    assert attribute_values(values(None, old), None, running).transaction is None
    assert attribute_stop(stop(None, at=old), None, [running]).transaction is None


def test_a_transaction_whose_start_has_no_time_can_be_ended_by_any_stop():
    assert attribute_stop(stop(None, at=UNSET), None, [transaction(1, start=None)]).transaction is not None
    assert attribute_stop(stop("777"), None, [transaction(1, start=None)]).transaction is not None


def test_a_stop_at_the_very_instant_of_the_start_ends_it():
    assert attribute_stop(stop(None, at=NINE), None, [transaction(1)]).transaction is not None
    assert attribute_stop(stop("777", at=NINE), None, [transaction(1)]).transaction is not None


def test_of_two_open_transactions_only_the_one_that_had_begun_can_be_meant():
    begun, later = transaction(1), transaction(2, start=NINE + 600 * SECOND)
    for named_as in (None, "777"):
        found = attribute_stop(stop(named_as, at=NINE + 60 * SECOND), None, [begun, later])
        assert found == Attribution(begun, relay=True, rule="stop_attached_by_token")
    assert attribute_stop(stop(None, token=None, at=NINE + 60 * SECOND), None, [begun, later]) == ORPHAN


@settings(deadline=None)
@given(
    st.builds(
        TransactionEnded,
        st.none() | st.sampled_from(["101", "777"]),
        st.none() | st.integers(-1, 3000),
        st.none() | st.just(NINE),
        st.just("Local"),
        st.none() | st.sampled_from([ANNA, BERT]),
    ),
    st.lists(
        st.builds(transaction, st.integers(1, 9), st.sampled_from([ANNA, BERT]), st.none() | st.integers(0, 3000)),
        max_size=4,
        unique_by=lambda one: one.no,
    ),
)
def test_a_stop_always_has_a_place_and_only_an_open_transaction_is_ended_by_a_guess(ended, open_ones):
    attribution = attribute_stop(ended, None, open_ones)
    if attribution.transaction is None:
        assert attribution == ORPHAN
    else:
        assert attribution.transaction in open_ones
        assert attribution.relay
        assert attribution.rule is not None


# --- the key of a start

STARTED = TransactionStarted(1, ANNA, 1000, NINE, "ANNA\0'2026-11-21T09:00:00Z'\x001000")


def test_the_same_start_has_the_same_key_in_every_run_of_the_program():
    assert start_key(ChargerNo(1), STARTED) == start_key(ChargerNo(1), replace(STARTED))
    # Keys are stored: another way of making them would turn each repetition into a second transaction.
    assert start_key(ChargerNo(1), STARTED).hex() == "82230bc044c51bed1e9ef5c84fc9ab21"


def test_starts_that_differ_in_charger_connector_token_time_or_register_have_different_keys():
    keys = [
        start_key(ChargerNo(charger), replace(STARTED, connector=connector, identity=f"{token}\0{time!r}\0{meter!r}"))
        for charger, connector, token, time, meter in itertools.product(
            (1, 11), (1, 11), ("A", "1"), ("2026-11-21T09:00:00Z", None), (1000, None)
        )
    ]
    assert len(set(keys)) == 32


@settings(deadline=None)
@given(st.integers(1, 999), st.integers(-1, 999), st.integers(1, 999), st.integers(-1, 999))
def test_charger_and_connector_are_not_run_together_in_a_key(charger, connector, other_charger, other_connector):
    key = start_key(ChargerNo(charger), replace(STARTED, connector=connector))
    other = start_key(ChargerNo(other_charger), replace(STARTED, connector=other_connector))
    assert (key == other) == ((charger, connector) == (other_charger, other_connector))


# --- a stop that names neither its transaction nor a token


def measured_at(number: int, register: int | None, minutes: int = 0) -> Measured:
    return Measured(TransactionNo(number), NINE + timedelta(minutes=minutes), 0, register)


def anonymous(meter: int | None, minutes: int = 10) -> TransactionEnded:
    return TransactionEnded(ChargerTransactionId("99"), meter, NINE + timedelta(minutes=minutes), "Local", None)


def opened(number: int) -> Transaction:
    started = NINE - timedelta(hours=1)
    return Transaction(
        TransactionNo(number), ConnectorNo(number), ChargerTransactionId(str(number)), IdToken("A"), True, started, 0
    )


@pytest.mark.parametrize(
    ("registers", "stop", "expected"),
    [
        ({1: 1_000, 2: 900_000}, 1_500, 1),
        ({1: 1_000, 2: 900_000}, 900_500, 2),
        ({1: 1_000, 2: 1_200}, 1_500, None),  # both could be
        ({1: 1_000, 2: 900_000}, 500_000, None),  # more than can flow in ten minutes
        ({1: 1_000, 2: 900_000}, 999, None),  # a register does not fall
        ({1: None, 2: None}, 1_500, None),
        ({1: 1_000, 2: 900_000}, None, None),
    ],
)
def test_an_anonymous_stop_ends_the_only_transaction_that_its_register_continues(registers, stop, expected):
    last = {TransactionNo(number): measured_at(number, register) for number, register in registers.items()}
    found = attribute_stop(anonymous(stop), None, [opened(1), opened(2)], last)
    assert (None if found.transaction is None else found.transaction.no) == expected
    assert found.rule == ("orphan_stop" if expected is None else "stop_attached_by_meter")


def test_a_stop_with_another_token_is_not_attached_by_its_register():
    stop = replace(anonymous(1_500), token=IdToken("SOMEBODY"))
    last = {TransactionNo(1): measured_at(1, 1_000)}
    assert attribute_stop(stop, None, [opened(1)], last).rule == "orphan_stop"


def test_closing_values_without_a_transaction_are_not_sent():
    found = attribute_values(replace(values(), is_closing=True), None, None)
    assert (found.relay, found.rule) == (False, "values_after_stop")

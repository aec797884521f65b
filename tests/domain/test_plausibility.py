"""What cannot be true of a measurement after the one before it."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.domain import plausibility
from edge.domain.ids import TransactionNo
from edge.domain.plausibility import MOST_WATTS, Measured

NINE = datetime(2026, 11, 21, 9, tzinfo=UTC)
NINE_MS = round(NINE.timestamp() * 1000)
ONE = TransactionNo(1)


def at(seconds, register, soc=None, transaction=ONE, received=None):
    late = seconds if received is None else received
    return Measured(transaction, NINE + timedelta(seconds=seconds), NINE_MS + round(late * 1000), register, soc)


def rules(before, now, power=None, most=MOST_WATTS):
    return [str(one.rule) for one in plausibility.of_values(before, now, power, most)]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, at(0, 5), []),
        (at(0, 0), at(60, 5_000), []),
        (at(0, 0), at(2.3, 500), ["register_jumped"]),
        (at(0, 500), at(60, 400), ["register_fell"]),
        (at(60, 500), at(0, 400), []),  # an older value that comes late
        (at(0, 500), at(60, None), []),
        (at(0, None), at(60, 10**9), []),
        (at(0, 500, transaction=TransactionNo(7)), at(60, 5), []),
        (at(0, 5, 50), at(60, 6, 49), []),
        (at(0, 5, 50), at(60, 6, 40), ["soc_fell"]),
    ],
)
def test_a_register_grows_no_faster_than_physics(before, now, expected):
    assert rules(before, now) == expected


def test_without_the_chargers_time_ours_counts():
    before = Measured(ONE, None, NINE_MS, 0)
    assert rules(before, Measured(ONE, None, NINE_MS + 1000, 500)) == ["register_jumped"]
    assert rules(before, Measured(ONE, None, NINE_MS + 60_000, 500)) == []


@pytest.mark.parametrize(("power", "most", "found"), [(150_000, MOST_WATTS, 0), (150_000, 22_080, 1), (None, 1, 0)])
def test_power_is_at_most_what_the_connector_delivers(power, most, found):
    assert len(rules(None, at(0, 0), power, most)) == found


def of_start(before, started, now):
    return [str(one.rule) for one in plausibility.of_start(before, started, now)]


def test_a_session_that_begins_below_its_connectors_register_has_a_meter_that_restarts():
    assert of_start(None, NINE, at(0, 0)) == []
    assert of_start(at(0, 84), NINE, at(60, 84, transaction=TransactionNo(2))) == []
    assert of_start(at(0, 84), NINE, at(60, 0, transaction=TransactionNo(2))) == ["register_restarted"]


@pytest.mark.parametrize(
    ("values_received", "start_received", "expected"),
    [
        (100, 101, ["values_before_start"]),
        (1, 101, []),  # the values came in time
        (100, 200, []),  # the start came long after
    ],
)
def test_a_replayed_start_after_replayed_values_with_its_register_is_found(values_received, start_received, expected):
    before = at(0, 300, transaction=None, received=values_received)
    started = NINE + timedelta(seconds=5)
    assert of_start(before, started, at(5, 300, received=start_received)) == expected
    assert of_start(before, started, at(5, 301, received=start_received)) == []
    assert of_start(before, None, at(5, 300, received=start_received)) == []


def charged(*steps, transaction=ONE):
    """Findings after values of (seconds, register, W), as the units of a transaction's values compare them."""
    found, before = [], None
    for seconds, register, power in steps:
        moment = NINE + timedelta(seconds=seconds)
        now = Measured(transaction, moment, NINE_MS + seconds * 1000, register, None, power)
        now = plausibility.with_window(before, now)
        found += [str(one.rule) for one in plausibility.of_values(before, now, power, MOST_WATTS)]
        before = now
    return found


def minutes(watts, wh_per_minute, count=12, every=60):
    return [(number * every, round(number * wh_per_minute), watts) for number in range(count)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (minutes(6000, 100), []),
        (minutes(6000, 0.1), ["energy_power_disagree"]),  # kWh where Wh are said
        (minutes(6000, 0), ["energy_power_disagree"]),
        (minutes(6, 100), ["energy_power_disagree"]),  # kW where W are said
        (minutes(6000, 2), []),  # a factor of 50 is no unit
        (minutes(6000, 0.1, count=10), []),  # nine minutes
        (minutes(60, 0), []),  # too little to say anything
        (minutes(6000, 0.1, count=25), ["energy_power_disagree"] * 2),  # each window once
        ([(0, 0, 6000), (3600, 1, 6000), (7200, 2, 6000)], []),  # who knows what was between
        ([(0, 0, 6000), (300, 0, None), (600, 0, 6000), (900, 1, 6000)], []),
    ],
)
def test_register_and_power_that_cannot_both_be_right_are_found(steps, expected):
    assert charged(*steps) == expected


def test_outside_of_a_transaction_nothing_is_compared():
    assert charged(*minutes(6000, 0), transaction=None) == []

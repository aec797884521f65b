from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.readings import SiteReading
from edge.site.plausibility import (
    Wiring,
    implausible,
    largest_current_a,
    reading_from,
    unknown_needed,
    wiring,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_reading_has_unsigned_currents_and_whole_watt_hours():
    values = {"u1": 230.0, "i1": -5.0, "p1": -1150.0, "e_import": 12345.6, "f": 50.0}
    assert reading_from(values, NOON) == SiteReading(
        at=NOON,
        voltage_v=(230.0, None, None),
        current_a=(5.0, None, None),
        power_w=(-1150.0, None, None),
        power_total_w=-1150.0,
        frequency_hz=50.0,
        energy_import_wh=12346,
    )


PLAUSIBLE = SiteReading(
    at=NOON,
    voltage_v=(230.0, 231.0, 229.0),
    current_a=(16.0, 10.0, 0.0),
    power_w=(3680.0, -2310.0, 0.0),
    power_total_w=1370.0,
    frequency_hz=50.0,
    energy_import_wh=1000,
    energy_export_wh=0,
)
IMPLAUSIBLE = [
    ({"voltage_v": (400.0, 231.0, 229.0)}, ["u1: 400.0 V is not a phase voltage"]),
    (
        {"voltage_v": (230.0, 40.0, 229.0), "power_w": (3680.0, 0.0, 0.0), "power_total_w": 3680.0},
        ["u2: 40.0 V is not a phase voltage"],
    ),
    ({"current_a": (16.0, 10.0, 121.0)}, ["i3: 121.0 A is more than the meter can measure (100 A)"]),
    (
        {"power_w": (9000.0, -2310.0, 0.0), "power_total_w": 6690.0},
        ["p1: 9000 W is more than 230.0 V and 16.0 A can be"],
    ),
    (
        {"power_w": (3680.0, -9000.0, 0.0), "power_total_w": -5320.0},
        ["p2: -9000 W is more than 231.0 V and 10.0 A can be"],
    ),
    ({"power_total_w": 5990.0}, ["p_total: 5990 W, but the phases add up to 1370 W"]),
    ({"power_total_w": 1551.0}, ["p_total: 1551 W, but the phases add up to 1370 W"]),
    ({"energy_import_wh": 998}, ["e_import: went back from 999 Wh to 998 Wh"]),
]


@pytest.mark.parametrize(
    "reading",
    [
        PLAUSIBLE,
        replace(PLAUSIBLE, voltage_v=(230.0, 231.0, 0.0)),
        replace(PLAUSIBLE, power_total_w=1370.0 + 179),
        replace(PLAUSIBLE, energy_import_wh=None),
        SiteReading(at=NOON, power_total_w=9000.0),
        SiteReading(at=NOON, voltage_v=(230.0, None, None), current_a=(120.0, None, None), power_w=(None, None, None)),
    ],
)
def test_a_reading_that_can_be_true_is_believed(reading):
    assert implausible(reading, (999, None), 100.0) == ()


@pytest.mark.parametrize(("change", "reasons"), IMPLAUSIBLE)
def test_a_reading_that_cannot_be_true_is_refused_with_its_reason(change, reasons):
    assert list(implausible(replace(PLAUSIBLE, **change), (999, 0), 100.0)) == reasons


def test_a_current_is_not_judged_where_the_largest_one_is_unknown():
    assert implausible(replace(PLAUSIBLE, current_a=(5000.0, 10.0, 0.0)), (None, None), None) == ()


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (SiteReading(at=NOON, power_total_w=-8.9e20), "p_total: -8.9e+20 W is more than any site has"),
        (SiteReading(at=NOON, power_w=(None, 2e8, None)), "p2: 2e+08 W is more than any site has"),
        (SiteReading(at=NOON, current_a=(None, None, 2e5)), "i3: 200000 A is more than any site has"),
    ],
)
def test_nonsense_is_refused_of_a_meter_that_tells_nothing_to_compare_it_with(reading, reason):
    assert list(implausible(reading, (None, None), None)) == [reason]


def test_an_unknown_value_that_protects_a_fuse_makes_no_reading():
    assert unknown_needed({"u1": 230.0, "f": None, "e_import": None}) == ()
    assert unknown_needed({"i2": None, "p_total": None}) == (
        "i2: the meter marks the value as not available",
        "p_total: the meter marks the value as not available",
    )


# ── how the meter is wired ────────────────────────────────────────────────────────────────────

VALUES = {
    "u1": 230.0, "u2": 231.0, "u3": 232.0, "i1": 1.0, "i2": 2.0, "i3": 3.0, "p1": 100.0, "p2": -200.0, "p3": 300.0,
    "p_total": 200.0, "f": 50.0, "e_import": 1000.0, "e_export": 10.0,
}  # fmt: skip


def test_phases_stand_where_the_meter_is_wired_to():
    reading = reading_from(VALUES, NOON, wiring("L2L3L1", None, invert=False))
    assert reading.voltage_v == (232.0, 230.0, 231.0)
    assert reading.current_a == (3.0, 1.0, 2.0)
    assert reading.power_w == (300.0, 100.0, -200.0)
    assert reading.power_total_w == 200.0


def test_a_single_phase_meter_stands_on_its_phase_and_its_power_is_the_total():
    single = {"u1": 230.0, "i1": 5.0, "p1": 1150.0}
    assert reading_from(single, NOON, wiring("L3", None, invert=False)).current_a == (None, None, 5.0)
    reading = reading_from(single, NOON, wiring(None, None, invert=False))
    assert reading.power_w == (1150.0, None, None)
    assert reading.power_total_w == 1150.0


def test_a_total_is_not_made_of_phases_that_are_unknown():
    assert reading_from({"p1": 100.0, "p2": None, "p3": 300.0}, NOON).power_total_w is None
    assert reading_from({"p1": 100.0, "p2": 1.0, "p3": 1.0, "p_total": None}, NOON).power_total_w is None


def test_a_meter_that_counts_the_wrong_way_round_is_turned():
    reading = reading_from(VALUES, NOON, wiring(None, None, invert=True))
    assert reading.power_w == (-100.0, 200.0, -300.0)
    assert (reading.power_total_w, reading.current_a) == (-200.0, (1.0, 2.0, 3.0))
    assert (reading.energy_import_wh, reading.energy_export_wh) == (10, 1000)


def test_secondary_values_are_multiplied_by_the_ratio_of_the_transformers():
    reading = reading_from(VALUES, NOON, wiring(None, 50.0, invert=False))
    assert reading.voltage_v == (230.0, 231.0, 232.0)
    assert reading.current_a == (50.0, 100.0, 150.0)
    assert reading.power_w == (5000.0, -10000.0, 15000.0)
    assert reading.energy_import_wh == 50_000
    assert largest_current_a(6.0, VALUES, Wiring(ct_ratio=50.0)) == 300.0


def test_a_meter_may_tell_its_ratios_itself_and_the_configuration_overrules_it():
    told = {**VALUES, "ct_ratio": 20.0, "vt_ratio": 2.0}
    reading = reading_from(told, NOON)
    assert reading.voltage_v == (460.0, 462.0, 464.0)
    assert reading.current_a == (20.0, 40.0, 60.0)
    assert reading.power_total_w == 8000.0
    assert reading_from(told, NOON, Wiring(ct_ratio=1.0)).current_a == (1.0, 2.0, 3.0)
    assert largest_current_a(6.0, told, Wiring()) == 120.0


def test_without_the_ratio_that_it_needs_a_reading_is_none():
    assert unknown_needed({"ct_ratio": None}) == ("ct_ratio: the meter marks the value as not available",)
    assert unknown_needed({"ct_ratio": 0.0})[0].startswith("ct_ratio: 0 is no transformer's ratio")
    assert unknown_needed({"ct_ratio": 0.0}, Wiring(ct_ratio=50.0)) == ()
    assert unknown_needed({"vt_ratio": 0.0}, Wiring(ct_ratio=50.0)) != ()


@pytest.mark.parametrize("counted", [-1.0, 1e15, 1e300])
def test_an_impossible_counter_is_unknown_and_the_reading_stands(counted):
    assert reading_from({**VALUES, "e_import": counted}, NOON).energy_import_wh is None


@given(st.dictionaries(st.sampled_from([*VALUES, "ct_ratio", "vt_ratio"]), st.none() | st.floats(allow_nan=False)))
def test_no_values_whatever_make_a_reading_fail(values):
    reading = reading_from(values, NOON, wiring("L3L1L2", None, invert=True))
    implausible(reading, (1, 1), 100.0)
    unknown_needed(values)

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulators.outlet import Outlet


def test_register_integrates_power_over_time():
    outlet = Outlet(1, current_a=16, phases=3, register_start_wh=500)
    outlet.close_contactor(now=10.0)
    assert outlet.power_w == 11040
    assert outlet.register_wh(now=10.0 + 3600) == 500 + 11040


def test_register_stands_still_while_the_contactor_is_open():
    outlet = Outlet(1, current_a=10, phases=1, register_start_wh=0)
    outlet.close_contactor(now=0)
    outlet.open_contactor(now=1800)
    assert outlet.register_wh(now=9999) == 1150
    assert outlet.power_w == 0


def test_a_car_that_draws_less_is_metered_from_that_moment():
    outlet = Outlet(1, current_a=20, phases=1, register_start_wh=0)
    outlet.close_contactor(now=0)
    outlet.draw(10, now=1800)
    assert outlet.register_wh(now=3600) == 2300 + 1150


@given(
    steps=st.lists(st.floats(min_value=0, max_value=5000, allow_nan=False), min_size=1, max_size=30),
    current=st.sampled_from([0, 6, 16, 32]),
)
def test_register_is_the_same_however_often_it_is_read(steps, current):
    read = Outlet(1, current, 3, 0)
    unread = Outlet(1, current, 3, 0)
    read.close_contactor(0)
    unread.close_contactor(0)
    now, last = 0.0, 0
    for step in steps:
        now += step
        assert read.register_wh(now) >= last
        last = read.register_wh(now)
    assert last == unread.register_wh(now)


def test_meter_value_names_every_phase_that_is_wired():
    value = Outlet(1, current_a=16, phases=3, register_start_wh=7).meter_value(0, "T", "Sample.Periodic")
    assert [sample.get("phase") for sample in value["sampledValue"]] == [None, None, "L1", "L2", "L3"]
    assert value["sampledValue"][0]["value"] == "7"


@pytest.mark.parametrize("current", [0, 16])
def test_current_is_zero_without_contact(current):
    value = Outlet(1, current, 1, 0).meter_value(0, "T", "Sample.Periodic")
    assert value["sampledValue"][-1]["value"] == "0.0"

from dataclasses import replace
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.site.profiles import load_profile, profile_names
from edge.site.registers import Align, Block, Group, MeterProfile, RegisterType, Value
from edge.site.requests import each_alone, halves, narrower, plan
from tests.site.maps import profile, value


@st.composite
def profiles(draw) -> MeterProfile:
    """Values of random types that do not overlap, in random order, on both register spaces."""
    values = []
    for function_code in (3, 4):
        address = draw(st.integers(0, 50))
        for number in range(draw(st.integers(0, 12))):
            kind = draw(st.sampled_from(RegisterType))
            group = draw(st.sampled_from(Group))
            values.append(Value(f"{function_code}-{number}", address, kind, function_code, group=group))
            address += kind.words + draw(st.sampled_from((0, 0, 0, 1, 2, 30, 200)))
    return profile(
        *draw(st.permutations(values)),
        max_read=draw(st.integers(4, 125)),
        gap_allowed=draw(st.booleans()),
        align=draw(st.sampled_from(Align)),
        turnaround_s=draw(st.sampled_from((0.0, 0.02, 0.06, 0.5))),
    )


baudrates = st.none() | st.sampled_from((300, 2400, 9600, 19200, 115200))


def blocks_of(meter: MeterProfile, baudrate: int | None = None) -> list[Block]:
    return list(chain.from_iterable(plan(meter, baudrate).values()))


@given(profiles(), baudrates)
def test_each_value_is_read_exactly_once_and_never_in_parts(meter, baudrate):
    for group, blocks in plan(meter, baudrate).items():
        names = sorted(each.name for block in blocks for each in block.values)
        assert names == sorted(each.name for each in meter.values if each.group is group)
        assert len(blocks) <= len(names)
        for block in blocks:
            assert 0 < block.count <= meter.max_read
            assert {each.function_code for each in block.values} == {block.function_code}
            end = block.address + block.count
            assert block.address <= block.values[0].address
            assert block.values[-1].end <= end
            listed = [other for other in meter.values if other.function_code == block.function_code]
            for other in listed:
                for border in (block.address, end):
                    assert not other.address < border < other.end, "a request cuts a value in two"
            assert min(other.address for other in listed) <= block.address
            assert end <= max(other.end for other in listed), "nothing is asked for beyond what is known to be there"


@given(profiles(), baudrates)
def test_a_meter_that_refuses_gaps_is_never_asked_for_one(meter, baudrate):
    meter = replace(meter, gap_allowed=False)
    known = {(v.function_code, v.address + word) for v in meter.values for word in range(v.type.words)}
    for block in blocks_of(meter, baudrate):
        assert {(block.function_code, block.address + word) for word in range(block.count)} <= known


@given(profiles(), baudrates)
def test_a_meter_of_whole_values_is_asked_from_the_begin_of_one_to_the_end_of_one(meter, baudrate):
    meter = replace(meter, align=Align.VALUE)
    for block in blocks_of(meter, baudrate):
        listed = [other for other in meter.values if other.function_code == block.function_code]
        assert block.address in {other.address for other in listed}
        assert block.address + block.count in {other.end for other in listed}


@given(profiles(), baudrates)
def test_a_request_is_never_longer_than_it_need_be_to_be_told_apart(meter, baudrate):
    blocks = blocks_of(meter, baudrate)
    for block in blocks:
        bare = block.values[-1].end - block.values[0].address
        if block.count > bare:
            others = {
                other.count for other in blocks if other is not block and other.function_code == block.function_code
            }
            step = 2 if meter.align is Align.PAIR else 1
            assert block.count not in others
            assert (block.count - bare) % step == 0 or meter.align is Align.VALUE


@pytest.mark.parametrize("name", profile_names())
def test_no_two_requests_to_a_meter_have_answers_of_the_same_length(name):
    meter = load_profile(name)
    for baudrate in (None, meter.serial.baudrate):
        lengths = [(block.function_code, block.count) for block in blocks_of(meter, baudrate)]
        assert len(set(lengths)) == len(lengths)


@given(profiles())
def test_split_requests_still_read_each_value_once(meter):
    for block in blocks_of(meter):
        for parts in (narrower(block), halves(block), each_alone(block)):
            assert tuple(each for part in parts for each in part.values) == block.values
            assert sum(part.count for part in parts) <= block.count


@given(profiles())
def test_splitting_comes_to_an_end(meter):
    for block in blocks_of(meter):
        waiting, rounds = [block], 0
        while waiting:
            rounds += 1
            assert rounds < 100
            one = waiting.pop()
            parts = halves(one)
            waiting += [] if parts == (one,) else parts


def places(blocks) -> list[tuple[int, int]]:
    return [(block.address, block.count) for block in blocks]


def test_neighbours_are_read_together_up_to_max_read():
    meter = profile(value("u1", 0), value("u2", 2), value("u3", 4), value("p_total", 52), max_read=54)
    assert places(plan(meter)[Group.FAST]) == [(0, 54)]
    meter = replace(meter, max_read=53)
    assert places(plan(meter)[Group.FAST]) == [(0, 6), (52, 2)]


def test_on_a_serial_line_a_gap_is_read_through_only_if_that_is_faster_than_another_request():
    meter = profile(value("u1", 0), value("u2", 32), turnaround_s=0.06)
    # 30 registers are 60 bytes: 69 ms at 9600 baud, where another request takes 60 + 15 ms
    assert places(plan(meter, 9600)[Group.FAST]) == [(0, 34)]
    assert places(plan(replace(meter, turnaround_s=0.02), 9600)[Group.FAST]) == [(0, 2), (31, 3)]
    assert places(plan(replace(meter, turnaround_s=0.02), 115200)[Group.FAST]) == [(0, 34)]
    assert places(plan(replace(meter, turnaround_s=0.02))[Group.FAST]) == [(0, 34)]


def test_a_meter_that_refuses_gaps_is_asked_without_them():
    meter = profile(value("u1", 0), value("u2", 2), value("p_total", 52), gap_allowed=False)
    assert places(plan(meter)[Group.FAST]) == [(0, 4), (52, 2)]


def test_a_request_is_lengthened_so_that_no_other_one_has_its_length():
    meter = profile(value("u1", 0), value("i1", 20), value("p1", 40), max_read=10)
    assert places(plan(meter)[Group.FAST]) == [(0, 2), (20, 3), (38, 4)]
    assert places(plan(replace(meter, align=Align.PAIR))[Group.FAST]) == [(0, 2), (20, 4), (36, 6)]
    assert places(plan(replace(meter, align=Align.VALUE))[Group.FAST]) == [(0, 2), (20, 2), (40, 2)]
    assert places(plan(replace(meter, gap_allowed=False))[Group.FAST]) == [(0, 2), (20, 2), (40, 2)]
    assert places(plan(replace(meter, max_read=3))[Group.FAST]) == [(0, 2), (20, 3), (40, 2)]


def test_a_refused_request_is_first_asked_as_short_as_it_can_be_then_without_its_largest_gap():
    meter = profile(value("u1", 0), value("i1", 20), value("i2", 24), value("p1", 60), value("p2", 64), max_read=10)
    last = plan(meter)[Group.FAST][-1]
    assert (last.address, last.count) == (59, 7)
    (bare,) = narrower(last)
    assert (bare.address, bare.count) == (60, 6)
    assert places(narrower(bare)) == [(60, 2), (64, 2)]
    (block,) = plan(profile(value("u1", 0), value("u2", 4), value("p_total", 52)))[Group.FAST]
    assert places(narrower(block)) == [(0, 6), (52, 2)]


def test_a_request_that_is_too_long_is_halved_where_it_has_no_gap():
    (block,) = plan(profile(value("u1", 0), value("u2", 2), value("u3", 4)))[Group.FAST]
    assert narrower(block) == (block,)
    assert places(halves(block)) == [(0, 2), (2, 4)]
    (alone,) = halves(halves(block)[0])
    assert halves(alone) == (alone,)


def test_the_requests_of_a_group_stand_in_the_order_of_their_addresses():
    for name in profile_names():
        for blocks in plan(load_profile(name)).values():
            for before, after in pairwise(blocks):
                assert (before.function_code, before.address) < (after.function_code, after.address)

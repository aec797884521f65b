import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.readings import SiteReading
from edge.site.registers import (
    Block,
    Group,
    MeterProfile,
    RegisterType,
    Value,
    WordOrder,
    decode,
    implausible,
    plan_blocks,
    reading_from,
    split_at_gap,
    split_each,
    unknown_needed,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def profile(*values: Value, max_read: int = 125, gap_allowed: bool = True) -> MeterProfile:
    return MeterProfile("m", "v", (), "unverified", 3, max_read, gap_allowed, 0.0, None, values)


def value(name: str, address: int, kind: str = "f32", **more) -> Value:
    return Value(name, address, RegisterType(kind), more.pop("fc", 4), **more)


# ── planning ──────────────────────────────────────────────────────────────────────────────────


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
    ordered = draw(st.permutations(values))
    return profile(*ordered, max_read=draw(st.integers(4, 125)), gap_allowed=draw(st.booleans()))


@given(profiles())
def test_each_value_is_read_exactly_once_and_never_in_parts(meter):
    for group in Group:
        blocks = plan_blocks(meter, group)
        names = sorted(each.name for block in blocks for each in block.values)
        assert names == sorted(each.name for each in meter.values if each.group is group)
        assert len(blocks) <= len(names)
        for block in blocks:
            assert 0 < block.count <= meter.max_read
            assert block.values[0].address == block.address
            assert block.values[-1].end == block.address + block.count
            assert {each.function_code for each in block.values} == {block.function_code}
            if not meter.gap_allowed:
                assert sum(each.type.words for each in block.values) == block.count
            for other in meter.values:
                if other.function_code == block.function_code:
                    for border in (block.address, block.address + block.count):
                        assert not other.address < border < other.end, "a request cuts a value in two"


@given(profiles())
def test_split_requests_still_read_each_value_once(meter):
    for block in plan_blocks(meter, Group.FAST):
        for parts in (split_at_gap(block), split_each(block)):
            assert tuple(each for part in parts for each in part.values) == block.values
            assert sum(part.count for part in parts) <= block.count


def test_neighbours_are_read_together_up_to_max_read():
    meter = profile(value("u1", 0), value("u2", 2), value("u3", 4), value("p_total", 52), max_read=54)
    assert [(b.address, b.count) for b in plan_blocks(meter, Group.FAST)] == [(0, 54)]
    meter = replace(meter, max_read=53)
    assert [(b.address, b.count) for b in plan_blocks(meter, Group.FAST)] == [(0, 6), (52, 2)]


def test_a_meter_that_refuses_gaps_is_asked_without_them():
    meter = profile(value("u1", 0), value("u2", 2), value("p_total", 52), gap_allowed=False)
    assert [(b.address, b.count) for b in plan_blocks(meter, Group.FAST)] == [(0, 4), (52, 2)]


def test_a_block_is_split_at_its_largest_gap():
    (block,) = plan_blocks(profile(value("u1", 0), value("u2", 4), value("p_total", 52)), Group.FAST)
    assert [(b.address, b.count) for b in split_at_gap(block)] == [(0, 6), (52, 2)]


# ── decoding ──────────────────────────────────────────────────────────────────────────────────

# words written by hand from two's complement and IEEE 754
DECODED = [
    ("i16", "big", (0xFFFF,), -1.0),
    ("u16", "big", (0x8000,), 32768.0),
    ("i32", "big", (0xFFFF, 0xFF38), -200.0),
    ("i32", "little", (0xFF38, 0xFFFF), -200.0),
    ("u32", "big", (0x0001, 0x0002), 65538.0),
    ("u32", "little", (0x0001, 0x0002), 131073.0),
    ("i64", "big", (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE), -2.0),
    ("u64", "little", (0x0003, 0x0002, 0x0000, 0x0000), 131075.0),
    ("f32", "big", (0x4366, 0x8000), 230.5),
    ("f32", "little", (0x8000, 0x4366), 230.5),
    ("f64", "big", (0x40B8, 0x9300, 0x0000, 0x0000), 6291.0),
]
UNKNOWN = [
    ("u16", (0xFFFF,)),
    ("u32", (0xFFFF, 0xFFFF)),
    ("u64", (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF)),
    ("i16", (0x8000,)),
    ("i16", (0x7FFF,)),
    ("i32", (0x8000, 0x0000)),
    ("i32", (0x7FFF, 0xFFFF)),
    ("i32", (0x7FFF, 0x0000)),
    ("i64", (0x8000, 0x0000, 0x0000, 0x0000)),
    ("i64", (0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF)),
    ("f32", (0x7FC0, 0x0000)),
    ("f32", (0x7F80, 0x0000)),
    ("f64", (0x7FF8, 0x0000, 0x0000, 0x0000)),
]


def alone(kind: str, **more) -> Block:
    (block,) = plan_blocks(profile(value("u1", 10, kind, **more)), Group.FAST)
    return block


@pytest.mark.parametrize(("kind", "order", "words", "expected"), DECODED)
def test_words_mean_the_number_of_their_type_and_order(kind, order, words, expected):
    assert decode(alone(kind, word_order=WordOrder(order)), words) == {"u1": expected}


@pytest.mark.parametrize(("kind", "words"), UNKNOWN)
def test_words_that_stand_for_not_available_are_never_a_number(kind, words):
    assert decode(alone(kind), words) == {"u1": None}


def test_the_scale_leads_to_si_units():
    assert decode(alone("i16", scale=-0.5), (20,)) == {"u1": -10.0}


def test_each_value_of_a_block_is_taken_from_its_own_words():
    (block,) = plan_blocks(profile(value("u2", 13, "u16"), value("u1", 10, "i16")), Group.FAST)
    assert decode(block, (1, 99, 99, 2)) == {"u1": 1.0, "u2": 2.0}


def test_a_reading_has_unsigned_currents_and_whole_watt_hours():
    values = {"u1": 230.0, "i1": -5.0, "p1": -1150.0, "e_import": 12345.6, "f": 50.0}
    assert reading_from(values, NOON) == SiteReading(
        at=NOON,
        voltage_v=(230.0, None, None),
        current_a=(5.0, None, None),
        power_w=(-1150.0, None, None),
        frequency_hz=50.0,
        energy_import_wh=12346,
    )


# ── plausibility ──────────────────────────────────────────────────────────────────────────────

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


def test_an_unknown_value_that_protects_a_fuse_makes_no_reading():
    assert unknown_needed({"u1": 230.0, "f": None, "e_import": None}) == ()
    assert unknown_needed({"i2": None, "p_total": None}) == (
        "i2: the meter marks the value as not available",
        "p_total: the meter marks the value as not available",
    )


@given(st.lists(st.integers(0, 0xFFFF), min_size=22, max_size=22))
def test_no_words_whatever_make_decoding_fail(words):
    kinds = (
        ("u1", "f32"),
        ("u2", "f64"),
        ("u3", "i32"),
        ("i1", "u32"),
        ("i2", "i64"),
        ("i3", "u64"),
        ("p1", "i16"),
        ("p2", "u16"),
    )
    address, values = 0, []
    for name, kind in kinds:
        values.append(value(name, address, kind))
        address += RegisterType(kind).words
    (block,) = plan_blocks(profile(*values), Group.FAST)
    decoded = decode(block, words[: block.count])
    assert all(number is None or math.isfinite(number) for number in decoded.values())
    implausible(reading_from(decoded, NOON), (None, None), 100.0)

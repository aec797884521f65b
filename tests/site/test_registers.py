import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.site.plausibility import implausible, reading_from
from edge.site.registers import Group, RegisterType, WordOrder, add_up, decode
from edge.site.requests import plan
from tests.site.maps import alone, profile, value

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

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


@pytest.mark.parametrize(("kind", "order", "words", "expected"), DECODED)
def test_words_mean_the_number_of_their_type_and_order(kind, order, words, expected):
    assert decode(alone(kind, word_order=WordOrder(order)), words) == [("u1", expected)]


@pytest.mark.parametrize(("kind", "words"), UNKNOWN)
def test_words_that_stand_for_not_available_are_never_a_number(kind, words):
    assert decode(alone(kind), words) == [("u1", None)]


def test_the_scale_leads_to_si_units():
    assert decode(alone("i16", scale=-0.5), (20,)) == [("u1", -10.0)]


def test_each_value_of_a_block_is_taken_from_its_own_words():
    (block,) = plan(profile(value("u2", 13, "u16"), value("u1", 10, "i16")))[Group.FAST]
    assert decode(block, (1, 99, 99, 2)) == [("u1", 1.0), ("u2", 2.0)]


def test_a_number_that_a_profile_names_as_unknown_is_unknown():
    assert decode(alone("i16", unknown=(-1.0,)), (0xFFFF,)) == [("u1", None)]
    assert decode(alone("i16", unknown=(-1.0,)), (0xFFFE,)) == [("u1", -2.0)]


def test_a_number_too_large_for_its_scale_is_unknown():
    assert decode(alone("f64", scale=1000.0), (0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF)) == [("u1", None)]


def test_numbers_of_one_name_are_added_up_and_unknown_if_one_is():
    assert add_up([("e_import", 6291.0), ("f", 50.0), ("e_import", 1000.5)]) == {"e_import": 7291.5, "f": 50.0}
    assert add_up([("e_import", 6291.0), ("e_import", None)]) == {"e_import": None}
    assert add_up([("e_import", None), ("e_import", 1.0)]) == {"e_import": None}
    assert add_up([("p1", 1e308), ("p1", 1e308)]) == {"p1": None}


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
    (block,) = plan(profile(*values))[Group.FAST]
    decoded = decode(block, words[: block.count])
    assert all(number is None or math.isfinite(number) for _, number in decoded)
    implausible(reading_from(add_up(decoded), NOON), (None, None), 100.0)

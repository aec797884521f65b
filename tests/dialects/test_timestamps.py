"""Times as OCPP writes them, and as chargers write them."""

import os
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dialects.timestamps import parse, text
from tests.dialects.payloads import any_json, recorded_calls

NINE = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-21T09:00:00Z",
        "2026-11-21T09:00:00.000Z",
        "2026-11-21T09:00:00.Z",
        "2026-11-21T09:00Z",
        "2026-11-21T09:00:00",  # Growatt THOR: no zone (J.2, 95)
        "2026-11-21T09:00:00.000",
        "2026-11-21 09:00:00",
        "2026-11-21 09:00:00Z",
        "2026-11-21T09:00:00+00:00",
        "2026-11-21T09:00:00-00:00",
        "2026-11-21T10:00:00+01:00",
        "2026-11-21T10:00:00+0100",
        "2026-11-21T10:00:00+01",
        "2026-11-21T14:30:00.000+05:30",
        "2026-11-20T23:00:00-10:00",
        "2026-11-21T09:00:00.0000000Z",
        "2026-11-21T10:00:00.0000000+01:00",
        "2026-11-21T09:00:00.0000009Z",
        "2026-11-21T09:00:00,000Z",
        "20261121T090000Z",
        "  2026-11-21T09:00:00Z\r\n",
    ],
)
def test_a_form_seen_in_the_field_is_the_instant_that_it_means(written):
    assert parse(written) == NINE


@pytest.mark.parametrize(
    ("fraction", "microseconds"),
    [
        ("1", 100_000),
        ("12", 120_000),
        ("123", 123_000),
        ("1234", 123_400),
        ("123456", 123_456),
        ("1234567", 123_456),
        ("123456789", 123_456),
        ("9999999999", 999_999),
        ("000001", 1),
    ],
)
@pytest.mark.parametrize("zone", ["Z", "", "+00:00"])
def test_a_fraction_of_any_length_is_read_to_the_microsecond(fraction, microseconds, zone):
    assert parse(f"2026-11-21T09:00:00.{fraction}{zone}") == NINE + timedelta(microseconds=microseconds)


@pytest.mark.parametrize(
    "written",
    [
        None,
        True,
        0,
        1_795_251_600,
        1_795_251_600.0,
        [],
        ["2026-11-21T09:00:00Z"],
        {"timestamp": "2026-11-21T09:00:00Z"},
        "",
        " ",
        "T",
        "Z",
        ".",
        "garbage",
        "1795251600",
        "21.11.2026 09:00:00",
        "2026-13-01T09:00:00Z",
        "2026-02-30T09:00:00Z",
        "2026-11-21T25:00:00Z",
        "2026-11-21T09:00:00+25:00",
        "2026-11-21T09:00:00 UTC",
        "2026-11-21T09:00:00.abc",
        "2026-11-21T09:00:00abc",
        "2026-11-21T09:00:00Z2026-11-21T09:00:00Z",
        "2026-11-21T09:00:00." + "0" * 100_000 + "Z",
        "0" * 100_000,
        "٢٠٢٦-١١-٢١T٠٩:٠٠:٠٠Z",
        "2026-11-21\ud80009:00:00\udfff",
        "-2026-11-21T09:00:00Z",
        "0000-00-00T00:00:00Z",
    ],
)
def test_what_is_no_time_is_none(written):
    assert parse(written) is None


def test_the_forms_are_short_and_a_longer_text_is_not_even_looked_at():
    assert len("2026-11-21T10:00:00.12345678901234+01:00") == 40
    assert parse("2026-11-21T10:00:00.12345678901234+01:00") == NINE + timedelta(microseconds=123_456)
    assert parse("2026-11-21T10:00:00.123456789012345+01:00") is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),  # MicroOcpp: the clock is not set (J.2, 96)
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("8999-12-31T23:59:59Z", datetime(8999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("9000-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        ("8999-12-31T23:59:59-01:00", None),
        ("9000-01-01T00:30:00+01:00", datetime(8999, 12, 31, 23, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
    ],
)
def test_an_instant_is_one_with_which_can_be_reckoned(written, expected):
    assert parse(written) == expected


@settings(deadline=None)
@given(st.text() | st.text(alphabet="0123456789-+:.,TZ W\ud800", max_size=41))
def test_no_text_makes_it_raise_and_what_is_found_is_utc(written):
    found = parse(written)
    assert found is None or found.tzinfo is UTC


@settings(deadline=None)
@given(any_json)
def test_no_value_makes_it_raise(value):
    parse(value)


zones = st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=9, minutes=30))])
instants = st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("8999-01-01"), timezones=zones)


@settings(deadline=None)
@given(instants)
def test_what_we_write_is_read_back_to_the_millisecond(instant):
    written = text(instant)
    milliseconds = instant.microsecond // 1000 * 1000
    assert parse(written) == instant.replace(microsecond=milliseconds)
    assert text(parse(written)) == written


@settings(deadline=None)
@given(instants)
def test_what_another_writes_with_an_offset_is_the_same_instant(instant):
    assert parse(instant.isoformat()) == instant
    assert parse(instant.isoformat(sep=" ")) == instant


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (NINE, "2026-11-21T09:00:00.000Z"),
        (NINE + timedelta(microseconds=7_999), "2026-11-21T09:00:00.007Z"),
        (NINE + timedelta(microseconds=999_999), "2026-11-21T09:00:00.999Z"),
        (datetime(2026, 11, 21, 10, tzinfo=timezone(timedelta(hours=1))), "2026-11-21T09:00:00.000Z"),
    ],
)
def test_we_write_utc_with_three_digits_and_never_a_time_that_has_not_come_yet(instant, expected):
    assert text(instant) == expected


def test_each_time_that_real_chargers_sent_is_read():
    found = [
        member
        for direction in ("up", "down")
        for _, payload in recorded_calls(direction)
        for member in times_in(payload)
    ]
    assert len(found) > 20
    assert all(parse(written) is not None for written in found)


def times_in(value):
    if isinstance(value, dict):
        for key, member in value.items():
            if key in ("timestamp", "currentTime", "expiryDate"):
                yield member
            yield from times_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from times_in(member)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Caracas", "UTC"])
def test_a_text_without_zone_is_utc_wherever_the_controller_stands(zone):
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        assert parse("2026-11-21T09:00:00") == NINE
        assert text(NINE) == "2026-11-21T09:00:00.000Z"
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()

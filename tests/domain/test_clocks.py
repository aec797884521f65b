"""What is believed of a charger's clock, and which of its times the CSMS gets moved."""

from datetime import UTC, datetime
from functools import reduce

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.domain import clocks
from edge.domain.clocks import Clock, Offset, classify, estimate, kept, moved_by

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
NOON = round(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp() * 1000)
YEAR_2000, YEAR_2020 = (round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000) for year in (2000, 2020))
BERLIN, LONDON, KATHMANDU, NEW_YORK = (3600, 7200), (0, 3600), (20700, 20700), (-18000, -14400)


def heard(*pairs):
    """Seconds after noon at which a message came, and seconds by which its time was ahead."""
    return tuple(Offset(NOON + round(seen * SECOND), round(by * SECOND)) for seen, by in pairs)


def remembered(*pairs):
    return reduce(kept, heard(*pairs), ())


def every(seconds, count, by, begin=0):
    return [(begin + seconds * at, by) for at in range(count)]


# How far


@pytest.mark.parametrize(
    ("measured", "seconds"),
    [
        ([], None),
        ([(0, 0), (90, 0)], None),  # two
        ([(0, 0), (20, 0), (59, 0)], None),  # not over a minute
        ([(0, 0), (30, 0), (60, 0)], 0),
        ([(0, 7200), (30, 7203), (60, 7195)], 7200),
        ([(0, 7200), (30, 7211), (60, 7189)], None),  # they do not agree
        ([(0, 0), (30, -18000), (60, 0), (70, -9000), (90, 0)], 0),  # late ones in between
        ([(0, 0), (30, 0), (60, 0), (61, -18000), (62, -17000), (63, -16000), (64, -15000)], 0),  # a queue afterwards
        ([(0, 7200), (30, 7200), (60, 7200), (90, 0), (120, 0)], 7200),  # set back, or late: not yet known
        ([(0, 7200), (30, 7200), (60, 7200), (90, 0), (120, 0), (150, 0)], 0),  # set back
        ([(0, 0), (30, 0), (60, 0), (90, 7200)], None),  # set forward: no more what it was
        ([(0, 0), (30, 0), (60, 0), (90, 7200), (120, 7200), (150, 7200)], 7200),
        ([(0, -18000), (30, -18000), (60, -18000), (65, 0)], None),  # it was a queue: here is who is live
    ],
)
def test_an_offset_is_known_when_three_agree_over_a_minute_and_none_is_ahead_of_them_since(measured, seconds):
    assert estimate(heard(*measured)) == (None if seconds is None else seconds * SECOND)
    assert estimate(remembered(*measured)) == (None if seconds is None else seconds * SECOND)


def test_values_every_second_span_a_minute_all_the_same():
    assert estimate(remembered(*every(1, 61, 7200))) == 7200 * SECOND


def test_a_queue_of_hundreds_does_not_drive_out_what_is_known():
    live = every(30, 9, 7200)
    queue = [(300 + at / 20, 7200 - 5 * 3600 + at * 30) for at in range(500)]
    assert estimate(remembered(*live, *queue)) == 7200 * SECOND


def test_a_clock_that_was_set_is_known_again_after_three_messages():
    live = every(60, 20, 7200)
    assert estimate(remembered(*live, *every(60, 2, 0, begin=1200))) == 7200 * SECOND
    assert estimate(remembered(*live, *every(60, 3, 0, begin=1200))) == 0


def test_after_a_boot_the_offset_of_an_unset_clock_is_void():
    unset, local = Offset(NOON, -NOON), Offset(NOON, 2 * HOUR)
    assert clocks.after_boot((unset, local)) == (local,)


@given(
    lag=st.integers(5 * MINUTE, 40 * DAY),
    offset=st.sampled_from([0, -5 * HOUR, 2 * HOUR, 20700 * SECOND, -NOON]),
    made=st.lists(st.integers(0, 15 * MINUTE), min_size=1, max_size=60),
    faster=st.integers(2, 1000),
    before=st.integers(0, 8),
    live_among=st.integers(0, 4),
)
def test_a_queue_that_drains_is_never_taken_for_another_clock(lag, offset, made, faster, before, live_among):
    """West of Greenwich five hours late would be local time."""
    offsets, seen, written = (), NOON, NOON - lag
    for at in range(before):
        offsets = kept(offsets, Offset(NOON - DAY + at * MINUTE, offset))
    for at, apart in enumerate(made):
        seen, written = seen + apart // faster, written + apart
        offsets = kept(offsets, Offset(seen, min(written, seen) - seen + offset))
        if live_among and at % live_among == 0:
            offsets = kept(offsets, Offset(seen, offset))
        assert (found := estimate(offsets)) is None or abs(found - offset) <= 10 * SECOND
        assert found is not None or before < 3, "what was known is forgotten"


@given(st.lists(st.tuples(st.integers(0, 10 * MINUTE), st.integers(-6 * SECOND, 6 * SECOND)), max_size=60))
def test_at_most_seven_are_kept_in_the_order_of_their_coming(measured):
    offsets, seen = (), NOON
    for apart, by in measured:
        seen += apart
        offsets = kept(offsets, Offset(seen, by))
        assert len(offsets) <= 7
        assert [one.seen_ms for one in offsets] == sorted(one.seen_ms for one in offsets)


# What kind


@pytest.mark.parametrize(
    ("seconds", "zones", "clock"),
    [
        (None, BERLIN, Clock.UNKNOWN),
        (0, BERLIN, Clock.OK),
        (-5, BERLIN, Clock.OK),
        (5.001, BERLIN, Clock.DRIFT),
        (-120, BERLIN, Clock.DRIFT),
        (121, BERLIN, Clock.WRONG),
        (3600, BERLIN, Clock.LOCAL),
        (7200 + 90, BERLIN, Clock.LOCAL),
        (7200 + 91, BERLIN, Clock.WRONG),
        (-7200, BERLIN, Clock.WRONG),  # the zone with the wrong sign is no zone
        (3600, LONDON, Clock.LOCAL),
        (0, LONDON, Clock.OK),
        (100, LONDON, Clock.DRIFT),
        (20700, KATHMANDU, Clock.LOCAL),
        (-18010, NEW_YORK, Clock.LOCAL),
        (-14400, NEW_YORK, Clock.LOCAL),
        (-18000, (), Clock.WRONG),
        (86400, BERLIN, Clock.WRONG),
        (-86400, NEW_YORK, Clock.WRONG),
        (80 * 365 * 86400, BERLIN, Clock.WRONG),
        (-NOON / 1000, BERLIN, Clock.UNSET),
        ((YEAR_2020 - NOON) / 1000, BERLIN, Clock.WRONG),
        ((YEAR_2020 - NOON) / 1000 - 1, BERLIN, Clock.UNSET),
        (-(10**13), BERLIN, Clock.UNSET),
    ],
)
def test_a_clock_is_classed_by_its_offset(seconds, zones, clock):
    assert classify(None if seconds is None else round(seconds * SECOND), NOON, zones) is clock


# What the CSMS gets


def move(times, offset, clock=Clock.LOCAL, previous=None, now=NOON):
    found = moved_by(times, offset, clock, previous, now)
    return None if found is None else found.by_ms


@pytest.mark.parametrize(
    ("offset", "shift", "words"),
    [
        (2 * HOUR, -2 * HOUR, "2 h ahead of UTC: local time"),
        (2 * HOUR + 83 * SECOND, -2 * HOUR, "2 h ahead of UTC: local time"),
        (HOUR - 83 * SECOND, -HOUR, "1 h ahead of UTC: local time"),
        (20700 * SECOND, -20700 * SECOND, "5 h 45 min ahead of UTC: local time"),
        (-5 * HOUR - 7 * SECOND, 5 * HOUR, "5 h behind UTC: local time"),
    ],
)
def test_local_time_is_moved_by_whole_quarter_hours_live_and_replayed(offset, shift, words):
    for late in (0, 10 * SECOND, 40 * MINUTE, HOUR, 2 * HOUR, 5 * HOUR, 3 * DAY):
        found = moved_by([NOON + offset - late], offset, Clock.LOCAL, None, NOON)
        assert (found.by_ms, found.why.rule, found.why.message) == (shift, "local_time_sent", words)


@pytest.mark.parametrize("clock", [clock for clock in Clock if clock is not Clock.LOCAL])
def test_a_set_clock_that_is_not_local_passes_as_received(clock):
    for offset in (2 * HOUR, 100 * SECOND, -NOON, 3 * DAY, None):
        assert move([NOON + 2 * HOUR], offset, clock) is None


def test_a_local_clock_of_unknown_offset_passes_as_received():
    assert move([NOON + 2 * HOUR], None) is None


@pytest.mark.parametrize("offset", [2 * HOUR, -5 * HOUR])
def test_a_clock_that_is_set_right_within_a_session_passes_from_then_on(offset):
    assert move([NOON - MINUTE, NOON], offset, previous=NOON - MINUTE) is None
    assert move([NOON], offset, previous=NOON - HOUR - 30 * MINUTE) is None
    assert move([NOON + offset], offset, previous=NOON - MINUTE) == -offset


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (-5, -4), (-4, -5)])
def test_in_the_night_of_the_changed_hour_the_zone_of_the_other_season_counts(before, after):
    assert move([NOON + after * HOUR], before * HOUR, previous=NOON - 5 * MINUTE) == -after * HOUR


def test_nor_does_the_start_of_a_session_in_that_night_pass_as_a_replayed_one_in_utc():
    assert move([NOON - 4 * HOUR], -5 * HOUR) == 4 * HOUR


def test_where_winter_time_is_utc_it_passes_after_that_night():
    assert move([NOON], HOUR, previous=NOON - 5 * MINUTE) is None


def test_a_time_somewhat_ahead_of_local_time_is_no_other_season():
    assert move([NOON + 2 * HOUR + 3 * MINUTE], 2 * HOUR) is None
    assert move([NOON + 2 * HOUR + 57 * MINUTE], 2 * HOUR) is None


def test_each_time_of_a_message_has_to_fit_before_it_is_moved():
    assert move([NOON + HOUR, NOON + 2 * HOUR], 2 * HOUR, previous=NOON - 2 * HOUR) == -2 * HOUR
    assert move([NOON + HOUR, NOON + 2 * HOUR], 2 * HOUR, previous=NOON - 30 * MINUTE) is None
    assert move([NOON, NOON + 2 * HOUR + 10 * MINUTE], 2 * HOUR) is None


@pytest.mark.parametrize("offset", [2 * HOUR, -5 * HOUR])
def test_a_session_whose_start_passed_as_received_is_not_moved_out_of_itself(offset):
    started = NOON + 2 * HOUR  # the clock was not known yet
    assert move([NOON + 2 * HOUR + MINUTE], offset, previous=started, now=NOON + MINUTE) is None


def test_a_charger_whose_own_times_go_back_a_little_is_moved_all_the_same():
    assert move([NOON - 3 * SECOND + 2 * HOUR], 2 * HOUR, previous=NOON - SECOND) == -2 * HOUR


@pytest.mark.parametrize(
    ("times", "offset", "previous", "moved_first", "how"),
    [
        ([0], None, None, NOON, "the last time is that of its arrival"),
        ([0, 30_000, 60_000], None, None, NOON - 60_000, "the last time is that of its arrival"),
        ([0], 2 * HOUR, None, NOON, "the last time is that of its arrival"),  # an offset from after it was set
        ([0], -(NOON - YEAR_2000), None, NOON, "the last time is that of its arrival"),  # that of another unset clock
        ([0], -NOON + HOUR, None, NOON - HOUR, "20778 d behind, as measured"),  # replayed after an hour
        ([HOUR], -NOON + HOUR - 4000, None, NOON, "the last time is that of its arrival"),  # quicker than measured
        ([0], -NOON + HOUR, NOON - MINUTE, NOON - MINUTE, "follows the time before"),
        ([0, 60_000], None, NOON - 30_000, NOON - 30_000, "follows the time before"),
        ([0, 600_000], None, NOON - 30_000, NOON + 60_000 - 600_000, "follows the time before"),
        ([0], None, NOON + DAY, NOON + 60_000, "follows the time before"),
    ],
)
@pytest.mark.parametrize("clock", Clock)
def test_the_time_of_an_unset_clock_becomes_ours(times, offset, previous, moved_first, how, clock):
    found = moved_by(times, offset, clock, previous, NOON)
    assert times[0] + found.by_ms == moved_first
    assert (found.why.rule, found.why.message) == ("time_of_unset_clock", f"clock not set, says 1970-01-01: {how}")


def test_the_offset_of_a_set_clock_is_of_no_use_for_an_unset_one():
    new_years_eve = YEAR_2020 - HOUR
    assert move([new_years_eve], -2 * HOUR) == NOON - new_years_eve


def test_a_message_with_set_and_unset_times_passes():
    assert move([0, NOON], None) is None
    assert move([0, NOON + 2 * HOUR], 2 * HOUR) is None


def test_a_message_without_times_passes():
    assert move([], 2 * HOUR) is None


def test_a_year_that_no_calendar_has_is_named_as_the_first():
    assert "says 0001-01-01" in moved_by([-(2**63)], None, Clock.UNKNOWN, None, NOON).why.message


# What is always true

int64 = st.integers(-(2**63), 2**63 - 1)
usual = st.integers(NOON - 3 * DAY, NOON + 3 * DAY) | st.integers(-DAY, DAY) | int64


@given(st.lists(st.tuples(usual, usual), max_size=9), st.lists(int64, max_size=3))
def test_no_measurement_makes_it_raise(measured, zones):
    offsets = reduce(kept, (Offset(*one) for one in measured), ())
    found = estimate(clocks.after_boot(offsets))
    for seen, _ in measured:
        assert classify(found, seen, zones) in Clock


offsets_of_clocks = st.sampled_from([-5 * HOUR, HOUR, 2 * HOUR, 20700 * SECOND, -NOON, YEAR_2000 - NOON]) | int64


@given(st.lists(usual, max_size=4), st.none() | offsets_of_clocks, st.sampled_from(Clock), st.none() | usual, usual)
def test_a_moved_time_is_neither_far_ahead_nor_is_a_set_one_before_its_session(times, offset, clock, previous, now):
    found = moved_by(times, offset, clock, previous, now)
    if found is None:
        return
    if found.why.rule == "local_time_sent":
        assert max(times) + found.by_ms <= now + 2 * MINUTE
        assert previous is None or min(times) + found.by_ms >= previous - 2 * MINUTE
        assert found.by_ms % (15 * MINUTE) == 0
    else:
        assert max(times) + found.by_ms <= now + MINUTE
        assert previous is None or min(times) + found.by_ms >= previous or max(times) + found.by_ms == now + MINUTE


@st.composite
def sessions(draw):
    """Messages of one session: true times of their samples, and when they came. Live, replayed, or both."""
    messages, written, seen = [], NOON, NOON
    for samples in draw(st.lists(st.lists(st.integers(0, 2 * HOUR), min_size=1, max_size=4), min_size=1, max_size=8)):
        true = [written := written + apart for apart in samples]
        seen = max(seen, written) + draw(st.integers(0, 9 * SECOND) | st.integers(0, 9 * HOUR))
        messages.append((true, seen))
    return messages


def told(messages, offset, known, clock):
    """What the CSMS gets, message by message, of a clock that is `offset` ahead."""
    previous = None
    for true, seen in messages:
        said = [one + offset for one in true]
        found = moved_by(said, known, clock, previous, seen)
        moved = [one + (found.by_ms if found else 0) for one in said]
        previous = max(moved[-1], previous) if previous is not None else moved[-1]
        yield true, seen, moved


@given(sessions(), st.sampled_from([*BERLIN, *KATHMANDU, *NEW_YORK]), st.integers(-90, 90), st.integers(-5, 5))
def test_of_a_local_clock_the_csms_gets_true_times_but_for_its_own_drift(messages, zone, drift, error):
    offset = (zone + drift) * SECOND
    known = offset + error * SECOND
    assume(classify(known, NOON, (zone,)) is Clock.LOCAL)
    for true, seen, moved in told(messages, offset, known, Clock.LOCAL):
        assert moved == [one + drift * SECOND for one in true]
        assert moved[-1] <= seen + max(0, drift) * SECOND


@given(sessions(), st.sampled_from([0, YEAR_2000, -(10**14)]), st.integers(0, 40 * DAY))
def test_of_an_unset_clock_the_csms_gets_true_times(messages, began, up):
    """`up`: how long it had run at noon."""
    offset = began + up - NOON
    for true, _, moved in told(messages, offset, offset, classify(offset, NOON, ())):
        assert moved == true


@given(sessions(), st.integers(0, 40 * DAY), st.integers(0, 30 * SECOND))
def test_an_unset_clock_of_which_nothing_is_known_is_moved_in_order_and_not_past_now(messages, up, slow):
    """Nor does an estimate that is some seconds wrong, as measured by slow messages, put anything past now."""
    for known in (None, up - NOON - slow):
        last = None
        for true, seen, moved in told(messages, up - NOON, known, Clock.UNSET):
            assert [one - moved[0] for one in moved] == [one - true[0] for one in true]
            assert last is None or moved[0] >= last or moved[-1] == seen + MINUTE
            assert moved[-1] <= seen + MINUTE
            last = moved[-1]


@given(sessions(), st.integers(-3 * DAY, 3 * DAY), st.sampled_from([BERLIN, KATHMANDU, NEW_YORK]))
def test_what_is_no_local_time_stays_as_wrong_as_it_is(messages, offset, zones):
    clock = classify(offset, NOON, zones)
    assume(clock is not Clock.LOCAL)
    for true, _, moved in told(messages, offset, offset, clock):
        assert moved == [one + offset for one in true]

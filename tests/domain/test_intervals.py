"""What became of a session's time, and who pays for it."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.intervals import (
    SITE_HOLD_MS,
    Booted,
    LimitSeen,
    LinkSeen,
    PowerSeen,
    Session,
    StatusSeen,
    account,
)
from edge.domain.pieces import FLAP_MS, Kind
from edge.domain.stillness import still_watts

MINUTE = 60_000
NINE = 1_795_251_600_000
"""All times of the tables are minutes after it."""


def at(minutes):
    return NINE + round(minutes * MINUTE)


def session(ended=None, now=60.0, followed=None, least=6.0):
    return Session(
        NINE, None if ended is None else at(ended), at(now), least, None if followed is None else at(followed)
    )


def status(minutes, word):
    return StatusSeen(at(minutes), f"{word}@{minutes:g}", word)


def power(minutes, watts, amperes=None, wh=None):
    return PowerSeen(at(minutes), f"value@{minutes:g}", watts, amperes, wh)


def register(minutes, wh):
    return power(minutes, None, wh=wh)


def down(minutes):
    return LinkSeen(at(minutes), f"down@{minutes:g}", is_up=False)


def up(minutes):
    return LinkSeen(at(minutes), f"up@{minutes:g}", is_up=True)


def limit(minutes, amperes):
    return LimitSeen(at(minutes), f"limit@{minutes:g}", amperes)


def boot(minutes):
    return Booted(at(minutes), f"boot@{minutes:g}")


def minutes(moment):
    return f"{(moment - NINE) / MINUTE:.4g}"


def told(one, *observations):
    """`charging 0-5, paused_by_car 5- €`: a € is billed, a ? inferred."""
    return ", ".join(
        f"{each.kind} {minutes(each.from_ms)}-{'' if each.until_ms is None else minutes(each.until_ms)}"
        + (" €" if each.billable_idle else "")
        + (" ?" if each.is_inferred else "")
        for each in account(one, observations).intervals
    )


CHARGING = status(0, "Charging")
EVERY_MINUTE = range(61)


# --- by statuses


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ([], "interrupted 0-"),
        ([CHARGING], "charging 0-"),
        ([CHARGING, status(10, "SuspendedEV")], "charging 0-10, paused_by_car 10- €"),
        ([CHARGING, status(10, "SuspendedEVSE")], "charging 0-10, paused_by_site 10-"),
        ([CHARGING, status(10, "Finishing")], "charging 0-10, idle 10- €"),
        ([CHARGING, status(10, "Faulted")], "charging 0-10, interrupted 10-"),
        ([CHARGING, status(10, "Unavailable")], "charging 0-10, interrupted 10-"),
        ([CHARGING, status(10, "NoSuchWord")], "charging 0-10, interrupted 10-"),
        ([CHARGING, status(10, "Available")], "charging 0-10, interrupted 10-"),
        ([status(0, "Preparing"), status(4, "Charging")], "interrupted 0-4, charging 4-"),
        ([status(4, "SuspendedEV")], "interrupted 0-4, paused_by_car 4- €"),
        ([CHARGING, status(5, "SuspendedEV"), status(9, "Charging")], "charging 0-5, paused_by_car 5-9 €, charging 9-"),
        ([CHARGING, status(5, "Charging"), status(9, "Charging")], "charging 0-"),
        ([CHARGING, status(5, "SuspendedEV"), status(9, "Finishing")], "charging 0-5, paused_by_car 5-9 €, idle 9- €"),
    ],
)
def test_a_status_tells_what_goes_on_until_the_next_one(observations, expected):
    assert told(session(), *observations) == expected


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ([CHARGING, status(5, "SuspendedEV"), status(5.08, "Charging")], "charging 0-"),
        (
            [CHARGING, status(5, "SuspendedEV"), status(5.09, "Charging")],
            "charging 0-5, paused_by_car 5-5.09 €, charging 5.09-",
        ),
        ([status(0, "Preparing"), status(0.05, "Charging")], "charging 0-"),
        ([CHARGING, status(59.99, "SuspendedEV")], "charging 0-"),
        ([CHARGING, status(5, "SuspendedEV"), down(9), up(9.03)], "charging 0-5, paused_by_car 5- €"),
    ],
)
def test_what_lasts_less_than_five_seconds_belongs_to_its_neighbour(observations, expected):
    assert told(session(), *observations) == expected


def test_idle_time_has_a_begin_an_end_and_a_sum():
    pauses = [
        CHARGING,
        status(5, "SuspendedEV"),
        status(9, "Charging"),
        status(20, "SuspendedEV"),
        status(26, "Charging"),
    ]
    whole = account(session(), pauses)
    assert (whole.idle_s, whole.idle_from_ms, whole.idle_until_ms) == (600, at(5), at(26))
    goes_on = account(session(), pauses[:-1])
    assert (goes_on.idle_s, goes_on.idle_from_ms, goes_on.idle_until_ms) == (44 * 60, at(5), None)
    none = account(session(), [CHARGING])
    assert (none.idle_s, none.idle_from_ms, none.idle_until_ms) == (0, None, None)


def test_a_part_of_a_second_is_not_billed():
    ends = StatusSeen(at(5) + 59_999, "end", "Charging")
    assert account(session(), [CHARGING, status(5, "SuspendedEV"), ends]).idle_s == 59


def test_each_interval_names_what_says_so():
    seen = [CHARGING, status(5, "SuspendedEV"), limit(10, 0), limit(20, 16), boot(40)]
    assert [one.evidence for one in account(session(), seen).intervals] == [
        ("Charging@0",),
        ("SuspendedEV@5", "boot@40"),
    ]
    assert [one.evidence for one in account(session(), seen[:-1]).intervals] == [
        ("Charging@0",),
        ("SuspendedEV@5",),
        ("SuspendedEV@5", "limit@10"),
        ("SuspendedEV@5",),
    ]


# --- the site


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([limit(20, 0), limit(30, 16)], "charging 0-10, paused_by_car 10-20 €, paused_by_site 20-30.17, paused_by_car 30.17- €"),
        ([limit(20, 5.9), limit(30, None)], "charging 0-10, paused_by_car 10-20 €, paused_by_site 20-30.17, paused_by_car 30.17- €"),
        ([limit(20, 6), limit(30, None)], "charging 0-10, paused_by_car 10- €"),
        ([limit(-60, 0)], "charging 0-10, paused_by_site 10-"),
        ([limit(-60, 0), limit(-30, 16)], "charging 0-10, paused_by_car 10- €"),
        ([limit(5, 0), limit(9.95, 16)], "charging 0-10, paused_by_site 10-10.12, paused_by_car 10.12- €"),
        ([limit(5, 0), limit(9.9, 16)], "charging 0-10.07, paused_by_car 10.07- €"),  # 4 s are a flap
        ([limit(20, 0), limit(30, 16), limit(30.1, 0), limit(40, 32)], "charging 0-10, paused_by_car 10-20 €, paused_by_site 20-40.17, paused_by_car 40.17- €"),
        ([limit(20, 0), limit(30, 16), limit(30.1, 32)], "charging 0-10, paused_by_car 10-20 €, paused_by_site 20-30.17, paused_by_car 30.17- €"),
        ([limit(90, 0)], "charging 0-10, paused_by_car 10- €"),
    ],
)  # fmt: skip
def test_a_pause_that_the_site_made_is_not_the_drivers(limits, expected):
    assert told(session(), CHARGING, status(10, "SuspendedEV"), *limits) == expected


def test_a_car_that_stays_is_not_billed_while_the_site_withholds():
    seen = [CHARGING, status(10, "Finishing"), limit(20, 0), limit(30, 16), status(40, "Available")]
    assert told(session(ended=10), *seen) == "charging 0-10, idle 10-20 €, idle 20-30.17, idle 30.17-40 €"


def test_a_short_limit_at_the_end_is_not_taken_for_a_flap():
    assert told(session(), CHARGING, status(10, "SuspendedEV"), limit(59.95, 0)).endswith("paused_by_site 59.95-")


def test_a_flap_that_was_withheld_in_part_is_not_billed_either():
    still = [power(each, 5) for each in range(60)]
    seen = [CHARGING, *still, power(59.94, 7000), limit(59.97, 0)]
    assert told(session(), *seen) == "paused_by_car 0-59.94 € ?, charging 59.94-"
    assert told(session(), *seen[:-1]) == "paused_by_car 0- € ?"


def test_the_least_current_is_the_chargers_own():
    seen = [CHARGING, status(10, "SuspendedEV"), limit(20, 9)]
    assert "paused_by_site" not in told(session(), *seen)
    assert "paused_by_site 20-" in told(session(least=10.0), *seen)


# --- the link


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ([down(10), up(20)], "charging 0-10, offline 10-20, charging 20-"),
        ([down(10)], "charging 0-10, offline 10-"),
        ([down(-10), up(20)], "charging 0-20, charging 20-"),
        ([status(5, "SuspendedEV"), down(10), up(20)], "charging 0-5, paused_by_car 5-10 €, offline 10-20, paused_by_car 20- €"),
        # replayed, with its own time
        ([down(10), up(30), status(15, "SuspendedEV")], "charging 0-10, offline 10-15, paused_by_car 15- €"),
        # energy in it
        ([down(10), up(30), power(12, 7000), power(20, 7000)], "charging 0-20, offline 20-30, charging 30-"),
        ([down(10), up(30), register(9, 100), register(12, 400), register(20, 2000)], "charging 0-20, offline 20-30, charging 30-"),
        ([down(10), up(50), power(12, 7000), power(40, 7000)], "charging 0-12, offline 12-50, charging 50-"),
        ([down(10), up(30), power(12, 0), power(20, 0)], "charging 0-10, offline 10-30, charging 30-"),
        # energy in it contradicts the status before
        ([status(5, "SuspendedEV"), down(10), up(30), power(15, 7000)], "charging 0-5, paused_by_car 5-10 €, charging 10-15, offline 15-30, charging 30-"),
    ],
)  # fmt: skip
def test_without_link_only_what_is_told_later_is_known(observations, expected):
    assert told(session(), CHARGING, *observations) == expected.replace("charging 0-20, charging 20-", "charging 0-")


def test_a_session_that_starts_without_link_is_offline_until_something_is_told():
    assert told(session(), down(-10), up(20), status(20, "Charging")) == "offline 0-20, charging 20-"


# --- before the first status, and boots


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ([power(5, 7000)], "charging 0-"),
        ([register(1, 100), register(5, 600)], "interrupted 0-1, charging 1-"),
        ([power(5, 0), power(10, 7000)], "interrupted 0-5, charging 5-"),
        ([power(20, 7000)], "interrupted 0-20, charging 20-"),
        ([power(each, 0) for each in EVERY_MINUTE], "interrupted 0-"),
        ([power(5, 7000, 10), *(power(each, 0) for each in range(20, 40))], "charging 0-20, paused_by_car 20- € ?"),
        ([status(0, "Preparing"), power(5, 7000)], "charging 0-"),
    ],
)
def test_before_the_first_status_only_energy_tells_what_goes_on(observations, expected):
    assert told(session(now=45 if len(observations) > 10 else 60), *observations) == expected


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ([boot(20), status(22, "SuspendedEV")], "charging 0-10, interrupted 10-22, paused_by_car 22- €"),
        ([power(15, 7000), boot(20), status(22, "Charging")], "charging 0-15, interrupted 15-22, charging 22-"),
        ([boot(20), power(24, 7000)], "charging 0-10, interrupted 10-24, charging 24-"),
        ([boot(20), power(24, 0)], "charging 0-10, interrupted 10-"),
        ([boot(20), status(22, "Preparing")], "charging 0-10, interrupted 10-"),
        ([down(16), up(20), boot(20)], "charging 0-10, paused_by_car 10-16 €, interrupted 16-"),
        ([up(20), boot(20)], "charging 0-10, interrupted 10-"),
        ([boot(20), down(30), up(35), status(40, "Charging")], "charging 0-10, interrupted 10-30, offline 30-35, interrupted 35-40, charging 40-"),
    ],
)  # fmt: skip
def test_from_the_last_sign_of_life_before_a_boot_nothing_is_known(observations, expected):
    if not any(isinstance(one, PowerSeen) and one.at_ms == at(15) for one in observations):
        observations = [status(10, "SuspendedEV"), *observations]
    assert told(session(), CHARGING, *observations) == expected


# --- chargers that say no more than Charging


def watts(first, last, amount, amperes=None, step=1):
    return [power(each, amount, amperes) for each in range(first, last, step)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (watts(0, 20, 7000, 10) + watts(20, 40, 5, 0.1) + watts(40, 61, 7000, 10), "charging 0-20, paused_by_car 20-40 € ?, charging 40-"),
        (watts(0, 20, 7000) + watts(20, 25, 5) + watts(25, 61, 7000), "charging 0-"),  # 4 min between the first and the last
        (watts(0, 20, 7000) + watts(20, 26, 5) + watts(26, 61, 7000), "charging 0-20, paused_by_car 20-26 € ?, charging 26-"),
        (watts(0, 20, 7000) + watts(20, 61, 99), "charging 0-20, paused_by_car 20- € ?"),
        (watts(0, 61, 100), "charging 0-"),
        (watts(0, 61, 5, 1.0), "charging 0-"),
        (watts(0, 61, -5000), "charging 0-"),
        (watts(0, 61, float("nan")), "charging 0-"),
        (watts(0, 61, None, 0.0), "charging 0-"),  # a current alone proves nothing
        (watts(0, 20, 5) + watts(36, 61, 5), "paused_by_car 0-19 € ?, charging 19-36, paused_by_car 36- € ?"),
        (watts(0, 61, 5, step=15), "paused_by_car 0- € ?"),
        (watts(0, 61, 5, step=16), "charging 0-"),
        (watts(0, 20, 5), "paused_by_car 0-19 € ?, charging 19-"),  # nothing heard for more than 15 min
        (watts(0, 50, 5), "paused_by_car 0- € ?"),
    ],
)  # fmt: skip
def test_power_proves_that_the_car_pauses(values, expected):
    assert told(session(), CHARGING, *values) == expected


@pytest.mark.parametrize(
    ("amperes", "amount", "is_paused"),
    [(16, 109, True), (16, 111, False), (32, 219, True), (32, 221, False), (None, 101, False), (10**6, 700, False), (6, 99, True)],
)  # fmt: skip
def test_what_counts_as_nothing_grows_with_what_is_offered(amperes, amount, is_paused):
    offered = [] if amperes is None else [limit(-1, amperes)]
    assert ("paused_by_car" in told(session(), CHARGING, *offered, *watts(0, 61, amount))) is is_paused


def test_what_counts_as_nothing_stays_below_what_a_car_takes():
    assert still_watts(float("inf"), 6.0) == 690


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([register(0, 1001), register(5, 1003), register(10, 1005)], "paused_by_car 0- € ?"),
        ([register(0, 1001), register(5, 1003), register(10, 1006)], "charging 0-"),
        ([register(0, 1001), register(10, 1001)], "charging 0-"),
        ([register(0, 1001), register(4, 1001), register(9, 1001)], "charging 0-"),
        ([register(each, 1001 + each // 10) for each in range(101)], "paused_by_car 0- € ?"),  # the charger's own 6 W
        ([register(each, 1001 + 40 * max(0, each - 30)) for each in EVERY_MINUTE], "paused_by_car 0-31 € ?, charging 31-"),
        ([register(0, 1003), register(5, 1001), register(10, 1001)], "charging 0-"),  # it fell
        ([register(each, 2000 + each // 40 * 1000) for each in EVERY_MINUTE], "charging 0-"),  # 1.5 kW, told in kWh
        ([register(each, 2300 + each // 5 * 100) for each in EVERY_MINUTE], "charging 0-"),
        ([power(each, 0, wh=1001 + 50 * each) for each in EVERY_MINUTE], "charging 0-"),  # the power is wrong
        ([power(each, 0, wh=1001 + each // 10) for each in EVERY_MINUTE], "paused_by_car 0- € ?"),
    ],
)  # fmt: skip
def test_a_register_that_stands_still_proves_that_the_car_pauses(values, expected):
    now = max(20.0, (values[-1].at_ms - NINE) / MINUTE)
    assert told(session(now=now), CHARGING, *values) == expected


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([limit(20, 0), limit(40, 16)], "paused_by_car 0-20 € ?, paused_by_site 20-40.17 ?, charging 40.17-41, paused_by_car 41- € ?"),
        ([limit(4, 0), limit(9, 16), limit(14, 0)], "charging 0-4, paused_by_site 4-9.167 ?, charging 9.167-14, paused_by_site 14- ?"),
        ([limit(20.2, 0), limit(20.4, 16)], "paused_by_car 0-20.2 € ?, charging 20.2-21, paused_by_car 21- € ?"),
        ([down(20), up(25)], "paused_by_car 0-20 € ?, offline 20-25, paused_by_car 25- € ?"),
        ([status(20, "SuspendedEV"), status(30, "Charging")], "paused_by_car 0- € ?"),
        ([status(20, "SuspendedEV"), status(57.5, "Charging")], "paused_by_car 0-57.5 € ?, charging 57.5-"),
        ([status(20.5, "Charging")], "paused_by_car 0- € ?"),
    ],
)  # fmt: skip
def test_what_is_inferred_is_inferred_anew_after_the_site_or_the_charger_has_had_its_say(others, expected):
    assert told(session(), CHARGING, *watts(0, 61, 5), *others) == expected


# --- after the stop


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], "charging 0-30"),
        ([status(30, "Finishing")], "charging 0-30, idle 30- €"),
        ([status(30.02, "Finishing"), status(40, "Available")], "charging 0-30.02, idle 30.02-40 €"),
        ([status(29.99, "Finishing"), status(40, "Available")], "charging 0-29.99, idle 29.99-40 €"),
        ([status(30, "Finishing"), status(40, "Preparing")], "charging 0-30, idle 30-40 €"),
        ([status(30, "Finishing"), status(40, "Charging")], "charging 0-30, idle 30-40 €"),
        ([status(30, "Finishing"), status(40, "Unavailable")], "charging 0-30, idle 30-40 €"),
        ([status(30, "Finishing"), status(40, "Faulted"), status(50, "Finishing")], "charging 0-30, idle 30-40 €, interrupted 40-50, idle 50- €"),
        ([status(35, "Finishing")], "charging 0-30, interrupted 30-35, idle 35- €"),
        ([status(31, "SuspendedEV"), status(35, "Finishing"), status(40, "Available")], "charging 0-30, interrupted 30-35, idle 35-40 €"),
        ([status(31, "SuspendedEV")], "charging 0-30"),
        ([status(31, "Faulted")], "charging 0-30"),
        ([status(31, "Available"), status(40, "Finishing")], "charging 0-30"),
        ([status(20, "SuspendedEV"), status(31, "Available")], "charging 0-20, paused_by_car 20-30 €"),
        ([status(30, "Finishing"), power(31, 7000), down(40), up(50)], "charging 0-30, idle 30-40 €, offline 40-50, idle 50- €"),
        ([status(30, "Finishing"), boot(40), status(45, "Available")], "charging 0-30, interrupted 30-45"),
        ([down(25), up(40), status(40, "Finishing")], "charging 0-25, offline 25-40, idle 40- €"),
        ([boot(45)], "charging 0-30"),
        ([status(20, "SuspendedEV"), boot(45), status(46, "Finishing")], "charging 0-20, paused_by_car 20-30 €, interrupted 30-46, idle 46- €"),
    ],
)  # fmt: skip
def test_after_the_stop_a_car_idles_while_its_connector_says_so(later, expected):
    assert told(session(ended=30), CHARGING, *later) == expected


def test_the_next_session_ends_the_idling_of_the_one_before():
    seen = [CHARGING, status(30, "Finishing"), status(50, "Finishing")]
    assert told(session(ended=30, followed=45), *seen) == "charging 0-30, idle 30-45 €"
    assert told(session(ended=30, followed=20), *seen) == "charging 0-30"
    assert told(session(followed=45), CHARGING) == "charging 0-"


# --- times that cannot be


@pytest.mark.parametrize(
    ("one", "observations", "expected"),
    [
        (session(), [status(-30, "Charging")], "charging 0-"),
        (session(), [status(-0.02, "SuspendedEV")], "paused_by_car 0- €"),
        (session(), [status(-30, "SuspendedEV")], "interrupted 0-"),  # of another session, or no time at all
        (session(), [status(-30, "Finishing"), status(3, "Charging")], "interrupted 0-3, charging 3-"),
        (session(ended=30), [status(-30, "Finishing")], "interrupted 0-30"),
        (session(), [CHARGING, status(90, "SuspendedEV")], "charging 0-"),
        (session(ended=90), [CHARGING], "charging 0-60"),
        (session(ended=-5), [CHARGING], ""),
        (session(now=-5), [CHARGING], ""),
        (session(now=0), [], ""),
    ],
)
def test_what_is_said_to_be_before_the_start_or_after_now_is_put_into_the_session(one, observations, expected):
    assert told(one, *observations) == expected


# --- whatever comes

TIMES = st.integers(-5, 70).map(lambda minutes: minutes * MINUTE) | st.integers(-2 * MINUTE, 65 * MINUTE)
INSIDE = ("Charging", "SuspendedEV", "SuspendedEVSE", "Finishing")
OTHERS = ("Available", "Preparing", "Reserved", "Unavailable", "Faulted")
WORDS = st.sampled_from((*INSIDE, *INSIDE, *OTHERS))
SAID = st.one_of(
    st.builds(StatusSeen, st.just(0), st.just(""), WORDS),
    st.builds(
        PowerSeen,
        st.just(0),
        st.just(""),
        st.none() | st.sampled_from([0.0, 0.0, 50.0, 150.0, 7000.0]),
        st.none() | st.sampled_from([0.0, 10.0]),
        st.none() | st.integers(1000, 1010),
    ),
    st.builds(LinkSeen, st.just(0), st.just(""), st.booleans()),
    st.builds(LimitSeen, st.just(0), st.just(""), st.sampled_from([None, 0.0, 5.0, 6.0, 32.0])),
    st.builds(Booted, st.just(0), st.just("")),
)


@st.composite
def still_stretch(draw):
    """Values as chargers send them: one a minute, nothing flows."""
    first, count = draw(st.integers(0, 50)), draw(st.integers(2, 20))
    return [PowerSeen(NINE + (first + each) * MINUTE + 7, "", 3.0, None, None) for each in range(count)]


@st.composite
def observed(draw):
    times = draw(st.lists(TIMES, unique=True, max_size=14))
    seen = [replace(draw(SAID), at_ms=NINE + each) for each in times]
    if draw(st.booleans()):
        taken = {one.at_ms for one in seen}
        seen += [one for one in draw(still_stretch()) if one.at_ms not in taken]
    return [replace(one, evidence=f"e{place}") for place, one in enumerate(seen)]


@st.composite
def sessions(draw):
    ended = draw(st.none() | st.integers(-1, 61).map(lambda minutes: NINE + minutes * MINUTE))
    followed = draw(st.none() | st.integers(30, 61).map(lambda minutes: NINE + minutes * MINUTE))
    return Session(NINE, ended, NINE + 60 * MINUTE, followed_ms=followed)


def spans(one, result):
    return [(each, each.from_ms, one.now_ms if each.until_ms is None else each.until_ms) for each in result.intervals]


@settings(max_examples=400, deadline=None)
@given(sessions(), observed())
def test_intervals_cover_the_session_without_a_gap_and_each_says_something_new(one, seen):
    result = account(one, seen)
    pieces = spans(one, result)
    ended = one.now_ms if one.ended_ms is None else max(one.ended_ms, NINE)
    until = pieces[-1][2] if pieces else NINE
    assert until >= min(ended, one.now_ms) and until <= one.now_ms
    if one.ended_ms is None or not any(isinstance(each, StatusSeen) and each.status == "Finishing" for each in seen):
        assert until == min(ended, one.now_ms)
    assert not pieces or pieces[0][1] == NINE
    assert all(start < end for _, start, end in pieces)
    assert sum(end - start for _, start, end in pieces) == until - NINE
    for (before, _, end), (after, start, _) in pairwise(pieces):
        assert end == start and before.until_ms is not None
        assert (before.kind, before.billable_idle) != (after.kind, after.billable_idle)


@settings(deadline=None)
@given(sessions(), observed())
def test_the_idle_time_is_that_of_the_billable_intervals(one, seen):
    result = account(one, seen)
    billable = [(each, start, end) for each, start, end in spans(one, result) if each.billable_idle]
    assert result.idle_s == sum(end - start for _, start, end in billable) // 1000
    assert result.idle_from_ms == (billable[0][1] if billable else None)
    assert result.idle_until_ms == (billable[-1][0].until_ms if billable else None)
    assert all(each.kind in (Kind.PAUSED_BY_CAR, Kind.IDLE) for each, _, _ in billable)
    assert all(each.kind is not Kind.PAUSED_BY_CAR or each.billable_idle for each in result.intervals)


@settings(deadline=None)
@given(sessions(), observed())
def test_the_evidence_is_of_what_was_observed_and_who_pays_is_told_why(one, seen):
    ids = {each.evidence for each in seen}
    for each in account(one, seen).intervals:
        assert set(each.evidence) <= ids and len(set(each.evidence)) == len(each.evidence) <= 20
        assert each.evidence or not each.billable_idle


@settings(deadline=None)
@given(sessions(), observed())
def test_nobody_pays_who_was_neither_said_to_pause_nor_measured(one, seen):
    mute = [
        each
        for each in seen
        if not isinstance(each, PowerSeen) and getattr(each, "status", "") not in ("SuspendedEV", "Finishing")
    ]
    assert account(one, mute).idle_s == 0


def in_force(seen, moment, before):
    return next((one for one in sorted(seen, key=lambda one: -one.at_ms) if one.at_ms <= moment), before)


@settings(max_examples=400, deadline=None)
@given(sessions(), observed(), TIMES, TIMES)
def test_while_the_site_offers_nothing_nobody_pays(one, seen, some, other):
    start, end = NINE + min(some, other), NINE + max(some, other)
    limits = [each for each in seen if isinstance(each, LimitSeen)]
    lifted = in_force(limits, end, LimitSeen(end, "lifted", None))
    kept = [each for each in seen if not (isinstance(each, LimitSeen) and start <= each.at_ms <= end)]
    with_it = [*kept, LimitSeen(start, "zero", 0.0), replace(lifted, at_ms=end, evidence="lifted")]
    result = account(one, with_it)
    for each, first, last in spans(one, result):
        if each.billable_idle and start < end:
            assert last <= start or first >= min(end + SITE_HOLD_MS, one.now_ms)


@settings(deadline=None)
@given(sessions(), observed(), TIMES, TIMES)
def test_while_the_charger_is_away_nobody_pays(one, seen, some, other):
    start, end = NINE + min(some, other), NINE + max(some, other)
    if end - start < FLAP_MS or start < NINE or end > one.now_ms - FLAP_MS:
        return
    kept = [each for each in seen if isinstance(each, LimitSeen) or not start <= each.at_ms <= end]
    result = account(one, [*kept, LinkSeen(start, "down", is_up=False), LinkSeen(end, "up", is_up=True)])
    for each, first, last in spans(one, result):
        if each.billable_idle:
            assert last <= start or first >= end


@settings(max_examples=200, deadline=None)
@given(sessions(), observed(), st.integers())
def test_the_order_of_receipt_changes_nothing(one, seen, seed):
    shuffled = random.Random(seed).sample(seen, len(seen))
    assert account(one, shuffled) == account(one, seen)


@settings(deadline=None)
@given(sessions(), observed())
def test_only_what_the_site_withheld_is_shorter_than_a_flap(one, seen):
    pieces = spans(one, account(one, seen))
    for place, (each, start, end) in enumerate(pieces):
        if end - start < FLAP_MS and len(pieces) > 1:
            neighbours = [pieces[other][0] for other in (place - 1, place + 1) if 0 <= other < len(pieces)]
            assert not each.billable_idle and all(other.billable_idle for other in neighbours)

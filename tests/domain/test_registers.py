"""What a session's energy is by its registers, whatever the charger said."""

from itertools import accumulate

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.domain.peculiarities import Rule
from edge.domain.registers import NO_REGISTER, Energy, Reading, Session, at_start, of_session, of_unfinished

WATTS = 11_000.0
"""183 Wh in a minute; with slack at most 240 Wh are possible."""
MINUTE = 60_000
BEGUN = 1_780_000_000_000
ODOMETER = 5_000_000

UNKNOWN, RESET, JUMP, PLACEHOLDER = (
    Rule.METER_STOP_UNKNOWN,
    Rule.REGISTER_RESET,
    Rule.REGISTER_JUMP_LEFT_OUT,
    Rule.START_REGISTER_PLACEHOLDER,
)


def a_session(start, *registers, minutes=None, lasted=None, watts=WATTS, before=None):
    """A register a minute, or at the minutes that are said; the stop a minute after the last."""
    at = range(1, len(registers) + 1) if minutes is None else minutes
    readings = [Reading(wh, round(BEGUN + one * MINUTE)) for wh, one in zip(registers, at, strict=True)]
    lasts = (max([0, *at]) + 1) if lasted is None else lasted
    return Session(start, BEGUN, readings, round(BEGUN + lasts * MINUTE), watts, before)


def told(energy: Energy):
    return energy.energy_wh, [note.rule for note in energy.corrections], energy.is_certain


@pytest.mark.parametrize(
    ("said", "before", "sent"),
    [
        (0, None, None),
        (0, 900, None),
        (812, None, None),
        (NO_REGISTER - 1, None, None),
        (NO_REGISTER, 812, 812),
        (2**63, 812, 812),
        (-1, 812, 812),
        (-1, None, 0),
        (-1, -1, 0),
        (-1, NO_REGISTER, 0),
        (None, 812, 812),
        (None, None, 0),
    ],
)
def test_a_start_without_a_register_says_the_last_one_of_its_connector(said, before, sent):
    correction = at_start(said, before)
    assert (None if correction is None else correction.register_wh) == sent
    assert correction is None or correction.why.rule is Rule.METER_START_UNKNOWN


@pytest.mark.parametrize(
    ("session", "stop", "expected"),
    [
        (a_session(5000), 5000, (0, [], True)),
        (a_session(5000, lasted=60), 9000, (4000, [], True)),
        (a_session(0, 100, 200), 300, (300, [], True)),
        (a_session(0, 100, 200, before=900_000), 300, (300, [], True)),  # counts from 0 in each session
        (a_session(100, 150, before=900), 200, (100, [], True)),
        (a_session(5000, 5000, 5100, minutes=[0, 600]), 5200, (200, [], True)),
        (a_session(5000, 100_000, minutes=[1000]), 100_100, (95_100, [], True)),  # hours offline
        (a_session(5000, 5100, 5100), 5100, (100, [], True)),
        # Times that say nothing.
        (a_session(5000, 5100, 5200, 5300, minutes=[20, 20, 20], lasted=20), 5400, (400, [], True)),
        (a_session(5000, *range(5100, 8000, 100), minutes=[60] * 29, lasted=60), 8000, (3000, [], True)),
        (a_session(5000, 5100, 5900, 6000, minutes=[30, 10, 11], lasted=31), 6100, (1100, [], True)),  # clock set
        (a_session(5000, 5900, 6000, 6100, minutes=[-5, -4, -3], lasted=60), 6200, (1200, [], True)),
        (a_session(5000, 5600, 5100, 5200, 5300, minutes=[6, 1, 2, 3], lasted=7), 5700, (700, [], True)),  # came late
        (a_session(5000, 5600, 5100, 5200, 5300, minutes=[6, 1, 2, 3], lasted=7), None, (600, [UNKNOWN], True)),
        (a_session(5000, *range(5100, 8000, 100), minutes=[0.001] * 29, lasted=0.01), 8000, (3000, [], False)),
        (a_session(5000, lasted=-5), 8000, (3000, [], False)),
        (a_session(0, lasted=0), 83_000, (0, [PLACEHOLDER], False)),
        # The register is not read for a while, stands still, and catches up.
        (a_session(5000, *[5000] * 30, 9000, 9100, 9200), 9300, (4300, [], True)),
        (a_session(5000, *[5000] * 30), 9000, (4000, [], False)),
        # Samples rounded to 0.1 kWh, the stop in Wh.
        (a_session(5049, 5000, 5000, 5000, 5100), 5160, (111, [], True)),
        (a_session(5000, 5100, 5300, 5400), 5365, (365, [], True)),
        (a_session(0, 200, 400), 361, (361, [], True)),
    ],
)
def test_registers_that_can_be_true_are_left_alone(session, stop, expected):
    energy = of_session(session, stop)
    assert told(energy) == expected
    assert bool(energy.corrections) == (energy.stop_wh != stop)


@pytest.mark.parametrize(
    ("session", "stop", "expected"),
    [
        # Odometer at the start, from 0 in the session: certain if it was read at once.
        (a_session(5000, 0, 4, minutes=[0, 1]), 8, (8, [RESET], True)),
        (a_session(5000, 4), 8, (8, [RESET], False)),
        (a_session(5000), 8, (8, [RESET], False)),
        (a_session(10), 8, (8, [RESET], False)),
        (a_session(5000), 4999, (0, [RESET], False)),
        (a_session(5000, 5100, 5200), 4900, (200, [RESET], False)),
        # A reboot within.
        (a_session(5000, 5100, 5200, 3, 100, 200), 300, (500, [RESET], False)),
        (a_session(5000, 5100, 5200, 3, 100, 200, minutes=[1, 2, 2.1, 3, 4]), 300, (500, [RESET], True)),
        (a_session(5000, 5100, 5200, 3), 100, (300, [RESET], False)),
        (a_session(5000, 5100, 5200), 50, (250, [RESET], False)),
        (a_session(5000, 5100, 5200), 100, (300, [RESET], True)),  # 83 Wh more at most
        (a_session(5000, 5100, 0, 150, 300, 50, 150), 250, (100 + 300 + 250, [RESET, RESET], False)),
        (a_session(5000, 5100, 5200, 10, 20, 30, minutes=[1, 2, -60, -59, -58]), 40, (240, [RESET], False)),
        (a_session(5000, 5100, 5200, 100, 200, 300, minutes=[1, 2, -60, -59, -58]), 400, (600, [RESET], False)),
        # One outlier, at the old level, does not undo it.
        (a_session(5000, 5100, 0, 150, 300, 5200), 450, (550, [RESET], False)),
        # Another meter: what it had counted before is not ours.
        (a_session(90_000, 90_100, 70_000, 70_100, 70_200), 70_300, (400, [RESET], False)),
        # More than it can have counted from 0 in a minute.
        (a_session(5000, 5100, 900, 1000, 1100), 1200, (400, [RESET], False)),
        # Small numbers: a reset that is overtaken at once looks like an outlier.
        (a_session(0, 8, 3, 9, 20), 25, (25, [], True)),
        (a_session(0, 100, 200, 3, 50, 100), 150, (350, [RESET], False)),
        (a_session(0, 150, 300, 160, 165, 170), 175, (475, [RESET], True)),
        (a_session(0, 100, 120, 2000, 140, 150, 160, minutes=[20, 20, 20, 21, 22, 23]), 170, (170, [], True)),
        # Samples rounded down to 0.1 kWh are below the start.
        (a_session(5049, 5000, 5000, 5000), 5000, (0, [RESET], True)),
        (a_session(5049, 5000, 5000, 5000, 0, 4), 8, (8, [RESET], False)),
    ],
)
def test_a_register_that_falls_counts_in_parts(session, stop, expected):
    assert told(of_session(session, stop)) == expected


@pytest.mark.parametrize(
    ("session", "stop", "expected"),
    [
        (a_session(5000, 5100, 5200), None, (200, [UNKNOWN], True)),
        (a_session(5000, 5100, 5200), -1, (200, [UNKNOWN], True)),
        (a_session(5000, 5100, 5200), 0, (200, [UNKNOWN], True)),
        (a_session(5000, 5100, 5200), NO_REGISTER, (200, [UNKNOWN], True)),
        (a_session(5000, 5100, 5200, lasted=4), -1, (200, [UNKNOWN], False)),
        (a_session(0, 100, 200), 0, (200, [UNKNOWN], True)),
        (a_session(5000), 0, (0, [UNKNOWN], False)),
        (a_session(5000), None, (0, [UNKNOWN], False)),
        (a_session(0), -1, (0, [UNKNOWN], False)),
        (a_session(0), 0, (0, [], True)),
        (a_session(0, 0, 0), 0, (0, [], True)),
        (a_session(5000, 5100, 0, 0, 0), 0, (100, [RESET], False)),
        (a_session(5000, 5100, 0, 0), None, (100, [RESET, UNKNOWN], False)),
        (a_session(5000, 5100, 900_000), None, (100, [UNKNOWN], False)),
    ],
)
def test_a_stop_without_a_register_ends_at_the_last_one(session, stop, expected):
    assert told(of_session(session, stop)) == expected


@pytest.mark.parametrize(
    ("session", "stop", "expected"),
    [
        (a_session(0, 910_000, 910_083), 910_083, (83, [PLACEHOLDER], False)),
        (a_session(0, 0, 910_000, 910_083, minutes=[0, 1, 2]), 910_083, (83, [PLACEHOLDER], False)),
        (a_session(0, 910_000, 910_083, before=909_950), 910_083, (133, [PLACEHOLDER], True)),
        (a_session(0, 910_000, 910_083, before=700_000), 910_083, (83, [PLACEHOLDER], False)),  # another meter
        (a_session(0, 910_000, 910_083, before=910_010), 910_083, (83, [PLACEHOLDER], False)),
        (a_session(0, before=909_950), 910_083, (133, [PLACEHOLDER], True)),
        (a_session(0), 910_083, (0, [PLACEHOLDER], False)),
        (a_session(0, 910_000, 5, 100), 200, (200, [], True)),  # the first one was the outlier
        (a_session(0, 910_000, 5, 100), 910_083, (100, [JUMP], True)),
    ],
)
def test_a_start_of_0_before_a_whole_odometer_is_no_register(session, stop, expected):
    assert told(of_session(session, stop)) == expected


@pytest.mark.parametrize(("jump_wh", "expected"), [(19_999, (20_299, [], False)), (20_000, (300, [JUMP], False))])
def test_less_than_20_kwh_too_much_may_be_a_wrong_time_and_is_billed_as_it_was_said(jump_wh, expected):
    session = a_session(5000, 5100, 5200, 5200 + jump_wh)
    assert told(of_session(session, 5300 + jump_wh)) == expected


@pytest.mark.parametrize(
    ("session", "stop", "expected"),
    [
        (a_session(5000, 5100, 905_000, 5300), 5400, (400, [], True)),
        (a_session(5000, 5100, 0, 5300), 5400, (400, [], True)),
        (a_session(5000, 5100, 905_000), 5200, (200, [], True)),
        (a_session(5000, 5100, 5200), 905_000, (200, [JUMP], True)),
        (a_session(5000, 5100, 5200, lasted=4), 905_000, (200, [JUMP], False)),
        (a_session(5000), 905_000, (0, [JUMP], False)),
        (a_session(5000, 5100, 905_000, 905_100, 905_200), 905_300, (100 + 300, [JUMP], False)),
        (a_session(5000, 5100, 905_000), 905_100, (200, [JUMP], False)),
        (a_session(5000, 5100, 905_000, 800_000), 5200, (200, [], True)),
        (a_session(5000, 5100, 905_000, 905_200, 5400), 5500, (500, [], True)),
        # The meter is not read for a while: 0 meanwhile.
        (a_session(5000, 5100, 0, 0, 0, 0, 5600, 5700), 5800, (800, [], True)),
        (a_session(5000, 5100, 905_000, 905_000, 905_000, 5500), 5600, (600, [], True)),
        # Start and stop by one register, those between by another.
        (a_session(70_000, 0, 100, 200, 300), 70_400, (400, [], True)),
        (a_session(0, 70_000, 70_100, 70_200, minutes=[0, 1, 2]), 290, (290, [], True)),
    ],
)
def test_a_jump_beyond_physics_counts_only_if_others_follow_on_from_it(session, stop, expected):
    assert told(of_session(session, stop)) == expected


@pytest.mark.parametrize(
    ("session", "following", "expected"),
    [
        (a_session(5000, 5100, 5200), 5200, (200, True, None)),
        (a_session(5000, 5100, 5200), 5300, (300, True, None)),
        (a_session(5000, 5100, 5200), 5301, (200, False, 301)),
        (a_session(5000, 5100, lasted=1), 5160, (160, True, None)),
        (a_session(5000, 5100, 5200), 905_000, (200, False, None)),
        (a_session(5000, 5100, 5200), 5199, (200, False, None)),
        (a_session(5000, 5100, 5200), None, (200, False, None)),
        (a_session(5000, 5100, 5200), NO_REGISTER, (200, False, None)),
        (a_session(5000), 5000, (0, True, None)),
        (a_session(5000), None, (0, False, None)),
        (a_session(0), 0, (0, False, None)),  # counts from 0 in each session
        (a_session(5000, 5100, 905_000), 5200, (200, True, None)),
        (a_session(5000, 5100, 5, 200, 300), 350, (400, False, None)),
        # replayed in a burst, by a clock that nobody knows: the next register shows that the single one is true
        (a_session(5000, 5300, minutes=[0.001], lasted=5), 5450, (300, False, 450)),
        (a_session(5000, 5300, minutes=[0.001], lasted=5), 5250, (0, False, 250)),
        (a_session(5000, 9000, minutes=[0.001], lasted=5), 9500, (0, False, None)),
        # several in a burst agree: little that cannot have flowed is billed as it was said, as with a stop
        (a_session(5000, 5300, 5300, 5300, minutes=[0.001, 0.002, 0.003], lasted=5), None, (300, False, None)),
        (a_session(5000, 5300, 5300, 5300, minutes=[0.001, 0.002, 0.003], lasted=5), 5300, (300, False, None)),
        (a_session(5000, 95300, 95300, 95300, minutes=[0.001, 0.002, 0.003], lasted=5), None, (0, False, None)),
    ],
)
def test_an_unfinished_session_ends_at_its_last_register_or_the_next_start(session, following, expected):
    energy = of_unfinished(session, following)
    assert (energy.energy_wh, energy.is_certain, energy.upper_wh) == expected
    assert energy.stop_wh == session.start_wh + energy.energy_wh


def test_a_start_that_went_up_without_being_a_register_is_counted_from_the_connector():
    energy = of_session(a_session(NO_REGISTER, 5100, 5200, before=5000), 5300)
    assert told(energy) == (300, [Rule.METER_START_UNKNOWN], False)
    assert energy.stop_wh == NO_REGISTER + 300


def test_what_helped_is_said_in_registers():
    assert [note.message for note in of_session(a_session(5000, 0, 4, minutes=[0, 1]), 8).corrections] == [
        "register fell from 5000 to 0 Wh, and counts from 0"
    ]


def test_notes_of_hours_of_nonsense_are_few():
    registers = [wh for level in range(1, 400) for wh in [level * 10**6] * 3]
    energy = of_session(a_session(5000, *registers), 7)
    assert len(energy.corrections) == 5
    assert len(energy.why_not) < 150


steps = st.lists(st.tuples(st.integers(1, 3600), st.floats(0, 1)), min_size=1, max_size=25)
"""Seconds, and which part of the full power."""


def times_and_registers(start, of_steps):
    seconds = list(accumulate(one for one, _ in of_steps))
    registers = list(accumulate((int(WATTS * one / 3600 * part) for one, part in of_steps), initial=start))[1:]
    return [BEGUN + one * 1000 for one in seconds], registers


def session_of(start, times, registers, before=None):
    readings = [Reading(wh, at) for at, wh in zip(times, registers, strict=True)]
    return Session(start, BEGUN, readings[:-1], readings[-1].at_ms, WATTS, before), readings[-1].wh


starts = st.integers(0, 2**31 - 10**7)


@settings(deadline=None)
@given(starts, steps, st.none() | starts)
def test_what_can_be_true_is_never_corrected(start, of_steps, before):
    session, stop = session_of(start, *times_and_registers(start, of_steps), before)
    energy = of_session(session, stop)
    assert told(energy) == (stop - start, [], True)
    assert energy.stop_wh == stop


@settings(deadline=None)
@given(starts, steps, st.integers(-(10**9), 10**9))
def test_energy_does_not_depend_on_where_time_begins(start, of_steps, shift):
    session, stop = session_of(start, *times_and_registers(start, of_steps))
    readings = [Reading(one.wh, one.at_ms + shift) for one in session.readings]
    shifted = Session(start, BEGUN + shift, readings, session.end_ms + shift, WATTS, None)
    assert of_session(shifted, stop) == of_session(session, stop)


@settings(deadline=None)
@given(st.integers(10**6, 10**9), steps, st.data())
def test_an_outlier_changes_neither_energy_nor_certainty(start, of_steps, data):
    """An odometer beyond what can be counted from 0 between two registers: any other value at all."""
    times, registers = times_and_registers(start, of_steps)
    where = data.draw(st.integers(0, len(registers) - 1))
    near = st.integers(-500, 100_000).map(lambda off: registers[where] + off)
    outlier = data.draw(st.integers(-5, 2**31 + 5) | near)
    between = data.draw(st.integers(times[where - 1] if where else BEGUN, times[where]))
    times.insert(where, between)
    registers.insert(where, outlier)
    session, stop = session_of(start, times, registers)
    assert told(of_session(session, stop)) == (stop - start, [], True)


@settings(deadline=None)
@given(st.integers(10**6, 10**9), steps, steps, st.booleans())
def test_a_reset_loses_nothing_that_was_read_before_it(start, steps_before, steps_after, is_read_after):
    times, registers = times_and_registers(start, steps_before)
    read_wh, read_at = registers[-1], times[-1]
    later, grown = times_and_registers(0, steps_after)
    after = [read_at + at - BEGUN for at in later]
    assume(grown[-1] > 0)
    at_once = ([read_at + 1], [0]) if is_read_after else ([], [])
    session, stop = session_of(start, times + at_once[0] + after, registers + at_once[1] + grown)
    energy = of_session(session, stop)
    assert (energy.energy_wh, [note.rule for note in energy.corrections]) == (read_wh - start + grown[-1], [RESET])
    if is_read_after:
        assert energy.is_certain


@settings(deadline=None)
@given(st.integers(1, 10**9), steps, st.data())
def test_a_stop_without_register_loses_what_flowed_since_the_last(start, of_steps, data):
    session, stop = session_of(start, *times_and_registers(start, [*of_steps, (60, 1.0)]))
    energy = of_session(session, data.draw(st.sampled_from([None, 0, -1, NO_REGISTER, 2**32 - 1])))
    assert told(energy) == (stop - start - 183, [UNKNOWN], True)


any_integer = st.integers(-(2**63), 2**63) | st.integers(0, 10**5) | st.sampled_from([-1, 0, 1, NO_REGISTER])
any_time = st.integers(-(2**63), 2**63) | st.integers(BEGUN - 10**7, BEGUN + 10**7)


@st.composite
def any_session(draw):
    readings = draw(st.lists(st.builds(Reading, any_integer, any_time), max_size=20))
    watts = draw(st.sampled_from([0.0, 1.0, WATTS, 500_000.0]))
    return Session(draw(any_integer), draw(any_time), readings, draw(any_time), watts, draw(st.none() | any_integer))


@settings(deadline=None)
@given(any_session(), st.none() | any_integer)
def test_whatever_is_said_the_energy_is_never_negative_and_the_stop_agrees(session, said):
    for energy in (of_session(session, said), of_unfinished(session, said)):
        assert energy.energy_wh >= 0
        assert energy.stop_wh - session.start_wh == energy.energy_wh
        assert energy.upper_wh is None or energy.upper_wh > energy.energy_wh
    stopped = of_session(session, said)
    assert stopped.corrections or stopped.stop_wh == said


@settings(deadline=None)
@given(any_session(), st.none() | any_integer)
def test_no_energy_is_certain_that_cannot_have_flowed(session, said):
    times = [session.start_ms, session.end_ms, *(one.at_ms for one in session.readings)]
    forward = sum(
        max(after - before, 1000) for before, after in zip(times[:1] + times[2:], times[2:] + times[1:2], strict=True)
    )
    possible = 1.2 * session.most_watts * (max(times) - min(times) + forward) / 3_600_000
    energy = of_session(session, said)
    assert not energy.is_certain or energy.energy_wh <= possible + 120 * len(times) + 100


def test_a_long_session_takes_linear_time():
    registers = [wh for level in range(4_000) for wh in (5000, level * 10**4 % 10**6)]
    assert of_session(a_session(5000, *registers), 5000).energy_wh >= 0

"""Whether a measurement can be true after the one before it, by physics. Findings only: nothing here corrects.

`edge/chargers/records.py` keeps the measurement before in memory (`edge/store/measured.py`) and notes what is found.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from edge.domain.ids import TransactionNo
from edge.domain.peculiarities import Peculiarity, Rule

MOST_WATTS = 500_000.0
"""More than any charger that speaks 1.6 delivers on one connector, where its own limit is not configured."""
WATTS_PER_AMPERE = 3 * 230.0
"""Three phases at nominal voltage, for `max_current` of the configuration."""
_SLACK = 1.2
_SLACK_WH = 20.0
"""A meter's own steps, and a few Wh that a contactor lets through."""
_SOC_SLACK = 2.0
REPLAYED_AFTER = 10.0
"""Seconds between the time in a message and its coming, after which it was replayed."""


COMPARED_OVER = 600.0
"""Seconds of a transaction over which its register is compared with its power (ocpp-rules.md E.12)."""
LONGEST_STEP = 900.0
"""Seconds between two values, beyond which the power between them is anybody's guess."""
_TOO_DIFFERENT = 100.0
"""kWh where Wh are said makes a thousand; a register that stands still makes more."""
_LEAST_COMPARED_WH = 500.0


@dataclass(frozen=True, slots=True)
class Window:
    """What was charged since some moment of a transaction, by the power that was told."""

    at: datetime
    register_wh: int
    by_power_wh: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The last that is known of a connector's meter."""

    transaction: TransactionNo | None
    """None: outside of a transaction."""
    at: datetime | None
    """By the charger's clock."""
    received_ms: int
    register_wh: int | None
    soc: float | None = None
    power_w: float | None = None
    window: Window | None = None


def with_window(before: Measured | None, now: Measured) -> Measured:
    """The same, with what the power has told since the window began, or began anew."""
    if now.transaction is None or now.at is None or now.register_wh is None or now.power_w is None:
        return now
    anew = _since(now, Window(now.at, now.register_wh, 0.0))
    if before is None or before.transaction != now.transaction or before.window is None:
        return anew
    if before.at is None or before.power_w is None or _lasted(before.window, before.at) >= COMPARED_OVER:
        return anew
    seconds = (now.at - before.at).total_seconds()
    if not 0 <= seconds <= LONGEST_STEP:
        return anew
    by_power = before.window.by_power_wh + (before.power_w + now.power_w) / 2 * seconds / 3600
    return _since(now, Window(before.window.at, before.window.register_wh, by_power))


def _since(now: Measured, window: Window) -> Measured:
    # Written out: with each message `dataclasses.replace` would take a twentieth more than all the rest of storing it.
    return Measured(now.transaction, now.at, now.received_ms, now.register_wh, now.soc, now.power_w, window)


def _lasted(window: Window, until: datetime) -> float:
    return (until - window.at).total_seconds()


def _disagreement(now: Measured) -> Iterator[Peculiarity]:
    """Whether register and power can be in the units that they are said to be in."""
    if now.window is None or now.at is None or now.register_wh is None:
        return
    grown, told = now.register_wh - now.window.register_wh, now.window.by_power_wh
    if _lasted(now.window, now.at) < COMPARED_OVER or max(grown, told) < _LEAST_COMPARED_WH or min(grown, told) < 0:
        return
    if max(grown, told) > _TOO_DIFFERENT * min(grown, told):
        minutes = round(_lasted(now.window, now.at) / 60)
        yield Peculiarity(
            Rule.ENERGY_POWER_DISAGREE, f"in {minutes} min {grown} Wh by the register, {told:.0f} Wh by the power"
        )


def most_energy_wh(most_watts: float, seconds: float) -> float:
    """What can have flowed in this time."""
    return most_watts * _SLACK * max(seconds, 1.0) / 3600 + _SLACK_WH


def _seconds(before: Measured, now: Measured) -> float:
    """By the charger's clock, else by ours."""
    if before.at is not None and now.at is not None:
        return (now.at - before.at).total_seconds()
    return (now.received_ms - before.received_ms) / 1000


def of_values(
    before: Measured | None, now: Measured, power_w: float | None, most_watts: float
) -> Iterator[Peculiarity]:
    """What cannot be true of a measurement inside a transaction, or of its stop."""
    if power_w is not None and power_w > most_watts * _SLACK:
        yield Peculiarity(Rule.POWER_BEYOND_PHYSICS, f"{power_w:g} W, at most {most_watts:g} W can be")
    yield from _disagreement(now)
    if before is None or before.transaction != now.transaction:
        return
    if before.register_wh is not None and now.register_wh is not None:
        grown = now.register_wh - before.register_wh
        seconds = _seconds(before, now)
        if grown < 0 and seconds >= 0:
            yield Peculiarity(Rule.REGISTER_FELL, f"from {before.register_wh} to {now.register_wh} Wh")
        elif grown > most_energy_wh(most_watts, seconds):
            yield Peculiarity(Rule.REGISTER_JUMPED, f"{grown} Wh in {seconds:g} s")
    if before.soc is not None and now.soc is not None and before.soc - now.soc > _SOC_SLACK:
        yield Peculiarity(Rule.SOC_FELL, f"from {before.soc:g} to {now.soc:g} %")


def of_start(before: Measured | None, at: datetime | None, now: Measured) -> Iterator[Peculiarity]:
    """What is odd about a start, after the last measurement of its connector."""
    if before is None:
        return
    if before.register_wh is not None and now.register_wh is not None and now.register_wh < before.register_wh:
        yield Peculiarity(Rule.REGISTER_RESTARTED, f"at {now.register_wh} Wh, was at {before.register_wh} Wh")
    if before.transaction is not None or at is None or before.at is None:
        return
    # A start that is replayed right after values that are replayed as well, and were taken with its register.
    late = now.received_ms / 1000 - at.timestamp()
    values_late = before.received_ms / 1000 - before.at.timestamp()
    is_burst = now.received_ms - before.received_ms < REPLAYED_AFTER * 1000
    if min(late, values_late) > REPLAYED_AFTER and is_burst and before.register_wh == now.register_wh:
        yield Peculiarity(Rule.VALUES_BEFORE_START, f"values of {before.register_wh} Wh came before their start")


def continues(before: Measured, stop: Measured, most_watts: float) -> bool:
    """Whether a stop's register can be the next one after this measurement."""
    if before.register_wh is None or stop.register_wh is None:
        return False
    grown = stop.register_wh - before.register_wh
    return 0 <= grown <= most_energy_wh(most_watts, _seconds(before, stop))

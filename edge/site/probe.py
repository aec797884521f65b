"""Finds out what answers at an address: which units, at which serial settings, and which meter profiles fit them.

Only registers are read (function codes 3 and 4), never written. A unit is there if it answers anything to a harmless
question, be it a refusal; a gateway that says that nobody answered is none. A profile fits if what the meter model is
recognised by is right and its values make a possible reading. Works on a bus that pollers use as well: each question
takes a turn of its own, behind the grid meter.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Final

from edge.config.connections import SerialSettings
from edge.domain.readings import SiteReading
from edge.site.bus import Bus
from edge.site.modbus import (
    NOBODY_THERE,
    LineDown,
    ModbusError,
    ModbusRefused,
    ModbusSilent,
    ModbusWrongAnswer,
    SettingsImpossible,
)
from edge.site.plausibility import implausible, reading_from, unknown_needed
from edge.site.registers import Block, Group, MeterProfile, Sign, add_up, decode
from edge.site.requests import each_alone, plan
from edge.site.rtu import Question

USUAL_SETTINGS: Final = (
    SerialSettings(9600, "N", 1),
    SerialSettings(19200, "E", 1),
    SerialSettings(9600, "E", 1),
    SerialSettings(19200, "N", 1),
    SerialSettings(38400, "N", 1),
    SerialSettings(115200, "N", 1),
    SerialSettings(2400, "N", 1),
    SerialSettings(19200, "N", 2),
    SerialSettings(4800, "N", 1),
    SerialSettings(57600, "N", 1),
    SerialSettings(38400, "E", 1),
    SerialSettings(9600, "O", 1),
)
"""What meters come with or are set to, the most common first."""

KNOCK: Final = (4, 0, 2)
"""Function code, address and count of the harmless question."""
TURNAROUND_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Fit:
    """A profile that fits, and what it reads."""

    profile: MeterProfile
    reading: SiteReading

    @property
    def known(self) -> int:
        """How much of the meter it reads: the more, the better it fits."""
        reading = self.reading
        values = (*reading.voltage_v, *reading.current_a, *reading.power_w, reading.power_total_w)
        others = (reading.frequency_hz, reading.energy_import_wh, reading.energy_export_wh)
        return sum(value is not None for value in (*values, *others))


@dataclass(frozen=True, slots=True)
class Found:
    """A unit that answers."""

    unit: int
    settings: SerialSettings | None
    """None: not a serial port of this machine."""
    fits: tuple[Fit, ...]
    """The best first."""


@dataclass(slots=True)
class Search:
    """What has been found so far; it stays when the time is over."""

    found: list[Found] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    """Something was heard that is no answer: settings that are nearly right, two units of one number."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line to search: for a serial port one for each of its possible settings."""

    bus: Bus
    settings: SerialSettings | None


def usual_first(units: Iterable[int], profiles: Iterable[MeterProfile]) -> tuple[list[int], list[int]]:
    """The units in two rounds: those that meters come with, and the rest."""
    usual = {profile.unit for profile in profiles}
    listed = list(dict.fromkeys(units))
    return [unit for unit in listed if unit in usual], [unit for unit in listed if unit not in usual]


async def steps(
    places: Sequence[Place],
    units: Sequence[int],
    profiles: Sequence[MeterProfile],
    now: Callable[[], datetime],
    result: Search,
    *,
    first_only: bool,
) -> AsyncGenerator[str, None]:
    """Fills `result` step by step and tells what each one tries. Raises LineDown when a place cannot be asked at all.

    Once a unit has answered, its settings are those of the line and no others are tried; `first_only`: and no other
    units either. Settings that the serial port cannot do are passed over, unless there are no others.
    """
    for units_of_round in usual_first(units, profiles):
        possible: list[Place] = []
        for place in places:
            heard_elsewhere = len(result.unclear)
            try:
                with place.bus.in_use():
                    async with aclosing(_steps_at(place, units_of_round, profiles, now, result, first_only)) as trying:
                        async for what in trying:
                            yield what
                    if len(places) > 1:  # on the same wire the next settings are tried
                        await place.bus.line.quiet()
            except SettingsImpossible:
                if result.found or (not possible and place is places[-1]):
                    raise
                continue
            possible.append(place)
            if result.found:
                if len(places) > 1:  # what was heard with other settings is explained
                    del result.unclear[:heard_elsewhere]
                break
        if result.found and first_only:
            return
        places = possible[-1:] if result.found else possible


async def _steps_at(
    place: Place,
    units: Sequence[int],
    profiles: Sequence[MeterProfile],
    now: Callable[[], datetime],
    result: Search,
    first_only: bool,
) -> AsyncGenerator[str, None]:
    for unit in units:
        where = f"unit {unit}" if place.settings is None else f"{place.settings}, unit {unit}"
        yield f"{where}: does it answer?"
        if not await _answers(place, unit, result):
            continue
        found = Found(unit, place.settings, ())
        result.found.append(found)
        for profile in profiles:
            yield f"{where} answers; is it {profile.id}?"
            fit = await _fit(place.bus, unit, profile, now)
            if fit is not None:
                found = replace(found, fits=tuple(sorted((*found.fits, fit), key=_best_first)))
                result.found[-1] = found
        if first_only:
            return


def _best_first(fit: Fit) -> int:
    return -fit.known


async def _answers(place: Place, unit: int, result: Search) -> bool:
    try:
        await _ask(place.bus, Question(unit, *KNOCK))
    except ModbusRefused as error:
        return error.exception_code not in NOBODY_THERE
    except ModbusWrongAnswer as error:
        result.unclear.append(str(error) if place.settings is None else f"{place.settings}: {error}")
        return False
    except LineDown:
        raise
    except ModbusSilent:
        return False
    return True


async def _ask(bus: Bus, question: Question, turnaround_s: float = TURNAROUND_S) -> tuple[int, ...]:
    async with bus.turn(first=False) as line:
        return await line.read(question, line.patience_s(question.count, turnaround_s))


async def _fit(bus: Bus, unit: int, profile: MeterProfile, now: Callable[[], datetime]) -> Fit | None:
    try:
        if not await _is_recognised(bus, unit, profile):
            return None
        numbers = [
            number
            for group, block in _blocks(profile, bus.line.baudrate)
            for number in await _numbers(bus, unit, profile, group, block)
        ]
    except LineDown:
        raise
    except ModbusError:
        return None
    values = add_up(numbers)
    reading = reading_from(values, now())
    if unknown_needed(values) or implausible(reading, (None, None), None) or not _is_alive(reading):
        return None
    return Fit(profile, reading)


def _blocks(profile: MeterProfile, baudrate: int | None) -> Iterator[tuple[Group, Block]]:
    blocks = plan(profile, baudrate)
    return chain.from_iterable(((group, block) for block in blocks[group]) for group in Group)


async def _is_recognised(bus: Bus, unit: int, profile: MeterProfile) -> bool:
    """A sign that the unit refuses to show says nothing; one that it shows has to be right, and one has to be."""
    shown = 0
    for sign in profile.signs:
        try:
            number = await _sign(bus, unit, profile, sign)
        except ModbusRefused:
            continue
        if number is None or not sign.low <= number <= sign.high:
            return False
        shown += 1
    return shown > 0 or not profile.signs


async def _sign(bus: Bus, unit: int, profile: MeterProfile, sign: Sign) -> float | None:
    value = sign.value
    block = Block(value.function_code, value.address, value.type.words, (value,))
    ((_, number),) = await _read(bus, unit, profile, block)
    return number


async def _numbers(
    bus: Bus, unit: int, profile: MeterProfile, group: Group, block: Block
) -> list[tuple[str, float | None]]:
    """What a refused request asked for is asked alone; of the slow group a value may be missing."""
    try:
        return await _read(bus, unit, profile, block)
    except ModbusRefused:
        numbers: list[tuple[str, float | None]] = []
        for part in each_alone(block):
            try:
                numbers += await _read(bus, unit, profile, part)
            except ModbusRefused:
                if group is Group.FAST:
                    raise
                numbers += ((value.name, None) for value in part.values)
        return numbers


async def _read(bus: Bus, unit: int, profile: MeterProfile, block: Block) -> list[tuple[str, float | None]]:
    if profile.min_gap_s > 0:
        await asyncio.sleep(profile.min_gap_s)
    question = Question(unit, block.function_code, block.address, block.count)
    return decode(block, await _ask(bus, question, profile.turnaround_s))


def _is_alive(reading: SiteReading) -> bool:
    """Registers of something else often read as 0, which could be a site where nothing is connected."""
    volts = [each for each in reading.voltage_v if each is not None]
    if volts:
        return any(each > 80 for each in volts)
    return bool(reading.energy_import_wh or reading.energy_export_wh or round(reading.power_total_w or 0))

"""`edge meter probe`, on both sides: in the command's own process, and in a daemon that reads the line already.

In: what the command line asks. Out: the document that `interface.md` calls "find out what answers at an address", with
the lines to paste into the configuration. A daemon lets nobody else onto its line, so there it is asked itself, over
its bus; what it does not read is probed by the command. What is tried and what fits is decided in `edge/site/probe.py`.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from edge.config.connections import (
    BAUDRATES,
    Connection,
    ConnectionInvalid,
    ModbusTcp,
    RtuGateway,
    SerialPort,
    SerialSettings,
    parse_connection,
)
from edge.config.metering import SERIAL_UNITS
from edge.console.errors import CommandError
from edge.console.grammar_probe import LONGEST_PROFILE
from edge.console.units import iso
from edge.domain.ports import Clock
from edge.jsontypes import JsonValue, Payload
from edge.site.bus import Bus
from edge.site.installation import Installation, InUse, line_to
from edge.site.modbus import LineDown
from edge.site.probe import USUAL_SETTINGS, Fit, Found, Place, Search, steps
from edge.site.profiles import ProfileInvalid, built_in_profile, profile_from, profile_names
from edge.site.registers import MeterProfile

Tell = Callable[[str], None]
"""Told what is being tried, for somebody who waits."""

USUAL_UNITS: Final = tuple(range(1, 11))
ANY_UNIT: Final = 255
"""Modbus TCP's unit for a device that is no gateway (Messaging Implementation Guide 1.0b, 4.4.2.1)."""
LONGEST_S: Final = 86_400.0
MOST_DOTS: Final = 100
"""In a line of a profile; in ours it is a version or an address at most."""
TO_RESOLVE_S: Final = 2.0
"""For the name of a host; where nobody knows it, names are compared as they are written."""
PARITIES: Final = (("N", 1), ("E", 1), ("N", 2), ("O", 1))


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line, understood."""

    text: str
    connection: Connection
    units: tuple[int, ...] | None
    """None: the usual ones."""
    baudrates: tuple[int, ...] | None
    profiles: tuple[MeterProfile, ...]
    within_s: float

    @property
    def is_one_unit_enough(self) -> bool:
        """Most devices of Modbus TCP answer to every unit."""
        return self.units is None and isinstance(self.connection, ModbusTcp)

    def units_to_try(self) -> tuple[int, ...]:
        if self.units is not None:
            return self.units
        own = tuple(profile.unit for profile in self.profiles)
        direct = (ANY_UNIT,) if isinstance(self.connection, ModbusTcp) else ()
        return tuple(dict.fromkeys((*USUAL_UNITS, *own, *direct)))

    def settings_to_try(self) -> tuple[SerialSettings | None, ...]:
        """Of a serial port those that the address leaves open."""
        port = self.connection
        if not isinstance(port, SerialPort):
            return (None,)
        usual: tuple[SerialSettings, ...] = USUAL_SETTINGS
        if self.baudrates is not None:
            usual = tuple(
                SerialSettings(baudrate, parity, stopbits)
                for parity, stopbits in PARITIES
                for baudrate in self.baudrates
            )
        return tuple(dict.fromkeys(port.settings(each) for each in usual))


def understood(args: Payload) -> Asked:
    """Raises CommandError for what is not usable."""
    text = str(args.get("address"))
    try:
        connection = parse_connection(text)
    except ConnectionInvalid as error:
        hint = "Expected tcp://HOST[:PORT], rtu:///dev/TTY or rtu+tcp://HOST:PORT."
        raise CommandError("usage", f"'{text}' is no address of a meter: {error}.", hint) from error
    units, baudrates = _integers(args.get("units")), _integers(args.get("baudrates"))
    low, high = (0, 255) if isinstance(connection, ModbusTcp) else SERIAL_UNITS
    if wrong := [unit for unit in units or () if not low <= unit <= high]:
        raise CommandError("usage", f"There is no unit {wrong[0]} there.", f"Units are {low} to {high}.")
    if baudrates is not None and not isinstance(connection, SerialPort):
        raise CommandError("usage", "--baudrates is for serial ports.", "A gateway's speed is set in the gateway.")
    if wrong := [rate for rate in baudrates or () if not BAUDRATES[0] <= rate <= BAUDRATES[1]]:
        raise CommandError("usage", f"{wrong[0]} is no baud rate.", f"They are {BAUDRATES[0]} to {BAUDRATES[1]}.")
    within = args.get("within_s", 60.0)
    if not isinstance(within, int | float) or not 0 < within <= LONGEST_S:
        raise CommandError("usage", "That is no time to search for.", f"It is up to {LONGEST_S / 3600:g} hours.")
    profiles = _profiles(args.get("profile"), args.get("profile_text"))
    return Asked(text, connection, units, baudrates, profiles, float(within))


def _integers(value: JsonValue) -> tuple[int, ...] | None:
    return tuple(each for each in value if isinstance(each, int)) if isinstance(value, list) else None


def _profiles(name: JsonValue, own: JsonValue) -> tuple[MeterProfile, ...]:
    """All of ours, the one of that name, or the person's `own`: the text of the file of that name.

    The file itself is the command's to read: a daemon opens none that a client names.
    """
    try:
        if isinstance(own, str):
            _require_short(own, str(name))
            # a file is named in the configuration, whatever id stands in it
            return (replace(profile_from(own, str(name)), id=str(name)),)
        return tuple(map(built_in_profile, profile_names() if name is None else (str(name),)))
    except ProfileInvalid as error:
        raise CommandError("usage", f"{error}.", "docs/meter-profiles.md explains profiles.") from error


def _require_short(text: str, name: str) -> None:
    """It is read while meters and chargers wait, and a key of many parts takes the square of their number."""
    if len(text) > LONGEST_PROFILE:
        raise ProfileInvalid(f"{name}: longer than a profile may be, {LONGEST_PROFILE} characters")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS:
            raise ProfileInvalid(f"{name}:{number}: more than {MOST_DOTS} dots in a line")


def probe_here(args: Payload, clock: Clock, tell: Tell) -> Payload:
    """In this process, with a line of its own. Raises CommandError."""
    return asyncio.run(_probe_with_own_line(understood(args), clock, tell))


async def _probe_with_own_line(asked: Asked, clock: Clock, tell: Tell) -> Payload:
    places = []
    slowest = min(profile.serial.baudrate for profile in asked.profiles)
    for settings in asked.settings_to_try():
        connection = asked.connection
        if isinstance(connection, SerialPort) and settings is not None:
            connection = SerialPort(connection.device, settings.baudrate, settings.parity, settings.stopbits)
        places.append(Place(Bus(line_to([connection], [settings or SerialSettings(slowest)])), settings))
    document: Payload = {}
    async with aclosing(probe(asked, places, {}, clock)) as documents:
        async for document in documents:
            tell(str(document.get("trying", "")))
    return document


class Probing:
    """The daemon's side."""

    def __init__(self, installation: Installation, clock: Clock) -> None:
        self._installation = installation
        self._clock = clock

    async def probe(self, args: Payload) -> AsyncGenerator[Payload, None]:
        """What is being tried, as it is, and then the result. Raises CommandError; `not_in_use`: it is not our line."""
        asked = understood(args)
        ours = await self._line_to(asked.connection)
        if ours is None:
            raise CommandError("not_in_use", f"The daemon does not read {asked.text}.")
        if type(ours.connection) is not type(asked.connection):
            raise CommandError("in_use", f"The daemon reads {ours.connection.place} there.", "Give it that address.")
        _require_settings_in_use(asked, ours)
        place = Place(ours.bus, ours.settings)
        async with aclosing(probe(asked, [place], ours.meters, self._clock)) as documents:
            async for document in documents:
                yield document

    async def _line_to(self, asked: Connection) -> InUse | None:
        """The line that leads to the same device, though it may be named otherwise in the configuration."""
        for line in self._installation.lines:
            if line.connection.place == asked.place or await _is_same(asked, line.connection):
                return line
        return None


def _require_settings_in_use(asked: Asked, ours: InUse) -> None:
    """A line that is read is not set otherwise for a while. Raises CommandError."""
    port, settings = asked.connection, ours.settings
    if settings is None or not isinstance(port, SerialPort):
        return
    if port.settings(settings) != settings or settings.baudrate not in (asked.baudrates or (settings.baudrate,)):
        hint = "Leave the settings away; or stop the daemon, then others can be tried."
        raise CommandError("in_use", f"The daemon reads {port.device} with {settings}.", hint)


async def _is_same(one: Connection, other: Connection) -> bool:
    """Whether both lead to one serial port, or to one port of one host."""
    if isinstance(one, SerialPort) or isinstance(other, SerialPort):
        devices = [each.device for each in (one, other) if isinstance(each, SerialPort)]
        return len(devices) == 2 and os.path.realpath(devices[0]) == os.path.realpath(devices[1])  # noqa: ASYNC240
    return one.port == other.port and bool(await _addresses(one.host) & await _addresses(other.host))


async def _addresses(host: str) -> frozenset[str]:
    """The name itself where nobody knows it."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(loop.time() + TO_RESOLVE_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:  # TimeoutError is one
        return frozenset({host})
    return frozenset(str(address[0]) for *_, address in found)


async def probe(
    asked: Asked, places: Sequence[Place], in_use: Mapping[int, str], clock: Clock
) -> AsyncGenerator[Payload, None]:
    """`{"trying": …}` for each step, and the result as the last. Raises CommandError when nothing was found.

    `in_use`: the configuration's meters at that place, by their unit.
    """
    result, why_incomplete = Search(), None
    deadline = clock.monotonic() + asked.within_s
    search = steps(
        places, asked.units_to_try(), asked.profiles, clock.utc_now, result, first_only=asked.is_one_unit_enough
    )
    async with aclosing(search):
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    trying = await anext(search, None)
            except TimeoutError:
                why_incomplete = (
                    f"The {asked.within_s:g} s were over before everything was tried; --within 5m gives more."
                )
                break
            except LineDown as error:
                if not result.found:
                    raise CommandError("line_down", f"{error}.", _why_down(asked)) from error
                why_incomplete = f"{error}."
                break
            if trying is None:
                break
            yield {"v": 1, "trying": trying}
    if not result.found:
        raise _nothing(asked, places, result, is_over=why_incomplete is not None)
    if why_incomplete is None and asked.is_one_unit_enough:
        why_incomplete = "Only the first unit that answers was looked at; if it is a gateway to several: --units 1-32."
    yield {
        "v": 1,
        "at": iso(clock.utc_now()),
        "address": asked.text,
        "found": [
            _found(asked, each, in_use, is_first=number == 0)
            for number, each in enumerate(sorted(result.found, key=lambda each: each.unit))
        ],
        "unclear": list(result.unclear),
        "why_incomplete": why_incomplete,
    }


def _why_down(asked: Asked) -> str:
    match asked.connection:
        case SerialPort():
            return ""  # what to do stands in the error
        case ModbusTcp() | RtuGateway():
            return "Are address and port right, and is the device on and in this network?"


def _nothing(asked: Asked, places: Sequence[Place], result: Search, *, is_over: bool) -> CommandError:
    hint = "\n".join(_what_to_check(asked, places))
    if result.unclear:
        return CommandError("unclear", f"Something is heard that is no answer: {result.unclear[-1]}.", hint)
    if is_over:
        over = f"Nothing answered at {asked.text} within {asked.within_s:g} s, and not everything was tried."
        return CommandError("timed_out", over, f"--within 10m gives it more time.\n{hint}")
    return CommandError("nothing_answered", f"Nothing answers at {asked.text}.", hint)


def _what_to_check(asked: Asked, places: Sequence[Place]) -> list[str]:
    """What keeps a meter from answering, the most common first."""
    tried = f"Tried: {_units_words(asked.units_to_try())}"
    wiring = "Are A and B of the RS-485 line exchanged? Is it terminated with 120 ohms at both ends?"
    match asked.connection:
        case SerialPort():
            if len(places) > 1:
                tried += f" with {len(places)} settings from {places[0].settings} on"
            else:
                tried += f" with {places[0].settings}"
            display = "Is the meter on, and what does its display say: unit, baud rate, parity, Modbus?"
            return [f"{tried}. Others: --units 1-247, --baudrates 1200,4800.", wiring, display]
        case RtuGateway():
            speed = "Are baud rate and parity set in the gateway as in the meter?"
            other = "Does the gateway pass bytes on, or does it speak Modbus TCP? Then it is tcp://HOST:PORT."
            return [f"{tried}. Others: --units 1-247.", speed, other, wiring]
        case ModbusTcp():
            switched = "Is Modbus TCP switched on in the device, and does it allow another client?"
            other = "Of a gateway that passes bytes on, the address is rtu+tcp://HOST:PORT. Behind a gateway:"
            return [f"{tried}. Others: --units 0-255.", switched, other, wiring]


def _units_words(units: Sequence[int]) -> str:
    """`units 1-10, 126`."""
    runs: list[list[int]] = []
    for unit in sorted(units):
        if runs and unit == runs[-1][-1] + 1:
            runs[-1].append(unit)
        else:
            runs.append([unit])
    words = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"unit {words}" if len(units) == 1 else f"units {words}"


def _found(asked: Asked, found: Found, in_use: Mapping[int, str], *, is_first: bool) -> Payload:
    connection = asked.connection.place
    if isinstance(asked.connection, SerialPort) and found.settings is not None:
        settings = found.settings
        connection = (
            f"rtu://{asked.connection.device}?baudrate={settings.baudrate}&parity={settings.parity}"
            f"&stopbits={settings.stopbits}"
        )
    return {
        "unit": found.unit,
        "connection": connection,
        "meter": in_use.get(found.unit),
        "profiles": [_fit(fit) for fit in found.fits],
        "configuration": _lines(found, connection, is_first=is_first),
    }


def _fit(fit: Fit) -> Payload:
    profile, reading = fit.profile, fit.reading
    return {
        "profile": profile.id,
        "vendor": profile.vendor,
        "models": list(profile.models),
        "quality": profile.quality,
        "voltage_v": list(reading.voltage_v),
        "current_a": list(reading.current_a),
        "power_w": list(reading.power_w),
        "power_total_w": reading.power_total_w,
        "frequency_hz": reading.frequency_hz,
        "energy_import_wh": reading.energy_import_wh,
        "energy_export_wh": reading.energy_export_wh,
    }


def _lines(found: Found, connection: str, *, is_first: bool) -> list[JsonValue]:
    fitting = found.fits[0].profile.id if found.fits else "./my-meter.toml"
    comment = "" if found.fits else "    # none of ours fits it"
    return [
        "[[meter]]",
        f'id = "meter-{found.unit}"',
        f"profile = {_quoted(fitting)}{comment}",
        f"connection = {_quoted(connection)}",
        f"unit = {found.unit}",
        'role = "grid"    # or "sub"' if is_first else 'role = "sub"     # one meter of the site is "grid"',
    ]


def _quoted(words: str) -> str:
    """A string of TOML, whose escapes are those of JSON."""
    return json.dumps(words, ensure_ascii=False)

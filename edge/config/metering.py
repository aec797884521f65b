"""What the meters of the file, their profiles and their circuits have to agree on.

A profile is read by whoever asks for the check (`read_profile`), for a register map is not the business of this
package; of it only `MeterModel` is needed. Without a reader, what depends on it is left unjudged.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from edge.config.connections import Connection, ConnectionInvalid, ModbusTcp, SerialPort, SerialSettings
from edge.config.connections import parse_connection as parse
from edge.config.consistency import Draft, Table, is_path_of_profile
from edge.config.files import Files
from edge.config.problems import Fault, Unexpected
from edge.config.rules import printable, quoted
from edge.domain.ports import EdgeError

SERIAL_UNITS: Final = (1, 247)
"""0 is the broadcast, which nobody answers; what is above is reserved (Modbus over Serial Line 1.02, 2.2)."""


@dataclass(frozen=True, slots=True)
class MeterModel:
    """What a meter's profile says that the rest of the file has to fit."""

    phases: int
    measures_currents: bool
    """Per phase, as a fuse needs it; some meters tell only their total power."""
    serial: SerialSettings
    """How it is set when it comes out of its box."""


ReadProfile: TypeAlias = Callable[[str], MeterModel]
"""From a profile's name or path. Raises EdgeError with what is wrong with it."""

_Meters: TypeAlias = list[tuple[Table, Connection, MeterModel | None]]


def metering_faults(draft: Draft, files: Files, read_profile: ReadProfile | None) -> tuple[Fault, ...]:
    models: dict[str, MeterModel] = {}
    faults: list[Fault] = []
    if read_profile is not None:
        faults += _read_models(draft, files, read_profile, models)
    meters = [
        (table, connection, models.get(_text(draft, table, "profile")))
        for table in draft.tables("meter")
        if (connection := _connection(draft, table)) is not None
    ]
    faults += [*_wrong_units(draft, meters), *_unlike_settings(meters), *_read_twice(draft, meters)]
    faults += [*_unfit_phases(draft, models), *_circuits_without_currents(draft, models)]
    return tuple(faults)


def _read_models(
    draft: Draft, files: Files, read_profile: ReadProfile, models: dict[str, MeterModel]
) -> Iterator[Fault]:
    for table in draft.tables("meter"):
        profile = _text(draft, table, "profile")
        if not profile or profile in models:
            continue
        try:
            models[profile] = read_profile(str(files.locate(profile)) if is_path_of_profile(profile) else profile)
        except Unexpected:
            continue  # told with the path
        except EdgeError as error:
            if is_path_of_profile(profile) and files.locate(profile).is_file():
                yield Fault((*table[0], "profile"), f"cannot be used: {error}")


def _wrong_units(draft: Draft, meters: _Meters) -> Iterator[Fault]:
    low, high = SERIAL_UNITS
    for table, connection, _ in meters:
        unit = draft.value(table, "unit")
        if unit is not None and not isinstance(connection, ModbusTcp) and not low <= unit <= high:
            yield Fault((*table[0], "unit"), f"expected {low} to {high} on a serial line, got {unit}")


def _unlike_settings(meters: _Meters) -> Iterator[Fault]:
    """All on one line speak alike, whatever their boxes say."""
    first: dict[str, tuple[str, SerialSettings]] = {}
    for table, connection, model in meters:
        if not isinstance(connection, SerialPort):
            continue
        if model is None and None in (connection.baudrate, connection.parity, connection.stopbits):
            continue
        settings = connection.settings(SerialSettings() if model is None else model.serial)
        name = printable(str(table[1].get("id")))
        other, theirs = first.setdefault(connection.place, (name, settings))
        if theirs != settings:
            yield Fault(
                (*table[0], "connection"),
                f"{settings} on {connection.device}, but {other} speaks {theirs} there; expected all meters of a "
                "line to be set alike: set this one so and write baudrate, parity and stopbits here",
            )


def _read_twice(draft: Draft, meters: _Meters) -> Iterator[Fault]:
    first: dict[object, str] = {}
    for table, connection, _ in meters:
        key = (connection.place, draft.value(table, "unit"), _text(draft, table, "profile"))
        other = first.setdefault(key, printable(str(table[1].get("id"))))
        if other != table[1].get("id"):
            yield Fault(
                (*table[0], "connection"), f"the same unit is already read as {other}; expected another", warning=True
            )


def _unfit_phases(draft: Draft, models: Mapping[str, MeterModel]) -> Iterator[Fault]:
    for table in draft.tables("meter"):
        model, phases = models.get(_text(draft, table, "profile")), draft.value(table, "phases")
        if model is not None and isinstance(phases, str) and len(phases) // 2 != model.phases:
            expected = "one phase" if model.phases == 1 else f"{model.phases} phases"
            yield Fault((*table[0], "phases"), f"expected {expected}, as the meter has, got {quoted(phases)}")


def _circuits_without_currents(draft: Draft, models: Mapping[str, MeterModel]) -> Iterator[Fault]:
    meters = draft.named("meter")
    for table in draft.tables("circuit"):
        meter = draft.value(table, "meter")
        profile = _text(draft, meters[meter], "profile") if meter in meters else ""
        if profile in models and not models[profile].measures_currents:
            yield Fault(
                (*table[0], "meter"),
                f"{printable(profile)} measures no current per phase, which a fuse is about; expected another meter",
            )


def _connection(draft: Draft, table: Table) -> Connection | None:
    try:
        return parse(_text(draft, table, "connection"))
    except ConnectionInvalid:
        return None  # told already


def _text(draft: Draft, table: Table, key: str) -> str:
    value: Any = draft.value(table, key)
    return value if isinstance(value, str) else ""

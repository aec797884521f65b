"""Which registers of a meter to read, what the words in them mean, and whether the result can be true.

`edge/site/profiles.py` makes the profile from a TOML file; `edge/site/poller.py` reads the planned blocks and
brings their words here. Everything in this module is a pure function. Addresses are as on the wire, from zero;
names of values are those of the profile: `u1` … `p3`, `p_total`, `f`, `e_import`, `e_export`, in V, A, W, Hz, Wh.
"""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Literal, TypeAlias

from edge.domain.readings import PhaseValues, SiteReading

Values: TypeAlias = Mapping[str, float | None]
"""Decoded values by name; None where the meter says that it does not know."""

Counters: TypeAlias = tuple[int | None, int | None]
"""Import and export energy in Wh."""

PER_PHASE = ("u", "i", "p")
PER_SITE = ("p_total", "f", "e_import", "e_export")


class RegisterType(StrEnum):
    I16 = "i16"
    U16 = "u16"
    I32 = "i32"
    U32 = "u32"
    I64 = "i64"
    U64 = "u64"
    F32 = "f32"
    F64 = "f64"

    @property
    def words(self) -> int:
        return int(self.value[1:]) // 16


class WordOrder(StrEnum):
    """Which word of a value comes first; the bytes inside a word are always high first."""

    BIG = "big"
    LITTLE = "little"


class Group(StrEnum):
    FAST = "fast"
    """Read in every cycle: what protects the fuse."""
    SLOW = "slow"


FunctionCode: TypeAlias = Literal[3, 4]
"""3 holding registers, 4 input registers."""


@dataclass(frozen=True, slots=True)
class Value:
    """One number and where the meter keeps it."""

    name: str
    address: int
    type: RegisterType
    function_code: FunctionCode
    word_order: WordOrder = WordOrder.BIG
    scale: float = 1.0
    """Raw number times scale = V, A, W, Hz or Wh."""
    group: Group = Group.FAST

    @property
    def end(self) -> int:
        """The address after its last word."""
        return self.address + self.type.words


@dataclass(frozen=True, slots=True)
class Block:
    """What one request reads."""

    function_code: FunctionCode
    address: int
    count: int
    values: tuple[Value, ...]
    """In order of address."""


@dataclass(frozen=True, slots=True)
class MeterProfile:
    id: str
    vendor: str
    models: tuple[str, ...]
    quality: str
    """How well the map is known: unverified, single-source, cross-checked or hardware."""
    phases: int
    max_read: int
    """Registers that one request may ask for."""
    gap_allowed: bool
    """False for meters that refuse a request that touches a register they do not have."""
    min_gap_s: float
    """Silence that the meter needs between two requests."""
    max_current_a: float | None
    """Above 1.2 times this a current is a reading error."""
    values: tuple[Value, ...] = field(repr=False)


def plan_blocks(profile: MeterProfile, group: Group) -> tuple[Block, ...]:
    """The fewest requests that read each value of the group once and none in parts.

    Over TCP a request costs more than the registers in a gap, so neighbours are merged as far as the meter allows.
    """
    wanted = sorted(
        (value for value in profile.values if value.group is group),
        key=lambda value: (value.function_code, value.address),
    )
    runs: list[list[Value]] = []
    for value in wanted:
        if runs and _fits(profile, runs[-1], value):
            runs[-1].append(value)
        else:
            runs.append([value])
    return tuple(_block(run) for run in runs)


def _fits(profile: MeterProfile, run: Sequence[Value], value: Value) -> bool:
    last = run[-1]
    return (
        value.function_code == last.function_code
        and value.end - run[0].address <= profile.max_read
        and (profile.gap_allowed or value.address == last.end)
    )


def _block(run: Sequence[Value]) -> Block:
    return Block(run[0].function_code, run[0].address, run[-1].end - run[0].address, tuple(run))


def split_at_gap(block: Block) -> tuple[Block, ...]:
    """The block in two, without its largest gap; the block itself when it has none."""
    gaps = [after.address - before.end for before, after in pairwise(block.values)]
    if not gaps or max(gaps) == 0:
        return (block,)
    cut = gaps.index(max(gaps)) + 1
    return _block(block.values[:cut]), _block(block.values[cut:])


def split_each(block: Block) -> tuple[Block, ...]:
    return tuple(_block([value]) for value in block.values)


def decode(block: Block, registers: Sequence[int]) -> Values:
    """The values of a block from its `block.count` registers."""
    decoded: dict[str, float | None] = {}
    for value in block.values:
        at = value.address - block.address
        decoded[value.name] = _decode_value(value, registers[at : at + value.type.words])
    return decoded


_FORMATS = {
    RegisterType.I16: ">h",
    RegisterType.U16: ">H",
    RegisterType.I32: ">i",
    RegisterType.U32: ">I",
    RegisterType.I64: ">q",
    RegisterType.U64: ">Q",
    RegisterType.F32: ">f",
    RegisterType.F64: ">d",
}


def _decode_value(value: Value, words: Sequence[int]) -> float | None:
    ordered = words if value.word_order is WordOrder.BIG else tuple(reversed(words))
    raw: int | float
    (raw,) = struct.unpack(_FORMATS[value.type], struct.pack(f">{len(ordered)}H", *ordered))
    return None if _means_unknown(value.type, raw) else raw * value.scale


def _means_unknown(kind: RegisterType, raw: float) -> bool:
    """Whether the raw number is the one that meters send for "not available" or "overflow"."""
    if kind in (RegisterType.F32, RegisterType.F64):
        return not math.isfinite(raw)
    bits = kind.words * 16
    if kind in (RegisterType.U16, RegisterType.U32, RegisterType.U64):
        return raw == (1 << bits) - 1
    if kind is RegisterType.I32 and raw >= 0x7FFF_0000:
        return True  # Carlo Gavazzi: a high word of 7FFF is an overflow, whatever follows
    return raw in (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def reading_from(values: Values, at: datetime) -> SiteReading:
    """Some meters give currents the sign of the power; here they are RMS values and never negative."""
    return SiteReading(
        at=at,
        voltage_v=_phases(values, "u"),
        current_a=(_magnitude(values.get("i1")), _magnitude(values.get("i2")), _magnitude(values.get("i3"))),
        power_w=_phases(values, "p"),
        power_total_w=values.get("p_total"),
        frequency_hz=values.get("f"),
        energy_import_wh=_whole(values.get("e_import")),
        energy_export_wh=_whole(values.get("e_export")),
    )


def _phases(values: Values, quantity: str) -> PhaseValues:
    return values.get(f"{quantity}1"), values.get(f"{quantity}2"), values.get(f"{quantity}3")


def _magnitude(value: float | None) -> float | None:
    return None if value is None else abs(value)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def unknown_needed(values: Values) -> tuple[str, ...]:
    """Reasons why these values make no reading: what protects a fuse is unknown, which is not the same as 0."""
    return tuple(
        f"{name}: the meter marks the value as not available"
        for name, value in values.items()
        if value is None and (name[:-1] in PER_PHASE or name == "p_total")
    )


def implausible(reading: SiteReading, counters: Counters, max_current_a: float | None) -> tuple[str, ...]:
    """Reasons why this reading cannot be true; `counters` are those seen before.

    Catches exchanged blocks, wrong profiles and late answers, which all decode to numbers without an error.
    """
    phases = enumerate(zip(reading.voltage_v, reading.current_a, reading.power_w, strict=True), start=1)
    return (
        *(reason for phase, measured in phases for reason in _implausible_phase(phase, *measured, max_current_a)),
        *_implausible_total(reading),
        *_counted_back("e_import", counters[0], reading.energy_import_wh),
        *_counted_back("e_export", counters[1], reading.energy_export_wh),
    )


def _implausible_phase(
    phase: int, volts: float | None, amps: float | None, watts: float | None, max_current_a: float | None
) -> Iterable[str]:
    # about 0 V is a phase that is not connected
    if volts is not None and not (0 <= volts < 5 or 80 < volts < 300):
        yield f"u{phase}: {volts:.1f} V is not a phase voltage"
    if amps is not None and max_current_a is not None and amps > 1.2 * max_current_a:
        yield f"i{phase}: {amps:.1f} A is more than the meter can measure ({max_current_a:g} A)"
    if volts is None or amps is None or watts is None:
        return
    if abs(watts) > 1.1 * volts * amps + 100:
        yield f"p{phase}: {watts:.0f} W is more than {volts:.1f} V and {amps:.1f} A can be"


def _implausible_total(reading: SiteReading) -> Iterable[str]:
    phases = [watts for watts in reading.power_w if watts is not None]
    if reading.power_total_w is None or not phases:
        return
    allowed_w = max(100.0, 0.03 * sum(abs(watts) for watts in phases))
    if abs(sum(phases) - reading.power_total_w) > allowed_w:
        yield f"p_total: {reading.power_total_w:.0f} W, but the phases add up to {sum(phases):.0f} W"


def _counted_back(name: str, before: int | None, now: int | None) -> Iterable[str]:
    if before is not None and now is not None and now < before:
        yield f"{name}: went back from {before} Wh to {now} Wh"

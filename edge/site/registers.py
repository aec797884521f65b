"""Where a meter keeps its numbers, and what the words in them mean. Pure.

`profiles.py` makes a `MeterProfile` from a TOML file, `requests.py` plans what is asked for at once, `decode` here
makes numbers of the words that came, and `plausibility.py` a reading of the numbers. Addresses are as on the wire, from
zero; values are named `u1` … `p3`, `p_total`, `f`, `e_import`, `e_export` (V, A, W, Hz, Wh), `ct_ratio`, `vt_ratio`.
"""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

from edge.config.connections import SerialSettings

Values: TypeAlias = Mapping[str, float | None]
"""Decoded values by name; None where the meter says that it does not know."""

PER_PHASE = ("u", "i", "p")
PER_METER = ("p_total", "f", "e_import", "e_export", "ct_ratio", "vt_ratio")


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


class Align(StrEnum):
    """How a request may be lengthened beyond the values that are wanted, so that no two have the same length."""

    REGISTER = "register"
    """By any number of registers."""
    PAIR = "pair"
    """By two at a time: the meter has nothing but values of two registers there."""
    VALUE = "value"
    """Not at all: the meter refuses a request that begins or ends inside a value."""


FunctionCode: TypeAlias = Literal[3, 4]
"""3 holding registers, 4 input registers. Nothing else is ever asked."""


@dataclass(frozen=True, slots=True)
class Value:
    """One number and where the meter keeps it. Several of the same name are added up."""

    name: str
    address: int
    type: RegisterType
    function_code: FunctionCode
    word_order: WordOrder = WordOrder.BIG
    scale: float = 1.0
    """Raw number times scale = V, A, W, Hz or Wh."""
    group: Group = Group.FAST
    unknown: tuple[float, ...] = ()
    """Raw numbers that mean "not available", beside those of the type."""

    @property
    def end(self) -> int:
        """The address after its last word."""
        return self.address + self.type.words


@dataclass(frozen=True, slots=True)
class Sign:
    """A number by which the meter model is recognised."""

    value: Value
    low: float
    high: float


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
    values: tuple[Value, ...] = field(repr=False)
    max_read: int = 125
    """Registers that one request may ask for."""
    gap_allowed: bool = True
    """False for meters that refuse a request that touches a register they do not have."""
    align: Align = Align.REGISTER
    min_gap_s: float = 0.0
    """Silence that the meter needs between two requests."""
    turnaround_s: float = 0.06
    """How long it thinks before it answers."""
    max_current_a: float | None = None
    """Above 1.2 times this a current is a reading error."""
    unit: int = 1
    """How it comes out of its box, as are the settings below."""
    serial: SerialSettings = field(default_factory=SerialSettings)
    signs: tuple[Sign, ...] = field(default=(), repr=False)

    @property
    def measures_currents(self) -> bool:
        return any(value.name.startswith("i") for value in self.values)


def decode(block: Block, registers: Sequence[int]) -> list[tuple[str, float | None]]:
    """The names and numbers of a block from its `block.count` registers; `add_up` makes values of them."""
    return [
        (value.name, _decode_value(value, registers[value.address - block.address : value.end - block.address]))
        for value in block.values
    ]


def add_up(numbers: Iterable[tuple[str, float | None]]) -> dict[str, float | None]:
    """Numbers of the same name are parts (tariffs, import minus export): the whole is unknown if one part is."""
    values: dict[str, float | None] = {}
    for name, number in numbers:
        before = values.get(name, 0.0)
        whole = math.nan if before is None or number is None else before + number
        values[name] = whole if math.isfinite(whole) else None
    return values


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
    if raw in value.unknown or _means_unknown(value.type, raw):
        return None
    number = raw * value.scale
    return number if math.isfinite(number) else None


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

"""Meter profiles: TOML files that say where a meter model keeps its values.

Those of `edge/site/meters` come with the program; a technician may bring his own (`docs/meter-profiles.md`). What a
profile means is in `edge/site/registers.py`. A profile with a mistake is refused with file, key and what was expected,
and so is one that contradicts its own golden vector (raw words and the values that the manual gives for them).
"""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import chain, pairwise
from pathlib import Path
from typing import TypeVar

from edge.config.connections import SerialSettings
from edge.config.metering import MeterModel
from edge.domain.ports import EdgeError
from edge.site.registers import (
    PER_METER,
    PER_PHASE,
    Align,
    FunctionCode,
    Group,
    MeterProfile,
    RegisterType,
    Sign,
    Value,
    WordOrder,
    add_up,
    decode,
)
from edge.site.requests import plan

T = TypeVar("T")

LONGEST_PAUSE_MS = 10_000
QUALITIES = ("unverified", "single-source", "cross-checked", "hardware")


class ProfileInvalid(EdgeError):
    """A meter profile cannot be used; the message names the file, the key and what was expected."""


def profile_names() -> tuple[str, ...]:
    """The profiles that come with the program."""
    files = resources.files("edge.site").joinpath("meters").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def load_profile(name_or_path: str) -> MeterProfile:
    """The profile of that name, or of that file when the text contains `/` or ends with `.toml`."""
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        source = name_or_path
        try:
            text = Path(name_or_path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProfileInvalid(f"{source}: cannot be read: {error}") from error
        return profile_from(text, source)
    return built_in_profile(name_or_path)


def built_in_profile(name: str) -> MeterProfile:
    """One of those that come with the program; no file is opened that a name from outside leads to."""
    if name not in profile_names():
        raise ProfileInvalid(
            f"no meter profile {name!r}; there are {', '.join(profile_names())}, or give the path of a file"
        )
    source = f"{name}.toml"
    return profile_from(resources.files("edge.site").joinpath("meters", source).read_text(encoding="utf-8"), source)


def profile_from(text: str, source_name: str) -> MeterProfile:
    """The profile that stands in this text."""
    try:
        document = tomllib.loads(text)
    except RecursionError as error:
        raise ProfileInvalid(f"{source_name}: not TOML: too many brackets in each other") from error
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is none to Python
        raise ProfileInvalid(f"{source_name}: not TOML: {error}") from error
    return parse_profile(document, source_name)


def meter_model(name_or_path: str) -> MeterModel:
    """What the configuration has to fit. Raises ProfileInvalid."""
    profile = load_profile(name_or_path)
    return MeterModel(profile.phases, profile.measures_currents, profile.serial)


_KEYS = ("id", "vendor", "models", "quality", "sources", "phases", "max_current", "link", "read", "identify", "fields")


def parse_profile(document: Mapping[str, object], source_name: str) -> MeterProfile:
    top = _Table(source_name, "", document)
    top.allow(*_KEYS, "golden")
    read, link = top.table("read"), top.table("link", default={})
    read.allow("fc", "word_order", "max_read", "gap_allowed", "align", "min_gap_ms", "turnaround_ms")
    link.allow("unit", "baud", "parity", "stopbits")
    phases = top.integer("phases", 1, 3)
    profile = MeterProfile(
        id=top.get("id", str, "a name"),
        vendor=top.get("vendor", str, "a name"),
        models=tuple(str(model) for model in top.get("models", list, "a list of names")),
        quality=top.one_of("quality", QUALITIES),
        phases=phases,
        values=tuple(_values(top.table("fields"), read, phases)),
        max_read=read.integer("max_read", 1, 125, default=125),
        gap_allowed=read.get("gap_allowed", bool, "true or false", default=True),
        align=Align(read.one_of("align", tuple(Align), default="register")),
        min_gap_s=read.number("min_gap_ms", default=0, low=0, high=LONGEST_PAUSE_MS) / 1000,
        turnaround_s=read.number("turnaround_ms", default=60, low=0, high=LONGEST_PAUSE_MS) / 1000,
        max_current_a=top.number("max_current", default=0, low=0) or None,
        unit=link.integer("unit", 1, 247, default=1),
        serial=SerialSettings(
            link.integer("baud", 300, 4_000_000, default=9600),
            link.one_of("parity", ("N", "E", "O"), default="N"),
            link.integer("stopbits", 1, 2, default=1),
        ),
        signs=tuple(_signs(top, read)),
    )
    _check_places(profile, source_name)
    if "golden" in document:
        _check_golden(profile, top.table("golden"))
    return profile


def _values(fields: "_Table", read: "_Table", phases: int) -> Iterator[Value]:
    fields.allow(*PER_PHASE, *PER_METER)
    for name in fields.entries:
        entry = fields.table(name)
        entry.allow("a", "sum", "minus", "t", "k", "n", "g", "nan", "fc", "wo")
        is_negated = entry.get("n", bool, "true or false", default=False)
        scale = entry.scale() * (-1 if is_negated else 1)
        for value_name, address, sign in _places(entry, name, phases):
            yield _value(entry, read, value_name, address, sign * scale)


def _places(entry: "_Table", name: str, phases: int) -> Iterator[tuple[str, int, int]]:
    """Name, address and sign of each number that a field is made of."""
    if name in PER_PHASE:
        names = [f"{name}{phase}" for phase in range(1, phases + 1)]
        yield from zip(names, entry.addresses("a", phases), [1] * phases, strict=True)
        if "minus" in entry.entries:
            yield from zip(names, entry.addresses("minus", phases), [-1] * phases, strict=True)
        return
    if "sum" in entry.entries:
        yield from ((name, address, 1) for address in entry.words("sum", "a list of addresses that are added up"))
        return
    yield name, entry.integer("a", 0, 0xFFFF), 1
    if "minus" in entry.entries:
        yield name, entry.integer("minus", 0, 0xFFFF), -1


def _value(entry: "_Table", read: "_Table", name: str, address: int, scale: float) -> Value:
    function_code = entry if "fc" in entry.entries else read
    word_order = entry.one_of("wo", tuple(WordOrder), default=read.one_of("word_order", tuple(WordOrder), "big"))
    return Value(
        name=name,
        address=address,
        type=RegisterType(entry.one_of("t", tuple(RegisterType))),
        function_code=function_code.function_code(),
        word_order=WordOrder(word_order),
        scale=scale,
        group=Group(entry.one_of("g", tuple(Group), default="slow" if name in _NOT_NEEDED else "fast")),
        unknown=entry.numbers("nan"),
    )


_NOT_NEEDED = ("f", "e_import", "e_export", "ct_ratio", "vt_ratio")


def _signs(top: "_Table", read: "_Table") -> Iterator[Sign]:
    identify = top.table("identify", default={})
    identify.allow("expect")
    for expected in identify.tables("expect"):
        expected.allow("a", "t", "k", "fc", "wo", "min", "max", "is")
        value = _value(expected, read, "sign", expected.integer("a", 0, 0xFFFF), expected.scale())
        if "is" in expected.entries:
            yield Sign(value, expected.number("is"), expected.number("is"))
        else:
            low = expected.number("min")
            yield Sign(value, low, expected.number("max", low=low))


def _check_places(profile: MeterProfile, source_name: str) -> None:
    placed = sorted(profile.values, key=lambda value: (value.function_code, value.address))
    if not any(value.group is Group.FAST and value.name.startswith(PER_PHASE) for value in placed):
        raise ProfileInvalid(f"{source_name}: fields: expected u, i, p or p_total in the fast group")
    for value in placed:
        if value.type.words > profile.max_read:
            raise ProfileInvalid(f"{source_name}: read.max_read: {value.name} alone has {value.type.words} registers")
        if value.end > 0x1_0000:
            raise ProfileInvalid(f"{source_name}: fields: {value.name} at {value.address} ends beyond register 65535")
    for before, after in pairwise(placed):
        if before.function_code == after.function_code and after.address < before.end:
            raise ProfileInvalid(
                f"{source_name}: fields: {before.name} at {before.address} ({before.type}) "
                f"and {after.name} at {after.address} share a register"
            )


def _check_golden(profile: MeterProfile, golden: "_Table") -> None:
    golden.allow("regs", "expect")
    words: dict[int, int] = {}
    runs = golden.table("regs")
    for start in runs.entries:
        if re.fullmatch(r"[0-9]{1,5}|0x[0-9A-Fa-f]{1,4}", start) is None:
            raise runs.refuse(start, "an address as the key")
        first = int(start, 16 if start.startswith("0x") else 10)
        for offset, word in enumerate(runs.words(start)):
            words[first + offset] = word
    numbers: list[tuple[str, float | None]] = []
    for block in chain.from_iterable(plan(profile).values()):
        numbers += decode(block, [words.get(block.address + offset, 0) for offset in range(block.count)])
    decoded = add_up(numbers)
    expected = golden.table("expect")
    for name in expected.entries:
        wanted, found = expected.number(name), decoded.get(name)
        if found is None or not math.isclose(found, wanted, rel_tol=1e-6):
            raise ProfileInvalid(
                f"{golden.source}: golden.expect.{name}: {wanted:g} expected, but the registers give {found}; "
                "check address, type, word order and scale"
            )


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a profile; every complaint about it names the file and the key."""

    source: str
    path: str
    entries: Mapping[str, object]

    def refuse(self, key: str, expected: str) -> ProfileInvalid:
        found = f"found {self.entries[key]!r}" if key in self.entries else "it is missing"
        return ProfileInvalid(f"{self.source}: {self.path}{key}: expected {expected}, {found}")

    def allow(self, *known: str) -> None:
        for key in self.entries:
            if key not in known:
                raise ProfileInvalid(f"{self.source}: {self.path}{key}: unknown; expected one of {', '.join(known)}")

    def get(self, key: str, kind: type[T], expected: str, default: T | None = None) -> T:
        entry = self.entries.get(key, default)
        if not isinstance(entry, kind):
            raise self.refuse(key, expected)
        return entry

    def table(self, key: str, default: dict[str, object] | None = None) -> "_Table":
        return _Table(self.source, f"{self.path}{key}.", self.get(key, dict, "a table", default))

    def tables(self, key: str) -> "Iterator[_Table]":
        """None where the key is missing."""
        for number, entry in enumerate(self.get(key, list, "an array of tables", default=[]), start=1):
            if not isinstance(entry, dict):
                raise self.refuse(key, "an array of tables")
            yield _Table(self.source, f"{self.path}{key}[{number}].", entry)

    def numbers(self, key: str) -> tuple[float, ...]:
        entry = self.get(key, list, "a list of numbers", default=[])
        if not all(type(number) in (int, float) for number in entry):
            raise self.refuse(key, "a list of numbers")
        return tuple(entry)

    def number(self, key: str, default: float | None = None, low: float = -math.inf, high: float = math.inf) -> float:
        entry = self.entries.get(key, default)
        if isinstance(entry, bool) or not isinstance(entry, int | float) or not math.isfinite(entry):
            raise self.refuse(key, "a number")
        if not low <= entry <= high:
            raise self.refuse(key, f"{low:g} or more" if high == math.inf else f"a number from {low:g} to {high:g}")
        return entry

    def scale(self) -> float:
        """`k`: what a raw number is multiplied with."""
        scale = self.number("k", default=1)
        if scale == 0:
            raise self.refuse("k", "a number other than 0, which would make a reading of anything")
        return scale

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        entry = self.entries.get(key, default)
        if isinstance(entry, bool) or not isinstance(entry, int) or not low <= entry <= high:
            raise self.refuse(key, f"a whole number from {low} to {high}")
        return entry

    def one_of(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        entry = self.entries.get(key, default)
        if not isinstance(entry, str) or entry not in choices:
            raise self.refuse(key, f"one of {', '.join(choices)}")
        return entry

    def function_code(self) -> FunctionCode:
        return 3 if self.integer("fc", 3, 4) == 3 else 4

    def words(self, key: str, expected: str = "a list of 16-bit words") -> list[int]:
        entry = self.get(key, list, expected)
        if not all(type(word) is int and 0 <= word <= 0xFFFF for word in entry):
            raise self.refuse(key, expected)
        return entry

    def addresses(self, key: str, phases: int) -> list[int]:
        expected = f"a list of {phases} addresses, L1 first"
        entry = self.words(key, expected)
        if len(entry) != phases:
            raise self.refuse(key, expected)
        return entry

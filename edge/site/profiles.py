"""Meter profiles: TOML files that say where a meter model keeps its values.

Those of `edge/site/meters` come with the program; a technician may bring his own. What a profile means is in
`edge/site/registers.py`. A profile with a mistake is refused with file, key and what was expected, and so is one
that contradicts its own golden vector (raw words and the values that the manual gives for them).
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from edge.domain.ports import EdgeError
from edge.site.registers import (
    PER_PHASE,
    PER_SITE,
    FunctionCode,
    Group,
    MeterProfile,
    RegisterType,
    Value,
    WordOrder,
    decode,
    plan_blocks,
)

T = TypeVar("T")

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
    elif name_or_path in profile_names():
        source = f"{name_or_path}.toml"
        text = resources.files("edge.site").joinpath("meters", source).read_text(encoding="utf-8")
    else:
        raise ProfileInvalid(
            f"no meter profile {name_or_path!r}; there are {', '.join(profile_names())}, or give the path of a file"
        )
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileInvalid(f"{source}: not TOML: {error}") from error
    return parse_profile(document, source)


def parse_profile(document: Mapping[str, object], source_name: str) -> MeterProfile:
    top = _Table(source_name, "", document)
    top.allow("id", "vendor", "models", "quality", "sources", "phases", "max_current", "read", "fields", "golden")
    read = top.table("read")
    read.allow("fc", "word_order", "max_read", "gap_allowed", "min_gap_ms")
    phases = top.integer("phases", 1, 3)
    profile = MeterProfile(
        id=top.get("id", str, "a name"),
        vendor=top.get("vendor", str, "a name"),
        models=tuple(str(model) for model in top.get("models", list, "a list of names")),
        quality=top.one_of("quality", QUALITIES),
        phases=phases,
        max_read=read.integer("max_read", 1, 125, default=125),
        gap_allowed=read.get("gap_allowed", bool, "true or false", default=True),
        min_gap_s=read.number("min_gap_ms", default=0) / 1000,
        max_current_a=top.number("max_current", default=0) or None,
        values=tuple(_values(top.table("fields"), read, phases)),
    )
    _check_places(profile, source_name)
    if "golden" in document:
        _check_golden(profile, top.table("golden"))
    return profile


def _values(fields: "_Table", read: "_Table", phases: int) -> Iterator[Value]:
    fields.allow(*PER_PHASE, *PER_SITE)
    for name in fields.entries:
        entry = fields.table(name)
        entry.allow("a", "t", "k", "n", "g", "fc", "wo")
        if name in PER_PHASE:
            addresses = entry.addresses(phases)
            names = [f"{name}{phase}" for phase in range(1, phases + 1)]
        else:
            addresses = [entry.integer("a", 0, 0xFFFF)]
            names = [name]
        kind = RegisterType(entry.one_of("t", tuple(RegisterType)))
        scale = entry.number("k", default=1)
        function_code = entry if "fc" in entry.entries else read
        word_order = entry.one_of("wo", tuple(WordOrder), default=read.one_of("word_order", tuple(WordOrder), "big"))
        for value_name, address in zip(names, addresses, strict=True):
            yield Value(
                name=value_name,
                address=address,
                type=kind,
                function_code=function_code.function_code(),
                word_order=WordOrder(word_order),
                scale=-scale if entry.get("n", bool, "true or false", default=False) else scale,
                group=Group(entry.one_of("g", tuple(Group), default="fast")),
            )


def _check_places(profile: MeterProfile, source_name: str) -> None:
    placed = sorted(profile.values, key=lambda value: (value.function_code, value.address))
    if not any(value.group is Group.FAST and value.name.startswith(PER_PHASE) for value in placed):
        raise ProfileInvalid(f"{source_name}: fields: expected u, i, p or p_total in the fast group")
    for value in placed:
        if value.type.words > profile.max_read:
            raise ProfileInvalid(f"{source_name}: read.max_read: {value.name} alone has {value.type.words} registers")
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
        if not start.isdecimal():
            raise runs.refuse(start, "an address as the key")
        for offset, word in enumerate(runs.words(start)):
            words[int(start) + offset] = word
    decoded: dict[str, float | None] = {}
    for group in Group:
        for block in plan_blocks(profile, group):
            registers = [words.get(block.address + offset, 0) for offset in range(block.count)]
            decoded.update(decode(block, registers))
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

    def table(self, key: str) -> "_Table":
        return _Table(self.source, f"{self.path}{key}.", self.get(key, dict, "a table"))

    def number(self, key: str, default: float | None = None) -> float:
        entry = self.entries.get(key, default)
        if isinstance(entry, bool) or not isinstance(entry, int | float):
            raise self.refuse(key, "a number")
        return entry

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

    def addresses(self, phases: int) -> list[int]:
        expected = f"a list of {phases} addresses, L1 first"
        entry = self.words("a", expected)
        if len(entry) != phases:
            raise self.refuse("a", expected)
        return entry

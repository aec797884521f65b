"""What is known of a model in the field: read from `models.toml`, matched by vendor, model and firmware.

Pure: the text is handed in (`edge/assembly.py` reads the package's file once). Used by `edge/chargers/link.py` and
`edge/chargers/commissioning.py`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from edge.domain.field_guide import NAMED_ONLY
from edge.domain.ids import Make
from edge.domain.peculiarities import Rule

Trigger = Literal["each", "zero_first"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How a charger wants to be treated; the defaults are for those of which nothing is known."""

    boot_quiet_s: float = 0.0
    configuration_keys_at_most: int | None = None
    trigger: Trigger = "each"
    answers_pings: bool = True
    tolerances: frozenset[Rule] = frozenset()
    remote_start_delay_s: float = 0.0
    values_on_demand: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    vendor: re.Pattern[str]
    model: re.Pattern[str]
    firmware: tuple[tuple[str, tuple[int, ...]], ...]
    settings: Mapping[str, Any]

    def fits(self, make: Make) -> bool:
        if self.vendor.fullmatch((make.vendor or "").strip()) is None:
            return False
        if self.model.fullmatch((make.model or "").strip()) is None:
            return False
        return not self.firmware or _is_within(_numbers(make.firmware or ""), self.firmware)


@dataclass(frozen=True, slots=True)
class Models:
    """All that is known."""

    entries: tuple[_Entry, ...] = ()

    def profile(self, make: Make) -> Profile:
        settings: dict[str, Any] = {}
        tolerances: set[Rule] = set()
        if make.vendor is not None:
            for entry in self.entries:
                if entry.fits(make):
                    settings |= entry.settings
                    tolerances |= set(entry.settings.get("tolerances", ()))
        return Profile(**{**settings, "tolerances": frozenset(tolerances)})


NOTHING_KNOWN = Models()

_CHECKS: Mapping[str, Any] = {
    "boot_quiet_s": lambda value: isinstance(value, int | float) and 0 < value <= 60,
    "configuration_keys_at_most": lambda value: isinstance(value, int) and value > 0,
    "trigger": lambda value: value in ("each", "zero_first"),
    "answers_pings": lambda value: isinstance(value, bool),
    "remote_start_delay_s": lambda value: isinstance(value, int | float) and 0 < value <= 5,
    "values_on_demand": lambda value: isinstance(value, bool),
    "tolerances": lambda value: isinstance(value, list) and all(name in set(NAMED_ONLY) for name in value),
}


def parse(text: str) -> Models:
    """The models of a `models.toml`. Raises ValueError naming the entry and the key that is wrong."""
    entries = tomllib.loads(text).get("model", [])
    return Models(tuple(_entry(number, table) for number, table in enumerate(entries, 1)))


def _entry(number: int, table: dict[str, Any]) -> _Entry:
    where = f"model {number} ({table.get('vendor')!r})"
    known = {"vendor", "model", "firmware", *_CHECKS}
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}; expected one of {', '.join(sorted(known))}")
        if key in _CHECKS and not _CHECKS[key](value):
            raise ValueError(f"{where}: {key} = {value!r} is not allowed")
    try:
        vendor, model = (re.compile(cast("str", table[key]), re.IGNORECASE) for key in ("vendor", "model"))
    except (KeyError, re.error) as wrong:
        raise ValueError(f"{where}: vendor and model must be regular expressions ({wrong})") from None
    settings = {key: value for key, value in table.items() if key in _CHECKS}
    if "tolerances" in settings:
        settings["tolerances"] = tuple(Rule(name) for name in settings["tolerances"])
    return _Entry(vendor, model, _range(where, table.get("firmware", "")), settings)


_BOUND = re.compile(r"\s*(>=|<=|>|<|=)\s*([0-9][0-9.\-]*)\s*")


def _range(where: str, text: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    bounds = []
    for part in filter(None, text.split(",")):
        found = _BOUND.fullmatch(part)
        if found is None:
            raise ValueError(f'{where}: firmware = {text!r}; expected a range such as ">=5.0, <6.0"')
        bounds.append((found[1], _numbers(found[2])))
    return tuple(bounds)


def _numbers(version: str) -> tuple[int, ...]:
    """`5.8.1-4187` → (5, 8, 1, 4187)."""
    return tuple(int(digits[:9]) for digits in re.findall(r"[0-9]+", version)[:6])


def _is_within(version: tuple[int, ...], bounds: tuple[tuple[str, tuple[int, ...]], ...]) -> bool:
    """A firmware without a number is within no range."""
    return bool(version) and all(_HOLDS[sign](version, bound) for sign, bound in bounds)


_HOLDS: Mapping[str, Any] = {
    ">=": lambda version, bound: version >= bound,
    "<=": lambda version, bound: version[: len(bound)] <= bound,
    ">": lambda version, bound: version[: len(bound)] > bound,
    "<": lambda version, bound: version < bound,
    "=": lambda version, bound: version[: len(bound)] == bound,
}

"""From a meter's values to a reading of the site, and whether that can be true. Pure.

What is impossible is never a reading. This is the last of the guards: it also catches a profile that does not belong
to the meter and, should one ever get through `rtu_line.py`, an answer to another question.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from edge.domain.readings import PhaseValues, SiteReading
from edge.site.registers import PER_PHASE, Values

Counters: TypeAlias = tuple[int | None, int | None]
"""Import and export energy in Wh."""

NEEDED: Final = (*(f"{quantity}{phase}" for quantity in PER_PHASE for phase in (1, 2, 3)), "p_total")
RATIOS: Final = ("ct_ratio", "vt_ratio")
LARGEST_COUNTER_WH: Final = 10**15
LARGEST_POWER_W: Final = 10**8
LARGEST_CURRENT_A: Final = 10**5
"""No site has more of it; without such limits any four bytes would be a reading of a meter that tells little else."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a meter is connected to the site."""

    phases: Sequence[int] = (0, 1, 2)
    """To which of the site's phases (0, 1, 2) its first, second and third one are."""
    ct_ratio: float | None = None
    """None: what the meter says, else 1."""
    is_inverted: bool = False


def wiring(phases: str | None, ct_ratio: float | None, *, invert: bool) -> Wiring:
    """From the keys of `[[meter]]`; `L2L3L1`: its L1 is at the site's L2."""
    places = (0, 1, 2) if phases is None else tuple(int(phase) - 1 for phase in phases[1::2])
    return Wiring(places, ct_ratio, invert)


def reading_from(values: Values, at: datetime, wired: Wiring = Wiring()) -> SiteReading:
    """Some meters give currents the sign of the power; here they are RMS values and never negative."""
    volts, amperes = values.get("vt_ratio", 1.0), _current_ratio(values, wired)
    watts = None if volts is None or amperes is None else volts * amperes
    current_a = _phases(values, "i", amperes, wired)
    sign = -1.0 if wired.is_inverted else 1.0
    energy = [_counter(_times(values.get(name), watts)) for name in ("e_import", "e_export")]
    energy_import_wh, energy_export_wh = reversed(energy) if wired.is_inverted else energy
    total = values["p_total"] if "p_total" in values else _total(values)
    return SiteReading(
        at=at,
        voltage_v=_phases(values, "u", volts, wired),
        current_a=(_magnitude(current_a[0]), _magnitude(current_a[1]), _magnitude(current_a[2])),
        power_w=_phases(values, "p", None if watts is None else sign * watts, wired),
        power_total_w=_times(total, None if watts is None else sign * watts),
        frequency_hz=values.get("f"),
        energy_import_wh=energy_import_wh,
        energy_export_wh=energy_export_wh,
    )


def _current_ratio(values: Values, wired: Wiring) -> float | None:
    return values.get("ct_ratio", 1.0) if wired.ct_ratio is None else wired.ct_ratio


def largest_current_a(of_meter: float | None, values: Values, wired: Wiring) -> float | None:
    """What its transformers make of the largest current that the meter can measure."""
    return _times(of_meter, _current_ratio(values, wired))


def _phases(values: Values, quantity: str, factor: float | None, wired: Wiring) -> PhaseValues:
    found: list[float | None] = [None, None, None]
    for own, place in enumerate(wired.phases, start=1):
        found[place] = _times(values.get(f"{quantity}{own}"), factor)
    return found[0], found[1], found[2]


def _total(values: Values) -> float | None:
    """Of a meter that tells its phases only."""
    phases = [values[name] for name in ("p1", "p2", "p3") if name in values]
    known = [watts for watts in phases if watts is not None]
    return sum(known) if known and len(known) == len(phases) else None


def _times(value: float | None, factor: float | None) -> float | None:
    return None if value is None or factor is None else value * factor or 0.0


def _magnitude(value: float | None) -> float | None:
    return None if value is None else abs(value)


def _counter(value: float | None) -> int | None:
    """Energy protects no fuse: an impossible counter is unknown, the reading stands."""
    return round(value) if value is not None and 0 <= value < LARGEST_COUNTER_WH else None


def unknown_needed(values: Values, wired: Wiring = Wiring()) -> tuple[str, ...]:
    """Reasons why these values make no reading: what protects a fuse is unknown, which is not the same as 0."""
    needed = {*NEEDED, *RATIOS} - ({"ct_ratio"} if wired.ct_ratio is not None else set())
    reasons = []
    for name, value in values.items():
        if value is None and name in needed:
            reasons.append(f"{name}: the meter marks the value as not available")
        elif value is not None and value <= 0 and name in needed.intersection(RATIOS):
            reasons.append(f"{name}: {value:g} is no transformer's ratio; set it in the meter, or ct_ratio here")
    return tuple(reasons)


def implausible(reading: SiteReading, counters: Counters, max_current_a: float | None) -> tuple[str, ...]:
    """Reasons why this reading cannot be true; `counters` are those seen before."""
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
    if amps is not None and amps > LARGEST_CURRENT_A:
        yield f"i{phase}: {amps:g} A is more than any site has"
    if watts is not None and abs(watts) > LARGEST_POWER_W:
        yield f"p{phase}: {watts:g} W is more than any site has"
    if volts is None or amps is None or watts is None:
        return
    if abs(watts) > 1.1 * volts * amps + 100:
        yield f"p{phase}: {watts:.0f} W is more than {volts:.1f} V and {amps:.1f} A can be"


def _implausible_total(reading: SiteReading) -> Iterable[str]:
    if reading.power_total_w is not None and abs(reading.power_total_w) > LARGEST_POWER_W:
        yield f"p_total: {reading.power_total_w:g} W is more than any site has"
    phases = [watts for watts in reading.power_w if watts is not None]
    if reading.power_total_w is None or not phases:
        return
    allowed_w = max(100.0, 0.03 * sum(abs(watts) for watts in phases))
    if abs(sum(phases) - reading.power_total_w) > allowed_w:
        yield f"p_total: {reading.power_total_w:.0f} W, but the phases add up to {sum(phases):.0f} W"


def _counted_back(name: str, before: int | None, now: int | None) -> Iterable[str]:
    if before is not None and now is not None and now < before:
        yield f"{name}: went back from {before} Wh to {now} Wh"

"""What `edge meter probe` found, as text: who answers, which profile fits, and the lines to paste."""

from edge.console.document import as_number, count, items, number, parts, text
from edge.console.table import Column, Page, labelled, table, wrapped
from edge.console.units import energy, power, quantity
from edge.jsontypes import Payload


def probe(document: Payload, page: Page) -> list[str]:
    if not parts(document, "found"):
        return ["Nothing was found."]
    lines: list[str] = []
    for found in parts(document, "found"):
        lines += [*_found(found, page), ""]
    if new := [found for found in parts(document, "found") if found.get("meter") is None]:
        lines += ["To paste into the configuration:", ""]
        for found in new:
            lines += [*_words(found, "configuration"), ""]
    for unclear in _words(document, "unclear"):
        lines += wrapped(f"Heard, but no answer: {unclear}.", 2, page)
    lines += wrapped(text(document, "why_incomplete", ""), 2, page)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _found(found: Payload, page: Page) -> list[str]:
    fits = parts(found, "profiles")
    meter = f"; it is the meter {text(found, 'meter')}" if found.get("meter") is not None else ""
    headline = f"Unit {count(found, 'unit')} answers at {text(found, 'connection')}{meter}."
    if not fits:
        hint = "No profile fits it: docs/meter-profiles.md says how to write one."
        return [*wrapped(headline, 2, page), *wrapped(hint, 2, page)]
    best = fits[0]
    others = ", ".join(text(each, "profile") for each in fits[1:])
    models = f"{text(best, 'vendor')} {', '.join(_words(best, 'models'))}"
    return [
        *wrapped(headline, 2, page),
        "",
        *table(
            [Column(""), *(Column(phase, right=True) for phase in ("L1", "L2", "L3", "total"))],
            [
                ["voltage", *_phases(best, "voltage_v", "V"), ""],
                ["current", *_phases(best, "current_a", "A"), ""],
                ["power", *map(power, _three(best, "power_w")), power(number(best, "power_total_w"))],
            ],
            page,
        ),
        "",
        *labelled(
            [
                ("frequency", quantity(number(best, "frequency_hz"), "Hz", 2)),
                ("energy", f"import {_energy(best, 'energy_import_wh')} · export {_energy(best, 'energy_export_wh')}"),
                ("profile", f"{text(best, 'profile')} ({text(best, 'quality')}): {models}"),
                *([("also fits", others)] if others else []),
            ],
            page,
        ),
    ]


def _three(fit: Payload, key: str) -> list[float | None]:
    return [as_number(each) for each in [*items(fit, key), None, None, None][:3]]


def _phases(fit: Payload, key: str, unit: str) -> list[str]:
    return [quantity(each, unit, 1) for each in _three(fit, key)]


def _energy(fit: Payload, key: str) -> str:
    return energy(number(fit, key))


def _words(document: Payload, name: str) -> list[str]:
    return [str(each) for each in items(document, name)]

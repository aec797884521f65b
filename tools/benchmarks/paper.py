"""The findings on paper: a table of 80 columns for the terminal, one in Markdown for the documentation, and JSON."""

import argparse
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.findings import Figure, Findings, Goal, Shown, Target
from benchmarks.rounds import Spread

WIDTH = 80
_NUMBER, _WHAT, _TARGET, _MEASURED = 4, 33, 9, 24
ALL = "measured"
"""What stands between the marks of a page that has only one pair of them."""


def marks(part: str = ALL) -> tuple[str, str]:
    return f"<!-- {part}: begin -->", f"<!-- {part}: end -->"


def value(measured: float, shown: Shown) -> str:
    """In the way in which its goal is written."""
    match shown:
        case Shown.FRACTION:
            return f"1/{1 / measured:.3g}" if 0 < measured < 1 else f"{measured:.2f}"
        case Shown.TIMES:
            return f"{measured:.3g}x"
        case Shown.SHARE:
            return f"{measured:.3f}"
        case Shown.BYTES:
            return f"{measured / 1000:.2f} kB"
        case Shown.COUNT:
            return f"{measured:g}"


def target(one: Target) -> str:
    sign = "≤" if one.is_most else "≥"
    return f"{sign} {one.value / 1000:g} kB" if one.shown is Shown.BYTES else f"{sign} {value(one.value, one.shown)}"


def spread(measured: Spread, shown: Shown) -> str:
    """Median, and in brackets the smallest and the largest of the rounds."""
    median, low, high = (value(one, shown) for one in (measured.median, measured.low, measured.high))
    if low == high:
        return median
    unit = {Shown.TIMES: "x", Shown.BYTES: " kB"}.get(shown, "")
    return f"{median} ({low.removesuffix(unit)}..{high.removesuffix(unit)})"


def _measured(goal: Goal) -> str:
    return goal.why_not or "not measured" if goal.measured is None else spread(goal.measured, goal.target.shown)


def goals(all_of_them: Sequence[Goal]) -> Iterator[str]:
    """The table, a line at a time, none longer than 80 columns."""
    yield f"{'':<{_NUMBER}} {'goal':<{_WHAT}} {'target':<{_TARGET}} measured (of rounds)"
    for goal in all_of_them:
        words = _wrapped(goal.what, _WHAT)
        measured = _wrapped(_measured(goal), _MEASURED)
        for line in range(max(len(words), len(measured))):
            number = goal.number if line == 0 else ""
            wanted = target(goal.target) if line == 0 else ""
            what = words[line] if line < len(words) else ""
            got = measured[line] if line < len(measured) else ""
            verdict = goal.verdict if line == 0 else ""
            yield f"{number:<{_NUMBER}} {what:<{_WHAT}} {wanted:<{_TARGET}} {got:<{_MEASURED}} {verdict}".rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()[:width]
    return lines


def figures(all_of_them: Sequence[Figure]) -> Iterator[str]:
    for one in all_of_them:
        numbers = f"{_round(one.spread.median)} ({_round(one.spread.low)}..{_round(one.spread.high)})"
        yield f"     {one.what[:36]:<36} {numbers:>23} {one.unit}"[:WIDTH]


def remark(text: str) -> list[str]:
    """In lines of the paper's width."""
    return textwrap.wrap(text, WIDTH, initial_indent="     ", subsequent_indent="     ")


def _round(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def as_json(parts: Mapping[str, Findings], about: Mapping[str, str], *, is_quick: bool) -> str:
    rows = [
        {
            "number": goal.number,
            "what": goal.what,
            "target": goal.target.value,
            "at_most": goal.target.is_most,
            "measured": None if goal.measured is None else asdict(goal.measured),
            "verdict": goal.verdict,
            "why_not": goal.why_not,
            "part": name,
        }
        for name, found in parts.items()
        for goal in found.goals
    ]
    behind = {name: [asdict(one) for one in found.figures] for name, found in parts.items()}
    remarks = {name: found.remarks for name, found in parts.items()}
    document = {"machine": dict(about), "quick": is_quick, "goals": rows, "figures": behind, "remarks": remarks}
    return json.dumps(document, indent=1, ensure_ascii=False)


# --- the page


def markdown(parts: Mapping[str, Findings], about: Mapping[str, str]) -> str:
    """What stands between the marks of the page."""
    lines = ["| | |", "|---|---|", *(f"| {name} | {what} |" for name, what in about.items()), ""]
    lines += ["| Goal | What | Target | Measured (smallest..largest round) | |", "|---|---|---|---|---|"]
    every = sorted((goal for found in parts.values() for goal in found.goals), key=by_number)
    lines += [
        f"| {goal.number} | {goal.what} | {target(goal.target)} | {_measured(goal)} | "
        f"{'**missed**' if goal.verdict == 'missed' else goal.verdict} |"
        for goal in every
    ]
    for name, found in parts.items():
        if found.figures:
            lines += ["", f"### {name}", "", "| | Median | Smallest..largest | |", "|---|---|---|---|"]
            lines += [
                f"| {one.what} | {_round(one.spread.median)} | {_round(one.spread.low)}..{_round(one.spread.high)} | "
                f"{one.unit} |"
                for one in found.figures
            ]
        lines += ["", *(f"- {remark}" for remark in found.remarks)] if found.remarks else []
    return "\n".join(lines)


def by_number(goal: Goal) -> tuple[str, int]:
    """The order of the table: P1, P2, … P12, R17."""
    found = re.match(r"([A-Z]+)(\d+)", goal.number)
    assert found is not None
    return found[1], int(found[2])


def check(page: Path, part: str = ALL) -> None:
    """Raises what `write` would raise: before hours are spent."""
    with page.open("r+", encoding="utf-8") as file:
        _around(page, file.read(), part)


def write(page: Path, text: str, part: str = ALL) -> None:
    """Put the text between the marks of this part of the page. Raises OSError, or ValueError when it has none."""
    before, after = _around(page, page.read_text(encoding="utf-8"), part)
    begin, end = marks(part)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def require_page(parser: argparse.ArgumentParser, page: Path, parts: Iterable[str] = (ALL,)) -> None:
    """Wrong usage if `--write` cannot write these parts of the page."""
    try:
        for part in parts:
            check(page, part)
    except (OSError, ValueError) as error:
        parser.error(f"--write: {error}")


def _around(page: Path, whole: str, part: str) -> tuple[str, str]:
    """What stands before the marks, and after them."""
    first, last = marks(part)
    before, begin, rest = whole.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {first} and {last} to write between")
    return before, after

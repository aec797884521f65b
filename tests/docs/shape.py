"""The shape of what is printed: words and their order, whatever the times and numbers are that day."""

import difflib
import re
from collections.abc import Sequence

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d\d:\d\d:\d\d(?:\.\d+)?"
_LIKE = (
    (r"\x1b\[[0-9;]*[A-Za-z]", ""),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z?", "TIME"),
    (rf"\d{{1,2}} {_MONTH} \d{{4}} {_CLOCK} [A-Z]{{3,4}}", "MOMENT"),
    (rf"\d{{1,2}} {_MONTH} (?:\d\d:\d\d|\d{{4}})(?: \([A-Z]{{3,4}}\))?", "TIME"),
    (rf"[+-]\d\d:\d\d(?:\.\d+|:\d\d)|\b{_CLOCK}", "TIME"),
    (r"\b\d{4}-\d\d-\d\d\b(?: \d\d:\d\d:\d\dZ)?", "DATE"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "ID"),
    (r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b", "HEXADECIMAL"),
    (r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}:\d+", "ADDRESS"),
    (r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", "HOST"),
    (r"\bS\d+\b", "SESSION"),
    (r"(?<![\w.])-?\d+(?:\.\d+)?[smhd]\b(?: \d+[smhd]\b)?", "SPAN"),
    (r"(?<![\w.])-?\d+(?:\.\d+)? k?W\b", "POWER"),
    (r"(?<![\w./-])[-+]?\d+(?:\.\d+)?a?(?![\w-])", "N"),
)


def shape(text: str) -> str:
    """One blank between words, and what differs from day to day replaced by what it is."""
    for pattern, word in _LIKE:
        text = re.sub(pattern, word, text)
    return " ".join(text.split())


def differs(shown: Sequence[str], printed: str) -> str | None:
    """Where what is printed has another shape than what a page shows; None: nowhere."""
    pattern = "".join(map(_pattern, shown))
    if re.fullmatch(pattern, shape(printed) + " ") is not None:
        return None
    wanted = [shape(line) for line in shown if line.strip()]
    got = [shape(line) for line in printed.splitlines() if line.strip()]
    return "\n".join(difflib.unified_diff(wanted, got, "the page", "the terminal", lineterm="", n=100))


def _pattern(line: str) -> str:
    return "".join(
        r"(?:\S+ )*" if word == "…" else re.escape(word).replace("…", r"\S*") + " " for word in shape(line).split()
    )

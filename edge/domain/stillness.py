"""What the meter values of a session prove: that energy flowed between two of them, or that for a while none did.

For `edge/domain/intervals.py`, which knows when to ask. What is doubtful proves nothing, so that nobody pays for it.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from edge.domain.pieces import Kind, Piece, Span, State, joined, split

LONGEST_STEP_MS = 15 * 60_000
"""A longer gap between two values proves nothing of the time between them."""
STILL_BY_POWER_MS = 5 * 60_000
"""ocpp-rules.md E.11."""
STILL_BY_REGISTER_MS = 10 * 60_000
STILL_BY_REGISTER_VALUES = 3
LEAST_GROWTH_WH = 5
"""Less is no energy for a car: the charger's own needs, a meter's last digit."""
_STILL_W, _STILL_SHARE, _STILL_A = 100.0, 0.03, 1.0
_VOLTS = 230.0
"""Of one phase, as how many are used is not known: with fewer, less is taken for stillness, and less is billed."""
_COARSEST_WH = 1000
_HOUR_MS = 3_600_000
_AT = attrgetter("at_ms")


def still_watts(offered_amperes: float | None, least_amperes: float) -> float:
    """With less power than this no car charges. Never more than half of what a car takes at the least current."""
    if offered_amperes is None:
        return _STILL_W
    return max(_STILL_W, min(_STILL_SHARE * offered_amperes * _VOLTS, least_amperes * _VOLTS / 2))


@dataclass(frozen=True, slots=True)
class Value:
    """One reading; `None`: it does not tell."""

    at_ms: int
    evidence: str
    power_w: float | None
    current_a: float | None
    register_wh: int | None
    still_w: float
    """`still_watts` of what was offered then."""

    @property
    def is_flowing(self) -> bool:
        """At this moment. A number that is none flows: it must not prove stillness."""
        power = self.power_w is not None and not abs(self.power_w) < self.still_w
        return power or (self.current_a is not None and not abs(self.current_a) < _STILL_A)

    @property
    def tells_enough(self) -> bool:
        return self.is_flowing or self.power_w is not None or self.register_wh is not None

    def growth_wh(self, before: "Value") -> int | None:
        if self.register_wh is None or before.register_wh is None:
            return None
        return self.register_wh - before.register_wh

    def has_grown(self, before: "Value") -> bool:
        """By more than a car that does not charge explains: power is not believed against the register."""
        grown = self.growth_wh(before)
        explained = 0.0 if self.power_w is None else self.still_w * (self.at_ms - before.at_ms) / _HOUR_MS
        return grown is not None and grown >= LEAST_GROWTH_WH + explained


def flowing(values: Sequence[Value]) -> set[Value]:
    """Those which show energy, at their moment or since the register before."""
    found = set()
    register: Value | None = None
    for value in values:
        is_near = register is not None and value.at_ms - register.at_ms <= LONGEST_STEP_MS
        if value.is_flowing or (register is not None and is_near and value.has_grown(register)):
            found.add(value)
        if value.register_wh is not None:
            register = value
    return found


def flow_spans(values: Iterable[Value], shows_flow: set[Value], from_ms: int) -> Iterator[Span]:
    """A value that shows energy speaks for the time since the one before it, the first for the time since `from_ms`."""
    for value in values:
        if value in shows_flow and 0 < value.at_ms - from_ms <= LONGEST_STEP_MS:
            yield Span(from_ms, value.at_ms, (value.evidence,))
        from_ms = value.at_ms


def still_spans(values: Iterable[Value], until_ms: int, register_ms: int) -> Iterator[Span]:
    """Where values prove that nothing flowed: from the first such value to the first other one, or to `until_ms`.

    `register_ms`: how long a register has to stand still (`register_patience_ms`).
    """
    run: list[Value] = []
    anchor: Value | None = None
    for value in values:
        if run and _is_torn(run[-1], value):
            yield from _proven(run, run[-1].at_ms, register_ms)
            run, anchor = [], None
        elif run and (value.is_flowing or (anchor is not None and value.has_grown(anchor))):
            yield from _proven(run, value.at_ms, register_ms)
            run, anchor = [], None
        if not value.is_flowing:
            run.append(value)
            anchor = value if anchor is None and value.register_wh is not None else anchor
    if run:
        last_ms = run[-1].at_ms
        yield from _proven(run, until_ms if until_ms - last_ms <= LONGEST_STEP_MS else last_ms, register_ms)


def _is_torn(before: Value, value: Value) -> bool:
    """It came too late after the one before, or the register fell: what was between is anybody's guess."""
    return value.at_ms - before.at_ms > LONGEST_STEP_MS or (value.growth_wh(before) or 0) < 0


def _proven(run: Sequence[Value], until_ms: int, register_ms: int) -> Iterator[Span]:
    by_power = [value for value in run if value.power_w is not None]
    first, last = (by_power or run)[0], (by_power or run)[-1]
    if by_power:
        is_proven = last.at_ms - first.at_ms >= STILL_BY_POWER_MS
    else:
        is_proven = len(run) >= STILL_BY_REGISTER_VALUES and last.at_ms - first.at_ms >= register_ms
    if is_proven:
        yield Span(first.at_ms, until_ms, (first.evidence, last.evidence))


def register_patience_ms(values: Iterable[Value], least_amperes: float) -> int:
    """A register in steps of 100 or 1000 Wh stands still while a car charges: it has to miss two steps at least."""
    step_wh = math.gcd(_COARSEST_WH, *(value.register_wh for value in values if value.register_wh is not None))
    return max(STILL_BY_REGISTER_MS, round(2 * step_wh / (max(1.0, least_amperes) * _VOLTS) * _HOUR_MS))


def with_flow(pieces: Sequence[Piece], values: Sequence[Value], shows_flow: set[Value]) -> list[Piece]:
    """Where nobody said what went on, energy does."""
    spans: list[Span] = []
    for piece in pieces:
        if piece.state.is_open:
            after, last = (bisect_right(values, at, key=_AT) for at in (piece.from_ms, piece.until_ms))
            spans += flow_spans(values[after:last], shows_flow, piece.from_ms)
    return joined(
        replace(
            piece, state=replace(piece.state, is_open=False) if span is None else State(Kind.CHARGING, span.evidence)
        )
        for piece, span in split(pieces, spans)
    )


def with_stillness(pieces: Sequence[Piece], values: Sequence[Value], patience_ms: int) -> Iterator[Piece]:
    """Where the charger says that it charges and values say that nothing flows, the car pauses."""
    spans: list[Span] = []
    for piece in pieces:
        if piece.state.kind is Kind.CHARGING:
            first, after = (bisect_left(values, at, key=_AT) for at in (piece.from_ms, piece.until_ms))
            spans += still_spans(values[first:after], piece.until_ms, patience_ms)
    for piece, span in split(pieces, spans):
        if span is None:
            yield piece
        else:
            yield replace(piece, state=State(Kind.PAUSED_BY_CAR, span.evidence), is_inferred=True)

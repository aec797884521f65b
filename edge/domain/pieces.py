"""Time cut into pieces, in each of which one thing goes on: cut at spans, joined again, and flaps taken out.

For `edge/domain/intervals.py`, which makes them of what was observed.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

FLAP_MS = 5_000
"""What is shorter belongs to its neighbour (MinimumStatusDuration)."""
MOST_EVIDENCE = 20


class Kind(StrEnum):
    CHARGING = "charging"
    PAUSED_BY_CAR = "paused_by_car"
    PAUSED_BY_SITE = "paused_by_site"
    """Also by the charger itself: not by the driver."""
    IDLE = "idle"
    """Plugged in after charging."""
    INTERRUPTED = "interrupted"
    """A fault, a boot, or not known: also before the first status or energy."""
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class State:
    """What goes on from some moment on."""

    kind: Kind
    evidence: tuple[str, ...]
    is_open: bool = False
    """Where values show energy, it was charging."""
    gives_way: bool = False
    """Nobody said so: the first energy shows what really goes on."""


@dataclass(frozen=True, slots=True)
class Piece:
    from_ms: int
    until_ms: int
    state: State
    withheld_by: str | None = None
    """Evidence that the site offers less than the charger needs, or did until just now."""
    is_inferred: bool = False

    @property
    def is_flap(self) -> bool:
        return self.until_ms - self.from_ms < FLAP_MS

    @property
    def is_billable(self) -> bool:
        return self.state.kind in (Kind.PAUSED_BY_CAR, Kind.IDLE) and self.withheld_by is None


@dataclass(frozen=True, slots=True)
class Span:
    from_ms: int
    until_ms: int
    evidence: tuple[str, ...]


def split(pieces: Iterable[Piece], spans: Iterable[Span]) -> Iterator[tuple[Piece, Span | None]]:
    """The pieces cut at the spans (ascending), each with the first span in which it is."""
    rest = deque(spans)
    for piece in pieces:
        at = piece.from_ms
        while at < piece.until_ms:
            while rest and rest[0].until_ms <= at:
                rest.popleft()
            inside = rest[0] if rest and rest[0].from_ms <= at else None
            until = inside.until_ms if inside else rest[0].from_ms if rest else piece.until_ms
            until = min(until, piece.until_ms)
            yield replace(piece, from_ms=at, until_ms=until), inside
            at = until


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbours that say the same as one."""
    joined: list[Piece] = []
    for piece in pieces:
        before = joined[-1] if joined else None
        if before is not None and _sense(before) == _sense(piece):
            evidence = tuple(dict.fromkeys(before.state.evidence + piece.state.evidence))[:MOST_EVIDENCE]
            joined[-1] = replace(
                _grown(before, piece),
                state=replace(before.state, evidence=evidence),
                is_inferred=before.is_inferred or piece.is_inferred,
            )
        else:
            joined.append(piece)
    return joined


def _sense(piece: Piece) -> tuple[Kind, bool, bool]:
    return piece.state.kind, piece.is_billable, piece.state.is_open


def _grown(piece: Piece, other: Piece) -> Piece:
    """It with its neighbour's time; that one's was withheld is not forgotten."""
    return replace(
        piece,
        from_ms=min(piece.from_ms, other.from_ms),
        until_ms=max(piece.until_ms, other.until_ms),
        withheld_by=piece.withheld_by or other.withheld_by,
    )


def without_flaps(pieces: Iterable[Piece]) -> list[Piece]:
    """A flap is part of what was before it, the first one of what comes. None becomes billable that the site made."""
    kept: list[Piece] = []
    for piece in joined(pieces):
        before = kept[-1] if kept else None
        if before is not None and _absorbs(before, piece):
            kept[-1] = _grown(before, piece)
        elif before is not None and _absorbs(piece, before):
            kept[-1] = _grown(piece, before)
        else:
            kept.append(piece)
    return joined(kept)


def _absorbs(piece: Piece, flap: Piece) -> bool:
    return flap.is_flap and not (piece.is_billable and flap.withheld_by is not None)

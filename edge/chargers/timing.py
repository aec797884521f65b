"""A charger's times: its clock is measured with each message, and what it says in local time, or with a clock that was
never set, is moved for the CSMS (`edge/domain/clocks.py` decides; `records.py` and `starts.py` call).

The measurements live with the charger's `Tally`; what follows from them is stored, deferred, when it changes.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Protocol
from zoneinfo import ZoneInfo

from edge.chargers.said import Notes, Said
from edge.dialects.v16 import synthetic
from edge.domain import clocks
from edge.domain.clocks import Clock, Move, Offset
from edge.domain.events import DomainEvent, EnergyMeasured
from edge.domain.ids import ChargerNo
from edge.domain.peculiarities import Rule
from edge.domain.transactions import Transaction
from edge.store import Connection, charger_clocks
from edge.store.charger_clocks import UNKNOWN, KnownClock, Moving
from edge.store.db import Store
from edge.store.exchange import Moment
from edge.store.transactions import instant

WORTH_STORING_MS = 2_000


class Measurements(Protocol):
    """Where a charger's measurements are kept over its connections."""

    clock_offsets: tuple[Offset, ...]
    clock: KnownClock


@lru_cache(maxsize=8)
def zone_offsets_s(timezone: str, year: int) -> tuple[int, ...]:
    """What the site is ahead of UTC, in winter and in summer."""
    zone = ZoneInfo(timezone)
    found = {datetime(year, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)}
    return tuple(sorted(round(one.total_seconds()) for one in found if one is not None))


class ClockWatch:
    """Measures the clock of one charger."""

    def __init__(
        self,
        charger: ChargerNo,
        kept: Measurements,
        store: Store,
        timezone: Callable[[], str],
        count: Callable[[Collection[str]], None],
    ) -> None:
        self._charger = charger
        self._kept = kept
        self._store = store
        self._timezone = timezone
        self._count = count

    def heard(self, event: DomainEvent | None, came: Moment) -> None:
        """A message has come; one with a time in it tells something while our own clock is right."""
        at = _latest(event)
        if at is None or not came.is_known:
            return
        seen_ms = came.wall_ms
        before = self._kept.clock_offsets
        self._kept.clock_offsets = clocks.kept(before, Offset(seen_ms, round(at.timestamp() * 1000) - seen_ms))
        if self._kept.clock_offsets != before:
            self._judge(seen_ms)

    def booted(self) -> None:
        """A clock that is not set begins anew with each boot."""
        self._kept.clock_offsets = clocks.after_boot(self._kept.clock_offsets)

    def _judge(self, seen_ms: int) -> None:
        ahead_ms = clocks.estimate(self._kept.clock_offsets)
        if ahead_ms is None and self._kept.clock == UNKNOWN:
            return  # nothing is known in this life yet: what an earlier one has stored stays
        zones = zone_offsets_s(self._timezone(), instant(seen_ms).year)
        now = KnownClock(clocks.classify(ahead_ms, seen_ms, zones), ahead_ms)
        told = self._kept.clock
        is_same = now.clock is told.clock and abs((now.ahead_ms or 0) - (told.ahead_ms or 0)) < WORTH_STORING_MS
        if not is_same:
            self._kept.clock = now
            if now.clock in {Clock.DRIFT, Clock.WRONG}:
                self._count((Rule.CLOCK_IS_OFF,))
            self._store.defer(partial(charger_clocks.keep, charger_no=self._charger, known=now))


def _latest(event: DomainEvent | None) -> datetime | None:
    if isinstance(event, EnergyMeasured):
        return event.last_at
    return getattr(event, "at", None)


# --- units


def of_start(connection: Connection, said: Said, at: datetime | None, notes: Notes) -> tuple[datetime, Moving | None]:
    """When a session began, as the CSMS is told, and how its times are moved from now on.

    Only of a charger that is known not to sign, and by a clock of ours that is right (decided.md).
    """
    if at is None or not said.at.is_known or charger_clocks.signs(connection, said.charger) is not False:
        return at or said.at.wall, None
    known = charger_clocks.of_charger(connection, said.charger)
    said_ms = round(at.timestamp() * 1000)
    move = clocks.moved_by((said_ms,), known.ahead_ms, known.clock, None, said.at.wall_ms)
    if move is None:
        return at, None
    _note(notes, move)
    clock = Clock.UNSET if clocks.is_unset(said_ms) else known.clock
    return at + timedelta(milliseconds=move.by_ms), Moving(clock, move.by_ms, said_ms + move.by_ms)


def moved(connection: Connection, said: Said, tx: Transaction, notes: Notes) -> timedelta:
    """By how much the times of another message of a session are moved: all of them, or none."""
    moving = charger_clocks.moving(connection, tx.no) if tx.is_moved else None
    if moving is None:
        return timedelta()
    known_times = [round(at.timestamp() * 1000) for at in synthetic.times(said.call.payload)]
    if not known_times:
        return timedelta()
    known = charger_clocks.of_charger(connection, said.charger)
    if known.ahead_ms is None:
        known = KnownClock(moving.clock, -moving.by_ms)
    move = clocks.moved_by(known_times, known.ahead_ms, known.clock, moving.told_until_ms, said.at.wall_ms)
    by_ms = 0 if move is None else move.by_ms
    if move is not None:
        _note(notes, move)
    charger_clocks.move(connection, tx.no, Moving(moving.clock, moving.by_ms, max(known_times) + by_ms))
    return timedelta(milliseconds=by_ms)


def _note(notes: Notes, move: Move) -> None:
    notes.correct(move.why, shift_ms=move.by_ms)

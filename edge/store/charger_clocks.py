"""What is known of a charger's clock, whether it signs its values, and how the times of a session are moved."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from edge.domain.clocks import Clock
from edge.domain.ids import ChargerNo, TransactionNo
from edge.domain.transactions import OLDEST_BELIEVED_YEAR
from edge.store import exchange, transactions
from edge.store.exchange import Kind


@dataclass(frozen=True, slots=True)
class KnownClock:
    clock: Clock = Clock.UNKNOWN
    ahead_ms: int | None = None
    """Of ours; None: not known."""


UNKNOWN = KnownClock()
BELIEVED_AHEAD_MS = 5 * 60 * 1000
"""A charger's time so far after its coming is not believed."""


def of_charger(connection: sqlite3.Connection, charger_no: ChargerNo) -> KnownClock:
    row = connection.execute(
        "SELECT clock, clock_offset_ms FROM charger WHERE charger_no = :no", {"no": charger_no}
    ).fetchone()
    if row is None or row[0] not in set(Clock) or row[1] is None:
        return UNKNOWN
    return KnownClock(Clock(row[0]), int(row[1]))


def of_session(connection: sqlite3.Connection, tx_no: TransactionNo) -> KnownClock:
    """Of the charger that began it."""
    return of_charger(connection, transactions.charger_of(connection, tx_no))


def believed_ms(
    connection: sqlite3.Connection, charger_no: ChargerNo, at: datetime | None, received_ms: int
) -> int | None:
    """When something was, by our clock, of which the charger says this time; None: its clock cannot tell."""
    return None if at is None else _believed_ms(of_charger(connection, charger_no), at, received_ms)


def _believed_ms(known: KnownClock, at: datetime, received_ms: int) -> int | None:
    said_ms, is_unset = round(at.timestamp() * 1000), at.year < OLDEST_BELIEVED_YEAR
    if is_unset is not (known.clock is Clock.UNSET):
        known = UNKNOWN
    if is_unset and known.ahead_ms is None:
        return None
    was_ms = said_ms - (known.ahead_ms or 0)
    return was_ms if was_ms <= received_ms + BELIEVED_AHEAD_MS else None


def when_ms(known: KnownClock, at: datetime | None, *, received_ms: int, shift_ms: int | None) -> int:
    """As well as is known: as it was put right, by the charger's clock, else when it came."""
    if at is None:
        return received_ms
    if shift_ms is not None:
        return round(at.timestamp() * 1000) + shift_ms
    was_ms = _believed_ms(known, at, received_ms)
    return received_ms if was_ms is None else was_ms


TRUE_ENOUGH_MS = 5_000


def told_ahead_ms(connection: sqlite3.Connection, tx_no: TransactionNo) -> int:
    """By how much the times that the CSMS is told of a session are ahead of ours.

    0 where they are put right, or ours; else as far as its charger's clock is off: start and stop must be by one clock.
    """
    begun = connection.execute(
        "SELECT tx.charger_no, tx.started_wall_ms, e.seq FROM tx JOIN exchange e ON e.seq = tx.begin_seq "
        "WHERE tx.tx_no = :tx AND tx.clock IS NULL AND tx.started_wall_ms IS NOT NULL AND e.kind = :kind",
        {"tx": tx_no, "kind": int(Kind.CHARGER_CALL)},
    ).fetchone()
    row = None if begun is None else exchange.load(connection, begun[2])
    if row is None:
        return 0
    told, known = transactions.instant(begun[1]), of_charger(connection, begun[0])
    ahead_ms = int(begun[1]) - when_ms(known, told, received_ms=row.at_wall_ms, shift_ms=None)
    return 0 if abs(ahead_ms) <= TRUE_ENOUGH_MS else ahead_ms


def keep(connection: sqlite3.Connection, charger_no: ChargerNo, known: KnownClock) -> None:
    connection.execute(
        "UPDATE charger SET clock = :clock, clock_offset_ms = :ahead WHERE charger_no = :no",
        {"clock": known.clock, "ahead": known.ahead_ms, "no": charger_no},
    )


def signs(connection: sqlite3.Connection, charger_no: ChargerNo) -> bool | None:
    """Whether it signs its values; None: not known yet."""
    row = connection.execute("SELECT signs FROM charger WHERE charger_no = :no", {"no": charger_no}).fetchone()
    return None if row is None or row[0] is None else bool(row[0])


def keep_signs(connection: sqlite3.Connection, charger_no: ChargerNo, *, signs: bool) -> None:
    """One that has signed once does for good."""
    connection.execute(
        "UPDATE charger SET signs = :signs WHERE charger_no = :no AND signs IS NOT :signs AND signs IS NOT 1",
        {"signs": int(signs), "no": charger_no},
    )


@dataclass(frozen=True, slots=True)
class Moving:
    """How the times of a session are moved."""

    clock: Clock
    by_ms: int
    """Those of its start."""
    told_until_ms: int


def moving(connection: sqlite3.Connection, tx_no: TransactionNo) -> Moving | None:
    """None: they pass as received."""
    row = connection.execute(
        "SELECT clock, moved_by_ms, told_until_ms FROM tx WHERE tx_no = :tx AND clock IS NOT NULL", {"tx": tx_no}
    ).fetchone()
    return None if row is None else Moving(Clock(row[0]), int(row[1]), int(row[2]))


def move(connection: sqlite3.Connection, tx_no: TransactionNo, how: Moving) -> None:
    connection.execute(
        "UPDATE tx SET clock = :clock, moved_by_ms = :by, told_until_ms = max(:until, coalesce(told_until_ms, 0)) "
        "WHERE tx_no = :tx",
        {"clock": how.clock, "by": how.by_ms, "until": how.told_until_ms, "tx": tx_no},
    )

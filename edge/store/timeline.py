"""How the time of a session was spent: its rows, and its charger's in between, as `edge/domain/intervals.py` has them.

A session's newest row is where its charger's rows are followed back from, until the session begins. So an old session
costs no more than a new one.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile

from edge.dialects.v16 import timeline as dialect
from edge.domain import intervals
from edge.domain.ids import ChargerNo, ConnectorNo, TransactionNo
from edge.domain.intervals import Account, LinkSeen, Observation, Session
from edge.store import chains, charger_clocks, exchange
from edge.store.charger_clocks import KnownClock
from edge.store.exchange import Exchange, Kind

ROWS_AT_MOST, CHARACTERS_AT_MOST = 20_000, 64_000_000
"""Of a session and its charger meanwhile the newest count."""
STAYS_AT_MOST_MS = 24 * 3600 * 1000
"""So long after a session's end its car may still stand there without a word."""
ACCOUNTED_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Spent:
    """Of a session, what is needed to see how its time was spent."""

    tx_no: TransactionNo
    charger_no: ChargerNo
    connector_no: ConnectorNo | None
    begin_seq: int
    last_seq: int | None
    started_ms: int
    ended_ms: int | None


def account(connection: sqlite3.Connection, one: Spent, now_ms: int) -> Account:
    """All of it by our clock, also where the CSMS is told the charger's times as they came."""
    ahead_ms = charger_clocks.told_ahead_ms(connection, one.tx_no)
    if ahead_ms:
        ended_ms = None if one.ended_ms is None else one.ended_ms - ahead_ms
        one = replace(one, started_ms=one.started_ms - ahead_ms, ended_ms=ended_ms)
    observations = list(_observations(connection, one))
    followed = connection.execute(
        "SELECT min(started_wall_ms) FROM tx WHERE connector_no = :connector AND kind = 'transaction' "
        "AND tx_no > :tx AND started_wall_ms >= :ended",
        {"connector": one.connector_no, "tx": one.tx_no, "ended": one.ended_ms},
    ).fetchone()[0]
    session = Session(one.started_ms, one.ended_ms, max(now_ms, one.started_ms), followed_ms=followed)
    return intervals.account(session, observations)


def _observations(connection: sqlite3.Connection, one: Spent) -> Iterator[Observation]:
    clock = charger_clocks.of_charger(connection, one.charger_no)
    newest_first = exchange.bounded(exchange.of_peer(connection, one.last_seq), ROWS_AT_MOST, CHARACTERS_AT_MOST)
    rows = takewhile(lambda row: row.seq >= one.begin_seq, newest_first)
    seen = [list(_of_row(row, one, clock)) for row in rows]
    for observations in reversed(seen):  # of equal times the one received later counts
        yield from observations


def _of_row(row: Exchange, one: Spent, clock: KnownClock) -> Iterator[Observation]:
    if row.kind is Kind.LINK:
        yield LinkSeen(row.at_wall_ms, str(row.seq), _is_up(row))
    elif row.kind is Kind.CHARGER_CALL and row.action is not None and _concerns(row, one):
        shift_ms = exchange.put_right(row).get("shift_ms")
        when = partial(charger_clocks.when_ms, clock, received_ms=row.at_wall_ms, shift_ms=shift_ms)
        yield from dialect.seen(row.action, exchange.payload(row), when, str(row.seq))


def _concerns(row: Exchange, one: Spent) -> bool:
    if row.action == "BootNotification":
        return True
    if row.action == "MeterValues":
        return row.tx_no == one.tx_no
    return row.action == "StatusNotification" and row.connector_no == one.connector_no


def _is_up(row: Exchange) -> bool:
    try:
        found = json.loads(row.text)
    except ValueError:
        return True  # damaged: nothing is made of it
    return isinstance(found, dict) and found.get("connection") == "opened"


# --- kept with the session once it is over


def unaccounted(connection: sqlite3.Connection, now_ms: int) -> list[Spent]:
    """Some of the sessions that have ended, whose car has left, and of which the idle time is not known yet."""
    rows = connection.execute(
        "SELECT tx.tx_no, tx.charger_no, tx.connector_no, tx.begin_seq, tx.started_wall_ms, tx.ended_wall_ms FROM tx "
        "LEFT JOIN connector c USING (connector_no) WHERE tx.state = 'ended' AND tx.idle_ms IS NULL "
        "AND tx.kind = 'transaction' AND tx.started_wall_ms IS NOT NULL AND tx.ended_wall_ms IS NOT NULL "
        "AND (c.status IS NULL OR json_extract(c.status, '$.status') <> 'Finishing' OR tx.ended_wall_ms < :long_ago) "
        "ORDER BY tx.tx_no DESC LIMIT :most",
        {"long_ago": now_ms - STAYS_AT_MOST_MS, "most": ACCOUNTED_AT_ONCE},
    )
    return [
        Spent(tx_no, charger, connector, begin_seq, chains.tx_end(connection, tx_no)[0], started_ms, ended_ms)
        for tx_no, charger, connector, begin_seq, started_ms, ended_ms in rows.fetchall()
    ]


def keep_idle(connection: sqlite3.Connection, idle_s: Mapping[TransactionNo, int]) -> None:
    """Of sessions that are over."""
    rows = [{"tx": tx_no, "idle": seconds * 1000} for tx_no, seconds in idle_s.items()]
    connection.executemany("UPDATE tx SET idle_ms = :idle WHERE tx_no = :tx", rows)

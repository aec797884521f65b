"""When the CSMS was away, and what was stored meanwhile: the changes of the uplink, and what lies between two of them.

`edge/uplink/link.py` writes a row at each change. Each points back to the one before it (`cause_seq`), and the newest
is known by name (`meta`), so that nobody has to walk over a quarter of a year of the station's own meter values to
find them; where a pointer leads nowhere (an older program's row, one that was removed) the station's chain is walked
for a while. What was stored during an outage is a range of `seq`: counted once, and only there.
`edge/console/views_outages.py` makes a report of it.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from edge.domain.ids import TransactionNo
from edge.ocppj.frames import encode_json
from edge.store import delivery, diagnosis, exchange, report
from edge.store.exchange import STATION, Exchange, Kind, Moment, NewExchange
from edge.store.parked import DROPPED
from edge.store.transactions import FIRST_STREAM

ACCEPTED = "accepted"
NEWEST = "uplink_seq"
"""In `meta`: the number of the newest row about the uplink."""
STARTED = "the controller has started"
STOPPED = "the controller was stopped"
DIED = "the controller ended without a word: power, or a kill"
WALKED_AT_MOST = 5_000
"""Rows of the station's chain that are looked at for one that nothing points to: two days with a grid meter."""
SESSIONS_LOOKED_AT = 20_000
VALUES_LOOKED_AT = 100
"""Rows of one session in which the register at the border of an outage is looked for."""


@dataclass(frozen=True, slots=True)
class Outage:
    """From one change of the uplink to another. What was stored in it has a number between the two."""

    after_seq: int
    before_seq: int
    began_ms: int
    ended_ms: int | None
    """None: it goes on."""
    why: str | None
    last_error: str | None
    """Why the last attempt to come back failed."""
    is_first: bool = False
    """Before it the store knew no CSMS at all."""

    @property
    def width(self) -> int:
        return self.before_seq - self.after_seq


@dataclass(frozen=True, slots=True)
class Found:
    outages: Sequence[Outage]
    """Newest first."""
    since_ms: int | None
    """There was no other since then; None: nothing is known of the uplink."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What one transaction, or stream of values, stored in an outage for the CSMS, and how far that has it now."""

    tx_no: TransactionNo
    messages: int
    acknowledged: int
    parked: int
    dropped: int
    first_seq: int
    """Of all rows of it."""
    last_values_seq: int | None
    last_acknowledged_seq: int | None

    @property
    def waiting(self) -> int:
        return self.messages - self.acknowledged - self.parked - self.dropped


@dataclass(frozen=True, slots=True)
class Charged:
    """A session, as far as a report of outages wants to know of it."""

    tx_no: TransactionNo
    id_token: str | None
    begin_seq: int
    end_seq: int | None
    """None: it is open."""
    meter_start_wh: int | None
    meter_stop_wh: int | None
    decision: str | None
    decision_source: str | None
    csms_verdict: str | None
    csms_verdict_wall_ms: int | None

    def began_in(self, outage: Outage) -> bool:
        return outage.after_seq < self.begin_seq < outage.before_seq

    def ended_in(self, outage: Outage) -> bool:
        return self.end_seq is not None and outage.after_seq < self.end_seq < outage.before_seq

    def was_open_in(self, outage: Outage) -> bool:
        return self.begin_seq < outage.before_seq and (self.end_seq is None or self.end_seq > outage.after_seq)


# --- written by the uplink


def begin(connection: sqlite3.Connection, at: Moment) -> None:
    """A controller whose store knows of no uplink begins with an outage: the CSMS has not heard of it yet."""
    if _newest(connection) is None:
        note(connection, at, "offline", STARTED)


def note(connection: sqlite3.Connection, at: Moment, state: str, why: str | None) -> None:
    """The uplink was accepted, or is not any more. `why`: what ended it; when it is back, what was last in the way."""
    text = encode_json({"uplink": state, "why": why})
    seq = exchange.append(connection, NewExchange(at, STATION, Kind.LINK, text, cause_seq=_newest(connection)))
    if delivery.is_there(connection, seq):  # a full store takes nothing that only tells
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (:key, :seq)", {"key": NEWEST, "seq": seq})


def _newest(connection: sqlite3.Connection) -> int | None:
    row = connection.execute(
        "SELECT value FROM meta WHERE key = :key AND typeof(value) = 'integer'", {"key": NEWEST}
    ).fetchone()
    return None if row is None else int(row[0])


# --- the changes


@dataclass(frozen=True, slots=True)
class _Change:
    seq: int
    boot_no: int
    at_ms: int
    is_accepted: bool
    why: str | None
    before: int | None
    prev_peer: int | None


@dataclass(frozen=True, slots=True)
class _Lost:
    """What goes on, and has not ended yet."""

    after_seq: int
    at_ms: int
    why: str | None


def found(connection: sqlite3.Connection, since_ms: int | None, most: int) -> Found:
    """The newest outages, no more than `most`: those that went on at `since_ms` (None: ever) or began later."""
    changes = _changes(connection, since_ms, most)
    if not changes:
        return Found((), None)
    told = [
        one
        for one in _between(connection, changes)
        if since_ms is None or one.ended_ms is None or one.ended_ms >= since_ms
    ]
    known_ms = changes[0].at_ms if len(told) < most else told[-most].began_ms
    return Found(told[-most:][::-1], known_ms if since_ms is None else max(known_ms, since_ms))


def _between(connection: sqlite3.Connection, changes: Sequence[_Change]) -> Iterator[Outage]:
    first, end = changes[0], _last_seq(connection) + 1
    now = _Change(end, _present_boot(connection), 0, False, None, None, None)
    lost: _Lost | None = None
    for before, one in pairwise([first, *changes, now]):
        if lost is None and before.is_accepted and before.boot_no < one.boot_no:
            lost = _died(connection, before, one.seq)
        if one.is_accepted and lost is not None:
            later = None if one.why == lost.why else one.why
            is_first = first.before is None and lost.after_seq == first.seq
            yield Outage(lost.after_seq, one.seq, lost.at_ms, one.at_ms, lost.why, later, is_first)
            lost = None
        elif not one.is_accepted and lost is None and one is not now:
            lost = _Lost(one.seq, one.at_ms, one.why)
    if lost is not None:
        yield Outage(lost.after_seq, end, lost.at_ms, None, lost.why, None)


def _changes(connection: sqlite3.Connection, since_ms: int | None, most: int) -> list[_Change]:
    """As many as so many outages may have, and two from before `since_ms`; oldest first."""
    newest_first: list[_Change] = []
    older = 0
    one = _change_before(connection, None)
    while one is not None and len(newest_first) <= 2 * most and older < 2:
        newest_first.append(one)
        older += since_ms is not None and one.at_ms < since_ms
        one = _change_before(connection, one)
    return newest_first[::-1]


def _change_before(connection: sqlite3.Connection, change: _Change | None) -> _Change | None:
    """The change before this one; before None: the newest."""
    pointed = _newest(connection) if change is None else change.before
    row = None if pointed is None else exchange.load(connection, pointed)
    if row is not None and (read := _read(row)) is not None:
        return read
    start = diagnosis.station_end(connection) if change is None else change.prev_peer
    for one in islice(exchange.of_peer(connection, start), WALKED_AT_MOST):
        if (read := _read(one)) is not None:
            return read
    return None


def _read(row: Exchange) -> _Change | None:
    """None: it is no change of the uplink."""
    if row.kind is not Kind.LINK or row.peer != STATION:
        return None
    try:
        said = json.loads(row.text)
        is_accepted, why = said["uplink"] == ACCEPTED, said.get("why")
    except (ValueError, LookupError, TypeError, AttributeError):  # damaged on the disk
        return None
    reason = None if why is None else str(why)
    return _Change(row.seq, row.boot_no, row.at_wall_ms, is_accepted, reason, row.cause_seq, row.prev_peer)


def _died(connection: sqlite3.Connection, last: _Change, before_seq: int) -> _Lost:
    """The uplink was lost with the life of the daemon in which it was accepted: when that was last heard of.

    Boots ascend with the numbers of rows, so that its last row is found by halving.
    """
    low, high = last.seq, before_seq
    while high - low > 1:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT seq, boot_no FROM exchange WHERE seq >= :from AND seq < :to ORDER BY seq LIMIT 1",
            {"from": middle, "to": high},
        ).fetchone()
        if row is None or row[1] > last.boot_no:
            high = middle
        else:
            low = int(row[0])
    heard = exchange.load(connection, low)
    kept = connection.execute(
        "SELECT m.value FROM boot b JOIN meta m ON m.key = 'alive_until:' || b.boot_no "
        "WHERE b.boot_no > :boot AND typeof(m.value) = 'integer' ORDER BY b.boot_no LIMIT 1",
        {"boot": last.boot_no},
    ).fetchone()
    times = (last.at_ms, 0 if heard is None else heard.at_wall_ms, 0 if kept is None else int(kept[0]))
    return _Lost(low, max(times), DIED)


def _last_seq(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM exchange").fetchone()[0])


def _present_boot(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(boot_no), 0) FROM boot").fetchone()[0])


# --- what happened in one


def counts(connection: sqlite3.Connection, outage: Outage) -> list[Counts]:
    """By transaction. Looks at each row of the outage once."""
    rows = connection.execute(
        "SELECT tx_no, sum(fate > 0), sum(fate = 1), sum(fate = 2), sum(fate = 3), min(seq), "
        "max(CASE WHEN is_values THEN seq END), max(CASE WHEN fate = 1 THEN seq END) FROM ("
        " SELECT e.seq, e.tx_no, e.kind = :said AND e.action = 'MeterValues' AS is_values, CASE"
        "  WHEN NOT e.relay THEN 0 WHEN d.seq IS NOT NULL OR e.seq >= tx.dropped_seq THEN 3"
        "  WHEN e.seq <= tx.acked_seq THEN 1 WHEN e.seq >= tx.parked_seq THEN 2 ELSE 4 END AS fate"
        " FROM exchange e LEFT JOIN tx ON tx.tx_no = e.tx_no"
        " LEFT JOIN delivery d ON d.seq = e.seq AND d.state = :dropped"
        " WHERE e.seq > :after AND e.seq < :before AND e.tx_no IS NOT NULL) GROUP BY tx_no",
        {
            "said": int(Kind.CHARGER_CALL),
            "dropped": DROPPED,
            "after": outage.after_seq,
            "before": outage.before_seq,
        },
    )
    return [Counts(*row) for row in rows]


def sessions(connection: sqlite3.Connection, after_seq: int) -> list[Charged]:
    """Those that were open at this row or later, of the newest ones; oldest first."""
    newest = connection.execute("SELECT max(tx_no) FROM tx WHERE tx_no < :stream", {"stream": FIRST_STREAM}).fetchone()
    rows = connection.execute(
        "SELECT tx_no, id_token, begin_seq, "
        "CASE WHEN state <> 'open' THEN coalesce(stop_seq, last_seq) END, meter_start_wh, meter_stop_wh, "
        "decision, decision_source, csms_verdict, csms_verdict_wall_ms FROM tx "
        "WHERE tx_no > :oldest AND tx_no < :stream AND kind = 'transaction' "
        "AND (state = 'open' OR coalesce(stop_seq, last_seq) > :after) ORDER BY tx_no",
        {"oldest": (newest[0] or 0) - SESSIONS_LOOKED_AT, "stream": FIRST_STREAM, "after": after_seq},
    )
    return [Charged(*row) for row in rows]


def values_back(connection: sqlite3.Connection, tx_no: TransactionNo, seq: int | None) -> Iterator[Exchange]:
    """The MeterValues of a session from this row on, newest first; not for ever."""
    for row in islice(exchange.of_transaction(connection, tx_no, seq), VALUES_LOOKED_AT):
        if row.kind is Kind.CHARGER_CALL and row.action == "MeterValues":
            yield row


def values_before(connection: sqlite3.Connection, counted: Counts) -> Iterator[Exchange]:
    """The same from before the outage."""
    first = exchange.load(connection, counted.first_seq)
    return values_back(connection, counted.tx_no, None if first is None else first.prev_tx)


def replayed_ms(
    connection: sqlite3.Connection, outage: Outage, counted: Sequence[Counts], most: int
) -> tuple[int | None, int]:
    """When the last of what the CSMS has was answered, and how many rows were looked at for it, not more than `most`.

    None: the journal does not say.
    """
    missing = {one.tx_no: one.last_acknowledged_seq for one in counted if one.last_acknowledged_seq is not None}
    rows = connection.execute(
        "SELECT seq, tx_no FROM exchange WHERE seq > :after AND seq <= :until AND kind = :answer ORDER BY seq",
        {"after": outage.before_seq, "until": outage.before_seq + most, "answer": int(Kind.CSMS_ANSWER)},
    )
    for seq, tx_no in rows:
        if tx_no not in missing:
            continue
        answer = exchange.load(connection, seq)
        if answer is None or not answer.text.lstrip("[ \t\r\n").startswith("3"):
            continue  # a CALLERROR
        if max(report.carried(answer), default=0) >= missing[tx_no]:
            del missing[tx_no]
            if not missing:
                return answer.at_wall_ms, seq - outage.before_seq
    return None, min(most, _last_seq(connection) - outage.before_seq)

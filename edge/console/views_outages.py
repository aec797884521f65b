"""`edge outages`: when the CSMS was away, what went on meanwhile, and how it learned of that. Reads only.

Energy of a session in an outage is the last register known when the outage ended, less the last one known when it
began: so the parts of a session add up to the whole of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from edge.console.live import Live, UplinkNow
from edge.console.times import time, time_ms
from edge.dialects import timestamps, tolerances
from edge.dialects.v16 import observe
from edge.domain.authorization import ACCEPTED, Source
from edge.domain.events import EnergyMeasured
from edge.domain.ids import session_name
from edge.jsontypes import Payload
from edge.store import Connection, exchange, outages
from edge.store.db import Store
from edge.store.exchange import Exchange
from edge.store.outages import Charged, Counts, Outage

SHOWN_AT_MOST = 100
ROWS_AT_MOST = 500_000
"""Rows of the journal that one answer counts, the newest outages first: half a second, on a small machine some."""
REPLAY_AT_MOST = 100_000
"""Rows after an outage, beyond as many as in it, among which its last answer is looked for."""
ON_OUR_OWN = frozenset({Source.LIST, Source.CACHE, Source.POLICY})


class OutageViews:
    """Answers one command."""

    def __init__(self, store: Store, live: Live, rows_at_most: int = ROWS_AT_MOST) -> None:
        self._store = store
        self._live = live
        self._rows_at_most = rows_at_most

    async def outages(self, args: Payload) -> Payload:
        since = timestamps.parse(args.get("since"))
        since_ms = None if since is None else round(since.timestamp() * 1000)
        now, link = self._live.now(), self._live.uplink()
        now_ms = round(now.timestamp() * 1000)
        since_ms, told = await self._store.read(
            lambda db: _told(db, since_ms, now_ms, link, _Allowance(self._rows_at_most, self._rows_at_most))
        )
        return {"v": 1, "at": time(now), "since": time_ms(since_ms), "outages": told}


@dataclass(slots=True)
class _Allowance:
    """How many rows may still be looked at."""

    to_count: int
    to_search: int

    def counts(self, outage: Outage) -> bool:
        """Whether this one is counted, too."""
        if outage.width > self.to_count:
            return False
        self.to_count -= outage.width
        return True


def _told(
    db: Connection, since_ms: int | None, now_ms: int, link: UplinkNow, allowance: _Allowance
) -> tuple[int | None, list[Payload]]:
    """From when on all is told, and the outages, newest first."""
    found = outages.found(db, since_ms, SHOWN_AT_MOST)
    if not found.outages:
        return found.since_ms, []
    charged = outages.sessions(db, found.outages[-1].after_seq)
    told = []
    # each with the end of the one before it
    for one, older in pairwise([*found.outages, None]):
        assert one is not None
        after = one.after_seq if older is None else older.before_seq
        outage = _with_present(one, link) if one.ended_ms is None else one
        member = _outage(db, outage, charged, after, now_ms, allowance)
        # that a new controller has not been heard of for a moment is no outage, unless it had something to say
        if not (one.is_first and member["messages"] == 0 and member["sessions_served"] == 0):
            told.append(member)
    return found.since_ms, told


def _with_present(outage: Outage, link: UplinkNow) -> Outage:
    """One that goes on, as far as the journal says: a full store takes no row about the end."""
    accepted_ms = round(link.since.timestamp() * 1000)
    if link.state == outages.ACCEPTED and accepted_ms >= outage.began_ms:  # not what was so a moment before
        return replace(outage, ended_ms=accepted_ms)
    return replace(outage, last_error=None if link.last_error == outage.why else link.last_error)


def _outage(
    db: Connection, outage: Outage, charged: Sequence[Charged], after: int, now_ms: int, allowance: _Allowance
) -> Payload:
    served = [one for one in charged if one.was_open_in(outage)]
    counted = outages.counts(db, outage) if allowance.counts(outage) else None
    end_ms = now_ms if outage.ended_ms is None else outage.ended_ms
    return {
        "from": time_ms(outage.began_ms),
        "until": time_ms(outage.ended_ms),
        "lasted_s": max(end_ms - outage.began_ms, 0) / 1000,
        "why": outage.why,
        "last_error": outage.last_error,
        "sessions_started": sum(one.began_in(outage) for one in served),
        "sessions_ended": sum(one.ended_in(outage) for one in served),
        "sessions_served": len(served),
        "energy_wh": None if counted is None else _energy_wh(db, outage, served, counted),
        "tokens": [_token(one) for one in served if _was_let_in(one, outage, after)],
        **_delivery(db, outage, counted, allowance),
    }


# --- tokens


def _was_let_in(one: Charged, outage: Outage, after: int) -> bool:
    """Whether we decided alone, in this outage: or before it, since the one before, and the CSMS had not said by then.

    A CSMS that does not answer any more is often known to be away only a minute later.
    """
    if one.decision != ACCEPTED or one.decision_source not in ON_OUR_OWN or one.begin_seq <= after:
        return False
    verdict_ms = one.csms_verdict_wall_ms
    return one.began_in(outage) or verdict_ms is None or verdict_ms >= outage.began_ms


def _token(one: Charged) -> Payload:
    return {
        "session": session_name(one.tx_no),
        "id_token": one.id_token,
        "source": one.decision_source,
        "csms_verdict": one.csms_verdict,
        "csms_verdict_at": time_ms(one.csms_verdict_wall_ms),
    }


# --- energy


def _energy_wh(db: Connection, outage: Outage, served: Sequence[Charged], counted: Sequence[Counts]) -> int | None:
    """Of all sessions together; None when no register of any of them is known."""
    if not served:
        return 0
    rows_of = {one.tx_no: one for one in counted}
    parts = [_part_wh(db, outage, one, rows_of.get(one.tx_no)) for one in served]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _part_wh(db: Connection, outage: Outage, one: Charged, rows: Counts | None) -> int | None:
    """What one session drew in it. None: its registers do not tell, or ran backwards."""
    if rows is None:
        return 0
    first = one.meter_start_wh
    if not one.began_in(outage):
        first = _register(outages.values_before(db, rows), first)
    last = one.meter_stop_wh if one.ended_in(outage) else None
    if last is None and rows.last_values_seq is not None:
        last = _register(outages.values_back(db, one.tx_no, rows.last_values_seq), first)
    if first is None:
        return None
    return 0 if last is None else last - first if last >= first else None


def _register(rows: Iterable[Exchange], otherwise: int | None) -> int | None:
    """The first register that one of these rows tells."""
    for row in rows:
        meant = tolerances.understood(row.version or "1.6", row.action or "", exchange.payload(row))
        measured = observe.observe(row.action or "", meant)
        if isinstance(measured, EnergyMeasured) and measured.register_wh is not None:
            return measured.register_wh
    return otherwise


# --- delivery


def _delivery(db: Connection, outage: Outage, counted: Sequence[Counts] | None, allowance: _Allowance) -> Payload:
    """What was stored in it for the CSMS, and how far that has it now."""
    if counted is None:
        unknown = ("messages", "acknowledged", "waiting", "parked", "dropped", "counts_equal", "replay_s")
        return {**dict.fromkeys(unknown), "replayed_at": None}
    messages = sum(one.messages for one in counted)
    acknowledged = sum(one.acknowledged for one in counted)
    waiting = sum(one.waiting for one in counted)
    replayed_ms, replay_s = None, None
    if outage.ended_ms is not None and waiting == 0:
        replayed_ms = outage.ended_ms
        if acknowledged:
            most = min(allowance.to_search, outage.width + REPLAY_AT_MOST)
            replayed_ms, looked_at = outages.replayed_ms(db, outage, counted, most)
            allowance.to_search -= looked_at
        replay_s = None if replayed_ms is None else max(replayed_ms - outage.ended_ms, 0) / 1000
    return {
        "messages": messages,
        "acknowledged": acknowledged,
        "waiting": waiting,
        "parked": sum(one.parked for one in counted),
        "dropped": sum(one.dropped for one in counted),
        "counts_equal": messages == acknowledged,
        "replay_s": replay_s,
        "replayed_at": time_ms(replayed_ms),
    }

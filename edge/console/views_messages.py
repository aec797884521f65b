"""`edge queue` and `edge trace`: single messages, on their way and behind us. Reads only."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from edge.console.errors import CommandError
from edge.console.live import Live
from edge.console.times import time, time_ms, time_or_none
from edge.console.tracing import Names, entries
from edge.console.verdict import verdict
from edge.dialects.v16 import gathering
from edge.dialects.v16 import ids as bound_ids
from edge.domain.delivery import Head, Order, Turns
from edge.domain.ids import CsmsTransactionId, UpstreamConnector, session_name, transaction_named
from edge.jsontypes import JsonValue, Payload
from edge.ocppj.frames import call_text
from edge.store import Connection, exchange, parked, report
from edge.store.db import Store
from edge.store.delivery import START_OR_STOP
from edge.store.exchange import Exchange, Kind
from edge.store.report import Attempted, Queued

WATCH_INTERVAL = 1.0
CHARGER_TRACE_ROWS = 500
"""A charger's newest rows; a session is always shown whole."""


@dataclass(frozen=True, slots=True)
class _About:
    """Whom a trace is about, its rows, and of a session what became of it."""

    subject: Payload
    rows: list[Exchange]
    verdict: tuple[str, ...] = ()


class MessageViews:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def queue(self, args: Payload) -> Payload:
        seq = args.get("seq")
        if isinstance(seq, int):
            return await self._queue_entry(seq)
        backlog, waiting = await self._store.read(lambda db: (report.backlog(db), list(report.queue(db))))
        ordered = _in_sending_order(waiting, self._turns())
        shown = ordered[: report.QUEUE_AT_MOST]
        fared = await self._store.read(lambda db: {one.seq: report.attempted(db, one.seq) for one, _ in shown})
        return {
            "v": 1,
            "at": time(self._live.now()),
            "messages": backlog.messages,
            "parked": backlog.parked,
            "truncated": len(ordered) > len(shown),
            "entries": [self._entry(one, fared[one.seq], blocked_by) for one, blocked_by in shown],
        }

    def _turns(self) -> Turns:
        return Turns(Order(self._live.uplink().order))

    def _entry(self, one: Queued, fared: Attempted, blocked_by: int | None) -> Payload:
        outstanding = self._live.uplink().outstanding
        is_sending = outstanding is not None and outstanding.has(one.seq)
        ready_at = None if one.is_parked or blocked_by is not None else self._live.ready_at(one.lane or 0)
        return {
            "seq": one.seq,
            "state": "parked" if one.is_parked else "sending" if is_sending else "waiting",
            "session": session_name(one.tx_no) if one.kind == "transaction" else None,
            "charger": one.charger,
            "upstream_connector": one.lane,
            "ocpp": fared.version or "1.6",
            "action": one.action,
            "observed_at": time_ms(fared.at_wall_ms),
            "attempts": fared.attempts,
            "next_attempt_at": time_or_none(ready_at),
            "blocked_by": blocked_by,
            "error": None
            if fared.error is None
            else {"code": fared.error[0], "description": fared.error[1] or "", "at": time_ms(fared.error[2])},
        }

    async def _queue_entry(self, seq: int) -> Payload:
        waiting = await self._store.read(lambda db: list(report.queue(db)))
        for one, blocked_by in _in_sending_order(waiting, self._turns()):
            if one.seq == seq:
                (received, upstream), fared = await self._store.read(
                    lambda db: (_payloads(db, seq), report.attempted(db, seq))
                )
                entry = self._entry(one, fared, blocked_by)
                return {
                    "v": 1,
                    "at": time(self._live.now()),
                    **entry,
                    "received_payload": received,
                    "upstream_payload": upstream,
                }
        raise not_in_queue(seq, is_dropped=await self._store.read(lambda db: parked.was_dropped(db, seq)))

    async def trace(self, args: Payload) -> Payload:
        about, names = await self._traced(args)
        raw = args.get("raw") is True
        shown: list[JsonValue] = [one for row in about.rows for one in entries(row, names, raw=raw)]
        return {"v": 1, "subject": about.subject, "entries": shown, "verdict": list(about.verdict)}

    async def _traced(self, args: Payload) -> tuple[_About, Names]:
        subject, raw = args.get("subject"), args.get("raw") is True
        name = subject if isinstance(subject, str) else ""

        def look(db: Connection) -> tuple[_About, Names] | None:
            about = _subject(db, name)
            if about is None:
                return None
            sent = {row.seq: _sent(db, row) for row in about.rows if row.kind is Kind.CSMS_ANSWER} if raw else {}
            numbers = report.connector_numbers(db)
            return about, Names(report.charger_names(db), numbers, report.upstream_of(db), sent)

        found = await self._store.read(look)
        if found is None:
            raise CommandError(
                "no_such_subject",
                f"There is no session and no charger {name!r}.",
                "edge sessions and edge chargers list them.",
            )
        return found

    async def follow_trace(self, args: Payload) -> AsyncGenerator[Payload, None]:
        seen = 0
        raw = args.get("raw") is True
        while True:
            about, names = await self._traced(args)
            for row in about.rows:
                if row.seq > seen:
                    seen = row.seq
                    for entry in entries(row, names, raw=raw):
                        yield entry
            await asyncio.sleep(WATCH_INTERVAL)


def not_in_queue(seq: int, *, is_dropped: bool) -> CommandError:
    hint = "The operator dropped it." if is_dropped else "It was delivered, or never was: edge queue list."
    return CommandError("no_such_message", f"Message {seq} is not in the queue.", hint)


def _subject(db: Connection, name: str) -> _About | None:
    number = transaction_named(name)
    if number is not None:
        one = report.session(db, number)
        if one is not None:
            subject: Payload = {"session": session_name(one.tx_no), "charger": one.charger}
            return _About(subject, report.rows_of(db, one), tuple(verdict(one)))
    if name in report.charger_names(db).values():
        return _About({"session": None, "charger": name}, report.rows_of_charger(db, name, CHARGER_TRACE_ROWS))
    return None


def _sent(db: Connection, answer: Exchange) -> str:
    """The CALL that this answer was for: rendered again, which gives the same (architecture, flow (i) 9)."""
    payload = report.sent_payload(answer)
    if payload is None:
        carried = [_payloads(db, seq)[1] for seq in report.carried(answer)]
        whole = [one for one in carried if one is not None]
        payload = gathering.together(whole) if len(whole) > 1 else whole[0] if whole else None
    return call_text(answer.message_id or "", answer.action or "", payload or {})


def _payloads(db: Connection, seq: int) -> tuple[Payload | None, Payload | None]:
    """As the charger sent it, and as the CSMS gets it (None while its transaction's id is not known)."""
    row = exchange.load(db, seq)
    if row is None or row.tx_no is None:
        return None, None
    received = exchange.payload(row)
    bound = report.bound(db, seq)
    if bound is not None:
        return received, json.loads(bound)
    kind, csms_tx, lane = report.tx_stream(db, row.tx_no)
    if kind == "transaction" and row.action != "StartTransaction" and csms_tx is None:
        return received, None
    upstream = None if csms_tx is None else CsmsTransactionId(csms_tx)
    is_stop = row.action == "StopTransaction"
    return received, bound_ids.bind(received, UpstreamConnector(lane), upstream, is_stop=is_stop)


def _in_sending_order(waiting: list[Queued], turns: Turns) -> list[tuple[Queued, int | None]]:
    """Each message with the one that it waits for, as the sender will take them; the parked ones last."""
    lanes: dict[int, list[Queued]] = {}
    kept_back: list[Queued] = []
    for one in sorted(waiting, key=lambda each: each.seq):
        if one.is_parked:
            kept_back.append(one)
        else:
            lanes.setdefault(-1 if one.lane is None else one.lane, []).append(one)
    ordered: list[tuple[Queued, int | None]] = []
    before: dict[int, int] = {}
    while lanes and len(ordered) <= report.QUEUE_AT_MOST:
        heads = {lane: Head(queue[0].seq, queue[0].action in START_OR_STOP, 0.0) for lane, queue in lanes.items()}
        lane = turns.choose(heads, 0.0)
        assert lane is not None
        one = lanes[lane].pop(0)
        if not lanes[lane]:
            del lanes[lane]
        ordered.append((one, before.get(lane)))
        before[lane] = one.seq
    first_parked: dict[int, int] = {}
    for one in kept_back:
        blocker = first_parked.setdefault(one.tx_no, one.seq)
        ordered.append((one, None if blocker == one.seq else blocker))
    return ordered

"""`edge sessions` and `edge session`: what was charged, and how far the CSMS knows of it. Reads only."""

import json
from datetime import datetime

from edge.console import lineage
from edge.console.errors import CommandError
from edge.console.live import Live
from edge.console.times import time, time_ms
from edge.dialects import timestamps, tolerances
from edge.dialects.v16 import observe, station
from edge.domain.ids import ChargerId, TransactionNo, session_name, transaction_named
from edge.jsontypes import JsonValue, Payload
from edge.store import Connection, connectors, exchange, parked, report, timeline
from edge.store.db import Store
from edge.store.exchange import Exchange, Kind
from edge.store.report import Session
from edge.store.timeline import Spent


class SessionViews:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def sessions(self, args: Payload) -> Payload:
        since = timestamps.parse(args.get("since"))
        charger = args.get("charger")
        if isinstance(charger, str) and not await self._store.read(
            lambda db: connectors.charger(db, ChargerId(charger)) is not None
        ):
            raise CommandError("no_such_charger", f"There is no charger {charger!r}.", "edge chargers lists them.")
        found = await self._store.read(
            lambda db: [
                self._session(db, one)
                for one in report.sessions(
                    db,
                    only_open=args.get("open") is True,
                    charger=charger if isinstance(charger, str) else None,
                    since_ms=None if since is None else round(since.timestamp() * 1000),
                )
            ]
        )
        return {"v": 1, "at": time(self._live.now()), "sessions": found}

    async def session(self, args: Payload) -> Payload:
        number = session_number(args.get("session"))

        def look(db: Connection) -> Payload | None:
            one = report.session(db, number)
            return None if one is None else {**self._session(db, one), **self._details(db, one)}

        found = await self._store.read(look)
        if found is None:
            raise no_such_session(args.get("session"))
        return {"v": 1, "at": time(self._live.now()), "session": found}

    def _session(self, db: Connection, one: Session) -> Payload:
        energy = None
        if one.meter_start_wh is not None:
            last = one.meter_stop_wh if one.state == "ended" else _last_register(db, one)
            energy = None if last is None else last - one.meter_start_wh
        is_ended = one.state == "ended" or one.concluded_ms is not None
        is_ours = one.end_rule is not None or (one.state == "open" and one.concluded_ms is not None)
        return {
            "session": session_name(one.tx_no),
            "state": "ended" if is_ended else "open",
            "charger": one.charger,
            "evse": one.evse,
            "connector": one.connector,
            "upstream_connector": one.upstream_connector,
            "ocpp": "1.6",
            "id_token": one.id_token,
            "charger_transaction_id": None if one.charger_tx is None else int(one.charger_tx),
            "csms_transaction_id": None if one.csms_tx is None else int(one.csms_tx),
            "remote_start": one.remote_start,
            "started_at": time_ms(one.started_wall_ms),
            "ended_at": time_ms(one.ended_wall_ms),
            "meter_start_wh": one.meter_start_wh,
            "meter_stop_wh": one.meter_stop_wh,
            "energy_wh": energy,
            "end_reason": one.end_reason,
            "end_cause": None if not is_ended else "synthetic" if is_ours else "charger",
            "idle_s": None if one.idle_ms is None else one.idle_ms // 1000,
            "started_offline": one.started_offline,
            "delivery": _delivery(one),
        }

    def _details(self, db: Connection, one: Session) -> Payload:
        rows = report.rows_of(db, one)
        dropped = parked.dropped_of(db, one.begin_seq, one.last_seq)
        outstanding = self._live.uplink().outstanding
        answers: dict[int, list[Exchange]] = {}
        for row in rows:
            if row.kind is Kind.CSMS_ANSWER:
                for seq in report.carried(row):
                    answers.setdefault(seq, []).append(row)
        return {
            "authorization": {
                "decision": None
                if one.decision is None
                else "accepted"
                if one.decision == "Accepted"
                else "refused",
                "source": one.decision_source,
                "at": time_ms(one.decided_wall_ms),
                "csms_verdict": one.csms_verdict,
                "csms_verdict_at": time_ms(one.csms_verdict_wall_ms),
            },
            "messages": [
                _message(
                    row,
                    answers.get(row.seq, []),
                    one,
                    is_dropped=row.seq in dropped,
                    is_sending=outstanding is not None and outstanding.has(row.seq),
                )
                for row in rows
                if row.relay
            ],
            "energy": lineage.energy(one),
            "figures": lineage.figures(one, rows, answers),
            "doubt": _doubt(one),
            "late_stop": None
            if one.late_stop_seq is None
            else {"entry": str(one.late_stop_seq), "contradicts": one.is_contradicted},
            "goes_on_from": None if one.continues is None else session_name(TransactionNo(one.continues)),
            "goes_on_as": None if one.goes_on_as is None else session_name(TransactionNo(one.goes_on_as)),
            **_time(db, one, self._live.now()),
            "notes": [
                {"at": time_ms(row.at_wall_ms), "rule": note["rule"], "message": note["message"],
                 "evidence": [str(row.seq)]}
                for row in rows
                for note in report.notes_of(row)
            ],
        }  # fmt: skip


def _doubt(one: Session) -> Payload | None:
    """Why an open session may have ended; why one of ours was ended."""
    if one.doubt is None:
        return None
    return {
        "evidence": str(one.doubt.evidence),
        "what": one.doubt.evidence.words,
        "at": time_ms(one.doubt.at_ms),
        "entry": str(one.doubt.seq),
    }


def _time(db: Connection, one: Session, now: datetime) -> Payload:
    """How the session's time was spent, and from when to when it is billed as idle."""
    if one.started_wall_ms is None:
        return {"intervals": [], "billable_idle": None}
    spent = Spent(
        one.tx_no, one.charger_no, one.connector_no, one.begin_seq, one.last_seq or None, one.started_wall_ms,
        one.ended_wall_ms,
    )  # fmt: skip
    account = timeline.account(db, spent, round(now.timestamp() * 1000))
    idle = None
    if account.idle_from_ms is not None:
        since, until = time_ms(account.idle_from_ms), time_ms(account.idle_until_ms)
        idle = {"from": since, "until": until, "idle_s": account.idle_s}
    return {
        "idle_s": account.idle_s,
        "billable_idle": idle,
        "intervals": [
            {
                "kind": str(each.kind),
                "from": time_ms(each.from_ms),
                "until": time_ms(each.until_ms),
                "billable_idle": each.billable_idle,
                "inferred": each.is_inferred,
                "evidence": list(each.evidence),
            }
            for each in account.intervals
        ],
    }


def _delivery(one: Session) -> Payload:
    """How far the CSMS knows of it. What is parked or dropped it does not get; the latter never."""
    waiting = one.rows - one.acked_rows
    dropped = one.dropped_rows + (waiting if one.dropped_seq is not None else 0)
    kept_back = dropped + (waiting if one.parked_seq is not None else 0)
    is_held = one.parked_seq is not None or one.dropped_seq is not None
    if is_held or (dropped and not waiting and one.state == "ended"):
        state = "parked"
    else:
        state = "waiting" if waiting or one.state == "open" else "delivered"
    return {
        "state": state,
        "waiting": 0 if is_held else waiting,
        "acked": one.acked_rows - one.dropped_rows,
        "parked": kept_back,
        "dropped": dropped,
        "thinned": one.thinned,
    }


def session_number(value: JsonValue) -> int:
    """The number of `S42`; raises CommandError."""
    number = transaction_named(value) if isinstance(value, str) else None
    if number is None:
        raise no_such_session(value)
    return number


def no_such_session(value: JsonValue) -> CommandError:
    return CommandError("no_such_session", f"There is no session {value!r}.", "edge sessions lists them.")


def _last_register(db: Connection, one: Session) -> int | None:
    row = report.last_values(db, one)
    if row is None:
        return one.meter_start_wh
    measured = observe.observe("MeterValues", tolerances.understood("1.6", "MeterValues", exchange.payload(row)))
    return getattr(measured, "register_wh", None)


def _message(row: Exchange, answers: list[Exchange], one: Session, *, is_dropped: bool, is_sending: bool) -> Payload:
    """`answers`: of the CSMS to the CALLs in which it travelled."""
    is_dropped = is_dropped or (one.dropped_seq is not None and row.seq >= one.dropped_seq)
    last = answers[-1] if answers else None
    state = "acked"
    if row.seq > one.acked_seq:
        state = "sending" if is_sending else "waiting"
        if one.parked_seq is not None and row.seq >= one.parked_seq:
            state = "parked"
    if is_dropped:
        state = "parked"
    return {
        "seq": row.seq,
        "action": row.action,
        "observed_at": time_ms(row.at_wall_ms),
        "stored_at": time_ms(row.at_wall_ms),
        "sent_at": None if last is None else time_ms(report.sent_ms(last)),
        "acked_at": None if last is None or state != "acked" else time_ms(last.at_wall_ms),
        "attempts": len(answers),
        "state": state,
        "result": "dropped by operator" if is_dropped else None if last is None else _result(last.text),
    }


def _result(text: str) -> str:
    """One word for what the CSMS answered."""
    try:
        frame = json.loads(text)
    except ValueError:
        return "damaged"
    if frame[0] == 4:
        return str(frame[2])
    info = station.token_info(frame[2])
    return "Accepted" if info is None else info.status

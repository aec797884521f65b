"""The JSON documents of interface.md, made from the store and the running parts. Reads only."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime

from edge.console.errors import CommandError
from edge.console.live import ChargerNow, Live
from edge.console.tracing import Names, entries
from edge.dialects import timestamps
from edge.dialects.v16 import ids as bound_ids
from edge.dialects.v16 import observe, station
from edge.domain.delivery import Head, Order, Turns
from edge.domain.ids import CsmsTransactionId, UpstreamConnector, session_name
from edge.domain.readings import MeterState, Quality
from edge.jsontypes import JsonValue, Payload
from edge.ocppj.frames import call_text
from edge.store import Connection, connectors, exchange, report
from edge.store.db import Store
from edge.store.delivery import START_OR_STOP
from edge.store.exchange import Exchange, Kind
from edge.store.report import Attempted, Queued, Session

WATCH_INTERVAL = 1.0
CHARGER_TRACE_ROWS = 500


class Views:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    # --- status

    async def status(self, _args: Payload) -> Payload:
        live = self._live
        backlog, known, connector_list, open_count = await self._store.read(
            lambda db: (report.backlog(db), connectors.chargers(db), _connectors(db), report.count_open(db))
        )
        uplink = live.uplink()
        now_there = live.chargers()
        oldest = await self._oldest_ms()
        return {
            "v": 1,
            "at": _time(live.now()),
            "version": live.version,
            "started_at": _time(live.started_at),
            "site": {"id": live.site_id, "name": live.site_name},
            "uplink": {
                "state": uplink.state,
                "since": _time(uplink.since),
                "identity": uplink.identity,
                "ocpp": uplink.ocpp,
                "last_error": uplink.last_error,
                "next_attempt_at": _time_or_none(uplink.next_attempt_at),
            },
            "backlog": self._backlog(backlog, oldest),
            "chargers": {
                "known": sum(charger.state == connectors.KNOWN for charger in known),
                "online": sum(charger.is_online and not charger.is_pending for charger in now_there),
                "pending": sum(charger.is_pending for charger in now_there),
            },
            "sessions": {"open": open_count},
            "connectors": connector_list,
            "meters": [
                {
                    "id": meter.id,
                    "quality": meter.quality,
                    "age_s": _rounded(meter.age_s),
                    "power_w": None if meter.reading is None else meter.reading.power_total_w,
                    "current_a": [None] * 3 if meter.reading is None else list(meter.reading.current_a),
                }
                for meter in live.meters()
            ],
            "limits": {"enforced": False},
            "alarms": [
                {"code": alarm.code, "subject": alarm.subject, "since": _time(alarm.since), "message": alarm.message}
                for alarm in [*live.alarms(), *await self._parked_alarms()]
            ],
        }

    async def _parked_alarms(self) -> list["_ParkedAlarm"]:
        parked = await self._store.read(report.parked)
        return [_ParkedAlarm(*one) for one in parked]

    def _backlog(self, backlog: report.Backlog, oldest_ms: int | None) -> Payload:
        now_ms = self._live.now().timestamp() * 1000
        return {
            "messages": backlog.messages,
            "parked": backlog.parked,
            "oldest_age_s": None if oldest_ms is None else round(max(0.0, now_ms - oldest_ms) / 1000, 3),
            "drain_s": _rounded(self._live.uplink().drain_s) if backlog.messages else None,
        }

    async def _oldest_ms(self) -> int | None:
        seq = self._live.oldest_waiting()
        return None if seq is None else await self._store.read(lambda db: report.observed_ms(db, seq))

    async def uplink(self, _args: Payload) -> Payload:
        backlog = await self._store.read(report.backlog)
        oldest = await self._oldest_ms()
        now = self._live.uplink()
        return {
            "v": 1,
            "at": _time(self._live.now()),
            "uplink": {
                "state": now.state,
                "since": _time(now.since),
                "identity": now.identity,
                "ocpp": now.ocpp,
                "last_error": now.last_error,
                "next_attempt_at": _time_or_none(now.next_attempt_at),
                "url": now.url,
                "connected_at": _time_or_none(now.connected_at),
                "registration": now.registration,
                "heartbeat_interval_s": now.heartbeat_interval_s,
                "epoch": now.epoch,
                "order": now.order,
            },
            "backlog": self._backlog(backlog, oldest),
            "outstanding": None
            if now.outstanding is None
            else {
                "action": now.outstanding.action,
                "seq": now.outstanding.seq,
                "sent_at": _time(now.outstanding.sent_at),
            },
        }

    # --- chargers and meters

    async def chargers(self, args: Payload) -> Payload:
        wanted = args.get("charger")
        known, numbers = await self._store.read(lambda db: (connectors.chargers(db), _numbers(db)))
        now_there = {charger.id: charger for charger in self._live.chargers()}
        found: list[JsonValue] = [
            _known_charger(charger, now_there.get(charger.id), numbers.get(charger.id, [])) for charger in known
        ]
        found += [_pending_charger(charger) for charger in now_there.values() if charger.is_pending]
        if wanted is not None:
            found = [one for one in found if isinstance(one, Mapping) and one["id"] == wanted]
            if not found:
                raise CommandError("no_such_charger", f"There is no charger {wanted!r}.", "edge chargers lists them.")
        return {"v": 1, "at": _time(self._live.now()), "chargers": found}

    async def meter(self, args: Payload) -> Payload:
        wanted = args.get("meter")
        meters = [meter for meter in self._live.meters() if wanted is None or meter.id == wanted]
        if wanted is not None and not meters:
            raise CommandError("no_such_meter", f"There is no meter {wanted!r}.", "edge meter lists them.")
        return {"v": 1, "at": _time(self._live.now()), "meters": [_meter(meter) for meter in meters]}

    # --- sessions

    async def sessions(self, args: Payload) -> Payload:
        since = timestamps.parse(args.get("since"))
        charger = args.get("charger")
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
        return {"v": 1, "at": _time(self._live.now()), "sessions": found}

    async def session(self, args: Payload) -> Payload:
        number = session_number(args.get("session"))

        def look(db: Connection) -> Payload | None:
            one = report.session(db, number)
            return None if one is None else {**self._session(db, one), **self._details(db, one)}

        found = await self._store.read(look)
        if found is None:
            raise no_such_session(args.get("session"))
        return {"v": 1, "at": _time(self._live.now()), "session": found}

    def _session(self, db: Connection, one: Session) -> Payload:
        waiting = one.rows - one.acked_rows
        parked = one.parked_seq is not None
        energy = None
        if one.meter_start_wh is not None:
            last = one.meter_stop_wh if one.state == "ended" else _last_register(db, one)
            energy = None if last is None else last - one.meter_start_wh
        return {
            "session": session_name(one.tx_no),
            "state": one.state,
            "charger": one.charger,
            "evse": one.evse,
            "connector": one.connector,
            "upstream_connector": one.upstream_connector,
            "ocpp": "1.6",
            "id_token": one.id_token,
            "charger_transaction_id": None if one.charger_tx is None else int(one.charger_tx),
            "csms_transaction_id": None if one.csms_tx is None else int(one.csms_tx),
            "remote_start": one.remote_start,
            "started_at": _time_ms(one.started_wall_ms),
            "ended_at": _time_ms(one.ended_wall_ms),
            "meter_start_wh": one.meter_start_wh,
            "meter_stop_wh": one.meter_stop_wh,
            "energy_wh": energy,
            "end_reason": one.end_reason,
            "end_cause": "charger" if one.state == "ended" else None,
            "idle_s": None,
            "started_offline": one.started_offline,
            "delivery": {
                "state": "parked" if parked else "waiting" if waiting or one.state == "open" else "delivered",
                "waiting": 0 if parked else waiting,
                "acked": one.acked_rows,
                "parked": waiting if parked else 0,
            },
        }

    def _details(self, db: Connection, one: Session) -> Payload:
        rows = report.rows_of(db, one)
        outstanding = self._live.uplink().outstanding
        return {
            "authorization": {
                "decision": None
                if one.decision is None
                else "accepted"
                if one.decision == "Accepted"
                else "refused",
                "source": one.decision_source,
                "at": _time_ms(one.decided_wall_ms),
                "csms_verdict": one.csms_verdict,
                "csms_verdict_at": _time_ms(one.csms_verdict_wall_ms),
            },
            "messages": [
                _message(row, rows, one, None if outstanding is None else outstanding.seq) for row in rows if row.relay
            ],
            "intervals": [],
            "notes": [
                {"at": _time_ms(row.at_wall_ms), "rule": note["rule"], "message": note["message"],
                 "evidence": [str(row.seq)]}
                for row in rows
                for note in report.notes_of(row)
            ],
        }  # fmt: skip

    # --- queue

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
            "at": _time(self._live.now()),
            "messages": backlog.messages,
            "parked": backlog.parked,
            "truncated": len(ordered) > len(shown),
            "entries": [self._entry(one, fared[one.seq], blocked_by) for one, blocked_by in shown],
        }

    def _turns(self) -> Turns:
        return Turns(Order(self._live.uplink().order))

    def _entry(self, one: Queued, fared: Attempted, blocked_by: int | None) -> Payload:
        outstanding = self._live.uplink().outstanding
        is_sending = outstanding is not None and outstanding.seq == one.seq
        ready_at = None if one.is_parked or blocked_by is not None else self._live.ready_at(one.lane or 0)
        return {
            "seq": one.seq,
            "state": "parked" if one.is_parked else "sending" if is_sending else "waiting",
            "session": session_name(one.tx_no) if one.kind == "transaction" else None,
            "charger": one.charger,
            "upstream_connector": one.lane,
            "ocpp": fared.version or "1.6",
            "action": one.action,
            "observed_at": _time_ms(fared.at_wall_ms),
            "attempts": fared.attempts,
            "next_attempt_at": _time_or_none(ready_at),
            "blocked_by": blocked_by,
            "error": None
            if fared.error is None
            else {"code": fared.error[0], "description": fared.error[1] or "", "at": _time_ms(fared.error[2])},
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
                    "at": _time(self._live.now()),
                    **entry,
                    "received_payload": received,
                    "upstream_payload": upstream,
                }
        raise CommandError(
            "no_such_message", f"Message {seq} is not in the queue.", "It was delivered, or never was: edge queue list."
        )

    # --- trace

    async def trace(self, args: Payload) -> Payload:
        subject, rows, names = await self._traced(args)
        raw = args.get("raw") is True
        return {"v": 1, "subject": subject, "entries": [one for row in rows for one in entries(row, names, raw=raw)]}

    async def _traced(self, args: Payload) -> tuple[Payload, list[Exchange], Names]:
        subject, raw = args.get("subject"), args.get("raw") is True
        name = subject if isinstance(subject, str) else ""

        def look(db: Connection) -> tuple[Payload, list[Exchange], Names] | None:
            found = _subject(db, name)
            if found is None:
                return None
            about, rows = found
            sent = {row.seq: _sent(db, row) for row in rows if row.kind is Kind.CSMS_ANSWER} if raw else {}
            numbers = report.connector_numbers(db)
            return about, rows, Names(report.charger_names(db), numbers, report.upstream_of(db), sent)

        found = await self._store.read(look)
        if found is None:
            raise CommandError(
                "no_such_subject",
                f"There is no session and no charger {name!r}.",
                "edge sessions and edge chargers list them.",
            )
        return found

    # --- streams

    async def watch_status(self, args: Payload) -> AsyncGenerator[Payload, None]:
        while True:
            yield await self.status(args)
            await asyncio.sleep(WATCH_INTERVAL)

    async def watch_meter(self, args: Payload) -> AsyncGenerator[Payload, None]:
        while True:
            yield await self.meter(args)
            await asyncio.sleep(WATCH_INTERVAL)

    async def follow_trace(self, args: Payload) -> AsyncGenerator[Payload, None]:
        seen = 0
        raw = args.get("raw") is True
        while True:
            _, rows, names = await self._traced(args)
            for row in rows:
                if row.seq > seen:
                    seen = row.seq
                    for entry in entries(row, names, raw=raw):
                        yield entry
            await asyncio.sleep(WATCH_INTERVAL)


class _ParkedAlarm:
    def __init__(self, seq: int, code: str, description: str, at_wall_ms: int) -> None:
        self.code = "message_parked"
        self.subject = str(seq)
        self.since = datetime.fromtimestamp(at_wall_ms / 1000, UTC)
        self.message = f"message {seq} is parked: {code} {description}".strip()


def session_number(value: JsonValue) -> int:
    """The number of `S42`; raises CommandError."""
    if isinstance(value, str) and value[:1] in {"S", "s"} and value[1:].isdigit() and len(value) < 19:
        return int(value[1:])
    raise no_such_session(value)


def no_such_session(value: JsonValue) -> CommandError:
    return CommandError("no_such_session", f"There is no session {value!r}.", "edge sessions lists them.")


def _time(instant: datetime) -> str:
    return timestamps.text(instant)


def _time_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else timestamps.text(instant)


def _time_ms(wall_ms: int | None) -> str | None:
    return None if wall_ms is None else timestamps.text(datetime.fromtimestamp(wall_ms / 1000, UTC))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _connectors(db: Connection) -> list[Payload]:
    open_sessions = report.open_sessions(db)
    shown: list[Payload] = []
    for one in connectors.numbered(db):
        status, error = ("Unavailable", "NoError")
        if one.status is not None:
            status, error = station.reported_status(json.loads(one.status))
        session = open_sessions.get(one.no)
        shown.append(
            {
                "upstream_connector": one.upstream,
                "charger": one.charger,
                "evse": one.evse,
                "connector": one.conn,
                "status": status,
                "error_code": error,
                "status_at": _time_ms(one.status_wall_ms),
                "session": None if session is None else session_name(session),
            }
        )
    return shown


def _numbers(db: Connection) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in connectors.numbered(db):
        found.setdefault(one.charger, []).append(one.upstream or 0)
    return found


def _known_charger(charger: connectors.Charger, now: ChargerNow | None, numbers: list[int]) -> Payload:
    state = "retired" if charger.state == connectors.RETIRED else "offline"
    if now is not None and now.is_online and not now.is_pending:
        state = "online"
    return {
        "id": charger.id,
        "state": state,
        "ocpp": charger.version if now is None or now.ocpp is None else now.ocpp,
        "vendor": charger.vendor,
        "model": charger.model,
        "serial": charger.serial,
        "firmware": charger.firmware,
        "address": None if now is None else now.address,
        "last_seen": None if now is None else _time_or_none(now.last_seen),
        "clock_offset_s": None,
        "upstream_connectors": numbers,
        "refused_because": None if now is None else now.refused_because,
        "refused_messages": {} if now is None else dict(now.refused_messages),
        "tolerances": {} if now is None else dict(now.tolerances),
    }


def _pending_charger(now: ChargerNow) -> Payload:
    return {
        "id": now.id,
        "state": "pending",
        "ocpp": now.ocpp,
        "vendor": now.vendor,
        "model": now.model,
        "serial": now.serial,
        "firmware": now.firmware,
        "address": now.address,
        "last_seen": _time_or_none(now.last_seen),
        "clock_offset_s": None,
        "upstream_connectors": [],
        "refused_because": now.refused_because,
        "refused_messages": dict(now.refused_messages),
        "tolerances": dict(now.tolerances),
    }


def _meter(meter: MeterState) -> Payload:
    reading = meter.reading
    nothing: list[JsonValue] = [None, None, None]
    return {
        "id": meter.id,
        "profile": meter.profile,
        "connection": meter.connection,
        "unit": meter.unit,
        "role": meter.role,
        "quality": meter.quality if isinstance(meter.quality, str) else Quality.ABSENT,
        "read_at": None if reading is None else _time(reading.at),
        "age_s": _rounded(meter.age_s),
        "voltage_v": nothing if reading is None else list(reading.voltage_v),
        "current_a": nothing if reading is None else list(reading.current_a),
        "power_w": nothing if reading is None else list(reading.power_w),
        "power_total_w": None if reading is None else reading.power_total_w,
        "frequency_hz": None if reading is None else reading.frequency_hz,
        "energy_import_wh": None if reading is None else reading.energy_import_wh,
        "energy_export_wh": None if reading is None else reading.energy_export_wh,
        "polls": meter.polls,
        "failures": meter.failures,
        "last_error": meter.last_error,
    }


def _last_register(db: Connection, one: Session) -> int | None:
    text = report.last_energy_text(db, one)
    if text is None:
        return one.meter_start_wh
    measured = observe.observe("MeterValues", json.loads(text)[3])
    return getattr(measured, "register_wh", None)


def _message(row: Exchange, rows: list[Exchange], one: Session, outstanding: int | None) -> Payload:
    answers = [each for each in rows if each.kind is Kind.CSMS_ANSWER and each.cause_seq == row.seq]
    last = answers[-1] if answers else None
    state = "acked"
    if row.seq > one.acked_seq:
        state = "sending" if row.seq == outstanding else "waiting"
        if one.parked_seq is not None and row.seq >= one.parked_seq:
            state = "parked"
    return {
        "seq": row.seq,
        "action": row.action,
        "observed_at": _time_ms(row.at_wall_ms),
        "stored_at": _time_ms(row.at_wall_ms),
        "sent_at": None if last is None else _time_ms(report.sent_ms(last)),
        "acked_at": None if last is None or state != "acked" else _time_ms(last.at_wall_ms),
        "attempts": len(answers),
        "state": state,
        "result": None if last is None else _result(last.text),
    }


def _result(text: str) -> str:
    """One word for what the CSMS answered."""
    frame = json.loads(text)
    if frame[0] == 4:
        return str(frame[2])
    info = station.token_info(frame[2])
    return "Accepted" if info is None else info.status


def _subject(db: Connection, name: str) -> tuple[Payload, list[Exchange]] | None:
    """Whom a trace is about, and the rows."""
    if name[:1] in {"S", "s"} and name[1:].isdigit() and len(name) < 19:
        one = report.session(db, int(name[1:]))
        if one is not None:
            return {"session": session_name(one.tx_no), "charger": one.charger}, report.rows_of(db, one)
    if name in report.charger_names(db).values():
        return {"session": None, "charger": name}, report.rows_of_charger(db, name, CHARGER_TRACE_ROWS)
    return None


def _sent(db: Connection, answer: Exchange) -> str:
    """The CALL that this answer was for: rendered again, which gives the same (architecture, flow (i) 9)."""
    payload = report.sent_payload(answer)
    if payload is None and answer.cause_seq is not None:
        payload = _payloads(db, answer.cause_seq)[1]
    return call_text(answer.message_id or "", answer.action or "", payload or {})


def _payloads(db: Connection, seq: int) -> tuple[Payload | None, Payload | None]:
    """As the charger sent it, and as the CSMS gets it (None while its transaction's id is not known)."""
    row = exchange.load(db, seq)
    if row is None or row.tx_no is None:
        return None, None
    received = json.loads(row.text)[3]
    bound = report.bound(db, seq)
    if bound is not None:
        return received, json.loads(bound)
    kind, csms_tx, lane = report.tx_stream(db, row.tx_no)
    if kind == "transaction" and row.action != "StartTransaction" and csms_tx is None:
        return received, None
    upstream = None if csms_tx is None else CsmsTransactionId(csms_tx)
    return received, bound_ids.bind(received, UpstreamConnector(lane), upstream)


def _in_sending_order(waiting: list[Queued], turns: Turns) -> list[tuple[Queued, int | None]]:
    """Each message with the one that it waits for, as the sender will take them; the parked ones last."""
    lanes: dict[int, list[Queued]] = {}
    parked: list[Queued] = []
    for one in sorted(waiting, key=lambda each: each.seq):
        if one.is_parked:
            parked.append(one)
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
    for one in parked:
        blocker = first_parked.setdefault(one.tx_no, one.seq)
        ordered.append((one, None if blocker == one.seq else blocker))
    return ordered

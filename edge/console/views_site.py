"""`edge status`, `uplink`, `chargers` and `meter`: what is now, from the store and the running parts. Reads only."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from edge.console import views_fleet
from edge.console.errors import CommandError
from edge.console.live import Alarm, ChargerNow, ListenerNow, Live
from edge.console.times import rounded, time, time_ms, time_or_none
from edge.dialects.v16 import station
from edge.domain.events import CHARGING
from edge.domain.ids import ConnectorNo, session_name
from edge.domain.readings import MeterState
from edge.jsontypes import JsonValue, Payload
from edge.store import Connection, connectors, report
from edge.store.capacity import Fullness
from edge.store.db import Store

WATCH_INTERVAL = 1.0
CONTRADICTED_FOR = timedelta(days=7)
CHARGES_UNSEEN_MS = 120_000
"""So long a charger may take for the start of what it says that it charges."""


class SiteViews:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def status(self, _args: Payload) -> Payload:
        live = self._live
        before_ms = round(live.now().timestamp() * 1000) - CHARGES_UNSEEN_MS
        backlog, known, connector_list, open_count, ghosts = await self._store.read(
            lambda db: (
                report.backlog(db),
                connectors.chargers(db),
                _connectors(db, live),
                report.count_open(db),
                [connectors.by_no(db, ConnectorNo(one)) for one in report.without_session(db, before_ms)],
            )
        )
        uplink = live.uplink()
        now_there = live.chargers()
        oldest = await self._oldest_ms()
        return {
            "v": 1,
            "at": time(live.now()),
            "version": live.version,
            "started_at": time(live.started_at),
            "site": {"id": live.site_id, "name": live.site_name},
            "uplink": {
                "state": uplink.state,
                "since": time(uplink.since),
                "identity": uplink.identity,
                "ocpp": uplink.ocpp,
                "last_error": uplink.last_error,
                "next_attempt_at": time_or_none(uplink.next_attempt_at),
            },
            "backlog": self._backlog(backlog, oldest),
            "chargers": {
                "known": sum(charger.state == connectors.KNOWN for charger in known),
                "online": sum(charger.is_online and not charger.is_pending for charger in now_there),
                "pending": sum(charger.is_pending for charger in now_there),
            },
            "sessions": {"open": open_count},
            "store": _store(live.fullness()),
            "connectors": connector_list,
            "meters": [
                {
                    "id": meter.id,
                    "quality": meter.quality,
                    "age_s": rounded(meter.age_s),
                    "power_w": None if meter.reading is None else meter.reading.power_total_w,
                    "current_a": [None] * 3 if meter.reading is None else list(meter.reading.current_a),
                }
                for meter in live.meters()
            ],
            "limits": {"enforced": False},
            "alarms": [
                {"code": alarm.code, "subject": alarm.subject, "since": time(alarm.since), "message": alarm.message}
                for alarm in [
                    *live.alarms(),
                    *views_fleet.alarms(known, live.listed(), live.started_at),
                    *await self._parked_alarms(),
                    *await self._contradicted(),
                    *_ghosts(ghosts, now_there),
                ]
            ],
        }

    async def _parked_alarms(self) -> list[Alarm]:
        return [
            Alarm(
                "message_parked",
                str(seq),
                datetime.fromtimestamp(at_wall_ms / 1000, UTC),
                f"message {seq} is parked: {code} {description}".strip(),
            )
            for seq, code, description, at_wall_ms in await self._store.read(report.parked)
        ]

    async def _contradicted(self) -> list[Alarm]:
        """Sessions that were ended without a stop, and whose own stop says something else: for a week."""
        since_ms = round((self._live.now() - CONTRADICTED_FOR).timestamp() * 1000)
        return [
            Alarm(
                "billing_discrepancy",
                session_name(tx_no),
                datetime.fromtimestamp(at_ms / 1000, UTC),
                f"the stop of {session_name(tx_no)} at {charger} came late, and says another energy or time than ours",
            )
            for tx_no, charger, at_ms in await self._store.read(lambda db: report.contradicted(db, since_ms))
        ]

    def _backlog(self, backlog: report.Backlog, oldest_ms: int | None) -> Payload:
        now_ms = self._live.now().timestamp() * 1000
        return {
            "messages": backlog.messages,
            "parked": backlog.parked,
            "oldest_age_s": None if oldest_ms is None else round(max(0.0, now_ms - oldest_ms) / 1000, 3),
            "drain_s": rounded(self._live.uplink().drain_s) if backlog.messages else None,
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
            "at": time(self._live.now()),
            "uplink": {
                "state": now.state,
                "since": time(now.since),
                "identity": now.identity,
                "ocpp": now.ocpp,
                "last_error": now.last_error,
                "next_attempt_at": time_or_none(now.next_attempt_at),
                "url": now.url,
                "connected_at": time_or_none(now.connected_at),
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
                "sent_at": time(now.outstanding.sent_at),
            },
        }

    async def chargers(self, args: Payload) -> Payload:
        wanted = args.get("charger")
        known, numbers = await self._store.read(lambda db: (connectors.chargers(db), _numbers(db)))
        now_there = {charger.id: charger for charger in self._live.chargers()}
        by_no = {charger.no: charger for charger in known}
        pending = {charger.id for charger in now_there.values() if charger.is_pending}
        found: list[JsonValue] = [
            {
                **_known_charger(charger, now_there.get(charger.id), numbers.get(charger.id, [])),
                **views_fleet.of_known(charger, by_no),
            }
            for charger in known
            if charger.id not in pending
        ]
        found += [
            {**_pending_charger(charger, numbers.get(charger.id, [])), **views_fleet.of_pending(charger, known)}
            for charger in now_there.values()
            if charger.is_pending
        ]
        if wanted is not None:
            found = [one for one in found if isinstance(one, Mapping) and one["id"] == wanted]
            if not found:
                raise CommandError("no_such_charger", f"There is no charger {wanted!r}.", "edge chargers lists them.")
        listeners: list[JsonValue] = [_listener(one) for one in self._live.listeners()]
        return {"v": 1, "at": time(self._live.now()), "chargers": found, "listeners": listeners}

    async def meter(self, args: Payload) -> Payload:
        wanted = args.get("meter")
        meters = [meter for meter in self._live.meters() if wanted is None or meter.id == wanted]
        if wanted is not None and not meters:
            raise CommandError("no_such_meter", f"There is no meter {wanted!r}.", "edge meter lists them.")
        return {"v": 1, "at": time(self._live.now()), "meters": [_meter(meter) for meter in meters]}

    async def watch_status(self, args: Payload) -> AsyncGenerator[Payload, None]:
        while True:
            yield await self.status(args)
            await asyncio.sleep(WATCH_INTERVAL)

    async def watch_meter(self, args: Payload) -> AsyncGenerator[Payload, None]:
        while True:
            yield await self.meter(args)
            await asyncio.sleep(WATCH_INTERVAL)


def _ghosts(without_session: Sequence[connectors.Connector | None], now_there: Sequence[ChargerNow]) -> list[Alarm]:
    """Connectors that charge without a session: nobody will be billed (ocpp-rules.md J.2, 60)."""
    online = {one.id for one in now_there if one.is_online and not one.is_pending}
    return [
        Alarm(
            "charging_without_session",
            f"{one.charger}/{one.conn}",
            datetime.fromtimestamp((one.status_wall_ms or 0) / 1000, UTC),
            f"{one.charger}/{one.conn} says that it is charging, and has told of no start: nobody is billed for it",
        )
        for one in without_session
        if one is not None and one.charger in online
        if one.status is not None and station.stored_status(one.status)[0] == CHARGING
    ]


def _connectors(db: Connection, live: Live) -> list[Payload]:
    open_sessions = report.open_sessions(db)
    shown: list[Payload] = []
    for one in connectors.numbered(db):
        status, error = ("Unavailable", "NoError")
        shown_now = None if one.upstream is None else live.shown_status(one.upstream)
        if shown_now is not None:
            status, error = shown_now
        elif one.status is not None:
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
                "status_at": time_ms(one.status_wall_ms),
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
        "last_seen": time_ms(charger.last_seen_wall_ms)
        if now is None or now.last_seen is None
        else time(now.last_seen),
        "clock_offset_s": None if charger.clock_offset_ms is None else rounded(charger.clock_offset_ms / 1000),
        "clock": charger.clock,
        "upstream_connectors": numbers,
        "refused_because": None if now is None else now.refused_because,
        "refused_messages": {} if now is None else dict(now.refused_messages),
        **_peculiarities(now),
    }


def _peculiarities(now: ChargerNow | None) -> Payload:
    of_make = None if now is None else now.of_make
    return {
        "tolerances": {} if now is None else dict(now.tolerances),
        "findings": {} if now is None else dict(now.findings),
        "model_tolerances": {} if of_make is None else dict(of_make.tolerances),
        "model_findings": {} if of_make is None else dict(of_make.findings),
    }


def _store(fullness: Fullness | None) -> Payload | None:
    if fullness is None:
        return None
    return {
        "level": fullness.level.name.lower(),
        "since": time(fullness.since),
        "bytes": fullness.used_bytes,
        "limit_bytes": fullness.limit_bytes,
        "thinned": fullness.thinned,
        "removed": fullness.removed,
    }


def _pending_charger(now: ChargerNow, numbers: list[int]) -> Payload:
    """Also one that was retired: its numbers wait for it."""
    return {
        "id": now.id,
        "state": "pending",
        "ocpp": now.ocpp,
        "vendor": now.vendor,
        "model": now.model,
        "serial": now.serial,
        "firmware": now.firmware,
        "address": now.address,
        "last_seen": time_or_none(now.last_seen),
        "clock_offset_s": None,
        "clock": None,
        "upstream_connectors": numbers,
        "refused_because": now.refused_because,
        "refused_messages": dict(now.refused_messages),
        **_peculiarities(now),
    }


def _listener(listener: ListenerNow) -> Payload:
    last = listener.last_failure
    return {
        "address": listener.address,
        "path": listener.path,
        "security_profile": listener.security_profile,
        "certificates": [
            {
                "subject": one.subject.common_name,
                "issuer": one.issuer.common_name,
                "hosts": list(one.hosts),
                "key": one.key,
                "not_after": time(one.not_after),
                "fingerprint": one.fingerprint,
            }
            for one in listener.certificates
        ],
        "failed_handshakes": dict(listener.failed_handshakes),
        "last_failure": None if last is None else {"at": time(last.at), "address": last.address, "message": last.words},
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
        "quality": meter.quality,
        "read_at": None if reading is None else time(reading.at),
        "age_s": rounded(meter.age_s),
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

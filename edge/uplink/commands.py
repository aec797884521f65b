"""A CALL of the CSMS → whom it concerns → the charger → one answer, within a budget.

Only this module answers the CSMS, exactly once for each CALL. A command is executed at most once and never again after
a restart; what the charger does later is evidence like any other (architecture, flow (ii)).
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from edge.connection import Refusal, Reply
from edge.dialects.v16 import commands as to_charger
from edge.dialects.v16 import ids as bound_ids
from edge.dialects.v16 import station as dialect
from edge.domain.ids import ChargerId, ChargerNo, IdToken, TransactionNo
from edge.domain.ports import CallTimedOut, ChargerOffline, ChargerPort, PeerRefused, Urgency
from edge.domain.routing import ToConnector, ToStation, ToTransaction, merged_availability
from edge.jsontypes import Payload
from edge.ocppj.frames import Call, error_text, result_text
from edge.store import Connection, boots, connectors, exchange, remote_starts, tokens, transactions
from edge.store.db import Store
from edge.store.exchange import STATION, Kind, Moment, NewExchange
from edge.uplink.configuration import Configuration
from edge.uplink.outcomes import Outcomes
from edge.uplink.sender import Sender
from edge.uplink.station import Station

FOR_ONE = 20.0
"""Seconds for a command to one charger: a CSMS waits 30 s for its answer, some only a little longer than this."""
FOR_MANY = 10.0
FOR_TRIGGER = 5.0
SAME_START = 60.0
"""Seconds after a start in which the same remote start again is taken for its repetition."""
_FAILURES = (ChargerOffline, CallTimedOut, PeerRefused)

TIMED_OUT = "TimedOut"
"""The charger did not answer: it may still do what it was asked for."""

ACCEPTED = dialect.status("Accepted")
REJECTED = dialect.status("Rejected")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, what is to follow once it has been sent, and which charger it was about."""

    reply: Reply
    then: Callable[[], None] | None = None
    charger_no: ChargerNo | None = None


class Commands:
    """What the CSMS may ask of the station."""

    def __init__(
        self,
        store: Store,
        chargers: ChargerPort,
        station: Station,
        sender: Sender,
        outcomes: Outcomes,
        configuration: Configuration,
        moment: Callable[[], Moment],
        outside: "Outside",
    ) -> None:
        self._store = store
        self._chargers = chargers
        self._station = station
        self._sender = sender
        self._outcomes = outcomes
        self._configuration = configuration
        self._moment = moment
        self._outside = outside
        self._log = structlog.get_logger("edge.uplink")

    async def execute(self, call: Call, *, is_accepted: bool) -> Outcome:
        """The one answer to a CALL whose schema has been checked."""
        asked = self._moment()
        if not is_accepted and call.action in {"RemoteStartTransaction", "RemoteStopTransaction"}:
            outcome = Outcome(REJECTED)  # 1.6 §4.2.1: none of it before the registration is accepted
        else:
            outcome = await self._execute(call)
        self._store.defer(lambda db: self._journal(db, call, outcome, asked))
        return outcome

    async def _execute(self, call: Call) -> Outcome:
        match call.action:
            case "RemoteStartTransaction":
                return await self._remote_start(call)
            case "RemoteStopTransaction":
                return await self._remote_stop(call.payload)
            case "UnlockConnector":
                return await self._unlock(call.payload)
            case "ChangeAvailability":
                return await self._availability(call.payload)
            case "TriggerMessage":
                return await self._trigger(call.payload)
            case "Reset":
                return Outcome(ACCEPTED, then=self._outside.restart)
            case "GetConfiguration":
                known, unknown = self._configuration.read(dialect.asked_keys(call.payload))
                return Outcome(dialect.configuration(known, unknown))
            case "ChangeConfiguration":
                return await self._configure(call.payload)
            case "ClearCache":
                await self._store.write(tokens.clear_cache)
                return Outcome(ACCEPTED, then=self._outside.clear_charger_caches)
            case action:
                return Outcome(Refusal("NotSupported", f"{action} is not supported by this station"))

    def _journal(self, db: Connection, call: Call, outcome: Outcome, asked: Moment) -> None:
        reply = outcome.reply
        answer = (
            error_text(call.message_id, reply.code, reply.description)
            if isinstance(reply, Refusal)
            else result_text(call.message_id, reply)
        )
        peer = STATION if outcome.charger_no is None else outcome.charger_no
        row = NewExchange(
            asked, peer, Kind.CSMS_CALL, call.text, action=call.action, message_id=call.message_id, answer=answer
        )
        exchange.append(db, row)

    # --- to one charger

    async def _remote_start(self, call: Call) -> Outcome:
        token = dialect.token_of(call.payload)
        found = await self._store.write(lambda db: self._place(db, call.payload))
        if found is None or not self._chargers.is_online(found.charger):
            return Outcome(REJECTED, charger_no=None if found is None else found.charger_no)
        payload = to_charger.remote_start_at(found.conn, call.payload)
        status = await self.start_at(found, token, payload, remote_starts.CSMS, call.message_id)
        return Outcome(_yes_or_no(status), charger_no=found.charger_no)

    async def start_at(
        self, place: connectors.Connector, token: IdToken, payload: Payload, origin: str, request: str
    ) -> str:
        """Ask a charger to start; Accepted, Rejected or TIMED_OUT. The start that follows is known as this one's."""
        running = await self._store.write(lambda db: transactions.open_on(db, place.no))
        if running is not None and running.id_token == token and self._is_recent(running.started_at):
            return "Accepted"  # the same command again, or its answer was lost: it charges already (R5)
        expires = self._moment().wall_ms + round(1000 * self._configuration.seconds("ConnectionTimeOut"))
        await self._store.write(
            lambda db: remote_starts.expect(db, request, place.charger_no, place.conn, token, origin, expires)
        )
        try:
            answer = await self._chargers.call(place.charger, "RemoteStartTransaction", payload, within=FOR_ONE)
            status = to_charger.status_of(answer, "Accepted")
        except CallTimedOut as error:
            # It may still start: then the start is relayed like any other, and known as this one's.
            self._log.warning("remote_start_unanswered", charger=place.charger, why=str(error))
            return TIMED_OUT
        except (ChargerOffline, PeerRefused) as error:
            self._log.warning("remote_start_failed", charger=place.charger, why=str(error))
            status = "Rejected"
        if status != "Accepted":
            await self._store.write(lambda db: remote_starts.cancel(db, request))
        return status

    def _is_recent(self, started_at: datetime | None) -> bool:
        return started_at is not None and abs((self._moment().wall - started_at).total_seconds()) < SAME_START

    def _place(self, db: Connection, payload: Payload) -> connectors.Connector | None:
        """The connector that is meant; when none is named, the only one where a car waits (B.2)."""
        if dialect.names_connector(payload):
            match dialect.address(payload):
                case ToConnector(number):
                    return connectors.by_upstream(db, number)
                case _:
                    return None  # connector 0 cannot charge
        preparing = [
            one
            for one in connectors.numbered(db)
            if self._chargers.is_online(one.charger)
            and one.status is not None
            and dialect.reported_status(json.loads(one.status))[0] == "Preparing"
        ]
        return preparing[0] if len(preparing) == 1 else None

    async def _remote_stop(self, payload: Payload) -> Outcome:
        match dialect.address(payload):
            case ToTransaction(csms_tx):
                found = await self._store.write(lambda db: transactions.by_csms_tx(db, self._outcomes.epoch, csms_tx))
            case _:
                found = []
        open_ones = [(tx, charger_no) for tx, charger_no in found if tx.is_open]
        if len(open_ones) != 1:  # unknown, ended, or an id that the CSMS has given twice
            return Outcome(REJECTED)
        tx, charger_no = open_ones[0]
        status = await self.stop(tx.no)
        return Outcome(_yes_or_no(status), charger_no=charger_no)

    async def stop(self, tx_no: TransactionNo) -> str:
        """Ask its charger to end a transaction; Accepted, Rejected or TIMED_OUT."""
        target = await self._store.write(lambda db: transactions.stoppable(db, tx_no))
        if target is None:
            return "Rejected"
        payload = to_charger.remote_stop(target.charger_tx)
        try:
            answer = await self._chargers.call(
                ChargerId(target.charger),
                "RemoteStopTransaction",
                payload,
                within=FOR_ONE,
                urgency=Urgency.REMOTE_STOP,
                transaction=tx_no,
            )
        except _FAILURES as error:
            self._log.warning("remote_stop_failed", charger=target.charger, transaction=tx_no, why=str(error))
            return TIMED_OUT if isinstance(error, CallTimedOut) else "Rejected"
        return to_charger.status_of(answer, "Accepted")

    async def stop_refused(self, tx_no: TransactionNo) -> None:
        """The CSMS refused the token of a transaction that we had let begin (F.6)."""
        if await self._store.write(lambda db: transactions.was_accepted(db, tx_no)):
            status = await self.stop(tx_no)
            self._log.warning("refused_token_stopped", transaction=tx_no, status=status)

    async def _connector(self, payload: Payload) -> connectors.Connector | None:
        match dialect.address(payload):
            case ToConnector(number):
                return await self._store.write(lambda db: connectors.by_upstream(db, number))
            case _:
                return None

    async def _unlock(self, payload: Payload) -> Outcome:
        found = await self._connector(payload)
        if found is None:
            return Outcome(dialect.status("NotSupported"))
        request = bound_ids.to_charger(payload, found.conn, None)
        try:
            answer = await self._chargers.call(found.charger, "UnlockConnector", request, within=FOR_ONE)
            status = to_charger.status_of(answer)
        except _FAILURES as error:
            self._log.warning("unlock_failed", charger=found.charger, why=str(error))
            status = "UnlockFailed"
        if status not in {"Unlocked", "UnlockFailed", "NotSupported"}:
            status = "UnlockFailed"
        return Outcome(dialect.status(status), charger_no=found.charger_no)

    async def _availability(self, payload: Payload) -> Outcome:
        wish = dialect.member(payload, "type")
        match dialect.address(payload):
            case ToConnector(number):
                found = await self._store.write(lambda db: connectors.by_upstream(db, number))
                if found is None:
                    return Outcome(REJECTED)
                status = await self._make_available(found.charger, found.conn, [found], wish, FOR_ONE)
                return Outcome(dialect.status(status), charger_no=found.charger_no)
            case ToStation():
                return Outcome(dialect.status(await self._make_all_available(wish)))
            case _:
                return Outcome(REJECTED)

    async def _make_all_available(self, wish: str) -> str:
        """All chargers at once (connector 0); one answer out of many (B.2)."""
        by_charger: dict[ChargerId, list[connectors.Connector]] = {}
        for one in await self._store.write(connectors.numbered):
            by_charger.setdefault(one.charger, []).append(one)
        async with asyncio.TaskGroup() as tasks:
            answers = [
                tasks.create_task(self._make_available(charger, 0, theirs, wish, FOR_MANY))
                for charger, theirs in by_charger.items()
            ]
        return merged_availability([answer.result() for answer in answers])

    async def _make_available(
        self, charger: ChargerId, conn: int, concerned: list[connectors.Connector], wish: str, within: float
    ) -> str:
        """The charger's AvailabilityStatus; for one that is away the wish is kept (it is applied when it is back)."""
        for one in concerned:  # this is the newest will: an older wish must not be applied after it
            await self._store.write(partial(connectors.set_wish, connector_no=one.no, wish=None))
        if self._chargers.is_online(charger):
            request = to_charger.change_availability(conn, wish)
            try:
                answer = await self._chargers.call(charger, "ChangeAvailability", request, within=within)
                status = to_charger.status_of(answer, "Accepted", "Scheduled")
            except PeerRefused:
                return "Rejected"
            except (ChargerOffline, CallTimedOut) as error:
                self._log.warning("availability_unanswered", charger=charger, why=str(error))
            else:
                return status
        for one in concerned:
            await self._store.write(partial(connectors.set_wish, connector_no=one.no, wish=wish))
        self._station.changed()
        return "Accepted"

    # --- of the station itself

    async def _trigger(self, payload: Payload) -> Outcome:
        target = dialect.address(payload)
        match dialect.requested_message(payload):
            case "Heartbeat":
                return Outcome(ACCEPTED, then=self._sender.beat_now)
            case "StatusNotification":
                number = target.connector if isinstance(target, ToConnector) else None
                if number is None and dialect.names_connector(payload):
                    number = 0
                if number is not None and not 0 <= number <= self._station.connector_count:
                    return Outcome(REJECTED)
                return Outcome(ACCEPTED, then=partial(self._station.tell_again, number))
            case "MeterValues":
                return await self._trigger_values(payload)
            case "BootNotification":
                return Outcome(REJECTED)  # errata 3.35: not once the registration is accepted
            case _:
                return Outcome(dialect.status("NotImplemented"))

    async def _trigger_values(self, payload: Payload) -> Outcome:
        """Of a connector: its charger is asked, and what it says is relayed. Else: the site meter."""
        found = await self._connector(payload)
        if found is None:
            if isinstance(dialect.address(payload), ToConnector):
                return Outcome(REJECTED)
            return Outcome(ACCEPTED if self._outside.has_site_reading() else REJECTED, then=self._outside.report_site)
        request = bound_ids.to_charger(payload, found.conn, None)
        try:
            answer = await self._chargers.call(found.charger, "TriggerMessage", request, within=FOR_TRIGGER)
        except _FAILURES as error:
            self._log.info("trigger_failed", charger=found.charger, why=str(error))
            return Outcome(REJECTED, charger_no=found.charger_no)
        return Outcome(
            dialect.status(to_charger.status_of(answer, "Accepted", "NotImplemented")), charger_no=found.charger_no
        )

    async def _configure(self, payload: Payload) -> Outcome:
        key, value = dialect.member(payload, "key"), dialect.member(payload, "value")
        status, name = self._configuration.judge(key, value)
        if name is not None:
            await self._store.write(lambda db: boots.set_station_setting(db, name, value))
            self._configuration.put(name, value)
            self._sender.wake()
        return Outcome(dialect.status(status))


def _yes_or_no(status: str) -> Payload:
    """For a CSMS a charger that stays silent has not accepted."""
    return ACCEPTED if status == "Accepted" else REJECTED


@dataclass(frozen=True, slots=True)
class Outside:
    """What a command may set off beyond the uplink."""

    restart: Callable[[], None]
    clear_charger_caches: Callable[[], None]
    has_site_reading: Callable[[], bool]
    report_site: Callable[[], None]

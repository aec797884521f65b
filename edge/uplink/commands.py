"""A CALL of the CSMS → whom it concerns → the charger → one answer, within a budget.

Only this module answers the CSMS, exactly once for each CALL. A command is executed at most once and never again after
a restart; what the charger does later is evidence like any other (architecture, flow (ii)).
"""

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
from edge.domain.routing import ToConnector, ToStation, ToTransaction
from edge.domain.station_jobs import StationJobs
from edge.jsontypes import Payload
from edge.ocppj.frames import Call, error_text, result_text
from edge.store import Connection, boots, connectors, exchange, remote_starts, tokens, transactions
from edge.store.db import CommitFailed, Store
from edge.store.exchange import STATION, Kind, Moment, NewExchange
from edge.uplink import job_requests
from edge.uplink.availability import TIMED_OUT, Availability, kept_is_accepted
from edge.uplink.configuration import Configuration
from edge.uplink.job_reports import Subject
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

ACCEPTED = dialect.status("Accepted")
REJECTED = dialect.status("Rejected")


@dataclass(slots=True)
class _Asked:
    """A CALL of the CSMS while it is carried out."""

    call: Call
    at: Moment
    seq: int | None = None
    """Its row, once it is stored: at the end, or before a charger is asked because of it."""

    @property
    def payload(self) -> Payload:
        return self.call.payload

    def row(self, peer: int, answer: str | None) -> NewExchange:
        call = self.call
        return NewExchange(
            self.at, peer, Kind.CSMS_CALL, call.text, action=call.action, message_id=call.message_id, answer=answer
        )


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
        availability: Availability,
        station: Station,
        sender: Sender,
        outcomes: Outcomes,
        configuration: Configuration,
        moment: Callable[[], Moment],
        outside: "Outside",
    ) -> None:
        self._store = store
        self._chargers = chargers
        self._availability = availability
        self._station = station
        self._sender = sender
        self._outcomes = outcomes
        self._configuration = configuration
        self._moment = moment
        self._outside = outside
        self._log = structlog.get_logger("edge.uplink")

    async def execute(self, call: Call, *, is_accepted: bool) -> Outcome:
        """The one answer to a CALL whose schema has been checked."""
        asked = _Asked(call, self._moment())
        if not is_accepted and call.action in {"RemoteStartTransaction", "RemoteStopTransaction"}:
            outcome = Outcome(REJECTED)  # 1.6 §4.2.1: none of it before the registration is accepted
        else:
            try:
                outcome = await self._execute(asked)
            except CommitFailed as error:
                self._log.error("command_not_stored", action=call.action, why=str(error))
                outcome = Outcome(Refusal("InternalError", "the disk takes nothing now: try again later"))
        self._store.defer(lambda db: self._journal(db, asked, outcome))
        return outcome

    async def _execute(self, asked: _Asked) -> Outcome:
        call = asked.call
        match call.action:
            case "RemoteStartTransaction":
                return await self._remote_start(asked)
            case "RemoteStopTransaction":
                return await self._remote_stop(asked)
            case "UnlockConnector":
                return await self._unlock(asked)
            case "ChangeAvailability":
                return await self._change_availability(asked)
            case "TriggerMessage":
                return await self._trigger(asked)
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
            case "ExtendedTriggerMessage":
                return self._trigger_job(dialect.requested_message(call.payload), is_extended=True)
            case _:
                return Outcome(await job_requests.answer(call, self._outside.jobs))

    async def _cause(self, asked: _Asked, peer: int) -> int | None:
        """Store the CALL before a charger is asked because of it, so that what comes of it can name its row."""
        try:
            asked.seq = await self._store.write(lambda db: exchange.append(db, asked.row(peer, None)))
        except CommitFailed as error:
            self._log.error("command_not_journalled", action=asked.call.action, why=str(error))
        return asked.seq

    def _journal(self, db: Connection, asked: _Asked, outcome: Outcome) -> None:
        reply, message_id = outcome.reply, asked.call.message_id
        answer = (
            error_text(message_id, reply.code, reply.description)
            if isinstance(reply, Refusal)
            else result_text(message_id, reply)
        )
        peer = STATION if outcome.charger_no is None else outcome.charger_no
        if asked.seq is None:
            exchange.append(db, asked.row(peer, answer))
            return
        exchange.append(db, exchange.late_answer(self._moment(), peer, asked.seq, asked.row(peer, answer)))

    # --- to one charger

    async def _remote_start(self, asked: _Asked) -> Outcome:
        call, token = asked.call, dialect.token_of(asked.payload)
        found = await self._store.write(lambda db: self._place(db, call.payload))
        if found is None or not self._chargers.is_online(found.charger):
            return Outcome(REJECTED, charger_no=None if found is None else found.charger_no)
        payload = to_charger.remote_start_at(found.conn, call.payload)
        cause = await self._cause(asked, found.charger_no)
        status = await self.start_at(found, token, payload, remote_starts.CSMS, call.message_id, cause)
        return Outcome(_yes_or_no(status), charger_no=found.charger_no)

    async def start_at(
        self,
        place: connectors.Connector,
        token: IdToken,
        payload: Payload,
        origin: str,
        request: str,
        cause: int | None,
    ) -> str:
        """Ask a charger to start; Accepted, Rejected or TIMED_OUT. The start that follows is known as this one's."""
        running = await self._store.write(lambda db: transactions.open_on(db, place.no))
        if running is not None and running.id_token == token and self._is_recent(running.started_at):
            return "Accepted"  # the same command again, or its answer was lost: it charges already
        expires = self._moment().wall_ms + round(1000 * self._configuration.seconds("ConnectionTimeOut"))
        await self._store.write(
            lambda db: remote_starts.expect(db, request, place.charger_no, place.conn, token, origin, expires)
        )
        try:
            answer = await self._chargers.call(
                place.charger, "RemoteStartTransaction", payload, within=FOR_ONE, cause=cause
            )
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

    async def _remote_stop(self, asked: _Asked) -> Outcome:
        match dialect.address(asked.payload):
            case ToTransaction(csms_tx):
                found = await self._store.write(lambda db: transactions.by_csms_tx(db, self._outcomes.epoch, csms_tx))
            case _:
                found = []
        open_ones = [(tx, charger_no) for tx, charger_no in found if tx.is_open]
        if len(open_ones) != 1:  # unknown, ended, or an id that the CSMS has given twice
            return Outcome(REJECTED)
        tx, charger_no = open_ones[0]
        status = await self.stop(tx.no, await self._cause(asked, charger_no))
        return Outcome(_yes_or_no(status), charger_no=charger_no)

    async def stop(self, tx_no: TransactionNo, cause: int | None = None) -> str:
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
                cause=cause,
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

    async def _unlock(self, asked: _Asked) -> Outcome:
        found = await self._connector(asked.payload)
        if found is None:
            return Outcome(dialect.status("NotSupported"))
        request = bound_ids.to_charger(asked.payload, found.conn, None)
        cause = await self._cause(asked, found.charger_no)
        try:
            answer = await self._chargers.call(found.charger, "UnlockConnector", request, within=FOR_ONE, cause=cause)
            status = to_charger.status_of(answer)
        except _FAILURES as error:
            self._log.warning("unlock_failed", charger=found.charger, why=str(error))
            status = "UnlockFailed"
        if status not in {"Unlocked", "UnlockFailed", "NotSupported"}:
            status = "UnlockFailed"
        return Outcome(dialect.status(status), charger_no=found.charger_no)

    async def _change_availability(self, asked: _Asked) -> Outcome:
        wish = dialect.member(asked.payload, "type")
        match dialect.address(asked.payload):
            case ToConnector(number):
                found = await self._store.write(lambda db: connectors.by_upstream(db, number))
                if found is None:
                    return Outcome(REJECTED)
                cause = await self._cause(asked, found.charger_no)
                become = await self._availability.change(found.charger, found.conn, [found], wish, FOR_ONE, cause)
                return Outcome(dialect.status(kept_is_accepted(become)), charger_no=found.charger_no)
            case ToStation():
                cause = await self._cause(asked, STATION)
                return Outcome(dialect.status(await self._availability.change_all(wish, FOR_MANY, cause)))
            case _:
                return Outcome(REJECTED)

    # --- of the station itself

    async def _trigger(self, asked: _Asked) -> Outcome:
        payload = asked.payload
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
                return await self._trigger_values(asked)
            case "BootNotification":
                return Outcome(REJECTED)  # errata 3.35: not once the registration is accepted
            case message:
                return self._trigger_job(message, is_extended=False)

    def _trigger_job(self, message: str, *, is_extended: bool) -> Outcome:
        subject = job_requests.subject_of(message, is_extended=is_extended)
        if subject is None:
            return Outcome(dialect.status("NotImplemented"))
        return Outcome(ACCEPTED, then=partial(self._outside.tell_of, subject, is_extended))

    async def _trigger_values(self, asked: _Asked) -> Outcome:
        """Of a connector: its charger is asked, and what it says is relayed. Else: the site meter."""
        found = await self._connector(asked.payload)
        if found is None:
            if isinstance(dialect.address(asked.payload), ToConnector):
                return Outcome(REJECTED)
            return Outcome(ACCEPTED if self._outside.has_site_reading() else REJECTED, then=self._outside.report_site)
        request = bound_ids.to_charger(asked.payload, found.conn, None)
        cause = await self._cause(asked, found.charger_no)
        try:
            answer = await self._chargers.call(
                found.charger, "TriggerMessage", request, within=FOR_TRIGGER, cause=cause
            )
        except _FAILURES as error:
            self._log.info("trigger_failed", charger=found.charger, why=str(error))
            return Outcome(REJECTED, charger_no=found.charger_no)
        return Outcome(
            dialect.status(to_charger.status_of(answer, "Accepted", "NotImplemented")), charger_no=found.charger_no
        )

    async def _configure(self, payload: Payload) -> Outcome:
        key, value = dialect.member(payload, "key"), dialect.member(payload, "value")
        return Outcome(dialect.status(await self.set_key(key, value)))

    async def set_key(self, key: str, value: str) -> str:
        """Change a key of the station; its ConfigurationStatus. What is accepted is kept and wins over the file."""
        status, name = self._configuration.judge(key, value)
        if name is not None:
            await self._store.write(lambda db: boots.set_station_setting(db, name, value))
            self._configuration.put(name, value)
            self._sender.wake()
        return status


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
    jobs: StationJobs
    tell_of: Callable[[Subject, bool], None]
    """How far one of those is; by the security extension or not."""

"""A charger's CALL → events, state, exchange and answer in one unit of work; the answer leaves after the commit.

`link.py` hands over each CALL of one charger in turn; `records.py` holds the units; what is to go on to the CSMS is
told to the sender (`edge/uplink/sender.py`) through `on_stored`, after the commit.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import structlog

from edge.chargers import records, refusals, starts, stops
from edge.chargers.refusals import RefusedText
from edge.chargers.said import Recorded, Said
from edge.chargers.starts import Policy, StartRecorded
from edge.chargers.tally import FleetTally, Tally
from edge.chargers.timing import ClockWatch
from edge.config import Authorization, ChargerDefaults, ChargerSettings, Config
from edge.connection import Refusal, Reply, is_worth_a_line
from edge.dialects import tolerances
from edge.dialects.models import NOTHING_KNOWN, Models
from edge.dialects.tolerances import Reading
from edge.dialects.v16 import findings, observe, replies, station
from edge.domain import authorization, plausibility
from edge.domain.authorization import Decision, OfflinePolicy, UplinkState, Verdict
from edge.domain.connectors import MOST as MOST_CONNECTORS
from edge.domain.events import (
    ChargerBooted,
    ConnectorStatusChanged,
    DiagnosticsProgressed,
    DomainEvent,
    EnergyMeasured,
    FirmwareProgressed,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edge.domain.ids import ChargerId, ChargerNo, ConnectorNo, Make
from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.ports import CallTimedOut, CsmsPort, PeerRefused, UplinkDown
from edge.jsontypes import Payload
from edge.ocppj import actions
from edge.ocppj.frames import Call, error_text
from edge.ocppj.peer import CallReceived
from edge.ocppj.schemas import Violation, check_response
from edge.store import Connection, exchange, tokens
from edge.store.db import CommitFailed, Store
from edge.store.delivery import Stored
from edge.store.exchange import Moment
from edge.store.shares import BeyondRoom

PENDING_INTERVAL = 30
"""Seconds after which a charger that is not adopted yet asks again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What intake needs of the rest of the daemon, the same for all chargers."""

    store: Store
    csms: CsmsPort
    moment: Callable[[], Moment]
    transaction_id_base: int
    config: Callable[[], Config]
    """The one in force: looked at with each message."""
    stops_on_invalid_id: Callable[[], bool]
    """Whether a token that the CSMS refuses later ends its transaction (1.6 §9.1.26)."""
    on_stored: Callable[[Stored], None]
    on_connectors: Callable[[tuple[ConnectorNo, ...]], None]
    """Connectors that got their upstream number."""
    on_status: Callable[[ChargerNo], None]
    """A status of this charger has changed."""
    on_job: Callable[[], None] = lambda: None
    """A charger said how far it is with something that takes long, or has booted."""
    models: Models = NOTHING_KNOWN
    fleet: FleetTally = field(default_factory=FleetTally)
    is_control_only: bool = False
    """Nothing outlives this process: no transaction message may be answered."""

    @property
    def defaults(self) -> ChargerDefaults:
        return self.config().chargers

    @property
    def authorization(self) -> Authorization:
        return self.config().authorization

    def settings(self, charger: ChargerId) -> ChargerSettings | None:
        """What the file says of this charger."""
        return next((one for one in self.config().charger if one.id == charger), None)

    def tolerated(self, charger: ChargerId) -> frozenset[str]:
        """Tolerances that the file names for this charger."""
        settings = self.settings(charger)
        return frozenset() if settings is None else frozenset(settings.tolerate)

    def most_watts(self, charger: ChargerId) -> float:
        """What one of its connectors can deliver, as far as is known."""
        settings = self.settings(charger)
        current = None if settings is None else settings.max_current
        return plausibility.MOST_WATTS if current is None else current * plausibility.WATTS_PER_AMPERE


class Intake:
    """One charger's messages, in the order in which they came."""

    def __init__(self, charger: ChargerId, charger_no: ChargerNo, version: str, parts: Parts, tally: Tally) -> None:
        self._charger = charger
        self._charger_no = charger_no
        self._version = version
        self._parts = parts
        self._tally = tally
        self.counts: Counter[str] = Counter()
        """What is counted instead of stored: repeats and heartbeats."""
        self.highest_connector = 0
        self.named: set[int] = set()
        """Connectors whose status was said on this connection."""
        self._clock = ClockWatch(
            charger_no, tally, parts.store, lambda: parts.config().site.timezone, self._count_rules
        )
        self._looked_up_in: Config | None = None
        self._watts = plausibility.MOST_WATTS

    @property
    def _log(self) -> structlog.stdlib.BoundLogger:
        """Made when there is something to say: kept, it would be a hundredth of what a charger takes of memory."""
        return structlog.get_logger("edge.intake").bind(charger=self._charger, ocpp=self._version)  # type: ignore[no-any-return]

    async def reply(self, received: CallReceived, noticed: tuple[Peculiarity, ...] = ()) -> Reply:
        """The answer, stored before it is returned. Raises CommitFailed: then there must be no answer."""
        try:
            return await self._reply(received, noticed)
        except BeyondRoom as error:
            raise self._not_stored(error) from error

    def _not_stored(self, error: BeyondRoom) -> CommitFailed:
        """The charger is to keep its message: it sends more than it may store."""
        self._count_rules((error.rule,))
        return CommitFailed(f"nothing of this was stored: {error}")

    async def _reply(self, received: CallReceived, noticed: tuple[Peculiarity, ...]) -> Reply:
        call = received.call
        reading = understood(self._version, received)
        event = observe.observe(call.action, reading.payload)
        if reading.violations and (call.action not in observe.TRANSACTION_ACTIONS or event is None):
            return await self._refuse(call, reading, noticed)
        peculiar = [*noticed, *reading.applied, *findings.of_request(call.action, reading.payload)]
        if call.action in observe.TRANSACTION_ACTIONS:
            # Flagged also when the tolerances have made sense of all of it (decided.md).
            flaws = reading.violations or received.violations[:1]
            peculiar += [Peculiarity(Rule.SCHEMA_VIOLATED, str(flaw)) for flaw in flaws]
        if isinstance(event, ChargerBooted):
            self._tally.make = Make.said(event.vendor, event.model, event.firmware)
        self._count(peculiar)
        is_mended = any(rule != Rule.RESULT_NAMES_ACTION for rule in received.repairs)
        at = self._parts.moment()
        said = Said(self._charger_no, self._version, call, at, tuple(peculiar), is_mended, self._most_watts())
        self._clock.heard(event, at)
        return await self._record_event(said, event)

    async def _record_event(self, said: Said, event: DomainEvent | None) -> Reply:
        match event:
            case TransactionStarted():
                return await self._start(said, event)
            case EnergyMeasured():
                return await self._record(lambda db: records.record_values(db, said, event))
            case TransactionEnded():
                return await self._record(lambda db: stops.record_stop(db, said, event))
            case ConnectorStatusChanged():
                if event.connector <= MOST_CONNECTORS:
                    self.highest_connector = max(self.highest_connector, event.connector)
                    self.named.add(event.connector)
                reply = await self._record(lambda db: records.record_status(db, said, event))
                self._parts.on_status(self._charger_no)
                return reply
            case TokenPresented():
                return await self._authorize(said, event)
            case ChargerBooted():
                self._clock.booted()
                interval = self._parts.defaults.heartbeat_interval
                answer = replies.boot(authorization.ACCEPTED, said.at.wall, interval)
                reply = await self._record(lambda db: records.record_boot(db, said, event, answer))
                self._parts.on_job()
                return reply
            case FirmwareProgressed():
                reply = await self._record(lambda db: records.record_firmware(db, said, event))
                self._parts.on_job()
                return reply
            case DiagnosticsProgressed():
                reply = await self._record(lambda db: records.record_diagnostics(db, said, event))
                self._parts.on_job()
                return reply
            case None:
                return await self._plain(said)

    def _most_watts(self) -> float:
        config = self._parts.config()
        if config is not self._looked_up_in:  # a search among all chargers: once for each file, not for each message
            self._looked_up_in, self._watts = config, self._parts.most_watts(self._charger)
        return self._watts

    async def _refuse(self, call: Call, reading: Reading, noticed: tuple[Peculiarity, ...]) -> Refusal:
        """The CALLERROR to a payload that nobody can read; the text is kept."""
        refused = refusal(reading.violations)
        self._count([*noticed, Peculiarity(Rule.MESSAGE_REFUSED, refused.description)])
        code = actions.error_code(self._version, refused.code)
        answer = error_text(call.message_id, code, refused.description)
        why = refused.description
        await self.keep_refused(RefusedText(call.text, Rule.MESSAGE_REFUSED, why, answer, call.action, call.message_id))
        return refused

    async def keep_refused(self, refused: RefusedText) -> None:
        """Put a refused text into the journal. Raises CommitFailed: then there must be no answer."""
        at = self._parts.moment()
        if not self._tally.refused_kept.takes(refused, at.mono_ms / 1000):
            self.counts["refused_not_kept"] += 1
            if is_worth_a_line(times := self.counts["refused_not_kept"]):
                why = "too many of this charger in this hour"
                self._log.warning("refused_text_not_kept", why=why, times=times)
            if refused.is_billing:  # after a CALLERROR it might drop what we do not have
                why = "too many unreadable starts and stops in this hour"
                raise self._not_stored(BeyondRoom(Rule.ALLOWANCE_EXCEEDED, why))
            return
        row = refusals.row_of(refused, self._charger_no, self._version, at)
        if refused.is_billing:
            try:
                await self._parts.store.write(lambda db: exchange.append(db, row))
            except BeyondRoom as error:
                raise self._not_stored(error) from error
        else:
            self._parts.store.defer(lambda db: exchange.append(db, row))

    async def _plain(self, said: Said) -> Reply:
        match said.call.action:
            case "Heartbeat":
                self.counts["heartbeats"] += 1
                return replies.heartbeat(said.at.wall)
            case "DataTransfer":
                answer: Payload = replies.unknown_vendor()
            case action:
                return Refusal("NotSupported", f"{action} is not supported by this controller")
        return await self._record(lambda db: records.record_plain(db, said, answer))

    async def _start(self, said: Said, event: TransactionStarted) -> Reply:
        policy = self._policy()
        start = await self._parts.store.submit(
            lambda db: starts.record_start(db, said, event, policy), lambda start: self._tell(start.recorded)
        )
        if start.decision.verdict is not Verdict.ASK:
            return start.recorded.answer
        # Its evidence is on disk; the StartTransaction that goes up is the question (architecture, flow (i) 5).
        return await self._asked_start(said, start)

    async def _asked_start(self, said: Said, start: StartRecorded) -> Reply:
        verdict: str | None = None
        try:
            verdict = await self._parts.csms.verdict(start.transaction, within=self._parts.authorization.online_timeout)
        except (UplinkDown, CallTimedOut) as error:
            self._log.info("verdict_missing", transaction=start.transaction, why=str(error))
        policy = self._policy(UplinkState.SILENT)
        return await self._parts.store.write(lambda db: starts.record_verdict(db, said, start, verdict, policy))

    async def _authorize(self, said: Said, event: TokenPresented) -> Reply:
        policy = self._policy()
        decision = await self._parts.store.write(lambda db: starts.decide_token(db, said, event.token, policy))
        answer: Payload | None = None
        if decision.verdict is Verdict.ASK:
            answer = await self._ask(event)
            if answer is None:
                silent = self._policy(UplinkState.SILENT)
                decision = await self._parts.store.write(lambda db: starts.decide_token(db, said, event.token, silent))
        reply = _told(decision) if answer is None else answer
        self._parts.store.defer(lambda db: records.record_plain(db, said, reply))
        return reply

    async def _ask(self, event: TokenPresented) -> Payload | None:
        """The CSMS's answer to an Authorize, None when there is none; the cache learns from it."""
        within = self._parts.authorization.online_timeout
        try:
            answer = await self._parts.csms.call("Authorize", station.authorize(event.token), within=within)
        except (UplinkDown, CallTimedOut, PeerRefused) as error:
            self._log.info("authorize_unanswered", why=str(error))
            return None
        info = station.token_info(answer)
        if info is None:
            return None
        if authorization.is_cacheable(info.status):
            now = self._parts.moment().wall_ms
            self._parts.store.defer(
                lambda db: tokens.learn(db, event.token, info.status, info.expires_at, info.parent, now)
            )
            # An answer that breaks its schema is no charger's business: it gets the verdict alone.
            return replies.authorize(info.status) if check_response(self._version, "Authorize", answer) else answer
        return replies.authorize(authorization.ACCEPTED)  # ConcurrentTx is no answer to an Authorize (1.6 §7.2)

    def _policy(self, uplink: UplinkState | None = None) -> Policy:
        if uplink is None:
            uplink = UplinkState.UP
        if not self._parts.csms.is_accepted():
            uplink = UplinkState.DOWN
        offline = OfflinePolicy(self._parts.authorization.offline)
        return Policy(offline, uplink, self._parts.transaction_id_base)

    async def _record(self, unit: Callable[[Connection], Recorded]) -> Payload:
        """Run a unit; the answer, after the commit."""
        return (await self._parts.store.submit(unit, self._tell)).answer

    def _tell(self, recorded: Recorded) -> None:
        """Called at the commit itself, also when the link has ended meanwhile: what is stored must be sent.

        The charger's answer is on its way by then, before the relay begins.
        """
        if recorded.is_repeat:
            self.counts["repeats"] += 1
        self._count_rules(recorded.rules)
        if recorded.new_connectors:
            self._parts.on_connectors(recorded.new_connectors)
        for stored in recorded.stored:
            self._parts.on_stored(stored)

    def _count(self, peculiar: Iterable[Peculiarity]) -> None:
        self._count_rules([one.rule for one in peculiar])

    def _count_rules(self, rules: Collection[str]) -> None:
        if not rules:
            return
        now = self._parts.moment().mono_ms / 1000
        self._parts.fleet.count(self._charger, self._tally, dict.fromkeys(rules), now)


def understood(version: str, received: CallReceived) -> Reading:
    """What a CALL says, with the help of the tolerances where it breaks its schema."""
    call = received.call
    if not received.violations:
        return Reading(call.payload)
    return tolerances.read(version, call.action, call.payload, received.violations)


def _told(decision: Decision) -> Payload:
    return replies.authorize(decision.status)


def refusal(violations: tuple[Violation, ...]) -> Refusal:
    """The CALLERROR for a payload that breaks its schema."""
    first = violations[0]
    return Refusal(first.code, str(first))


def pending_reply(received: CallReceived, reading: Reading, moment: Moment) -> Reply:
    """What a charger is told that nobody has adopted yet; nothing of it is stored (interface.md)."""
    if reading.violations:
        return refusal(reading.violations)
    match received.call.action:
        case "BootNotification":
            return replies.boot("Pending", moment.wall, PENDING_INTERVAL)
        case "Heartbeat":
            return replies.heartbeat(moment.wall)
        case "StatusNotification":
            return replies.EMPTY
        case _:
            return Refusal("SecurityError", "this charger has not been adopted yet")

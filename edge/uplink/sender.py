"""The only author of CALLs to the CSMS while the registration is accepted: one outstanding, in the order of `_step`.

Each upstream connector has a lane of row numbers in the order of commit; `domain/delivery.py` says whose turn it is.
A message is read, checked and bound in one unit (`_prepare`), sent by `connection.py`, and acknowledged in a unit that
the answer itself submits, before anything else that the CSMS says is read. When nothing is accepted nothing is sent:
that is all there is of an "offline mode".
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from edge.connection import Answer, RpcConnection
from edge.dialects.v16 import ids as bound_ids
from edge.dialects.v16 import station as dialect
from edge.domain.authorization import CONCURRENT, is_cacheable
from edge.domain.delivery import Consequence, Head, Order, Turns, after_refusal, back_off
from edge.domain.ids import ConnectorNo, TransactionNo
from edge.domain.ports import CallTimedOut, Clock, EdgeError, PeerRefused, UplinkDown
from edge.jsontypes import JsonValue, Payload
from edge.ocppj import actions, schemas
from edge.ocppj.frames import CallError, CallResult, encode_json
from edge.store import Connection, connectors, delivery, exchange, tokens, transactions
from edge.store.db import Store
from edge.store.delivery import STATION_LANE, Message, Waiting
from edge.store.exchange import Kind, Moment, NewExchange
from edge.uplink.configuration import Configuration
from edge.uplink.station import Station

VERSION = "1.6"
ANSWER_WITHIN = 30.0
TURNS_PER_STATUS = 3
"""Messages of the lanes that may pass before a status that waits (C.3: a status never waits behind the queue)."""
REPLAYED_AFTER_MS = 10_000
"""A stop that waited longer was replayed: the CSMS may have derived a status from it that is past."""


class NotRegistered(EdgeError):
    """The CSMS refused with SecurityError: it wants a BootNotification first (A.3)."""


@dataclass(slots=True)
class _Lane:
    waiting: deque[Waiting] = field(default_factory=deque)
    ready_at: float = 0.0
    failures: int = 0
    """Transient ones in a row."""
    is_repaired: bool = False
    """The head is to be sent without what the schema forbids."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message on its way."""

    lane: int
    message: Message
    payload: Payload
    sent_at: Moment
    is_repaired: bool

    @property
    def action(self) -> str:
        return self.message.row.action or ""


@dataclass(slots=True)
class _Question:
    action: str
    payload: Payload
    answer: asyncio.Future[Payload]


class Sender:
    """Lanes, turns, and what becomes of each answer."""

    def __init__(
        self, store: Store, station: Station, configuration: Configuration, clock: Clock, moment: Callable[[], Moment],
        order: Order, on_refused: Callable[[TransactionNo], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._station = station
        self._configuration = configuration
        self._clock = clock
        self._moment = moment
        self._turns = Turns(order)
        self._on_refused = on_refused
        self._lanes: dict[int, _Lane] = {STATION_LANE: _Lane()}
        self._lane_of: dict[ConnectorNo, int] = {}
        self._early: dict[ConnectorNo, list[Waiting]] = {}
        """Of connectors that have no number yet."""
        self._wake = asyncio.Event()
        self._connection: RpcConnection | None = None
        self._epoch = 0
        self._questions: deque[_Question] = deque()
        self._verdicts: dict[TransactionNo, asyncio.Future[str]] = {}
        self._since_status = 0
        self._heartbeat_at = 0.0
        self._log = structlog.get_logger("edge.uplink")
        self.outstanding: _Sent | None = None
        self._delivered_at: deque[float] = deque(maxlen=100)
        self.duplicate_answers = 0

    # --- what others bring

    async def load(self) -> None:
        """At the start: everything that the store says is due."""
        numbered, waiting = await self._store.write(lambda db: (connectors.numbered(db), delivery.lanes(db)))
        for one in numbered:
            self._lane_of[one.no] = one.upstream or STATION_LANE
        for lane, messages in waiting.items():
            self._lane(lane).waiting = deque(messages)

    async def connectors_numbered(self, new: Sequence[ConnectorNo]) -> None:
        """These connectors have a number now: what waited for it is due."""
        numbered, waiting = await self._store.write(lambda db: (connectors.numbered(db), delivery.lanes(db)))
        for one in numbered:
            if one.no in new and one.no not in self._lane_of and one.upstream is not None:
                self._lane_of[one.no] = one.upstream
                self._lane(one.upstream).waiting = deque(waiting.get(one.upstream, ()))
                for message in self._early.pop(one.no, ()):
                    self.offer(one.no, message)  # committed since the store was read
        self._station.changed()
        self._wake.set()

    def offer(self, connector: ConnectorNo | None, message: Waiting) -> None:
        """A row was committed that the CSMS is to get. None: of the station itself."""
        lane = STATION_LANE if connector is None else self._lane_of.get(connector)
        if lane is None:
            assert connector is not None
            self._early.setdefault(connector, []).append(message)
            return
        queue = self._lane(lane).waiting
        if not queue or queue[-1].seq < message.seq:
            queue.append(message)
            self._wake.set()

    def wake(self) -> None:
        """A setting has changed."""
        self._wake.set()

    def beat_now(self) -> None:
        """The CSMS wants a Heartbeat."""
        self._heartbeat_at = 0.0
        self._wake.set()

    def _lane(self, number: int) -> _Lane:
        return self._lanes.setdefault(number, _Lane())

    async def ask(self, action: str, payload: Payload, within: float) -> Payload:
        """A question that does not wait in a lane. Raises UplinkDown, CallTimedOut or PeerRefused."""
        if self._connection is None:
            raise UplinkDown("the CSMS is not connected")
        question = _Question(action, payload, asyncio.get_running_loop().create_future())
        self._questions.append(question)
        self._wake.set()
        try:
            async with asyncio.timeout_at(self._clock.monotonic() + within):
                return await question.answer
        except TimeoutError:
            raise CallTimedOut(f"{action}: the CSMS did not answer within {within:g} s") from None

    async def verdict(self, transaction: TransactionNo, within: float) -> str:
        """What the CSMS says of the token of this start, which waits in its lane."""
        if self._connection is None:
            raise UplinkDown("the CSMS is not connected")
        future = self._verdicts.setdefault(transaction, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout_at(self._clock.monotonic() + within):
                return await future
        except TimeoutError:
            raise CallTimedOut(f"the CSMS did not answer the start within {within:g} s") from None
        finally:
            self._verdicts.pop(transaction, None)

    @property
    def epoch(self) -> int:
        return self._epoch

    def waiting(self) -> int:
        """Messages that are due, in all lanes."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def heads(self) -> dict[int, Waiting]:
        """The oldest message of each lane that has one."""
        return {number: lane.waiting[0] for number, lane in self._lanes.items() if lane.waiting}

    def ready_in(self, lane: int) -> float | None:
        """Seconds until the head of a lane may be sent again; None when nothing holds it back."""
        known = self._lanes.get(lane)
        wait = 0.0 if known is None else known.ready_at - self._clock.monotonic()
        return wait if wait > 0 else None

    def drain_seconds(self) -> float | None:
        """Seconds until the lanes are empty at the pace of the last messages; None without a pace."""
        waiting = self.waiting()
        if waiting == 0:
            return 0.0
        if self._connection is None or len(self._delivered_at) < 2:
            return None
        took = self._clock.monotonic() - self._delivered_at[0]
        return None if took <= 0 else waiting * took / len(self._delivered_at)

    # --- while the registration is accepted

    async def run(self, connection: RpcConnection, epoch: int, heartbeat_interval: float) -> None:
        """Statuses 0..N, Heartbeat, then the lanes, until cancelled. Raises NotRegistered or LinkLost."""
        self._connection, self._epoch = connection, epoch
        self._wake.set()
        try:
            await self._station.begin()
            while (news := self._station.next_news()) is not None:
                await self._answer_questions()
                await self._tell(*news)
            await self._heartbeat(heartbeat_interval)
            while True:
                await self._step(heartbeat_interval)
        finally:
            self._connection = None
            self.outstanding = None
            gone = UplinkDown("the connection to the CSMS ended")
            for question in self._questions:
                if not question.answer.done():
                    question.answer.set_exception(gone)
            for verdict in self._verdicts.values():
                if not verdict.done():
                    verdict.set_exception(gone)
            self._questions.clear()

    async def _step(self, heartbeat_interval: float) -> None:
        """The next thing to send, or a wait for one."""
        self._wake.clear()
        await self._answer_questions()
        now = self._clock.monotonic()
        if now >= self._heartbeat_at:
            await self._heartbeat(heartbeat_interval)
            return
        heads = {
            number: Head(lane.waiting[0].seq, lane.waiting[0].is_start_or_stop, lane.ready_at)
            for number, lane in self._lanes.items()
            if lane.waiting
        }
        news = self._station.next_news()
        if news is not None and (self._since_status >= TURNS_PER_STATUS or not heads):
            self._since_status = 0
            await self._tell(*news)
            return
        chosen = self._turns.choose(heads, now)
        if chosen is not None:
            self._since_status += 1
            await self._send(chosen)
            return
        if news is not None:
            await self._tell(*news)
            return
        next_ready = self._turns.next_ready(heads)
        until = self._heartbeat_at if next_ready is None else min(self._heartbeat_at, max(next_ready, now + 0.01))
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _call(
        self, action: str, payload: Payload, on_answer: Callable[[Answer], None] | None = None
    ) -> Answer | None:
        """The answer, None when none came in time."""
        assert self._connection is not None
        try:
            answer = await self._connection.call(action, payload, within=ANSWER_WITHIN, on_answer=on_answer)
        except CallTimedOut as error:
            self._log.warning("csms_silent", action=action, why=str(error))
            return None
        if isinstance(answer, CallError) and answer.code == "SecurityError":
            raise NotRegistered(f"{action}: {answer.code} {answer.description}")
        return answer

    async def _answer_questions(self) -> None:
        while self._questions:
            question = self._questions.popleft()
            if question.answer.done():
                continue
            answer = await self._call(question.action, question.payload)
            if question.answer.done():
                continue
            if isinstance(answer, CallResult):
                question.answer.set_result(answer.payload)
            elif isinstance(answer, CallError):
                question.answer.set_exception(PeerRefused(answer.code, answer.description))
            else:
                question.answer.set_exception(CallTimedOut("the CSMS did not answer"))

    async def _tell(self, connector: int, payload: Payload) -> None:
        answer = await self._call("StatusNotification", payload)
        if isinstance(answer, CallError):
            self._log.warning("status_refused", connector=connector, code=answer.code, why=answer.description)
        self._station.told(connector, payload)  # refused or unanswered: the next change will be told

    async def _heartbeat(self, interval: float) -> None:
        own = self._configuration.seconds("HeartbeatInterval")
        self._heartbeat_at = self._clock.monotonic() + (own or interval)
        await self._call("Heartbeat", {})

    # --- one message

    async def _send(self, number: int) -> None:
        lane = self._lanes[number]
        head = lane.waiting[0]
        prepared = await self._store.write(lambda db: self._prepare(db, head.seq, is_repaired=lane.is_repaired))
        if prepared is None:
            lane.waiting.popleft()  # its transaction was parked, or the CSMS has it
            return
        message, payload = prepared
        if not is_bindable(message):
            lane.ready_at = self._clock.monotonic() + back_off(
                1
            )  # its start's id is not stored: the disk is in trouble
            return
        sent = _Sent(number, message, payload, self._moment(), lane.is_repaired)
        self.outstanding = sent
        try:
            answer = await self._call(sent.action, payload, on_answer=lambda answer: self._answered(sent, answer))
        finally:
            self.outstanding = None
        if answer is None:
            self._failed_for_now(sent, "Timeout", "the CSMS did not answer", None)

    def _prepare(self, db: Connection, seq: int, *, is_repaired: bool) -> tuple[Message, Payload] | None:
        """Read, verify, write for the CSMS; starts and stops are bound before they are sent for the first time."""
        message = delivery.message(db, seq)
        if message is None:
            return None
        if not exchange.is_intact(db, message.row):
            delivery.park(db, seq, message.tx_no, "damaged", "its digest does not fit", 0, self._moment().wall_ms)
            return None
        if message.bound is not None and not is_repaired:
            return message, json.loads(message.bound)
        if not is_bindable(message):
            return message, {}
        payload = render(message)
        if is_repaired:
            payload, losses = schemas.without_forbidden(VERSION, message.row.action or "", payload)
            left_out = [{"path": list(loss.path), "why": loss.message} for loss in losses]
            row = self._note(message, Kind.DECISION, encode_json({"left_out": left_out}))
            exchange.append(db, row)
        if is_repaired or message.row.action in delivery.START_OR_STOP:
            delivery.bind(db, seq, self._epoch, encode_json(payload))
        return message, payload

    def _note(self, message: Message, kind: Kind, text: str) -> NewExchange:
        row = message.row
        return NewExchange(
            self._moment(), row.peer, kind, text, action=row.action, tx_no=message.tx_no, cause_seq=row.seq
        )

    def _answered(self, sent: _Sent, answer: Answer) -> None:
        """Called by the reader, in time or late. Submits what the answer means before the reader reads on."""
        lane = self._lanes[sent.lane]
        is_head = bool(lane.waiting) and lane.waiting[0].seq == sent.message.row.seq
        if isinstance(answer, CallError):
            if is_head and answer.code != "SecurityError":
                self._refused(sent, answer)
            return
        if sent.action == "StartTransaction" and dialect.started_transaction(answer.payload) is None:
            if is_head:
                self._failed_for_now(sent, "InternalError", "the answer has no transactionId", answer)
            return
        if not is_head:
            self._answered_again(sent, answer)
            return
        head = lane.waiting.popleft()
        lane.failures, lane.ready_at, lane.is_repaired = 0, 0.0, False
        self._delivered_at.append(self._clock.monotonic())
        if sent.action not in delivery.START_OR_STOP:
            self._store.defer(lambda db: self._acknowledge(db, sent, answer))
            return
        stored = self._store.submit(lambda db: self._acknowledge(db, sent, answer))
        stored.add_done_callback(lambda done: self._acknowledged(sent, head, answer, done))

    def _acknowledge(self, db: Connection, sent: _Sent, answer: CallResult) -> bool:
        """The unit behind an answer; whether a late refusal of the token is to be acted upon."""
        message = sent.message
        delivery.acknowledge(db, message.row.seq, message.tx_no, self._epoch)
        if sent.action == "StartTransaction":
            csms_tx = dialect.started_transaction(answer.payload)
            assert csms_tx is not None
            delivery.learn_csms_tx(db, message.tx_no, csms_tx)
        exchange.append(db, self._answer_row(sent, answer))
        return self._learn(db, sent, answer)

    def _learn(self, db: Connection, sent: _Sent, answer: CallResult) -> bool:
        info = dialect.token_info(answer.payload)
        now = self._moment().wall_ms
        if info is None:
            return False
        token = dialect.shown_token(sent.payload)
        if token is None:
            return False
        if is_cacheable(info.status):
            tokens.learn(db, token, info.status, info.expires_at, info.parent, now)
        if sent.action != "StartTransaction":
            return False
        transactions.csms_said(db, sent.message.tx_no, info.status, now)
        if info.status == "Accepted" or not self._configuration.stops_on_invalid_id:
            return False
        # A ConcurrentTx while an earlier transaction of the token waits here is our own backlog that speaks.
        return info.status != CONCURRENT or not delivery.has_undelivered_before(db, sent.message.tx_no)

    def _acknowledged(self, sent: _Sent, head: Waiting, answer: CallResult, done: "asyncio.Future[bool]") -> None:
        """After the commit of a start or a stop."""
        lane = self._lanes[sent.lane]
        if done.cancelled():
            return
        if done.exception() is not None:
            # As after a crash: the store does not know that the CSMS has it, so it is sent once more, equal.
            self._log.error("acknowledgement_not_stored", seq=head.seq, why=str(done.exception()))
            lane.waiting.appendleft(head)
            lane.ready_at = self._clock.monotonic() + back_off(1)
            return
        self._log.info("message_acknowledged", seq=head.seq, action=sent.action, transaction=sent.message.tx_no)
        info = dialect.token_info(answer.payload)
        verdict = self._verdicts.get(sent.message.tx_no)
        if sent.action == "StartTransaction" and verdict is not None:
            if info is not None and not verdict.done():
                verdict.set_result(info.status)
        elif done.result():
            self._on_refused(sent.message.tx_no)
        if sent.action == "StopTransaction" and (
            self._moment().wall_ms - sent.message.row.at_wall_ms > REPLAYED_AFTER_MS
        ):
            self._station.tell_again(sent.lane)

    def _answered_again(self, sent: _Sent, answer: CallResult) -> None:
        """A second answer to one message: the first one counts (decided.md)."""
        self.duplicate_answers += 1
        self._log.warning("answered_again", seq=sent.message.row.seq, action=sent.action)
        self._store.defer(lambda db: self._compare(db, sent, answer))

    def _compare(self, db: Connection, sent: _Sent, answer: CallResult) -> None:
        exchange.append(db, self._answer_row(sent, answer))
        other = dialect.started_transaction(answer.payload)
        if sent.action == "StartTransaction" and other is not None:
            first = transactions.csms_tx(db, sent.message.tx_no)
            if first is not None and first != other:
                text = encode_json({"duplicate_upstream_tx": other, "kept": first})
                exchange.append(db, self._note(sent.message, Kind.DECISION, text))

    def _refused(self, sent: _Sent, answer: CallError) -> None:
        """The CSMS answered with CALLERROR."""
        is_permanent = actions.is_permanent(answer.code)
        if not is_permanent:
            self._failed_for_now(sent, answer.code, answer.description, answer)
            return
        lane, message = self._lanes[sent.lane], sent.message
        attempts = message.attempts + 1
        after = after_refusal(
            attempts,
            is_repairable=bool(schemas.check_request(VERSION, sent.action, sent.payload)),
            was_repaired=sent.is_repaired,
            settings=self._configuration.retry,
        )
        self._log.warning(
            "message_refused", seq=message.row.seq, action=sent.action, code=answer.code, why=answer.description,
            attempts=attempts, then=after.consequence,
        )  # fmt: skip
        now = self._moment().wall_ms
        seq, tx_no = message.row.seq, message.tx_no
        if after.consequence is Consequence.PARK:
            lane.waiting.popleft()
            lane.failures, lane.ready_at, lane.is_repaired = 0, 0.0, False

            def park(db: Connection) -> None:
                exchange.append(db, self._answer_row(sent, answer))
                delivery.park(db, seq, tx_no, answer.code, answer.description, attempts, now)

            self._store.submit(park).add_done_callback(self._log_failure)
            return
        lane.is_repaired = lane.is_repaired or after.consequence is Consequence.SEND_WITHOUT_FORBIDDEN
        lane.ready_at = self._clock.monotonic() + after.wait

        def note(db: Connection) -> None:
            exchange.append(db, self._answer_row(sent, answer))
            delivery.failed(db, seq, attempts, answer.code, answer.description, now)

        self._store.submit(note).add_done_callback(self._log_failure)

    def _failed_for_now(self, sent: _Sent, code: str, why: str, answer: Answer | None) -> None:
        """Silence or a transient refusal: back off, for ever; attempts are not used up."""
        lane, message = self._lanes[sent.lane], sent.message
        lane.failures += 1
        lane.ready_at = self._clock.monotonic() + back_off(lane.failures)
        now = self._moment().wall_ms

        def note(db: Connection) -> None:
            if answer is not None:
                exchange.append(db, self._answer_row(sent, answer))
            delivery.failed(db, message.row.seq, message.attempts, code, why, now)

        self._store.defer(note)

    def _answer_row(self, sent: _Sent, answer: Answer) -> NewExchange:
        row = sent.message.row
        notes: dict[str, JsonValue] = {"sent_ms": sent.sent_at.wall_ms}
        if sent.is_repaired:
            notes["payload"] = sent.payload  # all others can be rendered again
        return NewExchange(
            at=self._moment(),
            peer=row.peer,
            kind=Kind.CSMS_ANSWER,
            text=answer.text,
            action=sent.action,
            message_id=answer.message_id,
            version=VERSION,
            tx_no=sent.message.tx_no,
            cause_seq=row.seq,
            notes=encode_json(notes),
        )

    def _log_failure(self, done: "asyncio.Future[None]") -> None:
        if not done.cancelled() and done.exception() is not None:
            self._log.error("outcome_not_stored", why=str(done.exception()))


def render(message: Message) -> Payload:
    """The payload for the CSMS: a pure function of the row, its connector and the id that the CSMS gave."""
    received: Payload = json.loads(message.row.text)[3]
    return bound_ids.bind(received, message.upstream_connector, message.upstream_tx)


def is_bindable(message: Message) -> bool:
    """Whether its transaction's id is known, as far as it needs one."""
    needs_id = message.kind == transactions.TRANSACTION and message.row.action != "StartTransaction"
    return not needs_id or message.upstream_tx is not None

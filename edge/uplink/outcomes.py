"""What becomes of a message when the CSMS answers it, refuses it or stays silent.

`answered` is called by the reader before it reads on (`edge/connection.py`), in time or late: what the answer means is
submitted to the store there and then. The first answer counts; a second one is compared and put on record.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import structlog

from edge.connection import Answer
from edge.dialects.v16 import station as dialect
from edge.domain.authorization import CONCURRENT, is_cacheable
from edge.domain.delivery import Consequence, after_refusal, back_off
from edge.domain.ids import TransactionNo
from edge.domain.ports import CallTimedOut, Clock, UplinkDown
from edge.jsontypes import JsonValue, Payload
from edge.ocppj import actions
from edge.ocppj.frames import CallError, CallResult, encode_json
from edge.store import Connection, delivery, exchange, tokens, transactions
from edge.store.db import Store
from edge.store.delivery import Message, Waiting
from edge.store.exchange import Kind, Moment, NewExchange
from edge.uplink.configuration import Configuration
from edge.uplink.lanes import Lanes
from edge.uplink.second_try import second_try
from edge.uplink.station import Station

VERSION = "1.6"
REPLAYED_AFTER_MS = 10_000
"""A stop that waited longer was replayed: the CSMS may have derived a status from it that is past."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message on its way."""

    lane: int
    message: Message
    """The one whose turn it was."""
    seqs: tuple[int, ...]
    """It, and those of its transaction whose values came with it."""
    entries: int
    """Of `meterValue`, of all of them."""
    payload: Payload
    sent_at: Moment
    is_repaired: bool

    @property
    def action(self) -> str:
        return self.message.row.action or ""

    @property
    def has_company(self) -> bool:
        return len(self.seqs) > 1


class Outcomes:
    """Keeps the lanes, the store and whoever waits for a verdict in step with what the CSMS said."""

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        station: Station,
        configuration: Configuration,
        clock: Clock,
        moment: Callable[[], Moment],
        on_refused: Callable[[TransactionNo], None],
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._station = station
        self._configuration = configuration
        self._clock = clock
        self._moment = moment
        self._on_refused = on_refused
        self._verdicts: dict[TransactionNo, asyncio.Future[str]] = {}
        self._delivered: deque[tuple[float, int]] = deque(maxlen=100)
        """When messages were answered, and how many rows they had."""
        self._log = structlog.get_logger("edge.uplink")
        self.epoch = 0
        """Of the connection over which messages go now."""
        self.duplicate_answers = 0
        self.answered_up_to: dict[TransactionNo, int] = {}
        """Up to which row of a transaction the CSMS has all values, while the store does not know it yet."""

    # --- whoever waits for a verdict

    async def verdict(self, transaction: TransactionNo, within: float) -> str:
        """What the CSMS says of the token of this start, which waits in its lane."""
        future = self._verdicts.setdefault(transaction, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout_at(self._clock.monotonic() + within):
                return await future
        except TimeoutError:
            raise CallTimedOut(f"the CSMS did not answer the start within {within:g} s") from None
        finally:
            self._verdicts.pop(transaction, None)

    def give_up_verdicts(self) -> None:
        """The connection has ended: no verdict will come in time."""
        for verdict in self._verdicts.values():
            if not verdict.done():
                verdict.set_exception(UplinkDown("the connection to the CSMS ended"))

    def pace(self) -> float | None:
        """Rows a second lately; None when there were not enough messages to tell."""
        if len(self._delivered) < 2:
            return None
        took = self._clock.monotonic() - self._delivered[0][0]
        rows = sum(rows for _, rows in islice(self._delivered, 1, None))  # the first one's were before that time
        return rows / took if took > 0 else None

    # --- answers

    def note(self, message: Message, kind: Kind, text: str) -> NewExchange:
        row = message.row
        return NewExchange(
            self._moment(), row.peer, kind, text, action=row.action, tx_no=message.tx_no, cause_seq=row.seq
        )

    def answered(self, sent: Sent, answer: Answer) -> None:
        """Called by the reader, in time or late. Submits what the answer means before the reader reads on."""
        lane = self._lanes[sent.lane]
        is_head = bool(lane.waiting) and lane.waiting[0].seq in sent.seqs  # the first may have been answered alone
        if isinstance(answer, CallError):
            if is_head and answer.code == "SecurityError":
                # The station boots again (sender.py); this message must not be the first one each time.
                self.failed_for_now(sent, answer.code, answer.description, answer)
            elif is_head and sent.has_company:
                self._refused_together(sent, answer)
            elif is_head:
                self._refused(sent, answer)
            return
        if sent.action == "StartTransaction" and dialect.started_transaction(answer.payload) is None:
            if is_head:
                self.failed_for_now(sent, "InternalError", "the answer has no transactionId", answer)
            return
        if not is_head:
            self._answered_again(sent, answer)
            return
        taken = lane.advance_over(sent.seqs)
        self._delivered.append((self._clock.monotonic(), len(taken)))
        if sent.has_company:
            self._lanes.company.taken()
        elif sent.action not in delivery.START_OR_STOP:
            self._lanes.company.taken_alone()
        if sent.action not in delivery.START_OR_STOP:
            tx_no = sent.message.tx_no
            self.answered_up_to[tx_no] = max(self.answered_up_to.get(tx_no, 0), taken[-1].seq)
            self._store.defer(lambda db: self._acknowledge(db, sent, answer))
            return
        stored = self._store.submit(lambda db: self._acknowledge(db, sent, answer))
        stored.add_done_callback(lambda done: self._acknowledged(sent, taken[0], answer, done))

    def _acknowledge(self, db: Connection, sent: Sent, answer: CallResult) -> bool:
        """The unit behind an answer; whether a late refusal of the token is to be acted upon."""
        message = sent.message
        delivery.acknowledge_together(db, sent.seqs, message.tx_no, self.epoch)
        if sent.action == "StartTransaction":
            csms_tx = dialect.started_transaction(answer.payload)
            assert csms_tx is not None
            delivery.learn_csms_tx(db, message.tx_no, csms_tx)
        exchange.append(db, self._answer_row(sent, answer))
        return self._learn(db, sent, answer)

    def _learn(self, db: Connection, sent: Sent, answer: CallResult) -> bool:
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

    def _acknowledged(self, sent: Sent, head: Waiting, answer: CallResult, done: "asyncio.Future[bool]") -> None:
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
        if sent.action == "StopTransaction":
            self.answered_up_to.pop(sent.message.tx_no, None)
        if sent.action == "StopTransaction" and (
            self._moment().wall_ms - sent.message.row.at_wall_ms > REPLAYED_AFTER_MS
        ):
            self._station.tell_again(sent.lane)

    def _answered_again(self, sent: Sent, answer: CallResult) -> None:
        """A second answer to one message: the first one counts (decided.md)."""
        self.duplicate_answers += 1
        self._log.warning("answered_again", seq=sent.message.row.seq, action=sent.action)
        self._store.defer(lambda db: self._compare(db, sent, answer))

    def _compare(self, db: Connection, sent: Sent, answer: CallResult) -> None:
        exchange.append(db, self._answer_row(sent, answer))
        other = dialect.started_transaction(answer.payload)
        if sent.action == "StartTransaction" and other is not None:
            first = transactions.csms_tx(db, sent.message.tx_no)
            if first is not None and first != other:
                text = encode_json({"duplicate_upstream_tx": other, "kept": first})
                exchange.append(db, self.note(sent.message, Kind.DECISION, text))

    def _refused_together(self, sent: Sent, answer: CallError) -> None:
        """The CSMS did not like one of the values, or that there were so many: fewer of them come next.

        This uses up no attempt. The row that it does not like is found when it comes alone.
        """
        lane = self._lanes[sent.lane]
        lane.doubt(sent.seqs, sent.entries)
        self._lanes.company.refused(sent.entries)
        self._log.warning(
            "values_refused_together", seqs=sent.seqs, entries=sent.entries, code=answer.code, why=answer.description,
            next_at_most=self._lanes.entries_at_most(sent.lane, sent.seqs[0]),
        )  # fmt: skip
        if not actions.is_permanent(answer.code):
            self.failed_for_now(sent, answer.code, answer.description, answer)
            return
        self._note_failure(sent, sent.message.attempts, answer.code, answer.description, answer)

    def unanswered(self, sent: Sent) -> None:
        """Its time is up, or the connection ended: nobody knows whether the CSMS has it."""
        lane = self._lanes[sent.lane]
        if not sent.has_company or not lane.has_head(sent.seqs[0]):
            return
        self._lanes.company.unanswered(sent.entries)
        lane.unanswered += 1
        if lane.unanswered > 1:
            lane.doubt(sent.seqs, sent.entries)

    def _refused(self, sent: Sent, answer: CallError) -> None:
        """The CSMS answered with CALLERROR."""
        if self._lanes[sent.lane].is_doubted(sent.message.row.seq):
            self._lanes.company.cleared()
        is_permanent = actions.is_permanent(answer.code)
        if not is_permanent:
            self.failed_for_now(sent, answer.code, answer.description, answer)
            return
        lane, message = self._lanes[sent.lane], sent.message
        attempts = message.attempts + 1
        after = after_refusal(
            attempts,
            is_repairable=second_try(VERSION, sent.action, sent.payload)[0] != sent.payload,
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
            lane.advance()
            self.answered_up_to.pop(tx_no, None)

            def park(db: Connection) -> None:
                exchange.append(db, self._answer_row(sent, answer))
                if delivery.is_there(db, seq):
                    delivery.park(db, seq, tx_no, answer.code, answer.description, attempts, now)

            self._store.submit(park).add_done_callback(self._log_failure)
            return
        lane.is_repaired = lane.is_repaired or after.consequence is Consequence.SEND_WITHOUT_FORBIDDEN
        lane.ready_at = self._clock.monotonic() + after.wait

        def note(db: Connection) -> None:
            exchange.append(db, self._answer_row(sent, answer))
            if delivery.is_there(db, seq):
                delivery.failed(db, seq, attempts, answer.code, answer.description, now)

        self._store.submit(note).add_done_callback(self._log_failure)

    def failed_for_now(self, sent: Sent, code: str, why: str, answer: Answer | None) -> None:
        """Silence or a transient refusal: back off, for ever; attempts are not used up."""
        lane, message = self._lanes[sent.lane], sent.message
        lane.failures += 1
        lane.ready_at = self._clock.monotonic() + back_off(lane.failures)
        self._note_failure(sent, message.attempts, code, why, answer)

    def _note_failure(self, sent: Sent, attempts: int, code: str, why: str, answer: Answer | None) -> None:
        """For whoever looks into the queue; may be lost in a crash."""
        now, seq = self._moment().wall_ms, sent.message.row.seq

        def note(db: Connection) -> None:
            if answer is not None:
                exchange.append(db, self._answer_row(sent, answer))
            if delivery.is_there(db, seq):
                delivery.failed(db, seq, attempts, code, why, now)

        self._store.defer(note)

    def _answer_row(self, sent: Sent, answer: Answer) -> NewExchange:
        row = sent.message.row
        notes: dict[str, JsonValue] = {"sent_ms": sent.sent_at.wall_ms}
        if sent.is_repaired:
            notes["payload"] = sent.payload  # all others can be rendered again
        if sent.has_company:
            notes["together"] = list(sent.seqs)
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

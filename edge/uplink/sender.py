"""The only author of CALLs to the CSMS while the registration is accepted: one outstanding, in the order of `_step`.

A message is read, checked and bound by `composing.py`, sent by `connection.py`, and acknowledged by `outcomes.py`,
which the reader calls with the answer before it reads on. When nothing is accepted nothing is sent: that is all there
is of an "offline mode".
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from edge.connection import Answer, RpcConnection
from edge.dialects.v16 import station as dialect
from edge.domain.delivery import back_off
from edge.domain.ids import ConnectorNo, TransactionNo
from edge.domain.ports import CallTimedOut, Clock, EdgeError, LinkLost, PeerRefused, UplinkDown
from edge.jsontypes import Payload
from edge.ocppj import actions
from edge.ocppj.frames import CallError, CallResult
from edge.store.db import CommitFailed, Store
from edge.store.delivery import Waiting
from edge.store.exchange import Moment
from edge.uplink.composing import Composer, Prepared
from edge.uplink.configuration import Configuration
from edge.uplink.job_reports import JobReports, Report
from edge.uplink.lanes import Lane, Lanes
from edge.uplink.outcomes import VERSION, Outcomes, Sent
from edge.uplink.second_try import second_try
from edge.uplink.station import Station

ANSWER_WITHIN = 30.0
TURNS_PER_STATUS = 3
"""Messages of the lanes that may pass before a status that waits (C.3: a status never waits behind the queue)."""


QUESTIONS_AT_ONCE = 4
"""Questions that may pass before a message of the lanes."""


class NotRegistered(EdgeError):
    """The CSMS refused with SecurityError: it wants a BootNotification first (A.3)."""


@dataclass(slots=True)
class _Question:
    action: str
    payload: Payload
    answer: asyncio.Future[Payload]


class Sender:
    """Takes turns among the lanes, and lets questions, heartbeats and statuses pass between."""

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        outcomes: Outcomes,
        station: Station,
        job_reports: JobReports,
        configuration: Configuration,
        clock: Clock,
        moment: Callable[[], Moment],
        on_csms_time: Callable[[datetime | None], None],
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._outcomes = outcomes
        self._station = station
        self._job_reports = job_reports
        self._configuration = configuration
        self._clock = clock
        self._moment = moment
        self._composer = Composer(store, lanes, outcomes, moment)
        self._wake = asyncio.Event()
        self._connection: RpcConnection | None = None
        self._questions: deque[_Question] = deque()
        self._since_status = 0
        self._heartbeat_at = 0.0
        self.on_csms_time = on_csms_time
        self._log = structlog.get_logger("edge.uplink")
        self.outstanding: Sent | None = None
        """The message that the CSMS has not answered yet."""

    # --- what others bring

    def offer(self, connector: ConnectorNo | None, message: Waiting) -> None:
        """A row was committed that the CSMS is to get. None: of the station itself."""
        self._lanes.offer(connector, message)
        self._wake.set()

    def offer_again(self, connector: ConnectorNo | None, messages: Sequence[Waiting]) -> None:
        """These were parked, and a person wants the CSMS to get them after all."""
        self._lanes.offer_again(connector, messages)
        self._composer.forget()
        self._wake.set()

    async def connectors_numbered(self, new: Sequence[ConnectorNo]) -> None:
        """These connectors have a number now: what waited for it is due."""
        await self._look_up(partial(self._lanes.numbered, new))

    async def connectors_moved(self, moved: Sequence[ConnectorNo]) -> None:
        """These connectors have another charger now: what it had said before is due under their numbers."""
        await self._look_up(partial(self._lanes.moved, moved))

    async def _look_up(self, what: Callable[[], Coroutine[None, None, None]]) -> None:
        while True:
            try:
                await what()
                break
            except CommitFailed as error:
                self._log.error("connectors_not_looked_up", why=str(error))
                await asyncio.sleep(back_off(1))
        self._composer.forget()
        self._station.changed()
        self._wake.set()

    def wake(self) -> None:
        """A setting has changed, or there is news of a connector."""
        own = self._configuration.seconds("HeartbeatInterval")
        if own:
            self._heartbeat_at = min(self._heartbeat_at, self._clock.monotonic() + own)
        self._wake.set()

    def beat_now(self) -> None:
        """The CSMS wants a Heartbeat."""
        self._heartbeat_at = 0.0
        self._wake.set()

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
        """What the CSMS says of the token of this start. Raises UplinkDown or CallTimedOut."""
        if self._connection is None:
            raise UplinkDown("the CSMS is not connected")
        return await self._outcomes.verdict(transaction, within)

    def drain_seconds(self) -> float | None:
        """Seconds until the lanes are empty at the pace of the last messages.

        None without a pace, and while a refused message holds its lane up: nobody knows how often it will be refused.
        """
        pace = self._outcomes.pace()
        if self._connection is None or pace is None or self._lanes.is_any_held_up():
            return None
        return self._lanes.count() / pace

    # --- while the registration is accepted

    async def run(
        self, connection: RpcConnection, epoch: int, heartbeat_interval: float, on_announced: Callable[[], None]
    ) -> None:
        """Statuses 0..N, Heartbeat, then the lanes, until cancelled. Raises NotRegistered or LinkLost."""
        self._connection, self._outcomes.epoch = connection, epoch
        try:
            self._lanes.company.begin()
            self._composer.forget()
            await self._station.begin()
            self._outcomes.answered_up_to.clear()  # that look has taken with it what rode along
            for _ in range(self._station.connector_count + 1):  # once each: what changes meanwhile takes its turn
                news = self._station.next_news()
                if news is None:
                    break
                await self._answer_questions()
                await self._tell(*news)
            if await self._heartbeat(heartbeat_interval):
                on_announced()
            while True:
                await self._step(heartbeat_interval)
        finally:
            self._connection = self.outstanding = None
            for question in self._questions:
                _fail(question, UplinkDown("the connection to the CSMS ended"))
            self._questions.clear()
            self._outcomes.give_up_verdicts()

    async def _step(self, heartbeat_interval: float) -> None:
        """The next thing to send, or a wait for one."""
        self._wake.clear()
        await self._answer_questions()
        now = self._clock.monotonic()
        if now >= self._heartbeat_at:
            await self._heartbeat(heartbeat_interval)
            return
        news = self._station.next_news()
        chosen = None
        if news is None or self._since_status < TURNS_PER_STATUS:
            chosen = self._lanes.choose(now)
        if chosen is not None:
            self._since_status += 1
            await self._send(chosen)
        elif news is not None:
            self._since_status = 0
            await self._tell(*news)
        elif (report := self._job_reports.next_news()) is not None:
            await self._report(report)
        else:
            await self._rest(now)

    async def _rest(self, now: float) -> None:
        """Until there is something new, or a lane or the Heartbeat is due."""
        ready = self._lanes.next_ready()
        until = self._heartbeat_at if ready is None else min(self._heartbeat_at, max(ready, now + 0.01))
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
        """Those that are there now: a flood of them must not hold up the lanes."""
        for _ in range(min(len(self._questions), QUESTIONS_AT_ONCE)):
            question = self._questions.popleft()
            if question.answer.done():
                continue
            try:
                answer = await self._call(question.action, question.payload)
            except (LinkLost, NotRegistered) as error:
                _fail(question, UplinkDown(str(error)))
                raise
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
        if isinstance(answer, CallError) and actions.is_permanent(answer.code):
            # As with any message: once more without what the schema forbids (interface.md, guarantee 2).
            better, losses = second_try(VERSION, "StatusNotification", payload)
            if better != payload:
                self._log.warning("status_sent_changed", connector=connector, code=answer.code, changes=list(losses))
                answer = await self._call("StatusNotification", better)
        if isinstance(answer, CallError):
            self._log.warning("status_refused", connector=connector, code=answer.code, why=answer.description)
        is_lost = answer is None or (isinstance(answer, CallError) and not actions.is_permanent(answer.code))
        self._station.told(connector, payload, again=is_lost)

    async def _report(self, report: Report) -> None:
        answer = await self._call(report.action, report.payload)
        is_lost = answer is None or (isinstance(answer, CallError) and not actions.is_permanent(answer.code))
        await self._job_reports.told(report, again=is_lost)

    async def _heartbeat(self, interval: float) -> bool:
        """Whether the CSMS answered it."""
        own = self._configuration.seconds("HeartbeatInterval")
        self._heartbeat_at = self._clock.monotonic() + (own or interval)
        answer = await self._call("Heartbeat", {})
        if isinstance(answer, CallResult):
            self.on_csms_time(dialect.current_time(answer.payload))
        return answer is not None

    # --- one message

    async def _send(self, number: int) -> None:
        lane = self._lanes[number]
        head = lane.waiting[0]
        try:
            prepared = await self._composer.next_of(number)
        except CommitFailed as error:
            self._log.error("message_not_bound", seq=head.seq, why=str(error))
            self._wait_for_disk(lane)
            return
        if not lane.has_head(head.seq):
            return  # a late answer came in the meantime
        if prepared is None:
            lane.advance()  # its transaction was parked, or the CSMS has it
            return
        if prepared.passed_over:
            seqs = [one.seq for one in prepared.passed_over]
            self._log.error("messages_passed_over", before=head.seq, seqs=seqs)
            lane.put_first(prepared.passed_over)
            return
        if not prepared.is_sendable:
            self._wait_for_disk(lane)  # the id that the CSMS gave to its start is not stored; the start comes again
            return
        if lane.starts_with(prepared.seqs):  # else others were put between: again
            await self._send_prepared(number, lane, prepared)

    async def _send_prepared(self, number: int, lane: Lane, prepared: Prepared) -> None:
        sent = Sent(
            number, prepared.message, prepared.seqs, prepared.entries, prepared.payload, self._moment(),
            lane.is_repaired,
        )  # fmt: skip
        lane.sent = max(lane.sent, len(sent.seqs))
        self.outstanding = sent
        asyncio.get_running_loop().call_soon(self._look_ahead, sent)  # when this one is with the socket
        try:
            answer = await self._call(sent.action, sent.payload, on_answer=lambda got: self._answered(sent, got))
        except (LinkLost, asyncio.CancelledError):
            self._outcomes.unanswered(sent)
            raise
        finally:
            self.outstanding = None
        if answer is None:
            self._composer.forget()
            self._outcomes.unanswered(sent)
            self._outcomes.failed_for_now(sent, "Timeout", "the CSMS did not answer", None)

    def _look_ahead(self, sent: Sent) -> None:
        if self.outstanding is sent:
            self._composer.look_ahead(sent)

    def _answered(self, sent: Sent, answer: Answer) -> None:
        """Called by the reader, in time or late."""
        self._outcomes.answered(sent, answer)
        if isinstance(answer, CallError):
            self._composer.forget()

    def _wait_for_disk(self, lane: Lane) -> None:
        self._composer.forget()
        lane.ready_at = self._clock.monotonic() + back_off(1)


def _fail(question: _Question, error: EdgeError) -> None:
    if not question.answer.done():
        question.answer.set_exception(error)

"""One connection of the simulated charger: what it says, in which order, and how it hears.

Two tasks: one reads, answers commands at once (`obedience16.py`) and resolves answers; the other says one
CALL at a time: BootNotification until it is accepted, the status of all connectors, then what the outbox
holds, and a heartbeat when there is nothing else to say. It ends with the connection; what was not answered
stays in the outbox of the charger.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from ocpp.v16.enums import AuthorizationStatus, RegistrationStatus
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from simulators.messages16 import VERSION
from simulators.obedience16 import Obedience16
from simulators.outbox import Errand, Sent
from simulators.wire import CallRefused, LinkLost, MessageType, Payload, Wire, encode, schema_violation

if TYPE_CHECKING:
    from simulators.charger import Charger


class Conversation:
    def __init__(self, charger: "Charger", socket: ClientConnection) -> None:
        self.wire = Wire(socket, charger.identity, charger.see)
        self.is_ready = False
        self._charger = charger
        self._heartbeat_at: float | None = None

    async def run(self) -> None:
        """Until the connection ends, for whatever reason.

        The end is no exception in the group: Python 3.11's TaskGroup forgets that it was cancelled when a child
        fails in the same moment.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                talk = tasks.create_task(self._until_lost(self._talk()))
                await self._until_lost(self._listen())
                talk.cancel()
        finally:
            self.is_ready = False
            self.wire.lose()

    async def _until_lost(self, part: Coroutine[None, None, None]) -> None:
        try:
            await part
        except (ConnectionClosed, LinkLost) as end:
            self._charger.last_error = str(end)

    def plan_heartbeat(self) -> None:
        # 1.6 §4.6: any message says that the charger is alive, so the heartbeat counts from the last CALL.
        interval_s = self._charger.heartbeat_interval_s
        self._heartbeat_at = _now() + interval_s if interval_s > 0 else None

    async def _listen(self) -> None:
        charger, wire = self._charger, self.wire
        peer = Obedience16(charger, wire)
        while True:
            frame = await wire.recv()
            if frame.message is None:
                charger.violations.append(f"not an OCPP message: {frame.text}")
                continue
            _, message_id, action, payload = frame.message
            charger.requests.append((action, payload))
            violation = schema_violation(VERSION, MessageType.CALL, action, payload)
            if violation is None:
                await peer.route_message(frame.text)
            else:
                charger.violations.append(violation.message)
                await wire.send(encode(MessageType.CALLERROR, message_id, violation.code, violation.message, {}))
            charger.bell.ring()

    async def _talk(self) -> None:
        charger = self._charger
        while True:
            if charger.must_boot:
                await self._register()
            if not self.is_ready:
                await self._introduce()
                continue
            if charger.reset_kind == "Hard" or (charger.reset_kind == "Soft" and charger.outbox.is_empty):
                charger.reset_kind, charger.must_boot = None, True
                await self.wire.close(1001, "reset")
            item = charger.outbox.next_due(_now())
            if isinstance(item, Sent):
                await self._deliver(item)
            elif item is not None:
                await self._run_errand(item)
            elif self._heartbeat_at is not None and self._heartbeat_at <= _now():
                await self._run_errand(Errand("Heartbeat", {}))
            else:
                dues = (charger.outbox.next_attempt_at(), self._heartbeat_at)
                await charger.bell.wait_until(min((due for due in dues if due is not None), default=None))

    async def _register(self) -> None:
        """BootNotification until it is accepted (1.6 §4.2: nothing else is said before)."""
        charger = self._charger
        while charger.must_boot:
            try:
                answer = await self._ask("BootNotification", charger.boot)
            except (CallRefused, TimeoutError) as error:
                charger.last_error = f"BootNotification: {error}"
                await asyncio.sleep(charger.retry_interval_s)
                continue
            charger.boots.append(answer)
            interval_s = float(answer.get("interval", 0))
            if answer.get("status") == RegistrationStatus.accepted:
                charger.must_boot = False
                charger.heartbeat_interval_s = interval_s
                self.plan_heartbeat()
            else:
                charger.last_error = f"registration {answer.get('status')}"
                charger.bell.ring()
                await asyncio.sleep(interval_s or charger.retry_interval_s)

    async def _introduce(self) -> None:
        """The statuses of all connectors, as they are now."""
        charger = self._charger
        charger.outbox.forget("StatusNotification")
        for connector in (0, *charger.outlets):
            await self._run_errand(Errand("StatusNotification", charger.sessions.status(connector)))
            if charger.must_boot:
                return
        self.is_ready = True
        charger.bell.ring()

    async def _deliver(self, sent: Sent) -> None:
        """One attempt to get a transaction message answered."""
        charger, session = self._charger, sent.session
        if session is not None and session.has_failed:
            self._give_up(sent)
            return
        if sent.payload is None:
            sent.payload = sent.request()
            charger.sent.append(sent)
        sent.attempts += 1
        try:
            await self._ask(sent.action, sent.payload, lambda answer: self._take_answer(sent, answer))
        except TimeoutError:
            sent.not_before = _now() + charger.retry_interval_s
        except CallRefused as refusal:
            self._take_refusal(sent, refusal)
        charger.bell.ring()

    def _take_answer(self, sent: Sent, answer: Payload) -> None:
        """At the very moment it is read: the CSMS may stop the transaction with its next frame."""
        charger, session = self._charger, sent.session
        if sent.action == "StartTransaction" and not isinstance(answer.get("transactionId"), int):
            self._take_refusal(sent, CallRefused(sent.action, "", "the answer has no transactionId"))
            return
        sent.answer = answer
        charger.outbox.remove(sent)
        if session is None:
            return
        if sent.action == "StopTransaction":
            session.is_stop_answered = True
        if sent.action == "StartTransaction":
            session.transaction_id = answer["transactionId"]
            session.verdict = answer.get("idTagInfo", {}).get("status")
            is_refused = session.verdict != AuthorizationStatus.accepted
            if is_refused and charger.stop_on_invalid_id and session.is_open:
                charger.sessions.end(session.connector, "DeAuthorized")

    def _take_refusal(self, sent: Sent, refusal: CallRefused) -> None:
        self._note_refusal(refusal)
        sent.error_code = refusal.code
        if refusal.code == "SecurityError":
            return  # repeated as soon as the charger has registered again
        sent.refusals += 1
        sent.not_before = _now() + self._charger.retry_interval_s * sent.refusals
        if sent.refusals >= self._charger.transaction_attempts:
            self._give_up(sent)

    def _give_up(self, sent: Sent) -> None:
        sent.given_up = True
        self._charger.outbox.remove(sent)
        if sent.session is not None and sent.action == "StartTransaction":
            sent.session.has_failed = True
        self._charger.bell.ring()

    async def _run_errand(self, errand: Errand) -> None:
        outcome: Payload | Exception
        try:
            outcome = await self._ask(errand.action, errand.payload)
        except CallRefused as refusal:
            self._note_refusal(refusal)
            outcome = refusal
        except TimeoutError as late:
            outcome = late
        self._charger.outbox.remove(errand)
        errand.settle(outcome)
        self._charger.bell.ring()

    async def _ask(self, action: str, payload: Payload, on_result: Callable[[Payload], None] | None = None) -> Payload:
        charger = self._charger
        self.plan_heartbeat()
        answer = await self.wire.ask(action, payload, charger.answer_timeout_s, charger.new_message_id(), on_result)
        violation = schema_violation(VERSION, MessageType.CALLRESULT, action, answer)
        if violation is not None:
            charger.violations.append(f"answer to {violation.message}")
        return answer

    def _note_refusal(self, refusal: CallRefused) -> None:
        self._charger.refusals.append(refusal)
        self._charger.say(str(refusal))
        if refusal.code == "SecurityError":
            # The CSMS does not know us: register first.
            self._charger.must_boot, self.is_ready = True, False


def _now() -> float:
    return asyncio.get_running_loop().time()

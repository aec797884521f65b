"""One charger's connection: reader, worker and commands around an `RpcConnection`.

The reader (in `edge/connection.py`) hands each CALL to this link's one worker, which lets `intake.py` store it and
answers after the commit. Authorize waits for nobody: it has a worker of its own, one at a time, because its answer
may have to come from the CSMS while the other goes on.
Most chargers say nothing most of the time: a task of a link lives as long as there is something to do for it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import structlog
from websockets.asyncio.server import ServerConnection

from edge.chargers import commissioning, endings
from edge.chargers.commands import CommandQueue
from edge.chargers.commands import Said as SaidToCharger
from edge.chargers.demand import demand_values
from edge.chargers.intake import Intake, Parts, pending_reply, understood
from edge.chargers.refusals import WAITING_AT_MOST, RefusedText
from edge.chargers.tally import Tally, is_id_repeated
from edge.connection import Refusal, Reply, RpcConnection, is_worth_a_line
from edge.dialects.models import Profile
from edge.dialects.v16 import commands as dialect
from edge.dialects.v16 import findings, observe
from edge.domain.events import ChargerBooted
from edge.domain.ids import ChargerId, ChargerNo, Make
from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.ports import Clock, Ids
from edge.flag import Flag
from edge.letterbox import Letterbox
from edge.ocppj.actions import Sender
from edge.ocppj.frames import CHARGER_LIMITS, encode_json
from edge.ocppj.peer import CallReceived, Refused, RpcPeer
from edge.store import exchange, fleet
from edge.store.db import CommitFailed
from edge.store.exchange import Kind, NewExchange

AUTHORIZE = "Authorize"
SILENCE_HEARTBEATS = 2.5
"""Heartbeats that may be missing of a charger that does not answer pings."""


class Arrived(NamedTuple):
    """A CALL that waits for its worker, and what was odd about its coming."""

    received: CallReceived
    noticed: tuple[Peculiarity, ...]


class ChargerLink:
    """The connection of one charger. A pending one (no `charger_no`) is answered and not stored."""

    def __init__(
        self,
        socket: ServerConnection,
        charger: ChargerId,
        charger_no: ChargerNo | None,
        version: str,
        parts: Parts,
        clock: Clock,
        ids: Ids,
        tally: Tally,
    ) -> None:
        self.charger = charger
        self.charger_no = charger_no
        self.version = version
        self.address = _address(socket.remote_address)
        self.our_address = _address(socket.local_address)
        """By which the charger reaches us, with the port."""
        self.connected_at = clock.utc_now()
        self.said_boot: ChargerBooted | None = None
        """Of a pending charger, for whoever is to adopt it."""
        self.knocked_with: bytes | None = None
        """The password that a pending charger showed; kept when it is adopted."""
        self.connection = RpcConnection(
            socket,
            RpcPeer(version, Sender.STATION, CHARGER_LIMITS, repairs=self._repairs),
            clock,
            ids,
            on_call=self._received,
            bad_input=tally.refused_messages,
            on_odd=lambda rule: self.count((rule,)),
            on_refused=self._refused,
        )
        self.commands = CommandQueue(self.connection, clock, ids, self._journal, self._is_mute)
        self.booted = Flag()
        """Set by each boot, cleared by whoever has dealt with it."""
        self._has_booted = Flag()
        self.ended = Flag()
        self._parts = parts
        self.tally = tally
        self._socket = socket
        self._clock = clock
        self._calls = Letterbox(self._work)
        self._authorizes = Letterbox(self._work)
        self._refusals = Letterbox(self._keep_refused)
        self._tasks: asyncio.TaskGroup | None = None
        """Of this link, while it runs."""
        self._of_its_model: dict[str, asyncio.Task[None]] = {}
        """What only some models need, by what it does."""
        self._in_work: dict[str, int] = {}
        """Texts that are not answered yet, and how often each was said again meanwhile."""
        self._intake = None if charger_no is None else Intake(charger, charger_no, version, parts, tally)

    @property
    def _log(self) -> structlog.stdlib.BoundLogger:
        """Made when there is something to say: kept, it would be a hundredth of what a charger takes of memory."""
        return structlog.get_logger("edge.chargers").bind(charger=self.charger, ocpp=self.version)  # type: ignore[no-any-return]

    def last_seen(self) -> datetime:
        """When it last said something."""
        return self._clock.utc_now() - timedelta(seconds=self._clock.monotonic() - self.connection.last_received)

    @property
    def intake(self) -> Intake | None:
        return self._intake

    @property
    def is_pending(self) -> bool:
        return self._intake is None

    def adopt(self, charger_no: ChargerNo) -> None:
        """A pending charger is known from now on; it says BootNotification again by itself."""
        self.charger_no = charger_no
        self._intake = Intake(self.charger, charger_no, self.version, self._parts, self.tally)

    def commission_again(self) -> None:
        """What is to be written into the charger has changed."""
        self.booted.set()

    # --- what is known of its make

    @property
    def profile(self) -> Profile:
        """How this charger wants to be treated."""
        return self._parts.models.profile(self.tally.make)

    def _repairs(self) -> AbstractSet[str]:
        """Repairs of texts that cannot be read: what its model needs, and what the configuration names."""
        return self.profile.tolerances | self._parts.tolerated(self.charger) | {Rule.RESULT_NAMES_ACTION}

    def count(self, rules: Iterable[str]) -> None:
        """These rules concerned something that the charger said."""
        self._parts.fleet.count(self.charger, self.tally, rules, self._clock.monotonic())

    def _received(self, received: CallReceived) -> None:
        text = received.call.text
        if text in self._in_work:
            # The same message once more before it was answered (J.2, 105): done once, answered as often.
            self._in_work[text] += 1
            self.count((Rule.REPEATED_WHILE_PENDING,))
            return
        self._in_work[text] = 0
        letterbox = self._authorizes if received.call.action == AUTHORIZE else self._calls
        letterbox.put(Arrived(received, tuple(self._noticed(received))))

    def _noticed(self, received: CallReceived) -> Iterator[Peculiarity]:
        """What is odd about the conversation, not about the message."""
        call = received.call
        for repair in received.repairs:
            yield Peculiarity(Rule(repair), "the text was no JSON that we hold")
        if self.connection.unanswered > 1:
            yield Peculiarity(Rule.CALLS_IN_PARALLEL, f"{self.connection.unanswered} at once")
        asked = self.connection.outstanding
        if asked is not None and findings.is_effect(asked.action, asked.payload, call.action, call.payload):
            yield Peculiarity(Rule.EFFECT_BEFORE_ANSWER, f"came before the answer to {asked.action}")
        if is_id_repeated(self.tally, call.message_id, call.text):
            yield Peculiarity(Rule.MESSAGE_ID_REPEATED, "the id was used before for something else")

    def _refused(self, text: str, refused: Refused) -> None:
        """A text that is no CALL for us: kept as evidence, then answered."""
        one = RefusedText(text, Rule(refused.misuse), refused.reason, refused.reply)
        if one.rule is Rule.ANSWER_MALFORMED or self._intake is None or len(self._refusals) >= WAITING_AT_MOST:
            self._tell(one)
        else:
            self._refusals.put(one)

    async def _keep_refused(self, one: RefusedText) -> None:
        if self._intake is not None:
            await self._intake.keep_refused(one)
        self._tell(one)

    def _tell(self, refused: RefusedText) -> None:
        if refused.answer is not None:
            self.connection.send(refused.answer)

    async def run(self) -> None:
        """Until the connection ends. A commit that failed closes it: the charger keeps its message and repeats it."""
        letterboxes = (self._calls, self._authorizes, self._refusals)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                asking = self._tasks.create_task(self.commands.run(self._bears_commands))
                commissions = self._tasks.create_task(commissioning.commission(self, self._parts, self._clock))
                for letterbox in letterboxes:
                    letterbox.open(self._tasks)
                self._treat_as_its_model()
                try:
                    await self.connection.run()
                finally:
                    for letterbox in letterboxes:
                        letterbox.close()
                    for task in (asking, commissions, *self._of_its_model.values()):
                        task.cancel()
        except* CommitFailed as failures:
            self._log.error("link_closed_after_failed_commit", error=str(failures.exceptions[0]))
            await self.connection.close(1011, "the message could not be stored")
        except* Exception:  # noqa: BLE001 - the supervisor of this link (style 16)
            self._log.exception("link_failed")
            await self.connection.close(1011, "internal error")
        finally:
            self._tasks = None
            self.ended.set()

    def _treat_as_its_model(self) -> None:
        profile = self.profile
        if not profile.answers_pings:
            self._socket.ping_timeout = None  # websockets looks at it before each ping
            self._also("watch_silence", self._watch_silence)
        if profile.values_on_demand:
            self._also("demand_values", partial(demand_values, self, self._parts))

    def _also(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """From now on, as long as the link lives."""
        if self._tasks is not None and name not in self._of_its_model:
            self._of_its_model[name] = self._tasks.create_task(work())

    async def _bears_commands(self) -> None:
        """Return when the charger may be asked something: some never come up when that is too soon (J.2, 4)."""
        if self.profile.boot_quiet_s == 0:
            return
        try:
            async with asyncio.timeout_at(self._clock.monotonic() + commissioning.QUIET):
                await self._has_booted.wait()
        except TimeoutError:
            return  # it came back without a boot
        await asyncio.sleep(self.profile.boot_quiet_s)

    async def _watch_silence(self) -> None:
        """A charger that never sends a pong is given up when it says nothing for long (J.2, 3)."""
        while True:
            longest = SILENCE_HEARTBEATS * self._parts.defaults.heartbeat_interval
            silent = self._clock.monotonic() - self.connection.last_received
            if silent >= longest and not self.profile.answers_pings:
                self._log.warning("charger_silent", seconds=round(silent))
                await self.connection.close(1001, "nothing was heard for too long")
            await asyncio.sleep(max(1.0, longest - silent))

    async def _is_mute(self) -> None:
        self.count((Rule.COMMANDS_UNANSWERED,))
        self._log.warning("charger_mute", why="it answers no command any more; the connection is closed")
        await self.connection.close(1001, "commands are not answered any more")

    async def _work(self, arrived: Arrived) -> None:
        received, noticed = arrived
        call = received.call
        if self._parts.is_control_only and call.action in observe.TRANSACTION_ACTIONS:
            self._log.warning("not_answered", action=call.action, why="control-only mode: nothing can be stored")
            for _ in range(1 + self._in_work.pop(call.text, 0)):
                self.connection.leave_unanswered(call.message_id)  # the charger keeps it and says it again
            return
        reply = await self._reply(received, noticed)
        if isinstance(reply, Refusal) and is_worth_a_line(times := self.connection.bad_input[reply.code] + 1):
            self._log.warning("call_refused", action=call.action, code=reply.code, why=reply.description, times=times)
        for _ in range(1 + self._in_work.pop(call.text, 0)):
            self.connection.reply(call.message_id, reply)
        if call.action == "BootNotification" and self._intake is not None and not isinstance(reply, Refusal):
            self.booted.set()
            self._has_booted.set()
            self._treat_as_its_model()

    async def _reply(self, received: CallReceived, noticed: tuple[Peculiarity, ...]) -> Reply:
        if self._intake is not None:
            return await self._intake.reply(received, noticed)
        reading = understood(self.version, received)
        event = observe.observe(received.call.action, reading.payload)
        if isinstance(event, ChargerBooted):
            self.said_boot = event
            self.tally.make = Make.said(event.vendor, event.model, event.firmware)
        self.count([one.rule for one in (*noticed, *reading.applied)])
        return pending_reply(received, reading, self._parts.moment())

    def note(self, event: str, detail: str) -> None:
        """Put into the journal that the connection came or went."""
        self._append(Kind.LINK, encode_json({"connection": event, "detail": detail}))
        if (charger_no := self.charger_no) is not None:
            at = {charger_no: round(self.last_seen().timestamp() * 1000)}
            self._parts.store.defer(lambda db: fleet.seen(db, at))

    def _journal(self, said: SaidToCharger) -> None:
        self._append(
            Kind.OUR_CALL,
            dialect.without_secrets(said.action, said.text),
            action=said.action,
            message_id=said.message_id,
            version=self.version,
            tx_no=said.transaction,
            cause_seq=said.cause,
            answer=None if said.answer is None else dialect.without_secrets(said.action, said.answer),
        )
        is_accepted = None if said.answer is None else dialect.is_stop_accepted(said.action, said.answer)
        if is_accepted is not None and (tx_no := said.transaction) is not None:
            at = self._parts.moment()
            self._parts.store.defer(partial(endings.stop_answered, tx_no=tx_no, is_accepted=is_accepted, at=at))

    def _append(self, kind: Kind, text: str, **columns: Any) -> None:
        if self.charger_no is None:
            return  # nothing of a pending charger is stored
        row = NewExchange(self._parts.moment(), self.charger_no, kind, text, **columns)
        self._parts.store.defer(lambda db: exchange.append(db, row))

    async def close(self, code: int, reason: str) -> None:
        await self.connection.close(code, reason)


def _address(end: object) -> str:
    return f"{end[0]}:{end[1]}" if isinstance(end, tuple) else str(end)

"""The one connection to the CSMS: connect, back off, register, then let `sender.py` send and `commands.py` answer.

Implements `CsmsPort`. Chargers never see what happens here: while nothing is accepted, the lanes just grow.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from websockets.exceptions import WebSocketException

from edge.config import Uplink
from edge.connection import Refusal, RpcConnection
from edge.dialects.v16 import station as dialect
from edge.domain.ids import TransactionNo
from edge.domain.ports import CallTimedOut, Clock, Ids, LinkLost, UplinkDown
from edge.jsontypes import Payload
from edge.ocppj.actions import Sender as Side
from edge.ocppj.frames import CSMS_LIMITS, Call, CallError
from edge.ocppj.peer import CallReceived, RpcPeer
from edge.store import delivery, outages
from edge.store.db import CommitFailed, Store
from edge.store.exchange import Moment
from edge.tls.expiry import Shown
from edge.uplink.commands import ACCEPTED, REJECTED, Commands, Outcome
from edge.uplink.configuration import Configuration
from edge.uplink.dialing import Dialer
from edge.uplink.sender import NotRegistered, Sender

ANSWER_WITHIN = 30.0
BACK_OFF_FIRST = 1.0
BACK_OFF_MOST = 64.0
BOOT_AGAIN_AFTER = timedelta(hours=24)
"""A reconnect later than this after the last accepted BootNotification sends another one (A.4)."""
ANSWERED_AT_MOST = 256
"""Answers kept, for a CSMS that sends the same message id twice in one connection."""


@dataclass(slots=True)
class UplinkStatus:
    """What `edge uplink` shows. `state`: offline | connecting | pending | rejected | accepted."""

    state: str
    since: datetime
    last_error: str | None = None
    next_attempt_at: datetime | None = None
    connected_at: datetime | None = None
    registration: str | None = None
    heartbeat_interval: float | None = None
    version: str | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What the station says of itself in BootNotification."""

    serial: str
    firmware: str
    meter: str | None


class UplinkLink:
    """Lives as long as the daemon; `run` connects again and again."""

    def __init__(
        self,
        configured: Callable[[], Uplink | None],
        identity: Identity,
        store: Store,
        sender: Sender,
        commands: Commands,
        configuration: Configuration,
        clock: Clock,
        ids: Ids,
        moment: Callable[[], Moment],
    ) -> None:
        self._configured = configured
        self._identity = identity
        self._store = store
        self._sender = sender
        self._commands = commands
        self._configuration = configuration
        self._clock = clock
        self._ids = ids
        self._moment = moment
        self._answered: OrderedDict[tuple[str, int], asyncio.Future[Outcome]] = OrderedDict()
        """By message id and text: the same id with another text is another command."""
        self._dialer = Dialer(clock)
        self._connection: RpcConnection | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._executing: dict[asyncio.Task[None], None] = {}  # a dict, because a set has no order
        self._booted_at: datetime | None = None
        self._must_boot = True
        self._boot_now = asyncio.Event()
        self._failures = 0
        self._anew = asyncio.Event()
        self.status = UplinkStatus("offline", clock.utc_now())
        self._log = structlog.get_logger("edge.uplink")

    # --- CsmsPort

    def is_accepted(self) -> bool:
        return self.status.state == "accepted"

    async def call(self, action: str, payload: Payload, *, within: float) -> Payload:
        """The CSMS's answer. Raises UplinkDown, CallTimedOut or PeerRefused."""
        if not self.is_accepted():
            raise UplinkDown("the CSMS has not accepted us")
        return await self._sender.ask(action, payload, within)

    async def verdict(self, transaction: TransactionNo, *, within: float) -> str:
        """What the CSMS says of the token of a start in the queue. Raises UplinkDown or CallTimedOut."""
        if not self.is_accepted():
            raise UplinkDown("the CSMS has not accepted us")
        return await self._sender.verdict(transaction, within)

    def certificates(self) -> list[Shown]:
        """What was shown on the last connection, by us and by the CSMS."""
        return self._dialer.certificates()

    # --- connecting

    async def run(self) -> None:
        """Until cancelled. When the CSMS was there and when it was not is put into the journal (`store/outages.py`)."""
        began = self._moment()
        self._store.defer(lambda db: outages.begin(db, began))
        try:
            await self._stay_connected()
        except asyncio.CancelledError:
            self._become("offline", outages.STOPPED)
            raise

    async def _stay_connected(self) -> None:
        """Connect, again and again. A defect in one session costs that session."""
        while True:
            self._anew.clear()
            settings = self._configured()  # a changed one counts from one connection to the next
            if settings is None:
                self._become("offline")
                self.status.last_error = "no uplink is configured"
                await self._anew.wait()
                continue
            self._log = structlog.get_logger("edge.uplink").bind(identity=settings.identity)
            try:
                await self._session(settings)
            except* (OSError, WebSocketException, TimeoutError, UplinkDown, LinkLost, CommitFailed) as errors:
                self.status.last_error = _in_words(_first(errors))
                self._log.warning("uplink_lost", why=self.status.last_error)
            except* Exception:  # noqa: BLE001 - the supervisor of the uplink (style 16)
                self.status.last_error = "internal error, see the log"
                self._log.exception("uplink_failed")
            await self._back_off()

    async def connect_anew(self) -> None:
        """End what there is and connect with the settings in force now; the CSMS hears who we are again."""
        self._must_boot = True
        self._failures = 0
        self._anew.set()
        if self._connection is not None:
            await self._connection.close(1001, "the configuration has changed")

    def _become(self, state: str, why: str | None = None) -> None:
        """`why`: what ended the connection, or was last in the way of it."""
        if state != self.status.state:
            was_accepted = self.is_accepted()
            is_same_outage = {self.status.state, state} == {"offline", "connecting"}
            self.status.state = state
            if not is_same_outage:
                self.status.since = self._clock.utc_now()
            self._log.info("uplink_state", state=state)
            if was_accepted or state == "accepted":
                at = self._moment()
                self._store.defer(lambda db: outages.note(db, at, state, why))

    async def _back_off(self) -> None:
        """1, 2, 4 … 64 s and as much again by chance; the whole site is one client, so it may try early."""
        self._become("offline", self.status.last_error)
        wait = min(BACK_OFF_MOST, BACK_OFF_FIRST * 2.0**self._failures)
        wait += self._ids.jitter(wait)
        self._failures = min(self._failures + 1, 10)
        self.status.next_attempt_at = self._clock.utc_now() + timedelta(seconds=wait)
        try:
            async with asyncio.timeout_at(self._clock.monotonic() + wait):
                await self._anew.wait()
        except TimeoutError:
            pass
        self.status.next_attempt_at = None

    async def _session(self, settings: Uplink) -> None:
        """One connection, from the handshake to its end."""
        await self._check_epoch(settings)
        self._become("connecting")
        ping = self._configuration.seconds("WebSocketPingInterval")
        socket = await self._dialer.dial(settings, ping or None)
        try:
            if self._anew.is_set():
                return  # changed while we were connecting
            self._answered.clear()
            self.status.connected_at, self.status.version = self._clock.utc_now(), "1.6"
            peer = RpcPeer("1.6", Side.CSMS, CSMS_LIMITS)
            connection = RpcConnection(socket, peer, self._clock, self._ids, on_call=self._received)
            self._connection = connection
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._executing[tasks.create_task(self._work(connection, settings))] = None
                await connection.run()
                for task in self._executing:
                    task.cancel()  # nobody is there any more to be answered
            self.status.last_error = (
                "connecting anew: the configuration has changed"
                if self._anew.is_set()
                else f"the CSMS closed the connection (code {socket.close_code})"
            )
            self._log.warning("uplink_closed", code=socket.close_code, reason=socket.close_reason)
        finally:
            self._connection = self._tasks = None
            self._executing.clear()
            self.status.connected_at = None
            await socket.close()

    async def _check_epoch(self, settings: Uplink) -> None:
        """Never send what another CSMS has begun to know (docs/architecture.md, law 8)."""
        epoch, foreign = await self._store.write(
            lambda db: (
                epoch := delivery.open_epoch(db, settings.identity, settings.url, "1.6"),
                delivery.foreign_unfinished(db, epoch),
            )
        )
        self.status.epoch = epoch
        if foreign is not None:
            count, identity, endpoint = foreign
            raise UplinkDown(
                f"{count} unfinished transactions belong to {endpoint} as {identity}: put that uplink back until "
                "they are delivered"
            )

    # --- registered

    async def _work(self, connection: RpcConnection, settings: Uplink) -> None:
        lost = 0.0
        while True:
            if self._needs_boot(settings):
                await self._register(connection, settings)
            self._become("accepted", self.status.last_error)
            self.status.last_error = None
            assert self.status.epoch is not None
            interval = self.status.heartbeat_interval or 300.0
            try:
                await self._sender.run(connection, self.status.epoch, interval, on_announced=self._announced)
            except NotRegistered as error:
                self._log.warning("registration_lost", why=str(error))
                self._become("pending", str(error))
                self._must_boot = True
                # A CSMS that accepts us and then refuses each message must not be asked without a pause.
                await asyncio.sleep(lost)
                lost = min(BACK_OFF_MOST, 2 * lost or 1.0)

    def _announced(self) -> None:
        """The CSMS has answered: the next connection may be tried early again."""
        self._failures = 0

    def _needs_boot(self, settings: Uplink) -> bool:
        """interface.md: at start, on a change, and on a reconnect only when the CSMS needs it."""
        if self._must_boot or self._booted_at is None or settings.boot_on_reconnect == "always":
            return True
        is_old = self._clock.utc_now() - self._booted_at > BOOT_AGAIN_AFTER
        return is_old and settings.boot_on_reconnect == "auto"

    async def _register(self, connection: RpcConnection, settings: Uplink) -> None:
        """BootNotification until it is accepted. Rejected: total silence until the interval is over (C.2)."""
        identity = self._identity
        boot = dialect.boot(settings.vendor, settings.model, identity.serial, identity.firmware, identity.meter)
        while True:
            self._become("pending")
            try:
                answer = await connection.call("BootNotification", boot, within=ANSWER_WITHIN)
            except CallTimedOut as error:
                raise UplinkDown(str(error)) from error
            if isinstance(answer, CallError):
                raise UplinkDown(f"BootNotification was refused: {answer.code} {answer.description}")
            registration = dialect.registration(answer.payload)
            self.status.registration = registration.status
            self._sender.on_csms_time(registration.current_time)
            if registration.status == "Accepted":
                self.status.heartbeat_interval = registration.interval
                self._booted_at, self._must_boot = self._clock.utc_now(), False
                return
            self._log.warning("registration_not_accepted", status=registration.status, again_in=registration.interval)
            if registration.status == "Rejected":
                self._become("rejected")
            await self._until_boot_is_due(registration.interval)

    async def _until_boot_is_due(self, interval: float) -> None:
        """The interval is over, or the CSMS has triggered it."""
        self._boot_now.clear()
        try:
            async with asyncio.timeout_at(self._clock.monotonic() + interval):
                await self._boot_now.wait()
        except TimeoutError:
            return

    # --- what the CSMS asks

    def _received(self, received: CallReceived) -> None:
        call = received.call
        assert self._connection is not None
        if self.status.state == "rejected":
            self._connection.leave_unanswered(call.message_id)  # 1.6 §4.2.1: no answer while rejected
            return
        if received.violations:
            first = received.violations[0]
            self._connection.reply(call.message_id, Refusal(first.code, str(first)))
            return
        assert self._tasks is not None
        task = self._tasks.create_task(self._execute(self._connection, call))
        self._executing[task] = None
        task.add_done_callback(lambda done: self._executing.pop(done, None))

    async def _execute(self, connection: RpcConnection, call: Call) -> None:
        """Once for each message, whatever the CSMS repeats."""
        which = call.message_id, hash(call.text)
        known = self._answered.get(which)
        if known is not None:
            self._log.warning("message_id_repeated", message_id=call.message_id, action=call.action)
            connection.reply(call.message_id, (await asyncio.shield(known)).reply)
            return
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._answered[which] = answered
        if len(self._answered) > ANSWERED_AT_MOST:
            self._answered.popitem(last=False)
        try:
            outcome = self._while_pending(call) or await self._commands.execute(call, is_accepted=self.is_accepted())
        except Exception:  # noqa: BLE001 - the supervisor of this command: it costs this command, not the uplink
            self._log.exception("command_failed", action=call.action)
            outcome = Outcome(Refusal("InternalError", "the command could not be carried out"))
        answered.set_result(outcome)
        connection.reply(call.message_id, outcome.reply)
        if outcome.then is not None:
            await connection.flushed()
            outcome.then()

    def _while_pending(self, call: Call) -> Outcome | None:
        """Before we are accepted, only the BootNotification itself can be triggered (1.6 §4.2.1)."""
        if self.is_accepted() or call.action != "TriggerMessage":
            return None
        if dialect.requested_message(call.payload) == "BootNotification":
            return Outcome(ACCEPTED, then=self._boot_now.set)
        return Outcome(REJECTED)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _in_words(error: BaseException) -> str:
    """Why the connection ended, for a person who is to mend it."""
    if isinstance(error, UplinkDown | LinkLost | CommitFailed):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

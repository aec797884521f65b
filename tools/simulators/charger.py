#!/usr/bin/env python3
"""A well-behaved OCPP 1.6 charger with physics, whose ledger is the ground truth of end-to-end tests.

A technician lets it charge against a controller or a CSMS:

    .venv/bin/python tools/simulators/charger.py --url ws://127.0.0.1:8887/ocpp --id CP-01 \
        --password-file cp-01.key --connectors 2 --tag DEMO-1 --sessions 3 --session-seconds 60

A test runs it (`async with charger.running():`, or `run()` in its own TaskGroup), acts as the driver
(`plug_in`, `authorize`, `start_session`, `stop_session`, `unplug`; `begin_session` and `end_session` do not
wait for answers and so work offline), pulls cables (`disconnect`, `power_cut`, `connect`), waits for facts
(`wait_for`) and then compares what the cloud got with `sent`: one entry for each transaction message, payload
as it was first sent, and whether it was answered. Like a real charger it keeps these messages in a queue while
nobody listens, repeats an unanswered one with an identical payload under a new message id, and sends nothing
out of order. What the controller asked is in `requests`, what it did wrong in `violations`.

One connection: `conversation.py`. Messages: `messages16.py`. Answers to commands: `obedience16.py`.
Connectors and sessions: `sessions.py`. Physics: `outlet.py`. Frames: `wire.py`.
"""

import argparse
import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from ocpp.v16.enums import AuthorizationStatus
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from simulators import messages16
from simulators.conversation import Conversation
from simulators.logs import Logs
from simulators.obedience16 import configuration
from simulators.outbox import Errand, Outbox, Sent
from simulators.outlet import Outlet, Session
from simulators.sessions import AfterPowerLoss, Sessions
from simulators.updating import Updating
from simulators.wire import (
    Bell,
    CallRefused,
    Frame,
    LinkLost,
    Payload,
    dial,
    new_message_id,
    timestamp,
    utc_now,
)

Fact = TypeVar("Fact")


class AuthorizationRefused(Exception):
    """The token was not accepted; `status` says why."""

    def __init__(self, id_tag: str, status: str) -> None:
        super().__init__(f"{id_tag}: {status}")
        self.status = status


class StartRefused(Exception):
    """The StartTransaction was refused so often that the charger gave up."""


class Charger:
    def __init__(
        self,
        identity: str,
        url: str,
        *,
        password: bytes | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connectors: int = 2,
        vendor: str = "Simulated",
        model: str = "Two-Outlet",
        firmware: str = "1.0.0",
        serial: str | None = None,
        meter_interval_s: float = 30.0,
        current_a: float = 16.0,
        phases: int = 3,
        registers_wh: Sequence[int] | None = None,
        boot_on_reconnect: bool = True,
        has_driver: bool = True,
        stop_on_invalid_id: bool = True,
        answer_timeout_s: float = 30.0,
        retry_interval_s: float = 10.0,
        transaction_attempts: int = 3,
        reconnect_s: tuple[float, float] = (0.2, 10.0),
        utc_now: Callable[[], datetime] = utc_now,
        new_message_id: Callable[[], str] = new_message_id,
        on_frame: Callable[[Frame], None] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Options.

        `meter_interval_s` 0: no periodic meter values. `current_a`: what a car draws on each of `phases`.
        `ssl_context`: what it trusts and offers on wss.
        `registers_wh`: meter readings at the beginning, one a connector.
        `has_driver`: somebody plugs in on a remote start and unplugs after a stop.
        `transaction_attempts`: so often may a transaction message be refused before it is given up; silence
        and lost links do not count. `reconnect_s`: first and longest back-off.
        """
        self.identity = identity
        self.url = url
        self.password = password
        self.ssl_context = ssl_context
        self.boot = messages16.boot_notification(vendor, model, firmware, serial)
        registers = registers_wh or [1000 * number for number in range(1, connectors + 1)]
        self.outlets = {
            number: Outlet(number, current_a, phases, registers[number - 1]) for number in range(1, connectors + 1)
        }
        self.boot_on_reconnect = boot_on_reconnect
        self.stop_on_invalid_id = stop_on_invalid_id
        self.answer_timeout_s = answer_timeout_s
        self.retry_interval_s = retry_interval_s
        self.transaction_attempts = transaction_attempts
        self.reconnect_s = reconnect_s
        self.meter_interval_s = meter_interval_s
        self.heartbeat_interval_s = 0.0
        self.configuration = configuration(connectors, meter_interval_s)
        self.local_list_version = 0

        self.sent: list[Sent] = []
        self.requests: list[tuple[str, Payload]] = []
        self.refusals: list[CallRefused] = []
        self.violations: list[str] = []
        self.frames: list[Frame] = []
        self.boots: list[Payload] = []
        self.last_error: str | None = None

        self.new_message_id = new_message_id
        self._on_frame = on_frame
        self._tell = tell
        self.bell = Bell()
        self.outbox = Outbox()
        self.sessions = Sessions(
            self.outlets, self.outbox, has_driver=has_driver, utc_now=utc_now, ring=self.bell.ring, say=self.say
        )
        self.updating = Updating(self)
        self.logs = Logs(self)
        self._conversation: Conversation | None = None
        self._wants_link = True
        self.must_boot = True
        self.reset_kind: str | None = None

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """The charger under power; ends when cancelled and leaves nothing behind."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stay_connected())
                tasks.create_task(self._sample())
                tasks.create_task(self.updating.run())
                tasks.create_task(self.logs.run())
        finally:
            self.outbox.forget()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Charger"]:
        """`run()` for the length of a block. What the block raises comes out as it is, not in a group."""
        failure = None
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.run())
            try:
                yield self
            except Exception as error:  # noqa: BLE001  raised again below, when the task has ended
                failure = error
            finally:
                task.cancel()
        if failure is not None:
            raise failure

    async def connect(self, timeout_s: float = 10.0) -> None:
        """Power on, cable in; returns when the charger is registered and has told its statuses."""
        self.sessions.regain_power()
        self._wants_link = True
        self.bell.ring()
        await self.wait_for(lambda: self.is_ready, timeout_s, f"{self.identity} connected ({self.last_error})")

    async def disconnect(self) -> None:
        """Leave the network with a close frame and stay away; charging goes on."""
        self._wants_link = False
        if self._conversation is not None:
            await self._conversation.wire.close()
        await self._leave()

    async def pull_cable(self) -> None:
        """Leave the network without a word and stay away; charging goes on."""
        self._wants_link = False
        if self._conversation is not None:
            self._conversation.wire.abort()
        await self._leave()

    async def power_cut(self, sessions: str = "stop") -> None:
        """Everything is dead until `connect()`; then open sessions `stop`, `resume`, or are `forget`-ten."""
        self.sessions.lose_power(AfterPowerLoss(sessions))
        self.must_boot = True
        await self.pull_cable()

    async def wait_for(self, predicate: Callable[[], Fact], timeout_s: float = 10.0, what: str = "") -> Fact:
        """What `predicate` returns once it is truthy; it is asked again after each frame and change."""
        try:
            return await self.bell.wait_for(predicate, timeout_s, what)
        except TimeoutError as late:
            last = "\n".join(f"  {frame.direction} {frame.text[:200]}" for frame in self.frames[-12:])
            raise TimeoutError(f"{late}\nlast frames of {self.identity}:\n{last}") from None

    @property
    def is_ready(self) -> bool:
        """Registered, and all statuses are told."""
        return self._conversation is not None and self._conversation.is_ready

    @property
    def queue(self) -> list[Sent]:
        """Transaction messages that were not answered yet, in order."""
        return self.outbox.queue

    async def wait_drained(self, timeout_s: float = 10.0) -> None:
        await self.wait_for(lambda: not self.queue, timeout_s, f"{self.identity}: all transaction messages answered")

    # ── the driver ────────────────────────────────────────────────────────────────────────────────────

    async def plug_in(self, connector: int) -> None:
        self.sessions.plug_in(connector)

    async def unplug(self, connector: int) -> None:
        """In a session this ends it."""
        self.sessions.unplug(connector)

    async def authorize(self, id_tag: str) -> str:
        """The status that the controller gives this token."""
        answer = await self.ask("Authorize", {"idTag": id_tag})
        return str(answer["idTagInfo"]["status"])

    async def start_session(
        self, connector: int, id_tag: str, *, authorize: bool = True, timeout_s: float = 30.0
    ) -> int:
        """Plug in, authorize (when connected), start; the transaction id that the controller gave.

        Raises AuthorizationRefused or StartRefused. A start that is answered but not Accepted ends by itself.
        """
        self.sessions.plug_in(connector)
        if authorize and self.is_ready:
            try:
                status = await self.authorize(id_tag)
            except (LinkLost, TimeoutError):
                status = AuthorizationStatus.accepted  # AllowOfflineTxForUnknownId
            if status != AuthorizationStatus.accepted:
                raise AuthorizationRefused(id_tag, status)
        session = self.begin_session(connector, id_tag)
        await self.wait_for(
            lambda: session.transaction_id is not None or session.has_failed,
            timeout_s,
            f"{self.identity}: StartTransaction on connector {connector} answered",
        )
        if session.transaction_id is None:
            raise StartRefused(f"{self.identity} connector {connector}: {self.refusals[-1]}")
        return session.transaction_id

    async def stop_session(self, connector: int, reason: str = "Local", *, timeout_s: float = 30.0) -> Session:
        """Stop, and wait until the stop was answered."""
        session = self.end_session(connector, reason)
        await self.wait_for(
            lambda: session.is_stop_answered or session.has_failed,
            timeout_s,
            f"{self.identity}: StopTransaction on connector {connector} answered",
        )
        return session

    def begin_session(self, connector: int, id_tag: str) -> Session:
        """Charging begins now; the StartTransaction is queued."""
        return self.sessions.begin(connector, id_tag)

    def end_session(self, connector: int, reason: str = "Local") -> Session:
        """Charging ends now; the StopTransaction is queued."""
        return self.sessions.end(connector, reason)

    async def send_meter_values(self, connector: int, *, timeout_s: float = 30.0) -> Sent:
        """Take a sample now and wait until the controller has it."""
        sent = self.sessions.sample(connector)
        await self.wait_for(lambda: sent.answered or sent.given_up, timeout_s, f"{self.identity}: MeterValues answered")
        return sent

    def draw(self, connector: int, current_a: float) -> None:
        """The car draws another current per phase; 0 suspends."""
        self.sessions.draw(connector, current_a)

    def add_energy(self, connector: int, energy_wh: int) -> None:
        """Move a meter on at once, for tests that have no time."""
        self.outlets[connector].add_energy(energy_wh)

    def set_status(self, connector: int, status: str, error_code: str = "NoError") -> None:
        """Whatever the charger should report, such as Faulted with GroundFailure."""
        self.sessions.set_status(connector, status, error_code)

    async def ask(self, action: str, payload: Payload) -> Payload:
        """Send any CALL that is no transaction message, payload as given, and return the raw answer.

        Raises CallRefused, LinkLost (also when not connected) or TimeoutError.
        """
        if not self.is_ready:
            raise LinkLost(f"{self.identity} is not connected")
        errand = Errand(action, payload, asyncio.get_running_loop().create_future())
        self.sessions.put(errand)
        return await errand.answer

    # ── used by conversation.py and obedience16.py ────────────────────────────────────────────────────

    def configure(self, key: str, value: str) -> None:
        self.configuration[key].value = value
        if key == "MeterValueSampleInterval":
            self.meter_interval_s = float(value)
        if key == "HeartbeatInterval":
            self.heartbeat_interval_s = float(value)
            if self._conversation is not None:
                self._conversation.plan_heartbeat()
        self.bell.ring()

    def reset(self, kind: str) -> None:
        """Stop what runs, then start anew: Soft tells first, Hard goes at once."""
        self.sessions.end_all(f"{kind}Reset")
        self.reset_kind = kind
        self.bell.ring()

    def boot_again(self) -> None:
        self.must_boot = True
        self.bell.ring()

    def see(self, frame: Frame) -> None:
        self.frames.append(frame)
        if self._on_frame is not None:
            self._on_frame(frame)
        self.bell.ring()

    def say(self, line: str) -> None:
        if self._tell is not None:
            self._tell(f"{self.identity} {line}")

    # ── connection ────────────────────────────────────────────────────────────────────────────────────

    async def _stay_connected(self) -> None:
        shortest_s, longest_s = self.reconnect_s
        delay_s = shortest_s
        while True:
            await self.bell.wait_for(lambda: self._wants_link, None)
            try:
                versions = [f"ocpp{messages16.VERSION}"]
                async with dial(self.url, self.identity, self.password, versions, self.ssl_context) as socket:
                    self.last_error = None
                    delay_s = shortest_s
                    if self._wants_link:  # nobody pulled the cable during the handshake
                        await self._converse(socket)
            except (OSError, WebSocketException) as error:
                self.last_error = f"{type(error).__name__}: {error}"
                self.say(f"not connected: {self.last_error}")
                self.bell.ring()
            await self._pause(delay_s)
            delay_s = min(2 * delay_s, longest_s)

    async def _converse(self, socket: ClientConnection) -> None:
        conversation = self._conversation = Conversation(self, socket)
        self.say("connected")
        try:
            await conversation.run()
        finally:
            self._conversation = None
            self.must_boot |= self.boot_on_reconnect
            self.outbox.forget()
            self.say("disconnected")
            self.bell.ring()

    # ── small things ──────────────────────────────────────────────────────────────────────────────────

    async def _sample(self) -> None:
        """Periodic meter values of every open session."""
        last = self._now()
        while True:
            interval_s = self.meter_interval_s
            await self.bell.wait_until(last + interval_s if interval_s > 0 else None)
            if interval_s > 0 and self._now() >= last + interval_s:
                last = self._now()
                self.sessions.sample_all()

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt to connect, or shorter if the charger is told to stay away."""
        deadline = self._now() + seconds
        while self._wants_link and self._now() < deadline:
            await self.bell.wait_until(deadline)

    async def _leave(self) -> None:
        self.bell.ring()
        await self.wait_for(lambda: self._conversation is None)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


# ── program ───────────────────────────────────────────────────────────────────────────────────────────


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A simulated OCPP 1.6 charger that charges and shows what happens.")
    parser.add_argument("--url", required=True, help="ws://HOST:PORT/PATH; the identity is appended")
    parser.add_argument("--id", required=True, help="the charger's identity")
    parser.add_argument("--password-file", type=Path, help="file with the charger's password")
    parser.add_argument("--ca-file", type=Path, help="certificates (PEM) that the controller's is checked against")
    parser.add_argument("--connectors", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--vendor", default="Simulated")
    parser.add_argument("--model", default="Two-Outlet")
    parser.add_argument("--firmware", default="1.0.0")
    parser.add_argument("--tag", default="DEMO-1", help="the driver's token (default: %(default)s)")
    parser.add_argument(
        "--sessions", type=int, default=0, help="sessions to charge, then leave; 0: only obey, for ever"
    )
    parser.add_argument("--session-seconds", type=float, default=60.0, help="length of each (default: %(default)s)")
    parser.add_argument("--meter-interval", type=float, default=30.0, help="seconds between meter values")
    parser.add_argument("--current", type=float, default=16.0, help="ampere per phase (default: %(default)s)")
    parser.add_argument("--phases", type=int, default=3, choices=[1, 2, 3])
    parser.add_argument("--verbose", action="store_true", help="print each frame as it is on the wire")
    return parser.parse_args()


def _print(line: str) -> None:
    print(f"{timestamp(utc_now())} {line}", flush=True)


async def _charge(charger: Charger, tag: str, sessions: int, session_s: float) -> None:
    """Sessions one after the other, taking the connectors in turn."""
    for number in range(sessions):
        connector = number % len(charger.outlets) + 1
        transaction_id = await charger.start_session(connector, tag, timeout_s=3600)
        _print(f"{charger.identity} connector {connector}: transaction {transaction_id}")
        await asyncio.sleep(session_s)
        if charger.outlets[connector].session is not None:  # nobody stopped it remotely
            await charger.stop_session(connector, timeout_s=3600)
        await charger.unplug(connector)
    await charger.wait_for(lambda: charger.outbox.is_empty, 3600, "everything said")
    _print(f"{charger.identity} {len(charger.sent)} transaction messages, all answered")


async def _main() -> None:
    arguments = _arguments()
    charger = Charger(
        arguments.id,
        arguments.url,
        password=arguments.password_file and arguments.password_file.read_bytes().strip(),
        ssl_context=ssl.create_default_context(cafile=arguments.ca_file) if arguments.ca_file else None,
        connectors=arguments.connectors,
        vendor=arguments.vendor,
        model=arguments.model,
        firmware=arguments.firmware,
        meter_interval_s=arguments.meter_interval,
        current_a=arguments.current,
        phases=arguments.phases,
        on_frame=(lambda frame: _print(f"{frame.identity} {frame.direction:3} {frame.text}"))
        if arguments.verbose
        else None,
        tell=_print,
    )
    async with charger.running():
        if arguments.sessions > 0:
            await charger.connect(3600)
            await _charge(charger, arguments.tag, arguments.sessions, arguments.session_seconds)
        else:
            await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except KeyboardInterrupt:
        sys.exit(0)

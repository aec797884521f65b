#!/usr/bin/env python3
"""The cloud: a simulated CSMS that records everything, misbehaves when told to, and is strict.

A technician starts it on a laptop and lets a controller or a charger connect to it:

    .venv/bin/python tools/simulators/csms.py --port 9000 --password-file uplink.key --verbose

A test makes a `Csms`, reads what arrived (`frames`, `calls()`, `transactions`, `violations`), waits for facts
(`await csms.wait_for(lambda: …)`), sends commands (`await csms.call(identity, action, payload)`) and tells it
to misbehave. The hooks, each for one action (None = any), for `times` CALLs (None = all) that satisfy `when`:

    refuse        answers a CALLERROR; the message is not processed
    be_silent     never answers; the message is not processed
    lose_answer   processes (ids are given out, the ledger grows), then cuts the connection instead of answering
    answer_with   processes, then answers this payload instead of the right one
    delay         processes and answers late
    after_answer  awaits a callback in the loop turn after the answer was written
    cut, refuse_connections, outage   the connections break; new ones get HTTP 503

One connection: `station.py`. Answers: `answers16.py`. Transactions: `ledger.py`. Frames: `wire.py`.
"""

import argparse
import asyncio
import base64
import binascii
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Self, TypeVar

from ocpp.v16.enums import AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from simulators.hooks import AfterAnswer, AnswerWith, BeSilent, Callback, Delay, Hooks, LoseAnswer, Predicate, Refuse
from simulators.ledger import Ledger, Received, Transaction
from simulators.station import Rule, Station, Violation, identity_of
from simulators.wire import (
    QUIET,
    Bell,
    CallRefused,
    Frame,
    LinkLost,
    MessageType,
    Payload,
    encode,
    new_message_id,
    schema_violation,
    timestamp,
    utc_now,
)

CsmsCallError = CallRefused  # what `Csms.call` raises when the station answers a CALLERROR
StationOffline = LinkLost  # what it raises when there is no connection, or it ends before the answer
Fact = TypeVar("Fact")


class Csms:
    """The simulated cloud. `async with Csms() as csms:` starts and stops it."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        password: bytes | None = None,
        ssl_context: ssl.SSLContext | None = None,
        subprotocols: Sequence[str] = ("ocpp1.6",),
        first_transaction_id: int = 1,
        tokens: Mapping[str, str] | None = None,
        default_token_status: str = AuthorizationStatus.accepted,
        concurrent_tx: bool = False,
        dedupe: bool = False,
        boot_status: str = RegistrationStatus.accepted,
        boot_interval_s: int = 300,
        boot_on_each_connection: bool = False,
        refuses_malformed: bool = True,
        station_timeout_s: float = 30.0,
        utc_now: Callable[[], datetime] = utc_now,
        new_message_id: Callable[[], str] = new_message_id,
        on_frame: Callable[[Frame], None] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Options; all but the first two, `utc_now`, … can also be changed on the running object.

        `boot_on_each_connection`: a new connection is not registered until it has sent BootNotification.
        `refuses_malformed`: a CALL that the schema forbids gets a CALLERROR and is not processed.
        `station_timeout_s`: how long the station waits for an answer; an earlier second CALL is a violation.
        `on_frame` gets each frame, `tell` a plain line for each thing that happens.
        """
        self.password = password
        self._ssl = ssl_context
        self.subprotocols = tuple(subprotocols)
        self.tokens = dict(tokens or {})
        self.default_token_status = default_token_status
        self.boot_status = boot_status
        self.boot_interval_s = boot_interval_s
        self.boot_on_each_connection = boot_on_each_connection
        self.refuses_malformed = refuses_malformed
        self.station_timeout_s = station_timeout_s
        self.utc_now = utc_now
        self.ledger = Ledger(first_transaction_id, dedupe=dedupe, concurrent_tx=concurrent_tx)
        self.stations: dict[str, Station] = {}
        self.registered: set[str] = set()
        self.frames: list[Frame] = []
        self.received: list[Received] = []
        self.violations: list[Violation] = []
        self.handshakes_refused = 0
        self._host = host
        self._port = port
        self._new_message_id = new_message_id
        self.on_frame = on_frame
        self._tell = tell
        self.hooks = Hooks()
        self.failures: list[Exception] = []
        self.bell = Bell()
        self._refuses_connections = False
        self._server: Server | None = None

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Listen; after a `stop()` again on the same port, with everything remembered."""
        self._server = await serve(
            self._serve,
            self._host,
            self._port,
            process_request=self._admit,
            subprotocols=self.subprotocols,
            ssl=self._ssl,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=4 * 1024 * 1024,
            logger=QUIET,
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything; raises what failed in here or in callbacks, so that no test misses it."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        if self.failures:
            failures, self.failures = self.failures, []
            raise ExceptionGroup("the simulated cloud or a callback of it failed", failures)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"{'ws' if self._ssl is None else 'wss'}://{self._host}:{self._port}/ocpp"

    # ── what a test reads ─────────────────────────────────────────────────────────────────────────────

    @property
    def transactions(self) -> dict[int, Transaction]:
        return self.ledger.transactions

    @property
    def orphans(self) -> list[Received]:
        """Stops and meter values that named a transaction which was never given out."""
        return self.ledger.orphans

    def calls(self, action: str | None = None, identity: str | None = None) -> list[Received]:
        """CALLs in the order received."""
        return [
            received
            for received in self.received
            if action in (None, received.action) and identity in (None, received.identity)
        ]

    async def wait_for(self, predicate: Callable[[], Fact], timeout_s: float = 10.0, what: str = "") -> Fact:
        """What `predicate` returns once it is truthy; it is asked again after each frame and connection."""
        try:
            return await self.bell.wait_for(predicate, timeout_s, what)
        except TimeoutError as late:
            last = "\n".join(f"  {frame.identity} {frame.direction} {frame.text[:200]}" for frame in self.frames[-12:])
            raise TimeoutError(f"{late}\nlast frames:\n{last}") from None

    async def wait_registered(self, identity: str, timeout_s: float = 10.0) -> Station:
        """The connection of a station, once it is connected and its boot was accepted."""
        await self.wait_for(
            lambda: identity in self.stations and identity in self.registered, timeout_s, f"{identity} registered"
        )
        return self.stations[identity]

    # ── commands and misbehaviour ─────────────────────────────────────────────────────────────────────

    async def call(self, identity: str, action: str, payload: Payload, timeout_s: float = 10.0) -> Payload:
        """Raw JSON there, raw JSON back; raises CsmsCallError, StationOffline or TimeoutError."""
        station = self.stations.get(identity)
        if station is None:
            raise StationOffline(f"{identity} is not connected")
        answer = await station.wire.ask(action, payload, timeout_s, self._new_message_id())
        violation = schema_violation(station.version, MessageType.CALLRESULT, action, answer)
        if violation is not None:
            station.violate(Rule.SCHEMA, f"answer to {violation.message}", encode(answer))
        return answer

    def refuse(
        self,
        action: str | None,
        code: str = "InternalError",
        times: int | None = 1,
        when: Predicate | None = None,
        description: str = "refused by the test",
    ) -> None:
        self.hooks.add(Refuse(code, description), action, times, when)

    def be_silent(self, action: str | None, times: int | None = 1, when: Predicate | None = None) -> None:
        self.hooks.add(BeSilent(), action, times, when)

    def lose_answer(self, action: str | None, times: int | None = 1, when: Predicate | None = None) -> None:
        self.hooks.add(LoseAnswer(), action, times, when)

    def answer_with(
        self, action: str | None, payload: Payload, times: int | None = 1, when: Predicate | None = None
    ) -> None:
        self.hooks.add(AnswerWith(payload), action, times, when)

    def delay(
        self, action: str | None, seconds: float, times: int | None = None, when: Predicate | None = None
    ) -> None:
        self.hooks.add(Delay(seconds), action, times, when)

    def after_answer(
        self, action: str | None, callback: Callback, times: int | None = 1, when: Predicate | None = None
    ) -> None:
        self.hooks.add(AfterAnswer(callback), action, times, when)

    def behave(self) -> None:
        """Forget all hooks and accept connections again."""
        self.hooks.clear()
        self._refuses_connections = False

    def cut(self) -> None:
        """Drop all connections abruptly, as a dead network does."""
        for station in list(self.stations.values()):
            station.wire.abort()

    def refuse_connections(self, refused: bool = True) -> None:
        """New connections get HTTP 503; those that stand are left alone (see `cut`)."""
        self._refuses_connections = refused

    @contextmanager
    def outage(self) -> Iterator[None]:
        """`with csms.outage():` no connection stands and none is accepted."""
        self.refuse_connections(True)
        self.cut()
        try:
            yield
        finally:
            self.refuse_connections(False)

    def forget_registration(self, identity: str) -> None:
        """As after a restart of a cloud without memory: the station must boot again."""
        self.registered.discard(identity)

    # ── used by station.py and answers16.py ───────────────────────────────────────────────────────────

    def verdict(self, received: Received) -> dict[str, str]:
        """The idTagInfo for the token in this message."""
        status = self.tokens.get(str(received.payload.get("idTag")), self.default_token_status)
        starts = received.action == "StartTransaction"
        if starts and status == AuthorizationStatus.accepted and self.ledger.is_charging_elsewhere(received):
            status = AuthorizationStatus.concurrent_tx
        return {"status": status}

    def say(self, line: str) -> None:
        if self._tell is not None:
            self._tell(line)

    # ── connections ───────────────────────────────────────────────────────────────────────────────────

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """The HTTP side: 503 in an outage, 401 without the right password, else go on."""
        if not self._refuses_connections and self._knows_password(request):
            return None
        self.handshakes_refused += 1
        self.bell.ring()
        if self._refuses_connections:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "outage\n")
        self.say(f"{identity_of(request)} refused: wrong password")
        response = connection.respond(HTTPStatus.UNAUTHORIZED, "wrong password\n")
        response.headers["WWW-Authenticate"] = 'Basic realm="ocpp"'
        return response

    def _knows_password(self, request: Request) -> bool:
        if self.password is None:
            return True
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(credentials, validate=True)
        except binascii.Error:
            return False
        return scheme.lower() == "basic" and given == identity_of(request).encode() + b":" + self.password

    async def _serve(self, socket: ServerConnection) -> None:
        identity = identity_of(socket.request)
        if self.boot_on_each_connection:
            self.registered.discard(identity)
        try:
            async with asyncio.TaskGroup() as tasks:
                await Station(self, socket, identity, tasks).run()
        except* ConnectionClosed:
            pass
        except* Exception as group:  # noqa: BLE001  stop() raises it
            self.failures.extend(group.exceptions)


# ── program ───────────────────────────────────────────────────────────────────────────────────────────


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A simulated OCPP 1.6 CSMS that shows what it receives.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--password-file", type=Path, help="file with the password that stations must send")
    parser.add_argument("--cert-file", type=Path, help="certificate (PEM): speak wss; needs --key-file")
    parser.add_argument("--key-file", type=Path, help="its private key (PEM)")
    parser.add_argument("--boot-status", default="Accepted", choices=["Accepted", "Pending", "Rejected"])
    parser.add_argument("--interval", type=int, default=300, help="heartbeat interval in seconds")
    parser.add_argument("--token", action="append", default=[], metavar="TAG=STATUS", help="status of one token")
    parser.add_argument("--default-token-status", default="Accepted", help="status of all other tokens")
    parser.add_argument("--dedupe", action="store_true", help="recognise repeated starts, as SteVe does")
    parser.add_argument("--concurrent-tx", action="store_true", help="refuse a token's second open transaction")
    parser.add_argument("--verbose", action="store_true", help="print each frame as it is on the wire")
    return parser.parse_args()


def _print(line: str) -> None:
    print(f"{timestamp(utc_now())} {line}", flush=True)


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    if arguments.cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.cert_file, arguments.key_file)
    return context


async def _main() -> None:
    arguments = _arguments()
    csms = Csms(
        arguments.host,
        arguments.port,
        password=arguments.password_file and arguments.password_file.read_bytes().strip(),
        ssl_context=_tls(arguments),
        tokens=dict(token.rsplit("=", 1) for token in arguments.token),
        default_token_status=arguments.default_token_status,
        concurrent_tx=arguments.concurrent_tx,
        dedupe=arguments.dedupe,
        boot_status=arguments.boot_status,
        boot_interval_s=arguments.interval,
        on_frame=(lambda frame: _print(f"{frame.identity} {frame.direction:3} {frame.text}"))
        if arguments.verbose
        else None,
        tell=_print,
    )
    async with csms:
        _print(f"listening on {csms.url}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except KeyboardInterrupt:
        sys.exit(0)

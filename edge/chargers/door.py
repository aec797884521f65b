"""The way in of one listener: with TLS or without, and what is known of those who did not get through.

The TCP connection comes in plain; where the listener has a certificate, the TLS handshake is the first thing on it
(`loop.start_tls` inside the opening handshake of websockets). So a failure has an address and OpenSSL's reason,
which asyncio would otherwise swallow, and a new certificate counts from the next handshake on. Who gets through the
door meets `server.py`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from ssl import SSLContext
from typing import Any

import structlog
from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event
from websockets.server import ServerProtocol

from edge.chargers.manners import CONTROLS_AT_MOST, UNREAD_AT_MOST, Asking, Controls, Misbehaved
from edge.chargers.threshold import Seldom, Threshold, network_of
from edge.config import Listener
from edge.domain.ports import Clock
from edge.tls.contexts import Pair, listener_context, read_certificates
from edge.tls.failures import TLS_ON_A_PLAIN_PORT, Failure, of_charger
from edge.tls.x509 import Certificate

TLS_WITHIN = 10.0
CLOSE_WITHIN = 5.0
HANDSHAKES_PER_ADDRESS = 32
"""So many TLS handshakes of one address may be under way; more wait for their turn, and hold no TLS state."""
READ_AT_ONCE = 16 * 1024
"""Bytes of one connection, before the others have their turn: a flood of tiny frames takes long to read."""
CONTROLS = (Opcode.PING, Opcode.PONG)
CLIENT_HELLO = b"\x16"
"""The first byte of every TLS connection; no HTTP request has it."""


@dataclass(frozen=True, slots=True)
class FailedHandshake:
    at: datetime
    address: str
    words: str


class FailedHandshakes:
    """Counts them, and tells the log of them without letting a scanner fill it."""

    def __init__(self, clock: Clock) -> None:
        self.by_cause: Counter[str] = Counter()
        self.last: FailedHandshake | None = None
        self._clock = clock
        self._seldom = Seldom(clock)
        self._log = structlog.get_logger("edge.chargers")

    def note(self, port: int, address: str, failure: Failure) -> None:
        self.by_cause[failure.cause] += 1
        self.last = FailedHandshake(self._clock.utc_now(), address, failure.words)
        untold = self._seldom.untold_before((address, failure.cause))
        if untold is not None:
            self._log.warning(
                "tls_handshake_failed", address=address, port=port, why=failure.words, untold_before=untold
            )


@dataclass(frozen=True, slots=True)
class Papers:
    """What a listener shows to chargers."""

    context: SSLContext
    certificates: tuple[Certificate, ...]
    """Its own, without those that signed them."""


def papers_of(listener: Listener) -> Papers | None:
    """From the files; None where the listener has no TLS, or none any more. Raises CertificateUnusable."""
    if listener.security_profile < 2:
        return None
    files = (
        (listener.cert_file, listener.key_file),
        (listener.second_cert_file, listener.second_key_file),
    )
    pairs = [Pair(cert, key) for cert, key in files if cert is not None and key is not None]
    if not pairs:
        return None
    return Papers(listener_context(pairs), tuple(read_certificates(pair.cert_file)[0] for pair in pairs))


@dataclass(slots=True)
class Turns:
    """Of one address."""

    free: asyncio.Semaphore
    wanted: int = 0


class Door:
    """Makes the connections of one listener, and lets them in."""

    def __init__(self, listener: Listener, clock: Clock, threshold: "Threshold[ServerConnection]") -> None:
        self.listener = listener
        self.port = listener.port
        """The one that the system has chosen, where the file leaves it free."""
        self.papers = papers_of(listener)
        if self.papers is None and listener.security_profile >= 2:
            raise ValueError("a listener of security profile 2 without a certificate")  # `edge.config` lets none pass
        self.failed = FailedHandshakes(clock)
        self.turned_away: Counter[str] = Counter()
        """Connections that were refused since our start, by the reason."""
        self._threshold = threshold
        self._seldom = Seldom(clock)
        self._turns: dict[str, Turns] = {}
        self._log = structlog.get_logger("edge.chargers")

    @property
    def address(self) -> str:
        host = self.listener.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def show(self, papers: Papers | None) -> bool:
        """Show these from the next handshake on; whether they are others than before.

        None, when the file has given up TLS, changes nothing: that takes a restart.
        """
        if papers is None or self.papers is None:
            return False
        is_new = papers.certificates != self.papers.certificates
        self.papers = papers
        if is_new:
            until = [f"{one.not_after:%Y-%m-%d}" for one in papers.certificates]
            self._log.info("certificate_renewed", listener=self.address, valid_until=until)
        return is_new

    def failure(self, address: str, failure: Failure) -> None:
        self.failed.note(self.port, address, failure)

    def lets_wait(self, connection: ServerConnection, address: str) -> bool:
        """Whether one that has just come may say who it is; it counts until it is served or gone."""
        if (crowding := self._threshold.in_the_way_of(address)) is not None:
            self._threshold.leave(crowding)
            self._tell("connection_refused", address_of(crowding.transport), "most that have not logged in are its", {})
            crowding.transport.abort()
        why = self._threshold.enter(connection, address)
        if why is not None:
            self._tell("connection_refused", address, why, {})
        return why is None

    def waits_no_more(self, connection: ServerConnection) -> None:
        """It is served, or gone."""
        self._threshold.leave(connection)

    def refused(self, connection: ServerConnection, why: str, **about: object) -> None:
        self._tell("handshake_refused", address_of(connection.transport), why, about)

    def dropped(self, connection: ServerConnection, why: str) -> None:
        self._tell("connection_dropped", address_of(connection.transport), why, {})

    def no_version(self, connection: ServerConnection, **about: object) -> None:
        self._tell("no_common_version", address_of(connection.transport), "no common OCPP version", about)

    def _tell(self, event: str, address: str, why: str, about: dict[str, object]) -> None:
        self.turned_away[why] += 1
        untold = self._seldom.untold_before((address, why))
        if untold is not None:
            self._log.warning(event, address=address, port=self.port, why=why, **about, untold_before=untold)

    def connection(self, protocol: ServerProtocol, server: Server, **options: Any) -> ServerConnection:
        """Asked for by websockets when somebody connects."""
        if self.papers is None:
            return PlainConnection(self, protocol, server, **options)
        return TlsConnection(self, protocol, server, **options)

    async def secure(self, plain: asyncio.Transport) -> tuple[asyncio.Transport, "Early"]:
        """The TLS handshake with a charger. Raises OSError when it fails; that has been told then."""
        papers = self.papers
        assert papers is not None
        early = Early()
        loop = asyncio.get_running_loop()
        address = address_of(plain)
        try:
            async with self._turn(address):
                secured = await loop.start_tls(
                    plain,
                    early,
                    papers.context,
                    server_side=True,
                    ssl_handshake_timeout=TLS_WITHIN,
                    ssl_shutdown_timeout=CLOSE_WITHIN,
                )
            if secured is None or early.is_lost:
                raise ConnectionResetError
        except OSError as error:
            self.failure(address, of_charger(error, papers.certificates))
            raise
        assert isinstance(secured, asyncio.Transport)
        return secured, early

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        """Somebody who opens connections and never says a word costs himself, not the others."""
        network = network_of(address)
        turns = self._turns.setdefault(network, Turns(asyncio.Semaphore(HANDSHAKES_PER_ADDRESS)))
        turns.wanted += 1
        try:
            async with turns.free:
                yield
        finally:
            turns.wanted -= 1
            if turns.wanted == 0:
                del self._turns[network]


class Early(asyncio.Protocol):
    """Keeps what a charger sends in the same packet as the end of its handshake, until the connection takes over."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.said += data

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True


class DoorConnection(ServerConnection):
    """A connection that counts at the door until it is served."""

    # Beside the 27 attributes of websockets: instances with more than 30 share no keys, and take 1.3 kB more each.
    __slots__ = ("_asking", "_controls", "_door", "_is_let_in", "judged_as")

    def __init__(self, door: Door, protocol: ServerProtocol, server: Server, **options: Any) -> None:
        super().__init__(protocol, server, **options)
        self._door = door
        self._is_let_in = False
        self.judged_as: Hashable = None
        """What was known of the charger when it was let in; None: nothing."""
        self._asking = Asking()
        self._controls = Controls()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.max_size = READ_AT_ONCE  # type: ignore[attr-defined]  # asyncio's own, and harmless where it is not
        self._is_let_in = self._door.lets_wait(self, address_of(transport))
        if self._is_let_in:
            super().connection_made(transport)
        else:
            transport.abort()  # before there is a task for it

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_let_in:
            self._door.waits_no_more(self)
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.response is None:
            asked = self._asking.take(data)
            if isinstance(asked, Misbehaved):
                self._door.refused(self, asked.why)
                self.transport.abort()
            elif asked:
                super().data_received(asked)
            return
        super().data_received(data)
        if self.transport.get_write_buffer_size() > UNREAD_AT_MOST:
            self._drop(f"it does not read: more than {UNREAD_AT_MOST} bytes wait for it")

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in CONTROLS and self._controls.are_too_many(self.loop.time()):
            self._drop(f"more than {CONTROLS_AT_MOST} pings and pongs in a minute")
        else:
            super().process_event(event)

    def _drop(self, why: str) -> None:
        if not self.transport.is_closing():
            self._door.dropped(self, why)
            self.transport.abort()


class TlsConnection(DoorConnection):
    """A connection whose opening handshake begins with TLS."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        # What comes in is TLS's; `start_tls` goes on reading. Not at once: the asyncio of Python 3.11.2 begins to read
        # after this call, paused or not, and nothing can come before the next turn of the loop.
        asyncio.get_running_loop().call_soon(transport.pause_reading)
        super().connection_made(transport)

    async def handshake(self, *hooks: Any, **options: Any) -> None:
        try:
            secured, early = await self._door.secure(self.transport)
        except BaseException:
            self._door.waits_no_more(self)  # while it is TLS's, its end is told to TLS
            raise
        # The part of `connection_made` that does not start this handshake once more.
        super(ServerConnection, self).connection_made(secured)
        secured.set_protocol(self)
        if early.said:
            self.data_received(bytes(early.said))
        await super().handshake(*hooks, **options)


class PlainConnection(DoorConnection):
    """A connection without TLS, which notices a charger that wants it."""

    def data_received(self, data: bytes) -> None:
        if self.request is None and data.startswith(CLIENT_HELLO):
            self._door.failure(address_of(self.transport), TLS_ON_A_PLAIN_PORT)
            self.transport.abort()
            return
        super().data_received(data)


def address_of(transport: asyncio.BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else "unknown"

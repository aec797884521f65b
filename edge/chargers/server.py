"""Where chargers connect: the handshake of OCPP-J, then a link.

An identity is let in or turned away before the upgrade completes (A.1): unknown → 404, wrong password → 401. While
unknown chargers may be adopted (`unknown = "pending"`), they may knock without a valid password and are kept apart.
A charger that has a password shows it on every listener: one of security profile 0 is for those that have none.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from edge.chargers.door import CLOSE_WITHIN, TLS_WITHIN, Door, DoorConnection, papers_of
from edge.chargers.intake import Parts
from edge.chargers.link import ChargerLink
from edge.chargers.roster import Roster
from edge.chargers.threshold import Threshold
from edge.config import ChargerDefaults, Config
from edge.domain.ids import ChargerId, ChargerNo
from edge.domain.peculiarities import Rule
from edge.domain.ports import Clock, Ids
from edge.ocppj import handshake
from edge.ocppj.frames import CHARGER_LIMITS
from edge.tls.expiry import Shown

PING_INTERVAL = 30.0
PING_TIMEOUT = 30.0
OPEN_TIMEOUT = 10.0
BACKLOG = 1024
"""Connections that may wait to be accepted: a whole yard reconnects at once after a power cut."""

WITHOUT_SUBPROTOCOL = "1.6"
"""What a charger speaks that offers no subprotocol, where that is tolerated."""
NO_HANDSHAKE = {
    426: "its request says no Connection: Upgrade: it opens no WebSocket, or a proxy in between takes that away",
    400: "its request is no WebSocket handshake",
}
"""By the status with which websockets answers."""

OFFERED_SHOWN = 80
"""Characters of the subprotocols that a charger offers."""
CLOSED_FOR = {1007: Rule.TEXT_NOT_UTF8, 1009: Rule.TEXT_TOO_LONG}
"""Why websockets closes a connection before we see the text."""

Adopt = Callable[[ChargerId, bytes | None], Awaitable[ChargerNo]]


class ChargerServer:
    """The listeners of the site."""

    def __init__(
        self, config: Callable[[], Config], roster: Roster, parts: Parts, clock: Clock, ids: Ids, adopt: Adopt
    ) -> None:
        self._config = config
        self._roster = roster
        self._parts = parts
        self._clock = clock
        self._ids = ids
        self._adopt = adopt
        self.doors: list[Door] = []
        """Of the listeners, in file order, once they are open."""
        self._servers: list[Server] = []
        self._threshold = Threshold[ServerConnection]()
        self._log = structlog.get_logger("edge.chargers")

    @property
    def _defaults(self) -> ChargerDefaults:
        """In force now."""
        return self._config().chargers

    async def open(self) -> list[int]:
        """Listen on all, in file order, and on which ports.

        Raises OSError naming the address when one is taken, or CertificateUnusable.
        """
        self.doors = [Door(listener, self._clock, self._threshold) for listener in self._config().listeners]
        for door in self.doors:
            self._servers.append(await self._listen(door))
        return [door.port for door in self.doors]

    async def close(self) -> None:
        """Tell all chargers that we leave, and be gone a few seconds later, whoever answers or not."""
        for server in self._servers:
            server.close(code=1001, reason="the controller restarts")
        for connection in self._threshold.waiting():  # what has not even logged in has no claim to be waited for
            connection.transport.abort()
        if await self._are_closed():
            return
        for server in self._servers:
            for connection in server.all_connections:
                connection.transport.abort()
        if not await self._are_closed():
            self._log.error("listener_not_closed", consequence="what still ran for its chargers is cancelled")

    async def _are_closed(self) -> bool:
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                for server in self._servers:
                    await server.wait_closed()
        except TimeoutError:
            return False
        return True

    def renew_certificates(self, config: Config) -> list[str]:
        """Take into use what the files hold now; the addresses whose certificate is another one than before.

        `config` has the listeners that are open, in the same order: others take a restart. Counts from the next
        handshake on, connections stay. Raises CertificateUnusable, and leaves all as it was.
        """
        papers = [papers_of(listener) for listener in config.listeners]
        return [door.address for door, new in zip(self.doors, papers, strict=True) if door.show(new)]

    def certificates(self) -> list[Shown]:
        """What the listeners show to chargers."""
        return [
            Shown(f"listener {door.address}", certificate)
            for door in self.doors
            if door.papers is not None
            for certificate in door.papers.certificates
        ]

    async def _listen(self, door: Door) -> Server:
        listener = door.listener
        server = await serve(
            self._connected(door),
            listener.host,
            listener.port,
            process_request=self._admitted(door),
            process_response=self._answered(door),
            select_subprotocol=self._select,
            compression=None,  # some 1.6 stacks choke on it, and it trebles the memory
            max_size=CHARGER_LIMITS.max_characters,
            max_queue=8,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_TIMEOUT,
            open_timeout=OPEN_TIMEOUT if door.papers is None else OPEN_TIMEOUT + TLS_WITHIN,
            close_timeout=CLOSE_WITHIN,
            server_header=None,
            create_connection=door.connection,  # type: ignore[arg-type]  # documented as a factory
            backlog=BACKLOG,
        )
        door.port = server.sockets[0].getsockname()[1]
        return server

    def _select(self, _connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        # None agreed: the handshake is completed without one, then closed (P4 §3.2); see `_connected`.
        chosen = handshake.choose_subprotocol(offered, self._defaults.versions)
        return None if chosen is None else Subprotocol(chosen)

    def _admitted(self, door: Door) -> Callable[[ServerConnection, Request], Response | None]:
        def process_request(connection: ServerConnection, request: Request) -> Response | None:
            name = handshake.identity_from_path(request.path, door.listener.path)
            if name is None:
                door.refused(connection, "no identity under this path", path=request.path[:80])
                return connection.respond(HTTPStatus.NOT_FOUND, "no charger identity in the path\n")
            charger = ChargerId(name)
            enrolment = self._roster.enrolment(charger)
            assert isinstance(connection, DoorConnection)
            connection.judged_as = enrolment
            credentials = _credentials(request)
            if enrolment is None:
                return self._admit_unknown(connection, charger, credentials, door)
            needs_none = door.listener.security_profile == 0 and not enrolment.secrets
            if needs_none or _may_enter(charger, enrolment.secrets, credentials):
                return None
            why = "no password" if credentials is None else "wrong password or user name"
            self._roster.refused(charger, why)
            door.refused(connection, why, charger=charger)
            return _unauthorized(connection)

        return process_request

    def _admit_unknown(
        self, connection: ServerConnection, charger: ChargerId, credentials: tuple[bytes, bytes] | None,
        door: Door,
    ) -> Response | None:  # fmt: skip
        _may_enter(charger, (), credentials)  # the same work as for a known one: identities cannot be guessed by time
        # Somebody has retired it: that it is served again is for a person to say.
        unknown = (
            "pending"
            if self._defaults.unknown == "accept" and self._roster.is_retired(charger)
            else self._defaults.unknown
        )
        if unknown == "reject":
            door.refused(connection, "unknown charger", charger=charger)
            return connection.respond(HTTPStatus.NOT_FOUND, "unknown charger\n")
        if unknown == "accept" and door.listener.security_profile in (1, 2) and credentials is None:
            return _unauthorized(connection)
        if unknown == "pending" and not self._roster.has_room_for_pending():
            door.refused(connection, "too many pending chargers", charger=charger)
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many unknown chargers\n")
        return None

    def _answered(self, door: Door) -> Callable[[ServerConnection, Request, Response], None]:
        def process_response(connection: ServerConnection, request: Request, response: Response) -> None:
            why = NO_HANDSHAKE.get(response.status_code)
            if why is None:
                return
            name = handshake.identity_from_path(request.path, door.listener.path)
            if name is not None:
                self._roster.refused(ChargerId(name), why)
            door.refused(connection, why, charger=name)

        return process_response

    def _version(self, socket: ServerConnection, charger: ChargerId | None) -> str | None:
        """The version in which the charger is served; None: there is none in common."""
        if socket.subprotocol is not None:
            return handshake.version_of(socket.subprotocol)
        assert socket.request is not None
        if charger is None or socket.request.headers.get_all("Sec-WebSocket-Protocol"):
            return None
        # J.2, 1: nothing was offered at all. Which version it speaks is for a person or its model to say.
        tally = self._roster.presence(charger) if self._roster.enrolment(charger) is not None else None
        if tally is None or WITHOUT_SUBPROTOCOL not in self._defaults.versions:
            return None
        by_model = self._parts.models.profile(tally.make).tolerances
        if Rule.SUBPROTOCOL_MISSING not in by_model | self._parts.tolerated(charger):
            return None
        self._parts.fleet.count(charger, tally, (Rule.SUBPROTOCOL_MISSING,), self._clock.monotonic())
        return WITHOUT_SUBPROTOCOL

    def _connected(self, door: Door) -> Callable[[ServerConnection], Awaitable[None]]:
        async def handler(socket: ServerConnection) -> None:
            assert socket.request is not None
            # Exactly what `_admitted` has judged: any other reading of the path would let a stranger in under a name.
            name = handshake.identity_from_path(socket.request.path, door.listener.path)
            version = self._version(socket, None if name is None else ChargerId(name))
            if name is None or version is None:
                offered = ", ".join(socket.request.headers.get_all("Sec-WebSocket-Protocol")) or "none"
                enabled = list(self._defaults.versions)
                door.no_version(socket, charger=name, offered=offered[:OFFERED_SHOWN], enabled=enabled)
                if name is not None:
                    self._roster.refused(ChargerId(name), _no_version(offered, self._defaults.versions))
                await socket.close(1002, "no common OCPP version")
                return
            await self._serve(socket, ChargerId(name), version, door)

        return handler

    async def _serve(self, socket: ServerConnection, charger: ChargerId, version: str, door: Door) -> None:
        assert socket.request is not None
        credentials = _credentials(socket.request)
        password = None if credentials is None else credentials[1]
        enrolment = self._roster.enrolment(charger)
        assert isinstance(socket, DoorConnection)
        if socket.judged_as != enrolment:
            # Since its request was read somebody has adopted it, say: nobody has asked it for the password it now has.
            await socket.close(1012, "what is known of this charger has just changed: connect again")
            return
        charger_no = None if enrolment is None else enrolment.no
        if charger_no is None and self._defaults.unknown == "accept" and not self._roster.is_retired(charger):
            charger_no = await self._adopt(charger, password)
        tally = self._roster.presence(charger)
        link = ChargerLink(socket, charger, charger_no, version, self._parts, self._clock, self._ids, tally)
        link.knocked_with = password
        door.waits_no_more(socket)
        await self._roster.attach(link)
        self._log.info("charger_connected", charger=charger, address=link.address, pending=link.is_pending)
        link.note("opened", link.address)
        try:
            await link.run()
        finally:
            self._roster.detach(link)
            sent = socket.protocol.close_sent
            if sent is not None and sent.code in CLOSED_FOR:
                link.count((CLOSED_FOR[sent.code],))
            link.note("closed", f"code {socket.close_code}")
            self._log.info("charger_disconnected", charger=charger, code=socket.close_code)


def _no_version(offered: str, enabled: Sequence[str]) -> str:
    hint = f'; if it speaks 1.6, tolerate = ["{Rule.SUBPROTOCOL_MISSING}"]' if offered == "none" else ""
    return f"it offers {ascii(offered)[1:-1][:60]} as its subprotocol, expected ocpp{' or ocpp'.join(enabled)}{hint}"


def _credentials(request: Request) -> tuple[bytes, bytes] | None:
    """What it shows; None as well when it shows two: nobody can say which of them counts (RFC 9110 §5.3)."""
    shown = request.headers.get_all("Authorization")
    return handshake.basic_credentials(shown[0]) if len(shown) == 1 else None


def _may_enter(charger: ChargerId, secrets: Sequence[bytes], credentials: tuple[bytes, bytes] | None) -> bool:
    """Whether these are the charger's credentials; the same work whether they are or not."""
    user, password = (b"", b"") if credentials is None else credentials
    matches = [handshake.password_matches(secret, password) for secret in (secrets or (None,))]
    return any(matches) and user == charger.encode()


def _unauthorized(connection: ServerConnection) -> Response:
    response = connection.respond(HTTPStatus.UNAUTHORIZED, "user name = identity, password = its AuthorizationKey\n")
    response.headers["WWW-Authenticate"] = 'Basic realm="ocpp"'
    return response

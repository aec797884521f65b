"""One end of an OCPP-J connection on which every frame is kept as it was.

What passes through: each text of a WebSocket, in both directions, becomes a `Frame` with its time, its text
and its JSON. `ask()` sends raw JSON and waits for the raw answer; `recv()` yields everything that is not an
answer to `ask()`, and `send()` sends. ocpp's `ChargePoint` sits on top: it is given the peer's CALLs
(`route_message`) and builds and sends the answers, while payloads stay intact beside it.

What it guarantees: no frame is unseen, a lost connection fails every `ask()` at once with `LinkLost`, and no
task is started here. `Bell` is how tests wait for a fact without sleeping.
"""

import asyncio
import base64
import json
import logging
import ssl
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import TypeAlias, TypeVar
from urllib.parse import quote

from ocpp.messages import get_validator
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Payload: TypeAlias = dict[str, JsonValue]
Fact = TypeVar("Fact")

# ocpp logs each tolerated peculiarity with a traceback; the frames and violations kept here say it better.
QUIET = logging.getLogger("simulators.ocpp")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False

# ocpp reads these with exact decimals, because 1.6 wants multiples of 0.1 (see ocpp.messages).
_WITH_DECIMALS = {(2, "SetChargingProfile"), (2, "RemoteStartTransaction"), (3, "GetCompositeSchedule")}


class MessageType(IntEnum):
    CALL = 2
    CALLRESULT = 3
    CALLERROR = 4


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Frame:
    """One text frame. `message` is None when the text is not an OCPP-J message."""

    at: float
    identity: str
    direction: Direction
    text: str
    message: list[JsonValue] | None

    @property
    def type(self) -> int | None:
        return None if self.message is None else self.message[0]

    @property
    def message_id(self) -> str | None:
        return None if self.message is None else self.message[1]


class LinkLost(ConnectionError):
    """The connection ended before the answer came."""


class CallRefused(Exception):
    """The peer answered a CALLERROR."""

    def __init__(self, action: str, code: str, description: str, details: JsonValue = None) -> None:
        super().__init__(f"{action} was refused: {code} {description!r}")
        self.action = action
        self.code = code
        self.description = description
        self.details = details


def utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  the one clock of the simulators; simulations pass their own


def new_message_id() -> str:
    return str(uuid.uuid4())


def timestamp(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse(text: str | bytes) -> list[JsonValue] | None:
    """The message in `text`, or None if it is not one of OCPP-J's three types in its right form."""
    try:
        message = json.loads(text)
    except ValueError:
        return None
    match message:
        case [2, str(), str(), dict()] | [3, str(), dict()] | [4, str(), str(), str(), dict()]:
            return message
        case _:
            return None


def dial(
    url: str,
    identity: str,
    password: bytes | None,
    subprotocols: Sequence[str],
    ssl_context: ssl.SSLContext | None = None,
) -> connect:
    """A connection as a charger opens it; the identity is appended to `url`, and is the user name.

    `ssl_context`: what it trusts and offers on wss; by default the system's authorities.
    """
    credentials = {}
    if password is not None:
        user = base64.b64encode(identity.encode() + b":" + password)
        credentials["Authorization"] = f"Basic {user.decode()}"
    return connect(
        f"{url.rstrip('/')}/{quote(identity, safe='')}",
        subprotocols=subprotocols,
        additional_headers=credentials,
        ssl=(ssl_context or True) if url.startswith("wss:") else None,
        compression=None,
        ping_interval=None,
        close_timeout=1,
        proxy=None,
        logger=QUIET,
    )


def encode(*message: JsonValue) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class SchemaViolation:
    """What the schema forbids, and the CALLERROR code with which 1.6 says so."""

    code: str
    message: str


def schema_violation(version: str, message_type: int, action: str, payload: Payload) -> SchemaViolation | None:
    """The first violation of the schema that `ocpp` ships for this message, or None."""
    exact = version == "1.6" and (message_type, action) in _WITH_DECIMALS
    number = Decimal if exact else float
    try:
        validator = get_validator(message_type, action, version, parse_float=number)
    except OSError:
        return SchemaViolation("NotImplemented", f"{action}: no such action in OCPP {version}")
    if exact:
        payload = json.loads(json.dumps(payload), parse_float=Decimal)
    error = next(validator.iter_errors(payload), None)
    if error is None:
        return None
    codes = {"type": "TypeConstraintViolation", "maxLength": "TypeConstraintViolation", "required": "ProtocolError"}
    where = ".".join(str(step) for step in error.absolute_path)
    return SchemaViolation(
        codes.get(str(error.validator), "FormationViolation"), f"{action} {where}: {error.message}"[:255]
    )


class Bell:
    """Rung whenever something was learned, so that a waiter looks again instead of sleeping."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    async def wait_for(self, predicate: Callable[[], Fact], timeout_s: float | None, what: str = "") -> Fact:
        """What `predicate` returns as soon as that is truthy; TimeoutError with `what` when it never is."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (fact := predicate()):
                    await self._rung.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout_s} s: {what or predicate}") from None
        return fact

    async def wait_until(self, deadline: float | None) -> None:
        """Until the next ring, but not longer than to `deadline` of the loop's clock."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._rung.wait()
        except TimeoutError:
            return


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    answer: asyncio.Future[list[JsonValue]]
    on_result: Callable[[Payload], None] | None


class Wire:
    """A WebSocket whose frames are all told to `on_frame`, before anything else happens with them."""

    def __init__(self, socket: Connection, identity: str, on_frame: Callable[[Frame], None]) -> None:
        self.identity = identity
        self._socket = socket
        self._on_frame = on_frame
        self._asked: dict[str, _Asked] = {}
        self._ids_asked: set[str] = set()
        self.is_lost = False

    def has_asked(self, message_id: str | None) -> bool:
        """Whether a CALL with this id was ever sent here, also if its answer comes too late."""
        return message_id in self._ids_asked

    async def recv(self) -> Frame:
        """The next frame that is not an answer; answers go to who asked. Raises ConnectionClosed at the end."""
        while True:
            try:
                text = await self._socket.recv()
            except ConnectionClosed:
                self.lose()
                raise
            frame = self._keep(Direction.IN, text if isinstance(text, str) else text.decode("utf-8", "replace"))
            if frame.type not in (MessageType.CALLRESULT, MessageType.CALLERROR):
                return frame
            asked = self._asked.get(frame.message_id)
            if asked is not None and not asked.answer.done():
                asked.answer.set_result(frame.message)
                if asked.on_result is not None and frame.type == MessageType.CALLRESULT:
                    asked.on_result(frame.message[2])

    async def send(self, text: str) -> None:
        self._keep(Direction.OUT, text)
        await self._socket.send(text)

    async def ask(
        self,
        action: str,
        payload: Payload,
        timeout_s: float,
        message_id: str,
        on_result: Callable[[Payload], None] | None = None,
    ) -> Payload:
        """The raw answer to a raw CALL; raises CallRefused, LinkLost or TimeoutError.

        `on_result` is told the answer before the next frame is read: who must know something learned from it
        when the peer's next CALL comes cannot wait for this coroutine to go on.
        """
        text = encode(MessageType.CALL, message_id, action, payload)
        answer = await self.ask_text(text, timeout_s, message_id, on_result)
        if answer[0] == MessageType.CALLERROR:
            _, _, code, description, details = answer
            raise CallRefused(action, code, description, details)
        return answer[2]

    async def ask_text(
        self,
        text: str,
        timeout_s: float,
        message_id: str,
        on_result: Callable[[Payload], None] | None = None,
    ) -> list[JsonValue]:
        """The whole answer message to a CALL whose text is given, byte for byte."""
        if self.is_lost:
            raise LinkLost(f"{self.identity}: the connection has ended")
        asked = _Asked(asyncio.get_running_loop().create_future(), on_result)
        self._asked[message_id] = asked
        self._ids_asked.add(message_id)
        try:
            async with asyncio.timeout(timeout_s):
                await self.send(text)
                return await asked.answer
        except ConnectionClosed as closed:
            raise LinkLost(f"{self.identity}: {closed}") from closed
        finally:
            if self._asked.get(message_id) is asked:
                del self._asked[message_id]
            if asked.answer.done() and not asked.answer.cancelled():
                asked.answer.exception()  # seen, also when send() has already failed for the same reason

    def lose(self) -> None:
        """Tell everyone who waits for an answer that there will be none."""
        self.is_lost = True
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(LinkLost(f"{self.identity}: the connection ended before the answer"))

    def abort(self) -> None:
        """Cut the connection as a pulled cable does: no close frame, nothing sent any more."""
        self.lose()
        self._socket.transport.abort()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code, reason)

    async def close_without_code(self) -> None:
        """As some stacks do: a close frame that says nothing; the other side calls it 1005."""
        async with self._socket.send_context():
            self._socket.protocol.send_close()
        await self._socket.wait_closed()

    def _keep(self, direction: Direction, text: str) -> Frame:
        frame = Frame(asyncio.get_running_loop().time(), self.identity, direction, text, parse(text))
        self._on_frame(frame)
        return frame

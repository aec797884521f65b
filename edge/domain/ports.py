"""What the pure packages and the siblings expect of the world, and how it may fail them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import IntEnum
from typing import Protocol, TypeVar

from edge.domain.ids import ChargerId, TransactionNo
from edge.jsontypes import Payload

T = TypeVar("T")


class EdgeError(Exception):
    """The world failed: a fact of operation, not a defect of this program."""


class ChargerOffline(EdgeError):
    """No connection to that charger at this moment."""


class CallTimedOut(EdgeError):
    """The peer did not answer within the deadline."""


class PeerRefused(EdgeError):
    """The peer answered with CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description


class LinkLost(EdgeError):
    """The connection ended while an answer was awaited: whether the peer has acted is not known."""


class UplinkDown(EdgeError):
    """The CSMS is not connected, or has not accepted us."""


class Clock(Protocol):
    """The only source of time. Deadlines use `monotonic`, records use both."""

    def utc_now(self) -> datetime: ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never steps. Equal to the running loop's `time()`."""
        ...


class Ids(Protocol):
    """The only source of fresh identifiers and chance."""

    def message_id(self) -> str:
        """A UUID, never given twice (OCPP-J 1.6 §4.1.4)."""
        ...

    def jitter(self, upto: float) -> float:
        """A random number of seconds in [0, upto]."""
        ...

    def number(self, low: int, high: int) -> int:
        """A random integer in [low, high]: the base of a counter, a salt."""
        ...


class Urgency(IntEnum):
    """Order of commands that wait for one charger (one outstanding CALL, 1.6J §4.1.1); lowest first."""

    LOWER_LIMIT = 0
    REMOTE_STOP = 1
    RAISE_LIMIT = 2
    COMMAND = 3
    CONFIGURATION = 4


class ChargerPort(Protocol):
    """How the cloud's and the technician's commands reach a charger."""

    def is_online(self, charger: ChargerId) -> bool: ...

    def away_for(self, charger: ChargerId) -> float:
        """Seconds since it left, or since our start when it has not come yet; 0 while it is there."""
        ...

    async def call(
        self,
        charger: ChargerId,
        action: str,
        payload: Payload,
        *,
        within: float,
        urgency: Urgency = Urgency.COMMAND,
        transaction: TransactionNo | None = None,
        cause: int | None = None,
    ) -> Payload:
        """The charger's answer, within so many seconds. Raises ChargerOffline, CallTimedOut or PeerRefused.

        For the trace, `transaction`: the one that the command is about; `cause`: the row of what led to it.
        """
        ...


class CsmsPort(Protocol):
    """How a question that cannot wait in the queue reaches the CSMS."""

    def is_accepted(self) -> bool: ...

    async def call(self, action: str, payload: Payload, *, within: float) -> Payload:
        """The CSMS's answer. Raises UplinkDown, CallTimedOut or PeerRefused. `within` seconds."""
        ...

    async def verdict(self, transaction: TransactionNo, *, within: float) -> str:
        """The CSMS's AuthorizationStatus for a start that is in the queue. Raises UplinkDown or CallTimedOut."""
        ...


class Offload(Protocol):
    """Runs a function that blocks (reading a password file, hashing) away from the loop."""

    def __call__(self, function: Callable[[], T]) -> Awaitable[T]: ...

"""What everybody keeps to who connects to a listener, known charger or not: what a well-behaved one never notices.

A request is short, is there as a whole, and nothing follows it before it is answered; pings come now and then. Each
rule bounds what a stranger can make us hold, or do. Pure; `door.py` ends the connection of whoever breaks one.
"""

from dataclasses import dataclass

REQUEST_AT_MOST = 16 * 1024
"""Bytes of an HTTP request; chargers send some hundred. Websockets would hold a megabyte of headers of any stranger."""
CONTROLS_AT_MOST = 300
"""Pings and pongs of one connection in a minute; chargers send two or three. Each is answered, read or not."""
UNREAD_AT_MOST = 1024 * 1024
"""Bytes that wait for a charger that does not read; websockets answers its pings all the same."""

_METHOD, _END = b"GET ", b"\r\n\r\n"
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Misbehaved:
    why: str


class Asking:
    """An HTTP request that comes in pieces."""

    __slots__ = ("_held", "_is_whole")

    def __init__(self) -> None:
        self._held = bytearray()
        self._is_whole = False

    def take(self, data: bytes) -> bytes | Misbehaved:
        """What is to be read now: the whole request, or nothing yet.

        What is no request at all is handed on at once; it is refused elsewhere.
        """
        if self._is_whole:
            return Misbehaved("it went on before its request was answered")
        if len(self._held) + len(data) > REQUEST_AT_MOST:
            self._held.clear()
            return Misbehaved(f"its request is longer than {REQUEST_AT_MOST} bytes")
        self._held += data
        end = self._held.find(_END)
        if end < 0 and self._held.startswith(_METHOD[: len(self._held)]):
            return b""
        self._is_whole = True
        whole = bytes(self._held)
        self._held.clear()
        if 0 <= end < len(whole) - len(_END):
            return Misbehaved("it went on before its request was answered")
        return whole


class Controls:
    """Counts control frames."""

    __slots__ = ("_count", "_since")

    def __init__(self) -> None:
        self._since = float("-inf")
        self._count = 0

    def are_too_many(self, now: float) -> bool:
        """With one more, at this moment (monotonic seconds)."""
        if now - self._since >= _MINUTE:
            self._since, self._count = now, 0
        self._count += 1
        return self._count > CONTROLS_AT_MOST

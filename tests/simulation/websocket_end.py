"""One end of a WebSocket, as small as a charger's stack: what the simulated parties speak through, on either side.

The daemon's end is always the real library. This one is light, because a yard of them must not cost more than the
daemon; it answers pings, echoes a close and knows when the other end has really read a text (`SentText`), which is how
the simulation tells an answer that was lost from one that was ignored. Masks are zero, so that the trace of a run
can be read.
"""

import asyncio
import base64
import contextlib
import hashlib
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from websockets.frames import apply_mask
from websockets.protocol import State

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = base64.b64encode(bytes(16))
"""The client's nonce: nothing here depends on chance."""
TEXT, CLOSE, PING, PONG, CONTINUATION = 1, 8, 9, 10, 0
REASONS = {101: "Switching Protocols", 401: "Unauthorized", 503: "Service Unavailable"}

Headers = Mapping[str, str]
Admit = Callable[[str, Headers], int]
"""From the path and the headers of a handshake the HTTP status: 101 lets it in."""


class HandshakeRefused(ConnectionError):
    """The server has answered with something else than 101."""


@dataclass(slots=True, eq=False)
class SentText:
    """A text on its way."""

    ends_at: int
    """Octets written with it."""
    read_at: float | None = None
    """When the other end took it out of its socket."""


class WebSocketEnd(asyncio.Protocol):
    """`on_text` gets each text, `on_end` is called once when the connection is over, however it ended."""

    def __init__(self, admit: Admit | None = None) -> None:
        """`admit` makes it the server's end."""
        self.on_text: Callable[[str], None] = lambda _text: None
        self.on_end: Callable[[], None] = lambda: None
        self.on_open: Callable[[str], None] = lambda _path: None
        self.opened: asyncio.Future[None] | None = None
        self.is_open = False
        self.is_over = False
        self.answers_pings = True
        self._admit = admit
        self._transport: asyncio.Transport | None = None
        self._other_end: Callable[[], object] = lambda: None
        """Its transport, as long as there is one: what is on record of a conversation must not keep it alive."""
        self._received = bytearray()
        self._fragments = bytearray()
        self._written = self._read = 0
        self._unread: deque[SentText] = deque()
        self._has_closed = False

    # ── what a party does ───────────────────────────────────────────────────────

    def send_text(self, text: str) -> "SentText":
        self._write(_frame(TEXT, text.encode(), masked=self._admit is None))
        sent = SentText(self._written)
        self._unread.append(sent)
        return sent

    def close(self, code: int = 1000) -> None:
        """With a close frame; the connection ends when the other side has echoed it."""
        if self.is_open and not self._has_closed:
            self._has_closed = True
            self._write(_frame(CLOSE, code.to_bytes(2, "big"), masked=self._admit is None))

    def abort(self) -> None:
        """Without a word."""
        if self._transport is not None:
            self._transport.abort()

    # ── asyncio.Protocol ────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._other_end = transport, weakref.ref(transport.peer)
        transport.on_read = self._other_end_has_read

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self.is_open and not self._shake_hands():
            return
        while self._received and (frame := self._next_frame()) is not None:
            self._take(*frame)

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_over, self.is_open = True, False
        self._transport = None
        if self.opened is not None and not self.opened.done():
            self.opened.set_exception(ConnectionResetError("the connection ended in the handshake"))
        self.on_end()

    def _other_end_has_read(self, count: int) -> None:
        self._read += count
        while self._unread and self._unread[0].ends_at <= self._read:
            sent = self._unread.popleft()
            if self._other_end_listens():
                sent.read_at = asyncio.get_running_loop().time()

    def _other_end_listens(self) -> bool:
        """The library throws away what comes after it has decided to close."""
        transport = self._other_end()
        other = None if transport is None else getattr(transport.get_protocol(), "protocol", None)
        return other is None or other.state is State.OPEN

    # ── handshake ───────────────────────────────────────────────────────────────

    def ask_for_upgrade(self, path: str, headers: Headers) -> None:
        lines = [f"GET {path} HTTP/1.1", "Host: edge", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY.decode()}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._write("\r\n".join([*lines, "", ""]).encode())

    def _shake_hands(self) -> bool:
        head, end, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not end:
            return False
        self._received = bytearray(rest)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if self._admit is None:
            status = int(first.split(" ")[1])
            self.is_open = status == 101
            if not self.is_open:
                self._has_closed = True
                if not self.opened.done():
                    self.opened.set_exception(HandshakeRefused(f"HTTP {status}"))
                self.abort()
            elif not self.opened.done():
                self.opened.set_result(None)
            return self.is_open
        return self._answer_upgrade(first.split(" ")[1], headers)

    def _answer_upgrade(self, path: str, headers: Headers) -> bool:
        status = self._admit(path, headers)
        lines = [f"HTTP/1.1 {status} {REASONS[status]}"]
        if status == 101:
            accept = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + MAGIC).digest())
            lines += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept.decode()}"]
            lines += [f"Sec-WebSocket-Protocol: {headers['sec-websocket-protocol'].split(',')[0]}"]
        else:
            lines += ["Content-Length: 0", "Connection: close"]
        self._write("\r\n".join([*lines, "", ""]).encode())
        self.is_open = status == 101
        if self.is_open:
            self.on_open(path)
        else:
            self._transport.close()
        return self.is_open

    # ── frames ──────────────────────────────────────────────────────────────────

    def _next_frame(self) -> tuple[int, bool, bytes] | None:
        """The first whole frame: (opcode, is final, payload); None when more has to come."""
        received = self._received
        if len(received) < 2:
            return None
        size, at = received[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(received[2 : 2 + width], "big"), 2 + width
        mask = bytes(received[at : at + 4]) if received[1] & 0x80 else b""
        at += len(mask)
        if len(received) < at + size:
            return None
        payload = bytes(received[at : at + size])
        opcode, is_final = received[0] & 0x0F, bool(received[0] & 0x80)
        del received[: at + size]
        return opcode, is_final, apply_mask(payload, mask) if mask else payload

    def _take(self, opcode: int, is_final: bool, payload: bytes) -> None:
        match opcode:
            case 1 | 0:
                self._fragments += payload
                if is_final:
                    text, self._fragments = self._fragments.decode(), bytearray()
                    self.on_text(text)
            case 9 if self.answers_pings:
                self._write(_frame(PONG, payload, masked=self._admit is None))
            case 8:
                if not self._has_closed:
                    self._has_closed = True
                    self._write(_frame(CLOSE, payload[:2], masked=self._admit is None))
                if self._admit is not None:
                    self._transport.close()  # RFC 6455 §7.1.1: the server closes first
                self.is_open = False

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._written += len(data)
            self._transport.write(data)


def _frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    bit, key = (0x80, bytes(4)) if masked else (0, b"")
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, bit | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, bit | 127)) + size.to_bytes(8, "big")
    return head + key + payload


async def dial(address: tuple[str, int], path: str, headers: Headers, within_s: float) -> WebSocketEnd:
    """An open client's end. Raises OSError (HandshakeRefused is one) or TimeoutError."""
    loop = asyncio.get_running_loop()
    end = WebSocketEnd()
    end.opened = loop.create_future()
    try:
        async with asyncio.timeout(within_s):
            await loop.create_connection(lambda: end, *address)
            end.ask_for_upgrade(path, headers)
            await end.opened
    except BaseException:
        end.abort()
        with contextlib.suppress(asyncio.InvalidStateError):
            end.opened.exception() if end.opened.done() and not end.opened.cancelled() else end.opened.cancel()
        raise
    return end

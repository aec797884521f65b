"""A WebSocket client that costs next to nothing, so that one core can load servers that need a whole one.

Texts only, unfragmented, with a mask of zeros: legal (RFC 6455 §5.3 asks for a mask, not for a secret one), and it
leaves the octets as they are. Pings are answered. Good enough for loopback, and for nothing else.
"""

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from urllib.parse import urlsplit

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_NO_MASK = b"\0\0\0\0"


class ThinClient(asyncio.Protocol):
    """One connection. `on_text` gets each text of the server; `on_lost` is called once, at the end."""

    def __init__(self, on_text: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        self.on_text = on_text
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._read = bytearray()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_open = False

    async def opened(self, url: str) -> None:
        """Send the handshake and wait for its answer. Raises ConnectionError."""
        assert self._transport is not None
        parts = urlsplit(url)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
        )
        async with asyncio.timeout(30):
            await self._opened

    def send(self, text: bytes) -> None:
        self._send(_TEXT, text)

    def close(self) -> None:
        self._send(_CLOSE, b"\x03\xe8")

    def _send(self, kind: int, payload: bytes) -> None:
        assert self._transport is not None
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | kind, 0xFE, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 0xFF, size)
        self._transport.write(head + _NO_MASK + payload)

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self._is_open and not self._has_answer():
            return
        while self._take_frame():
            pass

    def connection_lost(self, why: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectionError(f"the handshake was not answered: {why}"))
        self._on_lost()

    def _has_answer(self) -> bool:
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return False
        first = bytes(self._read[: self._read.find(b"\r\n")])
        del self._read[: end + 4]
        self._is_open = b" 101 " in first
        if not self._is_open:
            self._opened.set_exception(ConnectionError(first.decode()))
        elif not self._opened.done():
            self._opened.set_result(None)
        return self._is_open

    def _take_frame(self) -> bool:
        """Whether there was a whole one."""
        read = self._read
        if len(read) < 2:
            return False
        size, begin = read[1] & 0x7F, 2
        if size == 126 and len(read) >= 4:
            size, begin = int.from_bytes(read[2:4], "big"), 4
        elif size == 127 and len(read) >= 10:
            size, begin = int.from_bytes(read[2:10], "big"), 10
        elif size >= 126:
            return False
        if len(read) < begin + size:
            return False
        kind, payload = read[0] & 0x0F, bytes(read[begin : begin + size])
        del read[: begin + size]
        if kind == _TEXT:
            self.on_text(payload)
        elif kind == _PING:
            self._send(_PONG, payload)
        elif kind == _CLOSE and self._transport is not None:
            self._transport.close()
        return True


async def connected(url: str, on_text: Callable[[bytes], None], on_lost: Callable[[], None]) -> ThinClient:
    """An open connection. Raises OSError."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: ThinClient(on_text, on_lost), parts.hostname, parts.port)
    await client.opened(url)
    return client

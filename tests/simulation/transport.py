"""The two ends of an in-memory connection, with the manners of TCP: order, flow control, half-close, reset.

What an end sends goes through `network.py`, which decides when and whether it arrives.
"""

import asyncio
import collections
import contextvars
import enum
import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.simulation.incarnation import INCARNATION

if TYPE_CHECKING:
    from tests.simulation.loop import SimLoop
    from tests.simulation.network import Link

KERNEL_BUFFER = 64 * 1024
"""Bytes that an operating system takes from a writer before its transport has to keep them."""


class Signal(enum.Enum):
    """What travels beside bytes."""

    END = "FIN"
    RESET = "RST"


Item: TypeAlias = bytes | Signal


def connection_reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


class SimSocket:
    """What asyncio shows of a socket: names and options, no I/O."""

    type = socket.SOCK_STREAM

    def __init__(self, own: Any, peer: Any, *, is_unix: bool) -> None:
        self.family = socket.AF_UNIX if is_unix else socket.AF_INET
        self.proto = 0 if is_unix else socket.IPPROTO_TCP
        self._own = own
        self._peer = peer

    def getsockname(self) -> Any:
        return self._own

    def getpeername(self) -> Any:
        if self._peer is None:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return self._peer

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *_option: Any) -> None:
        """Nothing here depends on an option."""

    def getsockopt(self, _level: int, option: int, size: int = 0) -> int | bytes:
        if option == socket.SO_PEERCRED:
            return struct.pack("3i", 1, os.getuid(), os.getgid())
        return bytes(size) if size else 0


class SimTransport(asyncio.Transport):
    """One end. Its protocol is only ever called in the context in which the end was made."""

    def __init__(
        self, loop: "SimLoop", link: "Link", name: str, simulated: SimSocket, context: contextvars.Context
    ) -> None:
        super().__init__({"socket": simulated, "sockname": simulated.getsockname(), "peername": simulated._peer})
        self.link = link
        self.name = name
        self.context = context
        self.incarnation = context.get(INCARNATION, "world")
        self.peer: SimTransport = self
        self.in_flight: collections.deque[Item] = collections.deque()
        self.late = 0  # how many of those are kept back by a stalled network
        self.next_arrival = 0.0  # of what this end sends
        self.on_read: Callable[[int], None] | None = None  # told how many bytes of it the other end has just read
        self.is_lost = False
        self._loop = loop
        self._protocol: Any = None
        self._inbox: collections.deque[Item] = collections.deque()
        self._is_started = False
        self._is_reading = True
        self._is_closing = False
        self._has_sent_end = False
        self._unacknowledged = 0
        self._has_paused_protocol = False
        self.set_write_buffer_limits()

    def __repr__(self) -> str:
        return f"<SimTransport {self.name} of {self.incarnation}{' closing' if self._is_closing else ''}>"

    # ── the life of an end ──────────────────────────────────────────────────────

    def begin(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)
        self._is_started = True
        if self._inbox:
            self._loop.call_soon(self._consume, context=self.context)

    def arrive(self) -> None:
        """The next thing on the way has come, unless the network has other plans with it."""
        if not self._loop.network.lets_in(self):
            return
        item = self.in_flight.popleft()
        if self.is_lost:
            if isinstance(item, bytes):
                self._loop.network.bounce(self.peer)
            return
        self._inbox.append(item)
        self._consume()

    def lose(self, error: Exception | None) -> None:
        """The connection is over for this end; its protocol hears of it in the next turn."""
        if self.is_lost:
            return
        self.is_lost = self._is_closing = True
        self._inbox.clear()
        self._loop.network.forget(self)
        if self._protocol is not None:
            self._loop.call_soon(self._protocol.connection_lost, error, context=self.context)
        self._loop.call_soon(self.link.ended, self, context=self.context)

    def die(self) -> None:
        """Its process is gone: nobody hears anything, whatever is still called does nothing."""
        self.is_lost = self._is_closing = True
        self._inbox.clear()
        self.in_flight.clear()
        self._loop.network.forget(self)

    def _consume(self) -> None:
        while self._inbox and self._is_started and self._is_reading and not self.is_lost:
            item = self._inbox.popleft()
            if item is Signal.RESET:
                self.lose(connection_reset())
            elif isinstance(item, bytes):
                self.peer._acknowledged(len(item))
                if not self._is_closing:
                    self._loop.trace.delivered(self.peer.name, self.name, item)
                    self._tell(self._protocol.data_received, item)
            elif not self._is_closing and not self._tell(self._protocol.eof_received):
                self.close()

    def _tell(self, callback: Any, *arguments: Any) -> Any:
        try:
            return callback(*arguments)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  # as asyncio does: the connection pays for it
            self._loop.call_exception_handler(
                {"message": f"{callback.__qualname__}() failed", "exception": error, "transport": self}
            )
            self._loop.network.carry(self, Signal.RESET)
            self.lose(error if isinstance(error, Exception) else None)
            return True

    def _acknowledged(self, count: int) -> None:
        self._unacknowledged -= count
        if self.on_read is not None:
            self.on_read(count)
        waits = self._has_paused_protocol or (self._is_closing and not self.is_lost)
        if waits and self.get_write_buffer_size() <= self._low_water:
            self._loop.call_soon(self._drained, context=self.context)

    def _drained(self) -> None:
        if self._has_paused_protocol and not self.is_lost and self.get_write_buffer_size() <= self._low_water:
            self._has_paused_protocol = False
            self._protocol.resume_writing()
        if self._is_closing:
            self._close_when_flushed()

    def _close_when_flushed(self) -> None:
        if self.get_write_buffer_size() == 0 and not self.is_lost:
            self._send_end()
            self.lose(None)

    def _send_end(self) -> None:
        if not self._has_sent_end:
            self._has_sent_end = True
            self._loop.network.carry(self, Signal.END)

    # ── asyncio.Transport ───────────────────────────────────────────────────────

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._close_when_flushed()

    def abort(self) -> None:
        if self.is_lost:
            return
        # As Linux does: closing with unread bytes resets the connection, otherwise it just ends.
        if any(isinstance(item, bytes) for item in self._inbox):
            self._loop.network.carry(self, Signal.RESET)
        else:
            self._send_end()
        self.lose(None)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_reading(self) -> bool:
        return self._is_reading and not self._is_closing

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            if self._inbox:
                self._loop.call_soon(self._consume, context=self.context)

    def write(self, data: Any) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._has_sent_end and not self._is_closing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_closing or not data:
            return
        self._unacknowledged += len(data)
        self._loop.network.carry_bytes(self, bytes(data))
        if not self._has_paused_protocol and self.get_write_buffer_size() > self._high_water:
            self._has_paused_protocol = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._is_closing:
            self._send_end()

    def get_write_buffer_size(self) -> int:
        return max(0, self._unacknowledged - KERNEL_BUFFER)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return (self._low_water, self._high_water)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = 64 * 1024 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high_water = high
        self._low_water = low

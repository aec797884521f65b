"""Connections by HTTP, led on to aiohttp if there is a place for them, and looked after where it does not.

aiohttp has no bound for connections, and forgets what it has not handed on yet when one ends: a charger that sends all
of its file and hangs up at once would have sent nothing.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from firmware_bridge.callers import Caller, Callers

LEAVING_SECONDS = 1.0
"""From the end of what a client sends until it is sent away, if nothing is being answered."""


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, inner: asyncio.Protocol, callers: Callers, present: dict[asyncio.BaseProtocol, "Line"]) -> None:
        self._inner = inner
        self._callers = callers
        self._present = present
        """Those that have a place, by aiohttp's protocol."""
        self._caller: Caller | None = None
        self._transport: asyncio.Transport | None = None
        self._request: web.BaseRequest | None = None
        """The one that is being answered, or was last."""
        self._is_answering = False
        self._has_ended = False
        self.is_cut = False
        """It has ended before the body of its request."""

    @contextmanager
    def answering(self, request: web.BaseRequest) -> Iterator[None]:
        """While a request is being answered, its connection is nobody's to close."""
        assert self._caller is not None
        self._request, self._is_answering = request, True
        self._caller.work()
        if self._has_ended:
            self._cut(request)
        try:
            yield
        finally:
            self._is_answering = False
            self._caller.wait()
            if self._has_ended:
                self._leave_soon()

    def _cut(self, request: web.BaseRequest) -> None:
        """Nothing more of it comes, but what has come is still to be read."""
        if not request.content.is_eof():
            self.is_cut = True
            request.content.feed_eof()

    def _leave_soon(self) -> None:
        asyncio.get_running_loop().call_later(LEAVING_SECONDS, self._leave)

    def _leave(self) -> None:
        if self._transport is not None and not self._is_answering:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        self._caller = None if peer is None else self._callers.come(peer[0], transport.abort)
        if self._caller is None:
            transport.abort()
            return
        self._transport = transport
        self._present[self._inner] = self
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._caller is None:
            return
        self._transport = None
        del self._present[self._inner]
        self._callers.go(self._caller)
        self._inner.connection_lost(exc)
        if self._request is not None and not self._is_answering:
            self._cut(self._request)  # for which aiohttp would wait

    def data_received(self, data: bytes) -> None:
        if self._caller is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool:
        """A client that sends no more may still wait for its answer."""
        self._has_ended = True
        if self._is_answering and self._request is not None:
            self._cut(self._request)
        else:
            self._leave_soon()
        return self._caller is not None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

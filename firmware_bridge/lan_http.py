"""Chargers take files here by HTTP, by the path of their ticket: GET and HEAD, with Range. No redirects, no listing.

What they leave here by PUT and POST goes to `lan_http_receiving.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError

from firmware_bridge.callers import Callers, tell_of_ours_only
from firmware_bridge.disk import on_disk
from firmware_bridge.errors import Unknown
from firmware_bridge.holdings import Holdings
from firmware_bridge.lan_http_line import Line
from firmware_bridge.lan_http_receiving import Receiving
from firmware_bridge.tickets import Ticket

MOST_CONNECTIONS = 128
MOST_CONNECTIONS_OF_ONE = 16
MOST_AT_ONCE = 64
MOST_OF_ONE = 8
"""Requests of one address at a time."""
HEADER_SECONDS = 20.0
"""From the begin of a connection, or the end of a request, to the end of the next request's header."""
SILENT_SECONDS = 60.0
"""Without a byte taken, after which a charger is given up."""
LONGEST_SECONDS = 6 * 3600.0
"""For one request, however slowly it goes on."""
PIECE_BYTES = 64 * 1024

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class LanHttp:
    """The HTTP server towards chargers."""

    def __init__(self, address: str, port: int, holdings: Holdings) -> None:
        self._address = address
        self._port = port
        self._tickets = holdings.tickets
        self._files = holdings.files
        self._transfers = holdings.transfers
        self._callers = Callers(MOST_CONNECTIONS, MOST_CONNECTIONS_OF_ONE, HEADER_SECONDS)
        self._lines: dict[asyncio.BaseProtocol, Line] = {}
        self._receiving = Receiving(holdings.tickets, holdings.uploads, self._lines)
        self._by_peer: dict[str, int] = {}
        self.port: int | None = None
        """The one that it listens on, once it does."""
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError when the port cannot be had."""
        tell_of_ours_only("aiohttp.server", HttpProcessingError, OSError)
        application = web.Application(middlewares=[self._bounded])
        application.router.add_get("/{token}/{name}", self._take)
        self._receiving.add_to(application.router)
        # Nothing that a charger sends is unpacked, also not what it says to have packed for the way.
        runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=2.0,
            auto_decompress=False,
            read_bufsize=PIECE_BYTES,
        )
        await runner.setup()
        try:
            server = await asyncio.get_running_loop().create_server(
                lambda: Line(_made(runner), self._callers, self._lines), self._address, self._port
            )
            try:
                self.port = server.sockets[0].getsockname()[1]
                self.listening.set()
                log.info("lan_http_listening", address=self._address, port=self.port)
                await asyncio.Event().wait()
            finally:
                self.listening.clear()
                server.close()
        finally:
            await runner.cleanup()

    @web.middleware
    async def _bounded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        peer, line = request.remote or "", self._lines.get(request.protocol)
        if line is None:
            raise ConnectionResetError("It has gone already.")
        with line.answering(request):
            count = self._by_peer.get(peer, 0)
            if count >= MOST_OF_ONE or sum(self._by_peer.values()) >= MOST_AT_ONCE:
                return web.Response(status=503, headers={"Retry-After": "30"}, text="Too many at once.\n")
            self._by_peer[peer] = count + 1
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    return await handler(request)
            finally:
                self._by_peer[peer] -= 1
                if self._by_peer[peer] == 0:
                    del self._by_peer[peer]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        ticket = self._tickets.show(request.match_info["token"], request.remote or "")
        if ticket is None:
            log.warning("lan_http_refused", peer=request.remote, method=request.method)
            raise web.HTTPNotFound
        if ticket.sha256 is None or request.match_info["name"] != ticket.name:
            raise web.HTTPNotFound
        try:
            size, path = self._files.get(ticket.sha256).size, self._files.path(ticket.sha256)
        except Unknown:
            raise web.HTTPNotFound from None
        part = _part(request, size)
        if part is None:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        response = web.StreamResponse(status=200 if part == range(size) else 206)
        response.content_type, response.content_length = "application/octet-stream", len(part)
        # One path never leads to two contents, so that If-Range always holds.
        response.headers.update({"Accept-Ranges": "bytes", "ETag": f'"{ticket.sha256}"'})
        if response.status == 206:
            response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        await response.prepare(request)
        if request.method != "HEAD":
            await self._send(response, path, part, ticket, size)
        return response

    async def _send(self, response: web.StreamResponse, path: Path, part: range, ticket: Ticket, size: int) -> None:
        at = part.start
        log.info("charger_takes", charger=ticket.charger, at=at, bytes=size)
        with path.open("rb") as file, self._transfers.running(ticket.token, lambda: at, size):
            file.seek(at)
            while at < part.stop:
                piece = await on_disk(partial(file.read, min(PIECE_BYTES, part.stop - at)))
                async with asyncio.timeout(SILENT_SECONDS):
                    await response.write(piece)
                at += len(piece)
            async with asyncio.timeout(SILENT_SECONDS):
                await response.write_eof()
        log.info("charger_has_taken", charger=ticket.charger, at=at, bytes=size)


def _part(request: web.Request, size: int) -> range | None:
    """The bytes that are asked for; None when there are no such. What cannot be read means all (RFC 9110 §14.2)."""
    try:
        wanted = request.http_range
    except ValueError:
        return range(size)
    part = range(size)[wanted]
    return part if len(part) or (wanted.start is None and not size) else None


def _made(runner: web.AppRunner) -> asyncio.Protocol:
    assert runner.server is not None, "it was set up"
    return runner.server()

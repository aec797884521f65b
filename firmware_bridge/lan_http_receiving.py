"""Chargers leave files here by HTTP: PUT or POST, the file as it is or in a form, by the path of their ticket.

Which of them a charger does, and whether it adds a name to the path, is up to it (ocpp-rules.md H.7): all are good. A
body that says that it is too long is not even asked for, and one that turns out to be is not read on.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import structlog
from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http import HttpProcessingError, HttpVersion11

from firmware_bridge.errors import NoRoom, OverQuota, Unknown
from firmware_bridge.lan_http_line import Line
from firmware_bridge.tickets import Ticket, Tickets
from firmware_bridge.uploads import Uploads

SILENT_SECONDS = 60.0
"""Without a byte, after which a charger is given up."""
MOST_PARTS = 64
"""Of a form, files or not."""
FIELD_BYTES = 64 * 1024
"""Of a field of a form that is no file."""
FORM_BYTES = 256 * 1024
"""That a form may have around its files."""
PIECE_BYTES = 64 * 1024

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class _Invalid(Exception):
    """The body is not what it says to be."""


class Receiving:
    """What is done with PUT and POST."""

    def __init__(self, tickets: Tickets, uploads: Uploads, lines: Mapping[asyncio.BaseProtocol, Line]) -> None:
        self._tickets = tickets
        self._uploads = uploads
        self._lines = lines

    def add_to(self, router: web.UrlDispatcher) -> None:
        for path in ("/{token}", r"/{token}/{name:[\s\S]*}"):
            for method in ("PUT", "POST"):
                router.add_route(method, path, self._receive, expect_handler=_unasked)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        ticket, line = self._shown(request), self._lines[request.protocol]
        refusal = self._refusal(request, ticket)
        if refusal is not None:
            return refusal
        await _ask_for_body(request)
        try:
            if request.content_type == "multipart/form-data":
                await self._receive_form(request, ticket)
            else:
                pieces, told = _body(request, line), request.match_info.get("name", "")
                async with aclosing(pieces):
                    await self._keep(ticket, told, pieces, announced=request.content_length or 0)
        except NoRoom as error:
            return _no_room(error)
        except Unknown:
            return _answer(404, "Not wanted any more.")
        except TimeoutError:
            return _answer(408, "Too slow.")
        except _Invalid as error:
            log.warning("upload_invalid", charger=ticket.charger, why=str(error))
            return _answer(400, "This cannot be read.")
        return web.Response(status=201, text="Stored.\n")

    def _shown(self, request: web.Request) -> Ticket:
        ticket = self._tickets.show(request.match_info["token"], request.remote or "")
        if ticket is None or ticket.sha256 is not None:
            log.warning("lan_http_refused", peer=request.remote, method=request.method)
            raise web.HTTPNotFound
        return ticket

    def _refusal(self, request: web.Request, ticket: Ticket) -> web.Response | None:
        """Of what its header says."""
        if "Content-Range" in request.headers:  # RFC 9110 §14.5: a part must not be taken for the whole
            return _answer(400, "Only whole files.")
        announced = request.content_length or 0
        if request.content_type == "multipart/form-data":
            announced = max(0, announced - FORM_BYTES)
        try:
            self._uploads.admit(ticket, request.match_info.get("name", ""), announced)
        except NoRoom as error:
            log.warning("upload_refused", charger=ticket.charger, bytes=announced, why=str(error))
            return _no_room(error)
        return None

    async def _keep(self, ticket: Ticket, told: str, pieces: AsyncIterator[bytes], announced: int = 0) -> None:
        if await self._uploads.receive(ticket, told, pieces, announced=announced) is None:
            raise _Invalid("nothing came")

    async def _receive_form(self, request: web.Request, ticket: Ticket) -> None:
        """Raises _Invalid also when there is no file in it."""
        async with _reading():
            form = await request.multipart()
        files = 0
        for _ in range(MOST_PARTS):
            part = await _next(form)
            if part is None:
                break
            pieces = _pieces(part)
            async with aclosing(pieces):
                if part.filename is None and part.name != "file":
                    await _skip(pieces)
                    continue
                await self._keep(ticket, part.filename or request.match_info.get("name", ""), pieces)
                files += 1
        else:
            raise _Invalid(f"more than {MOST_PARTS} parts")
        if not files:
            raise _Invalid("a form without a file")


async def _unasked(_: web.Request) -> None:
    """Who waits to be asked for the body (RFC 9110 §10.1.1) waits until its header has been judged."""


async def _ask_for_body(request: web.Request) -> None:
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the answer


async def _body(request: web.Request, line: Line) -> AsyncGenerator[bytes, None]:
    while True:
        async with _reading():
            piece = await request.content.read(PIECE_BYTES)
        if not piece:
            break
        yield piece
    if line.is_cut:
        raise ConnectionResetError("It has hung up.")


async def _next(form: MultipartReader) -> BodyPartReader | None:
    async with _reading():
        part = await form.next()
    if isinstance(part, MultipartReader):
        raise _Invalid("a form within a form")
    return part


async def _pieces(part: BodyPartReader) -> AsyncGenerator[bytes, None]:
    while not part.at_eof():
        async with _reading():
            piece = await part.read_chunk(PIECE_BYTES)
        if piece:
            yield bytes(piece)


@asynccontextmanager
async def _reading() -> AsyncIterator[None]:
    """Raises TimeoutError after silence, and _Invalid for everything that aiohttp raises for what it cannot read."""
    try:
        async with asyncio.timeout(SILENT_SECONDS):
            yield
    except (web.RequestPayloadError, HttpProcessingError, ValueError, AssertionError, RuntimeError) as error:
        raise _Invalid(str(error)) from error


async def _skip(pieces: AsyncIterator[bytes]) -> None:
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > FIELD_BYTES:
            raise _Invalid("a long field that is no file")


def _no_room(error: NoRoom) -> web.Response:
    """413 where less of it may do, 507 where only somebody who clears the disk helps."""
    return _answer(413, "Too much.") if isinstance(error, OverQuota) else _answer(507, "No room.")


def _answer(status: int, text: str) -> web.Response:
    """After which the rest of the body is not waited for."""
    response = web.Response(status=status, text=f"{text}\n")
    response.force_close()
    return response

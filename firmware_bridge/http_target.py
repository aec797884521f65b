"""Files by HTTP and HTTPS to a server: PUT where the URL names a file, else POST as a form does (ocpp-rules.md H.7).

How the server is reached: `http_session.py`.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp

from firmware_bridge.errors import BridgeError, Refused, Unreachable
from firmware_bridge.http_session import MOST_REDIRECTS, headers, objection, ours, redirected, session, url
from firmware_bridge.reach import CONNECT_SECONDS, TAKEN_SECONDS, Parcel, Reach
from firmware_bridge.sources import Source

OTHER_WAY = frozenset({405, 501})
"""Of a server that does not know PUT, or POST."""
REDIRECTS = frozenset({307, 308})
"""With the same method and body."""
KIND = "application/zip"


@dataclass(frozen=True, slots=True)
class _Asking:
    method: str
    target: Source
    kind: str
    before: bytes = b""
    """In the body, in front of the file."""
    behind: bytes = b""


async def send(target: Source, reach: Reach, parcel: Parcel) -> None:
    """Implements `reach.Send`."""
    ways = [_put(target, parcel), _post(target, parcel)]
    if _is_folder(target):
        ways.reverse()
    at, status = await _answer(ways[0], reach, parcel)
    if status in OTHER_WAY:
        at, status = await _answer(ways[1], reach, parcel)
    if not 200 <= status < 300:
        raise objection(at, status)


def _is_folder(target: Source) -> bool:
    return target.path.partition("?")[0].endswith("/")


def _put(target: Source, parcel: Parcel) -> _Asking:
    path, mark, query = target.path.partition("?")
    name = parcel.name if _is_folder(target) else ""
    return _Asking("PUT", replace(target, path=f"{path}{name}{mark}{query}"), KIND)


def _post(target: Source, parcel: Parcel) -> _Asking:
    boundary = secrets.token_hex(16)
    head = f'Content-Disposition: form-data; name="file"; filename="{parcel.name}"\r\nContent-Type: {KIND}'
    before, behind = f"--{boundary}\r\n{head}\r\n\r\n", f"\r\n--{boundary}--\r\n"
    return _Asking("POST", target, f"multipart/form-data; boundary={boundary}", before.encode(), behind.encode())


async def _answer(asking: _Asking, reach: Reach, parcel: Parcel) -> tuple[Source, int]:
    """Who answers at the end of all redirects, and with which status."""
    at = asking.target
    for _ in range(MOST_REDIRECTS + 1):
        status, location = await _answer_of(at, asking, reach, parcel)
        if status not in REDIRECTS:
            return at, status
        at = redirected(at, location, reach)
    raise Refused(f"{asking.target.shown} redirects more than {MOST_REDIRECTS} times.")


async def _answer_of(at: Source, asking: _Asking, reach: Reach, parcel: Parcel) -> tuple[int, str]:
    length = len(asking.before) + parcel.size + len(asking.behind)
    told = headers(at) | {"Content-Type": asking.kind, "Content-Length": str(length)}
    async with session(reach, await reach.addresses(at)) as client:
        body = _Body(asking, parcel)
        try:
            with ours(at):
                async with (
                    asyncio.timeout(TAKEN_SECONDS) as deadline,
                    client.request(
                        asking.method,
                        url(at),
                        data=body.pieces(deadline),
                        headers=told,
                        allow_redirects=False,
                        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                    ) as response,
                ):
                    return response.status, response.headers.get("Location", "")
        except Unreachable:
            if body.failure is not None:
                raise body.failure from None
            raise


class _Body:
    """What is sent. An error of ours in it would look like one of the connection; so it is remembered."""

    def __init__(self, asking: _Asking, parcel: Parcel) -> None:
        self.failure: Exception | None = None
        self._asking = asking
        self._parcel = parcel

    async def pieces(self, deadline: asyncio.Timeout) -> AsyncIterator[bytes]:
        """Each one that is asked for means that those before were taken: the deadline is that of the next."""
        if self._asking.before:
            yield self._asking.before
        file = self._parcel.pieces()
        while piece := await self._next(file):
            _put_off(deadline)
            yield piece
        _put_off(deadline)
        if self._asking.behind:
            yield self._asking.behind

    async def _next(self, file: AsyncIterator[bytes]) -> bytes:
        try:
            return await anext(file, b"")
        except (BridgeError, OSError) as error:
            self.failure = error
            raise


def _put_off(deadline: asyncio.Timeout) -> None:
    if not deadline.expired():
        deadline.reschedule(asyncio.get_running_loop().time() + TAKEN_SECONDS)

"""Files by HTTP and HTTPS: with Range where the source knows the version again, unchanged on the way.

How the server is reached: `http_session.py`.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from firmware_bridge.errors import Changed, Refused, Unusable
from firmware_bridge.http_session import MOST_REDIRECTS, headers, objection, ours, redirected, session, url
from firmware_bridge.reach import CHUNK_BYTES, Opened, Reach
from firmware_bridge.sources import Source

REDIRECTS = frozenset({301, 302, 303, 307, 308})


@asynccontextmanager
async def opened(source: Source, reach: Reach, offset: int, validator: str | None) -> AsyncIterator[Opened]:
    """Implements `reach.Open`."""
    asked = {"Accept-Encoding": "identity"}
    if offset and validator is not None:
        asked |= {"Range": f"bytes={offset}-", "If-Range": validator}
    at = source
    for _ in range(MOST_REDIRECTS + 1):
        async with session(reach, await reach.addresses(at)) as client:
            with ours(at):
                response = await client.get(url(at), headers=headers(at) | asked, allow_redirects=False)
            try:
                if response.status not in REDIRECTS:
                    yield _opened(at, response, offset, validator)
                    return
                at = redirected(at, response.headers.get("Location", ""), reach)
            finally:
                response.close()
    raise Refused(f"{source.shown} redirects more than {MOST_REDIRECTS} times.")


def _opened(at: Source, response: aiohttp.ClientResponse, offset: int, validator: str | None) -> Opened:
    status = response.status
    if status == 416 and offset:
        return _whole(at, response, offset, validator)
    if status not in {200, 206}:
        raise objection(at, status)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Unusable(f"{at.shown} comes only as {response.headers['Content-Encoding']}, which would change the file.")
    starts_at, size = 0, response.content_length
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != offset:
            raise Unusable(f"{at.shown} answers with another part than was asked for.")
        if _validator(response) not in {None, validator}:  # it does not know If-Range
            raise Changed(f"{at.shown} is another file now.")
        starts_at, size = offset, None if found[2] == "*" else int(found[2])
    return Opened(starts_at, size, _validator(response), _chunks(at, response))


def _whole(at: Source, response: aiohttp.ClientResponse, offset: int, validator: str | None) -> Opened:
    """Behind the end of this version there is nothing to send, which some servers say with 416. Raises Changed."""
    if response.headers.get("Content-Range") != f"bytes */{offset}":
        raise Changed(f"{at.shown} has become shorter meanwhile.")
    if _validator(response) not in {None, validator}:
        raise Changed(f"{at.shown} is another file now.")
    return Opened(offset, offset, validator, _chunks(at, None))


async def _chunks(at: Source, response: aiohttp.ClientResponse | None) -> AsyncIterator[bytes]:
    """`response` None: there is nothing more to come."""
    while response is not None:
        with ours(at, " broke off"):
            chunk = await response.content.read(CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


def _validator(response: aiohttp.ClientResponse) -> str | None:
    """What If-Range takes: a strong ETag, else the date (RFC 9110 §13.1.5)."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")

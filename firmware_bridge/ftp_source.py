"""Files by FTP and FTPS: with REST where size and time say that it is the same version, and byte by byte (TYPE I).

How the server is reached and spoken to: `ftp_session.py`.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from firmware_bridge.errors import Changed, Refused
from firmware_bridge.ftp_session import Session, path_of, session
from firmware_bridge.reach import CHUNK_BYTES, SILENT_SECONDS, Opened, Reach
from firmware_bridge.sources import Source

SIZE = r"\d{1,18}"
TIME = r"\d{14}(\.\d+)?"
"""RFC 3659 §2.3."""


@asynccontextmanager
async def opened(source: Source, reach: Reach, offset: int, validator: str | None) -> AsyncIterator[Opened]:
    """Implements `reach.Open`. The validator is SIZE:TIME; None when the server does not tell both."""
    path = path_of(source)
    if not path or path.endswith("/"):
        raise Refused(f"{source.shown} names no file.")
    async with session(source, reach) as server:
        size, version = await _version(server, path)
        is_same = version is not None and version == validator
        if is_same and offset and offset == size:
            # RETR from the end of a file is answered in all ways; there is nothing to ask for.
            yield Opened(offset, size, version, _chunks(server, None, 0))
            return
        async with server.retrieved(path, offset if is_same else 0) as (starts_at, reader):
            rest = None if size is None else size - starts_at
            yield Opened(starts_at, size, version, _chunks(server, reader, rest))


async def _chunks(server: Session, reader: asyncio.StreamReader | None, rest: int | None) -> AsyncIterator[bytes]:
    """`rest`: bytes that are to come; None: not known. `reader` None: nothing is."""
    came = 0
    while reader is not None and (chunk := await server.received(reader, CHUNK_BYTES)):
        came += len(chunk)
        if rest is not None and came > rest:
            # It grew meanwhile, or the server took REST and did not do it.
            raise Changed(f"{server.source.shown} sends more than it announced.")
        yield chunk
    if rest is None:
        # Only then nobody but the server can tell an end from a break. Else its word is not waited for: routers forget
        # a control connection that was quiet through a long transfer.
        await server.completed("RETR", SILENT_SECONDS)


async def _version(server: Session, path: str) -> tuple[int | None, str | None]:
    """Size in bytes and validator, as far as the server tells (RFC 3659 §3 MDTM, §4 SIZE, §7 MLST)."""
    size = _matching(SIZE, await server.told(f"SIZE {path}", "213"))
    time = _matching(TIME, await server.told(f"MDTM {path}", "213"))
    if size is None or time is None:
        facts = _facts(await server.told(f"MLST {path}", "250"))
        size, time = size or _matching(SIZE, facts.get("size")), time or _matching(TIME, facts.get("modify"))
    if size is None:
        return None, None
    return int(size), None if time is None else f"{size}:{time}"


def _facts(told: str | None) -> dict[str, str]:
    """Of the line of an MLST answer that is about the file: `size=5;modify=20260131235959; name`, in any order."""
    for line in (told or "").splitlines()[1:]:
        facts = line.strip().partition(" ")[0].split(";")
        found = dict(one.lower().split("=", 1) for one in facts if "=" in one)
        if found:
            return found
    return {}


def _matching(pattern: str, told: str | None) -> str | None:
    found = re.fullmatch(pattern, (told or "").strip(), re.ASCII)
    return None if found is None else found[0]

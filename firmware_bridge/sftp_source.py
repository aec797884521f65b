"""Files by SFTP, from the offset that is wanted, where size and time say that it is the same version.

How the server is reached: `sftp_session.py`.
"""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from firmware_bridge.errors import Changed, Refused
from firmware_bridge.reach import CHUNK_BYTES, SILENT_SECONDS, Opened, Reach
from firmware_bridge.sftp_session import connection, ours, path_of
from firmware_bridge.sources import Source

if TYPE_CHECKING:
    from asyncssh import SFTPAttrs, SFTPClientFile, SSHClientConnection


@asynccontextmanager
async def opened(source: Source, reach: Reach, offset: int, validator: str | None) -> AsyncIterator[Opened]:
    """Implements `reach.Open`. The validator is SIZE:TIME; None when the server does not tell both."""
    path = path_of(source)
    if path.endswith(b"/"):
        raise Refused(f"{source.shown} names no file.")
    async with connection(source, reach) as made:
        file = await _file(source, made, path)
        attributes = await _attributes(source, file)
        version = _version(attributes)
        starts_at = offset if version is not None and version == validator else 0
        yield Opened(starts_at, attributes.size, version, _chunks(source, file, starts_at, version))


async def _file(source: Source, made: "SSHClientConnection", path: bytes) -> "SFTPClientFile":
    with ours(source):
        async with asyncio.timeout(SILENT_SECONDS):
            # Without a path encoding names are bytes, as the URL has them.
            client = await made.start_sftp_client(path_encoding=None)
            kind = stat.S_IFMT((await client.stat(path)).permissions or 0)
            if kind and not stat.S_ISREG(kind):
                raise Refused(f"{source.shown} is a folder, or something else that is no file.")
            # With block size 0 a read is one request: of several at once, those that are cancelled live on.
            return await client.open(path, "rb", encoding=None, block_size=0)


async def _chunks(source: Source, file: "SFTPClientFile", at: int, version: str | None) -> AsyncIterator[bytes]:
    while chunk := await _read(source, file, at):
        at += len(chunk)
        yield chunk
    if _version(await _attributes(source, file)) != version:
        raise Changed(f"{source.shown} was changed while it came.")


async def _read(source: Source, file: "SFTPClientFile", at: int) -> bytes:
    with ours(source):
        async with asyncio.timeout(SILENT_SECONDS):
            return await file.read(CHUNK_BYTES, at)


async def _attributes(source: Source, file: "SFTPClientFile") -> "SFTPAttrs":
    with ours(source):
        async with asyncio.timeout(SILENT_SECONDS):
            return await file.stat()


def _version(found: "SFTPAttrs") -> str | None:
    return None if found.size is None or found.mtime is None else f"{found.size}:{found.mtime}"

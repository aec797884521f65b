"""Files by SFTP to a server, each part of which it has to confirm.

How the server is reached: `sftp_session.py`.
"""

import asyncio
from typing import TYPE_CHECKING

from firmware_bridge.reach import SILENT_SECONDS, TAKEN_SECONDS, Parcel, Reach
from firmware_bridge.sftp_session import connection, ours, path_of
from firmware_bridge.sources import Source, file_path

if TYPE_CHECKING:
    from asyncssh import SFTPClientFile, SSHClientConnection

WRITE_BYTES = 32 * 1024
"""What every server takes at once (draft-ietf-secsh-filexfer-02 §3)."""
BYTEWISE = "latin-1"


async def send(target: Source, reach: Reach, parcel: Parcel) -> None:
    """Implements `reach.Send`."""
    path = file_path(path_of(target).decode(BYTEWISE), parcel.name).encode(BYTEWISE)
    async with connection(target, reach) as made:
        file, at = await _file(target, made, path), 0
        async for piece in parcel.pieces():
            for start in range(0, len(piece), WRITE_BYTES):
                await _write(target, file, piece[start : start + WRITE_BYTES], at + start)
            at += len(piece)
        with ours(target):
            async with asyncio.timeout(TAKEN_SECONDS):
                await file.close()


async def _file(target: Source, made: "SSHClientConnection", path: bytes) -> "SFTPClientFile":
    with ours(target):
        async with asyncio.timeout(SILENT_SECONDS):
            # Without a path encoding names are bytes, as the URL has them; with block size 0 a write is one request.
            client = await made.start_sftp_client(path_encoding=None)
            return await client.open(path, "wb", encoding=None, block_size=0)


async def _write(target: Source, file: "SFTPClientFile", piece: bytes, at: int) -> None:
    with ours(target):
        async with asyncio.timeout(TAKEN_SECONDS):
            await file.write(piece, at)

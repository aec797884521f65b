"""Files by FTP and FTPS to a server: with STOR, which the server has to confirm.

How the server is reached and spoken to: `ftp_session.py`.
"""

from firmware_bridge.ftp_session import path_of, session
from firmware_bridge.reach import Parcel, Reach
from firmware_bridge.sources import Source, file_path


async def send(target: Source, reach: Reach, parcel: Parcel) -> None:
    """Implements `reach.Send`."""
    path = file_path(path_of(target), parcel.name)
    async with session(target, reach) as server, server.stored(path) as writer:
        async for piece in parcel.pieces():
            await server.send(writer, piece)
        await server.finish(writer)

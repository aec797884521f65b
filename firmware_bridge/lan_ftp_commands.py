"""What a charger may say by FTP: aioftp's commands for looking and taking, and ours for leaving files.

A command that is not here does not exist: nothing can be made, renamed or removed. Each is given the connection and
what follows its name, answers by `connection.response`, and returns False when the connection is to end.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import aioftp
from aioftp import Connection, ConnectionConditions, Server

from firmware_bridge.errors import NoRoom, OverQuota, Refused, Unknown
from firmware_bridge.lan_ftp_shelf import Visitor, heed_cancellation
from firmware_bridge.tickets import Ticket

PIECE_BYTES = 64 * 1024
END_SECONDS = 0.3
"""That a charger must still be there after the end of a file which it leaves."""

Command = Callable[[Connection, str], Awaitable[bool]]
_for_visitors = ConnectionConditions(ConnectionConditions.login_required)


def commands(server: Server) -> dict[str, Command]:
    """By name, as aioftp wants them."""
    theirs: dict[str, Command] = {
        "abor": server.abor,
        "epsv": server.epsv,
        "pass": server.pass_,
        "pasv": server.pasv,
        "pwd": server.pwd,
        "rest": server.rest,
        "syst": server.syst,
        "type": server.type,
        "user": server.user,
    }
    ours: dict[str, Callable[[Server, Connection, str], Awaitable[bool]]] = {
        "appe": _appe,
        "cdup": _cdup,
        "cwd": _cwd,
        "list": _list,
        "mode": _mode,
        "noop": _noop,
        "quit": _quit,
        "retr": _retr,
        "size": _size,
        "stor": _stor,
        "stru": _stru,
    }
    return theirs | {name: partial(command, server) for name, command in ours.items()}


@_for_visitors
async def _cwd(server: Server, connection: Connection, rest: str) -> bool:
    """For whoever leaves files every directory is there, and is always the same."""
    visitor: Visitor = connection.user
    if visitor.leaves is None:
        return bool(await server.cwd(connection, rest))
    connection.response("250", "")
    return True


@_for_visitors
async def _cdup(_: Server, connection: Connection, __: str) -> bool:
    connection.response("250", "")
    return True


async def _list(server: Server, connection: Connection, rest: str) -> bool:
    """Many clients add options of `ls`."""
    return bool(await server.list(connection, " ".join(word for word in rest.split() if not word.startswith("-"))))


@_for_visitors
async def _size(server: Server, connection: Connection, rest: str) -> bool:
    """RFC 3659 §4. A TYPE changes no file, and so no size either."""
    visitor: Visitor = connection.user
    seen = visitor.seen(server.get_paths(connection, rest)[0])
    connection.response(*(("550", "not there") if seen is None else ("213", str(seen.size))))
    return True


@_for_visitors
async def _retr(server: Server, connection: Connection, rest: str) -> bool:
    visitor: Visitor = connection.user
    if visitor.leaves is None:
        return bool(await server.retr(connection, rest))
    connection.response("550", "permission denied")
    return True


async def _stor(server: Server, connection: Connection, rest: str) -> bool:
    """With REST behind the first bytes of the file that is there."""
    return bool(await _leave(server, connection, rest, lambda _: int(connection.restart_offset)))


async def _appe(server: Server, connection: Connection, rest: str) -> bool:
    """Behind the whole of it."""

    def size(ticket: Ticket) -> int:
        earlier = connection.user.holdings.uploads.named(ticket.user, rest)
        return 0 if earlier is None else int(earlier.size)

    return bool(await _leave(server, connection, rest, size))


@ConnectionConditions(ConnectionConditions.login_required, ConnectionConditions.passive_server_started)
async def _leave(server: Server, connection: Connection, rest: str, onto: Callable[[Ticket], int]) -> bool:
    visitor: Visitor = connection.user
    ticket = visitor.leaves
    if ticket is None:
        connection.response("550", "permission denied")
        return True
    coming = _Coming(visitor, ticket, rest, onto(ticket))
    connection.restart_offset = 0
    connection.extra_workers.add(asyncio.current_task())  # that ABOR finds it
    connection.response("150", "go on")
    await _receive(server, connection, coming)
    return True


@dataclass(frozen=True, slots=True)
class _Coming:
    """What a charger has begun to leave."""

    visitor: Visitor
    ticket: Ticket
    told: str
    onto: int
    """Bytes of the earlier file of that name with which it begins."""


@ConnectionConditions(
    ConnectionConditions.data_connection_made, wait=True, fail_code="425", fail_info="no data connection"
)
@aioftp.worker
async def _receive(_: Server, connection: Connection, coming: _Coming) -> None:
    stream: aioftp.ThrottleStreamIO = connection.data_connection
    del connection.data_connection
    async with stream:
        code, text = await _kept(coming, _all_of(stream))
    connection.response(code, text)


async def _kept(coming: _Coming, pieces: AsyncGenerator[bytes, None]) -> tuple[str, str]:
    """The answer (RFC 959 §4.2, RFC 3659 §5)."""
    try:
        async with aclosing(pieces):
            uploads = coming.visitor.holdings.uploads
            left = await uploads.receive(coming.ticket, coming.told, pieces, onto=coming.onto)
    except OverQuota:
        return "552", "too much"
    except NoRoom:
        return "452", "no room"
    except Refused:
        return "554", "there is less of it"
    except Unknown:
        return "550", "not wanted any more"
    except (ConnectionError, TimeoutError):
        return "426", "the data connection broke off"
    return ("451", "nothing came") if left is None else ("226", "stored")


async def _all_of(stream: aioftp.ThrottleStreamIO) -> AsyncGenerator[bytes, None]:
    async for piece in stream.iter_by_block(PIECE_BYTES):
        heed_cancellation()
        yield piece
    # A file ends with its connection (RFC 959 §3.4), and so does that of a charger which reboots in the midst of it;
    # but then its commands end too, whereupon aioftp cancels us.
    await asyncio.sleep(END_SECONDS)
    heed_cancellation()


async def _quit(server: Server, connection: Connection, rest: str) -> bool:
    """Once what is under way has ended (RFC 959 §4.1.1)."""
    if connection.extra_workers:
        await asyncio.wait(connection.extra_workers)
    return await server.quit(connection, PurePosixPath(rest))


async def _noop(_: Server, connection: Connection, __: str) -> bool:
    connection.response("200", "")
    return True


async def _mode(_: Server, connection: Connection, rest: str) -> bool:
    """The one that every server has (RFC 959 §5.1), as with STRU."""
    connection.response("200" if rest.upper() == "S" else "504", "")
    return True


async def _stru(_: Server, connection: Connection, rest: str) -> bool:
    connection.response("200" if rest.upper() == "F" else "504", "")
    return True

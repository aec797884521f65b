"""What a charger sees by FTP, and who it is: a directory that is nowhere on disk, with what its ticket leads to.

Implements what aioftp asks for: users (`Visitors`) and files (`Shelf`). No path of a charger is ever one of the file
system: it is looked up among the names of its ticket.
"""

import asyncio
import hmac
import os
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import aioftp
import structlog
from aioftp.pathio import universal_exception

from firmware_bridge.disk import on_disk
from firmware_bridge.errors import Unknown
from firmware_bridge.holdings import Holdings
from firmware_bridge.tickets import Ticket
from firmware_bridge.uploads import told_name

ROOT = Path("/")
NO_PASSWORD = "0" * 24
"""Of the length of a real one, to which a password is compared where there is no ticket."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def heed_cancellation() -> None:
    """End, if that was asked for: the `wait_for` of Python 3.11, which aioftp uses, may have swallowed it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@dataclass(frozen=True, slots=True)
class Seen:
    """A file in the directory of a charger."""

    size: int
    at: datetime
    path: Path | None
    """Where its content is; None: it cannot be taken."""


class Visitor(aioftp.User):
    """Who has said a user's name. Until the password has been shown, there is nothing for it."""

    def __init__(self, login: str, holdings: Holdings) -> None:
        super().__init__(login, base_path=ROOT)
        self.peer = ""
        """Its address."""
        self._holdings = holdings
        self._token: str | None = None

    def show(self, password: str) -> bool:
        """Whether this password is the right one, for this user from this address, now."""
        ticket = self._holdings.tickets.of_user(self.login or "", self.peer)
        expected = NO_PASSWORD if ticket is None else ticket.password
        # In every case, so that the time that it takes tells nothing either.
        is_right = hmac.compare_digest(expected.encode(), password.encode())
        self._token = ticket.token if ticket is not None and is_right else None
        return self._token is not None

    @property
    def ticket(self) -> Ticket | None:
        """As long as it is valid."""
        return None if self._token is None else self._holdings.tickets.show(self._token, self.peer)

    @property
    def files(self) -> Mapping[str, Seen]:
        """What it sees: the file that it may take, or what it has left."""
        ticket = self.ticket
        if ticket is None:
            return {}
        if ticket.sha256 is None:
            left = self._holdings.uploads.of(ticket.user)
            return {one.name: Seen(one.size, datetime.fromisoformat(one.at), None) for one in left}
        try:
            stored = self._holdings.files.get(ticket.sha256)
        except Unknown:
            return {}
        at, path = datetime.fromisoformat(stored.stored_at), self._holdings.files.path(stored.sha256)
        return {ticket.name: Seen(stored.size, at, path)}

    @property
    def leaves(self) -> Ticket | None:
        """The ticket by which it may leave files; None: it may not."""
        ticket = self.ticket
        return ticket if ticket is not None and ticket.sha256 is None else None

    def seen(self, path: Path) -> Seen | None:
        """What it means by a path, as it was resolved; whoever leaves files may put any directory before a name."""
        if self.leaves is not None:
            return self.files.get(told_name(path.name))
        return self.files.get(path.name) if path.parent == ROOT else None

    @property
    def holdings(self) -> Holdings:
        return self._holdings


class Visitors(aioftp.AbstractUserManager):
    """Every name gets as far as the password: which ones there are is for nobody to learn."""

    def __init__(self, holdings: Holdings) -> None:
        super().__init__()
        self._holdings = holdings

    async def get_user(self, login: str) -> tuple[aioftp.AbstractUserManager.GetUserResponse, aioftp.User | None, str]:
        required = aioftp.AbstractUserManager.GetUserResponse.PASSWORD_REQUIRED
        return required, Visitor(login, self._holdings), "password required"

    async def authenticate(self, user: aioftp.User, password: str) -> bool:
        return isinstance(user, Visitor) and user.show(password)


@dataclass(slots=True)
class _Reading:
    """A file that is being taken."""

    charger: str
    file: BinaryIO
    size: int
    until_closed: ExitStack
    at: int = 0


class Shelf(aioftp.AbstractPathIO[Path]):
    """The directory of one connection, which is that of whoever has shown a password there.

    It is for looking and taking: what is left goes past it to `Uploads`, and nothing else may change anything.
    """

    @property
    def _visitor(self) -> Visitor:
        assert self.connection is not None
        visitor: Visitor = self.connection.user
        return visitor

    async def exists(self, path: Path) -> bool:
        return await self.is_dir(path) or await self.is_file(path)

    async def is_dir(self, path: Path) -> bool:
        return path == ROOT

    async def is_file(self, path: Path) -> bool:
        return self._visitor.seen(path) is not None

    async def list(self, path: Path) -> AsyncIterator[Path]:
        for name in self._visitor.files if path == ROOT else (path.name,):
            yield ROOT / name

    @universal_exception
    async def stat(self, path: Path) -> os.stat_result:
        seen = self._visitor.seen(path)
        if seen is None:
            raise FileNotFoundError(path)
        at = int(seen.at.timestamp())
        return os.stat_result((stat.S_IFREG | 0o440, 0, 0, 1, 0, 0, seen.size, at, at, at))

    @universal_exception
    async def _open(self, path: Path, mode: str) -> Any:
        ticket, seen = self._visitor.ticket, self._visitor.seen(path)
        if ticket is None or seen is None or seen.path is None or mode != "rb":
            raise PermissionError(path)
        with ExitStack() as opened:
            reading = _Reading(ticket.charger, opened.enter_context(seen.path.open("rb")), seen.size, ExitStack())
            running = self._visitor.holdings.transfers.running(ticket.token, lambda: reading.at, seen.size)
            opened.enter_context(running)
            reading.until_closed = opened.pop_all()
        log.info("charger_takes", charger=ticket.charger, bytes=seen.size)
        return reading

    @universal_exception
    async def seek(self, file: Any, offset: int, *_: Any) -> int:
        if offset > file.size:
            raise ValueError(f"{offset} is behind the end")
        file.at = file.file.seek(offset)
        return offset

    @universal_exception
    async def read(self, file: Any, block_size: int) -> bytes:
        heed_cancellation()
        piece: bytes = await on_disk(partial(file.file.read, block_size))
        file.at += len(piece)
        return piece

    async def close(self, file: Any) -> None:
        file.until_closed.close()
        if file.at >= file.size:
            log.info("charger_has_taken", charger=file.charger, bytes=file.size)

    async def write(self, *_: Any, **__: Any) -> Any:
        raise aioftp.PathIOError

    mkdir = rmdir = unlink = rename = write

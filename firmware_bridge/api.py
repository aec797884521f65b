"""How `edge` and the bridge speak: one JSON document a line on the bridge's UNIX socket, a request and its answer.

The only module of the bridge that `edge` imports; it needs nothing but the standard library.
"""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
SECONDS = 15.0
"""For an answer: everything that takes longer is asked for first, and looked at afterwards."""
MAX_LINE_BYTES = 1_000_000
MOST_LEFT_BYTES = 720_000
"""Of a file that is left in one request: a line of it in base64."""
USER_LENGTH = 8
"""Of a ticket's token, the part that is the user's name in FTP; the rest is the password."""


class BridgeUnreachable(Exception):
    """Nobody listens on the socket, or nobody answers."""


class BridgeRefused(Exception):
    """The bridge says no. `code`: `firmware_bridge.errors`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that the bridge keeps."""

    sha256: str
    md5: str
    size: int
    name: str
    source: str
    stored_at: str
    signed_by: str | None = None


@dataclass(frozen=True, slots=True)
class FetchNow:
    """How far a fetch is. `state`: waiting, fetching, verifying, stored, failed."""

    id: str
    source: str
    state: str
    bytes: int
    size: int | None
    sha256: str | None
    """Under which the file is kept, once it is stored."""
    code: str | None
    error: str | None

    @property
    def has_ended(self) -> bool:
        return self.state in {"stored", "failed"}


@dataclass(frozen=True, slots=True)
class TicketNow:
    """What a charger may take or leave, where, and how far it is."""

    token: str
    locations: Mapping[str, str]
    """URLs for the charger, by scheme."""
    until: str
    bytes: int
    times: int
    """That it took the file to its end; of one that leaves files, how many it has left whole."""


@dataclass(frozen=True, slots=True)
class LeftFile:
    """What a charger has left."""

    user: str
    """Of its ticket: the first characters of the token, by which it can be discarded."""
    number: str
    charger: str
    name: str
    """What the charger called it, without anything that could do harm."""
    size: int
    sha256: str
    at: str
    """When the last of it came."""
    is_whole: bool
    """False: it broke off."""


@dataclass(frozen=True, slots=True)
class ReceivedNow:
    """A ticket for leaving files, of which `bytes` counts what is still coming too, and what has been left."""

    ticket: TicketNow
    files: tuple[LeftFile, ...]


@dataclass(frozen=True, slots=True)
class ForwardNow:
    """How far an archive is on its way. `state`: waiting, packing, sending, sent, failed."""

    id: str
    target: str
    """The URL without what may be a secret."""
    state: str
    bytes: int
    """That were sent so far."""
    size: int | None
    """Of the archive; None: it is not packed."""
    code: str | None
    error: str | None

    @property
    def has_ended(self) -> bool:
        return self.state in {"sent", "failed"}


class Bridge:
    """A client of the bridge; each request has a connection of its own, so that either side may be restarted."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def fetch(self, url: str, **checks: str | int | None) -> FetchNow:
        """Fetch this, or join whoever does. `checks`: size, sha256, md5, signature with certificate."""
        return _made(FetchNow, await self._ask("fetch", url=url, **checks))

    async def judge(self, url: str, **checks: str | None) -> None:
        """Whether this could be fetched, or sent to, as far as the URL and the `checks` tell; nothing is asked for."""
        await self._ask("judge", url=url, **checks)

    async def fetched(self, fetch: str) -> FetchNow:
        return _made(FetchNow, await self._ask("fetched", fetch=fetch))

    async def cancel(self, fetch: str) -> FetchNow:
        return _made(FetchNow, await self._ask("cancel", fetch=fetch))

    async def files(self) -> list[KeptFile]:
        return [_made(KeptFile, one) for one in (await self._ask("files"))["files"]]

    async def remove(self, sha256: str) -> None:
        await self._ask("remove", sha256=sha256)

    async def serve(self, sha256: str, charger: str, host: str, address: str | None, seconds: int) -> TicketNow:
        """Let a charger take a file. `host`: by which it reaches us; `address`: its own, None: any."""
        asked = {"sha256": sha256, "charger": charger, "host": host, "address": address, "seconds": seconds}
        return _made(TicketNow, await self._ask("serve", **asked))

    async def served(self, token: str, host: str) -> TicketNow:
        return _made(TicketNow, await self._ask("served", token=token, host=host))

    async def receive(
        self, charger: str, host: str, address: str | None, seconds: int, quota_mb: int | None = None
    ) -> TicketNow:
        """Let a charger leave files. `quota_mb`: of all of them, None: `firmware_bridge.upload_max_mb`."""
        asked = {"charger": charger, "host": host, "address": address, "seconds": seconds, "quota_mb": quota_mb}
        return _made(TicketNow, await self._ask("receive", **asked))

    async def received(self, token: str, host: str) -> ReceivedNow:
        """As long as the ticket is valid; what was left with it is among `uploads` afterwards, too."""
        found = await self._ask("received", token=token, host=host)
        return ReceivedNow(_made(TicketNow, found["ticket"]), tuple(_made(LeftFile, one) for one in found["files"]))

    async def leave(self, token: str, name: str, content: bytes) -> LeftFile:
        """Leave a file, as the one whose ticket it is would by HTTP; at most MOST_LEFT_BYTES."""
        asked = {"token": token, "name": name, "base64": base64.b64encode(content).decode()}
        return _made(LeftFile, await self._ask("leave", **asked))

    async def uploads(self) -> list[LeftFile]:
        """All, the newest first."""
        return [_made(LeftFile, one) for one in (await self._ask("uploads"))["files"]]

    async def piece(self, user: str, number: str, offset: int) -> bytes:
        """Of what was left, from an offset on, up to 512 kB; nothing at its end."""
        found = await self._ask("piece", user=user, number=number, offset=offset)
        return base64.b64decode(found["base64"])

    async def discard(self, user: str) -> None:
        """All that was left with one ticket, and what is still coming; refused while it is to be forwarded."""
        await self._ask("discard", user=user)

    async def forward(self, location: str, name: str, users: Sequence[str], manifest: Mapping[str, Any]) -> ForwardNow:
        """Send what was left with these tickets as one ZIP archive, or join whoever does; also when that is nothing.

        `name`: of the archive, where `location` is the URL of a folder. `manifest` becomes its `manifest.json`, to
        which the bridge adds `files`: of each the charger, the path in the archive (null: it is gone, with `why`), the
        name that the charger used, size, sha256, is_whole and at.
        """
        asked = {"location": location, "name": name, "users": list(users), "manifest": manifest}
        return _made(ForwardNow, await self._ask("forward", **asked))

    async def forwarded(self, forward: str) -> ForwardNow:
        return _made(ForwardNow, await self._ask("forwarded", forward=forward))

    async def cancel_forward(self, forward: str) -> ForwardNow:
        return _made(ForwardNow, await self._ask("cancel_forward", forward=forward))

    async def withdraw(self, token: str) -> None:
        await self._ask("withdraw", token=token)

    async def _ask(self, request: str, **details: object) -> dict:  # type: ignore[type-arg]
        """Raises BridgeUnreachable or BridgeRefused."""
        line = json.dumps({"request": request, **details}).encode() + b"\n"
        if len(line) > MAX_LINE_BYTES:
            raise BridgeRefused("invalid_request", f"{request} has {len(line)} bytes, more than {MAX_LINE_BYTES}.")
        try:
            async with asyncio.timeout(SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._socket, limit=MAX_LINE_BYTES)
                try:
                    writer.write(line)
                    await writer.drain()
                    answer = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            raise BridgeUnreachable(f"The firmware bridge does not answer on {self._socket}: {_told(error)}") from error
        return _understood(answer, self._socket)


def _understood(answer: bytes, socket: Path) -> dict:  # type: ignore[type-arg]
    try:
        found = json.loads(answer)
    except ValueError as error:
        raise BridgeUnreachable(f"The firmware bridge on {socket} ended in the midst of an answer.") from error
    if "error" in found:
        raise BridgeRefused(found["error"]["code"], found["error"]["message"])
    return found["done"]  # type: ignore[no-any-return]


def _made(kind: type[T], found: dict[str, Any]) -> T:
    """Raises BridgeUnreachable for an answer with other members than are known here."""
    try:
        return kind(**found)
    except TypeError as error:
        raise BridgeUnreachable("The firmware bridge is of another version: restart it and the daemon.") from error


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or "silence"


def user_of(token: str) -> str:
    """By which what was left with a ticket is known (`LeftFile.user`)."""
    return token[:USER_LENGTH]

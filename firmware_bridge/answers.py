"""What is asked of the bridge, and what it answers: the requests that `server.py` takes from its socket."""

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from firmware_bridge import sources
from firmware_bridge.errors import InvalidRequest, Refused
from firmware_bridge.fetching import Fetch, Fetches, Wanted
from firmware_bridge.forwarding import Asked, Forward, Forwards
from firmware_bridge.holdings import Holdings
from firmware_bridge.tickets import Doors, Ticket

LONGEST_TICKET = timedelta(days=7)

Document = Mapping[str, Any]


class Requests:
    """What may be asked."""

    def __init__(
        self,
        holdings: Holdings,
        fetches: Fetches,
        forwards: Forwards,
        doors: Callable[[], Doors],
        own_address: str | None,
        upload_mb: int,
    ) -> None:
        self._files = holdings.files
        self._fetches = fetches
        self._forwards = forwards
        self._tickets = holdings.tickets
        self._transfers = holdings.transfers
        self._uploads = holdings.uploads
        self._doors = doors
        self._own_address = own_address
        self._upload_mb = upload_mb

    async def answer(self, request: Document) -> Document:
        """Raises BridgeError."""
        details = {key: value for key, value in request.items() if key != "request"}
        match request.get("request"):
            case "fetch":
                return self._fetch(self._fetches.ask(_wanted(details)))
            case "judge":
                self._fetches.judge(_wanted(details))
                return {}
            case "fetched":
                return self._fetch(self._fetches.get(_text(details, "fetch")))
            case "cancel":
                self._fetches.cancel(_text(details, "fetch"))
                return self._fetch(self._fetches.get(_text(details, "fetch")))
            case "files":
                return {"files": [asdict(one) for one in self._files.all()]}
            case "remove":
                return self._remove(_text(details, "sha256"))
            case other:
                return await self._answer_for_chargers(other, details)

    async def _answer_for_chargers(self, request: object, details: Document) -> Document:
        match request:
            case "serve":
                return self._serve(details)
            case "served":
                return self._ticket(self._tickets.get(_text(details, "token")), _text(details, "host"))
            case "receive":
                return self._receive(details)
            case "received":
                return self._received(self._tickets.get(_text(details, "token")), _text(details, "host"))
            case "leave":
                return await self._leave(self._tickets.get(_text(details, "token")), details)
            case "uploads":
                return {"files": [asdict(one) for one in self._uploads.all()]}
            case "piece":
                where = _text(details, "user"), _text(details, "number"), _offset(details)
                return {"base64": base64.b64encode(await self._uploads.piece(*where)).decode()}
            case "discard":
                return self._discard(_text(details, "user"))
            case "withdraw":
                self._transfers.forget(self._tickets.withdraw(_text(details, "token")).token)
                return {}
            case other:
                return self._answer_for_the_cloud(other, details)

    def _answer_for_the_cloud(self, request: object, details: Document) -> Document:
        match request:
            case "forward":
                return self._forward(self._forwards.ask(_asked(details)))
            case "forwarded":
                return self._forward(self._forwards.get(_text(details, "forward")))
            case "cancel_forward":
                return self._forward(self._forwards.cancel(_text(details, "forward")))
            case other:
                raise InvalidRequest(f"There is no request {other!r}.")

    def _forward(self, forward: Forward) -> Document:
        return {
            "id": forward.id,
            "target": sources.parse(forward.asked.location).shown,
            "state": forward.state,
            "bytes": self._forwards.sent(forward.id),
            "size": forward.size,
            "code": forward.code,
            "error": forward.error,
        }

    def _fetch(self, fetch: Fetch) -> Document:
        return {
            "id": fetch.id,
            "source": sources.parse(fetch.wanted.url).shown,
            "state": fetch.state,
            "bytes": self._fetches.came(fetch.id),
            "size": fetch.size,
            "sha256": fetch.sha256,
            "code": fetch.code,
            "error": fetch.error,
        }

    def _remove(self, sha256: str) -> Document:
        stored = self._files.get(sha256)
        if sha256 in self._tickets.in_use():
            raise Refused(f"A charger may still take {stored.name}.")
        self._files.remove(sha256)
        return {}

    def _serve(self, details: Document) -> Document:
        stored = self._files.get(_text(details, "sha256"))
        return self._given(details, sha256=stored.sha256, name=stored.name)

    def _receive(self, details: Document) -> Document:
        quota_mb = details.get("quota_mb")
        if quota_mb is None:
            quota_mb = self._upload_mb
        if type(quota_mb) is not int or not 0 < quota_mb <= self._upload_mb:
            raise InvalidRequest(f"quota_mb must be 1 to {self._upload_mb} (firmware_bridge.upload_max_mb).")
        return self._given(details, quota=quota_mb * 2**20)

    def _received(self, ticket: Ticket, host: str) -> Document:
        return {"ticket": self._ticket(ticket, host), "files": [asdict(one) for one in self._uploads.of(ticket.user)]}

    async def _leave(self, ticket: Ticket, details: Document) -> Document:
        if ticket.sha256 is not None:
            raise Refused(f"With this ticket {ticket.charger} may take a file, not leave one.")
        left = await self._uploads.receive(ticket, _text(details, "name"), _at_once(_content(details)))
        if left is None:
            raise InvalidRequest("base64 must hold something.")
        return asdict(left)

    def _given(self, details: Document, *, sha256: str | None = None, name: str = "", quota: int = 0) -> Document:
        address, seconds = details.get("address"), details.get("seconds")
        if not isinstance(seconds, int) or not 0 < seconds <= LONGEST_TICKET.total_seconds():
            raise InvalidRequest(f"seconds must be 1 to {LONGEST_TICKET.total_seconds():.0f}.")
        ticket = self._tickets.give(
            _text(details, "charger"),
            timedelta(seconds=seconds),
            address=None if address is None else _text(details, "address"),
            sha256=sha256,
            name=name,
            quota=quota,
        )
        return self._ticket(ticket, _text(details, "host"))

    def _discard(self, user: str) -> Document:
        if user in self._forwards.in_use():
            raise Refused(f"What was left under {user} is still to be sent.")
        self._uploads.remove(user)
        return {}

    def _ticket(self, ticket: Ticket, host: str) -> Document:
        taken, left = self._transfers.of(ticket.token), self._uploads.of(ticket.user)
        leaves = ticket.sha256 is None
        return {
            "token": ticket.token,
            "locations": dict(self._doors().locations(ticket, self._own_address or host)),
            "until": ticket.until,
            "bytes": self._uploads.bytes_of(ticket.user) if leaves else taken.bytes,
            "times": sum(one.is_whole for one in left) if leaves else taken.times,
        }


def _text(details: Document, key: str) -> str:
    found = details.get(key)
    if not isinstance(found, str) or not found:
        raise InvalidRequest(f"{key} must be a text.")
    return found


def _content(details: Document) -> bytes:
    try:
        return base64.b64decode(_text(details, "base64"), validate=True)
    except ValueError:
        raise InvalidRequest("base64 must be a content in base64.") from None


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _offset(details: Document) -> int:
    found = details.get("offset")
    if type(found) is not int or found < 0:
        raise InvalidRequest("offset must be a number of bytes.")
    return found


def _wanted(details: Document) -> Wanted:
    size = details.get("size")
    if size is not None and (not isinstance(size, int) or size < 0):
        raise InvalidRequest("size must be a number of bytes.")
    texts = {key: details.get(key) for key in ("sha256", "md5", "signature", "certificate")}
    wrong = [key for key, value in texts.items() if value is not None and not isinstance(value, str)]
    if wrong:
        raise InvalidRequest(f"{wrong[0]} must be a text.")
    return Wanted(_text(details, "url"), size=size, **texts)


def _asked(details: Document) -> Asked:
    users, manifest = details.get("users"), details.get("manifest")
    if not isinstance(users, list) or not all(isinstance(one, str) for one in users):
        raise InvalidRequest("users must be a list of texts.")
    if not isinstance(manifest, dict) or "files" in manifest:
        raise InvalidRequest("manifest must be an object without files, which are the bridge's.")
    return Asked(_text(details, "location"), _text(details, "name"), tuple(users), manifest)

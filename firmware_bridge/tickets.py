"""What a charger may do on the LAN: take one file, or leave some, by a path that nobody can guess, for a while.

A ticket is for one job and one charger. It outlives the process, so that a charger in the middle of a download finds
its file again. Who comes with a wrong or an old one, or from another address, learns nothing but that there is nothing.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from firmware_bridge import disk
from firmware_bridge.api import USER_LENGTH, user_of
from firmware_bridge.disk import utc_now
from firmware_bridge.errors import NoRoom, Unknown

TOKEN_BYTES = 16
MOST = 1000
"""At a time."""


@dataclass(frozen=True, slots=True)
class Ticket:
    token: str
    charger: str
    """For people."""
    until: str
    address: str | None = None
    """From which alone it counts; None: from any."""
    sha256: str | None = None
    """The file that may be taken; None: files may be left."""
    name: str = ""
    """What that file is called there."""
    quota: int = 0
    """Bytes that may be left."""

    @property
    def user(self) -> str:
        return user_of(self.token)

    @property
    def password(self) -> str:
        return self.token[USER_LENGTH:]


@dataclass(frozen=True, slots=True)
class Doors:
    """Ports towards chargers; None: not served."""

    http: int | None
    ftp: int | None

    def locations(self, ticket: Ticket, host: str) -> Mapping[str, str]:
        """URLs for the charger, by scheme. `host`: an address of ours that it reaches."""
        found = {}
        host = f"[{host}]" if ":" in host else host
        if self.http is not None:
            found["http"] = f"http://{host}:{self.http}/{ticket.token}/{ticket.name}"
        if self.ftp is not None:
            found["ftp"] = f"ftp://{ticket.user}:{ticket.password}@{host}:{self.ftp}/{ticket.name}"
        return found


class Tickets:
    """All that are valid, and those that were until lately."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_user: dict[str, Ticket] = {}

    def open(self) -> None:
        """Make the folder and know those that there are."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self._folder.iterdir()):
            ticket = _ticket(path) if path.suffix == ".json" else None
            if ticket is None:
                path.unlink()
            else:
                self._by_user[ticket.user] = ticket

    def give(
        self,
        charger: str,
        last: timedelta,
        *,
        address: str | None,
        sha256: str | None = None,
        name: str = "",
        quota: int = 0,
    ) -> Ticket:
        """A new one. Raises NoRoom when there are too many."""
        if len(self._by_user) >= MOST:
            raise NoRoom(f"{MOST} chargers are being served at once; wait until some are done.")
        token = secrets.token_hex(TOKEN_BYTES)
        while user_of(token) in self._by_user:
            token = secrets.token_hex(TOKEN_BYTES)
        ticket = Ticket(token, charger, (utc_now() + last).isoformat(), address, sha256, name, quota)
        disk.write_record(self._folder / f"{ticket.user}.json", asdict(ticket))
        self._by_user[ticket.user] = ticket
        return ticket

    def get(self, token: str) -> Ticket:
        """For whoever it was given to. Raises Unknown."""
        found = self._by_user.get(user_of(token))
        if found is None or not hmac.compare_digest(found.token.encode(), token.encode()):
            raise Unknown("There is no such ticket, or not any more.")
        return found

    def show(self, token: str, peer: str) -> Ticket | None:
        """The one that a peer shows; None: not valid for it."""
        try:
            found = self.get(token)
        except Unknown:
            return None
        if datetime.fromisoformat(found.until) < utc_now():
            return None
        return found if found.address in {None, peer} else None

    def of_user(self, user: str, peer: str) -> Ticket | None:
        """The one whose FTP user this is; its password is still to be shown."""
        found = self._by_user.get(user)
        return None if found is None else self.show(found.token, peer)

    def withdraw(self, token: str) -> Ticket:
        """It counts no more. Raises Unknown."""
        found = self.get(token)
        disk.remove(self._folder / f"{found.user}.json")
        del self._by_user[found.user]
        return found

    def expire(self) -> None:
        """Forget those that are over."""
        for one in list(self._by_user.values()):
            if datetime.fromisoformat(one.until) < utc_now():
                self.withdraw(one.token)

    def in_use(self) -> set[str]:
        """Files that somebody may still take."""
        return {one.sha256 for one in self._by_user.values() if one.sha256 is not None}


def _ticket(path: Path) -> Ticket | None:
    try:
        found = Ticket(**(disk.read_record(path) or {}))  # type: ignore[arg-type]
        return found if path.stem == found.user and datetime.fromisoformat(found.until) else None
    except (TypeError, ValueError):
        return None

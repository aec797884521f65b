"""What chargers leave: diagnostics, kept as they came, under names of ours, within a quota (reliability.md S13).

`FOLDER/<user of the ticket>/0001` is a content, `0001.json` what is known of it (`arriving.py`); what the charger
called it stands in the record alone. Of each name that a charger used, one file is kept: the latest that came whole,
else the one of which most came. Nothing is ever unpacked, or looked into.
"""

import re
from collections.abc import AsyncIterator, Collection
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from firmware_bridge import arriving, disk
from firmware_bridge.api import USER_LENGTH
from firmware_bridge.arriving import Arriving, Left
from firmware_bridge.disk import on_disk, utc_now, wholly_on_disk
from firmware_bridge.errors import NoRoom, OverQuota, Refused, Unknown
from firmware_bridge.files import SPARE_BYTES
from firmware_bridge.sources import clean_name
from firmware_bridge.tickets import Ticket

MOST_FILES = 20
"""Of one ticket."""
PIECE_BYTES = 512 * 1024
"""Of a file that is read by whoever asks on the bridge's socket (`api.MAX_LINE_BYTES`, in base64)."""
USER = re.compile(rf"[0-9a-f]{{{USER_LENGTH}}}")

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def told_name(written: str) -> str:
    r"""What a charger calls a file, without its folders: `C:\logs\a b.zip` is `a_b.zip`."""
    return clean_name(re.split(r"[/\\]", written)[-1])


class Uploads:
    """All that was left, and what comes just now."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._kept: dict[str, dict[str, Left]] = {}
        """By user and told name."""
        self._arriving: dict[str, list[Arriving]] = {}
        self._last: dict[str, int] = {}
        """The last number that was given, so that none ever stands for two files."""

    def open(self) -> None:
        """Make the folder, know what is there, and clear what nobody can use."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in list(self._folder.iterdir()):
            if USER.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
                self._kept[folder.name] = arriving.found(folder)
                self._last[folder.name] = max((int(one.number) for one in self.of(folder.name)), default=0)
                self._tidy(folder.name)

    def all(self) -> list[Left]:
        """The newest first."""
        return sorted((one for user in self._kept for one in self.of(user)), key=lambda one: one.at, reverse=True)

    def of(self, user: str) -> list[Left]:
        """In the order in which they began to come."""
        return sorted(self._kept.get(user, {}).values(), key=lambda one: int(one.number))

    def named(self, user: str, told: str) -> Left | None:
        """What is kept of what a charger calls so."""
        return self._kept.get(user, {}).get(told_name(told))

    def path(self, left: Left) -> Path:
        return self._folder / left.user / left.number

    async def piece(self, user: str, number: str, offset: int) -> bytes:
        """Of what was left, from an offset on; nothing at its end. Raises Unknown."""
        left = next((one for one in self.of(user) if one.number == number), None)
        try:
            if left is not None:
                path = self.path(left)
                return await on_disk(lambda: disk.read_piece(path, min(offset, left.size), PIECE_BYTES))
        except FileNotFoundError:
            log.debug("upload_went_meanwhile", user=user, number=number)
        raise Unknown(f"There is no file {number} that was left under {user}, or not any more.")

    def bytes_of(self, user: str) -> int:
        """What was left with this ticket, and what has come of what is still coming."""
        return sum(one.size for one in (*self.of(user), *self._arriving.get(user, ())))

    def used_bytes(self) -> int:
        return sum(self.bytes_of(user) for user in {*self._kept, *self._arriving})

    def admit(self, ticket: Ticket, told: str, more: int) -> None:
        """Whether so many bytes may come of this file. Raises OverQuota, or NoRoom when it is the disk's fault.

        A file that this one is to replace does not count among the ticket's: else no charger could send again what it
        was able to send once. It does count among all.
        """
        beside = sum(one.size for one in self.of(ticket.user) if one.name != told_name(told))
        beside += sum(one.size for one in self._arriving.get(ticket.user, ()))
        if beside + more > ticket.quota:
            raise OverQuota(f"{ticket.charger} may leave {ticket.quota} bytes, not {beside + more}.")
        if self.used_bytes() + more > self._most_bytes:
            raise OverQuota(
                f"All chargers together may leave {self._most_bytes // 2**20} MB (firmware_bridge.uploads_max_mb): "
                "raise it, or discard what is not needed any more."
            )
        if disk.free_bytes(self._folder) - more < SPARE_BYTES:
            raise NoRoom("The bridge's disk is full: free some of it.")

    async def receive(
        self, ticket: Ticket, told: str, pieces: AsyncIterator[bytes], *, announced: int = 0, onto: int = 0
    ) -> Left | None:
        """Keep what comes until it ends: then it is whole, and there after a power cut. None: nothing came.

        `announced`: bytes of all of it, 0 for not known; `onto`: with how many bytes of the file of that name this one
        begins. Raises OverQuota, NoRoom, and Unknown for what was discarded meanwhile, after which nothing of it is
        kept; Refused for an `onto` that is more than there is; and what `pieces` raises: then it is kept as not whole.
        """
        one = self._begin(ticket, told, announced, onto)
        try:
            await self._fill(one, ticket, pieces)
        except (NoRoom, Unknown) as error:
            one.is_discarded = True
            log.warning("upload_refused", charger=ticket.charger, name=one.left.name, why=str(error))
            raise
        finally:
            try:
                await wholly_on_disk(one.end)
            finally:
                await self._settle(one)
        return one.kept

    def _begin(self, ticket: Ticket, told: str, announced: int, onto: int) -> Arriving:
        user, earlier = ticket.user, self.named(ticket.user, told)
        if onto > (0 if earlier is None else earlier.size):
            raise Refused(f"{ticket.charger} goes on behind {onto} bytes, of which it has left fewer.")
        self.admit(ticket, told, max(announced, onto))
        others = self._kept.get(user, {}).keys() - {told_name(told)}
        if len(others) + len(self._arriving.get(user, ())) >= MOST_FILES:
            raise OverQuota(f"{ticket.charger} may leave {MOST_FILES} files, not more.")
        self._last[user] = self._last.get(user, 0) + 1
        number, at = f"{self._last[user]:04}", utc_now().isoformat()
        left = Left(user, number, ticket.charger, told_name(told), 0, "", at, is_whole=False)
        one = Arriving(self.path(left), left, self.path(earlier) if earlier is not None and onto else None, onto)
        self._arriving.setdefault(user, []).append(one)
        log.info("charger_leaves", charger=ticket.charger, name=left.name, onto=onto)
        return one

    async def _fill(self, one: Arriving, ticket: Ticket, pieces: AsyncIterator[bytes]) -> None:
        await on_disk(one.start)
        async for piece in pieces:
            if one.is_discarded:
                raise Unknown("It was discarded while it came.")
            self.admit(ticket, one.left.name, len(piece))
            one.size += len(piece)
            await on_disk(partial(one.write, piece))
        one.has_come = True

    async def _settle(self, one: Arriving) -> None:
        """One that has ended is kept, or the one of its name that is better."""
        user, kept = one.left.user, one.kept
        self._arriving[user].remove(one)
        if not self._arriving[user]:
            del self._arriving[user]
        if kept is not None:
            log.info("charger_has_left", charger=kept.charger, name=kept.name, bytes=kept.size, is_whole=kept.is_whole)
            worse = kept if one.is_discarded else self._worse(kept)
            if worse is not None:
                await on_disk(partial(arriving.unlink, self.path(worse)))
        self._tidy(user)

    def _worse(self, new: Left) -> Left | None:
        """Keep this one or the earlier one of its name; which one is not kept."""
        kept = self._kept.setdefault(new.user, {})
        earlier = kept.get(new.name)
        if earlier is not None and earlier.worth > new.worth:
            return new
        kept[new.name] = new
        return earlier

    def _tidy(self, user: str) -> None:
        if not self._kept.get(user) and user not in self._arriving:
            self._kept.pop(user, None)
            if (self._folder / user).is_dir():
                (self._folder / user).rmdir()

    def remove(self, user: str) -> None:
        """All that was left with this ticket, and what is still coming. Raises Unknown when there is none."""
        if user not in self._kept and user not in self._arriving:
            raise Unknown(f"Nothing was left under {user}.")
        for one in self._arriving.get(user, ()):
            one.is_discarded = True
        for left in self._kept.pop(user, {}).values():
            arriving.unlink(self.path(left))
        self._tidy(user)

    def expire(self, now: datetime, keep_for: timedelta, in_use: Collection[str] = ()) -> None:
        """Remove what is older. `in_use`: users of whose files somebody is still to take."""
        for left in self.all():
            if left.user not in in_use and now - datetime.fromisoformat(left.at) > keep_for:
                del self._kept[left.user][left.name]
                arriving.unlink(self.path(left))
                self._tidy(left.user)

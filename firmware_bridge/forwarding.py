"""What chargers have left is sent on, as one archive: again after whatever ends a connection or the process.

A forward is known by what was asked for, so that who asks again joins it. `FOLDER/<id>.json` is its record, `<id>.zip`
the archive, from when it is packed (`archives.py`) until it was sent, or never will be. An uplink may be gone for days.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from firmware_bridge import archives, disk, sources
from firmware_bridge.archives import Content
from firmware_bridge.arriving import Left
from firmware_bridge.disk import on_disk, utc_now
from firmware_bridge.errors import NoRoom, Refused, Unknown, Unreachable, Unusable
from firmware_bridge.files import SPARE_BYTES
from firmware_bridge.patience import Patience
from firmware_bridge.reach import CHUNK_BYTES, Parcel, Reach, Send
from firmware_bridge.uploads import Uploads

AT_ONCE = 1
MOST_UNFINISHED = 20
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 900.0
"""Seconds between two attempts, each of which sends the archive from its start."""
REMEMBERED_FOR = timedelta(days=7)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class State(StrEnum):
    WAITING = "waiting"
    PACKING = "packing"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in {State.SENT, State.FAILED}


@dataclass(frozen=True, slots=True)
class Asked:
    """An archive, and where it is to go."""

    location: str
    name: str
    """What it is to be called where the location is a folder."""
    users: tuple[str, ...]
    """Of the tickets with which was left what goes into it."""
    manifest: Mapping[str, Any]
    """What `manifest.json` is to say beside the list of files."""

    @property
    def id(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Forward:
    """How far one is."""

    id: str
    asked: Asked
    asked_at: str
    left: tuple[Left, ...]
    """What there was when it was asked for: the archive has it, or says that it is gone."""
    state: State = State.WAITING
    size: int | None = None
    """Of the archive; None: it is not packed."""
    error: str | None = None
    """Why it failed, or what it is waiting for."""
    code: str | None = None
    ended_at: str | None = None


class Forwards:
    """All forwards; `run` carries them out."""

    def __init__(
        self, folder: Path, uploads: Uploads, reach: Reach, longest: timedelta, protocols: Mapping[str, Send]
    ) -> None:
        self._folder = folder
        self._uploads = uploads
        self._reach = reach
        self._longest = longest
        self._protocols = protocols
        self._known: dict[str, Forward] = {}
        self._sent: dict[str, int] = {}
        """Bytes of those that are being sent."""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def open(self) -> None:
        """Make the folder and know what was under way."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self._folder.glob("*.json")):
            if (forward := _forward(path)) is not None:
                self._known[forward.id] = forward
        for path in self._folder.iterdir():
            known = self._known.get(path.stem)
            if known is None or (path.suffix != ".json" and (known.state.is_final or known.size is None)):
                path.unlink()

    def ask(self, asked: Asked) -> Forward:
        """Send this, unless that is being done, or was. Raises Refused for what can never be sent, NoRoom, OSError."""
        target = sources.parse(asked.location)
        if target.scheme not in self._protocols:
            raise Refused(f"{target.shown} needs the extra [sftp]: pip install 'ocpp-edge[sftp]'.")
        known = self._known.get(asked.id)
        if known is not None and known.state is not State.FAILED:
            return known
        if sum(not one.state.is_final for one in self._known.values()) >= MOST_UNFINISHED:
            raise NoRoom(f"{MOST_UNFINISHED} archives are still to be sent; wait until some are, or cancel them.")
        left = tuple(one for user in asked.users for one in self._uploads.of(user))
        forward = Forward(asked.id, asked, utc_now().isoformat(), left)
        self._write(forward)
        self._known[forward.id] = forward
        self._wake.set()
        return forward

    def get(self, forward_id: str) -> Forward:
        """Raises Unknown."""
        found = self._known.get(forward_id)
        if found is None:
            raise Unknown(f"There is no forward {forward_id}.")
        return found

    def sent(self, forward_id: str) -> int:
        """Bytes of the archive that the other side has taken so far."""
        forward = self.get(forward_id)
        return (forward.size or 0) if forward.state is State.SENT else self._sent.get(forward_id, 0)

    def cancel(self, forward_id: str) -> Forward:
        """Raises Unknown. One that has ended stays as it is."""
        forward = self.get(forward_id)
        if forward.state.is_final:
            return forward
        if (task := self._running.get(forward_id)) is not None:
            task.cancel()
        return self._ended(forward, State.FAILED, code="cancelled", error="It was cancelled.")

    def in_use(self) -> set[str]:
        """Users of tickets with which was left what is still to be packed."""
        waiting = (one for one in self._known.values() if not one.state.is_final and one.size is None)
        return {user for one in waiting for user in one.asked.users}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for forward in list(self._known.values()):
                    if not forward.state.is_final and forward.id not in self._running:
                        self._running[forward.id] = tasks.create_task(self._carry_out(forward.id))
                self._forget()
                await self._wake.wait()

    def _forget(self) -> None:
        """What ended long ago."""
        now = utc_now()
        for forward in list(self._known.values()):
            if forward.ended_at is not None and now - datetime.fromisoformat(forward.ended_at) > REMEMBERED_FOR:
                del self._known[forward.id]
                try:
                    disk.remove(self._record(forward.id))
                except OSError as error:  # it is forgotten once more after the next start
                    log.warning("forward_not_forgotten", forward=forward.id, why=error.strerror)

    async def _carry_out(self, forward_id: str) -> None:
        try:
            await self._until_done(forward_id)
        except (Refused, Unusable) as error:
            self._ended(self.get(forward_id), State.FAILED, code=error.code, error=str(error))
        except Exception:
            # The supervisor of one forward: a defect costs this one, not the others.
            log.exception("forward_broke", forward=forward_id)
            why = "A defect of the bridge; see its log."
            self._ended(self.get(forward_id), State.FAILED, code="failed", error=why)
        finally:
            self._running.pop(forward_id, None)
            self._sent.pop(forward_id, None)
            self._wake.set()  # it may have been asked for again since it was cancelled

    async def _until_done(self, forward_id: str) -> None:
        patience = Patience(self.get(forward_id).asked_at, self._longest)
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._slots:
                    return await self._once(forward_id, patience)
            except (Unreachable, NoRoom) as error:
                if patience.is_over:
                    hours = patience.longest / timedelta(hours=1)
                    raise Unusable(f"Given up after {hours:.0f} hours: {error}") from error
                waiting = replace(self.get(forward_id), state=State.WAITING, error=str(error), code=error.code)
                self._keep(waiting)
                log.info("forward_interrupted", forward=forward_id, why=str(error), bytes=self.sent(forward_id))
            self._sent.pop(forward_id, None)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self, forward_id: str, patience: Patience) -> None:
        """One attempt."""
        if self.get(forward_id).size is None:
            await self._pack(self._keep(replace(self.get(forward_id), state=State.PACKING)))
        forward = self._keep(replace(self.get(forward_id), state=State.SENDING))
        target, size = sources.parse(forward.asked.location), forward.size or 0
        parcel = Parcel(sources.clean_name(forward.asked.name), size, lambda: self._pieces(forward_id))
        try:
            async with asyncio.timeout(patience.attempt_s):
                await self._protocols[target.scheme](target, self._reach, parcel)
        except TimeoutError:
            raise Unreachable(f"{target.shown} takes the archive too slowly.") from None
        self._ended(forward, State.SENT)
        log.info("forwarded", forward=forward_id, target=target.shown, bytes=size)

    async def _pack(self, forward: Forward) -> None:
        names = self._names(forward)
        most = sum(one.size for one in names.values())
        missing = most + SPARE_BYTES - await on_disk(lambda: disk.free_bytes(self._folder))
        if missing > 0:
            raise NoRoom(
                f"An archive of up to {most / 2**20:.0f} MB does not fit: the disk lacks {missing / 2**20:.0f} MB. "
                "Free some."
            )
        archive = self._archive(forward.id)
        try:
            size = await archives.pack(archive, forward.asked.manifest, self._contents(names))
        except BaseException:
            archive.unlink(missing_ok=True)
            raise
        self._keep(replace(self.get(forward.id), size=size, error=None, code=None))
        log.info("forward_packed", forward=forward.id, files=len(names), bytes=size)

    def _names(self, forward: Forward) -> dict[tuple[str, str], Left]:
        """What goes in by user and told name: what there was, and what came since."""
        now = (one for user in forward.asked.users for one in self._uploads.of(user))
        return {(one.user, one.name): one for one in (*forward.left, *now)}

    def _contents(self, names: Mapping[tuple[str, str], Left]) -> Iterator[Content]:
        """Each as it is when it is its turn: a charger may send one again meanwhile."""
        for (user, name), known in names.items():
            left = self._uploads.named(user, name)
            yield Content(known, None) if left is None else Content(left, self._uploads.path(left))

    async def _pieces(self, forward_id: str) -> AsyncIterator[bytes]:
        archive, at = self._archive(forward_id), 0
        while piece := await on_disk(partial(disk.read_piece, archive, at, CHUNK_BYTES)):
            self._sent[forward_id] = at
            yield piece
            at += len(piece)
        self._sent[forward_id] = at

    def _archive(self, forward_id: str) -> Path:
        return self._folder / f"{forward_id}.zip"

    def _record(self, forward_id: str) -> Path:
        return self._folder / f"{forward_id}.json"

    def _write(self, forward: Forward) -> None:
        disk.write_record(self._record(forward.id), asdict(forward))

    def _keep(self, forward: Forward) -> Forward:
        """On a full disk only until the process ends: then it goes on from what was written last."""
        self._known[forward.id] = forward
        try:
            self._write(forward)
        except OSError as error:
            log.warning("forward_not_written", forward=forward.id, why=error.strerror)
        return forward

    def _ended(self, forward: Forward, state: State, *, code: str | None = None, error: str | None = None) -> Forward:
        at = utc_now().isoformat()
        ended = self._keep(replace(forward, state=state, code=code, error=error, ended_at=at))
        with suppress(OSError):  # the next start clears it
            self._archive(forward.id).unlink(missing_ok=True)
        if state is State.FAILED:
            log.warning("forward_failed", forward=forward.id, why=error)
        return ended


def _forward(path: Path) -> Forward | None:
    """What a record says, to go on from; None when it is none of ours."""
    found: Any = disk.read_record(path)
    try:
        asked = Asked(**(found["asked"] | {"users": tuple(found["asked"]["users"])}))
        left = tuple(Left(**one) for one in found["left"])
        forward = Forward(**(found | {"asked": asked, "left": left, "state": State(found["state"])}))
    except (TypeError, ValueError, KeyError):
        return None
    if forward.id != path.stem:
        return None
    if forward.state.is_final:
        return forward
    archive = path.with_suffix(".zip")
    is_packed = archive.is_file() and archive.stat().st_size == forward.size
    return replace(forward, state=State.WAITING, size=forward.size if is_packed else None)

"""Files are fetched once: resumed after whatever ends a connection or the process, verified as a whole, then kept.

A fetch is known by what is wanted, so that who asks again joins it. `FOLDER/<id>.json` is its record, `<id>.part` what
has come so far, of which the record says how much was synced: what a power cut may have spoilt comes again.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import BinaryIO

import structlog

from firmware_bridge import disk, sources
from firmware_bridge.disk import on_disk, utc_now
from firmware_bridge.errors import Busy, Changed, NoRoom, Refused, Unknown, Unreachable, Unusable
from firmware_bridge.files import BLOCK_BYTES, Digests, Files, Hashing, Stored
from firmware_bridge.patience import Patience
from firmware_bridge.reach import Open, Opened, Reach
from firmware_bridge.signatures import Signature, Trust

AT_ONCE = 2
MOST_UNFINISHED, MOST_REMEMBERED = 20, 200
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
SYNC_EVERY_BYTES = 8 * 2**20
FRESH_FOR = timedelta(minutes=10)
"""A file that was fetched so long ago is asked for again: there may be another under the same URL."""
HELD_FOR = timedelta(hours=24)
"""So long whoever has asked for it may take until chargers get it; then it is one like any other."""
REMEMBERED_FOR = timedelta(days=7)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class State(StrEnum):
    WAITING = "waiting"
    FETCHING = "fetching"
    VERIFYING = "verifying"
    STORED = "stored"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in {State.STORED, State.FAILED}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file, and what it must be; what is None is not checked."""

    url: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    signature: str | None = None
    """Base64 (1.6 security, SignedUpdateFirmware; 2.x L01)."""
    certificate: str | None = None
    """PEM, of whoever signed."""

    @property
    def id(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Fetch:
    """How far one is."""

    id: str
    wanted: Wanted
    asked_at: str
    state: State = State.WAITING
    synced: int = 0
    size: int | None = None
    validator: str | None = None
    sha256: str | None = None
    """Under which it is kept."""
    error: str | None = None
    """Why it failed, or what it is waiting for."""
    code: str | None = None
    ended_at: str | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    most_bytes: int
    """Of one file."""
    longest: timedelta
    """After which a fetch is given up."""


class Fetches:
    """All fetches; `run` carries them out."""

    def __init__(
        self, folder: Path, files: Files, reach: Reach, trust: Trust, caps: Caps, protocols: Mapping[str, Open]
    ) -> None:
        self._folder = folder
        self._files = files
        self._reach = reach
        self._trust = trust
        self._caps = caps
        self._protocols = protocols
        self._known: dict[str, Fetch] = {}
        self._came: dict[str, int] = {}
        """Bytes of unfinished ones, synced or not."""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def open(self) -> None:
        """Make the folder and know what was under way."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self._folder.glob("*.json")):
            fetch = _fetch(path)
            if fetch is not None:
                self._known[fetch.id] = fetch if fetch.state.is_final else replace(fetch, state=State.WAITING)
        for path in self._folder.iterdir():
            fetch = self._known.get(path.stem)
            if fetch is None or (path.suffix == ".part" and fetch.state.is_final):
                path.unlink()

    def ask(self, wanted: Wanted) -> Fetch:
        """Fetch this, unless that is being done or was done lately.

        Raises Refused for what can never be, Busy, OSError.
        """
        self.judge(wanted)
        known = self._known.get(wanted.id)
        if known is not None and (not known.state.is_final or self._is_kept(known, FRESH_FOR)):
            return self.get(known.id)
        if sum(not one.state.is_final for one in self._known.values()) >= MOST_UNFINISHED:
            raise Busy(
                f"{MOST_UNFINISHED} files are still to be fetched; wait until some are, or abort their rollouts."
            )
        fetch = Fetch(wanted.id, wanted, utc_now().isoformat())
        self._write(fetch)
        self._known[fetch.id] = fetch
        self._wake.set()
        return fetch

    def judge(self, wanted: Wanted) -> None:
        """Raises Refused for what can never be fetched."""
        source = sources.parse(wanted.url)
        if source.scheme not in self._protocols:
            raise Refused(f"{source.shown} needs the extra [sftp]: pip install 'ocpp-edge[sftp]'.")
        if wanted.signature is not None:
            self._trust.signer(Signature(wanted.signature, wanted.certificate or ""))

    def _is_kept(self, fetch: Fetch, for_: timedelta) -> bool:
        """Whether it has brought a file within this time, and that is still there."""
        if fetch.state is not State.STORED or fetch.sha256 is None or fetch.ended_at is None:
            return False
        if utc_now() - datetime.fromisoformat(fetch.ended_at) > for_:
            return False
        with suppress(Unknown):
            return bool(self._files.get(fetch.sha256))
        return False

    def get(self, fetch_id: str) -> Fetch:
        """Raises Unknown."""
        found = self._known.get(fetch_id)
        if found is None:
            raise Unknown(f"There is no fetch {fetch_id}.")
        return found

    def came(self, fetch_id: str) -> int:
        """Bytes that have come so far."""
        fetch = self.get(fetch_id)
        if fetch.state is State.STORED:
            return fetch.size or 0
        return self._came.get(fetch_id, fetch.synced)

    def cancel(self, fetch_id: str) -> None:
        """Raises Unknown. One that has ended stays as it is."""
        fetch = self.get(fetch_id)
        if fetch.state.is_final:
            return
        if (task := self._running.get(fetch_id)) is not None:
            task.cancel()
        self._ended(fetch, State.FAILED, code="cancelled", error="It was cancelled.")

    def in_use(self) -> set[str]:
        """Files that a fetch of lately has brought: who asked for it is still to take it."""
        return {one.sha256 for one in self._known.values() if one.sha256 is not None and self._is_kept(one, HELD_FOR)}

    def coming_bytes(self) -> int:
        """Of files that are under way."""
        return sum(self._came.get(one.id, one.synced) for one in self._known.values() if not one.state.is_final)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for fetch in list(self._known.values()):
                    if not fetch.state.is_final and fetch.id not in self._running:
                        self._running[fetch.id] = tasks.create_task(self._carry_out(fetch.id))
                self._forget()
                await self._wake.wait()

    def _forget(self) -> None:
        """What ended long ago, or before many others; of these at first what has brought nothing."""
        now = utc_now()
        ended = [one for one in self._known.values() if one.ended_at is not None and one.id not in self._running]
        ended.sort(key=lambda one: (one.state is State.STORED, one.ended_at))
        for place, fetch in enumerate(ended, MOST_REMEMBERED - len(ended)):
            if place < 0 or now - datetime.fromisoformat(fetch.ended_at or "") > REMEMBERED_FOR:
                del self._known[fetch.id]
                try:
                    disk.remove(self._folder / f"{fetch.id}.json")
                except OSError as error:  # it is forgotten once more after the next start
                    log.warning("fetch_not_forgotten", fetch=fetch.id, why=error.strerror)

    async def _carry_out(self, fetch_id: str) -> None:
        try:
            async with self._slots:
                await self._until_done(fetch_id)
        except (Refused, Unusable) as error:
            self._ended(self.get(fetch_id), State.FAILED, code=error.code, error=str(error))
        except Exception:
            # The supervisor of one fetch: a defect costs this one, not the others.
            log.exception("fetch_broke", fetch=fetch_id)
            self._ended(self.get(fetch_id), State.FAILED, code="failed", error="A defect of the bridge; see its log.")
        finally:
            self._running.pop(fetch_id, None)
            self._came.pop(fetch_id, None)
            self._wake.set()  # it may have been asked for again since it was cancelled

    async def _until_done(self, fetch_id: str) -> None:
        patience = Patience(self.get(fetch_id).asked_at, self._caps.longest)
        pause = FIRST_PAUSE
        while True:
            before = self.came(fetch_id)
            try:
                async with asyncio.timeout(patience.attempt_s) as deadline:
                    return await self._once(fetch_id)
            except TimeoutError:
                if not deadline.expired():
                    raise
                raise Unusable(f"Given up after {patience.longest}: it was still coming.") from None
            except (Unreachable, NoRoom) as error:
                if isinstance(error, Changed):
                    self._keep(replace(self.get(fetch_id), synced=0, validator=None))
                if patience.is_over:
                    raise Unusable(f"Given up after {patience.longest}: {error}") from error
                self._keep(replace(self.get(fetch_id), state=State.WAITING, error=str(error), code=error.code))
                log.info("fetch_interrupted", fetch=fetch_id, why=str(error), bytes=self.came(fetch_id))
            pause = FIRST_PAUSE if self.came(fetch_id) > before else min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _once(self, fetch_id: str) -> None:
        """One attempt, from where the last one came to."""
        fetch = self._keep(replace(self.get(fetch_id), state=State.FETCHING))
        source, part = sources.parse(fetch.wanted.url), self._folder / f"{fetch_id}.part"
        hashing = await on_disk(lambda: _resumed(part, fetch.synced))
        there = hashing.digests().size
        open_source = self._protocols[source.scheme]
        async with open_source(source, self._reach, there, fetch.validator) as opened:
            if opened.starts_at != there:
                hashing = await on_disk(lambda: _resumed(part, 0))
            size = self._size(source, fetch.wanted, opened)
            fetch = self._keep(
                replace(fetch, size=size, validator=opened.validator, synced=opened.starts_at, error=None, code=None)
            )
            starts_at = opened.starts_at
            rest = (size or starts_at) - starts_at
            await on_disk(lambda: self._files.make_room(rest, self.coming_bytes()))
            await self._receive(fetch, opened, part, hashing)
        found = hashing.digests()
        if size is not None and found.size != size:
            raise Unreachable(f"{source.shown} broke off after {found.size} of {size} bytes.")
        fetch = self._keep(replace(self.get(fetch_id), state=State.VERIFYING, synced=found.size))
        try:
            signer = self._verify(source.shown, fetch.wanted, found)
        except Unusable as error:
            await on_disk(lambda: disk.remove(part))
            if starts_at == 0:
                raise
            raise Changed(f"{error} It came in parts, and is fetched again as a whole.") from error
        stored = Stored(found.sha256, found.md5, found.size, source.name, source.shown, utc_now().isoformat(), signer)
        await on_disk(lambda: self._files.adopt(part, stored))
        self._ended(replace(fetch, sha256=found.sha256, size=found.size), State.STORED)
        log.info("fetched", fetch=fetch_id, source=source.shown, bytes=found.size, sha256=found.sha256)

    def _size(self, source: sources.Source, wanted: Wanted, opened: Opened) -> int | None:
        """Of the whole file. Raises Unusable when that is not what was wanted."""
        if opened.size is not None and opened.size > self._caps.most_bytes:
            raise Unusable(self._too_large(source, f"{opened.size} bytes"))
        if opened.size is not None and wanted.size is not None and opened.size != wanted.size:
            raise Unusable(f"{source.shown} has {opened.size} bytes, not the {wanted.size} that were announced.")
        return opened.size if opened.size is not None else wanted.size

    def _too_large(self, source: sources.Source, what: str) -> str:
        return (
            f"{source.shown} has {what}, more than the {self._caps.most_bytes // 2**20} MB of "
            "firmware_bridge.max_file_mb."
        )

    async def _receive(self, fetch: Fetch, opened: Opened, part: Path, hashing: Hashing) -> None:
        at = synced = opened.starts_at
        with part.open("r+b") as file:
            file.seek(at)
            try:
                async for chunk in opened.chunks:
                    if at + len(chunk) > self._caps.most_bytes:
                        raise Unusable(self._too_large(sources.parse(fetch.wanted.url), f"more than {at} bytes"))
                    await on_disk(partial(_write, file, hashing, chunk))
                    at += len(chunk)
                    self._came[fetch.id] = at
                    if at - synced >= SYNC_EVERY_BYTES:
                        synced = await self._sync(fetch.id, file)
                        await on_disk(lambda: self._files.make_room(0, self.coming_bytes()))
            except (Unreachable, NoRoom):
                await self._sync(fetch.id, file)  # what has come need not come again
                raise
            await self._sync(fetch.id, file)

    async def _sync(self, fetch_id: str, file: BinaryIO) -> int:
        """What has come is there after a power cut, too; how much that is."""

        def sync() -> int:
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

        synced = await on_disk(sync)
        self._keep(replace(self.get(fetch_id), synced=synced))
        return synced

    def _verify(self, shown: str, wanted: Wanted, found: Digests) -> str | None:
        """Who signed it. Raises Unusable: such a file is not kept."""
        for kind, is_so, should_be in (("SHA-256", found.sha256, wanted.sha256), ("MD5", found.md5, wanted.md5)):
            if should_be is not None and is_so != should_be.lower():
                raise Unusable(f"{shown} has the {kind} {is_so}, not {should_be.lower()}: it is not that file.")
        if wanted.signature is None:
            return None
        return self._trust.verify(Signature(wanted.signature, wanted.certificate or ""), found.sha256)

    def _write(self, fetch: Fetch) -> None:
        disk.write_record(self._folder / f"{fetch.id}.json", asdict(fetch))

    def _keep(self, fetch: Fetch) -> Fetch:
        """On a full disk only until the process ends: then it goes on from what was written last."""
        self._known[fetch.id] = fetch
        try:
            self._write(fetch)
        except OSError as error:
            log.warning("fetch_not_written", fetch=fetch.id, why=error.strerror)
        return fetch

    def _ended(self, fetch: Fetch, state: State, *, code: str | None = None, error: str | None = None) -> None:
        self._keep(replace(fetch, state=state, code=code, error=error, ended_at=utc_now().isoformat()))
        with suppress(OSError):  # the next start clears it
            (self._folder / f"{fetch.id}.part").unlink(missing_ok=True)
        if state is State.FAILED:
            log.warning("fetch_failed", fetch=fetch.id, why=error)


def _resumed(part: Path, synced: int) -> Hashing:
    """The digests of what is there, after everything that may not be whole was cut off; of nothing, if it was less."""
    hashing = Hashing()
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        is_all_there = os.fstat(descriptor).st_size >= synced
        file.truncate(synced if is_all_there else 0)
        while piece := file.read(BLOCK_BYTES):
            hashing.feed(piece)
    return hashing


def _write(file: BinaryIO, hashing: Hashing, chunk: bytes) -> None:
    file.write(chunk)
    hashing.feed(chunk)


def _fetch(path: Path) -> Fetch | None:
    """What a record says; None when it is none of ours."""
    found = disk.read_record(path)
    try:
        if found is None:
            return None
        wanted = Wanted(**found.pop("wanted"))  # type: ignore[arg-type]
        return Fetch(**(found | {"wanted": wanted, "state": State(str(found["state"]))}))  # type: ignore[arg-type]
    except (TypeError, ValueError, KeyError):
        return None

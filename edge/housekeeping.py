"""Keeps the store within its bounds, so that a long outage costs resolution before it costs a session.

Each minute, and as soon as the file has grown into another level, it measures how full the store is and tells the
writer (`store/capacity.py`), which then knows what to store. Each hour it removes delivered history that is past its
retention; when the store is filling, more of it (`store/retention.py`), and then it thins what waits
(`store/thinning.py`). All of it in small units with pauses between them, because each charger's answer waits for the
unit before it. Nothing that the CSMS does not have is removed, but for meter values as `store/thinning.py` says.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from edge.clock import SiteClock
from edge.config import StoreSettings
from edge.domain.ports import Offload
from edge.store import Connection, capacity, reserve, retention, thinning
from edge.store.capacity import BEGINS_AT, ENDS_BELOW, Condition, Fullness, Level, NotChecked, Pages
from edge.store.db import CommitFailed, OpenDatabase, Store
from edge.store.exchange import Moment
from edge.store.files import free_bytes
from edge.store.reserve import RESERVE_BYTES
from edge.uplink.lanes import Lanes

T = TypeVar("T")

LOOK_EVERY = 60.0
LOOK_SOON = 10.0
"""From ORANGE on: what the CSMS takes makes room that can be given back at once. And as long as nothing is known."""
GLANCE_EVERY = 2.0
"""Seconds between looks at how much the last commit said is in use: that costs nothing."""
RETAIN_EVERY = 3600.0
RELIEVE_AGAIN_AFTER = 600.0
"""Seconds after which what could not be helped is tried again, though nothing was delivered since."""
CHECK_EVERY_MS = 7 * 24 * 3600 * 1000
FULL_HISTORY_DAYS = 30
"""From YELLOW on delivered history is kept no longer."""
ROOM_FOR_OTHERS = 16 * 1024 * 1024
"""Bytes that the file system keeps: the write-ahead log needs some, and so does the rest of the machine."""
USUAL_WAL = 4 * 1024 * 1024
"""Bytes of write-ahead log that do not count as growth (`journal_size_limit`)."""
RELIEVED_AT = 0.65
"""History is removed down to this share of the limit, so that there is peace for a while."""
FREE_PAGES_KEPT = 64
VACUUMED_AT_ONCE = 64
SHORTEST_PAUSE = 0.02
PAUSE_PER_WORK = 3.0
"""The writer belongs to the chargers for at least three quarters of the time."""
DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Space:
    """What the file system says."""

    free: int
    wal: int
    has_reserve: bool
    """Room for starts and stops is kept (`store/reserve.py`)."""


def space_at(path: Path) -> Space:
    wal = path.with_name(path.name + "-wal")
    size = wal.stat().st_size if wal.exists() else 0
    return Space(free_bytes(path.parent), size, reserve.is_held(path))


class Housekeeping:
    """`settings` are those in force; they are asked for at each look."""

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        clock: SiteClock,
        moment: Callable[[], Moment],
        settings: Callable[[], StoreSettings],
        offload: Offload,
        open_database: OpenDatabase,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._clock = clock
        self._moment = moment
        self._settings = settings
        self._offload = offload
        self._open_database = open_database
        self._limit_bytes = 0
        self._removed = 0
        self._retained_at = float("-inf")
        self._seen_through = 0
        """Up to this row relieving found nothing more, while so many messages waited."""
        self._seen_waiting = 0
        self._seen_at = float("-inf")
        self._sifted_at = float("-inf")
        self._is_unchecked = False
        """The check was due, and could not be made."""
        self._log = structlog.get_logger("edge.housekeeping")
        self.condition = Condition()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._round()
            except (CommitFailed, OSError) as error:
                self._log.warning("housekeeping_failed", why=str(error))
            await self._wait()

    async def _round(self) -> None:
        await self._look()
        now = self._clock.monotonic()
        if now - self._retained_at >= RETAIN_EVERY:
            self._retained_at = now
            await self._retain()
        if self._level() >= Level.YELLOW:
            await self._relieve()
        await self._shrink()

    async def _wait(self) -> None:
        """Until the next look is due, or the store has grown into another level, or out of one."""
        is_urgent = self.condition.fullness is None or self._level() >= Level.ORANGE
        until = self._clock.monotonic() + (LOOK_SOON if is_urgent else LOOK_EVERY)
        while self._clock.monotonic() < until:
            await asyncio.sleep(GLANCE_EVERY)
            share = self._share()
            if share is not None and capacity.level_at(share, self._level()) is not self._level():
                return

    def _level(self) -> Level:
        return Level.GREEN if self.condition.fullness is None else self.condition.fullness.level

    def _share(self) -> float | None:
        """How much of the limit is in use, as of the last commit."""
        pages = self._store.pages
        return None if pages is None or self._limit_bytes == 0 else pages.used * pages.size / self._limit_bytes

    # --- how full it is

    async def _look(self) -> None:
        """Measure, tell the writer what that means, and people when it is another level than before."""
        settings = self._settings()
        await self._keep_reserve(settings)
        space = await self._offload(lambda: space_at(settings.path))
        before = self.condition.fullness

        def unit(db: Connection) -> tuple[Pages, int, Level, list[int], int]:
            left_out = thinning.settle(db)
            pages = capacity.pages(db)
            most = most_bytes(pages, space, settings.max_size_mb)
            used = pages.used * pages.size + max(0, space.wal - USUAL_WAL)
            level = capacity.level_at(used / most, Level.GREEN if before is None else before.level)
            capacity.tell(db, most // pages.size, level, 0 if space.has_reserve else RESERVE_BYTES // pages.size)
            return pages, most, level, left_out, thinning.total(db)

        pages, most, level, left_out, thinned = await self._store.write(unit)
        if left_out:
            self._lanes.forget(frozenset(left_out))
        self._limit_bytes = most
        since = before.since if before is not None and before.level is level else self._clock.utc_now()
        fullness = Fullness(pages.used * pages.size, most, level, since, thinned, self._removed)
        self.condition.fullness = fullness
        if level is not (Level.GREEN if before is None else before.level):
            tell = self._log.info if level is Level.GREEN else self._log.warning
            tell("store_level", level=level.name.lower(), used_bytes=fullness.used_bytes, limit_bytes=most)

    async def _keep_reserve(self, settings: StoreSettings) -> None:
        """Room for starts and stops, unless there is none: what is left then belongs to them anyway."""
        is_wanted = self.condition.fullness is None or self._level() < Level.RED

        def keep() -> bool:
            space = space_at(settings.path)
            if space.has_reserve or not is_wanted or space.free < RESERVE_BYTES + ROOM_FOR_OTHERS:
                return False
            reserve.hold(settings.path)
            return True

        try:
            is_new = await self._offload(keep)
        except OSError as error:  # how full the store is must be known all the same
            self._log.warning("reserve_not_held", why=str(error))
            return
        if is_new:
            self._log.info("reserve_held", bytes=RESERVE_BYTES)

    # --- what goes

    async def _retain(self) -> None:
        """Remove what is past its time; and look whether the file is whole, once a week."""
        if not self._clock.is_settled:
            return  # nobody knows how old anything is
        await self._remove_history(self._settings().retention_days, 0)
        while await self._write(partial(retention.forget_sessions, now_ms=self._now_ms())):
            pass
        await self._store.write(thinning.let_older_programs_read)
        await self._check_file()

    async def _relieve(self) -> None:
        """The store is filling: delivered history goes first, then the density of what waits."""
        days = min(self._settings().retention_days, FULL_HISTORY_DAYS)
        waiting, now = self._lanes.count(), self._clock.monotonic()
        if waiting < self._seen_waiting or now - self._seen_at >= RELIEVE_AGAIN_AFTER:
            self._seen_through, self._seen_at = 0, now
            if self._clock.is_settled:
                await self._remove_history(days, 0)
        self._seen_waiting = waiting
        if self._is_above(RELIEVED_AT):
            self._seen_through = await self._remove_history(None, self._seen_through)
        if self._level() >= Level.ORANGE and now - self._sifted_at >= RELIEVE_AGAIN_AFTER:
            if self._is_above(BEGINS_AT[Level.ORANGE] - ENDS_BELOW):
                await self._thin()
            if self._is_above(BEGINS_AT[Level.ORANGE] - ENDS_BELOW):
                self._sifted_at = self._clock.monotonic()  # that was all; what comes makes way by itself
        await self._look()

    def _is_above(self, share: float) -> bool:
        present = self._share()
        return present is not None and present >= share

    async def _remove_history(self, days: int | None, after: int) -> int:
        """What is older than so many days; None: the oldest, until there is room. Returns how far it looked."""
        kept_ms = self._settings().retention_days * DAY_MS
        before_ms = None if days is None else self._now_ms() - days * DAY_MS
        only_copies_before_ms = self._now_ms() - kept_ms if self._clock.trust.is_trusted else None
        removed = 0
        while days is not None or self._is_above(RELIEVED_AT):
            found = await self._store.read(
                partial(retention.look, after=after, before_ms=before_ms, only_copies_before_ms=only_copies_before_ms)
            )
            for part in _parts(found.seqs):
                removed += await self._write(
                    partial(retention.remove, seqs=part, now_ms=self._now_ms(), kept_ms=kept_ms)
                )
            after = found.until
            if found.is_end:
                break
            await asyncio.sleep(SHORTEST_PAUSE)
        if removed:
            self._removed += removed
            self._log.info("history_removed", rows=removed, older_than_days=days)
        return after

    async def _thin(self) -> None:
        """Of the oldest transactions first, until there is room."""
        removed = 0
        for tx_no in await self._store.read(thinning.waiting):
            if not self._is_above(BEGINS_AT[Level.ORANGE] - ENDS_BELOW):
                break
            sieve = thinning.Sieve()
            for part in _parts(await self._store.read(partial(thinning.waiting_values, tx_no=tx_no))):
                going = await self._store.read(partial(sieve.superfluous, seqs=part))
                if going:
                    unit = partial(thinning.leave_out, tx_no=tx_no, seqs=going, at=self._moment())
                    removed += await self._write(unit)
        if removed:
            self._log.warning("values_thinned", rows=removed)

    async def _shrink(self) -> None:
        """Give pages back to the file system, but for some that are soon needed again."""
        while True:
            pages = self._store.pages
            if pages is None or pages.free <= max(FREE_PAGES_KEPT, pages.in_file // 20):
                return
            await self._write(partial(capacity.shrink, most=VACUUMED_AT_ONCE))

    async def _check_file(self) -> None:
        """The whole of it. What kept it from being checked is another matter, and it is tried again an hour later."""
        is_due = partial(capacity.is_check_due, now_ms=self._now_ms(), every_ms=CHECK_EVERY_MS)
        if not await self._store.write(is_due) and not self._is_unchecked:
            return
        self._is_unchecked = True
        try:
            verdict = await capacity.check_file(self._settings().path, self._open_database)
        except NotChecked as error:
            self._log.warning("store_not_checked", why=str(error))
            return
        self._is_unchecked = False
        self.condition.damage = None if verdict == "ok" else verdict
        if verdict == "ok":
            self._log.info("store_checked")
        else:
            self._log.error("store_damaged", verdict=verdict)
            self._store.damage = verdict  # the daemon puts it aside

    async def _write(self, unit: Callable[[Connection], T]) -> T:
        """One small unit, and a pause that leaves the writer to those who wait for it."""
        began = self._clock.monotonic()
        result = await self._store.write(unit)
        await asyncio.sleep(max(SHORTEST_PAUSE, PAUSE_PER_WORK * (self._clock.monotonic() - began)))
        return result

    def _now_ms(self) -> int:
        return round(self._clock.utc_now().timestamp() * 1000)


def most_bytes(pages: Pages, space: Space, max_size_mb: int) -> int:
    """How large the file may become: as configured, or as far as the file system has room."""
    in_file = pages.in_file * pages.size
    return max(min(max_size_mb * 1024 * 1024, in_file + space.free - ROOM_FOR_OTHERS), pages.size)


def _parts(seqs: Sequence[int]) -> Iterator[Sequence[int]]:
    """As many as one unit may take."""
    for first in range(0, len(seqs), retention.REMOVED_AT_ONCE):
        yield seqs[first : first + retention.REMOVED_AT_ONCE]

"""What goes on behind the chargers' backs after a damaged store was put aside: what is left of it is brought back.

The store that chargers are served from knows their numbers and open sessions already (`store/recovery.py`). Here the
damaged one is read page by page, its rows are proven (`store/salvage.py`), and they are put back in small units
(`store/reimport.py`): first what the CSMS has not got, and until then nothing is sent, so that it stays in order; then
the history. It goes on over restarts, and ends by itself. Nobody has to acknowledge anything.

What was damaged again before that had ended is read together with it. A full disk makes it wait, because its room
belongs to those who charge now; what fails again and again is gone on without. Neither holds up for ever what is to be
sent.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from edge.clock import SiteClock
from edge.domain.ids import TransactionNo
from edge.domain.ports import Offload
from edge.store import proving, quarantine, rebuilding, reimport, reserve, succeeding
from edge.store.capacity import Condition, Level
from edge.store.db import CommitFailed, Store
from edge.store.files import free_bytes
from edge.store.findings import PROVEN, UNPROVEN, WRONG
from edge.store.quarantine import Quarantined
from edge.store.reimport import Ends, Session
from edge.store.reserve import RESERVE_BYTES
from edge.store.salvage import Reading
from edge.store.succeeding import Salvage, is_told
from edge.uplink.lanes import Lanes
from edge.uplink.station import Health

T = TypeVar("T")

SHORTEST_PAUSE = 0.005
PAUSE_PER_READING = 1.0
PAUSE_PER_WRITING = 3.0
"""The writer belongs to the chargers for at least three quarters of the time."""
STATE_EVERY = 50
"""Units after which the progress is kept, for people."""
TRIES, TRIES_IN_ALL = 3, 12
"""Failures of one piece of work, and of all together, after which it is gone on without."""
ROOM_LEFT = 24 * 1024 * 1024
"""Bytes that the file system keeps: what others are left (`edge/housekeeping.py`), and some for one piece of work."""
LOOK_FOR_ROOM_EVERY = 10.0
HELD_AT_MOST = 3600.0
"""Seconds without room after which what is said now is sent before what is still to be brought back."""
OUTLIVED_AFTER = 3600.0
"""Seconds of service after which the disk is trusted again (`store/recovery.py`)."""
BEFORE_SENDING = frozenset({"reading", "open"})
"""Phases in which the CSMS has not got all that comes first."""


def salvage_health(salvage: Salvage | None, now: datetime) -> Health | None:
    """What the CSMS is told of it on connector 0: Faulted until all that it has not got is back; None: nothing."""
    if salvage is None or not is_told(salvage, now):
        return None
    if salvage.phase in BEFORE_SENDING:
        return Health("Faulted", "InternalError", "store damaged: being salvaged")
    lost = f", {salvage.cut_sessions} sessions cut" if salvage.cut_sessions else ""
    return Health("Available", "NoError", f"store salvaged{lost}")


class Salvaging:
    """`run` is its task; `begin` comes before anything is sent."""

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        clock: SiteClock,
        path: Path,
        offload: Offload,
        condition: Condition,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._clock = clock
        self._path = path
        self._offload = offload
        self._condition = condition
        self._on_news: Sequence[Callable[[], None]] = ()
        self._failures: Counter[str] = Counter()
        """By piece of work."""
        self._without_room_since: float | None = None
        self.salvage: Salvage | None = None
        """The present one, or the last one."""
        self._log = structlog.get_logger("edge.salvage")

    async def begin(self) -> None:
        """Learn whether something is to be brought back, and hold back what comes after it."""
        self.salvage = await self._store.write(succeeding.state)
        self._lanes.is_held = self.salvage is not None and self.salvage.phase in BEFORE_SENDING

    async def run(self, on_news: Sequence[Callable[[], None]]) -> None:
        """Bring back what there is, then wait to be cancelled. `on_news`: something is to be told, or sent.

        Raises what has failed, and goes on with it when it is called again; after some times it goes on without.
        """
        self._on_news = on_news
        if self.salvage is not None:
            if self.salvage.phase != "done":
                await self._bring_back()
            await self._see_to(partial(_tidy, self._path, is_cut_short=self._present.cut_short is not None))
            await asyncio.sleep(OUTLIVED_AFTER)
            await self._see_to(partial(quarantine.mark_outlived, self._path))
        await asyncio.Event().wait()

    @property
    def _present(self) -> Salvage:
        assert self.salvage is not None
        return self.salvage

    async def _bring_back(self) -> None:
        parts = await self._offload(partial(quarantine.unfinished, self._path))
        if not parts:  # the last step was not taken, or somebody has taken the folder away
            self._log.error("quarantine_gone", folder=self._present.folder)
        folders = [str(one.folder) for one in parts]
        self._log.warning("salvage_began", folders=folders, why=self._present.why, phase=self._present.phase)
        reading = Reading(parts)
        try:
            is_open = await self._attempt("opening what was found", partial(self._open, reading)) if parts else None
            if is_open:
                await self._read(reading)
                if self._present.phase in BEFORE_SENDING:
                    await self._open_sessions(reading)
                await self._attempt("the history", partial(self._history, reading))
        finally:
            await self._offload(reading.close)
        if self._present.phase in BEFORE_SENDING:  # there was nothing to read
            await self._let_go((), ())
        await self._done(parts)

    async def _open(self, reading: Reading) -> bool:
        await self._offload(reading.open)
        return True

    async def _read(self, reading: Reading) -> None:
        """All that is left of the damaged store is found, and what is true of it is known."""
        await self._attempt("reading it", partial(self._all_of, reading.gather))
        await self._attempt("proving it", partial(self._all_of, reading.prove))
        rebuild = partial(reading.look, rebuilding.rebuild)
        await self._attempt("rebuilding its sessions", partial(self._in_room, rebuild))
        count = partial(reading.look, proving.counts)
        counts = await self._attempt("counting its rows", partial(self._offload, count)) or {}
        await self._keep(
            replace(
                self._present,
                phase="open" if self._present.phase in BEFORE_SENDING else self._present.phase,
                proven=counts.get(PROVEN, 0),
                unproven=counts.get(UNPROVEN, 0),
                wrong=counts.get(WRONG, 0),
            )
        )

    async def _open_sessions(self, reading: Reading) -> None:
        """What the CSMS has not got, session by session; then all of them go on at once."""
        look = partial(reading.look, lambda found: list(reimport.unfinished(found)))
        waiting: list[Session] = []
        for tx_no in await self._attempt("finding its sessions", partial(self._offload, look)) or ():
            begin = partial(reading.look, partial(reimport.session, tx_no=tx_no))
            one = await self._attempt(f"session {tx_no}", partial(self._offload, begin))
            if one is not None:
                is_whole = await self._attempt(f"rows of session {tx_no}", partial(self._rows, reading, one))
                one.is_cut = one.is_cut or not is_whole
                waiting.append(one)
        for one in waiting:
            release = partial(self._unit, partial(reimport.release, one=one))
            await self._attempt(f"end of session {one.tx_no}", release)
        await self._let_go([one.tx_no for one in waiting], [one.tx_no for one in waiting if one.is_cut])

    async def _rows(self, reading: Reading, one: Session) -> bool:
        """True, when all of its rows are there."""
        await self._unit(partial(succeeding.hold, values=one.values))  # found too late for the new store's birth
        while part := await self._in_room(partial(reading.look, partial(reimport.next_rows, one=one))):
            self._count(await self._unit(partial(reimport.insert, part=part)))
        return True

    async def _let_go(self, sessions: Collection[TransactionNo], cut: Collection[TransactionNo]) -> None:
        """From now on all is sent. Of sessions that are still held nothing more will be found."""
        held = await self._store.write(succeeding.held)
        for tx_no in held:
            give_up = partial(self._unit, partial(reimport.give_up, tx_no=tx_no))
            await self._attempt(f"giving up session {tx_no}", give_up)
        sessions, cut = {*sessions, *held}, {*cut, *held}
        await self._keep(replace(self._present, phase="history", sessions=len(sessions), cut_sessions=len(cut)))
        await self._lanes.let_go()
        self._tell()
        imported = self._present.imported
        self._log.warning("sessions_brought_back", sessions=len(sessions), cut=len(cut), rows=imported)

    async def _history(self, reading: Reading) -> None:
        """All the rest, as long as there is room."""
        after, ends, units = 0, Ends(), 0
        while part := await self._little(partial(reading.look, partial(reimport.next_history, after=after, ends=ends))):
            if self._is_filling() or not await self._has_room():
                break
            after = int(str(part.rows[-1][0]))
            self._count(await self._unit(partial(reimport.insert, part=part)))
            units += 1
            if units % STATE_EVERY == 0:
                await self._keep(self._present)
        placeholders = await self._store.write(succeeding.placeholders)
        await self._unit(partial(reimport.put_behind, ends=ends, placeholders=placeholders))
        last = 0
        while sessions := await self._little(partial(reading.look, partial(reimport.next_ended, after=last))):
            await self._unit(partial(reimport.insert_ended, sessions=sessions))
            last = int(str(sessions[-1]["tx_no"]))

    async def _done(self, parts: Sequence[Quarantined]) -> None:
        found = self._present.proven + self._present.unproven
        now_ms = round(self._clock.utc_now().timestamp() * 1000)
        left = max(0, found - self._present.imported)
        # First the quarantines: a store that is damaged in between has all of them, and they must not be sent again.
        await self._see_to(partial(_mark, parts, is_cut_short=self._present.cut_short is not None))
        await self._keep(replace(self._present, phase="done", left=left, done_ms=now_ms))
        self._log.warning(
            "salvage_done",
            folders=[str(one.folder) for one in parts],
            rows=self._present.imported,
            unproven=self._present.unproven,
            wrong=self._present.wrong,
            sessions=self._present.sessions,
            cut=self._present.cut_sessions,
            cut_short=self._present.cut_short,
        )

    async def _see_to(self, work: Callable[[], None]) -> None:
        """Something with the quarantines that the next start does again."""
        try:
            await self._offload(work)
        except OSError as error:
            self._log.warning("quarantine_not_tidied", why=str(error))

    # --- what it costs others

    async def _attempt(self, what: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """The result; None: it has failed too often, and is gone on without. Raises what is to be tried again."""
        if self._has_failed_enough(what):
            return None
        try:
            return await work()
        except CommitFailed:
            raise  # the trouble is the present store's, and the daemon looks after that
        except Exception as error:  # a supervisor (style 16): nothing must be held up for ever by whatever it is
            self._failures[what] += 1
            if not self._has_failed_enough(what):
                raise
            self._log.exception("salvage_cut_short", at=what)
            self.salvage = replace(self._present, cut_short=f"{what} failed: {error or type(error).__name__}")
            return None

    def _has_failed_enough(self, what: str) -> bool:
        return self._failures[what] >= TRIES or self._failures.total() >= TRIES_IN_ALL

    async def _in_room(self, work: Callable[[], T]) -> T:
        """As `_little`, as soon as there is room for it."""
        while not await self._has_room():
            await self._wait_for_room()
        if self._without_room_since is not None:
            self._without_room_since = None
            self._show(replace(self._present, waits_for_room=False))
        return await self._little(work)

    async def _wait_for_room(self) -> None:
        now = self._clock.monotonic()
        if self._without_room_since is None:
            self._without_room_since = now
            self._log.warning("salvage_waits_for_room")
            self._show(replace(self._present, waits_for_room=True))
        elif self._lanes.is_held and now - self._without_room_since >= HELD_AT_MOST:
            self._log.error("sent_before_salvage", waited_s=round(now - self._without_room_since))
            await self._lanes.let_go()
            self._tell()
        await asyncio.sleep(LOOK_FOR_ROOM_EVERY)

    async def _has_room(self) -> bool:
        """Whether nothing is taken from those who charge now."""
        fullness = self._condition.fullness
        if fullness is not None and fullness.level >= Level.RED:
            return False
        return await self._offload(partial(_room, self._path)) >= ROOM_LEFT

    def _is_filling(self) -> bool:
        fullness = self._condition.fullness
        return fullness is not None and fullness.level >= Level.YELLOW

    async def _all_of(self, work: Callable[[], bool]) -> None:
        while await self._in_room(work):
            pass

    async def _little(self, work: Callable[[], T]) -> T:
        """Some reading, and a pause in which the chargers have the processor."""
        began = self._clock.monotonic()
        result = await self._offload(work)
        await asyncio.sleep(max(SHORTEST_PAUSE, PAUSE_PER_READING * (self._clock.monotonic() - began)))
        return result

    async def _unit(self, unit: Callable[..., T]) -> T:
        """One small unit, and a pause that leaves the writer to those who wait for it."""
        began = self._clock.monotonic()
        result = await self._store.write(unit)
        await asyncio.sleep(max(SHORTEST_PAUSE, PAUSE_PER_WRITING * (self._clock.monotonic() - began)))
        return result

    # --- what is told of it

    def _count(self, rows: int) -> None:
        self.salvage = replace(self._present, imported=self._present.imported + rows)

    async def _keep(self, salvage: Salvage) -> None:
        await self._store.write(partial(succeeding.keep_state, salvage=salvage))
        self._show(salvage)

    def _show(self, salvage: Salvage) -> None:
        self.salvage = salvage
        self._tell()

    def _tell(self) -> None:
        for listener in self._on_news:
            listener()


def _room(path: Path) -> int:
    """Bytes of the file system that are nobody's."""
    return free_bytes(path.parent) - (0 if reserve.is_held(path) else RESERVE_BYTES)


def _mark(parts: Sequence[Quarantined], *, is_cut_short: bool) -> None:
    for one in parts:
        quarantine.mark_finished(one, is_cut_short=is_cut_short)


def _tidy(path: Path, *, is_cut_short: bool) -> None:
    """A store that has all that it could get back owes nothing to any quarantine."""
    _mark(quarantine.unfinished(path), is_cut_short=is_cut_short)
    quarantine.prune(path)

"""The site's clock: the machine's, corrected as long as nobody vouches for it.

Everything in the daemon takes its time from here (`Clock`). What was stored before the time was known is not
rewritten: the boot remembers by how much its clock was wrong and until when, and whoever shows or sends a time of
that boot adds it (`edge/store/boots.py`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import structlog

from edge.domain.ports import Clock
from edge.domain.timekeeping import SLACK, Anchor, CsmsTime, Floor, Heard, Trust, judged, wall_time
from edge.store import boots
from edge.store.db import CommitFailed, Store

LOOK_EVERY = 60.0
KEEP_EVERY = 600.0
"""Seconds after which the time is put on disk, as the floor of the next boot."""
DIFFERS_BY = 60.0
"""Seconds that the CSMS's time may differ from a clock that we believe before a person is told."""

Vouches = Callable[[], Awaitable[Trust]]
"""Asks the machine how its clock was set: NTP, RTC, SYSTEM (nobody to ask) or FLOOR (not synchronised)."""


class SiteClock:
    """Implements `Clock`. `run` keeps looking whether the machine has been synchronised."""

    def __init__(self, machine: Clock, vouches: Vouches) -> None:
        self._machine = machine
        self._vouches = vouches
        self._floor = Floor()
        self._began = machine.monotonic()
        self._csms = CsmsTime()
        self._offset: tuple[timedelta, float] | None = None
        self._trusted_now = asyncio.Event()
        self.trust = Trust.SYSTEM
        self.csms_ahead_s: float | None = None
        """By how much the CSMS's time is ahead of ours, after it was heard."""
        self._log = structlog.get_logger("edge.clock")

    def utc_now(self) -> datetime:
        floor = Anchor(self._floor.latest, self._began)
        return wall_time(self.trust, self._machine.utc_now(), self.monotonic(), floor, self._csms.anchor)

    def monotonic(self) -> float:
        return self._machine.monotonic()

    @property
    def is_settled(self) -> bool:
        """Whether the age of what is stored may be judged by it, and old things removed."""
        return self.trust.is_trusted and (self.trust is not Trust.CSMS or self._csms.is_settled)

    @property
    def jumped_by(self) -> float | None:
        """Seconds by which the CSMS has set us against what it had said before, as long as that is fresh."""
        jump = self._csms.jumped_by
        return None if jump is None or self.is_settled or self.trust is not Trust.CSMS else jump.total_seconds()

    async def begin(self, floor: Floor) -> None:
        """Before anything is stored: how far the machine's clock may be believed."""
        self._floor, self._began = floor, self.monotonic()
        self.trust = judged(await self._vouches(), self._machine.utc_now(), floor.vouched)
        if not self.trust.is_trusted and self._csms.anchor is not None:
            self.trust = Trust.CSMS  # told in an earlier life of this process
        if not self.trust.is_trusted:
            machine = self._machine.utc_now().isoformat()
            self._log.warning("clock_not_synchronised", machine=machine, floor=str(floor.latest))

    def told_by_csms(self, told: datetime | None) -> None:
        """The CSMS has said what time it is."""
        if told is None:
            return
        if self.trust in (Trust.FLOOR, Trust.CSMS):
            self._hear(told)
        self.csms_ahead_s = (told - self.utc_now()).total_seconds()

    def _hear(self, told: datetime) -> None:
        ours = self.utc_now()
        heard = self._csms.hear(told, self.monotonic(), ours, self._floor)
        if heard in (Heard.TAKEN, Heard.JUMPED):
            self._trust(Trust.CSMS, ours)
        if heard is not Heard.TAKEN:
            self._log.warning("csms_time_differs", heard=heard, csms=told.isoformat(), ours=ours.isoformat())

    def differs_from_csms_by(self) -> float | None:
        """Seconds, when it is so much that a person has to look; None otherwise."""
        limit = DIFFERS_BY if self.trust is not Trust.CSMS else 2 * SLACK.total_seconds()
        return self.csms_ahead_s if self.csms_ahead_s is not None and abs(self.csms_ahead_s) > limit else None

    async def run(self, store: Store, boot_no: int) -> None:
        """Until cancelled."""
        kept_at = float("-inf")
        while True:
            if self.trust in (Trust.FLOOR, Trust.CSMS):
                said = judged(await self._vouches(), self._machine.utc_now(), self._floor.vouched)
                if said.is_trusted:
                    self._trust(said, self.utc_now())
            if self._offset is not None:
                await self._keep_offset(store, boot_no, *self._offset)
            if self.trust.is_trusted and self.monotonic() - kept_at >= KEEP_EVERY:
                kept_at = self.monotonic()
                store.defer(partial(boots.keep_time, now=self.utc_now(), trust=self.trust))
            self._trusted_now.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self.monotonic() + LOOK_EVERY):
                    await self._trusted_now.wait()

    async def _keep_offset(self, store: Store, boot_no: int, offset: timedelta, until: float) -> None:
        try:
            await store.write(lambda db: boots.synchronised(db, boot_no, self.trust, offset, until))
        except CommitFailed as error:
            self._log.error("clock_offset_not_stored", why=str(error))
        else:
            self._offset = None

    def _trust(self, trust: Trust, before: datetime) -> None:
        """`before`: our time until now."""
        was_trusted = self.trust.is_trusted
        if trust is not self.trust:
            self._log.info("clock_trusted", by=trust, before=self.trust)
        self.trust = trust
        if not was_trusted:
            self._offset = (self.utc_now() - before, self.monotonic())
            self._trusted_now.set()

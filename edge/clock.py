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
from edge.domain.timekeeping import Anchor, Trust, judged, wall_time
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
        self._floor = Anchor(machine.utc_now(), machine.monotonic())
        self._csms: Anchor | None = None
        self._offset: tuple[timedelta, float] | None = None
        self._trusted_now = asyncio.Event()
        self.trust = Trust.SYSTEM
        self.csms_ahead_s: float | None = None
        """By how much the CSMS's time was ahead of ours when it last told it."""
        self._log = structlog.get_logger("edge.clock")

    def utc_now(self) -> datetime:
        return wall_time(self.trust, self._machine.utc_now(), self.monotonic(), self._floor, self._csms)

    def monotonic(self) -> float:
        return self._machine.monotonic()

    async def begin(self, floor: datetime) -> None:
        """Before anything is stored: how far the machine's clock may be believed. `floor`: it is later than this."""
        self._floor = Anchor(floor, self.monotonic())
        self.trust = judged(await self._vouches(), self._machine.utc_now(), self._floor.wall)
        if not self.trust.is_trusted and self._csms is not None:
            self.trust = Trust.CSMS  # told in an earlier life of this process
        if not self.trust.is_trusted:
            self._log.warning("clock_not_synchronised", machine=self._machine.utc_now().isoformat(), floor=str(floor))

    def told_by_csms(self, told: datetime | None) -> None:
        """The CSMS has said what time it is."""
        if told is None or told < self._floor.wall - timedelta(days=1):
            return  # of two that differ by this much, one is absurd
        self.csms_ahead_s = (told - self.utc_now()).total_seconds()
        if self.trust in (Trust.FLOOR, Trust.CSMS):
            self._trust(Trust.CSMS, Anchor(told, self.monotonic()))

    def differs_from_csms_by(self) -> float | None:
        """Seconds, when it is so much that a person has to look; None otherwise."""
        is_much = self.csms_ahead_s is not None and abs(self.csms_ahead_s) > DIFFERS_BY
        return self.csms_ahead_s if is_much and self.trust is not Trust.CSMS else None

    async def run(self, store: Store, boot_no: int) -> None:
        """Until cancelled."""
        kept_at = float("-inf")
        while True:
            if self.trust in (Trust.FLOOR, Trust.CSMS):
                said = judged(await self._vouches(), self._machine.utc_now(), self._floor.wall)
                if said.is_trusted:
                    self._trust(said, self._csms)
            if self._offset is not None:
                await self._keep_offset(store, boot_no, *self._offset)
            if self.trust.is_trusted and self.monotonic() - kept_at >= KEEP_EVERY:
                kept_at = self.monotonic()
                store.defer(partial(boots.keep_time, now=self.utc_now()))
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

    def _trust(self, trust: Trust, csms: Anchor | None) -> None:
        before, was_trusted = self.utc_now(), self.trust.is_trusted
        if trust is not self.trust:
            self._log.info("clock_trusted", by=trust, before=self.trust)
        self.trust, self._csms = trust, csms
        if not was_trusted:
            self._offset = (self.utc_now() - before, self.monotonic())
            self._trusted_now.set()

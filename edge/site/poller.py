"""Reads one meter for as long as the daemon runs and says how far its last reading may be believed.

`registers.py` plans the requests and decodes the answers, `modbus.py` asks. A cycle ends with a whole plausible
`SiteReading`, which is handed on and stays the newest one, or with a failure that has a reason; there is nothing
in between. The reading ages until the next one: `GOOD`, and `STALE` from `stale_after` on.
"""

import asyncio
from collections.abc import Callable

import structlog

from edge.config import Meter
from edge.domain.ports import Clock, EdgeError
from edge.domain.readings import MeterState, Quality, SiteReading
from edge.site.modbus import ILLEGAL_DATA_ADDRESS, ModbusError, ModbusLink, ModbusRefused, parse_connection
from edge.site.registers import (
    Block,
    Counters,
    Group,
    MeterProfile,
    decode,
    implausible,
    plan_blocks,
    reading_from,
    split_at_gap,
    split_each,
    unknown_needed,
)

SLOW_INTERVAL_S = 30.0
BACKOFF_MAX_S = 5.0
ANSWER_TIMEOUT_S = 1.0


class ReadingRefused(EdgeError):
    """The meter answered, but what it said cannot be true or is not known to it."""


class MeterPoller:
    def __init__(
        self, settings: Meter, profile: MeterProfile, clock: Clock, on_reading: Callable[[SiteReading], None]
    ) -> None:
        """Raises ConnectionInvalid."""
        self._settings = settings
        self._profile = profile
        self._clock = clock
        self._on_reading = on_reading
        # a second chance before the reading is stale
        self._answer_timeout_s = min(ANSWER_TIMEOUT_S, settings.stale_after / 2)
        address = parse_connection(settings.connection)
        self._link = ModbusLink(address.host, address.port, self._answer_timeout_s)
        self._log = structlog.get_logger().bind(meter=settings.id, connection=settings.connection)

        self._blocks = {group: plan_blocks(profile, group) for group in Group}
        self._slow_values: dict[str, float | None] = {}
        self._slow_due = float("-inf")
        self._counters: Counters = (None, None)

        self._reading: SiteReading | None = None
        self._read_at = float("-inf")
        self._polls = 0
        self._failures = 0
        self._failures_in_a_row = 0
        self._last_error: str | None = None
        self._is_connected: bool | None = None

    async def run(self) -> None:
        """Polls until cancelled."""
        start = self._clock.monotonic()
        try:
            while True:
                await self._poll()
                now = self._clock.monotonic()
                await asyncio.sleep(self._next_poll(start, now) - now)
        finally:
            self._link.close()

    def state(self) -> MeterState:
        age_s = None if self._reading is None else self._clock.monotonic() - self._read_at
        return MeterState(
            id=self._settings.id,
            profile=self._profile.id,
            connection=self._settings.connection,
            unit=self._settings.unit,
            role=self._settings.role,
            quality=self._quality(age_s),
            reading=self._reading,
            age_s=age_s,
            polls=self._polls,
            failures=self._failures,
            last_error=self._last_error,
        )

    def _quality(self, age_s: float | None) -> Quality:
        if age_s is None:
            return Quality.ABSENT
        return Quality.GOOD if age_s < self._settings.stale_after else Quality.STALE

    def _next_poll(self, start: float, now: float) -> float:
        """The next full interval since `start`, so that the schedule never drifts; after failures a longer pause."""
        interval = self._settings.poll_interval
        if self._failures_in_a_row > 0:
            return now + min(BACKOFF_MAX_S, interval * 2.0 ** min(self._failures_in_a_row - 1, 16))
        # a timer may fire a hair early: the last hundredth of an interval belongs to the next one
        intervals_begun = (now - start) / interval + 0.01
        return start + (int(intervals_begun) + 1) * interval

    async def _poll(self) -> None:
        self._polls += 1
        try:
            reading = await self._read()
        except (ModbusError, ReadingRefused) as error:
            self._fail(str(error))
            return
        self._reading = reading
        self._read_at = self._clock.monotonic()
        self._failures_in_a_row = 0
        self._last_error = None
        if self._is_connected is not True:
            self._is_connected = True
            self._log.info("meter_connected", profile=self._profile.id)
        self._on_reading(reading)

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self._failures_in_a_row += 1
        self._last_error = reason
        self._slow_due = float("-inf")  # it may be another meter that answers next
        self._log.debug("meter_poll_failed", reason=reason)
        quality = self.state().quality
        if quality is not Quality.GOOD and self._is_connected is not False:
            self._is_connected = False
            self._log.warning("meter_lost", reason=reason, quality=quality)

    async def _read(self) -> SiteReading:
        """One cycle. Raises ModbusError or ReadingRefused."""
        started = self._clock.monotonic()
        deadline = started + 2 * self._answer_timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                # the slow ones first: what protects the fuse is never older than its age says
                is_slow_due = started >= self._slow_due
                slow_values = await self._read_group(Group.SLOW) if is_slow_due else self._slow_values
                values = await self._read_group(Group.FAST)
        except TimeoutError as error:
            raise ReadingRefused(f"the meter answered, but not all requests within {deadline - started:g} s") from error
        reading = reading_from({**values, **slow_values}, self._clock.utc_now())
        reasons = unknown_needed(values) or implausible(reading, self._counters, self._profile.max_current_a)
        # also when refused: a counter that went back spoils one reading, not all that follow an exchanged meter
        self._counters = _newest(self._counters, (reading.energy_import_wh, reading.energy_export_wh))
        if reasons:
            raise ReadingRefused("; ".join(reasons))
        if is_slow_due:
            self._slow_values = slow_values
            self._slow_due = started + SLOW_INTERVAL_S
        return reading

    async def _read_group(self, group: Group) -> dict[str, float | None]:
        values: dict[str, float | None] = {}
        for block in self._blocks[group]:
            if self._profile.min_gap_s > 0:
                await asyncio.sleep(self._profile.min_gap_s)
            try:
                words = await self._link.read(block.function_code, block.address, block.count, self._settings.unit)
            except ModbusRefused as error:
                if error.exception_code != ILLEGAL_DATA_ADDRESS or self._ask_in_parts(group, block):
                    raise
                values[block.values[0].name] = None
            else:
                values.update(decode(block, words))
        return values

    def _ask_in_parts(self, group: Group, refused: Block) -> bool:
        """Whether the refusal fails the cycle; the next one will ask around the registers the meter lacks.

        What is needed must be there; of the slow group each value alone may be missing.
        """
        parts = split_at_gap(refused)
        if len(parts) == 1 and group is Group.SLOW:
            parts = split_each(refused)
        if len(parts) == 1:
            return group is Group.FAST
        self._blocks[group] = tuple(
            part for block in self._blocks[group] for part in (parts if block is refused else (block,))
        )
        self._log.info("meter_block_split", address=refused.address, count=refused.count, parts=len(parts))
        return True


def _newest(before: Counters, now: Counters) -> Counters:
    return before[0] if now[0] is None else now[0], before[1] if now[1] is None else now[1]

"""Reads one meter for as long as the daemon runs and says how far its last reading may be believed.

`requests.py` plans what is asked, the meter's bus (`bus.py`) says when, its line (`modbus.py`, `rtu_line.py`) asks,
`registers.py` decodes and `plausibility.py` judges. A cycle ends with a whole plausible `SiteReading`, which is handed
on and stays the newest one, or with a failure that has a reason; there is nothing in between. The reading ages until
the next one: `GOOD`, and `STALE` from `stale_after` on.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from edge.config import Meter
from edge.config.connections import ModbusTcp, parse_connection
from edge.domain.ports import Clock, EdgeError
from edge.domain.readings import MeterState, Quality, SiteReading
from edge.site.bus import Bus
from edge.site.modbus import ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE, Line, LineDown, ModbusError, ModbusRefused
from edge.site.plausibility import (
    Counters,
    implausible,
    largest_current_a,
    reading_from,
    unknown_needed,
    wiring,
)
from edge.site.registers import Block, Group, MeterProfile, Values, add_up, decode
from edge.site.requests import each_alone, halves, narrower, plan
from edge.site.rtu import Question

SLOW_INTERVAL_S: Final = 30.0
BACKOFF_MAX_S: Final = 5.0
SHARED_BACKOFF_MAX_S: Final = 30.0
"""Of a meter that shares its line and does not answer: each try costs the others time."""


class ReadingRefused(EdgeError):
    """The meter answered, but what it said cannot be true or is not known to it."""


class MeterPoller:
    def __init__(
        self,
        settings: Meter,
        profile: MeterProfile,
        bus: Bus,
        clock: Clock,
        on_reading: Callable[[str, SiteReading], None],
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._bus = bus
        self._clock = clock
        self._on_reading = on_reading
        usual_unit = 1 if isinstance(parse_connection(settings.connection), ModbusTcp) else profile.unit
        self._unit = usual_unit if settings.unit is None else settings.unit
        self._is_first = settings.role == "grid"
        self._wiring = wiring(settings.phases, settings.ct_ratio, invert=settings.invert)
        self._log = structlog.get_logger().bind(meter=settings.id, connection=settings.connection)

        self._blocks = dict(plan(profile, bus.line.baudrate))
        self._slow_values: Values = {}
        self._slow_due = float("-inf")
        self._counters: Counters = (None, None)

        self._reading: SiteReading | None = None
        self._read_at = float("-inf")
        self._polls = 0
        self._failures = 0
        self._failures_in_a_row = 0
        self._is_line_down = False
        self._last_error: str | None = None
        self._is_connected: bool | None = None

    async def run(self) -> None:
        """Polls until cancelled."""
        start = self._clock.monotonic()
        with self._bus.in_use():
            while True:
                await self._poll()
                now = self._clock.monotonic()
                await asyncio.sleep(self._next_poll(start, now) - now)

    def state(self) -> MeterState:
        age_s = None if self._reading is None else self._clock.monotonic() - self._read_at
        return MeterState(
            id=self._settings.id,
            profile=self._profile.id,
            connection=self._settings.connection,
            unit=self._unit,
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
            costs_others = self._bus.is_shared and not self._is_first and not self._is_line_down
            longest = SHARED_BACKOFF_MAX_S if costs_others else BACKOFF_MAX_S
            return now + min(longest, interval * 2.0 ** min(self._failures_in_a_row - 1, 16))
        # a timer may fire a hair early: the last hundredth of an interval belongs to the next one
        intervals_begun = (now - start) / interval + 0.01
        return start + (int(intervals_begun) + 1) * interval

    async def _poll(self) -> None:
        self._polls += 1
        try:
            reading, self._read_at = await self._read()
        except (ModbusError, ReadingRefused) as error:
            self._fail(error)
            return
        self._reading = reading
        self._failures_in_a_row = 0
        self._last_error = None
        if self._is_connected is not True:
            self._is_connected = True
            self._log.info("meter_connected", profile=self._profile.id)
        self._on_reading(self._settings.id, reading)

    def _fail(self, error: EdgeError) -> None:
        reason = str(error)
        self._failures += 1
        self._failures_in_a_row += 1
        self._is_line_down = isinstance(error, LineDown)
        self._last_error = reason
        self._slow_due = float("-inf")  # it may be another meter that answers next
        self._log.debug("meter_poll_failed", reason=reason)
        quality = self.state().quality
        if quality is not Quality.GOOD and self._is_connected is not False:
            self._is_connected = False
            self._log.warning("meter_lost", reason=reason, quality=quality)

    async def _read(self) -> tuple[SiteReading, float]:
        """One cycle, and when its first request for what protects the fuse left. Raises ModbusError, ReadingRefused."""
        started = self._clock.monotonic()
        # the slow ones first: what protects the fuse is never older than its age says
        is_slow_due = started >= self._slow_due
        if is_slow_due and self._is_first:  # in one turn: it need not wait for the others twice
            async with self._bus.turn(first=True) as line:
                slow_values, _ = await self._read_group(line, Group.SLOW)
                fast_values, read_at = await self._read_group(line, Group.FAST)
        else:
            slow_values = (await self._read_in_turn(Group.SLOW))[0] if is_slow_due else self._slow_values
            fast_values, read_at = await self._read_in_turn(Group.FAST)
        values = {**fast_values, **slow_values}
        reading = reading_from(values, self._clock.utc_now(), self._wiring)
        largest_a = largest_current_a(self._profile.max_current_a, values, self._wiring)
        reasons = unknown_needed(values, self._wiring) or implausible(reading, self._counters, largest_a)
        # also when refused: a counter that went back spoils one reading, not all that follow an exchanged meter
        self._counters = _newest(self._counters, (reading.energy_import_wh, reading.energy_export_wh))
        if reasons:
            raise ReadingRefused("; ".join(reasons))
        if is_slow_due:
            self._slow_values = slow_values
            self._slow_due = started + SLOW_INTERVAL_S
        return reading, read_at

    async def _read_in_turn(self, group: Group) -> tuple[Values, float]:
        async with self._bus.turn(first=self._is_first) as line:
            return await self._read_group(line, group)

    async def _read_group(self, line: Line, group: Group) -> tuple[Values, float]:
        """At once, so that the values belong together; and when it began."""
        began = self._clock.monotonic()
        longest_s = self._settings.stale_after
        try:
            async with asyncio.timeout_at(began + longest_s):
                return await self._read_blocks(line, group), began
        except TimeoutError as error:
            what = f"the meter answered, but not all requests within {longest_s:g} s"
            raise ReadingRefused(what) from error

    async def _read_blocks(self, line: Line, group: Group) -> Values:
        numbers: list[tuple[str, float | None]] = []
        for block in self._blocks[group]:
            if self._profile.min_gap_s > 0:
                await asyncio.sleep(self._profile.min_gap_s)
            question = Question(self._unit, block.function_code, block.address, block.count)
            # half of it: a second chance before the reading is stale
            patience_s = line.patience_s(block.count, self._profile.turnaround_s)
            try:
                words = await line.read(question, min(patience_s, self._settings.stale_after / 2))
            except ModbusRefused as error:
                if self._is_asked_otherwise(group, block, error.exception_code):
                    raise
                numbers += ((value.name, None) for value in block.values)
            else:
                numbers += decode(block, words)
        return add_up(numbers)

    def _is_asked_otherwise(self, group: Group, refused: Block, exception_code: int) -> bool:
        """Whether the refusal fails the cycle; the next one will ask around the registers the meter lacks.

        What is needed must be there; of the slow group each value alone may be missing.
        """
        if exception_code not in (ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE):
            return True
        parts = narrower(refused) if exception_code == ILLEGAL_DATA_ADDRESS else halves(refused)
        if parts == (refused,) and group is Group.SLOW:
            parts = each_alone(refused)
        if parts == (refused,):
            return group is Group.FAST
        self._blocks[group] = tuple(
            part for block in self._blocks[group] for part in (parts if block is refused else (block,))
        )
        self._log.info("meter_block_split", address=refused.address, count=refused.count, parts=len(parts))
        return True


def _newest(before: Counters, now: Counters) -> Counters:
    return before[0] if now[0] is None else now[0], before[1] if now[1] is None else now[1]

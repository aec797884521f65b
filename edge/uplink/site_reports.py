"""The site meter as connector 0: MeterValues at each full interval of the clock, queued like any other (1.6 §3.7).

Only good readings are reported; a meter that is silent leaves a gap, never a repeated value.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from edge.dialects.v16 import station as dialect
from edge.domain.ports import Clock, Ids
from edge.domain.readings import SiteReading
from edge.jsontypes import Payload
from edge.ocppj.frames import call_text
from edge.store import Connection, exchange, thinning, transactions
from edge.store.db import CommitFailed, Store
from edge.store.delivery import Waiting
from edge.store.exchange import STATION, Kind, Moment, NewExchange
from edge.uplink.configuration import Configuration
from edge.uplink.outcomes import VERSION
from edge.uplink.sender import Sender

IDLE = 5.0
"""Seconds between looks at the setting, which the CSMS may change at any time; 0 is off."""


class SiteReports:
    """`reading` gives the newest good reading of the grid meter, None when there is none."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        configuration: Configuration,
        clock: Clock,
        ids: Ids,
        moment: Callable[[], Moment],
        reading: Callable[[], SiteReading | None],
    ) -> None:
        self._store = store
        self._sender = sender
        self._configuration = configuration
        self._clock = clock
        self._ids = ids
        self._moment = moment
        self._reading = reading

    async def run(self, tick: Callable[[], None] = lambda: None) -> None:
        while True:
            tick()
            interval = self._configuration.seconds("ClockAlignedDataInterval")
            wait = IDLE if interval == 0 else until_next(self._clock.utc_now(), interval)
            await asyncio.sleep(min(wait, IDLE))
            if interval > 0 and wait <= IDLE:
                await self.report()

    async def report(self, context: str = "Sample.Clock") -> None:
        """Queue the reading of now; `context` is Trigger when the CSMS has asked for it (1.6 §7.32)."""
        reading = self._reading()
        if reading is None:
            return
        values = dialect.site_meter_values(reading, self._clock.utc_now(), context)
        if values is None:
            return
        text = call_text(self._ids.message_id(), "MeterValues", values)
        at = self._moment()
        try:
            waiting = await self._store.write(lambda db: _record(db, values, text, at))
        except CommitFailed:
            return  # nothing was promised to anyone; the store has logged it
        if waiting is not None:
            self._sender.offer(None, waiting)


def until_next(now: datetime, interval: float) -> float:
    """Seconds to the next full interval since midnight UTC (1.6 §9.1.5)."""
    since_midnight = now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6
    return interval - since_midnight % interval


def _record(db: Connection, values: Payload, text: str, at: Moment) -> Waiting | None:
    """None when the store is all but full: then no values at intervals are stored."""
    tx_no = transactions.meter_stream(db, None, None, exchange.peek_seq(db))
    if not thinning.admits(db, tx_no, values, at):
        return None
    row = NewExchange(at, STATION, Kind.SYNTHETIC, text, action="MeterValues", version=VERSION, tx_no=tx_no, relay=True)
    return Waiting(exchange.append(db, row), is_start_or_stop=False)

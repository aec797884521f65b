"""What the CSMS is told of the one station: the status of connector 0 and of each connector 1..N, latest only.

A status is never queued (1.6 §4.9): what is told is derived, each time something changes, from the last status of the
connector, the presence of its charger and its open transaction. `sender.py` takes the news from here one by one.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from edge.dialects.v16 import station as dialect
from edge.domain.connectors import Presence, Shown, grace, shown
from edge.domain.ids import UpstreamConnector
from edge.domain.ports import ChargerPort, Clock
from edge.jsontypes import Payload
from edge.store import Connection, connectors, transactions
from edge.store.db import CommitFailed, Store

TELL_AGAIN_AFTER = 30.0
LOOK_AGAIN_AFTER = 5.0
"""Seconds, when the store could not be asked."""


@dataclass(frozen=True, slots=True)
class Health:
    """Status of connector 0: Available, Unavailable or Faulted."""

    status: str = "Available"
    error_code: str = "NoError"
    info: str | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    connector: connectors.Connector
    is_charging: bool
    is_retired: bool


class Station:
    """Keeps what was told last, and so knows what is news."""

    def __init__(
        self,
        store: Store,
        chargers: ChargerPort,
        clock: Clock,
        health: Callable[[], Health],
        on_news: Callable[[], None],
    ) -> None:
        self._store = store
        self._chargers = chargers
        self._clock = clock
        self._health = health
        self._on_news = on_news
        self._told: dict[int, Payload] = {}
        self._news: dict[int, Payload] = {}
        self.shown: dict[int, Payload] = {}
        """What the CSMS is to know of each connector now."""
        self._turns = 0
        self._turn_of: dict[int, int] = {}
        self._again: dict[int, float] = {}
        """Monotonic seconds from which on a status that the CSMS did not take is news again."""
        self._changed = asyncio.Event()
        self._changed.set()
        self._looks = 0
        self._applied = 0
        self.connector_count = 0
        self._log = structlog.get_logger("edge.uplink")

    def changed(self) -> None:
        """Something was reported, came, went, began or ended."""
        self._changed.set()

    async def begin(self) -> None:
        """A new registration was accepted: all of 0..N is news."""
        self._told.clear()
        self._turn_of.clear()
        await self._look()

    def tell_again(self, connector: int | None) -> None:
        """A status that was told is news again (None: all of them)."""
        if connector is None:
            self._told.clear()
        else:
            self._told.pop(connector, None)
        self.changed()

    def next_news(self) -> tuple[int, Payload] | None:
        """Something new to tell: of the connector whose turn is longest ago, so that a flapping one holds up none."""
        return min(self._news.items(), key=lambda item: (self._turn_of.get(item[0], 0), item[0]), default=None)

    def told(self, connector: int, payload: Payload, *, again: bool = False) -> None:
        """The CSMS has answered it. `again`: it did not take it, and is to be told once more after a while."""
        self._turns += 1
        self._turn_of[connector] = self._turns
        self._told[connector] = _timeless(payload)
        if again:
            self._again[connector] = self._clock.monotonic() + TELL_AGAIN_AFTER
        if self._news.get(connector) is payload:
            del self._news[connector]

    async def run(self, tick: Callable[[], None] = lambda: None) -> None:
        """Look again whenever something changed, and when a grace time is over."""
        wake_at: float | None = self._clock.monotonic()  # also after a look that failed
        while True:
            tick()
            try:
                async with asyncio.timeout_at(wake_at):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                wake_at = await self._look()
            except CommitFailed as error:
                self._log.warning("statuses_not_looked_up", why=str(error))
                wake_at = self._clock.monotonic() + LOOK_AGAIN_AFTER

    async def _look(self) -> float | None:
        """Find what is news; when to look again without being told."""
        self._looks += 1
        this_look = self._looks
        seen = await self._store.write(_look_up)
        if this_look < self._applied:
            return self._clock.monotonic() + TELL_AGAIN_AFTER  # a later look has been here already
        self._applied = this_look
        self.connector_count = len(seen)
        now, wall = self._clock.monotonic(), self._clock.utc_now()
        wake_at: float | None = now + TELL_AGAIN_AFTER  # the station's own health has no event
        for connector in [number for number, due in self._again.items() if due <= now]:
            del self._again[connector]
            self._told.pop(connector, None)
        health = self._health()
        found = {0: dialect.station_status(health.status, health.error_code, wall, health.info)}
        for one in seen:
            upstream = one.connector.upstream
            assert upstream is not None
            presence = self._presence(one)
            if shown(presence) is Shown.AS_REPORTED and one.connector.status is not None:
                found[upstream] = dialect.with_connector(json.loads(one.connector.status), UpstreamConnector(upstream))
            else:
                found[upstream] = dialect.unavailable(upstream, wall)
            if not presence.is_online and presence.away_for < grace(presence):
                wake_at = min(wake_at or now + 1e9, now + grace(presence) - presence.away_for + 0.01)
        self.shown = found
        self._news = {
            connector: payload
            for connector, payload in found.items()
            if self._told.get(connector) != _timeless(payload)
        }
        if self._news:
            self._on_news()
        return wake_at

    def _presence(self, one: _Seen) -> Presence:
        is_online = self._chargers.is_online(one.connector.charger)
        return Presence(
            was_seen=one.connector.status is not None,
            is_online=is_online,
            away_for=self._chargers.away_for(one.connector.charger),
            is_charging=one.is_charging,
            is_out_of_service=one.is_retired or (not is_online and one.connector.wish == "Inoperative"),
        )


def _timeless(payload: Payload) -> Payload:
    """A status but for its time: what makes it news."""
    return {key: value for key, value in payload.items() if key != "timestamp"}


def _look_up(db: Connection) -> list[_Seen]:
    retired = {charger.no for charger in connectors.chargers(db) if charger.state == connectors.RETIRED}
    return [
        _Seen(one, transactions.open_on(db, one.no) is not None, one.charger_no in retired)
        for one in connectors.numbered(db)
    ]

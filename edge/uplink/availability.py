"""Whether connectors may be used: asked of their charger, or kept as a wish until it is back (1.6 §5.2).

What the CSMS and an operator want comes here, through `commands.py` and `edge/operations.py`; a wish is applied by
`edge/chargers/commissioning.py`, and `station.py` shows the connector as Unavailable meanwhile.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from edge.dialects.v16 import commands as to_charger
from edge.domain.ids import ChargerId
from edge.domain.ports import CallTimedOut, ChargerOffline, ChargerPort, PeerRefused
from edge.domain.routing import merged_availability
from edge.store import connectors
from edge.store.db import Store
from edge.uplink.station import Station

TIMED_OUT = "TimedOut"
"""The charger did not answer: it may still do what it was asked for."""
KEPT = "Kept"
"""The charger is away: what it is to be is stored, and applied when it is back."""


class Availability:
    """Of all connectors of the site."""

    def __init__(self, store: Store, chargers: ChargerPort, station: Station) -> None:
        self._store = store
        self._chargers = chargers
        self._station = station
        self._log = structlog.get_logger("edge.uplink")

    async def change(
        self,
        charger: ChargerId,
        conn: int,
        concerned: Sequence[connectors.Connector],
        wish: str,
        within: float,
        cause: int | None,
    ) -> str:
        """The charger's AvailabilityStatus; KEPT or TIMED_OUT: the wish is applied when it is back.

        `conn` 0: the charger as a whole; `concerned` are then all its connectors.
        """
        for one in concerned:  # this is the newest will: an older wish must not be applied after it
            await self._store.write(partial(connectors.set_wish, connector_no=one.no, wish=None))
        outcome = KEPT
        if self._chargers.is_online(charger):
            try:
                status = await self._ask(charger, conn, wish, within, cause)
                if status == "Rejected" and conn == 0:
                    # Some take it for their connectors only (J.2, 23): Simpson & Partners, Project EV.
                    answers = [await self._ask(charger, one.conn, wish, within, cause) for one in concerned]
                    status = merged_availability(answers) if answers else status
            except (ChargerOffline, CallTimedOut) as error:
                self._log.warning("availability_unanswered", charger=charger, why=str(error))
                outcome = TIMED_OUT if isinstance(error, CallTimedOut) else KEPT
            else:
                return status
        for one in concerned:
            await self._store.write(partial(connectors.set_wish, connector_no=one.no, wish=wish))
        self._station.changed()
        return outcome

    async def _ask(self, charger: ChargerId, conn: int, wish: str, within: float, cause: int | None) -> str:
        """The charger's AvailabilityStatus. Raises ChargerOffline or CallTimedOut."""
        request = to_charger.change_availability(conn, wish)
        try:
            answer = await self._chargers.call(charger, "ChangeAvailability", request, within=within, cause=cause)
        except PeerRefused:
            return "Rejected"
        return to_charger.status_of(answer, "Accepted", "Scheduled")

    async def change_all(self, wish: str, within: float, cause: int | None) -> str:
        """All chargers at once (connector 0); one answer out of many (B.2)."""
        by_charger: dict[ChargerId, list[connectors.Connector]] = {}
        for one in await self._store.write(connectors.numbered):
            by_charger.setdefault(one.charger, []).append(one)
        async with asyncio.TaskGroup() as tasks:
            answers = [
                tasks.create_task(self.change(charger, 0, theirs, wish, within, cause))
                for charger, theirs in by_charger.items()
            ]
        return merged_availability([kept_is_accepted(answer.result()) for answer in answers])


def kept_is_accepted(outcome: str) -> str:
    """For the CSMS: it will be so (ocpp-rules.md B.2)."""
    return "Accepted" if outcome in {KEPT, TIMED_OUT} else outcome

"""Meter values of chargers that send none by themselves: triggered while they charge (ocpp-rules.md J.2, 28).

Only for models of which that is known (`values_on_demand` in `edge/dialects/models.toml`), every `meter_interval`, on
each connector with an open session. What comes goes the way of all meter values (`intake.py`).
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from edge.chargers.intake import Parts
from edge.dialects.v16 import commands
from edge.domain.ids import ChargerNo
from edge.domain.ports import CallTimedOut, ChargerOffline, PeerRefused, Urgency
from edge.store import Connection, connectors, transactions

if TYPE_CHECKING:
    from edge.chargers.link import ChargerLink

ANSWER_WITHIN = 15.0


async def demand_values(link: "ChargerLink", parts: Parts) -> None:
    """As long as the link lives."""
    log = structlog.get_logger("edge.chargers").bind(charger=link.charger)
    while True:
        await asyncio.sleep(parts.defaults.meter_interval)
        if link.charger_no is None or not link.profile.values_on_demand:
            continue
        for connector in await parts.store.write(partial(_charging_on, charger=link.charger_no)):
            request = commands.trigger("MeterValues", connector)
            try:
                await link.commands.call("TriggerMessage", request, within=ANSWER_WITHIN, urgency=Urgency.CONFIGURATION)
            except (ChargerOffline, CallTimedOut, PeerRefused) as error:
                log.info("values_not_triggered", connector=connector, why=str(error))


def _charging_on(db: Connection, charger: ChargerNo) -> list[int]:
    """Its own numbers of the connectors with an open session."""
    busy = {one.connector_no for one in transactions.open_of(db, charger)}
    return [one.conn for one in connectors.connectors_of(db, charger) if one.no in busy]

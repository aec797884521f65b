"""Which of a ticket's URLs a charger is given: it is asked for what it can, as far as it tells."""

from edge.dialects.v16 import commands as to_charger
from edge.domain import file_transfer
from edge.domain.ids import ChargerId
from edge.domain.ports import CallTimedOut, ChargerPort, PeerRefused, Urgency
from firmware_bridge.api import TicketNow

KEY = "SupportedFileTransferProtocols"
ANSWER_WITHIN = 10.0
"""Seconds: without an answer it goes on all the same."""


async def location(ticket: TicketNow, chargers: ChargerPort, charger: ChargerId, requests: int) -> str:
    """The URL for its next request; `requests`: that were made before. Raises ChargerOffline."""
    offered = ticket.locations
    listed = frozenset[str]() if len(offered) == 1 else await _listed(chargers, charger)
    return offered[file_transfer.chosen(offered, listed, requests)]


async def _listed(chargers: ChargerPort, charger: ChargerId) -> frozenset[str]:
    """By which protocols it says that it can fetch; none: that is not known."""
    request = to_charger.get_configuration([KEY])
    try:
        answer = await chargers.call(
            charger, "GetConfiguration", request, within=ANSWER_WITHIN, urgency=Urgency.CONFIGURATION
        )
    except (PeerRefused, CallTimedOut):
        return frozenset()
    found = {key.casefold(): setting.value for key, setting in to_charger.settings(answer).items()}
    return file_transfer.named(found.get(KEY.casefold()))

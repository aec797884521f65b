"""What the bridge need not do any more for a rollout. Each tells what hinders it, and nothing waits for that."""

import structlog

from edge.jobs.refusals import is_it_running
from firmware_bridge.api import Bridge, BridgeRefused, BridgeUnreachable

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def withdraw(bridge: Bridge, token: str) -> str | None:
    """A ticket; one that is not withdrawn expires by itself."""
    try:
        await bridge.withdraw(token)
    except BridgeRefused as error:
        log.debug("ticket_gone", why=str(error))
    except BridgeUnreachable as error:
        return is_it_running(error)
    return None


async def cancel(bridge: Bridge, fetch: str) -> str | None:
    """A download that nobody waits for; one that has ended stays as it is."""
    try:
        await bridge.cancel(fetch)
    except BridgeRefused as error:
        log.debug("fetch_gone", why=str(error))
    except BridgeUnreachable as error:
        return is_it_running(error)
    return None

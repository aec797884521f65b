"""Statuses that a charger owes us: asked for when they do not come by themselves (ocpp-rules.md J.2, 10 to 14).

After a boot a charger has a while to name its connectors. What is missing then is triggered, connector by connector,
and once more; one that refuses triggers is left alone. `commissioning.py` calls this at the end of each round.
"""

import asyncio
from typing import TYPE_CHECKING

import structlog

from edge.chargers.intake import Parts
from edge.dialects.v16 import commands
from edge.domain.ids import ChargerNo
from edge.domain.peculiarities import Rule
from edge.domain.ports import CallTimedOut, ChargerOffline, Clock, PeerRefused, Urgency
from edge.store import connectors

if TYPE_CHECKING:
    from edge.chargers.link import ChargerLink

STATUS_WITHIN = 15.0
"""Seconds that a status may take by itself, and after a trigger."""
ANSWER_WITHIN = 15.0
TRIES = 2


async def ask_for_missing(
    link: "ChargerLink", charger: ChargerNo, parts: Parts, clock: Clock, *, has_booted: bool
) -> None:
    """Until each connector has said its status on this connection, or has been asked twice.

    One that came back without a boot is asked at once: what it said before may be old.
    """
    log = structlog.get_logger("edge.chargers").bind(charger=link.charger)
    promised: set[int] = set()
    for attempt in range(TRIES):
        if (has_booted or attempt > 0) and await _boots_again(link, clock.monotonic() + STATUS_WITHIN):
            return
        missing = await _missing(link, charger, parts)
        if not missing:
            return
        if link.profile.trigger == "zero_first":
            missing = [0, *missing]
        for connector in missing:
            answer = await _trigger(link, connector, log)
            if answer is None or answer == "NotImplemented":
                return
            if answer == "Accepted":
                promised.add(connector)
    if promised and not await _boots_again(link, clock.monotonic() + STATUS_WITHIN):
        never = [connector for connector in await _missing(link, charger, parts) if connector in promised]
        link.count([Rule.STATUS_NEVER_CAME] * len(never))
        if never:
            log.warning("status_never_came", connectors=never)


async def _boots_again(link: "ChargerLink", deadline: float) -> bool:
    """Whether it does before the deadline; then the next round asks."""
    try:
        async with asyncio.timeout_at(deadline):
            await link.booted.wait()
    except TimeoutError:
        return False
    return True


async def _missing(link: "ChargerLink", charger: ChargerNo, parts: Parts) -> list[int]:
    named = set() if link.intake is None else link.intake.named
    known = await parts.store.write(lambda db: connectors.connectors_of(db, charger))
    return [one.conn for one in known if one.conn not in named]


async def _trigger(link: "ChargerLink", connector: int, log: structlog.stdlib.BoundLogger) -> str | None:
    """What it answered; None when it is not to be asked again."""
    try:
        answer = await link.commands.call(
            "TriggerMessage",
            commands.trigger_status(connector),
            within=ANSWER_WITHIN,
            urgency=Urgency.CONFIGURATION,
        )
    except (ChargerOffline, PeerRefused) as error:
        log.info("status_not_triggered", connector=connector, why=str(error))
        return None
    except CallTimedOut as error:
        log.info("status_not_triggered", connector=connector, why=str(error))
        return "Rejected"
    return commands.status_of(answer, "Accepted", "Rejected", "NotImplemented")

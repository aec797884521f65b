"""After a charger has booted: read what it is set to, write only what differs, learn its connectors.

Configuration is read first because writing wears the charger's flash and some reboot on each write
(ocpp-rules.md C.6). Nothing is sent before its BootNotification is answered (J.2, 4); one that comes back without
booting is left alone for a while and then asked for its statuses.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from edge.chargers.intake import Parts
from edge.chargers.statuses import ask_for_missing
from edge.dialects.v16 import commands
from edge.domain.connectors import MOST as MOST_CONNECTORS
from edge.domain.ids import ChargerNo
from edge.domain.ports import CallTimedOut, ChargerOffline, Clock, PeerRefused, Urgency
from edge.flag import Flag
from edge.jsontypes import Payload
from edge.store import connectors, fleet, transactions

if TYPE_CHECKING:
    from edge.chargers.link import ChargerLink

QUIET = 30.0
"""Seconds that a charger has for booting, and then for naming its connectors."""
ANSWER_WITHIN = 15.0
"""Seconds; shorter than a command of the CSMS may take, which waits for it (one outstanding CALL)."""
KEYS_AT_ONCE = 8
"""Keys in one GetConfiguration: some chargers take few (GetConfigurationMaxKeys)."""
WRITTEN_AT_MOST = 3
"""Times that a key is written without being read back as it was written."""
_FAILURES = (ChargerOffline, CallTimedOut, PeerRefused)


async def commission(link: "ChargerLink", parts: Parts, clock: Clock) -> None:
    """As long as the link lives: once after each boot."""
    has_booted = await _within(link.booted, clock.monotonic() + QUIET)
    while True:
        if has_booted:
            await asyncio.sleep(link.profile.boot_quiet_s)
        if link.charger_no is not None:
            await _once(link, link.charger_no, parts, clock, has_booted=has_booted)
        await link.booted.wait()
        link.booted.clear()
        has_booted = True


async def _within(event: Flag, deadline: float) -> bool:
    try:
        async with asyncio.timeout_at(deadline):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True


async def _once(link: "ChargerLink", charger: ChargerNo, parts: Parts, clock: Clock, *, has_booted: bool) -> None:
    log = structlog.get_logger("edge.chargers").bind(charger=link.charger)
    started = clock.monotonic()
    found = await _read_and_write(link, charger, parts, log)
    await _number(link, charger, parts, clock, found, started + QUIET, log)
    await _apply_wishes(link, charger, parts, log)
    await _stop_refused(link, charger, parts, log)
    await ask_for_missing(link, charger, parts, clock, has_booted=has_booted)


async def _read_and_write(
    link: "ChargerLink", charger: ChargerNo, parts: Parts, log: structlog.stdlib.BoundLogger
) -> dict[str, commands.Setting]:
    """All keys that concern us, as they were found: the defaults, unless a person wants otherwise, and what one set."""
    defaults = {
        commands.HEARTBEAT_INTERVAL: str(parts.defaults.heartbeat_interval),
        commands.SAMPLE_INTERVAL: str(parts.defaults.meter_interval),
    }
    desired = await parts.store.write(lambda db: fleet.desired(db, charger))
    by_folded = {key.casefold(): value for key, value in desired.items()}
    wanted = {key: by_folded.pop(key.casefold(), value) for key, value in defaults.items()}
    others = {key: value for key, value in desired.items() if key.casefold() in by_folded}
    found: dict[str, commands.Setting] = {}
    for keys in ([*wanted, commands.NUMBER_OF_CONNECTORS, commands.MOST_KEYS], list(others)):
        found |= await _read(link, keys, _count(found.get(commands.MOST_KEYS)), log)
    await _write_what_differs(link, found, wanted | others, log)
    return found


async def _read(
    link: "ChargerLink", keys: list[str], most: int | None, log: structlog.stdlib.BoundLogger
) -> dict[str, commands.Setting]:
    """As many keys at once as it bears; one by one when it does not answer to several (J.2, 17)."""
    size = min(KEYS_AT_ONCE, most or KEYS_AT_ONCE, link.profile.configuration_keys_at_most or KEYS_AT_ONCE)
    found: dict[str, commands.Setting] = {}
    waiting = list(keys)
    while waiting:
        asked = waiting[:size]
        try:
            found |= commands.settings(await _ask(link, "GetConfiguration", commands.get_configuration(asked)))
        except _FAILURES as error:
            log.warning("configuration_not_read", keys=asked, why=str(error))
            if isinstance(error, ChargerOffline) or size == 1:
                break
            size = 1
        else:
            waiting = waiting[size:]
    return found


def batches(keys: list[str], size: int) -> list[list[str]]:
    return [keys[start : start + size] for start in range(0, len(keys), size)]


async def _write_what_differs(
    link: "ChargerLink", found: dict[str, commands.Setting], wanted: dict[str, str], log: structlog.stdlib.BoundLogger
) -> None:
    written = link.tally.written
    by_folded = {key.casefold(): (key, setting) for key, setting in found.items()}
    for name, value in wanted.items():
        if name.casefold() not in by_folded:
            continue
        key, present = by_folded[name.casefold()]
        if present.value is not None and present.value.strip().casefold() == value.strip().casefold():
            del written[key]
            continue
        if present.is_readonly:
            log.info("configuration_is_readonly", key=key, value=present.value, wanted=value)
            continue
        if written[key] >= WRITTEN_AT_MOST:
            # It reboots on each write, or says it in another way: to go on would wear out its flash (C.6).
            log.warning("configuration_does_not_stay", key=key, value=present.value, wanted=value, written=written[key])
            continue
        written[key] += 1
        try:
            answer = await _ask(link, "ChangeConfiguration", commands.change_configuration(key, value))
            log.info(
                "configuration_written", key=key, value=value, before=present.value, status=commands.status_of(answer)
            )
        except _FAILURES as error:
            log.warning("configuration_not_written", key=key, value=value, why=str(error))


async def _number(
    link: "ChargerLink",
    charger: ChargerNo,
    parts: Parts,
    clock: Clock,
    found: dict[str, commands.Setting],
    named_by: float,
    log: structlog.stdlib.BoundLogger,
) -> None:
    """Give the charger's connectors their upstream numbers, all together, once it is known how many there are.

    One that grows later (a second outlet is fitted) says so after its boot: what is new is appended.
    """
    known = await parts.store.write(lambda db: connectors.charger_by_no(db, charger))
    if known is None or parts.is_control_only:
        return  # numbers are given for ever: only where they are kept
    count = _count(found.get(commands.NUMBER_OF_CONNECTORS))
    if known.connectors is not None and (count or 0) <= known.connectors:
        return
    if known.connectors is not None and any(one.id == link.charger and one.evses for one in parts.config().charger):
        log.warning("more_connectors_than_listed", says=count, listed=known.connectors)
        return  # the file wins; one that it names is appended all the same (records.py)
    if count is None:
        await asyncio.sleep(max(0.0, named_by - clock.monotonic()))
        count = 0 if link.intake is None else link.intake.highest_connector
    new = await parts.store.write(lambda db: connectors.count(db, charger, count))
    if new:
        parts.on_connectors(new)


def _count(setting: commands.Setting | None) -> int | None:
    if setting is None or setting.value is None or not (setting.value.isascii() and setting.value.strip().isdigit()):
        return None
    count = int(setting.value)
    return count if 0 < count <= MOST_CONNECTORS else None


async def _apply_wishes(
    link: "ChargerLink", charger: ChargerNo, parts: Parts, log: structlog.stdlib.BoundLogger
) -> None:
    """Availability that was asked for while the charger was away."""
    for known in await parts.store.write(lambda db: connectors.connectors_of(db, charger)):
        one = await parts.store.write(partial(connectors.by_no, connector_no=known.no))
        if one is None or one.wish is None:
            continue  # none, or a newer command has come in the meantime
        try:
            answer = await _ask(link, "ChangeAvailability", commands.change_availability(one.conn, one.wish))
        except _FAILURES as error:
            log.warning("availability_not_applied", connector=one.conn, wish=one.wish, why=str(error))
            continue
        log.info("availability_applied", connector=one.conn, wish=one.wish, status=commands.status_of(answer))
        if commands.status_of(answer) != "Rejected":
            await parts.store.write(partial(connectors.set_wish, connector_no=one.no, wish=None))


async def _stop_refused(
    link: "ChargerLink", charger: ChargerNo, parts: Parts, log: structlog.stdlib.BoundLogger
) -> None:
    """Transactions whose token the CSMS refused while the charger was away (F.6)."""
    if not parts.stops_on_invalid_id():
        return
    for tx_no, charger_tx in await parts.store.write(lambda db: transactions.refused_and_open(db, charger)):
        try:
            answer = await link.commands.call(
                "RemoteStopTransaction",
                commands.remote_stop(charger_tx),
                within=ANSWER_WITHIN,
                urgency=Urgency.REMOTE_STOP,
                transaction=tx_no,
            )
        except _FAILURES as error:
            log.warning("refused_token_not_stopped", transaction=tx_no, why=str(error))
        else:
            log.warning("refused_token_stopped", transaction=tx_no, status=commands.status_of(answer))


async def _ask(link: "ChargerLink", action: str, payload: Payload) -> Payload:
    return await link.commands.call(action, payload, within=ANSWER_WITHIN, urgency=Urgency.CONFIGURATION)

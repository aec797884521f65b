"""Carries out collections of logs: each charger leaves its file at the bridge, which sends the CSMS one archive of all.

What chargers say of it is noted where their messages are stored (`edge/chargers/records.py`), what it means
`edge/domain/collecting.py` decides; the file itself counts more than words. Like `rollouts.py`, this service keeps
nothing of its own but what it last saw of files that still come: what is to be done next stands in the store.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from edge.config import Config
from edge.dialects.v16 import charger_jobs as to_charger
from edge.domain.collecting import Progress, Step, Wish, after_answer, after_file, from_json, is_over
from edge.domain.ids import ChargerId
from edge.domain.ports import CallTimedOut, ChargerOffline, ChargerPort, PeerRefused
from edge.domain.station_jobs import LogKind, LogRequest
from edge.jobs import manifest, own_log
from edge.jobs.locations import location
from edge.jobs.patience import Patience
from edge.jobs.reached import Reached, host
from edge.jobs.refusals import VERDICTS, is_it_running
from edge.store import Connection, charger_clocks, collecting, orders
from edge.store.collecting import Collection, Part
from edge.store.db import CommitFailed, Store
from edge.store.exchange import Moment
from firmware_bridge.api import Bridge, BridgeRefused, BridgeUnreachable, user_of

EVERY = 2.0
IDLE_EVERY = 120.0
ANSWER_WITHIN = 60.0
"""Seconds for the answer to GetDiagnostics (ocpp-rules.md A.2)."""
TICKET_SECONDS = 6 * 3600
LOOPBACK = "127.0.0.1"
KEPT_FOR_MS = 3_600_000
"""What a technician has asked for, once it is there."""
AT_ONCE = 5
"""Chargers that upload at the same time."""
BACK_WITHIN = 120.0
"""Seconds in which a charger is back that has only lost its connection, as all have when we were restarted."""

E = TypeVar("E", bound=Exception)
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Collections:
    """All collections that are not over."""

    def __init__(
        self,
        store: Store,
        chargers: ChargerPort,
        link: Callable[[ChargerId], Reached | None],
        config: Callable[[], Config],
        moment: Callable[[], Moment],
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._chargers = chargers
        self._link = link
        self._config = config
        self._moment = moment
        self._on_change = on_change
        self._wake = asyncio.Event()
        self._patience = Patience()
        self._came: dict[str, tuple[int, int]] = {}
        """By ticket, the bytes that had come at the last look, and since when it is no more, by the monotonic clock."""

    def wake(self) -> None:
        """There is a new one, or a charger has said something of one."""
        self._wake.set()

    async def run(self, ticked: Callable[[], None] = lambda: None) -> None:
        """Until cancelled."""
        while True:
            ticked()
            self._wake.clear()
            try:
                open_ones = await self._store.look(collecting.unfinished)
            except CommitFailed as error:
                log.warning("collections_not_looked_up", why=str(error))
                open_ones = []
            for one in open_ones:
                ticked()
                await self._turn(one)
            try:
                await self._clear()
            except (BridgeUnreachable, CommitFailed) as error:
                log.debug("tickets_not_taken_back", why=str(error))
            self._on_change()
            try:
                async with asyncio.timeout(EVERY if open_ones else IDLE_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _turn(self, one: Collection) -> None:
        """The supervisor of one collection: whatever befalls it costs the others nothing."""
        why, is_broken = None, False
        try:
            await self._advance(one)
        except* BridgeUnreachable as group:
            why = is_it_running(_first(group))
        except* BridgeRefused as group:
            why = str(_first(group))
        except* CommitFailed as group:
            log.warning("collection_not_stored", collection=one.name, why=str(_first(group)))
        except* Exception as group:
            log.exception("collection_broke", collection=one.name, exc_info=group)
            is_broken = True
        try:
            if is_broken:
                await self._end(one, collecting.FAILED, "a defect of the controller; see its log")
            elif why is not None:
                await self._waits(one, why)
        except CommitFailed as error:
            log.warning("collection_not_stored", collection=one.name, why=str(error))

    async def _advance(self, one: Collection) -> None:
        bridge, wish = Bridge(self._config().firmware_bridge.socket), from_json(one.wish)
        parts = await self._parts(one)
        if one.state == collecting.FORWARDING:
            await self._forward(one, wish, parts, bridge)
            return
        for part in parts:
            if part.progress.step.is_under_way:
                await self._look(one, part, bridge)
        under_way = sum(part.progress.step.is_under_way for part in parts)
        waiting = [part for part in parts if part.progress.step is Step.WAITING]
        for part in waiting:
            if self._chargers.away_for(part.charger) >= BACK_WITHIN:
                await self._failed(one, part, "it is not connected")
        there = [part for part in waiting if self._chargers.is_online(part.charger)]
        async with asyncio.TaskGroup() as tasks:  # one that is silent holds up none of the others
            for part in there[: max(0, AT_ONCE - under_way)]:
                tasks.create_task(self._ask(one, part, wish, bridge))
        parts = await self._parts(one)
        if is_over([part.progress.step for part in parts]):
            await self._collected(one, wish, parts)

    async def _parts(self, one: Collection) -> list[Part]:
        return await self._store.look(partial(collecting.parts, no=one.no))

    # --- one charger

    async def _ask(self, one: Collection, part: Part, wish: Wish, bridge: Bridge) -> None:
        link = self._link(part.charger)
        if link is None:
            return
        if part.ticket is not None:  # of the request that failed
            await _cleared(bridge, part.ticket)
        ticket = await bridge.receive(part.charger, host(link.our_address), host(link.address), TICKET_SECONDS)
        try:
            url = await location(ticket, self._chargers, part.charger, part.progress.requests)
            asked_ms = self._now_ms()
            cause, ahead_ms = await self._store.write(lambda db: self._is_asked(db, one, part, ticket.token))
        except (ChargerOffline, CommitFailed) as error:
            log.warning("diagnostics_not_asked", collection=one.name, charger=part.charger, why=str(error))
            await _cleared(bridge, ticket.token)  # at the next turn it gets another one
            return
        request = LogRequest(
            url,
            by_its_clock(wish.since_ms, ahead_ms),
            by_its_clock(wish.until_ms, ahead_ms),
            wish.kind,
            one.no,
        )
        try:
            name = await self._told(part.charger, request, cause)
        except PeerRefused as error:
            await self._failed(one, part, f"it refused: {error}")
        except (CallTimedOut, ChargerOffline) as error:
            log.warning("diagnostics_unanswered", collection=one.name, charger=part.charger, why=str(error))
        else:
            await self._store.write(lambda db: self._answered(db, one, part, asked_ms, name))

    async def _told(self, charger: ChargerId, request: LogRequest, cause: int) -> str | None:
        """Which file the charger will upload. Raises PeerRefused, CallTimedOut or ChargerOffline."""
        if request.kind is LogKind.DIAGNOSTICS:
            try:
                payload = to_charger.get_diagnostics(request)
                answer = await self._chargers.call(
                    charger, "GetDiagnostics", payload, within=ANSWER_WITHIN, cause=cause
                )
                return to_charger.file_name("GetDiagnostics", answer)
            except PeerRefused as error:
                if not to_charger.is_unknown(error):
                    raise
        payload = to_charger.get_log(request)
        answer = await self._chargers.call(charger, "GetLog", payload, within=ANSWER_WITHIN, cause=cause)
        return to_charger.file_name("GetLog", answer)

    def _is_asked(self, db: Connection, one: Collection, part: Part, token: str) -> tuple[int, int]:
        """The row of the order, and how far the charger's clock is ahead of ours."""
        at = self._moment()
        asked = replace(part.progress, step=Step.ASKED, since_ms=at.wall_ms, requests=part.progress.requests + 1)
        collecting.set_progress(db, one.no, part.charger_no, asked)
        collecting.set_ticket(db, one.no, part.charger_no, token)
        ahead_ms = charger_clocks.of_charger(db, part.charger_no).ahead_ms or 0
        return orders.given(db, at, part.charger_no, "diagnostics", collection=one.name), ahead_ms

    def _answered(self, db: Connection, one: Collection, part: Part, asked_ms: int, name: str | None) -> None:
        now = next(it.progress for it in collecting.parts(db, one.no) if it.charger_no == part.charger_no)
        collecting.set_progress(db, one.no, part.charger_no, after_answer(now, name, asked_ms))

    async def _look(self, one: Collection, part: Part, bridge: Bridge) -> None:
        """At what has come of it."""
        heard_ms: int | None = None
        whole_ms: int | None = None
        if part.ticket is not None:
            try:
                received = await bridge.received(part.ticket, "0.0.0.0")  # noqa: S104 - no URL is wanted
            except BridgeRefused as error:
                if error.code != "unknown":
                    raise
                # Also what says for ever that it uploads has an end: that of its ticket.
                log.info("ticket_gone", collection=one.name, charger=part.charger, why=str(error))
                await self._failed(one, part, "it can leave nothing more: the time for it is over")
                return
            now, came = self._moment(), received.ticket.bytes
            before, since_ms = self._came.get(part.ticket, (0, now.mono_ms))
            if came > before:
                heard_ms = now.wall_ms
            if came != before:
                since_ms = now.mono_ms
            self._came[part.ticket] = came, since_ms
            if any(file.is_whole for file in received.files):  # the bridge's clock need not be ours
                whole_ms = now.wall_ms - (now.mono_ms - since_ms)
        at = self._moment()
        silent_since_ms = self._patience.since(part.progress.since_ms, at)
        after = after_file(part.progress, whole_ms, heard_ms, silent_since_ms, at.wall_ms)
        if after != part.progress:
            await self._set(one, part, after)

    async def _failed(self, one: Collection, part: Part, why: str) -> None:
        await self._set(one, part, replace(part.progress, step=Step.FAILED, since_ms=self._now_ms(), why=why))

    async def _set(self, one: Collection, part: Part, now: Progress) -> None:
        await self._store.write(lambda db: collecting.set_progress(db, one.no, part.charger_no, now))

    # --- all of it

    async def _collected(self, one: Collection, wish: Wish, parts: list[Part]) -> None:
        """An archive that holds nothing but its manifest goes up, too: it says why."""
        if wish.location is not None:
            await self._store.write(lambda db: collecting.set_forward(db, one.no, None))
            self.wake()
            return
        is_any = any(part.progress.step is Step.UPLOADED for part in parts)
        why = None if is_any else "; ".join(f"{part.charger}: {part.progress.why}" for part in parts)
        await self._end(one, collecting.DONE if is_any else collecting.FAILED, why)

    async def _forward(self, one: Collection, wish: Wish, parts: list[Part], bridge: Bridge) -> None:
        """Have the bridge send the archive, and see how far that is. Raises BridgeUnreachable."""
        assert wish.location is not None
        assert wish.name is not None
        try:
            if one.forward is not None:
                now = await bridge.forwarded(one.forward)
            else:
                one = await self._with_own_log(one, wish, bridge)
                tickets = [one.ticket, *(part.ticket for part in parts)]
                users = [user_of(ticket) for ticket in tickets if ticket is not None]
                site = self._config().site.id
                said = await self._store.look(lambda db: manifest.of_collection(db, one, site, parts))
                now = await bridge.forward(wish.location, wish.name, users, said)
                await self._store.write(lambda db: collecting.set_forward(db, one.no, now.id))
        except BridgeRefused as error:
            if error.code == "unknown" and one.forward is not None:  # it has lost what it knew: once more
                await self._store.write(lambda db: collecting.set_forward(db, one.no, None))
            elif error.code in VERDICTS:
                await self._end(one, collecting.FAILED, str(error))
            else:
                await self._waits(one, str(error))
            return
        if now.has_ended:
            is_sent = now.state == "sent"
            await self._end(one, collecting.DONE if is_sent else collecting.FAILED, now.error)
        else:
            await self._waits(one, now.error)

    async def _with_own_log(self, one: Collection, wish: Wish, bridge: Bridge) -> Collection:
        """Our own log is left there, too; there is none for security. Raises BridgeUnreachable or BridgeRefused."""
        if one.own_log is not None or wish.kind is not LogKind.DIAGNOSTICS:
            return one
        if one.ticket is not None:  # we were interrupted
            await _cleared(bridge, one.ticket)
        ticket = (await bridge.receive(own_log.CHARGER, LOOPBACK, LOOPBACK, TICKET_SECONDS)).token
        await self._store.write(lambda db: collecting.set_ticket(db, one.no, None, ticket))
        left = await own_log.leave(self._store, bridge, ticket, wish.since_ms, wish.until_ms)
        await self._store.write(lambda db: collecting.set_own_log(db, one.no, left))
        return replace(one, ticket=ticket, own_log=left)

    async def _end(self, one: Collection, state: str, why: str | None) -> None:
        await self._store.write(lambda db: collecting.end(db, one.no, state, why, self._now_ms()))
        log.info("collection_ended", collection=one.name, state=state, why=why)
        self.wake()

    async def _clear(self) -> None:
        """Take back the tickets of collections that are over, and what was left with them.

        What a technician has asked for is kept until the command has it (`edge/console/diagnostics.py`), but not for
        long: who has ended the command does not come back, and all logs share the room that there is.
        """
        bridge = Bridge(self._config().firmware_bridge.socket)
        for no, forward in await self._store.look(collecting.to_cancel):
            with suppress(BridgeRefused):  # it does not know it any more
                await bridge.cancel_forward(forward)
            await self._store.write(partial(collecting.is_cancelled, no=no))
        before_ms = self._now_ms() - KEPT_FOR_MS
        for no, charger, ticket in await self._store.look(partial(collecting.to_clear, fetched_before_ms=before_ms)):
            await _cleared(bridge, ticket)
            self._came.pop(ticket, None)
            await self._store.write(partial(collecting.set_ticket, no=no, charger=charger, ticket=None))

    async def _waits(self, one: Collection, why: str | None) -> None:
        if why != one.why:
            await self._store.write(lambda db: collecting.set_why(db, one.no, why))

    def _now_ms(self) -> int:
        return self._moment().wall_ms


async def _cleared(bridge: Bridge, ticket: str) -> None:
    """Nothing more can be left with it, and what was is gone. Raises BridgeUnreachable."""
    with suppress(BridgeRefused):  # it is over by itself
        await bridge.withdraw(ticket)
    with suppress(BridgeRefused):  # nothing was left
        await bridge.discard(user_of(ticket))


def _first(group: ExceptionGroup[E]) -> E:
    """What went wrong, where several may have at once."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


def by_its_clock(wall_ms: int | None, ahead_ms: int) -> datetime | None:
    """A time as the charger's clock shows it (E.8); one that no calendar has bounds nothing."""
    if wall_ms is None:
        return None
    try:
        return datetime.fromtimestamp(wall_ms / 1000, UTC) + timedelta(milliseconds=ahead_ms)
    except (ValueError, OverflowError):
        return None

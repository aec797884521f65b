"""Carries out rollouts of firmware: the bridge fetches the file once, each charger is asked when its turn has come.

What chargers say of it is noted where their messages are stored (`edge/chargers/records.py`); whom to ask next, and
when it is over, `edge/domain/rollouts.py` decides. This service does what follows from the two, every few seconds: it
keeps nothing of its own, so that a restart goes on where the last commit was.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import structlog

from edge.config import Config
from edge.dialects.v16 import charger_jobs as to_charger
from edge.dialects.v16 import station
from edge.domain.events import WHILE_CHARGING
from edge.domain.ids import ChargerId, ChargerNo
from edge.domain.ports import CallTimedOut, ChargerOffline, ChargerPort, PeerRefused
from edge.domain.rollouts import (
    LONGEST_DOWNLOAD_MS,
    Member,
    Progress,
    Step,
    Wish,
    after_look,
    after_silence,
    after_taking,
    from_json,
    is_over,
    next_to_ask,
)
from edge.domain.station_jobs import FirmwareRequest
from edge.jobs.giving_up import cancel, withdraw
from edge.jobs.locations import location
from edge.jobs.outcome import NoFile, end
from edge.jobs.patience import Patience
from edge.jobs.reached import Reached, host
from edge.jobs.refusals import VERDICTS, is_it_running
from edge.jobs.taken import Taken, Took
from edge.store import Connection, charger_clocks, connectors, fleet, orders, rollouts
from edge.store.db import CommitFailed, Store
from edge.store.exchange import Moment
from edge.store.rollouts import Part, Rollout
from firmware_bridge.api import Bridge, BridgeRefused, BridgeUnreachable, FetchNow, TicketNow

EVERY = 2.0
IDLE_EVERY = 120.0
ANSWER_WITHIN = 60.0
"""Seconds for the answer to UpdateFirmware (ocpp-rules.md A.2)."""
TICKET_SECONDS = LONGEST_DOWNLOAD_MS // 1000
RETRIEVE_AFTER = timedelta(seconds=5)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """A request that is on disk and is to be made now."""

    request: FirmwareRequest
    cause: int
    """The row of what led to it."""


class Rollouts:
    """All rollouts that are not over."""

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
        self._patience = Patience()
        self._taken = Taken()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is a new one, or one has been changed."""
        self._wake.set()

    async def run(self, ticked: Callable[[], None] = lambda: None) -> None:
        """Until cancelled."""
        while True:
            ticked()
            self._wake.clear()
            try:
                open_ones = await self._store.look(rollouts.unfinished)
            except CommitFailed as error:
                log.warning("rollouts_not_looked_up", why=str(error))
                open_ones = []
            for rollout in open_ones:
                ticked()
                await self._turn(rollout)
            self._on_change()
            try:
                async with asyncio.timeout(EVERY if open_ones else IDLE_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _turn(self, rollout: Rollout) -> None:
        """The supervisor of one rollout: whatever befalls it costs its turn, not those of the others."""
        try:
            await self._waits(rollout, await self._advance(rollout))
        except CommitFailed as error:
            log.warning("rollout_not_stored", rollout=rollout.name, why=str(error))
        except Exception:
            log.exception("rollout_broke", rollout=rollout.name)

    async def _advance(self, rollout: Rollout) -> str | None:
        """What hinders it; None: nothing does but its chargers."""
        wish, bridge = from_json(rollout.wish), Bridge(self._config().firmware_bridge.socket)
        if rollout.state == rollouts.FETCHING:
            return self._not_before(wish.fetch_ms) or await self._fetch(rollout, wish, bridge)
        members, why = await self._looked(rollout, wish, bridge)
        asked = self._turn_of([member for member, _ in members], wish)
        async with asyncio.TaskGroup() as tasks:  # one that is silent holds up none of the others
            asking = [
                tasks.create_task(self._ask(rollout, part, wish, bridge))
                for _, part in members
                if part.charger in asked
            ]
        hindrances = [why, *(task.result() for task in asking)]
        members, why = await self._looked(rollout, wish, bridge)
        if is_over([member for member, _ in members], wish.policy):
            await self._end(rollout)
            await self._let_go(rollout, bridge)
        hindrances += [why, self._not_before(wish.begins_ms)]
        return next((one for one in hindrances if one is not None), None)

    def _turn_of(self, members: Sequence[Member], wish: Wish) -> list[str]:
        """Whom to ask now."""
        if self._not_before(wish.begins_ms) is not None:
            return []
        return next_to_ask(members, wish.policy, self._moment().wall.astimezone(self._zone))

    def _not_before(self, wall_ms: int | None) -> str | None:
        """That its time has not come; None: it has."""
        if wall_ms is None or self._moment().wall_ms >= wall_ms:
            return None
        return f"not before {datetime.fromtimestamp(wall_ms / 1000, self._zone):%d %b %Y %H:%M}, as the CSMS said"

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._config().site.timezone)

    # --- the file

    async def _fetch(self, rollout: Rollout, wish: Wish, bridge: Bridge) -> str | None:
        try:
            now = await self._fetched(rollout, wish, bridge)
        except BridgeUnreachable as error:
            return is_it_running(error)
        except BridgeRefused as error:
            if error.code in VERDICTS:
                return await self._no_file(rollout, wish, bridge, NoFile(str(error), error.code))
            return str(error)
        if now.state == "failed":
            return await self._no_file(rollout, wish, bridge, NoFile(now.error, now.code))
        sha256 = now.sha256 if now.state == "stored" else None
        if rollout.fetch != now.id or sha256 is not None:
            await self._store.write(lambda db: _set_file(db, rollout.no, now.id, sha256))
            self.wake()
        return now.error

    async def _fetched(self, rollout: Rollout, wish: Wish, bridge: Bridge) -> FetchNow:
        if rollout.fetch is not None:
            try:
                return await bridge.fetched(rollout.fetch)
            except BridgeRefused as error:
                if error.code != "unknown":
                    raise
        # also when the bridge has lost what it knew: once more from the beginning
        by = {} if wish.signed is None else asdict(wish.signed)
        return await bridge.fetch(wish.location, sha256=wish.sha256, **by)

    async def _let_go(self, rollout: Rollout, bridge: Bridge) -> None:
        """What comes for an aborted one only is not fetched to its end: the uplink may be slow and dear."""
        if rollout.sha256 is not None or rollout.fetch is None:
            return
        if rollout.fetch in [one.fetch for one in await self._store.look(rollouts.unfinished)]:
            return
        with suppress(BridgeUnreachable, BridgeRefused):
            await bridge.cancel(rollout.fetch)

    async def _no_file(self, rollout: Rollout, wish: Wish, bridge: Bridge, no_file: NoFile) -> str | None:
        """It is not to be had. Who was asked while it was there still is at it."""
        members, _ = await self._looked(rollout, wish, bridge)
        if not any(member.step.is_under_way for member, _ in members):
            await self._end(rollout, no_file)
        return no_file.why

    # --- one charger

    async def _looked(
        self, rollout: Rollout, wish: Wish, bridge: Bridge
    ) -> tuple[list[tuple[Member, Part]], str | None]:
        """All as they are now, and what hinders the bridge; tickets that nobody needs any more are taken back."""
        parts = await self._store.look(partial(rollouts.parts, rollout_no=rollout.no))
        taken = await self._taken.look(rollout.no, parts, bridge)
        members = await self._store.write(lambda db: self._members(db, rollout.no, wish.version, taken))
        for _, part in members:
            if part.ticket is None or part.progress.step.is_under_way:
                continue
            if (why := await withdraw(bridge, part.ticket)) is not None:
                return members, why
            await self._store.write(
                partial(rollouts.set_ticket, rollout_no=rollout.no, charger=part.charger_no, ticket=None)
            )
        return members, None

    def _members(
        self, db: Connection, rollout_no: int, wanted: str | None, taken: Mapping[ChargerNo, Took]
    ) -> list[tuple[Member, Part]]:
        """Who has been silent for too long is given up, and who runs the new firmware has it."""
        found, at = [], self._moment()
        now_ms = at.wall_ms
        is_aborted = _state(db, rollout_no) == rollouts.ABORTED
        for part in rollouts.parts(db, rollout_no):
            charger = connectors.charger_by_no(db, part.charger_no)
            version = None if charger is None else charger.firmware
            before = progress = part.progress
            if (took := taken.get(part.charger_no)) is not None:
                progress = after_taking(progress, now_ms, is_whole=took.is_whole, is_more=took.is_more)
            since_ms, asked_ms = (self._patience.since(ms, at) for ms in (progress.since_ms, progress.asked_ms))
            progress = after_look(after_silence(progress, since_ms, now_ms, asked_ms), version, wanted, now_ms)
            is_gone = charger is None or charger.state == connectors.RETIRED
            if progress.step is Step.WAITING and (is_aborted or is_gone):  # also for its second chance
                why = "it is not served here any more" if is_gone else progress.why
                progress = replace(progress, step=Step.SKIPPED, since_ms=now_ms, why=why)
            if progress != before:
                rollouts.set_progress(db, rollout_no, part.charger_no, progress)
            is_idle = not _charges(db, part.charger_no) and rollouts.at_it(db, part.charger_no) is None
            is_online = self._chargers.is_online(part.charger)
            found.append((Member(part.charger, progress.step, is_online, is_idle), replace(part, progress=progress)))
        return found

    async def _ask(self, rollout: Rollout, part: Part, wish: Wish, bridge: Bridge) -> str | None:
        """What hinders it. Whatever fails here concerns this charger alone."""
        link = self._link(part.charger)
        if link is None:
            return None
        assert rollout.sha256 is not None
        try:
            ticket = await bridge.serve(
                rollout.sha256, part.charger, host(link.our_address), host(link.address), TICKET_SECONDS
            )
        except BridgeUnreachable as error:
            return is_it_running(error)
        except BridgeRefused as error:
            return await self._not_served(rollout, error)
        try:
            order = await self._order(rollout, part, wish, ticket)
        except (ChargerOffline, CommitFailed) as error:
            log.warning("firmware_not_asked", rollout=rollout.name, charger=part.charger, why=str(error))
            order = None
        if order is None:
            return await withdraw(bridge, ticket.token)
        await self._call(rollout, part, order)
        return None

    async def _not_served(self, rollout: Rollout, error: BridgeRefused) -> str | None:
        if error.code != "unknown":
            return str(error)
        try:
            await self._store.write(lambda db: _forget_file(db, rollout.no))
        except CommitFailed as failure:
            log.warning("rollout_not_stored", rollout=rollout.name, why=str(failure))
        return None

    async def _order(self, rollout: Rollout, part: Part, wish: Wish, ticket: TicketNow) -> Order | None:
        """From here on it may be flashing: that is on disk before it is asked, and it is not asked twice (R11).

        None: it must not be asked now. Raises ChargerOffline or CommitFailed.
        """
        url = await location(ticket, self._chargers, part.charger, part.progress.requests)
        ordered = await self._store.write(lambda db: self._is_asked(db, rollout, part, ticket.token))
        if ordered is None:
            return None
        cause, retrieve_at = ordered
        return Order(FirmwareRequest(url, retrieve_at, None, wish.signed, rollout.no), cause)

    def _is_asked(self, db: Connection, rollout: Rollout, part: Part, token: str) -> tuple[int, datetime] | None:
        """The row of the order, and when the charger is to fetch the file, by its own clock (E.8).

        None: a session has begun, or somebody has aborted it, meanwhile.
        """
        is_waiting = _part(db, rollout.no, part.charger_no).progress.step is Step.WAITING
        is_running = _state(db, rollout.no) == rollouts.RUNNING
        if not is_waiting or not is_running or _charges(db, part.charger_no):
            return None
        at, before = self._moment(), connectors.charger_by_no(db, part.charger_no)
        version = None if before is None else before.firmware
        progress = Progress(Step.ASKED, at.wall_ms, part.progress.requests + 1, version, asked_ms=at.wall_ms)
        rollouts.set_progress(db, rollout.no, part.charger_no, progress)
        rollouts.set_ticket(db, rollout.no, part.charger_no, token)
        ahead_ms = charger_clocks.of_charger(db, part.charger_no).ahead_ms or 0
        retrieve_at = at.wall + RETRIEVE_AFTER + timedelta(milliseconds=ahead_ms)
        return orders.given(db, at, part.charger_no, "firmware", rollout=rollout.name), retrieve_at

    async def _call(self, rollout: Rollout, part: Part, order: Order) -> None:
        """What is not answered may have been heard: only a refusal means that it is not at it."""
        bound = log.bind(rollout=rollout.name, charger=part.charger)
        try:
            why = await self._refusal(part.charger, order)
            if why is None:
                bound.info("firmware_asked")
            else:
                await self._store.write(lambda db: self._refused(db, rollout, part.charger_no, why))
        except CommitFailed as error:
            bound.warning("rollout_not_stored", why=str(error))
        except (CallTimedOut, ChargerOffline) as error:
            bound.warning("firmware_unanswered", why=str(error))

    async def _refusal(self, charger: ChargerId, order: Order) -> str | None:
        """Why the charger does not want to; None: it has taken the request, the signed one where it knows that.

        Raises CallTimedOut or ChargerOffline.
        """
        why = None
        for action, payload in to_charger.firmware_requests(order.request):
            try:
                answer = await self._chargers.call(charger, action, payload, within=ANSWER_WITHIN, cause=order.cause)
            except PeerRefused as error:
                why = f"it refused {action}: {error}"
                if not to_charger.is_unknown(error):
                    break
            else:
                return to_charger.firmware_refusal(action, answer)
        return why

    def _refused(self, db: Connection, rollout: Rollout, charger: ChargerNo, why: str) -> None:
        part = _part(db, rollout.no, charger)
        if part.progress.step is not Step.ASKED:
            return  # it says no, and does it
        progress = replace(part.progress, step=Step.FAILED, since_ms=self._moment().wall_ms, why=why)
        rollouts.set_progress(db, rollout.no, charger, progress)

    # --- all of it

    async def _end(self, rollout: Rollout, no_file: NoFile | None = None) -> None:
        now_ms = self._moment().wall_ms
        state, why = await self._store.write(lambda db: end(db, rollout.no, no_file, now_ms))
        unwanted = await self._store.look(partial(rollouts.unwanted_fetch, rollout_no=rollout.no))
        self._taken.forget(rollout.no)
        log.info("rollout_ended", rollout=rollout.name, state=state, why=why)
        if unwanted is not None:
            await cancel(Bridge(self._config().firmware_bridge.socket), unwanted)

    async def _waits(self, rollout: Rollout, why: str | None) -> None:
        if why != rollout.why:
            await self._store.write(lambda db: rollouts.set_why(db, rollout.no, why))


def _state(db: Connection, rollout_no: int) -> str | None:
    rollout = rollouts.load(db, rollout_no)
    return None if rollout is None else rollout.state


def _part(db: Connection, rollout_no: int, charger: ChargerNo) -> Part:
    return next(one for one in rollouts.parts(db, rollout_no) if one.charger_no == charger)


def _charges(db: Connection, charger: ChargerNo) -> bool:
    """Also where it says so of a session of which we have heard nothing."""
    statuses = [one.status for one in connectors.connectors_of(db, charger) if one.status is not None]
    says_so = any(station.stored_status(one)[0] in WHILE_CHARGING for one in statuses)
    return says_so or bool(fleet.open_sessions(db, charger))


def _set_file(db: Connection, rollout_no: int, fetch: str, sha256: str | None) -> None:
    if _state(db, rollout_no) == rollouts.FETCHING:  # else somebody has aborted it meanwhile
        rollouts.set_file(db, rollout_no, fetch, sha256)


def _forget_file(db: Connection, rollout_no: int) -> None:
    if _state(db, rollout_no) == rollouts.RUNNING:
        rollouts.forget_file(db, rollout_no)

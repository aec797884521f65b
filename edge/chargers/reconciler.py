"""Lets the time pass for sessions that may have ended: asks, concludes, and at last tells the CSMS (E.9).

Time counts while the charger is there to say more, and after a restart of ours it begins anew: a stop that is on its
way must have had its chance. What is stored, and why, is in `endings.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from edge.chargers import endings
from edge.chargers.roster import Roster
from edge.config import Sessions
from edge.dialects.v16 import commands
from edge.domain import reconciliation
from edge.domain.ids import ChargerId, TransactionNo, session_name
from edge.domain.peculiarities import Rule
from edge.domain.ports import CallTimedOut, ChargerOffline, Clock, PeerRefused, Urgency
from edge.domain.reconciliation import Evidence, Step, Waits
from edge.jsontypes import Payload
from edge.store import endings as doubts
from edge.store import timeline
from edge.store.db import CommitFailed, Store
from edge.store.delivery import Stored
from edge.store.endings import Doubted
from edge.store.exchange import Moment

EVERY, IDLE = 15.0, 60.0
"""Seconds between two looks, with doubts and without: all waits are minutes, and what is certain waits for no look."""
ANSWER_WITHIN = 15.0
RENEWED_AT_MOST = 3
"""Times that a conclusion is held anew because its charger still sends what it had kept of the session."""


@dataclass(slots=True)
class _Standing:
    """How long a doubt has stood, or a conclusion been held."""

    about: tuple[object, ...]
    last_seq: int
    seconds: float = 0.0
    asked_at: float | None = None
    renewed: int = 0


class Reconciler:
    """Its one task is `run`."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        clock: Clock,
        moment: Callable[[], Moment],
        settings: Callable[[], Sessions],
        on_stored: Callable[[Stored], None],
        on_change: Callable[[], None],
        most_watts: Callable[[ChargerId], float],
        count: Callable[[ChargerId, Rule], None],
    ) -> None:
        """`on_change`: a connector shows another session, or none."""
        self._store = store
        self._roster = roster
        self._clock = clock
        self._moment = moment
        self._settings = settings
        self._on_stored = on_stored
        self._on_change = on_change
        self._most_watts = most_watts
        self._count = count
        self._standing: dict[TransactionNo, _Standing] = {}
        self._looked_at = clock.monotonic()
        self._log = structlog.get_logger("edge.reconciler")

    async def run(self, tick: Callable[[], None] = lambda: None) -> None:
        while True:
            tick()
            await asyncio.sleep(EVERY if self._standing else IDLE)
            try:
                await self._look()
            except* CommitFailed as failures:
                self._log.warning("doubts_not_looked_at", why=str(failures.exceptions[0]))

    async def _look(self) -> None:
        found = await self._store.look(doubts.doubted)
        now = self._clock.monotonic()
        passed, self._looked_at = now - self._looked_at, now
        self._standing = {one.tx_no: self._stood(one, passed) for one in found}
        async with asyncio.TaskGroup() as questions:
            for one in found:  # one after the other: a session's rows are walked, and chargers wait meanwhile
                await self._step(one, self._standing[one.tx_no], questions)
        await self._account()

    async def _account(self) -> None:
        """Of sessions that are over, the idle time is kept: a few at a time, and looked up where no charger waits."""
        at = self._moment()
        over = await self._store.look(partial(timeline.unaccounted, now_ms=at.wall_ms)) if at.is_known else []
        if over:
            idle_s = await self._store.read(
                lambda db: {one.tx_no: timeline.account(db, one, at.wall_ms).idle_s for one in over}
            )
            await self._store.write(partial(timeline.keep_idle, idle_s=idle_s))

    def _stood(self, one: Doubted, passed: float) -> _Standing:
        doubt = one.doubt
        about = (doubt.evidence, doubt.seq, doubt.concluded_ms)
        known = self._standing.get(one.tx_no)
        if known is None or known.about != about:
            return _Standing(about, one.last_seq)
        if doubt.is_concluded and one.last_seq != known.last_seq and known.renewed < RENEWED_AT_MOST:
            known.seconds, known.last_seq, known.renewed = 0.0, one.last_seq, known.renewed + 1
        elif self._roster.is_online(one.charger):
            known.seconds += passed
        elif self._is_away(one):
            known.seconds = float("inf")
        return known

    def _is_away(self, one: Doubted) -> bool:
        """For so long that nothing more is waited for."""
        return self._roster.away_for(one.charger) >= reconciliation.AWAY_FOR

    async def _step(self, one: Doubted, standing: _Standing, questions: asyncio.TaskGroup) -> None:
        settings, at = self._settings(), self._moment()
        if not at.is_known:
            return  # when it ended cannot be told yet
        waits = Waits(settings.wait_available, settings.wait_boot, settings.hold)
        asked_ago = None if standing.asked_at is None else self._clock.monotonic() - standing.asked_at
        is_away = not self._roster.is_online(one.charger)
        match reconciliation.next_step(one.doubt, standing.seconds, waits, asked_ago=asked_ago, is_away=is_away):
            case Step.WAIT:
                return
            case Step.ASK:
                standing.asked_at = self._clock.monotonic()
                questions.create_task(self._ask(one))
            case Step.CONCLUDE:
                await self._conclude(one, at)
            case Step.SEND:
                await self._send(one, at)

    async def _send(self, one: Doubted, at: Moment) -> None:
        most_watts = self._most_watts(one.charger)
        unit = partial(endings.send, tx_no=one.tx_no, doubt=one.doubt, at=at, most_watts=most_watts)
        await self._store.submit(unit, partial(self._ended, one.charger))

    async def _conclude(self, one: Doubted, at: Moment) -> None:
        unit = partial(
            endings.conclude, tx_no=one.tx_no, doubt=one.doubt, at=at, most_watts=self._most_watts(one.charger)
        )
        if await self._store.write(unit):
            session, evidence = session_name(one.tx_no), one.doubt.evidence
            self._log.warning("session_concluded", session=session, charger=one.charger, evidence=evidence)
            self._on_change()

    def _ended(self, charger: ChargerId, stored: Stored | None) -> None:
        if stored is not None:
            self._count(charger, Rule.STOP_NEVER_CAME)
            self._on_stored(stored)

    async def _ask(self, one: Doubted) -> None:
        """Its status and its stop come by themselves, if they come."""
        if one.doubt.evidence is Evidence.STOP_PROMISED:
            await self._call(one, "RemoteStopTransaction", commands.remote_stop(one.charger_tx))  # once more (E.9, 7)
        if one.conn is not None:
            await self._call(one, "TriggerMessage", commands.trigger_status(one.conn))

    async def _call(self, one: Doubted, action: str, payload: Payload) -> None:
        try:
            await self._roster.call(
                one.charger,
                action,
                payload,
                within=ANSWER_WITHIN,
                urgency=Urgency.CONFIGURATION,
                transaction=one.tx_no,
                cause=one.doubt.seq or None,
            )
        except (ChargerOffline, CallTimedOut, PeerRefused) as error:
            self._log.info("not_answered", charger=one.charger, action=action, why=str(error))

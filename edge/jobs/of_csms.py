"""What the CSMS wants done with firmware and logs: to it we are one station, here it becomes a rollout or a collection.

`edge/uplink/commands.py` asks, `rollouts.py` and `collections.py` carry it out, `edge/uplink/job_reports.py` tells the
CSMS how far it is. What the bridge must judge first, it is asked for here: a request that it would refuse is
answered with no. So is one while there is no bridge, but for UpdateFirmware, whose answer knows no no: that waits.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime

import structlog

from edge.config import Config
from edge.domain import collecting as collections
from edge.domain.firmware_targets import Box, FileRule, NobodyMeant, chosen, named, split
from edge.domain.ids import ChargerId, ChargerNo
from edge.domain.rollouts import Policy, Step, Wish, as_json, from_json
from edge.domain.station_jobs import FirmwareRequest, LogRequest, Signed, Taken
from edge.jobs.refusals import is_it_running
from edge.store import Connection, collecting, connectors, rollouts
from edge.store.connectors import RETIRED, Charger
from edge.store.db import CommitFailed, Store
from edge.store.exchange import Moment
from edge.store.rollouts import Rollout
from firmware_bridge.api import Bridge, BridgeRefused, BridgeUnreachable

SHARE_AT_ONCE = 0.2
"""Of the chargers, after the first of them (ocpp-rules.md H.4)."""
OLDEST_LOG = 2000
"""Year."""
ACCEPTED, INSTEAD, REJECTED = "Accepted", "AcceptedCanceled", "Rejected"
UNREACHABLE = "unreachable"

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CsmsJobs:
    """Implements `domain.station_jobs.StationJobs`."""

    def __init__(
        self,
        store: Store,
        config: Callable[[], Config],
        moment: Callable[[], Moment],
        wake: Callable[[], None],
        *,
        is_control_only: bool,
    ) -> None:
        self._store = store
        self._config = config
        self._moment = moment
        self._wake = wake
        self._is_control_only = is_control_only

    # --- firmware

    async def update_firmware(self, request: FirmwareRequest) -> Taken:
        """A newer one takes the place of an older one, as long as no charger installs that (security extension, L01).

        One that is only repeated goes on. An UpdateFirmware cannot be refused: what nobody can carry out begins, and
        has failed; one for which there is no bridge at the moment waits for it.
        """
        self._require_store()
        why = await self._objection(request.location, request.signed)
        if why is not None and request.signed is not None:
            log.warning("firmware_refused", why=str(why))
            return Taken("InvalidCertificate" if why.code == "invalid_certificate" else REJECTED)
        if why is not None and why.code == UNREACHABLE:
            why = None
        taken = await self._store.write(lambda db: self._begin_rollout(db, request, why))
        self._wake()
        return taken

    async def _objection(self, location: str, signed: Signed | None = None) -> BridgeRefused | None:
        """Why the bridge would have nothing to do with it; None: it may be asked."""
        try:
            by = {} if signed is None else asdict(signed)
            await Bridge(self._config().firmware_bridge.socket).judge(split(location)[0], **by)
        except BridgeRefused as error:
            return error
        except BridgeUnreachable as error:
            return BridgeRefused(UNREACHABLE, is_it_running(error))
        return None

    def _begin_rollout(self, db: Connection, request: FirmwareRequest, objection: BridgeRefused | None) -> Taken:
        now_ms, is_extended = self._moment().wall_ms, request.request_id is not None
        known = [one for one in connectors.chargers(db) if one.state != RETIRED]
        why = None if objection is None else str(objection)
        try:
            names = set(self._meant(request.location, known))
        except NobodyMeant as error:
            if is_extended:
                log.warning("firmware_for_nobody", why=str(error))
                return Taken(REJECTED)
            names, why = set(), str(error)
        meant = [one.no for one in known if one.id in names]
        wish = _wish(request, len(meant))
        older = [one for one in rollouts.unfinished(db) if one.origin == rollouts.CSMS]
        for one in older:
            if _is_repeated(db, one, wish, meant):
                rollouts.set_wish(db, one.no, as_json(wish))
                return Taken(ACCEPTED)
        if is_extended and any(_installs(db, one) for one in older):
            return Taken(REJECTED)
        for one in older:
            rollouts.abort(db, one.no, now_ms)
            if one.fetch is None and not rollouts.is_any_at_it(db, one.no):  # a flood of them leaves nothing to do
                rollouts.end(db, one.no, rollouts.ABORTED, None, now_ms)
        no = rollouts.begin(db, rollouts.CSMS, as_json(wish), meant, now_ms)
        if why is not None:
            rollouts.end(db, no, rollouts.FAILED, why, now_ms)
            log.warning("firmware_not_begun", rollout=f"F{no}", why=why)
        return Taken(INSTEAD if older else ACCEPTED)

    def _meant(self, location: str, known: list[Charger]) -> list[ChargerId]:
        rules = [FileRule(one.file, one.vendor, one.model) for one in self._config().firmware_rules]
        return chosen(location, _boxes(known), rules)

    # --- logs

    async def collect(self, request: LogRequest) -> Taken:
        """Of all chargers, or of those that the location names (ocpp-rules.md C.7).

        One that is only repeated goes on.
        """
        self._require_store()
        if (why := await self._objection(request.location)) is not None:
            log.warning("logs_refused", why=str(why))
            return Taken(REJECTED)
        taken = await self._store.write(lambda db: self._begin_collection(db, request))
        self._wake()
        return taken

    def _begin_collection(self, db: Connection, request: LogRequest) -> Taken:
        at = self._moment()
        known = [one for one in connectors.chargers(db) if one.state != RETIRED]
        location, target = split(request.location)
        try:
            names = {one.id for one in known} if target is None else set(named(target, _boxes(known)))
        except NobodyMeant as error:
            log.warning("logs_of_nobody", why=str(error))
            return Taken(REJECTED)
        name = f"{re.sub('[^A-Za-z0-9_-]+', '-', self._config().site.id)}_{at.wall:%Y%m%dT%H%M%SZ}.zip"
        wish = collections.Wish(
            _bound_ms(request.since),
            _bound_ms(request.until),
            location, name, request.kind, request.request_id,
        )  # fmt: skip
        meant = [one.no for one in known if one.id in names]
        older = [one for one in collecting.unfinished(db) if one.origin == collecting.CSMS]
        for one in older:
            before = collections.from_json(one.wish)
            is_same = replace(before, name=name) == wish
            if is_same and [part.charger_no for part in collecting.parts(db, one.no)] == meant:
                return Taken(ACCEPTED, before.name)  # some chargers never do it when they are asked twice (H.7)
        for one in older:
            collecting.end(db, one.no, collecting.ABORTED, "another one was asked for", at.wall_ms)
        collecting.begin(db, collecting.CSMS, collections.as_json(wish), meant, at.wall_ms)
        return Taken(INSTEAD if older else ACCEPTED, name)

    def _require_store(self) -> None:
        if self._is_control_only:
            raise CommitFailed("nothing is stored at the moment")


def _wish(request: FirmwareRequest, chargers: int) -> Wish:
    fetch_ms, install_ms = (None if one is None else _ms(one) for one in (request.retrieve_at, request.install_at))
    return Wish(
        split(request.location)[0],
        begins_ms=max((one for one in (fetch_ms, install_ms) if one is not None), default=None),
        fetch_ms=fetch_ms,
        policy=Policy(wave=max(1, round(SHARE_AT_ONCE * chargers))),
        signed=request.signed,
        request_id=request.request_id,
    )


def _is_repeated(db: Connection, older: Rollout, wish: Wish, meant: list[ChargerNo]) -> bool:
    """The same once more, as a CSMS asks that has not heard our answer: nobody is to flash the same file twice."""
    before, chargers = from_json(older.wish), [part.charger_no for part in rollouts.parts(db, older.no)]
    is_same = (before.location, before.signed, before.request_id) == (wish.location, wish.signed, wish.request_id)
    return is_same and older.state != rollouts.ABORTED and chargers == meant


def _installs(db: Connection, older: Rollout) -> bool:
    return any(part.progress.step is Step.INSTALLING for part in rollouts.parts(db, older.no))


def _boxes(known: list[Charger]) -> list[Box]:
    return [Box(one.id, one.vendor, one.model) for one in known]


def _bound_ms(at: datetime | None) -> int | None:
    """Of a log. Many a CSMS writes the first time that its language knows where it means none: 0001-01-01."""
    return None if at is None or at.year < OLDEST_LOG else _ms(at)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)

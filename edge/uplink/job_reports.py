"""How far the firmware and the logs are that the CSMS wanted last: a status for each change, the latest only.

What it has got is stored, so that a change which it could not be told of is told after an outage or a restart, once.
`sender.py` takes the news from here.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

import structlog

from edge.dialects.v16 import station_jobs as dialect
from edge.domain import collecting as collections
from edge.domain import rollouts as firmware
from edge.domain.ports import Clock
from edge.domain.rollouts import Step, combined
from edge.jsontypes import Payload
from edge.store import Connection, collecting, rollouts
from edge.store.db import CommitFailed, Store

LOOK_EVERY = 120.0
AGAIN_AFTER, LONGEST_PAUSE = 30.0, 600.0
"""Seconds, when the CSMS did not take it for now: twice as many each time."""
NOT_FETCHED = ("it could not download", f"{Step.DOWNLOADING} for")
"""Beginnings of what is said of a charger that never had the file (`edge/domain/rollouts.py`)."""
IDLE = "Idle"
"""1.6 §4.4, §4.5: only when it is asked for."""


class Subject(Enum):
    FIRMWARE = "firmware"
    LOGS = "logs"


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """That the CSMS has asked for a status: each time is another one."""

    is_extended: bool
    """By the security extension."""


@dataclass(frozen=True, slots=True)
class Report:
    subject: Subject
    no: int | None
    """Of the rollout or the collection; None: there was never one."""
    status: str
    """In the words of the security extension."""
    request_id: int | None
    is_extended: bool
    """In a message of the security extension."""
    asked: Asked | None = None
    """What it answers; None: it is told unasked."""

    @property
    def action(self) -> str:
        tells = dialect.TELLS_FIRMWARE if self.subject is Subject.FIRMWARE else dialect.TELLS_LOGS
        return tells[self.is_extended]

    @property
    def payload(self) -> Payload:
        if self.is_extended:
            return dialect.progress(self.status, self.request_id)
        return dialect.progress(dialect.older(self.status), None)


class JobReports:
    """Keeps what is to be told."""

    def __init__(self, store: Store, clock: Clock, on_news: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_news = on_news
        self._changed = asyncio.Event()
        self._changed.set()
        self._asked: dict[Subject, Asked] = {}
        self._not_before = 0.0
        self._failures = 0
        """In a row, of telling it."""
        self._news: dict[Subject, Report] = {}
        self._told: dict[Subject, tuple[int, str]] = {}
        """(Number, status) of what it has got last: at once, while the store may still be about to note it."""

    def changed(self) -> None:
        """Something may have happened to a rollout or a collection."""
        self._changed.set()

    def tell_again(self, subject: Subject, is_extended: bool) -> None:
        """The CSMS has asked for it (1.6 §5.17)."""
        self._asked[subject] = Asked(is_extended)
        self._changed.set()

    def next_news(self) -> Report | None:
        """What the CSMS does not know yet."""
        if self._clock.monotonic() < self._not_before:
            return None
        return next((one for one in self._news.values() if self._is_news(one)), None)

    async def told(self, report: Report, *, again: bool = False) -> None:
        """The CSMS has answered. `again`: it did not take it, and is to be told once more after a while."""
        if again:
            self._not_before = self._clock.monotonic() + min(AGAIN_AFTER * 2**self._failures, LONGEST_PAUSE)
            self._failures = min(self._failures + 1, 10)
            return
        self._failures = 0
        if report.asked is not None and self._asked.get(report.subject) is report.asked:
            del self._asked[report.subject]  # else it has asked again meanwhile
        if self._news.get(report.subject) == report:
            del self._news[report.subject]
        if (no := report.no) is not None:
            self._told[report.subject] = no, report.status
            table = rollouts if report.subject is Subject.FIRMWARE else collecting
            try:
                await self._store.write(lambda db: table.set_told(db, no, report.status))
            except CommitFailed as error:
                structlog.get_logger("edge.uplink").warning("report_not_noted", why=str(error))
        self.changed()

    async def run(self, tick: Callable[[], None] = lambda: None) -> None:
        while True:
            tick()
            self._changed.clear()
            try:
                found = await self._store.look(self._look_up)
            except CommitFailed as error:
                structlog.get_logger("edge.uplink").warning("jobs_not_looked_up", why=str(error))
            else:
                self._news = {subject: report for subject, report in found.items() if self._is_news(report)}
                if self._news:
                    self._on_news()
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _look_up(self, db: Connection) -> dict[Subject, Report]:
        found = {}
        now_ms = round(self._clock.utc_now().timestamp() * 1000)
        rollout, collection = rollouts.last_of_csms(db), collecting.last_of_csms(db)
        if rollout is not None:
            rollout = replace(rollout, told=self._told_of(Subject.FIRMWARE, rollout.no, rollout.told))
        if collection is not None:
            collection = replace(collection, told=self._told_of(Subject.LOGS, collection.no, collection.told))
        for report, is_told in (_of_firmware(db, rollout, now_ms), _of_logs(collection)):
            asked = self._asked.get(report.subject)
            if asked is not None:
                found[report.subject] = replace(report, is_extended=asked.is_extended, asked=asked)
            elif not is_told:
                found[report.subject] = report
        return found

    def _is_news(self, report: Report) -> bool:
        """Whether the CSMS has not been told meanwhile."""
        if report.asked is not None:
            return self._asked.get(report.subject) is report.asked
        return report.no is None or self._told.get(report.subject) != (report.no, report.status)

    def _told_of(self, subject: Subject, no: int, stored: str | None) -> str | None:
        told = self._told.get(subject)
        return told[1] if told is not None and told[0] == no else stored


def _idle(subject: Subject) -> tuple[Report, bool]:
    """Nothing goes on, and the CSMS knows how the last one ended (1.6 §4.4, §4.5)."""
    return Report(subject, None, IDLE, None, is_extended=False), True


def _of_firmware(db: Connection, rollout: rollouts.Rollout | None, now_ms: int) -> tuple[Report, bool]:
    """What there is to say of the last one, and whether the CSMS knows it."""
    if rollout is None:
        return _idle(Subject.FIRMWARE)
    wish = firmware.from_json(rollout.wish)
    status = _at_the_end(db, rollout) if rollout.ended_wall_ms is not None else _on_the_way(db, rollout, wish, now_ms)
    is_extended, is_told = wish.request_id is not None, status == rollout.told
    if is_told and rollout.ended_wall_ms is not None:
        return _idle(Subject.FIRMWARE)
    # 1.6 itself has no word for what is only planned
    is_told = is_told or (status == dialect.PLANNED and not is_extended)
    return Report(Subject.FIRMWARE, rollout.no, status, wish.request_id, is_extended), is_told


def _on_the_way(db: Connection, rollout: rollouts.Rollout, wish: firmware.Wish, now_ms: int) -> str:
    if rollout.fetch is None and now_ms < (wish.fetch_ms or 0):
        return dialect.PLANNED
    if rollout.sha256 is None:
        return dialect.firmware_status(Step.DOWNLOADING, is_verified=False)
    status = dialect.firmware_status(
        combined([part.progress.step for part in rollouts.parts(db, rollout.no)]), is_verified=wish.signed is not None
    )
    is_scheduled = wish.begins_ms != wish.fetch_ms and rollout.told in dialect.VERIFIED
    return dialect.VERIFIED[-1] if is_scheduled and status in dialect.VERIFIED else status


def _at_the_end(db: Connection, rollout: rollouts.Rollout) -> str:
    """Installed only where all have it: also an abort of ours is a failure to the CSMS."""
    if rollout.code == "invalid_signature":
        return "InvalidSignature"
    if rollout.sha256 is None:  # it was not to be had, or nobody knew for whom it is
        return "DownloadFailed"
    parts = [part.progress for part in rollouts.parts(db, rollout.no)]
    steps = [one.step for one in parts]
    if rollout.state == rollouts.DONE or set(steps) == {Step.INSTALLED}:
        return dialect.firmware_status(combined(steps), is_verified=False)
    failed = [one.why for one in parts if one.step is Step.FAILED]
    return "DownloadFailed" if failed and set(failed) == {firmware.NO_DOWNLOAD} else "InstallationFailed"


_LOGS = {collecting.DONE: "Uploaded", collecting.FAILED: "UploadFailure", collecting.ABORTED: "UploadFailure"}


def _of_logs(collection: collecting.Collection | None) -> tuple[Report, bool]:
    if collection is None:
        return _idle(Subject.LOGS)
    request_id = collections.from_json(collection.wish).request_id
    status = _LOGS.get(collection.state, "Uploading")
    is_told = status == collection.told
    if is_told and collection.ended_wall_ms is not None:
        return _idle(Subject.LOGS)
    return Report(Subject.LOGS, collection.no, status, request_id, request_id is not None), is_told

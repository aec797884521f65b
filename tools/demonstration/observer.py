"""Tells what the running daemon shows on its console socket: the uplink, the backlog, each session.

It looks a few times a second and prints a line for each change. After an outage it waits until the backlog is
empty and then compares the ledgers, so that "delivered" is a checked fact.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from simulators.outbox import Sent
from simulators.wire import Bell

from demonstration.daemon import ANSWERS_WITHIN, DaemonProcess
from demonstration.lines import Lines, counted, kilowatts
from demonstration.party import Party
from demonstration.process import DemoFailed

LOOKS_EVERY = 0.2
FOR_DELIVERY = 2.0
"""So long a line waits for the cloud's answer, to tell both at once."""
ACCEPTED_BY = {
    "policy": "site's policy",
    "cache": "known from before",
    "list": "on the local list",
    "operator": "operator",
}


@dataclass(slots=True)
class _Told:
    """What was said of a session."""

    seen_at: float
    started_at: str
    is_started: bool = False
    is_in_cloud: bool = False
    ended_at: float | None = None
    is_ended: bool = False
    is_complete: bool = False


class Observer:
    def __init__(
        self, daemon: DaemonProcess, party: Party, lines: Lines, status: dict, *, outage_lines_every: float
    ) -> None:
        self._daemon = daemon
        self._party = party
        self._lines = lines
        self._outage_lines_every = outage_lines_every
        self._sessions: dict[str, _Told] = {}
        self._lost_at: float | None = None
        self._next_outage_line = 0.0
        self._is_draining = False
        self._quiet_since = (0, 0.0)
        self.status = status
        self.looks = 0
        self.bell = Bell()
        self.problems: list[str] = []

    async def run(self) -> None:
        """Until cancelled. Raises DemoFailed when the daemon does not answer for long."""
        answered_at = _now()
        while True:
            try:
                await self._look()
                answered_at = _now()
            except (OSError, ValueError) as error:
                if _now() - answered_at > ANSWERS_WITHIN:
                    raise DemoFailed(f"the daemon does not answer: {error}") from error
            await asyncio.sleep(LOOKS_EVERY)

    @property
    def is_online(self) -> bool:
        return self.status["uplink"]["state"] == "accepted"

    @property
    def backlog(self) -> int:
        return self.status["backlog"]["messages"]

    def next_try(self) -> str:
        at = self.status["uplink"]["next_attempt_at"]
        return "" if at is None else f", next try {datetime.fromisoformat(at).astimezone():%H:%M:%S}"

    async def _look(self) -> None:
        # What was answered before the question is stored, so an empty backlog means that the cloud has it.
        answered = self._party.answered() if self._is_draining else set()
        status = await self._daemon.ask("status")
        started = [one.started_at for one in self._sessions.values() if not one.is_complete]
        since = min(started, default=status["started_at"] if not self._sessions else status["at"])
        found = await self._daemon.ask("sessions", since=since)
        before, self.status = self.status, status
        self._tell_uplink(before)
        for session in reversed(found["sessions"]):
            await self._tell_session(session)
        if self._is_draining and self.is_online and self.backlog == 0:
            self._tell_drained(answered)
        self._tell_quiet()
        self.looks += 1
        self.bell.ring()

    # ── the uplink ────────────────────────────────────────────────────────────────────────────────────

    def _tell_uplink(self, before: dict) -> None:
        now = _now()
        if self._lost_at is None and not self.is_online:
            self._lost_at, self._next_outage_line = now, now + self._outage_lines_every
            why = self.status["uplink"]["last_error"]
            self._lines.say("uplink", f"LOST{'' if why is None else ': ' + why}")
        elif self._lost_at is not None and self.is_online and not self._is_draining:
            self._is_draining = True
            waited = counted(before["backlog"]["messages"], "message")
            self._lines.say("uplink", f"BACK after {now - self._lost_at:.0f} s, {waited} to deliver")
        elif self._lost_at is not None and not self._is_draining and now >= self._next_outage_line:
            self._next_outage_line = now + self._outage_lines_every
            waiting = counted(self.backlog, "message")
            self._lines.say("uplink", f"offline {now - self._lost_at:.0f} s: {waiting} wait on disk{self.next_try()}")

    def _tell_drained(self, answered: set[Sent]) -> None:
        assert self._lost_at is not None
        replayed = self._party.queued(self._lost_at)
        report = self._party.verify(answered)
        self._is_draining, self._lost_at = False, None
        counts = report.together()
        count = sum(max(1, len(one.payload.get("meterValue", ()))) for one in replayed)  # values may share one
        what = f"drained {counted(count, 'message')}"
        if replayed:
            what += f" in {(replayed[-1].answered_at or replayed[-1].at) - replayed[0].at:.2f} s"
        if report.is_right:
            self._lines.say("uplink", f"{what}: in order, {counts.lost} lost, {counts.repeated} twice")
        else:
            self._lines.say("uplink", f"{what}, BUT: {'; '.join(report.problems[:3])}")
            self.problems += report.problems

    # ── sessions ──────────────────────────────────────────────────────────────────────────────────────

    async def _tell_session(self, session: dict) -> None:
        name = session["session"]
        told = self._sessions.setdefault(name, _Told(_now(), session["started_at"]))
        if told.is_complete:
            return
        who = f"{session['charger']}.{session['connector']}"
        in_cloud = session["csms_transaction_id"]
        if not told.is_started and await self._tell_started(who, session, told):
            told.is_started = True
        if not told.is_started:
            return
        if session["state"] == "ended":
            self._tell_ended(who, session, told)
        elif in_cloud is not None and not told.is_in_cloud:
            told.is_in_cloud = True
            self._lines.say(who, f"{name} is transaction {in_cloud} in the cloud now")

    async def _tell_started(self, who: str, session: dict, told: _Told) -> bool:
        name, in_cloud = session["session"], session["csms_transaction_id"]
        connector = f"{name} charges; to the cloud it is connector {session['upstream_connector']}"
        if in_cloud is not None:
            told.is_in_cloud = True
            self._lines.say(who, f"{connector}, transaction {in_cloud}")
            return True
        if self.is_online and _now() - told.seen_at < FOR_DELIVERY:
            return False
        details = (await self._daemon.ask("session", session=name))["session"]
        source = (details["authorization"] or {}).get("source")
        accepted = f" (token: {ACCEPTED_BY[source]})" if source in ACCEPTED_BY else ""
        self._lines.say(who, f"{name} charges without the cloud{accepted}")
        return True

    def _tell_ended(self, who: str, session: dict, told: _Told) -> None:
        name, delivery = session["session"], session["delivery"]
        is_delivered = delivery["state"] == "delivered"
        told.ended_at = told.ended_at or _now()
        if not told.is_ended:
            if not is_delivered and self.is_online and _now() - told.ended_at < FOR_DELIVERY:
                return
            told.is_ended, told.is_complete = True, is_delivered
            energy = "?" if session["energy_wh"] is None else session["energy_wh"]
            rest = "complete in the cloud" if is_delivered else f"{counted(delivery['waiting'], 'message')} on disk"
            self._lines.say(who, f"{name} ended ({session['end_reason']}): {energy} Wh, {rest}")
        elif is_delivered:
            told.is_complete = True
            self._lines.say(who, f"{name} is complete in the cloud, transaction {session['csms_transaction_id']}")

    # ── signs of life ─────────────────────────────────────────────────────────────────────────────────

    def _tell_quiet(self) -> None:
        count, since = self._quiet_since
        if count != self._lines.count:
            self._quiet_since = (self._lines.count, _now())
        elif _now() - since >= 2 * self._outage_lines_every:
            meter = next((kilowatts(one["power_w"]) for one in self.status["meters"]), "?")
            charging = counted(self.status["sessions"]["open"], "car")
            self._lines.say("site", f"{meter} at the grid meter, {charging} charging, backlog {self.backlog}")


def _now() -> float:
    return asyncio.get_running_loop().time()

"""The script: who plugs in, what the cloud asks, when the uplink is cut, and how the demo ends.

Before the first car comes, the chargers get new firmware, once: it is for chargers without a session. One cycle has
everything else; without a duration it is played again and again. A car that finds its connector taken
(somebody used `edge start`) drives on, and a session that is over already is not stopped again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count

from simulators.charger import Charger
from simulators.csms import Csms, CsmsCallError, StationOffline
from simulators.ledger import Transaction
from simulators.wire import CallRefused, LinkLost, Payload

from demonstration.lines import Lines, counted
from demonstration.observer import Observer
from demonstration.party import STATION, Party
from demonstration.process import DemoFailed
from demonstration.rollout import Rollout

CYCLE_S = 180.0
OUTAGE_AT_MOST_S = 30.0
ANSWER_WITHIN = 20.0
DRAINED_WITHIN = 45.0
QUIET_S = 0.05
REMOTE = ("CP-03", 2)
REMOTE_TOKEN = "FLEET-7"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a cycle is, and how many there are (None: until somebody stops it)."""

    cycle_s: float
    cycles: int | None

    @staticmethod
    def of(duration_s: float | None) -> "Plan":
        if duration_s is None:
            return Plan(CYCLE_S, None)
        cycles = max(1, round(duration_s / CYCLE_S))
        return Plan(duration_s / cycles, cycles)

    def after(self, spent_s: float) -> "Plan":
        """The same for a cycle of which this is gone already, as far as what is left has room for it."""
        return replace(self, cycle_s=max(self.cycle_s - spent_s, self.cycle_s / 2))

    @property
    def is_short(self) -> bool:
        return self.cycle_s < 60

    @property
    def outage_s(self) -> float:
        # The daemon tries again 1, 3, 7, 15, 31 … s after the loss or up to twice as late: after 30 s it is back
        # within a minute, after a little more perhaps only in the second one.
        return min(self.cycle_s / 4, OUTAGE_AT_MOST_S)

    @property
    def meter_interval_s(self) -> int:
        return 1 if self.is_short else 2 if self.cycle_s < 120 else 5

    @property
    def update_step_s(self) -> float:
        return 0.05 if self.is_short else 0.5

    @property
    def lines_every_s(self) -> float:
        return 2.0 if self.is_short else 5.0


class Story:
    def __init__(self, plan: Plan, party: Party, observer: Observer, rollout: Rollout, lines: Lines) -> None:
        self._plan = plan
        self._party = party
        self._observer = observer
        self._rollout = rollout
        self._lines = lines
        self.problems: list[str] = []

    async def run(self) -> None:
        """All cycles and the end. Raises DemoFailed when a party does not do what it must."""
        began = _now()
        await self._all_are_here()
        await self._rollout.play()
        await self._all_are_here()
        plan = self._plan.after(_now() - began)
        for number in count():
            if number == self._plan.cycles:
                break
            await self._play(plan)
            plan = self._plan
        await self._finish()
        await self._rollout.check()

    async def _all_are_here(self) -> None:
        for charger in self._party.chargers.values():
            await charger.wait_for(lambda charger=charger: charger.is_ready, ANSWER_WITHIN)

    async def _play(self, plan: Plan) -> None:
        began = _now()
        outage = 1 / 3 + plan.outage_s / plan.cycle_s
        script: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (0.02, lambda: self._arrive("CP-01", 1, "ANNA")),
            (0.09, lambda: self._arrive("CP-02", 1, "BEN")),
            (0.16, self._start_remotely),
            (0.27, self._stop_remotely),
            (0.30, lambda: self._leave("CP-01", 2)),  # of the cycle before
            (1 / 3, lambda: self._cut(plan.outage_s)),
            (0.40, lambda: self._arrive("CP-03", 1, "DORA")),
            (0.44, lambda: self._leave("CP-01", 1)),
            (0.49, lambda: self._leave("CP-03", 1)),
            (outage, self._restore),
            (0.75, lambda: self._arrive("CP-01", 2, "EMIL")),
            (0.85, lambda: self._leave("CP-02", 1)),
        ]
        for at, act in sorted(script, key=lambda step: step[0]):
            await _sleep_until(began + at * plan.cycle_s)
            await act()
        await _sleep_until(began + plan.cycle_s)

    # ── drivers ───────────────────────────────────────────────────────────────────────────────────────

    async def _arrive(self, identity: str, connector: int, token: str) -> None:
        charger = self._party.chargers[identity]
        if not charger.outlets[connector].is_free:
            return
        await charger.plug_in(connector)
        asked = _now()
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                verdict = await charger.authorize(token)
        except (CallRefused, LinkLost, TimeoutError) as error:
            raise DemoFailed(f"{identity} could not authorise {token}: {error or 'no answer'}") from error
        took = 1000 * (_now() - asked)
        self._lines.say(f"{identity}.{connector}", f"car plugged in, token {token}: {verdict} in {took:.0f} ms")
        if verdict != "Accepted":
            self.problems.append(f"{identity}: token {token} was answered {verdict}")
            await charger.unplug(connector)
        elif charger.outlets[connector].session is None:
            charger.begin_session(connector, token)

    async def _leave(self, identity: str, connector: int) -> None:
        charger = self._party.chargers[identity]
        if charger.outlets[connector].session is not None:
            charger.end_session(connector)

    # ── the cloud ─────────────────────────────────────────────────────────────────────────────────────

    async def _start_remotely(self) -> None:
        identity, connector = REMOTE
        charger = self._party.chargers[identity]
        if not charger.outlets[connector].is_free:
            return
        upstream = self._party.upstream_connector(identity, connector)
        payload = {"connectorId": upstream, "idTag": REMOTE_TOKEN}
        answer = await self._command("RemoteStartTransaction", payload)
        asked = _last_request(charger, "RemoteStartTransaction").get("connectorId")
        self._lines.say("cloud", f"RemoteStart connector {upstream} -> {identity} connector {asked}: {answer}")

    async def _stop_remotely(self) -> None:
        identity, connector = REMOTE
        charger = self._party.chargers[identity]
        if charger.outlets[connector].session is None:
            return
        upstream = self._party.upstream_connector(identity, connector)
        transaction = await self._party.csms.wait_for(
            lambda: _open_at(self._party.csms, upstream), ANSWER_WITHIN, f"a transaction on connector {upstream}"
        )
        answer = await self._command("RemoteStopTransaction", {"transactionId": transaction.id})
        asked = _last_request(charger, "RemoteStopTransaction").get("transactionId")
        self._lines.say("cloud", f"RemoteStop transaction {transaction.id} -> {identity}'s {asked}: {answer}")

    async def _command(self, action: str, payload: Payload) -> str:
        try:
            answer = await self._party.csms.call(STATION, action, payload, ANSWER_WITHIN)
        except (StationOffline, CsmsCallError, TimeoutError) as error:
            raise DemoFailed(f"the cloud's {action} failed: {error}") from error
        if answer["status"] != "Accepted":
            self.problems.append(f"the cloud's {action} was answered {answer['status']}")
        return str(answer["status"])

    async def _cut(self, outage_s: float) -> None:
        """In a moment when no answer is on its way: after a lost answer the daemon would have to repeat a message."""
        csms = self._party.csms
        deadline = _now() + 5.0
        while _now() < deadline:
            last = csms.received[-1]
            if last.is_answered and (last.answered_at or 0.0) <= _now() - QUIET_S:
                break
            await asyncio.sleep(0.01)
        self._lines.say("demo", f"cuts the uplink for {outage_s:.0f} s; the chargers will not notice")
        csms.refuse_connections()
        csms.cut()

    async def _restore(self) -> None:
        self._party.csms.refuse_connections(False)
        self._lines.say("demo", f"the cloud can be reached again{self._observer.next_try()}")

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────

    async def _finish(self) -> None:
        """Stop what charges and wait until the cloud has everything."""
        self._party.csms.refuse_connections(False)
        charging = self._party.charging()
        self._lines.say("demo", f"time is up; stops {counted(len(charging), 'session')}, then waits for the cloud")
        for charger, outlet in charging:
            charger.end_session(outlet.connector)
        deadline, next_line = _now() + DRAINED_WITHIN, _now() + 5.0
        looked = self._observer.looks
        while not (self._is_drained() and self._observer.looks >= looked + 2):
            if _now() > deadline:
                waiting = counted(self._observer.backlog, "message")
                self.problems.append(f"after {DRAINED_WITHIN:.0f} s {waiting} still not in the cloud")
                return
            if not self._is_drained():
                looked = self._observer.looks
            if _now() > next_line:
                next_line += 5.0
                waiting = counted(self._observer.backlog, "message")
                self._lines.say("demo", f"waits until {waiting} are in the cloud{self._observer.next_try()}")
            await self._observer.bell.wait_until(deadline)

    def _is_drained(self) -> bool:
        has_said_all = all(charger.outbox.is_empty for charger in self._party.chargers.values())
        return has_said_all and self._observer.is_online and self._observer.backlog == 0


def _last_request(charger: Charger, action: str) -> Payload:
    return next((payload for name, payload in reversed(charger.requests) if name == action), {})


def _open_at(csms: Csms, connector: int) -> Transaction | None:
    return next((one for one in csms.transactions.values() if one.is_open and one.connector == connector), None)


async def _sleep_until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - _now()))


def _now() -> float:
    return asyncio.get_running_loop().time()

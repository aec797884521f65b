"""The service of rollouts with a real store and a real socket: the bridge behind it says what a test wants, the chargers
are only noted.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from edge.domain.events import ChargerBooted
from edge.domain.rollouts import Policy, Progress, Step, Wish, as_json
from edge.jobs import rollouts as jobs
from edge.store import connectors, rollouts
from edge.store.db import CommitFailed, Store
from edge.store.exchange import Moment
from tests.store.givens import StoredSite, moment

SHA = "ab" * 32
STORED = {
    "done": {
        "id": "f1", "source": "x", "state": "stored", "bytes": 9, "size": 9, "sha256": SHA, "code": None, "error": None
    }
}  # fmt: skip
COMING = {"done": STORED["done"] | {"state": "fetching", "sha256": None}}
TICKET = {"done": {"token": "ef" * 16, "locations": {"http": "http://h/a"}, "until": "", "bytes": 0, "times": 0}}
ALL_AT_ONCE, ONE_BY_ONE = Policy(canary=0, wave=9), Policy(canary=0, wave=1)
DONE: dict = {"done": {}}
VANISHES = None
"""It ends in the midst of an answer."""


def no(code: str) -> dict:
    return {"error": {"code": code, "message": f"It says {code}."}}


@dataclass
class Scripted:
    """A bridge. Each request is answered by what stands for it here: an answer, or a function that makes one."""

    answers: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def listening(self, socket: Path) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._answer, socket)
        async with server:
            yield

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.readline())
        self.asked.append(request["request"])
        answer = self.answers.get(request["request"], DONE)
        if callable(answer):
            answer = await answer(request)
        if answer is not VANISHES:
            writer.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")
        writer.close()


@dataclass
class Link:
    address: str = "127.0.0.1:5000"
    our_address: str = "127.0.0.1:8887"


@dataclass
class Chargers:
    """All are online; `answers` by charger: what they say to UpdateFirmware."""

    answers: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def is_online(self, _):
        return True

    def away_for(self, _):
        return 0.0

    async def call(self, charger, action, payload, **_):
        if action == "UpdateFirmware":
            self.asked.append(charger)
            if charger in self.answers:
                raise self.answers[charger]
        return {}


@dataclass
class SetClock:
    """A wall clock that somebody sets."""

    ahead: timedelta = timedelta()
    seconds: float = 0.0
    """That have passed."""

    def __call__(self) -> Moment:
        now = moment(self.seconds)
        return replace(now, wall=now.wall + self.ahead)


@dataclass
class Yard:
    store: Store
    clock: "SetClock"
    bridge: Scripted
    chargers: Chargers
    service: jobs.Rollouts

    async def begin(self, *names: str, policy: Policy = ALL_AT_ONCE, begins_ms: int | None = None) -> str:
        """A rollout for these chargers."""
        wish = as_json(Wish("http://x/a.bin", "1.1", begins_ms=begins_ms, policy=policy))

        def begin(db):
            site = StoredSite(db)
            known = {one.id: one.no for one in connectors.chargers(db)}
            numbers = [known[name] if name in known else site.charger(name)[0] for name in names]
            for number in numbers:
                connectors.booted(db, number, ChargerBooted("V", "M", None, "1.0"), "1.6", 0)
            return rollouts.begin(db, rollouts.OPERATOR, wish, numbers, 0)

        number = await self.store.write(begin)
        self.service.wake()
        return f"F{number}"

    async def now(self, name: str = "F1"):
        return await self.store.write(lambda db: rollouts.load(db, int(name[1:])))

    async def progress(self, name: str = "F1") -> list[Progress]:
        return [part.progress for part in await self.store.write(lambda db: rollouts.parts(db, int(name[1:])))]

    async def steps(self, name: str = "F1") -> list[str]:
        return [one.step for one in await self.progress(name)]

    async def set(self, name: str, step: Step) -> None:
        """Where all its chargers are, as they have said."""

        def set_all(db):
            for part in rollouts.parts(db, int(name[1:])):
                now_ms = moment().wall_ms
                progress = Progress(step, now_ms, 1, "1.0", asked_ms=now_ms)
                rollouts.set_progress(db, int(name[1:]), part.charger_no, progress)

        await self.store.write(set_all)
        self.service.wake()

    async def until(self, fact) -> None:
        async with asyncio.timeout(20):
            while not await fact():
                await asyncio.sleep(0.02)

    async def ended(self, name: str = "F1"):
        async def has_ended():
            return (await self.now(name)).ended_wall_ms is not None

        await self.until(has_ended)
        return await self.now(name)

    async def waits(self, word: str, name: str = "F1") -> None:
        async def does():
            return word in ((await self.now(name)).why or "")

        await self.until(does)

    async def waits_for_nothing(self, name: str = "F1") -> None:
        async def does_not():
            return (await self.now(name)).why is None

        await self.until(does_not)

    async def reaches(self, *steps: str, name: str = "F1") -> None:
        async def there():
            return await self.steps(name) == list(steps)

        await self.until(there)

    async def hears(self, request: str, times: int = 1) -> None:
        """The bridge, so often."""

        async def has_heard():
            return self.bridge.asked.count(request) >= times

        await self.until(has_heard)


@dataclass
class Watched:
    """The store as the service sees it, with commits that fail when a test says so."""

    store: Store
    fails: Callable[[object], bool] = lambda _: False

    async def write(self, unit):
        if self.fails(unit):
            raise CommitFailed("disk I/O error")
        return await self.store.write(unit)

    def look(self, unit):
        return self.store.look(unit)

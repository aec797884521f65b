"""What a service manager does: keeps `edge run` alive, and does a command again that was killed on the way.

Lives are counted from 1; `observe` says which strace stands beside which of them. A daemon that ends in another way
than being asked to, or being killed, has failed, and so has the story in which it did.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.cradle import Cradle, Life, Order
from tests.scenarios.site import ask

KILLED = -signal.SIGKILL
NOT_YET_LISTENING = -signal.SIGHUP
"""How a life ends that is asked to read its configuration again before it can be asked anything."""
MAY_END_WITH = frozenset({0, KILLED, NOT_YET_LISTENING})
GAVE_UP = "edge cannot run: nothing of this was stored"
TRIES_AT_MOST = 20
ENDS_WITHIN = 20.0
"""Seconds that an orderly end may take, on a busy machine and with strace."""


@dataclass(frozen=True)
class Observer:
    """strace and its words, but for `-p`. `failures`: after so many calls that it has let fail it goes."""

    words: Sequence[str] = ()
    failures: int = 0


NOBODY = Observer()
Observe = Callable[[int], Observer]
"""Who stands beside the life of this number."""


class StoryFailed(AssertionError):
    """What was to come true did not."""


@dataclass
class Keeper:
    cradle: Cradle
    config: Path
    log: Path
    socket: Path
    variant: str = "edge"
    observe: Observe = lambda _life: NOBODY
    afresh: bool = False
    command_may_fail: bool = False
    lives: int = 0
    kills: int = 0
    """That nobody here has ordered."""
    failed_calls: int = 0
    """That strace let fail."""
    gave_up: int = 0
    """Lives that ended because the first thing that they wanted to store was not stored."""
    _ordered: bool = False
    failure: str | None = None
    _life: Life | None = None
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _down: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Start the daemon again as often as it ends, for as long as it is wanted."""
        self._down.set()
        while self.failure is None:
            await self._wanted.wait()
            self._down.clear()
            self._life = await self._begin("run", "--config", str(self.config))
            await self._count(self._life, MAY_END_WITH)
            self._down.set()

    async def _begin(self, *words: str) -> Life:
        self.lives += 1
        observer = self.observe(self.lives)
        return await self.cradle.begin(
            Order(list(words), str(self.log), self.variant, list(observer.words), observer.failures, afresh=self.afresh)
        )

    async def _count(self, life: Life, may_end_with: frozenset[int]) -> int:
        code = await life.ended
        self.failed_calls += life.failed_calls
        self.kills += code == KILLED and not self._ordered
        has_given_up = code == 1 and GAVE_UP in self.told()
        self.gave_up += has_given_up
        if (code not in may_end_with and not has_given_up) or self.kills + self.gave_up > TRIES_AT_MOST:
            self.failure = f"life {self.lives} ended with {code} after {self.kills} kills:\n{self.told()}"
        self._ordered = False
        return code

    def told(self) -> str:
        return self.log.read_text(errors="replace")[-2500:] if self.log.exists() else "nothing"

    @property
    def is_up(self) -> bool:
        return self._wanted.is_set()

    def up(self) -> None:
        """From now on it is kept alive."""
        self._wanted.set()

    async def down(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, and leave it so."""
        self._wanted.clear()
        if self._life is None:
            return
        self._ordered = number is signal.SIGKILL and not self._life.ended.done()
        self._life.send(number)
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                await self._down.wait()
        except TimeoutError:
            self._life.send(signal.SIGKILL)
            await self._down.wait()
            self.failure = self.failure or f"life {self.lives} did not end:\n{self.told()}"

    def reload(self) -> None:
        """The life that there is reads its configuration again; a later one does so anyway."""
        if self._life is not None:
            self._life.send(signal.SIGHUP)

    async def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        await self.down(number)
        self.up()

    async def command(self, *words: str) -> None:
        """A command that needs no daemon, again until it is done."""
        may_end_with = MAY_END_WITH | ({1} if self.command_may_fail else set())
        for _ in range(TRIES_AT_MOST):
            if await self._count(await self._begin(*words), may_end_with) == 0:
                return
            if self.failure is not None:
                break
        raise StoryFailed(f"edge {' '.join(words)} was not done: {self.failure}")

    async def beside(self, *words: str) -> int:
        """A command that asks the daemon, once; its exit code. It counts as no life, and nobody observes it."""
        return await (await self.cradle.begin(Order(list(words), str(self.log), self.variant))).ended

    async def ask(self, command: str, **arguments: object) -> dict:
        """A document of the console, as soon as there is a daemon that gives it."""
        while True:
            try:
                return await ask(self.socket, command, **arguments)
            except (OSError, ValueError):
                if self.failure is not None:
                    raise StoryFailed(self.failure) from None
                await asyncio.sleep(0.01)

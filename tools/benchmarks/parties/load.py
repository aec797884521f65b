"""The load: chargers that charge and say nothing but MeterValues, on thin connections, in groups by server.

`open` connects a group of them: BootNotification, StatusNotification, StartTransaction; `closed` lets each say its
next value as soon as the last one was answered; `paced` lets the group say so many a second, whoever is free; `burst`
lets all say one at once, again and again. What a controller asks of them is answered shortly and not measured.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from benchmarks import messages
from benchmarks.parties.asked import answer_all
from benchmarks.parties.thin_client import ThinClient, connected

QUIET_FOR = 0.6
"""Seconds without a question of the controller after which it has none left."""
QUIET_WITHIN = 30.0
OPENED_AT_ONCE = 20
ANSWERED_WITHIN = 30.0
_ANSWERS = {
    "GetConfiguration": "{}",
    "ChangeConfiguration": '{"status":"Accepted"}',
    "TriggerMessage": '{"status":"Rejected"}',
}


class Charger:
    """One charger with one connector and one transaction."""

    def __init__(self, identity: str, group: "Group") -> None:
        self.identity = identity
        self._group = group
        self._client: ThinClient | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._values: messages.MeterValues | None = None
        self._number = 0
        self._said_at = 0.0
        self.on_answer: Callable[[Charger, float], None] | None = None

    async def open(self, url: str, *, is_charging: bool) -> None:
        # An identity is tried again: a server that is being started may not listen yet.
        self._client = await connected(f"{url}/{self.identity}", self._received, self._lost)
        await self._ask(messages.boot(f"{self.identity}-b"))
        for connector in (0, 1):
            await self._ask(messages.status(f"{self.identity}-s{connector}", connector))
        if is_charging:
            answer = json.loads(await self._ask(messages.start(f"{self.identity}-t", f"TAG-{self.identity}")))
            self._values = messages.MeterValues(self.identity, answer[2]["transactionId"], self._group.samples)

    async def _ask(self, text: str) -> bytes:
        assert self._client is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._client.send(text.encode())
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                return await self._answer
        finally:
            self._answer = None

    def say(self) -> None:
        """The next value; `on_answer` is called with the seconds that the answer took."""
        assert self._client is not None
        assert self._values is not None
        self._number += 1
        text = self._values.text(self._number).encode()
        self._said_at = time.perf_counter()
        self._client.send(text)

    def _received(self, text: bytes) -> None:
        if text.startswith(b"[2"):
            self._group.asked_at = time.perf_counter()
            _, message_id, action, *_ = json.loads(text)
            assert self._client is not None
            self._client.send(f'[3,"{message_id}",{_ANSWERS.get(action, "{}")}]'.encode())
        elif not text.startswith(b"[3"):
            raise AssertionError(f"{self.identity} was refused: {text[:300]!r}")
        elif self._answer is not None:
            self._answer.set_result(text)
        elif self.on_answer is not None:
            self.on_answer(self, time.perf_counter() - self._said_at)

    def _lost(self) -> None:
        self._client = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"{self.identity} lost its connection"))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


class Group:
    """The chargers of one server."""

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.chargers: list[Charger] = []
        self.asked_at = 0.0

    async def grow(self, url: str, prefix: str, count: int, *, is_charging: bool) -> None:
        """So many more."""
        room = asyncio.Semaphore(OPENED_AT_ONCE)
        first = len(self.chargers)
        new = [Charger(f"{prefix}{number:03d}", self) for number in range(first, first + count)]

        async def open_one(charger: Charger) -> None:
            async with room:
                await charger.open(url, is_charging=is_charging)

        async with asyncio.TaskGroup() as tasks:
            for charger in new:
                tasks.create_task(open_one(charger))
        self.chargers += new
        # The controller reads and sets configurations now; that is not what is measured.
        self.asked_at = max(self.asked_at, time.perf_counter())
        deadline = time.perf_counter() + QUIET_WITHIN
        while (now := time.perf_counter()) < min(deadline, self.asked_at + QUIET_FOR):  # noqa: ASYNC110 - for silence there is no event
            await asyncio.sleep(self.asked_at + QUIET_FOR - now)

    async def closed(self, seconds: float, most: int, chargers: int) -> dict[str, Any]:
        """Each of so many chargers says the next one when the last was answered: for so long, at most so many."""
        taking_part = self.chargers[:chargers]
        took: list[float] = []
        over = asyncio.get_running_loop().create_future()
        busy = len(taking_part)
        began = time.perf_counter()
        until = began + seconds

        def answered(charger: Charger, seconds_taken: float) -> None:
            nonlocal busy
            took.append(seconds_taken)
            if time.perf_counter() < until and len(took) + busy <= most:
                charger.say()
                return
            busy -= 1
            if busy == 0:
                over.set_result(None)

        for charger in taking_part:
            charger.on_answer = answered
            charger.say()
        await self._until_over(over, seconds)
        return _told(took, time.perf_counter() - began)

    async def paced(self, seconds: float, rate: float) -> dict[str, Any]:
        """So many a second, taking turns; a charger that still waits for its answer misses its turn."""
        took: list[float] = []
        missed = 0
        free = deque(self.chargers)
        loop = asyncio.get_running_loop()

        all_free = asyncio.Event()

        def answered(charger: Charger, seconds_taken: float) -> None:
            took.append(seconds_taken)
            free.append(charger)
            if len(free) == len(self.chargers):
                all_free.set()

        for charger in self.chargers:
            charger.on_answer = answered
        began = loop.time()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            if free:
                all_free.clear()
                free.popleft().say()
            else:
                missed += 1
        async with asyncio.timeout(ANSWERED_WITHIN):
            await all_free.wait()
        return _told(took, loop.time() - began) | {"missed": missed}

    async def burst(self, times: int, pause: float) -> dict[str, Any]:
        """All say one at the same moment, so many times."""
        took: list[float] = []
        began = time.perf_counter()
        for _ in range(times):
            over = asyncio.get_running_loop().create_future()
            wanted = len(took) + len(self.chargers)

            def answered(
                _charger: Charger, seconds_taken: float, wanted: int = wanted, over: "asyncio.Future[None]" = over
            ) -> None:
                took.append(seconds_taken)
                if len(took) == wanted:
                    over.set_result(None)

            for charger in self.chargers:
                charger.on_answer = answered
                charger.say()
            await self._until_over(over, 0.0)
            await asyncio.sleep(pause)
        return _told(took, time.perf_counter() - began)

    async def _until_over(self, over: "asyncio.Future[None]", seconds: float) -> None:
        async with asyncio.timeout(seconds + ANSWERED_WITHIN):
            await over


def _told(took: list[float], seconds: float) -> dict[str, Any]:
    ordered = sorted(took) or [0.0]
    return {
        "messages": len(took),
        "seconds": seconds,
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "most": ordered[-1],
    }


async def main() -> None:
    groups: dict[str, Group] = {}

    async def open_group(
        group: str, url: str, count: int, prefix: str = "CP-", samples: int = 5, *, is_charging: bool = True
    ) -> None:
        await groups.setdefault(group, Group(samples)).grow(url, prefix, count, is_charging=is_charging)

    async def closed(group: str, seconds: float, most: int = 10**9, chargers: int = 10**9) -> dict[str, Any]:
        return await groups[group].closed(seconds, most, chargers)

    async def paced(group: str, seconds: float, rate: float) -> dict[str, Any]:
        return await groups[group].paced(seconds, rate)

    async def burst(group: str, times: int, pause: float) -> dict[str, Any]:
        return await groups[group].burst(times, pause)

    async def close(group: str) -> None:
        for charger in groups.pop(group).chargers:
            charger.close()

    await answer_all({"open": open_group, "closed": closed, "paced": paced, "burst": burst, "close": close})


if __name__ == "__main__":
    asyncio.run(main())

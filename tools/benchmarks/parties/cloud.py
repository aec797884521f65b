"""A CSMS that accepts everybody and everything at once and keeps nothing; it counts, and can hold its answers back.

`expect` tells when so many more CALLs have come, and when the first and the last of them did; the last one's answer is
held back until the next `expect`, `flow` or `hold`: so a measurement ends where it should, and what sends pauses.
"""

import asyncio
import json
import time
from collections import Counter
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from benchmarks.parties.asked import answer_all

NOW = "2026-01-05T00:00:00Z"
_ANSWERS = {
    "BootNotification": f'{{"currentTime":"{NOW}","interval":86400,"status":"Accepted"}}',
    "Heartbeat": f'{{"currentTime":"{NOW}"}}',
    "Authorize": '{"idTagInfo":{"status":"Accepted"}}',
    "DataTransfer": '{"status":"UnknownVendorId"}',
}
COUNTED = frozenset({"StartTransaction", "MeterValues", "StopTransaction"})
STARTS_AND_STOPS = COUNTED - {"MeterValues"}


class Cloud:
    """Answers, and knows how far it got."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.values = 0
        self._most = 1_000_000
        """Entries of a MeterValues that it takes; more are refused, and not counted."""
        self.last_start_or_stop = 0.0
        self._transactions = 0
        self._open = asyncio.Event()
        self._wanted: int | None = None
        self._seen = 0
        self._first = self._last = 0.0
        self._reached = asyncio.Event()

    async def station(self, socket: ServerConnection) -> None:
        try:
            async for text in socket:
                await self._answer(socket, str(text))
        except ConnectionClosed:
            return

    async def _answer(self, socket: ServerConnection, text: str) -> None:
        _, message_id, action, payload = json.loads(text)
        if len(payload.get("meterValue", ())) > self._most:
            await socket.send(f'[4,"{message_id}","OccurenceConstraintViolation","too many values",{{}}]')
            return
        self.counts[action] += 1
        if action in COUNTED:
            if not self._open.is_set():
                await self._open.wait()
            self._count()
            self.values += len(payload.get("meterValue", ()))
            if action in STARTS_AND_STOPS:
                self.last_start_or_stop = time.perf_counter()
            if not self._open.is_set():
                await self._open.wait()
        await socket.send(f'[3,"{message_id}",{self._payload(action)}]')

    def _payload(self, action: str) -> str:
        if action != "StartTransaction":
            return _ANSWERS.get(action, "{}")
        self._transactions += 1
        return f'{{"transactionId":{self._transactions},"idTagInfo":{{"status":"Accepted"}}}}'

    def _count(self) -> None:
        self._last = time.perf_counter()
        if self._seen == 0:
            self._first = self._last
        self._seen += 1
        if self._seen == self._wanted:
            self._open.clear()
            self._reached.set()

    # --- what the bench asks

    async def expect(self, calls: int, within: float = 300.0) -> dict[str, Any]:
        self._wanted, self._seen = calls, 0
        self._reached.clear()
        self._open.set()
        async with asyncio.timeout(within):
            await self._reached.wait()
        return {"seconds": self._last - self._first, "calls": self._seen}

    async def take(self, values: int) -> None:
        self._most = values

    async def flow(self) -> None:
        self._wanted, self._seen = None, 0
        self._open.set()

    async def hold(self) -> None:
        self._wanted = None
        self._open.clear()

    async def told(self) -> dict[str, Any]:
        return {
            "counts": dict(self.counts), "values": self.values, "seen": self._seen, "now": time.perf_counter(),
            "first": self._first, "last": self._last, "last_start_or_stop": self.last_start_or_stop,
        }  # fmt: skip


async def main() -> None:
    cloud = Cloud()
    async with serve(
        cloud.station, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")], compression=None, ping_interval=None
    ) as server:

        async def port() -> dict[str, Any]:
            return {"port": server.sockets[0].getsockname()[1]}

        answers = {
            "port": port,
            "expect": cloud.expect,
            "take": cloud.take,
            "flow": cloud.flow,
            "hold": cloud.hold,
            "told": cloud.told,
        }
        await answer_all(answers)


if __name__ == "__main__":
    asyncio.run(main())

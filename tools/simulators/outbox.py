"""What the simulated charger still has to say: transaction messages, which are kept until they are answered,
and errands (statuses, heartbeats, questions), which are worth nothing once the connection is lost.

Transaction messages never overtake each other; while the oldest waits for its next attempt, errands go on.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.outlet import Session
from simulators.wire import LinkLost, Payload


@dataclass(slots=True, eq=False)
class Sent:
    """One transaction message, rendered by `request` when it is first sent: only then the id is sure to be known."""

    session: Session | None
    connector: int
    action: str
    request: Callable[[], Payload]
    payload: Payload | None = None
    attempts: int = 0
    refusals: int = 0
    answer: Payload | None = None
    error_code: str | None = None
    given_up: bool = False
    not_before: float = 0.0

    @property
    def answered(self) -> bool:
        return self.answer is not None


@dataclass(slots=True, eq=False)
class Errand:
    """A message that is forgotten when the connection is lost."""

    action: str
    payload: Payload
    answer: asyncio.Future[Payload] | None = None

    def settle(self, outcome: Payload | Exception) -> None:
        if self.answer is None or self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


@dataclass(slots=True, eq=False)
class Outbox:
    _items: deque[Sent | Errand] = field(default_factory=deque)

    @property
    def queue(self) -> list[Sent]:
        """Transaction messages that were not answered yet, in order."""
        return [item for item in self._items if isinstance(item, Sent)]

    @property
    def is_empty(self) -> bool:
        return not self._items

    def put(self, item: Sent | Errand) -> None:
        self._items.append(item)

    def remove(self, item: Sent | Errand) -> None:
        if item in self._items:
            self._items.remove(item)

    def next_due(self, now: float) -> Sent | Errand | None:
        waits = False
        for item in self._items:
            if isinstance(item, Errand):
                return item
            waits = waits or item.not_before > now
            if not waits:
                return item
        return None

    def next_attempt_at(self) -> float | None:
        """When the oldest transaction message may go."""
        return next((item.not_before for item in self._items if isinstance(item, Sent)), None)

    def forget(self, action: str | None = None) -> None:
        """Drop the errands (of one action); whoever waits for one learns that the link is lost."""
        for item in [item for item in self._items if isinstance(item, Errand) and action in (None, item.action)]:
            self._items.remove(item)
            item.settle(LinkLost(f"{item.action} was not answered"))

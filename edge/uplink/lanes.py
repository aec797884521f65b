"""The lanes: for each upstream connector the numbers of the rows that the CSMS is to get, in the order of commit.

Filled from the store at the start and by `offer` after each commit; `sender.py` takes the heads in turns
(`domain/delivery.py`), `outcomes.py` removes what was acknowledged or parked.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.domain.delivery import Head, Order, Turns
from edge.domain.ids import ConnectorNo
from edge.domain.ports import Clock
from edge.store import connectors, delivery
from edge.store.db import Store
from edge.store.delivery import STATION_LANE, Waiting


@dataclass(slots=True)
class Lane:
    """One connector's queue; 0 is the station itself."""

    waiting: deque[Waiting] = field(default_factory=deque)
    ready_at: float = 0.0
    """Monotonic seconds before which the head must not be sent (again)."""
    failures: int = 0
    """Transient ones in a row."""
    is_repaired: bool = False
    """The head is to be sent without what the schema forbids."""

    def has_head(self, seq: int) -> bool:
        """Whether this message is the one whose turn comes next."""
        return bool(self.waiting) and self.waiting[0].seq == seq

    def put_first(self, messages: Sequence[Waiting]) -> None:
        """These come before the head."""
        self.waiting.extendleft(reversed(messages))

    def advance(self) -> Waiting:
        """The head is done with; the next one starts afresh."""
        self.failures, self.ready_at, self.is_repaired = 0, 0.0, False
        return self.waiting.popleft()


class Lanes:
    """All of them."""

    def __init__(self, store: Store, clock: Clock, order: Order) -> None:
        self._store = store
        self._clock = clock
        self._turns = Turns(order)
        self._lanes: dict[int, Lane] = {STATION_LANE: Lane()}
        self._lane_of: dict[ConnectorNo, int] = {}
        self._early: dict[ConnectorNo, list[Waiting]] = {}
        """Of connectors that have no number yet."""

    def __getitem__(self, number: int) -> Lane:
        return self._lanes.setdefault(number, Lane())

    async def load(self) -> None:
        """At the start: everything that the store says is due."""
        numbered, waiting = await self._store.write(lambda db: (connectors.numbered(db), delivery.lanes(db)))
        for one in numbered:
            self._lane_of[one.no] = one.upstream or STATION_LANE
        for lane, messages in waiting.items():
            self[lane].waiting = deque(messages)

    async def numbered(self, new: Sequence[ConnectorNo]) -> None:
        """These connectors have a number now: what waited for it is due."""
        numbered, waiting = await self._store.write(lambda db: (connectors.numbered(db), delivery.lanes(db)))
        for one in numbered:
            if one.no in new and one.no not in self._lane_of and one.upstream is not None:
                self._lane_of[one.no] = one.upstream
                self[one.upstream].waiting = deque(waiting.get(one.upstream, ()))
                for message in self._early.pop(one.no, ()):
                    self.offer(one.no, message)  # committed since the store was read

    def offer(self, connector: ConnectorNo | None, message: Waiting) -> None:
        """A row was committed that the CSMS is to get. None: of the station itself."""
        lane = STATION_LANE if connector is None else self._lane_of.get(connector)
        if lane is None:
            assert connector is not None
            self._early.setdefault(connector, []).append(message)
            return
        queue = self[lane].waiting
        if not queue or queue[-1].seq < message.seq:
            queue.append(message)

    def choose(self, now: float) -> int | None:
        """The lane whose head is to be sent now."""
        return self._turns.choose(self._heads(), now)

    def next_ready(self) -> float | None:
        """When the first lane may be served; None when all are empty."""
        return self._turns.next_ready(self._heads())

    def _heads(self) -> dict[int, Head]:
        return {
            number: Head(lane.waiting[0].seq, lane.waiting[0].is_start_or_stop, lane.ready_at)
            for number, lane in self._lanes.items()
            if lane.waiting
        }

    def oldest(self) -> int | None:
        """Number of the oldest message that is due."""
        return min((lane.waiting[0].seq for lane in self._lanes.values() if lane.waiting), default=None)

    def count(self) -> int:
        """Messages that are due, in all lanes."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def ready_in(self, lane: int) -> float | None:
        """Seconds until the head of a lane may be sent again; None when nothing holds it back."""
        known = self._lanes.get(lane)
        wait = 0.0 if known is None else known.ready_at - self._clock.monotonic()
        return wait if wait > 0 else None

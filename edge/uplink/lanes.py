"""The lanes: for each upstream connector the numbers of the rows that the CSMS is to get, in the order of commit.

Filled from the store at the start and by `offer` after each commit; `sender.py` takes the heads in turns
(`domain/delivery.py`), `outcomes.py` removes what was acknowledged or parked.
"""

from collections import deque
from collections.abc import Collection, Sequence
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

    def put_back(self, messages: Sequence[Waiting], sent: int | None) -> None:
        """These wait again, before what was stored after them; a head that was `sent` or tried stays where it is."""
        again = {one.seq for one in messages}
        was_tried = self.failures or self.ready_at or self.is_repaired
        first = [one for one in list(self.waiting)[:1] if (was_tried or one.seq == sent) and one.seq not in again]
        others = [one for one in list(self.waiting)[len(first) :] if one.seq not in again]
        self.waiting = deque([*first, *sorted([*others, *messages], key=lambda one: one.seq)])

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

    async def moved(self, connectors_moved: Sequence[ConnectorNo]) -> None:
        """What waits on these connectors may have been another's before: all of it is due under their numbers."""
        waiting = await self._store.write(delivery.lanes)
        for lane in [self._lane_of[one] for one in connectors_moved if one in self._lane_of]:
            queue = self[lane].waiting
            known = {message.seq for message in queue}
            more = [message for message in waiting.get(lane, ()) if message.seq not in known]
            head, rest = list(queue)[:1], list(queue)[1:]  # the head may be on its way already
            self[lane].waiting = deque([*head, *sorted([*rest, *more], key=lambda message: message.seq)])

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

    def offer_again(self, connector: ConnectorNo | None, messages: Sequence[Waiting], sent: int | None) -> None:
        """A person wants these to go up after all; `sent` is the message that is on its way."""
        lane = STATION_LANE if connector is None else self._lane_of.get(connector)
        if lane is not None:  # else what waits for its number is read from the store then
            self[lane].put_back(messages, sent)

    def forget(self, removed: Collection[int]) -> None:
        """These messages are not there any more: they made way for others (`edge/store/thinning.py`)."""
        for lane in self._lanes.values():
            if any(message.seq in removed for message in lane.waiting):
                lane.waiting = deque(message for message in lane.waiting if message.seq not in removed)
        for connector, early in self._early.items():
            self._early[connector] = [message for message in early if message.seq not in removed]

    def reorder(self, order: Order) -> None:
        """From now on the lanes take turns like this."""
        self._turns.order = order

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

    def is_any_held_up(self) -> bool:
        """Whether a head has to wait for its next attempt."""
        now = self._clock.monotonic()
        return any(head.ready_at > now for head in self._heads().values())

    def ready_in(self, lane: int) -> float | None:
        """Seconds until the head of a lane may be sent again; None when nothing holds it back."""
        known = self._lanes.get(lane)
        wait = 0.0 if known is None else known.ready_at - self._clock.monotonic()
        return wait if wait > 0 else None

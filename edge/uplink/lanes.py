"""The lanes: for each upstream connector the numbers of the rows that the CSMS is to get, in the order of commit.

Filled from the store by `load`, before the first one is sent, and by `offer` after each commit; `sender.py` takes the
heads in turns (`domain/delivery.py`), `outcomes.py` removes what was acknowledged or parked.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, takewhile

import structlog

from edge.domain.delivery import TOGETHER_AT_MOST, Company, Head, Order, Turns, fewer
from edge.domain.ids import ConnectorNo
from edge.domain.ports import Clock
from edge.store import connectors, delivery
from edge.store.db import CommitFailed, Store
from edge.store.delivery import STATION_LANE, Waiting

LOAD_AGAIN_AFTER = 5.0
"""Seconds, when the store could not be asked."""


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

    sent: int = 0
    """So many at the front were sent already, and may be on their way."""
    unanswered: int = 0
    """Messages in a row in which the head shared, and to which no answer came."""
    doubted_up_to: int = 0
    """The CSMS has refused values up to this row in one message; which of them it meant is being found out."""
    together_at_most: int = TOGETHER_AT_MOST
    """So many of the doubted entries share a message now."""

    def starts_with(self, seqs: Sequence[int]) -> bool:
        """Whether these are the ones whose turn comes next, in this order."""
        return tuple(one.seq for one in islice(self.waiting, len(seqs))) == tuple(seqs)

    def is_doubted(self, seq: int) -> bool:
        return seq <= self.doubted_up_to

    def doubt(self, seqs: Sequence[int], entries: int) -> None:
        """These were refused together: half of them next time, and one at a time if that is refused, too."""
        if not self.is_doubted(seqs[0]):
            self.doubted_up_to, self.together_at_most = seqs[-1], fewer(entries)
        else:
            self.together_at_most = 1

    def put_first(self, messages: Sequence[Waiting]) -> None:
        """These come before the head."""
        self.waiting.extendleft(reversed(messages))

    def put_in(self, messages: Iterable[Waiting]) -> None:
        """These wait as well, in the order of commit; but what was sent already stays where it is."""
        first = list(islice(self.waiting, self.sent))
        later = {one.seq: one for one in (*islice(self.waiting, self.sent, None), *messages)}
        for one in first:
            later.pop(one.seq, None)
        self.waiting = deque([*first, *sorted(later.values(), key=_number)])

    def advance(self) -> Waiting:
        """The head is done with; the next one starts afresh."""
        self.failures, self.ready_at, self.is_repaired, self.unanswered = 0, 0.0, False, 0
        self.sent = max(0, self.sent - 1)
        return self.waiting.popleft()

    def advance_over(self, seqs: Collection[int]) -> list[Waiting]:
        """Those of these with which it begins are done with; which ones that were."""
        found = []
        while self.waiting and self.waiting[0].seq in seqs:
            found.append(self.advance())
        return found


def _number(one: Waiting) -> int:
    return one.seq


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """What the CSMS has not answered yet: so many rows at the front of a lane."""

    lane: int
    rows: int

    def rows_of(self, lane: int) -> int:
        return self.rows if lane == self.lane else 0


NOTHING = OnItsWay(STATION_LANE, 0)
LOADED_AT_ONCE = 1000
"""Rows of a unit of `load`: the most that a charger's answer waits for."""


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
        self._is_loaded = False
        self.is_held = False
        """Nothing is sent: what comes before it is still being brought back (`edge/salvaging.py`)."""
        self.company = Company()
        self._log = structlog.get_logger("edge.uplink")

    def __getitem__(self, number: int) -> Lane:
        return self._lanes.setdefault(number, Lane())

    async def begin(self) -> None:
        """Learn the connectors' numbers. From now on `offer` knows where a message belongs."""
        for one in await self._store.write(connectors.numbered):
            self._lane_of[one.no] = one.upstream or STATION_LANE

    async def load(self) -> None:
        """All that the store says is due, so much of it at a time that chargers are answered meanwhile.

        Until it has ended nothing may be sent; afterwards it does nothing any more. What is stored meanwhile is offered
        and perhaps found as well, and waits once, in its place.
        """
        while not self._is_loaded:
            try:
                await self._load()
            except CommitFailed as error:
                self._log.warning("queue_not_read", why=str(error))
                await asyncio.sleep(LOAD_AGAIN_AFTER)

    async def _load(self) -> None:
        found: dict[int, list[Waiting]] = {}
        for one in await self._store.look(delivery.due):
            found.setdefault(one.lane, []).extend(await self._waiting_of(one))
        for lane, messages in found.items():
            self[lane].put_in(messages)
            await asyncio.sleep(0)
        self._is_loaded = True

    async def let_go(self) -> None:
        """What comes before all others has been brought back."""
        self._is_loaded = False
        await self.load()
        self.is_held = False

    async def _waiting_of(self, one: delivery.Due) -> list[Waiting]:
        messages: list[Waiting] = []
        before: int | None = None
        while True:
            unit = partial(delivery.waiting_backwards, one=one, before=before, most=LOADED_AT_ONCE)
            found, before = await self._store.look(unit)
            messages += found
            if before is None:
                return messages[::-1]

    async def numbered(self, new: Sequence[ConnectorNo]) -> None:
        """These connectors have a number now: what waited for it is due."""
        numbered, waiting = await self._store.write(lambda db: (connectors.numbered(db), delivery.lanes(db, new)))
        for one in numbered:
            if one.no in new and one.no not in self._lane_of and one.upstream is not None:
                self._lane_of[one.no] = one.upstream
                self[one.upstream].put_in([*waiting.get(one.upstream, ()), *self._early.pop(one.no, ())])

    async def moved(self, connectors_moved: Sequence[ConnectorNo]) -> None:
        """What waits on these connectors may have been another's before: all of it is due under their numbers."""
        waiting = await self._store.write(lambda db: delivery.lanes(db, connectors_moved))
        for lane in [self._lane_of[one] for one in connectors_moved if one in self._lane_of]:
            self[lane].put_in(waiting.get(lane, ()))

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

    def offer_again(self, connector: ConnectorNo | None, messages: Sequence[Waiting]) -> None:
        """A person wants these to go up after all."""
        lane = STATION_LANE if connector is None else self._lane_of.get(connector)
        if lane is not None:  # else what waits for its number is read from the store then
            self[lane].put_in(messages)

    def forget(self, removed: Collection[int]) -> None:
        """These messages are not there any more: they made way for others (`edge/store/thinning.py`)."""
        for lane in self._lanes.values():
            if any(message.seq in removed for message in lane.waiting):
                lane.sent -= sum(message.seq in removed for message in islice(lane.waiting, lane.sent))
                lane.waiting = deque(message for message in lane.waiting if message.seq not in removed)
        for connector, early in self._early.items():
            self._early[connector] = [message for message in early if message.seq not in removed]

    def reorder(self, order: Order) -> None:
        """From now on the lanes take turns like this."""
        self._turns.order = order

    def choose(self, now: float) -> int | None:
        """The lane whose head is to be sent now."""
        return self._turns.choose(self._heads(), now)

    def front(self, number: int, on_its_way: OnItsWay = NOTHING) -> list[Waiting]:
        """The next message of a lane, with the values right behind it that might share it.

        In chronological order nothing of another lane may come in between.
        """
        lane = self._lanes[number]
        behind = on_its_way.rows_of(number)
        found = list(islice(lane.waiting, behind, behind + TOGETHER_AT_MOST))
        if not found or found[0].is_start_or_stop or lane.is_repaired:
            return found[:1]
        last = float("inf")
        if self._turns.order is Order.CHRONOLOGICAL:
            last = min((head.seq for no, head in self._heads(on_its_way).items() if no != number), default=last)
        values = takewhile(lambda one: not one.is_start_or_stop and one.seq < last, found)
        return list(values) or found[:1]

    def entries_at_most(self, number: int, seq: int) -> int:
        """How many entries the message of a lane that begins with this row may have."""
        lane, most = self._lanes[number], self.company.most
        return min(most, lane.together_at_most) if lane.is_doubted(seq) else most

    def to_come(self, on_its_way: OnItsWay) -> list[tuple[int, list[Waiting]]]:
        """What will probably be sent next: values of lanes that nothing holds up, in the order of their turns."""
        now = self._clock.monotonic()
        heads = self._heads(on_its_way)
        found = [(no, self.front(no, on_its_way)) for no in self._turns.to_come(heads) if heads[no].ready_at <= now]
        return [(no, front) for no, front in found if not front[0].is_start_or_stop and not self[no].is_repaired]

    def next_ready(self) -> float | None:
        """When the first lane may be served; None when all are empty."""
        return self._turns.next_ready(self._heads())

    def _heads(self, on_its_way: OnItsWay = NOTHING) -> dict[int, Head]:
        if self.is_held:
            return {}
        heads = {}
        for number, lane in self._lanes.items():
            behind = on_its_way.rows_of(number)
            if len(lane.waiting) > behind:
                heads[number] = Head(lane.waiting[behind].seq, lane.waiting[behind].is_start_or_stop, lane.ready_at)
        return heads

    def oldest(self) -> int | None:
        """Number of the oldest message that is due; None also while it is not known."""
        if not self._is_loaded:
            return None
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

"""The lanes are filled while chargers talk: what is stored meanwhile waits once, in its place."""

import asyncio
import random
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.domain.delivery import Order
from edge.domain.ids import ConnectorNo, CsmsTransactionId, TransactionNo
from edge.store import connectors, delivery
from edge.store.db import Store
from edge.store.delivery import Waiting
from edge.uplink import lanes as module
from edge.uplink.composing import Composer
from edge.uplink.lanes import Lane, Lanes, OnItsWay
from edge.uplink.outcomes import Outcomes, Sent
from edge.world import SystemClock
from tests.store.givens import Disk, StoredSite, moment, running


def value(seq: int) -> Waiting:
    return Waiting(seq, is_start_or_stop=False)


def numbers(lane: Lane) -> list[int]:
    return [one.seq for one in lane.waiting]


class Depot:
    """Two chargers with a session each, in a store whose writer runs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.site: StoredSite | None = None
        self.open: list[tuple[ConnectorNo, TransactionNo]] = []
        self.rows: dict[int, list[int]] = {1: [], 2: []}

    def make(self, values: int, db: sqlite3.Connection) -> None:
        self.site = StoredSite(db)
        for number, name in enumerate("AB", 1):
            charger, (connector,) = self.site.charger(name)
            tx_no, start = self.site.begin(charger, connector)
            self.open.append((connector, tx_no))
            self.rows[number].append(start)
        for _ in range(values):
            for number in (1, 2):
                self.say(number, db)

    def say(self, number: int, _db: sqlite3.Connection) -> int:
        seq = self.site.say(self.open[number - 1][1], "MeterValues")
        self.rows[number].append(seq)
        return seq

    def deliver_starts(self, db: sqlite3.Connection) -> None:
        for number, (_, tx_no) in enumerate(self.open, 1):
            delivery.acknowledge(db, self.rows[number][0], tx_no, 1)
            delivery.learn_csms_tx(db, tx_no, CsmsTransactionId(str(number)))

    async def say_and_offer(self, lanes: Lanes, number: int) -> None:
        seq = await self.store.write(partial(self.say, number))
        lanes.offer(self.open[number - 1][0], value(seq))


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_stored_while_the_lanes_are_read_waits_once_and_in_its_place(tmp_path: Path, monkeypatch, seed):
    monkeypatch.setattr(module, "LOADED_AT_ONCE", 7)
    chance = random.Random(seed)
    async with running(tmp_path / "edge.db", Disk(0.0002).open_database) as store:
        depot = Depot(store)
        await store.write(partial(depot.make, 40))
        lanes = Lanes(store, SystemClock(), Order.FAIR)
        await lanes.begin()
        async with asyncio.TaskGroup() as tasks:
            loading = tasks.create_task(lanes.load())
            said = 0
            while not loading.done() or said < 10:
                await depot.say_and_offer(lanes, chance.choice((1, 2)))
                said += 1
        assert said >= 10
        assert {number: numbers(lanes[number]) for number in (1, 2)} == depot.rows
        assert lanes[1].waiting[0].is_start_or_stop
        await depot.say_and_offer(lanes, 1)
        await lanes.load()  # once is enough
        assert numbers(lanes[1]) == depot.rows[1]


async def test_a_connector_that_gets_its_number_while_the_lanes_are_read_is_complete(tmp_path: Path):
    async with running(tmp_path / "edge.db", Disk().open_database) as store:
        depot = Depot(store)
        await store.write(partial(depot.make, 5))
        await store.write(
            lambda db: db.execute("UPDATE connector SET up16_connector = NULL WHERE up16_connector = 2").close()
        )
        lanes = Lanes(store, SystemClock(), Order.FAIR)
        await lanes.begin()
        await depot.say_and_offer(lanes, 2)
        await store.write(
            lambda db: db.execute("UPDATE connector SET up16_connector = 2 WHERE up16_connector IS NULL").close()
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lanes.load())
            tasks.create_task(lanes.numbered([depot.open[1][0]]))
        assert {number: numbers(lanes[number]) for number in (1, 2)} == depot.rows
        numbered = await store.write(connectors.numbered)
        assert [one.upstream for one in numbered] == [1, 2]


def test_what_is_on_its_way_stays_in_front_whatever_is_put_in() -> None:
    lane = Lane()
    lane.waiting.extend(value(seq) for seq in (10, 11, 12, 20))
    lane.sent = 3
    lane.put_in([value(5), value(11), value(15), value(30)])
    assert numbers(lane) == [10, 11, 12, 5, 15, 20, 30]
    assert [one.seq for one in lane.advance_over((10, 11, 12))] == [10, 11, 12]
    assert (numbers(lane), lane.sent) == ([5, 15, 20, 30], 0)


def test_only_what_comes_first_and_was_named_is_done_with() -> None:
    lane = Lane()
    lane.waiting.extend(value(seq) for seq in (11, 12, 13, 14))
    assert [one.seq for one in lane.advance_over((10, 11, 12))] == [11, 12]  # 10 was answered alone before
    assert [one.seq for one in lane.advance_over((14,))] == []
    assert numbers(lane) == [13, 14]


def test_doubts_end_behind_the_last_row_that_was_refused() -> None:
    lane = Lane()
    lane.doubt((10, 11, 12, 13), 8)
    assert (lane.together_at_most, lane.is_doubted(13), lane.is_doubted(14)) == (4, True, False)
    lane.doubt((10, 11), 4)
    assert (lane.together_at_most, lane.is_doubted(13)) == (1, True)
    lane.doubt((14, 15), 2)
    assert (lane.together_at_most, lane.is_doubted(15)) == (1, True)


async def test_in_front_is_what_might_share_a_message(tmp_path: Path) -> None:
    async with running(tmp_path / "edge.db", Disk().open_database) as store:
        lanes = Lanes(store, SystemClock(), Order.FAIR)
        lanes[1].waiting.extend([*map(value, range(1, 40)), Waiting(40, is_start_or_stop=True), value(41)])
        lanes[2].waiting.extend([value(8), value(50)])

        def front(lane: int, on_its_way: int = 0) -> list[int]:
            return [one.seq for one in lanes.front(lane, OnItsWay(1, on_its_way))]

        assert front(1) == list(range(1, 21))
        assert front(1, 20) == list(range(21, 40))
        assert front(1, 39) == [40]
        assert front(1, 40) == [41]
        assert [(lane, len(seqs)) for lane, seqs in lanes.to_come(OnItsWay(1, 20))] == [(2, 2), (1, 19)]
        lanes.reorder(Order.CHRONOLOGICAL)
        assert front(1) == list(range(1, 8))
        assert front(2) == [8]  # it is not its turn
        assert front(2, 20) == [8]
        assert [(lane, len(seqs)) for lane, seqs in lanes.to_come(OnItsWay(1, 7))] == [(1, 1)]
        lanes[1].is_repaired = True
        assert front(1) == [1]
        lanes.forget({2, 3})
        assert numbers(lanes[1])[:3] == [1, 4, 5]


async def test_a_message_that_is_answered_late_while_it_is_read_again_is_none_any_more(tmp_path: Path) -> None:
    async with running(tmp_path / "edge.db", Disk(0.001).open_database) as store:
        lanes = Lanes(store, SystemClock(), Order.FAIR)
        depot = Depot(store)
        await store.write(partial(depot.make, 3))
        await store.write(depot.deliver_starts)
        await lanes.begin()
        await lanes.load()
        nobody: Any = None
        outcomes = Outcomes(store, lanes, nobody, nobody, SystemClock(), moment, lambda _transaction: None)
        composer = Composer(store, lanes, outcomes, moment)
        other = await composer.next_of(2)
        assert other is not None
        composer.look_ahead(Sent(2, other.message, other.seqs, other.entries, {}, moment(), is_repaired=False))
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(composer.next_of(1))
            await asyncio.sleep(0)
            assert len(lanes[1].advance_over(depot.rows[1])) == 3
        assert reading.result() is None

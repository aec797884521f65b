"""P9: whether the store grows slower as it fills: a value stored, the next one looked up, one acknowledged.

Two files, of 1,000 and of 1,000,000 values that wait, turn and turn about. What is timed is what the daemon runs in
its writer: the unit of a charger's MeterValues, what the sender reads and writes for the cloud, and the unit behind
the cloud's answer. Many in one transaction and without fsync: the disk's part is measured elsewhere.
"""

import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import backlog, messages, rounds
from benchmarks.findings import Findings, at_most
from benchmarks.running import Run
from edge.chargers import records
from edge.chargers.records import Said
from edge.dialects.v16 import observe
from edge.domain.events import EnergyMeasured
from edge.domain.ids import ChargerNo
from edge.ocppj.frames import CHARGER_LIMITS, Call, parse
from edge.store import chains, delivery, exchange, measured, repeats
from edge.store.db import configure
from edge.store.delivery import Waiting
from edge.store.exchange import Kind, Moment, NewExchange
from edge.uplink.composing import render

CHARGERS = 50
OPERATIONS = ("insert", "next", "acknowledge")
_AT = Moment(1, datetime(2026, 3, 1, tzinfo=UTC), 10_000_000)


@dataclass(slots=True)
class _Charger:
    no: ChargerNo
    values: messages.MeterValues
    said: int


class OpenStore:
    """A store of the daemon's, opened as its writer opens it, but without fsync."""

    def __init__(self, path: Path) -> None:
        began = time.perf_counter()
        self.connection = sqlite3.connect(path, isolation_level=None)
        configure(self.connection)
        for load in (chains.load, repeats.load, measured.load):
            load(self.connection)
        self.opened_in = time.perf_counter() - began
        began = time.perf_counter()
        self.lanes: dict[int, deque[Waiting]] = {
            lane: deque(all_) for lane, all_ in delivery.lanes(self.connection).items()
        }
        self.lanes_read_in = time.perf_counter() - began
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute("UPDATE tx SET upstream_tx = tx_no, epoch_no = 1")
        self._lane_of = dict(self.connection.execute("SELECT connector_no, up16_connector FROM connector"))
        self._chargers = [
            _Charger(no, messages.MeterValues(f"{identity}*", int(charger_tx)), 10_000_000)
            for no, identity, charger_tx in self.connection.execute(
                "SELECT c.charger_no, c.id, tx.charger_tx FROM tx JOIN charger c USING (charger_no)"
            )
        ]

    def batch(self, size: int) -> dict[str, float]:
        """CPU seconds for one of each operation, the mean of so many."""
        said = [self._said(number) for number in range(size)]
        heads = [self._head() for _ in range(size)]
        connection, took = self.connection, {}
        connection.execute("BEGIN IMMEDIATE")
        began = time.process_time()
        recorded = [records.record_values(connection, one, event) for one, event in said]
        took["insert"] = (time.process_time() - began) / size
        began = time.process_time()
        found = [self._next(seq) for seq in heads]
        took["next"] = (time.process_time() - began) / size
        began = time.process_time()
        for message in found:
            self._acknowledge(message)
        took["acknowledge"] = (time.process_time() - began) / size
        connection.execute("COMMIT")
        for one in recorded:
            (stored,) = one.stored
            self.lanes.setdefault(self._lane_of[stored.connector], deque()).append(stored.waiting)
        return took

    def _said(self, number: int) -> tuple[Said, EnergyMeasured]:
        charger = self._chargers[number % len(self._chargers)]
        charger.said += 1
        call = parse(charger.values.text(charger.said), CHARGER_LIMITS)
        assert isinstance(call, Call)
        event = observe.observe(call.action, call.payload)
        assert isinstance(event, EnergyMeasured)
        return Said(charger.no, "1.6", call, _AT), event

    def _head(self) -> int:
        """The next that is due, the lanes taking turns."""
        lane = next(iter(self.lanes))
        waiting = self.lanes.pop(lane)
        seq = waiting.popleft().seq
        if waiting:
            self.lanes[lane] = waiting
        return seq

    def _next(self, seq: int) -> delivery.Message:
        message = delivery.message(self.connection, seq)
        assert message is not None
        assert exchange.is_intact(self.connection, message.row)
        # Those before it in this batch are sent, but not acknowledged yet: the daemon has one outstanding CALL.
        delivery.passed_over(self.connection, message.row)
        render(message)
        return message

    def _acknowledge(self, message: delivery.Message) -> None:
        assert delivery.acknowledge(self.connection, message.row.seq, message.tx_no, 1)
        row = message.row
        answer = NewExchange(_AT, row.peer, Kind.CSMS_ANSWER, f'[3,"{row.seq}",{{}}]', action=row.action,
                             tx_no=message.tx_no, cause_seq=row.seq, notes='{"sent_ms":1}')  # fmt: skip
        exchange.append(self.connection, answer)


def measure(run: Run) -> Findings:
    sizes = (500, 2_000) if run.is_quick else (1_000, 1_000_000)
    batch, batches = CHARGERS, run.sized(2, 8)
    found = Findings()
    with contextlib.ExitStack() as stack:
        stores = {size: stack.enter_context(_open(run, size)) for size in sizes}
        series: dict[int, rounds.Series] = {size: {name: [] for name in OPERATIONS} for size in sizes}
        for number in rounds.counted(run.rounds + 1, run.on_round):
            for _ in range(batches):
                for size, store in stores.items():
                    for name, seconds in store.batch(batch).items():
                        if number > 1:  # the first fills caches
                            series[size][name].append(seconds)
    small, large = sizes
    for name in OPERATIONS:
        by_round = {size: _by_round(series[size][name], batches) for size in sizes}
        found.goal("P9", f"{name} at {large:,} waiting, to {small:,}",
                   at_most(1.25), rounds.ratio(by_round[large], by_round[small]))  # fmt: skip
        for size in sizes:
            found.figure(f"{name} at {size:,}", [1e6 * one for one in by_round[size]], "us")
    for size, store in stores.items():
        found.figure(f"opening the store at {size:,}", [store.opened_in], "s")
        found.figure(f"reading what waits at {size:,}", [store.lanes_read_in], "s")
    return found


@contextlib.contextmanager
def _open(run: Run, size: int) -> Iterator[OpenStore]:
    store = OpenStore(backlog.site(run, f"store{size}", CHARGERS, size).store)
    try:
        yield store
    finally:
        store.connection.close()


def _by_round(values: list[float], batches: int) -> list[float]:
    """The median batch of each round."""
    return [rounds.Spread.of(values[first : first + batches]).median for first in range(0, len(values), batches)]

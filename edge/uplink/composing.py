"""A stored message becomes the one that is sent: read, checked, written for the CSMS, and bound where it must be.

Where several values of one transaction wait, they share a message (architecture, "Order upstream"). While the CSMS has
not answered yet, the next messages are read already (`look_ahead`); what was read is used only if it is still what
comes next. Starts and stops are never read ahead: they are bound in a commit of their own, and what depends on a start
is written only when the id that the CSMS gave to it is stored.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from edge.dialects.v16 import gathering, synthetic
from edge.dialects.v16 import ids as bound_ids
from edge.domain.delivery import OCTETS_TOGETHER_AT_MOST
from edge.domain.ids import TransactionNo
from edge.jsontypes import Payload
from edge.ocppj.frames import encode_json
from edge.store import Connection, boots, delivery, exchange, transactions
from edge.store.db import Store
from edge.store.delivery import Message, Waiting
from edge.store.exchange import Kind, Moment
from edge.uplink.lanes import Lanes, OnItsWay
from edge.uplink.outcomes import VERSION, Outcomes, Sent
from edge.uplink.second_try import second_try

VALUES = "MeterValues"
AHEAD_AT_MOST = 16
"""Messages that are read ahead."""
ENOUGH_AHEAD = 4
"""While so many are ready no more are read: fewer units, with more in each."""
ROWS_AT_ONCE = 40
"""Rows that are read ahead in one unit, so that a charger's answer does not wait long for it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message as it is to be sent, unless others come first."""

    message: Message
    payload: Payload
    passed_over: Sequence[Waiting] = ()
    seqs: tuple[int, ...] = ()
    """The rows whose values it has; the first is that of `message`."""
    entries: int = 1

    @property
    def is_sendable(self) -> bool:
        return not self.passed_over and is_bindable(self.message)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a unit is to read."""

    seqs: tuple[int, ...]
    """The first, and those that may share its message."""
    is_repaired: bool
    most: int
    """Entries of one message."""
    answered: Mapping[TransactionNo, int]
    """Up to which row of its transaction the CSMS has everything, or will have when this is sent."""


_Read: TypeAlias = list[tuple[int, Prepared | None]]
"""By lane."""


class Composer:
    """Has the next message ready in time, if it can."""

    def __init__(self, store: Store, lanes: Lanes, outcomes: Outcomes, moment: Callable[[], Moment]) -> None:
        self._store = store
        self._lanes = lanes
        self._outcomes = outcomes
        self._moment = moment
        self._ready: dict[int, Prepared] = {}
        """By lane."""
        self._reading: asyncio.Future[_Read] | None = None
        self._being_read: frozenset[int] = frozenset()

    async def next_of(self, number: int) -> Prepared | None:
        """The next message of a lane; None when its head is none any more. Raises CommitFailed."""
        lane = self._lanes[number]
        head = lane.waiting[0]
        if head.seq in self._being_read and self._reading is not None:
            await asyncio.wait({self._reading})
            if not lane.has_head(head.seq):
                return None  # answered late, or left out, meanwhile
        ready = self._ready.pop(number, None)
        # While the disk fails nobody goes on: what the CSMS takes could not be stored, and would be sent again.
        is_failing = self._store.is_failing
        if ready is not None and not is_failing and self._is_valid(number, ready):
            return ready
        wanted = self._wanted(number, self._lanes.front(number), self._outcomes.answered_up_to)
        unit = partial(self._prepare, wanted=wanted)
        is_plain = not head.is_start_or_stop and not lane.is_repaired and not is_failing
        return await (self._store.look(unit) if is_plain else self._store.write(unit))

    def _is_valid(self, number: int, ready: Prepared) -> bool:
        lane = self._lanes[number]
        is_too_long = len(ready.seqs) > 1 and ready.entries > self._lanes.entries_at_most(number, ready.seqs[0])
        return lane.starts_with(ready.seqs) and not lane.is_repaired and not is_too_long

    def _wanted(self, number: int, front: Sequence[Waiting], answered: Mapping[TransactionNo, int]) -> _Wanted:
        seqs = tuple(one.seq for one in front)
        most = self._lanes.entries_at_most(number, seqs[0])
        return _Wanted(seqs, self._lanes[number].is_repaired, most, dict(answered))

    # --- ahead of time

    def look_ahead(self, sent: Sent) -> None:
        """Read what comes next while this one is on its way."""
        self._ready = {no: one for no, one in self._ready.items() if no == sent.lane or self._is_next(no, one)}
        if self._reading is not None or len(self._ready) >= ENOUGH_AHEAD:
            return
        answered = {**self._outcomes.answered_up_to, sent.message.tx_no: sent.seqs[-1]}
        wanted: dict[int, _Wanted] = {}
        rows = 0
        for number, front in self._lanes.to_come(OnItsWay(sent.lane, len(sent.seqs))):
            if number in self._ready:
                continue
            wanted[number] = one = self._wanted(number, front, answered)
            rows += min(len(one.seqs), one.most)
            if len(wanted) >= AHEAD_AT_MOST or rows >= ROWS_AT_ONCE:
                break
        if wanted:
            self._being_read = frozenset(one.seqs[0] for one in wanted.values())
            self._reading = self._store.look(
                lambda db: [(number, self._prepare(db, one)) for number, one in wanted.items()]
            )
            self._reading.add_done_callback(self._was_read)

    def _is_next(self, number: int, ready: Prepared) -> bool:
        return self._lanes[number].has_head(ready.seqs[0])

    def _was_read(self, reading: "asyncio.Future[_Read]") -> None:
        has_failed = reading.cancelled() or reading.exception() is not None  # whoever needs it reads it again
        if self._reading is not reading:
            return  # somebody has said meanwhile that it counts no more
        self._reading, self._being_read = None, frozenset()
        if not has_failed:
            self._ready |= {no: one for no, one in reading.result() if one is not None and one.is_sendable}

    def forget(self) -> None:
        """Something has happened after which the next message may be another, or be written otherwise."""
        self._ready.clear()
        self._reading, self._being_read = None, frozenset()

    # --- units

    def _prepare(self, db: Connection, wanted: _Wanted) -> Prepared | None:
        """Read, verify, write for the CSMS; starts and stops are bound before they are sent for the first time."""
        seq = wanted.seqs[0]
        message = delivery.message(db, seq)
        if message is None or wanted.answered.get(message.tx_no, 0) >= seq:
            return None
        if not exchange.is_intact(db, message.row):
            delivery.park(db, seq, message.tx_no, "damaged", "its digest does not fit", 0, self._moment().wall_ms)
            return None
        passed_over = delivery.passed_over(db, message.row, wanted.answered.get(message.tx_no, 0))
        if passed_over or not is_bindable(message):
            return Prepared(message, {}, passed_over)
        if message.bound is not None and not wanted.is_repaired:
            return Prepared(message, json.loads(message.bound), seqs=(seq,))
        payload = _written(db, message)
        if wanted.is_repaired:
            payload, losses = second_try(VERSION, message.row.action or "", payload)
            row = self._outcomes.note(message, Kind.DECISION, encode_json({"left_out": list(losses)}))
            exchange.append(db, row)
        elif message.row.action == VALUES and message.attempts == 0 and len(wanted.seqs) > 1:
            return _with_company(db, message, payload, wanted)
        if wanted.is_repaired or message.row.action in delivery.START_OR_STOP:
            delivery.bind(db, seq, self._outcomes.epoch, encode_json(payload))
        return Prepared(message, payload, seqs=(seq,))


def _with_company(db: Connection, head: Message, payload: Payload, wanted: _Wanted) -> Prepared:
    """With the values behind it, as far as they may share its message. One that was tried before goes alone."""
    payloads, seqs = [payload], [head.row.seq]
    count, octets = gathering.entries(payload), _octets(head)
    if count is None:
        return Prepared(head, payload, seqs=(head.row.seq,))
    for message in delivery.behind(db, head, wanted.seqs[1:]):
        other = _written(db, message)
        more = gathering.entries(other)
        octets += _octets(message)
        if more is None or count + more > wanted.most or octets > OCTETS_TOGETHER_AT_MOST:
            break
        if not gathering.may_share(payload, other):
            break
        payloads.append(other)
        seqs.append(message.row.seq)
        count += more
    return Prepared(head, gathering.together(payloads), seqs=tuple(seqs), entries=count)


def _octets(message: Message) -> int:
    return len(message.row.text.encode())


def _written(db: Connection, message: Message) -> Payload:
    payload = render(message)
    if message.row.kind is not Kind.SYNTHETIC:
        return payload
    late_ms = boots.offset_ms(db, message.row.boot_no, message.row.at_mono_ms)  # stored before we knew the time
    return synthetic.put_right(payload, {synthetic.SHIFT: late_ms}) if late_ms else payload


def render(message: Message) -> Payload:
    """The payload for the CSMS: a pure function of the row, its connector and the id that the CSMS gave."""
    received: Payload = exchange.payload(message.row)
    if correction := exchange.put_right(message.row):
        received = synthetic.put_right(received, correction)
    is_stop = message.row.action == "StopTransaction"
    return bound_ids.bind(received, message.upstream_connector, message.upstream_tx, is_stop=is_stop)


def is_bindable(message: Message) -> bool:
    """Whether its transaction's id is known, as far as it needs one."""
    needs_id = message.kind == transactions.TRANSACTION and message.row.action != "StartTransaction"
    return not needs_id or message.upstream_tx is not None

"""The simulated cloud: one station connects, says what the chargers said, and is answered as real clouds answer.

`KINDS` has the behaviours: a cloud that makes a transaction of each start it gets, one that recognises a repeated
start, a strict one, a slow one, a moody one, one that takes few values at once. What arrives goes into the ledger of the truth (`truth.py`); that an
answer is lost, late, doubled or a refusal is a fault of its class (`faults.py`).
"""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from simulators.wire import timestamp

from tests.simulation.faults import Faults
from tests.simulation.loop import SimLoop
from tests.simulation.truth import (
    ANSWER_WITHIN,
    TRANSACTION_ACTIONS,
    Arrival,
    Fate,
    Order,
    Payload,
    Truth,
    canonical,
    keys_of,
)
from tests.simulation.websocket_end import WebSocketEnd

CLOUD = ("127.0.0.1", 9000)
IDENTITY = "depot-7"
REFUSED_FOR_GOOD = "PropertyConstraintViolation"
LATE_S = (31.0, 120.0)
SLOW_S = (2.0, 25.0)


@dataclass(frozen=True, slots=True)
class CloudKind:
    """How a cloud behaves when nothing is wrong with it."""

    name: str
    answers_within_s: tuple[float, float] = (0.02, 0.15)
    dedupes: bool = False
    """A start that it knows by (connector, idTag, timestamp, meterStart) gets the id it got before."""
    minds_concurrent: bool = False
    """A token that charges elsewhere is ConcurrentTx."""
    refuses_second_stop: bool = False
    wants_boot: bool = False
    """Each connection has to begin with BootNotification."""
    blocks: float = 0.0
    """How many of its tokens it does not like today."""
    values_at_most: int | None = None
    """MeterValues with more entries are refused."""


KINDS = (
    CloudKind("plain"),
    CloudKind("deduplicating", dedupes=True),
    CloudKind("strict", dedupes=True, minds_concurrent=True, refuses_second_stop=True, wants_boot=True),
    CloudKind("slow", answers_within_s=(0.4, 2.5), dedupes=True),
    CloudKind("moody", blocks=0.1),
    CloudKind("narrow", values_at_most=3),
)


@dataclass(slots=True, eq=False)
class CloudTransaction:
    """A transaction as the cloud knows it."""

    id: int
    connector: int
    id_tag: str
    meter_start: int
    start_key: str
    stops: list[Payload]
    stop_keys: list[str]


class Cloud:
    def __init__(self, loop: SimLoop, kind: CloudKind, password: bytes, truth: Truth, faults: Faults) -> None:
        self.kind = kind
        self.transactions: dict[int, CloudTransaction] = {}
        self.statuses: dict[int, Payload] = {}
        """The last one told of each connector."""
        self.site_values = 0
        """Messages of the site's own meter."""
        self.messages = 0
        self.oddities: list[str] = []
        """What a station must not do."""
        self.pause_s: tuple[float, float] | None = None
        """It is slower than usual now."""
        self.refuses = False
        """New connections get HTTP 503."""
        self._loop = loop
        self._password = password
        self._truth = truth
        self._faults = faults
        self._chance = random.Random(f"{loop.seed}/cloud")
        self._end: WebSocketEnd | None = None
        self._server: asyncio.AbstractServer | None = None
        self._is_registered = False
        self._next_id = self._chance.randint(1, 10_000)
        self._by_start: dict[str, int] = {}
        self._disliked: set[str] = set()
        self._message_ids: set[str] = set()
        self._unanswered: dict[str, float] = {}
        """CALLs of this connection that wait for their answer, or will never get one, and since when."""
        self._asked: dict[str, Order] = {}
        self._orders = 0

    # ── life ────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        self._server = await self._loop.create_server(self._connection, *CLOUD)

    def restart(self) -> None:
        """It forgets who is registered, and its next ids are others."""
        self._is_registered = False
        self._next_id += self._chance.randint(1, 1000)
        self.cut()

    def cut(self) -> None:
        if self._end is not None:
            self._end.abort()

    @property
    def is_connected(self) -> bool:
        return self._end is not None and self._is_registered

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self._loop.wall_seconds(), UTC)

    def _connection(self) -> WebSocketEnd:
        end = WebSocketEnd(self._admit)

        def opened(path: str) -> None:
            if path != f"/ocpp/{IDENTITY}":
                self.oddities.append(f"connected to {path}")
            if self._end is not None:
                self._end.abort()  # the newest connection counts
            self._end = end
            self._is_registered &= not self.kind.wants_boot
            self._message_ids.clear()
            self._unanswered.clear()

        def ended() -> None:
            if self._end is end:
                self._end = None

        end.on_open, end.on_end = opened, ended
        end.on_text = lambda text: self._heard(end, text)
        return end

    def _admit(self, _path: str, headers: Mapping[str, str]) -> int:
        return 503 if self.refuses else 101

    # ── what the station says ───────────────────────────────────────────────────

    def _heard(self, end: WebSocketEnd, text: str) -> None:
        message = json.loads(text)
        if message[0] != 2:
            order = self._asked.get(message[1])
            if order is None or len(order.answers) == order.times_sent:
                self.oddities.append(f"an answer to nothing: {text}")
            else:
                order.answers.append(message[2] if message[0] == 3 else {"error": message[2]})
            return
        _, message_id, action, payload = message
        self.messages += 1
        if message_id in self._message_ids:
            self.oddities.append(f"message id {message_id} used twice")
        self._message_ids.add(message_id)
        waiting = any(self._now() - since < ANSWER_WITHIN - 1.0 for since in self._unanswered.values())
        if waiting and not self._truth.road_was_healed(self._now()):
            self.oddities.append(f"{action} while another CALL waits for its answer")
        self._unanswered[message_id] = self._now()
        is_values_of_site = action == "MeterValues" and payload["connectorId"] == 0
        arrival = Arrival(self._now(), action, payload, [], end)
        if action in TRANSACTION_ACTIONS and not is_values_of_site:
            arrival.keys = keys_of(action, payload)
            self._truth.arrive(arrival)
        self._answer(arrival, message_id)

    def _answer(self, arrival: Arrival, message_id: str) -> None:
        code = self._refusal(arrival)
        if code == "":
            arrival.fate = Fate.IGNORED
            return
        pause = self._chance.uniform(*(self.pause_s or self.kind.answers_within_s))
        if code is not None:
            arrival.fate, arrival.code = Fate.REFUSED, code
            self._send_later(arrival, pause, [4, message_id, code, "not today", {}])
            return
        arrival.answer = self._process(arrival)
        if self._faults.strikes("answer_slow"):
            pause = self._chance.uniform(*SLOW_S)
        if self._faults.strikes("answer_late"):
            pause = self._chance.uniform(*LATE_S)
        if self._faults.strikes("answer_lost"):
            if self._chance.random() < 0.5:
                arrival.end.abort()
            return
        self._send_later(arrival, pause, [3, message_id, arrival.answer])
        if self._faults.strikes("answer_duplicated"):
            self._send_later(arrival, pause + self._chance.uniform(0.0, 0.2), [3, message_id, arrival.answer])

    def _refusal(self, arrival: Arrival) -> str | None:
        """The code of a CALLERROR; "": no answer at all; None: it is processed."""
        if arrival.action == "BootNotification":
            return None
        if not self._is_registered:
            return "SecurityError"
        if self._faults.strikes("message_swallowed"):
            return ""
        if self._faults.strikes("refused_for_now"):
            return self._chance.choice(("InternalError", "GenericError"))
        if arrival.keys and (self._faults.strikes("refused_for_good") or self._dislikes(arrival)):
            return REFUSED_FOR_GOOD
        most = self.kind.values_at_most
        if most is not None and len(arrival.keys) > most:
            return "OccurenceConstraintViolation"
        if arrival.action == "StopTransaction" and self.kind.refuses_second_stop:
            known = self.transactions.get(arrival.payload["transactionId"])
            if known is not None and known.stops:
                return REFUSED_FOR_GOOD
        return None

    def _dislikes(self, arrival: Arrival) -> bool:
        """Some messages it will never take, as often as they come; it finds out when they first come alone."""
        keys = arrival.keys
        if self._truth.arrived[keys[0]] == [arrival] and len(keys) == 1 and self._faults.strikes("refused_for_ever"):
            self._disliked.add(keys[0])
        return not self._disliked.isdisjoint(keys)

    def _send_later(self, arrival: Arrival, pause: float, message: list[object]) -> None:
        def send() -> None:
            if arrival.end.is_open:
                self._unanswered.pop(str(message[1]), None)
                sent = arrival.end.send_text(canonical(message))
                arrival.sent = arrival.sent or sent

        self._loop.call_later(pause, send)

    def _process(self, arrival: Arrival) -> Payload:
        payload = arrival.payload
        match arrival.action:
            case "BootNotification":
                self._is_registered = True
                return {"status": "Accepted", "currentTime": timestamp(self.utc_now()), "interval": 600}
            case "Heartbeat":
                return {"currentTime": timestamp(self.utc_now())}
            case "StatusNotification":
                self.statuses[payload["connectorId"]] = payload
            case "Authorize":
                return {"idTagInfo": {"status": self._status(payload["idTag"])}}
            case "StartTransaction":
                return self._start(arrival)
            case "StopTransaction":
                self._stop(arrival)
            case "MeterValues" if not arrival.keys:
                self.site_values += 1
        return {}

    def _start(self, arrival: Arrival) -> Payload:
        payload, key = arrival.payload, arrival.keys[0]
        known = self._by_start.get(f"{payload['connectorId']} {key}") if self.kind.dedupes else None
        if known is None:
            known, self._next_id = self._next_id, self._next_id + self._chance.randint(1, 3)
            self._by_start[f"{payload['connectorId']} {key}"] = known
            self.transactions[known] = CloudTransaction(
                known, payload["connectorId"], payload["idTag"], payload["meterStart"], key, [], []
            )
        self._truth.given[known].add(key)
        status = self._status(payload["idTag"])
        if status == "Accepted" and self.kind.minds_concurrent and self._is_charging(payload["idTag"], known):
            status = "ConcurrentTx"
        return {"transactionId": known, "idTagInfo": {"status": status}}

    def _stop(self, arrival: Arrival) -> None:
        known = self.transactions.get(arrival.payload["transactionId"])
        if known is not None:
            known.stops.append(arrival.payload)
            known.stop_keys.append(arrival.keys[0])

    def _status(self, id_tag: str) -> str:
        is_remote = id_tag.startswith("REMOTE")
        if not is_remote and (self._faults.strikes("token_blocked") or self._chance.random() < self.kind.blocks):
            return "Blocked"
        return "Accepted"

    def _is_charging(self, id_tag: str, other_than: int) -> bool:
        return any(
            one.id_tag == id_tag and not one.stops and one.id != other_than for one in self.transactions.values()
        )

    # ── what it asks ────────────────────────────────────────────────────────────

    async def give_orders(self, connectors: int) -> None:
        """Now and then a command, as people and programs at the cloud give them."""
        while not self._faults.is_over:
            await asyncio.sleep(self._chance.expovariate(1 / 400))
            if self.is_connected:
                self._order(*self._command(self._chance.randint(1, connectors)))

    def _command(self, connector: int) -> tuple[str, Payload]:
        chance = self._chance
        match chance.randrange(8):
            case 0 | 1:
                self._orders += 1
                return "RemoteStartTransaction", {"connectorId": connector, "idTag": f"REMOTE-{self._orders}"}
            case 2 | 3:
                open_ones = [one.id for one in self.transactions.values() if not one.stops]
                return "RemoteStopTransaction", {"transactionId": chance.choice(open_ones) if open_ones else 1}
            case 4:
                return "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": connector}
            case 5:
                return "TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": connector}
            case 6:
                interval = chance.choice(("300", "900"))
                return "ChangeConfiguration", {"key": "ClockAlignedDataInterval", "value": interval}
            case _:
                return "GetConfiguration", {}

    def _order(self, action: str, payload: Payload) -> None:
        message_id = f"cloud-{len(self._truth.orders) + 1}"
        text = canonical([2, message_id, action, payload])
        order = Order(self._now(), action, payload, message_id, self._end.send_text(text))
        self._truth.orders.append(order)
        self._asked[message_id] = order
        if self._faults.strikes("command_repeated"):
            order.times_sent += 1
            end = self._end
            self._loop.call_later(self._chance.uniform(0.0, 3.0), lambda: end.is_open and end.send_text(text))

    def _now(self) -> float:
        return self._loop.time()

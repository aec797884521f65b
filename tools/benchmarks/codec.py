"""P1: what reading, checking and answering a message costs, beside `ocpp`'s own way of doing it.

Both get the same texts. `ocpp`: `ChargePoint.route_message` with a handler that returns at once, its validation on, as
it comes. Ours: `RpcPeer.receive`, what the message means (`observe`), and the text of the answer. CPU time of all
threads counts, for `ocpp` validates in a thread pool.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

import ocpp.messages
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import AuthorizationStatus, RegistrationStatus

from benchmarks import messages, rounds
from benchmarks.findings import Findings, Shown, at_most
from benchmarks.running import Run
from edge.dialects.v16 import observe
from edge.jsontypes import Payload
from edge.ocppj.actions import Sender
from edge.ocppj.frames import CHARGER_LIMITS
from edge.ocppj.peer import CallReceived, RpcPeer

ANSWERS: dict[str, Payload] = {
    "Heartbeat": {"currentTime": messages.at(0)},
    "StatusNotification": {},
    "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
    "MeterValues": {},
}
FEW, MANY = 60, 400
"""Messages a round."""


class Answering(ChargePoint):  # type: ignore[misc]
    """`ocpp`'s charge point with the shortest handlers that there can be."""

    @on("Heartbeat")  # type: ignore[untyped-decorator]
    def on_heartbeat(self) -> call_result.Heartbeat:
        return call_result.Heartbeat(current_time=messages.at(0))

    @on("BootNotification")  # type: ignore[untyped-decorator]
    def on_boot(self, **_said: object) -> call_result.BootNotification:
        return call_result.BootNotification(messages.at(0), 300, RegistrationStatus.accepted)

    @on("StatusNotification")  # type: ignore[untyped-decorator]
    def on_status(self, **_said: object) -> call_result.StatusNotification:
        return call_result.StatusNotification()

    @on("StartTransaction")  # type: ignore[untyped-decorator]
    def on_start(self, **_said: object) -> call_result.StartTransaction:
        return call_result.StartTransaction(7, IdTagInfo(AuthorizationStatus.accepted))

    @on("MeterValues")  # type: ignore[untyped-decorator]
    def on_meter_values(self, **_said: object) -> call_result.MeterValues:
        return call_result.MeterValues()


class Nowhere:
    """A connection on which answers vanish."""

    def __init__(self) -> None:
        self.sent = 0

    async def send(self, _text: str) -> None:
        self.sent += 1


def texts(of: str, count: int) -> list[str]:
    """So many messages of a kind, each another one."""
    match of:
        case "Heartbeat":
            return [messages.heartbeat(f"h-{number}") for number in range(count)]
        case "StatusNotification":
            return [messages.status(f"s-{number}", 1) for number in range(count)]
        case "StartTransaction":
            return [messages.start(f"t-{number}", "TAG-1", number) for number in range(count)]
        case _:
            values = messages.MeterValues("m", 7, samples=int(of.split()[1]))
            return [values.text(number) for number in range(count)]


def of_stock(said: Sequence[str]) -> float:
    """CPU seconds a message with `ocpp`."""

    async def route() -> float:
        nowhere = Nowhere()
        charge_point = Answering("CP-1", nowhere)
        began = time.process_time()
        for text in said:
            await charge_point.route_message(text)
        took = time.process_time() - began
        assert nowhere.sent == len(said)
        return took

    return asyncio.run(route()) / len(said)


def of_stock_inline(said: Sequence[str]) -> float:
    """The same without its detour over a thread pool."""
    ocpp.messages.ASYNC_VALIDATION = False
    try:
        return of_stock(said)
    finally:
        ocpp.messages.ASYNC_VALIDATION = True


def of_ours(said: Sequence[str], read: Callable[[str, Payload], object] = observe.observe) -> float:
    """CPU seconds a message with our codec, schema check and reading."""
    peer = RpcPeer("1.6", Sender.STATION, CHARGER_LIMITS)
    began = time.process_time()
    for text in said:
        received = peer.receive(text, 0.0)
        assert isinstance(received, CallReceived)
        assert not received.violations
        call = received.call
        read(call.action, call.payload)
        peer.answer(call.message_id, ANSWERS[call.action])
    return (time.process_time() - began) / len(said)


def _unread(_action: str, _payload: Payload) -> None:
    return


def measure(run: Run) -> Findings:
    logging.getLogger("ocpp").setLevel(logging.WARNING)
    found = Findings()
    for kind in ("MeterValues 5", "MeterValues 1", "MeterValues 12", "StatusNotification", "Heartbeat"):
        said = texts(kind, FEW if run.is_quick else MANY)
        often = said * 5  # ours is so quick that the clock would count more than the work
        contenders = {
            "stock": partial(of_stock, said),
            "inline": partial(of_stock_inline, said),
            "read": partial(of_ours, often),
            "checked": partial(of_ours, often, _unread),
        }
        series = rounds.interleaved(contenders, run.rounds, run.on_round)
        if kind == "MeterValues 5":
            found.goal("P1", "codec and schema check, CPU, MeterValues 5",
                       at_most(1 / 25, Shown.FRACTION), rounds.ratio(series["checked"], series["stock"]))  # fmt: skip
        found.figure(f"{kind}: ocpp", _us(series["stock"]), "us")
        found.figure(f"{kind}: ocpp, validating inline", _us(series["inline"]), "us")
        found.figure(f"{kind}: codec and schema check", _us(series["checked"]), "us")
        found.figure(f"{kind}: and what it means", _us(series["read"]), "us")
    return found


def _us(seconds: Sequence[float]) -> list[float]:
    return [1e6 * one for one in seconds]

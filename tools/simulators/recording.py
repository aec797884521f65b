"""A recording of a real charger (`tests/wire/*.jsonl`), taken apart into what a replay needs. Pure but for `load`.

Of each CALL that the charger made: its exact text, when it was sent, which earlier answers it had seen by
then, and which StartTransaction gave the transaction id that it names. Of each CALL of the recorded CSMS:
what the charger answered, text again exact.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from simulators.wire import JsonValue, MessageType, Payload, parse


@dataclass(frozen=True, slots=True, eq=False)
class RecordedCall:
    """A CALL of the charger. `after` are the earlier ones whose answers it had when it sent this one."""

    t: float
    text: str
    message_id: str
    action: str
    payload: Payload
    after: tuple["RecordedCall", ...]
    start: "RecordedCall | None"  # the StartTransaction whose answer gave this payload's transactionId

    def text_with(self, transaction_id: JsonValue) -> str:
        """The text as recorded, but for the number after "transactionId":."""
        recorded = re.escape(str(self.payload["transactionId"]))
        return re.sub(rf'("transactionId"\s*:\s*){recorded}(?![\d.eE])', rf"\g<1>{transaction_id}", self.text)


@dataclass(frozen=True, slots=True)
class RecordedCommand:
    """A CALL of the recorded CSMS and the text of the charger's answer."""

    action: str
    payload: Payload
    answer: list[JsonValue]
    answer_text: str

    def text_for(self, message_id: str) -> str:
        """The answer to another message id, otherwise byte for byte."""
        return self.answer_text.replace(json.dumps(self.answer[1]), json.dumps(message_id), 1)


@dataclass(slots=True)
class RecordedConnection:
    opened: float
    closed: float
    is_cut: bool
    says_no_code: bool = False  # its close frame is empty
    calls: list[RecordedCall] = field(default_factory=list)
    strays: list[tuple[float, str]] = field(default_factory=list)  # texts that ask and answer nothing, with their time


@dataclass(frozen=True, slots=True)
class Recording:
    identity: str
    subprotocols: list[str]
    what: str
    connections: list[RecordedConnection]
    commands: list[RecordedCommand]
    answered: frozenset[RecordedCall]
    transaction_ids: dict[RecordedCall, JsonValue]  # what the recorded CSMS gave for each StartTransaction

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls.read(path.read_text(encoding="utf-8").splitlines())

    @classmethod
    def read(cls, lines: Iterable[str]) -> Self:
        first, *frames = [json.loads(line) for line in lines]
        meta = first["meta"]
        calls, commands, answered, transaction_ids, strays = _take_apart(frames)
        return cls(
            meta["identity"],
            meta["offered_subprotocols"],
            meta["what"],
            _connections(meta, calls, strays),
            commands,
            answered,
            transaction_ids,
        )


def _take_apart(
    frames: list[dict[str, JsonValue]],
) -> tuple[
    list[RecordedCall],
    list[RecordedCommand],
    frozenset[RecordedCall],
    dict[RecordedCall, JsonValue],
    list[tuple[float, str]],
]:
    strays: list[tuple[float, str]] = []
    calls: list[RecordedCall] = []
    open_calls: dict[str, RecordedCall] = {}
    answered: list[RecordedCall] = []
    starts: dict[JsonValue, RecordedCall] = {}  # the latest that gave this id
    transaction_ids: dict[RecordedCall, JsonValue] = {}
    asked: dict[str, tuple[str, Payload]] = {}
    commands: list[RecordedCommand] = []
    for frame in frames:
        text = frame["text"]
        message = parse(text)
        if message is None:
            if frame["dir"] == "up":
                strays.append((frame["t"], text))  # malformed answers of a fuzzer: they answer nothing
            continue
        match frame["dir"], message:
            case "up", [MessageType.CALL, message_id, action, payload]:
                start = starts.get(payload.get("transactionId"))
                call = RecordedCall(frame["t"], text, message_id, action, payload, tuple(answered), start)
                calls.append(call)
                open_calls[message_id] = call
            case "down", [MessageType.CALLRESULT | MessageType.CALLERROR as kind, message_id, *rest]:
                call = open_calls.pop(message_id, None)
                if call is None:
                    continue
                answered.append(call)
                if kind == MessageType.CALLRESULT and call.action == "StartTransaction":
                    transaction_ids[call] = rest[0]["transactionId"]
                    starts[rest[0]["transactionId"]] = call
            case "down", [MessageType.CALL, message_id, action, payload]:
                asked[message_id] = (action, payload)
            case "up", [_, message_id, *_] if message_id in asked:
                commands.append(RecordedCommand(*asked.pop(message_id), message, text))
    return calls, commands, frozenset(answered), transaction_ids, strays


def _connections(
    meta: dict[str, JsonValue], calls: list[RecordedCall], strays: list[tuple[float, str]]
) -> list[RecordedConnection]:
    if "connections" not in meta:  # a fuzzer that opens a connection for each message
        each_own = [RecordedConnection(call.t, call.t, is_cut=False, calls=[call]) for call in calls]
        each_own += [RecordedConnection(t, t, is_cut=False, strays=[(t, text)]) for t, text in strays]
        return sorted(each_own, key=lambda each: each.opened)
    connections = [
        RecordedConnection(each["open"], each["closed"], each["code"] == 1006, each["code"] == 1005)
        for each in meta["connections"]
    ]
    for call in calls:
        owner = max((each for each in connections if each.opened <= call.t), key=lambda each: each.opened)
        owner.calls.append(call)
    for t, text in strays:
        max((each for each in connections if each.opened <= t), key=lambda each: each.opened).strays.append((t, text))
    return connections

"""Whoever is at the other end of the daemon's connections, put directly behind the WebSocket.

A `Peer` says what it is told to, answers what it is asked, and judges what it is told: an answer is one to something
that it has said, and one that the schema allows.
"""

import asyncio
import contextlib
import json
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from websockets.protocol import State

from edge.jsontypes import Payload
from edge.ocppj.schemas import check_response
from tests.hostile.fuzzing import Escape

ASKED, UNIQUE = "@asked", "@unique"
_CALL = re.compile(r'\s*\[\s*2\s*,\s*"((?:[^"\\]|\\.)*)"\s*,\s*"((?:[^"\\]|\\.)*)"')


class Said(NamedTuple):
    action: str
    text: str


class _Writing:
    """What the daemon uses of websockets' protocol when it need not wait."""

    def __init__(self, wire: "Wire") -> None:
        self._wire = wire
        self.close_sent = None

    def send_text(self, data: bytes) -> None:
        self._wire.hand_on(data.decode())


class Wire:
    """A connection of websockets, as far as the daemon uses one. `peer` is who is at the other end."""

    ping_timeout: float | None = 30.0
    paused = False
    remote_address = ("192.0.2.1", 4711)
    local_address = ("192.0.2.2", 8887)

    def __init__(self, peer: "Peer") -> None:
        self._peer = peer
        self._said: asyncio.Queue[str | None] = asyncio.Queue()
        self.protocol = _Writing(self)
        self.close_code: int | None = None
        self.close_reason = ""

    @property
    def state(self) -> State:
        return State.OPEN if self.close_code is None else State.CLOSED

    def send_data(self) -> None:
        """All is there already."""

    def say(self, text: str) -> None:
        if self.close_code is None:
            self._said.put_nowait(text)

    async def __aiter__(self) -> AsyncIterator[str]:
        while self.close_code is None and (text := await self._said.get()) is not None:
            yield text

    async def send(self, text: str) -> None:
        self.hand_on(text)

    def hand_on(self, text: str) -> None:
        if self.close_code is None:
            try:
                self._peer.hears(text)
            except Escape as escape:  # not into the daemon, which would blame itself
                self._peer.wrong.append(str(escape))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self._said.put_nowait(None)


class Peer:
    """Says what it is told to, answers what it is asked, and keeps count of what it is owed."""

    def __init__(self, name: str, usual: dict[str, Payload]) -> None:
        self.name = name
        self.wire: Wire | None = None
        self.asked: str | None = None
        """The id of the last CALL that it got."""
        self.answered: Counter[str] = Counter()
        self.actions: Counter[str] = Counter()
        """CALLs that it got."""
        self.wrong: list[str] = []
        """What it was told and must not be."""
        self.on_answer: Callable[[list[Said]], None] = lambda _said: None
        """Called with those of its CALLs that an answer may be for."""
        self._usual = usual
        self._ready: dict[str, deque[str]] = {}
        self._said: dict[str, list[Said]] = {}
        """By message id, CALLs that no result has come for."""
        self._number = 0

    def connected(self) -> Wire:
        self.forget()
        self.wire = Wire(self)
        return self.wire

    def forget(self) -> None:
        """What it said and never will be answered."""
        self._said.clear()

    def has_ready(self, action: str, frame: str) -> None:
        self._ready.setdefault(action, deque(maxlen=30)).append(frame)

    def says(self, text: str) -> None:
        if self.wire is None:
            return
        self._number += 1
        text = text.replace(ASKED, self.asked or "nobody").replace(UNIQUE, f"n{self._number}")
        head = _CALL.match(text)
        if head is not None:  # whether the rest can be read, or be mended, is for the daemon to say
            with contextlib.suppress(ValueError):
                message_id, action = (json.loads(f'"{part}"', strict=False) for part in head.groups())
                self._said.setdefault(message_id, []).append(Said(action, text))
        self.wire.say(text)

    def hears(self, text: str) -> None:
        kind, message_id, *rest = json.loads(text)
        if kind == 2:
            self._is_asked(message_id, rest[0])
        elif kind == 3:
            self._is_answered(message_id, rest[0], text)
        elif kind == 4:
            self.answered["CALLERROR"] += 1
        else:
            raise Escape(f"{self.name} got {text[:200]!a}")

    def _is_answered(self, message_id: str, payload: Payload, text: str) -> None:
        said = self._said.get(message_id, [])
        if not said:
            raise Escape(f"{self.name} got an answer to nothing: {text[:200]!a}")
        fitting = [one for one in said if not check_response("1.6", one.action, payload)]
        if not fitting:
            actions = [one.action for one in said]
            raise Escape(f"{self.name} got an answer that its schema forbids to {actions}: {text[:300]!a}")
        said.remove(fitting[0])
        self.answered[fitting[0].action] += 1
        self.on_answer(fitting)

    def _is_asked(self, message_id: str, action: str) -> None:
        self.asked = message_id
        self.actions[action] += 1
        ready = self._ready.get(action)
        if ready:
            frame = ready.popleft().replace(ASKED, message_id)
        else:
            self._number += 1
            payload = {**self._usual.get(action, {"status": "Accepted"})}
            if action == "StartTransaction":
                payload["transactionId"] = self._number
            frame = json.dumps([3, message_id, payload])
        asyncio.get_running_loop().call_later(0.01, self._answers, frame, self.wire)

    def _answers(self, frame: str, wire: Wire | None) -> None:
        if wire is self.wire and wire is not None:
            wire.say(frame)


_TIME = "2026-03-01T00:00:00Z"
_ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
CLOUD: dict[str, Payload] = {
    "BootNotification": {"status": "Accepted", "currentTime": _TIME, "interval": 300},
    "Heartbeat": {"currentTime": _TIME},
    "Authorize": _ACCEPTED,
    "StartTransaction": _ACCEPTED,
    "StopTransaction": {},
    "MeterValues": {},
    "StatusNotification": {},
}
BOX: dict[str, Payload] = {
    "GetConfiguration": {
        "configurationKey": [
            {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
            {"key": "HeartbeatInterval", "readonly": False, "value": "10"},
            {"key": "MeterValueSampleInterval", "readonly": False, "value": "10"},
        ]
    },
    "UnlockConnector": {"status": "Unlocked"},
}

"""The bytes of a client of the local API → documents of the running daemon, or an error in words; never a defect."""

import json
from collections.abc import Iterable, Iterator
from random import Random

from edge.ocppj.actions import Sender
from tests.hostile.fuzzing import Tally
from tests.hostile.material import made_calls
from tests.hostile.mutation import Grammar, damaged
from tests.hostile.site import CHARGER, live
from tests.hostile.targets.messages import with_own_ids

_ONE = {"charger": CHARGER, "evse": 1, "connector": 1}
_REQUESTS: tuple[tuple[str, dict], ...] = (
    ("status", {}), ("uplink", {}), ("chargers", {}), ("chargers", {"charger": CHARGER}), ("meter", {"meter": "main"}),
    ("sessions", {"open": True, "charger": CHARGER, "since": "2026-03-01T00:00:00Z"}), ("session", {"session": "S1"}),
    ("queue", {}), ("queue", {"seq": 3}), ("queue_retry", {"seq": 3}), ("queue_drop", {"seq": 3, "only_look": False}),
    ("trace", {"subject": "S1", "raw": True}), ("trace", {"subject": CHARGER, "raw": False}),
    ("adopt", {"charger": "NEW-1", "password": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM="}), ("forget", {"charger": "NEW-1", "force": False}),
    ("replace", {"old": "NEW-1", "new": "NEW-2", "password": None, "force": True}), ("start", {**_ONE, "token": "OPS"}),
    ("stop", {"session": "S1"}), ("reset", {"charger": CHARGER, "hard": True, "force": True}), ("unlock", _ONE),
    ("availability", {**_ONE, "on": False}), ("trigger", {**_ONE, "message": "Heartbeat"}),
    ("get", {"charger": CHARGER, "keys": ["HeartbeatInterval"]}), ("get", {"charger": None, "keys": []}),
    ("set", {"charger": None, "key": "WebSocketPingInterval", "value": "30"}),
    ("set", {"charger": CHARGER, "key": "HeartbeatInterval", "value": "30", "once": True}),
    ("meter_probe", {"address": "tcp://192.0.2.20", "units": [1], "baudrates": None, "profile": None, "profile_text": None, "within_s": 60}),
)  # fmt: skip


class Requests:
    name = "console-requests"
    batch = 1_500
    is_fresh_each_time = False

    def __init__(self) -> None:
        self._grammar: Grammar | None = None

    def inputs(self, chance: Random) -> Iterator[bytes]:
        """Each with a little of what makes something to show."""
        if self._grammar is None:
            texts = [
                json.dumps({"command": name, "args": args, "stream": name == "meter_probe"}) for name, args in _REQUESTS
            ]
            streams = [
                json.dumps({"command": "status", "stream": True}),
                json.dumps({"command": "trace", "args": {"subject": "S1"}, "stream": True}),
            ]
            self._grammar = Grammar(
                [*texts, *streams], ("charger", "session", "seq", "subject", "NEW-1", "NEW-2", "S2")
            )
        said = with_own_ids([*made_calls(Sender.STATION)])
        while True:
            if chance.random() < 0.1:
                yield b">" + chance.choice(said).encode()
                continue
            data = self._grammar.text(chance).encode("utf-8", "surrogatepass") + b"\n"
            yield b"!" + (damaged(data, chance) if chance.random() < 0.1 else data)

    def feed(self, inputs: Iterable[bytes], tally: Tally) -> None:
        live(inputs, tally)


CONSOLE = Requests()

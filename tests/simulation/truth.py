"""What really happened on a simulated site: the ground truth with which the invariants compare what the cloud got.

The chargers file each transaction message here as they first say it (`Said`), with every answer that they hear; the
cloud files each that arrives (`Arrival`), with what it made of it. A message is known by its content (`keys_of`), in
whatever order, group or repetition it comes: two different ones never have the same, because the chargers never use a
timestamp twice.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.simulation.websocket_end import SentText, WebSocketEnd

Payload = dict[str, Any]
Outlet = tuple[str, int]
"""A charger and its own number of a connector."""

TRANSACTION_ACTIONS = ("StartTransaction", "MeterValues", "StopTransaction")
ANSWER_WITHIN = 30.0
"""Seconds that the controller waits for the cloud."""


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def keys_of(action: str, payload: Payload) -> list[str]:
    """One for a start or a stop, one for each entry of a MeterValues: a cloud may get several of them in one."""
    if action == "MeterValues":
        return [f"values {canonical(entry)}" for entry in payload["meterValue"]]
    kept = {name: value for name, value in payload.items() if name not in ("connectorId", "transactionId")}
    return [f"{action} {canonical(kept)}"]


@dataclass(slots=True, eq=False)
class Session:
    """What a car took, as its charger's meter saw it."""

    number: int
    outlet: Outlet
    upstream: int
    """The connector as the cloud knows it."""
    id_tag: str
    meter_start_wh: int
    began_at: float
    meter_stop_wh: int | None = None
    ended_at: float | None = None
    stop_reason: str | None = None
    transaction_id: int | None = None
    """As the controller has given it."""
    is_forgotten: bool = False
    """The charger has lost it with its power: nobody will ever say its stop."""
    is_stop_lost: bool = False
    """The charger has lost its stop."""
    lost_at_wh: int | None = None
    """The register when it was forgotten."""
    said: list["Said"] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.meter_stop_wh is None and not self.is_forgotten


@dataclass(slots=True, eq=False)
class Said:
    """One transaction message of a charger, however often it was sent."""

    session: Session
    action: str
    at: float
    """When it came about; `sent_at` is when it was said for the first time."""
    stamp: str
    entry: Payload | None = None
    """Of a MeterValues."""
    payload: Payload | None = None
    key: str = ""
    number: int = 0
    sent_at: float = 0.0
    attempts: int = 0
    refusals: list[str] = field(default_factory=list)
    answers: list[tuple[float, Payload]] = field(default_factory=list)
    is_given_up: bool = False
    not_before: float = 0.0

    @property
    def is_acknowledged(self) -> bool:
        return bool(self.answers)


class Fate(StrEnum):
    """What the cloud made of a message."""

    PROCESSED = "processed"
    REFUSED = "refused"
    IGNORED = "ignored"
    """As if it had never come: not processed, not answered."""


@dataclass(slots=True, eq=False)
class Arrival:
    """One transaction message as the cloud got it."""

    at: float
    action: str
    payload: Payload
    keys: list[str]
    end: WebSocketEnd
    fate: Fate = Fate.PROCESSED
    code: str | None = None
    answer: Payload | None = None
    sent: SentText | None = None
    """Its answer, once it is on its way."""

    @property
    def answer_read_at(self) -> float | None:
        """When the controller got the answer, if it got one before it gave up; None: it knows of none."""
        read_at = None if self.sent is None else self.sent.read_at
        if self.fate is not Fate.PROCESSED or read_at is None or read_at - self.at > ANSWER_WITHIN - 1.0:
            return None
        return read_at


@dataclass(slots=True, eq=False)
class Order:
    """A command of the cloud."""

    at: float
    action: str
    payload: Payload
    message_id: str
    sent: SentText
    times_sent: int = 1
    answers: list[Payload] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Obeyed:
    """A command of the controller, as a charger got it."""

    at: float
    charger: str
    action: str
    payload: Payload


class Truth:
    """All of it, for one run."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.said: list[Said] = []
        self.by_key: dict[str, Said] = {}
        self.by_outlet: dict[Outlet, list[Said]] = defaultdict(list)
        self.arrivals: list[Arrival] = []
        self.arrived: dict[str, list[Arrival]] = defaultdict(list)
        """By key."""
        self.strangers: list[Arrival] = []
        """Transaction messages at the cloud that nobody has said."""
        self.given: dict[int, set[str]] = defaultdict(set)
        """The cloud's transaction ids, each with the keys of the starts to which it was given."""
        self.orders: list[Order] = []
        self.obeyed: list[Obeyed] = []
        self.crashes: list[float] = []
        self.uplink_healed_at: list[float] = []
        """When the road to the cloud let go what it had kept back."""

    # ── the chargers ────────────────────────────────────────────────────────────

    def begin(self, outlet: Outlet, upstream: int, id_tag: str, meter_wh: int, now: float) -> Session:
        session = Session(len(self.sessions) + 1, outlet, upstream, id_tag, meter_wh, now)
        self.sessions.append(session)
        return session

    def say(self, said: Said, payload: Payload, now: float) -> None:
        """Its charger says it for the first time."""
        said.payload, said.sent_at, said.number = payload, now, len(self.said) + 1
        (said.key,) = keys_of(said.action, payload)
        assert said.key not in self.by_key, f"two messages with one content: {said.key}"
        self.by_key[said.key] = said
        self.said.append(said)
        self.by_outlet[said.session.outlet].append(said)

    # ── the cloud ───────────────────────────────────────────────────────────────

    def arrive(self, arrival: Arrival) -> None:
        """A transaction message of a charger, or one of the controller: values of its meter, or a stop of a session.

        Two sessions may get the same stop: what nobody has said is told apart by the cloud's id.
        """
        of = arrival.payload.get("transactionId")
        arrival.keys = [key if key in self.by_key else f"{key} of {of}" for key in arrival.keys]
        self.arrivals.append(arrival)
        for key in arrival.keys:
            self.arrived[key].append(arrival)
        if any(key not in self.by_key for key in arrival.keys):
            self.strangers.append(arrival)

    def road_was_healed(self, now: float) -> bool:
        """Whether that was so short a time ago that nobody can say when what arrives now was sent."""
        return bool(self.uplink_healed_at) and self.uplink_healed_at[-1] > now - ANSWER_WITHIN

    def of_stranger(self, arrival: Arrival) -> Session | None:
        """The session of a stop that no charger has said, by the id that the cloud gave to its start."""
        if arrival.action != "StopTransaction":
            return None
        starts = self.given.get(arrival.payload.get("transactionId"), ())
        return next((self.by_key[key].session for key in sorted(starts) if key in self.by_key), None)

    def concluded(self) -> dict[int, list[Arrival]]:
        """Stops of ours that the cloud has taken, by the number of the session."""
        found: dict[int, list[Arrival]] = defaultdict(list)
        for arrival in self.strangers:
            session = self.of_stranger(arrival)
            if session is not None and arrival.fate is Fate.PROCESSED:
                found[session.number].append(arrival)
        return found

    def processed(self, said: Said) -> list[Arrival]:
        return [one for one in self.arrived.get(said.key, ()) if one.fate is Fate.PROCESSED]

    def acknowledged(self) -> Iterator[Said]:
        return (one for one in self.said if one.is_acknowledged)

"""Whether the cloud has what the chargers sent: complete, in order per connector, once, and otherwise equal. Pure.

`compare` gets each transaction message as a charger sent it and each as the cloud received it. A pair is found by
what must not differ: action and payload without the two members that are rewritten on the way, the connector and
the transaction id. Those are checked afterwards, against the number that the connector must have upstream and the
id that the cloud gave to the start of the same session. What finds no partner is paired once more by its time, so
that a changed payload is called changed and not both lost and unknown.
"""

import json
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from simulators.wire import JsonValue, Payload

REWRITTEN = ("connectorId", "transactionId")


@dataclass(frozen=True, slots=True)
class ChargerMessage:
    """One transaction message as a charger sent it; `session` is the same for all messages of one."""

    charger: str
    connector: int
    upstream_connector: int
    session: Hashable
    action: str
    payload: Payload
    is_required: bool = True
    """It was answered, so the cloud must have it. One that was not may be on its way."""

    def __str__(self) -> str:
        return f"{self.charger}.{self.connector} {self.action} of {_time_of(self.payload)}"


@dataclass(frozen=True, slots=True)
class CloudMessage:
    """One transaction message as the cloud received it; `transaction_id` is its answer to a start."""

    action: str
    payload: Payload
    transaction_id: int | None = None


@dataclass(slots=True)
class Counts:
    """Of one charger."""

    sessions: int = 0
    sent: int = 0
    received: int = 0
    lost: int = 0
    repeated: int = 0
    out_of_order: int = 0
    changed: int = 0


@dataclass(slots=True)
class Report:
    """`problems` says in words what is not right; empty: all is."""

    chargers: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    unknown: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        return not self.problems

    def together(self) -> Counts:
        return Counts(*(sum(getattr(one, name) for one in self.chargers.values()) for name in Counts.__slots__))


def compare(sent: Sequence[ChargerMessage], received: Sequence[CloudMessage]) -> Report:
    """`sent` in the order of each connector, `received` in the order of arrival.

    Values that waited may have shared a message; the chargers of the demo say each in one of its own.
    """
    return _Comparison(sent, [one for got in received for one in _apart(got)]).report()


def _apart(got: CloudMessage) -> list[CloudMessage]:
    match got.payload.get("meterValue"):
        case [_, _, *_] as entries:
            return [replace(got, payload={**got.payload, "meterValue": [one]}) for one in entries]
    return [got]


class _Comparison:
    def __init__(self, sent: Sequence[ChargerMessage], received: Sequence[CloudMessage]) -> None:
        self._sent = sent
        self._received = received
        self._partner: dict[int, int] = {}
        """Of a received message the one sent, by place in the lists."""
        self._arrived: set[int] = set()
        self._report = Report()

    def report(self) -> Report:
        for message in self._sent:
            counts = self._report.chargers[message.charger]
            counts.sent += 1
            counts.sessions += message.action == "StartTransaction"
        self._pair_equal()
        self._pair_similar()
        self._check_addresses()
        self._check_order()
        for place, message in enumerate(self._sent):
            if place in self._arrived:
                self._report.chargers[message.charger].received += 1
            elif message.is_required:
                self._report.chargers[message.charger].lost += 1
                self._say(f"lost: {message}")
        return self._report

    def _say(self, problem: str) -> None:
        self._report.problems.append(problem)

    def _pair_equal(self) -> None:
        places: dict[str, list[int]] = defaultdict(list)
        for place, message in enumerate(self._sent):
            places[_key(message.action, message.payload)].append(place)
        for number, got in enumerate(self._received):
            candidates = places.get(_key(got.action, got.payload), [])
            if not candidates:
                continue
            waiting = [place for place in candidates if place not in self._arrived]
            named = [
                place for place in waiting if self._sent[place].upstream_connector == got.payload.get(REWRITTEN[0])
            ]
            if waiting:
                self._join(number, (named or waiting)[0])
            else:
                message = self._sent[candidates[0]]
                self._report.chargers[message.charger].repeated += 1
                self._partner[number] = -1
                self._say(f"repeated: {message}")

    def _pair_similar(self) -> None:
        """What is left over: the same message with another content, or one that no charger has sent."""
        for number, got in enumerate(self._received):
            if number in self._partner:
                continue
            place = next((place for place in self._missing() if self._is_similar(place, got)), None)
            if place is None:
                self._report.unknown += 1
                self._say(f"no charger has sent this: {got.action} of {_time_of(got.payload)}")
                continue
            message = self._sent[place]
            self._join(number, place)
            self._report.chargers[message.charger].changed += 1
            names = sorted({*message.payload, *got.payload} - {*REWRITTEN})
            other = [name for name in names if _text(message.payload.get(name)) != _text(got.payload.get(name))]
            self._say(f"changed: {message}: {', '.join(other)}")

    def _is_similar(self, place: int, got: CloudMessage) -> bool:
        message = self._sent[place]
        if message.action != got.action:
            return False
        if _time_of(message.payload) == _time_of(got.payload):
            return True
        return message.upstream_connector == got.payload.get("connectorId", self._connector_of(got))

    def _connector_of(self, got: CloudMessage) -> JsonValue:
        """The connector of a stop is that of the start to which the cloud gave this id."""
        for other in self._received:
            if other.transaction_id is not None and other.transaction_id == got.payload.get("transactionId"):
                return other.payload.get("connectorId")
        return None

    def _missing(self) -> list[int]:
        return [place for place in range(len(self._sent)) if place not in self._arrived]

    def _join(self, number: int, place: int) -> None:
        self._partner[number] = place
        self._arrived.add(place)

    def _check_addresses(self) -> None:
        ids = {
            self._sent[place].session: self._received[number].transaction_id
            for number, place in self._partner.items()
            if place >= 0 and self._sent[place].action == "StartTransaction"
        }
        for number, place in self._partner.items():
            if place < 0:
                continue
            message, got = self._sent[place], self._received[number].payload
            must = {"connectorId": message.upstream_connector, "transactionId": ids.get(message.session)}
            for name in REWRITTEN:
                wanted = must[name] if name in message.payload else None
                if got.get(name) != wanted:
                    self._report.chargers[message.charger].changed += 1
                    self._say(f"wrong {name}: {message}: {got.get(name)} instead of {wanted}")

    def _check_order(self) -> None:
        newest: dict[tuple[str, int], int] = {}
        for number in range(len(self._received)):
            place = self._partner.get(number, -1)
            if place < 0:
                continue
            message = self._sent[place]
            lane = (message.charger, message.connector)
            if place < newest.get(lane, -1):
                self._report.chargers[message.charger].out_of_order += 1
                self._say(f"out of order: {message} came after {self._sent[newest[lane]]}")
            newest[lane] = max(place, newest.get(lane, -1))


def _key(action: str, payload: Payload) -> str:
    return _text([action, {name: value for name, value in payload.items() if name not in REWRITTEN}])


def _text(value: JsonValue) -> str:
    """Equal for equal JSON values only: 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True)


def _time_of(payload: Payload) -> JsonValue:
    match payload:
        case {"timestamp": str(at)} | {"meterValue": [{"timestamp": str(at)}, *_]}:
            return at
        case _:
            return None

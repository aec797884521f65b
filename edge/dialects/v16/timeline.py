"""What a charger's request says of how a session's time was spent, for `edge/domain/intervals.py`."""

from collections.abc import Callable, Iterator
from datetime import datetime

from edge.dialects import timestamps, tolerances
from edge.dialects.v16 import observe
from edge.domain.events import ChargerBooted, ConnectorStatusChanged
from edge.domain.intervals import Booted, LimitSeen, Observation, PowerSeen, StatusSeen
from edge.jsontypes import JsonValue, Payload

FLOWS_A = 1.0
"""More than a car takes that does not charge."""
When = Callable[[datetime | None], int]
"""When something was, in ms by our clock, of which the charger says this time."""


def seen(action: str, payload: Payload, when: When, evidence: str) -> Iterator[Observation]:
    """`evidence`: the row that it stands in."""
    meant = tolerances.understood("1.6", action, payload)
    if action == "MeterValues":
        yield from _values(meant.get("meterValue"), when, evidence)
        return
    match observe.observe(action, meant):
        case ConnectorStatusChanged(_, status, _, at):
            yield StatusSeen(when(at), evidence, status)
        case ChargerBooted():
            yield Booted(when(None), evidence)
        case _:
            return


def _values(entries: JsonValue, when: When, evidence: str) -> Iterator[Observation]:
    for entry in [entries] if isinstance(entries, dict) else entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            power, _, _ = observe.others(entry)
            at = when(timestamps.parse(entry.get("timestamp")))
            current = observe.current_a(entry)
            yield from _limit(at, evidence, observe.offered_a(entry), is_flowing=(current or 0.0) > FLOWS_A)
            yield PowerSeen(at, evidence, power, current, observe.energy_register_wh(entry))


def _limit(at: int, evidence: str, offered_a: float | None, *, is_flowing: bool) -> Iterator[Observation]:
    """What the car is offered, whoever withholds the rest. An offer that is exceeded is a placeholder."""
    if offered_a is not None:
        yield LimitSeen(at, evidence, None if is_flowing and offered_a < FLOWS_A else offered_a)

"""What is mutated: the recorded wire texts, payloads made from the schemas, and the words of OCPP."""

import json
from functools import cache
from random import Random

from edge.ocppj.actions import Sender, sender
from tests.ocppj.corpus import recorded, schema, schema_names, valid

PAYLOADS_PER_ACTION = 4
IDS_GIVEN = range(7000, 7040)
"""Transaction ids that a site of `site.py` gives to its chargers first."""


@cache
def recorded_texts(direction: str | None = None) -> tuple[str, ...]:
    """`up`: from chargers; `down`: from a CSMS."""
    return tuple(text for way, text in recorded() if direction in {None, way})


@cache
def made_calls(side: Sender, version: str = "1.6") -> tuple[str, ...]:
    """Calls that this side may send, with payloads that the schema allows."""
    chance = Random(f"calls/{side}/{version}")
    names = [name for name in schema_names(version) if not name.endswith("Response")]
    texts = []
    for name in names:
        action = name.removesuffix("Request")
        if sender(version, action) in (side, Sender.BOTH):
            for number in range(PAYLOADS_PER_ACTION):
                payload = _sensible(valid(version, name, chance), chance)
                texts.append(json.dumps([2, f"{action[:6]}-{number}", action, payload]))
    return tuple(texts)


@cache
def made_answers(version: str = "1.6") -> dict[str, tuple[str, ...]]:
    """By action, the payloads that the schema allows in an answer."""
    chance = Random(f"answers/{version}")
    names = [name for name in schema_names(version) if name.endswith("Response")]
    return {
        name.removesuffix("Response"): tuple(
            json.dumps(_sensible(valid(version, name, chance), chance)) for _ in range(PAYLOADS_PER_ACTION)
        )
        for name in names
    }


@cache
def words(version: str = "1.6") -> tuple[str, ...]:
    """Names of members and allowed values, of all schemas."""
    found: dict[str, None] = {}

    def walk(node: object) -> None:
        if isinstance(node, dict):
            found.update(dict.fromkeys(node.get("properties", {})))
            found.update(dict.fromkeys(value for value in node.get("enum", ()) if isinstance(value, str)))
            for below in node.values():
                walk(below)
        elif isinstance(node, list):
            for below in node:
                walk(below)

    for name in schema_names(version):
        walk(schema(version, name))
    return tuple(found)


def _sensible(payload: dict, chance: Random) -> dict:
    """Ids, connectors and times that mean something, so that more than the first check is reached."""
    instead = {
        "transactionId": lambda: chance.choice(IDS_GIVEN),
        "connectorId": lambda: chance.choice((0, 1, 1, 1, 2, 2, 3)),
        "timestamp": lambda: f"2026-03-01T{chance.randrange(24):02}:{chance.randrange(60):02}:00Z",
        "idTag": lambda: chance.choice(("A", "B", "TAG-1")),
        "meterStart": lambda: chance.randrange(10_000),
        "meterStop": lambda: chance.randrange(20_000),
        "value": lambda: str(chance.randrange(10_000)),
    }

    def better(node: object, name: str = "") -> object:
        if isinstance(node, dict):
            return {key: better(below, key) for key, below in node.items()}
        if isinstance(node, list):
            return [better(below, name) for below in node]
        return instead[name]() if name in instead else node

    result = better(payload)
    assert isinstance(result, dict)
    return result

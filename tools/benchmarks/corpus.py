"""Payloads that are right, nearly right and quite wrong, made from OCPP's own schemas; the same ones in each run."""

import copy
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

FOLDERS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}
_ODD = (
    None, True, False, 0, 1, -1, 1.0, 0.05, 16.05, 21.4, 2**31, 2**63 - 1, -(2**63), 1e9, -0.0, 1e300, "", " ",
    "x" * 21, "x" * 51, "x" * 600, "Accepted", "Wh", "Celsius", "garbage", "2026-01-05T00:00:00Z", "2026-13-45T99:00Z",
    "not a uri", [], {}, [1], [{}], {"a": 1}, [[]], [None], {"vendorId": "x"}, {"value": "1"},
)  # fmt: skip
_KEYS = ("extra", "connectorId", "customData", "unit", "id", "")


def names(version: str) -> list[str]:
    """The schemas of a version, without `.json`."""
    folder = files("ocpp").joinpath(FOLDERS[version], "schemas")
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def payloads(version: str, name: str, count: int) -> Iterator[dict[str, Any]]:
    """So many for one schema: every fourth as it should be, the others with one, two or three things changed."""
    random, root = Random(f"{version} {name}"), _schema(version, name)
    for number in range(count):
        payload = _made(root, root, random)
        for _ in range(number % 4):
            _change(payload, random)
        yield payload


@cache
def _schema(version: str, name: str) -> dict[str, Any]:
    text = files("ocpp").joinpath(FOLDERS[version], "schemas", f"{name}.json").read_text(encoding="utf-8-sig")
    return dict(json.loads(text))


def _made(root: dict[str, Any], node: dict[str, Any], random: Random) -> Any:
    """A value that the schema allows."""
    if "$ref" in node:
        node = root["definitions"][node["$ref"].rpartition("/")[2]]
    if "enum" in node:
        return random.choice(node["enum"])
    match node.get("type"):
        case "object":
            required = node.get("required", ())
            members = node.get("properties", {})
            kept = [key for key in members if key in required or random.random() < 0.4]
            return {key: _made(root, members[key], random) for key in kept}
        case "array":
            least = node.get("minItems", 0)
            return [_made(root, node["items"], random) for _ in range(least + random.randint(0, 1))]
        case "string":
            return "x" * min(node.get("maxLength", 10), random.randint(0, 10))
        case "boolean":
            return random.random() < 0.5
        case "integer":
            least = int(node.get("minimum", -5))
            return random.randint(least, int(node.get("maximum", least + 10)))
        case "number":
            return round(random.uniform(node.get("minimum", -5), node.get("maximum", 100)), 1)
    return copy.deepcopy(random.choice(_ODD))


def _change(payload: dict[str, Any], random: Random) -> None:
    places = list(_places(payload))
    kind = random.randrange(5)
    if kind == 0 or not places:
        owners = [payload, *(owner[key] for owner, key in places if isinstance(owner[key], dict))]
        random.choice(owners)[random.choice(_KEYS)] = copy.deepcopy(random.choice(_ODD))
        return
    owner, key = random.choice(places)
    if kind == 1:
        del owner[key]
    elif kind == 2 and isinstance(owner, list):
        owner.append(copy.deepcopy(owner[key]))
    elif kind == 3 and isinstance(owner[key], str):
        owner[key] += "y" * random.choice((1, 12, 300))
    else:
        owner[key] = copy.deepcopy(random.choice(_ODD))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each (container, key) in a payload."""
    for key, member in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(member, dict | list):
            yield from _places(member)

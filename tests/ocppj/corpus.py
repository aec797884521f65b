"""Payloads for these tests: valid ones made from OCPP's schemas, mutated ones made from those, and recorded texts."""

import copy
import json
from functools import cache
from importlib.resources import files
from pathlib import Path

WIRE = Path(__file__).parents[1] / "wire"
FOLDERS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}


def schema_names(version):
    """Names of the schema files, without `.json`."""
    folder = files("ocpp").joinpath(FOLDERS[version], "schemas")
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


@cache
def schema(version, name):
    source = files("ocpp").joinpath(FOLDERS[version], "schemas", f"{name}.json")
    return json.loads(source.read_text(encoding="utf-8-sig"))


def valid(version, name, random):
    """A payload that the schema allows; optional members come and go."""
    root = schema(version, name)
    return _valued(root, root, random)


def _valued(root, node, random):
    if "$ref" in node:
        node = root["definitions"][node["$ref"].removeprefix("#/definitions/")]
    if "enum" in node:
        return random.choice(node["enum"])
    if "type" not in node:
        return copy.deepcopy(random.choice(ODD_VALUES))
    match node["type"]:
        case "object":
            required = node.get("required", [])
            return {
                key: _valued(root, below, random)
                for key, below in node.get("properties", {}).items()
                if key in required or random.random() < 0.5
            }
        case "array":
            low = node.get("minItems", 0)
            return [_valued(root, node["items"], random) for _ in range(random.randint(low, low + 1))]
        case "string":
            return "x" * random.randint(0, min(node.get("maxLength", 8), 12))
        case "boolean":
            return random.random() < 0.5
        case "integer":
            low = int(node.get("minimum", -1))
            return random.randint(low, int(node.get("maximum", low + 9)))
        case "number":
            low, high = node.get("minimum", -1), node.get("maximum", 90)
            return round(random.uniform(low, high), 1)
    raise AssertionError(node)


def places(value, path=()):
    """Each (container, key) in a payload."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in list(pairs):
        yield value, key
        if isinstance(member, dict | list):
            yield from places(member, (*path, key))


ODD_VALUES = (
    None, True, False, 0, 1, -1, 1.0, 0.05, 16.05, 21.4, 2**63 - 1, -(2**63), 1e9, "", "x" * 51, "x" * 600, "Accepted",
    "Celsius", "Hertz", "garbage", [], {}, [1], [{}], {"a": 1}, [[]], [None], {"vendorId": "x"}, {"value": "1"},
)  # fmt: skip


def mutated(payload, random, mutations):
    """A copy with so many things wrong, or by chance not wrong."""
    result = copy.deepcopy(payload)
    for _ in range(mutations):
        found = list(places(result))
        kind = random.randrange(5)
        if kind == 0 or not found:
            owners = [result, *(owner[key] for owner, key in found if isinstance(owner[key], dict))]
            random.choice(owners)[random.choice(("extra", "connectorId", "customData", "unit"))] = copy.deepcopy(
                random.choice(ODD_VALUES)
            )
            continue
        owner, key = random.choice(found)
        if kind == 1:
            del owner[key]
        elif kind == 2 and isinstance(owner, list):
            owner.append(copy.deepcopy(owner[key]))
        elif kind == 3 and isinstance(owner[key], str):
            owner[key] = owner[key] + "y" * random.choice((1, 20, 500))
        else:
            owner[key] = copy.deepcopy(random.choice(ODD_VALUES))
    return result


def recorded(pattern="*.jsonl"):
    """(direction, text) of every recorded frame."""
    frames = []
    for file in sorted(WIRE.glob(pattern)):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        frames += [(line["dir"], line["text"]) for line in lines if "text" in line]
    return frames

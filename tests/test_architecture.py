"""What the import rules of pyproject.toml cannot say: who may spell OCPP's payload keys, and how long a module is."""

import ast
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

EDGE = Path(__file__).parents[1] / "edge"
SPELLS_NO_KEYS = ("chargers", "console", "domain", "store", "uplink")
LONGEST_MODULE = 400
LONGER_MODULES: dict[str, str] = {}
"""Modules that may be longer, each with its reason."""


def payload_keys() -> frozenset[str]:
    """Members of OCPP's messages of all versions. One plain word (`status`) may mean anything, and is left out."""

    def members(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            properties = node.get("properties")
            yield from properties if isinstance(properties, dict) else ()
        for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from members(below)

    found: set[str] = set()
    for folder in ("v16", "v201", "v21"):
        for file in files("ocpp").joinpath(folder, "schemas").iterdir():
            if file.name.endswith(".json"):
                found.update(members(json.loads(file.read_text(encoding="utf-8-sig"))))
    return frozenset(key for key in found if key != key.lower())


def docstrings(tree: ast.AST) -> set[int]:
    """The constants that are statements of their own: they document what stands before or around them."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def spelled_keys(source: str, keys: frozenset[str]) -> list[tuple[int, str]]:
    """(Line, key) of each string that is a payload key, or a path to one as SQLite writes it (`$.idTag`)."""
    tree = ast.parse(source)
    in_docs = docstrings(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in in_docs:
            words = {node.value, *re.findall(r"\$(?:\.\w+|\[\d+\])*\.(\w+)", node.value)}
            found += [(node.lineno, key) for key in sorted(words & keys)]
    return sorted(found)


def test_only_the_dialects_spell_the_keys_of_ocpp_payloads():
    keys = payload_keys()
    violations = [
        f"{module.relative_to(EDGE.parent)}:{line} {key}"
        for package in SPELLS_NO_KEYS
        for module in sorted((EDGE / package).rglob("*.py"))
        for line, key in spelled_keys(module.read_text(), keys)
    ]
    assert not violations, "\n" + "\n".join(violations)


def test_the_search_for_payload_keys_finds_them_and_no_docstring():
    keys = payload_keys()
    assert keys >= {
        "connectorId", "transactionId", "idTag", "meterStart", "meterStop", "evseId", "chargePointVendor", "idToken",
        "reservationId", "chargingProfileId", "remoteStartId", "requestId", "seqNo", "meterValue", "sampledValue",
        "idTagInfo", "errorCode", "currentTime", "requestedMessage", "configurationKey", "tariffId", "basicAuthPassword",
    }  # fmt: skip
    assert "status" not in keys
    source = '''
"""connectorId"""
limit = 5
"""meterStart"""
def read(payload, idTag=None):
    """idTag"""
    return f"{payload.get('transactionId')} of transactionId", payload["evseId"]
SQL = "SELECT json_extract(text, '$[3].idTag'), meterStop FROM exchange"
'''
    assert spelled_keys(source, keys) == [(7, "evseId"), (7, "transactionId"), (8, "idTag")]


def test_no_expression_has_a_possessive_group():
    """Python before 3.11.5, that of Debian 12 among them, forgets where a group that is repeated so had begun to fail:
    spans are wrong, or it raises SystemError (cpython gh-106052). Single characters it repeats rightly."""
    possessive = re.compile(r"\)(?:[*+?]|\{[0-9,]*\})\+|\(\?>")
    assert [possessive.search(text) is not None for text in ("(?:ab?c)*+", "(a)++", "(?>a)", "[a]*+", "a++")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    found = [
        f"{module.relative_to(EDGE)}: {node.value!r}"
        for module in EDGE.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and possessive.search(node.value)
    ]
    assert found == []


def test_a_module_fits_one_reading():
    lengths = {str(module.relative_to(EDGE)): len(module.read_text().splitlines()) for module in EDGE.rglob("*.py")}
    too_long = {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE}
    assert {name: lines for name, lines in too_long.items() if name not in LONGER_MODULES} == {}
    assert sorted(LONGER_MODULES) == sorted(set(LONGER_MODULES) & set(too_long)), "no longer an exception"

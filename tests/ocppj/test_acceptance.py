"""The function written for a schema says yes only where the walk finds nothing, and for OCPP nearly always then."""

from random import Random

import pytest

from edge.ocppj import schemas
from edge.ocppj.acceptance import acceptance
from tests.ocppj.corpus import FOLDERS, mutated, schema, schema_names, valid

EVERY = [(version, name) for version in FOLDERS for name in schema_names(version)]


def nothing_against(*_: object) -> None:
    return None


@pytest.mark.parametrize("version", FOLDERS)
def test_yes_and_no_are_those_of_the_walk(version):
    said = set()
    for name in schema_names(version):
        written, random = schema(version, name), Random(f"acceptance {version} {name}")
        accepts = acceptance(written, schemas._objection)
        for number in range(24):
            payload = mutated(valid(version, name, random), random, number % 3)
            is_valid = not list(schemas._violations(written, written, payload, ()))
            assert accepts(payload) is is_valid, (name, payload)
            said.add(is_valid)
    assert said == {True, False}


def test_a_bool_is_no_integer_and_a_whole_float_is_none():
    accepts = acceptance({"type": "object", "properties": {"n": {"type": "integer"}}}, nothing_against)
    assert [accepts({"n": value}) for value in (1, True, 1.0, "1", None)] == [True, False, False, False, False]


def test_what_is_no_tree_of_the_parser_is_left_to_the_walk():
    class Other(dict):
        pass

    assert acceptance({"type": "object"}, nothing_against)({})
    assert not acceptance({"type": "object"}, nothing_against)(Other())
    assert schemas.check_request("1.6", "Heartbeat", Other()) == ()


def test_keywords_that_it_does_not_write_down_are_asked_for():
    asked = []

    def objection(keyword, rule, value):
        asked.append((keyword, rule, value))
        return "no" if value > rule else None

    accepts = acceptance({"type": "number", "maximum": 4}, objection)
    assert (accepts(3), accepts(4.5)) == (True, False)
    assert asked == [("maximum", 4, 3), ("maximum", 4, 4.5)]


@pytest.mark.parametrize(
    "odd",
    [
        {"properties": {"a": {}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {"$ref": "#/definitions/a b"}}},
    ],
)
def test_a_schema_of_another_kind_is_refused_when_it_is_read(odd):
    with pytest.raises(ValueError, match="definition|type|additional"):
        acceptance(odd, nothing_against)


def test_texts_of_a_schema_are_literals_in_what_is_written():
    sly = "a']: return True #\n"
    accepts = acceptance(
        {"type": "object", "properties": {sly: {"type": "string", "enum": [sly]}}, "required": [sly]}, nothing_against
    )
    assert accepts({sly: sly})
    assert not accepts({sly: "b"})
    assert not accepts({})

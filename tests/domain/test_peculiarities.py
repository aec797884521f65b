"""Each rule has a description, is used, and stands in the field guide."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.domain.field_guide import DESCRIBED, NAMED_ONLY, TOLERANCES, kind_of
from edge.domain.peculiarities import Kind, Rule
from edge.ocppj.repair import NAMES, RESULT_NAMES_ACTION

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "field-guide.md").read_text(encoding="utf-8")


def test_the_field_guide_is_what_the_generator_writes():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "field_guide", "--check"], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_field_guide_has_each_rule_once():
    assert sorted(re.findall(r"^\| `([a-z0-9_]+)` \|", PAGE, re.MULTILINE)) == sorted(map(str, Rule))


def test_each_rule_is_described():
    assert set(DESCRIBED) == set(Rule)


def test_each_rule_is_used_somewhere():
    """By its name in the enumeration, or as the word itself where the enumeration is out of reach."""
    code = "".join(
        module.read_text()
        for module in (ROOT / "edge").rglob("*.py")
        if module.name not in {"peculiarities.py", "field_guide.py", "advice.py"}
    )
    assert [str(rule) for rule in Rule if f"Rule.{rule.name}" not in code and f'"{rule}"' not in code] == []


def test_what_guesses_must_be_named_repairs_of_texts_and_a_handshake_without_a_version():
    assert set(NAMES) - {RESULT_NAMES_ACTION} == {str(rule) for rule in NAMED_ONLY} - {"subprotocol_missing"}
    assert set(NAMED_ONLY) <= set(TOLERANCES)
    assert RESULT_NAMES_ACTION in TOLERANCES


@pytest.mark.parametrize(("rule", "kind"), [("null_member", Kind.TOLERANCE), ("duplicate_stop", Kind.FINDING)])
def test_a_counted_word_has_a_kind(rule, kind):
    assert kind_of(rule) is kind

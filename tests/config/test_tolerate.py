"""`tolerate` of a charger: names of the field guide, and a suggestion for those that are not."""

from edge.domain.field_guide import NAMED_ONLY
from tests.config.conftest import MINIMAL

CHARGER = '[[charger]]\nid = "CP-01"\ntolerate = [%s]\n'


def test_each_tolerance_that_has_to_be_named_may_be_named(checked):
    names = sorted(NAMED_ONLY)
    config, problems = checked(MINIMAL + CHARGER % ", ".join(f'"{name}"' for name in names))
    assert problems == ()
    assert config.charger[0].tolerate == tuple(names)


def test_an_unknown_tolerance_is_an_error_with_a_suggestion(checked):
    config, problems = checked(MINIMAL + CHARGER % '"json_extra_coma"')
    assert config is None
    (problem,) = problems
    assert problem.key == "charger[CP-01].tolerate"
    assert 'did you mean "json_extra_comma"?' in problem.message
    assert all(str(name) in problem.message for name in NAMED_ONLY)


def test_what_holds_for_everybody_cannot_be_asked_for(checked):
    _, problems = checked(MINIMAL + CHARGER % '"null_member"')
    assert [problem.key for problem in problems] == ["charger[CP-01].tolerate"]

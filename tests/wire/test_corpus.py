"""Each script of the corpus has the verdict that it says (`corpus.py`)."""

import pytest

from tests.wire.corpus import Script, scripts, told, verdict

ALL = scripts()


@pytest.mark.parametrize("script", ALL, ids=str)
def test_a_script_has_its_verdict(script: Script) -> None:
    assert list(verdict(script, told(script))) == []


def test_there_are_enough_of_them() -> None:
    assert len(ALL) >= 40
    assert all(script.about for script in ALL)

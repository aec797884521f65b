"""A daemon that is broken on purpose is found out, each by what was made to find it, and by a short run."""

import pytest

from tests.crash.bites import BITES, Bite

pytestmark = pytest.mark.usefixtures("has_strace")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("bite", BITES, ids=str)
def test_a_daemon_that_is_broken_is_found_out(bite: Bite):
    figures = bite.run()
    assert bite.bites(figures), str(figures)

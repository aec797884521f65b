"""A life does not outlast whoever began it, however that ends."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import asdict

import pytest

from tests.crash import cradle as cradle_program


@pytest.fixture
def cradle():
    """With the end of a pipe that is read to its end when the cradle and all that it began have ended."""
    told, kept_open = os.pipe()
    process = subprocess.Popen(
        [sys.executable, cradle_program.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        env=os.environ | cradle_program.ENVIRONMENT, pass_fds=[kept_open], start_new_session=True,
    )  # fmt: skip
    os.close(kept_open)
    with process, contextlib.closing(os.fdopen(told, "rb")) as until_all_have_ended:
        yield process, until_all_have_ended
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_the_lives_end_with_the_cradle_when_nobody_hears_it_any_more(cradle, tmp_path):
    process, until_all_have_ended = cradle
    nobody_reads = tmp_path / "log"
    os.mkfifo(nobody_reads)  # so that a life stands still while it opens its log
    order = (
        json.dumps({"number": 1, "order": asdict(cradle_program.Order(["--version"], str(nobody_reads)))}).encode()
        + b"\n"
    )
    process.stdin.write(order)
    assert "begun" in json.loads(process.stdout.readline())
    process.stdout.close()
    process.stdin.write(order)
    process.wait(60)
    assert select.select([until_all_have_ended], [], [], 10)[0]

"""docs/command-line.md is what the parser says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_about_the_command_line_is_what_the_generator_writes():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "command_line_page", "--check"], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from edge.config import Config
from edge.config.keys import keys_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_page_about_the_configuration_is_what_the_generator_writes():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "configuration_page", "--check"], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_key_is_on_the_page():
    for section in keys_of(Config):
        heading = f"## `[[{section.name}]]`" if section.is_array else f"## `[{section.name}]`"
        table = PAGE.split(heading)[1].split("\n## ")[0]
        documented = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
        assert documented == {key.name for key in keys_of(section.kind)}
        assert len(fields(section.kind)) >= len(documented)


def test_the_smallest_file_of_the_page_is_valid(checked):
    config, problems = checked(PAGE.split("```toml\n")[1].split("```")[0])

    assert config is not None
    assert problems == ()

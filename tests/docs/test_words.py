"""What the pages name exists: links, anchors, files, commands, keys, alarm codes, and words of the program."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config import check
from edge.console.arguments import build_parser
from edge.console.errors import CommandError
from edge.console.grammar_probe import joined
from edge.site.profiles import meter_model, parse_profile, profile_names
from edge.store.capacity import BEGINS_AT, Level
from tests.docs.depot import CLOUD
from tests.docs.pages import ROOT, WIDTH, WRITTEN, Block, blocks, scenes, text_of

OURS = ("README.md", *WRITTEN, "meter-profiles.md", "tls.md")
BASE = '[site]\nid = "depot-7"\n[[listener]]\naddress = "0.0.0.0:8887"\n'
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def prose(page: str) -> str:
    """Without blocks and comments."""
    return re.sub(r"<!--.*?-->", "", FENCE.sub("", text_of(page)))


def all_strings() -> Iterator[tuple[Path, ast.AST, str]]:
    """Each text of the program, and what it is in."""
    for file in sorted((ROOT / "edge").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield file, node, node.value


# --- links


def anchors(page: str) -> set[str]:
    """As they are made of headings by those who show Markdown."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere():
    wrong = []
    for page in OURS:
        folder = ROOT if page == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            file = (folder / path).resolve() if path else folder / page
            name = "README.md" if file.name == "README.md" else file.name
            if not file.exists() or (anchor and anchor not in anchors(name)):
                wrong.append(f"{page}: {target}")
    assert wrong == []


def test_every_page_is_reached_from_the_readme():
    reached, rest = set(), ["README.md"]
    while rest:
        page = rest.pop()
        if page in reached or not page.endswith(".md"):
            continue
        reached.add(page)
        rest += [
            Path(target.partition("#")[0]).name for target in re.findall(r"\]\(([^):\s]+\.md[^)\s]*)\)", prose(page))
        ]
    assert {file.name for file in (ROOT / "docs").glob("*.md")} <= reached


def test_every_file_of_the_repository_that_is_named_is_there():
    named = {
        (page, name)
        for page in OURS
        for name in re.findall(r"(?<![\w/.-])((?:systemd|tools|edge|docs|tests)/[\w./-]+\w)", text_of(page))
    }
    assert [(page, name) for page, name in sorted(named) if not (ROOT / name).exists()] == []


# --- commands and keys


@pytest.mark.parametrize("page", ["README.md", *WRITTEN])
def test_every_block_of_commands_is_in_a_scene(page):
    """Else nobody would run it (`test_pages.py`)."""
    (before, *_) = scenes(page)
    assert [step.at for step in before.steps if isinstance(step, Block) and step.kind in ("console", "sh")] == []


def test_blocks_have_a_kind_that_is_known():
    kinds = {
        block.kind for page in WRITTEN for scene in scenes(page) for block in scene.steps if isinstance(block, Block)
    }
    assert kinds <= {"console", "sh", "toml", "ini", ""}


@pytest.mark.parametrize("page", OURS)
def test_commands_in_the_text_are_commands(page):
    """Those of console blocks are run; these are only understood."""
    parser = build_parser()
    for line in re.findall(r"`((?:sudo )?edge [^`]+)`", prose(page)):
        words = joined(shlex.split(line.removeprefix("sudo "))[1:])
        if words[0].isupper() or "…" in line:
            continue
        try:
            parser.parse_args(words)
        except CommandError as error:
            # `edge queue show`: the command as such
            assert "are required" in str(error), f"{page}: `{line}`: {error} {error.hint}"


@pytest.mark.parametrize("page", OURS)
def test_lines_of_a_terminal_fit_on_80_columns(page):
    """What `edge check` and the log say is as long as it is: a terminal breaks it."""
    long = re.compile(r"^(/etc/edge/edge\.toml|\{)")
    lines = [line for block in blocks(page, "console") for line in block.text.splitlines()]
    assert [line for line in lines if len(line) > WIDTH and not long.match(line)] == []


def toml_blocks() -> list:
    return [(page, block) for page in OURS for block in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "block"), toml_blocks(), ids=[f"{page}:{block.at}" for page, block in toml_blocks()])
def test_toml_of_the_pages_is_valid(page, block, tmp_path):
    if "[fields]" in block.text:
        import tomllib

        parse_profile(tomllib.loads(block.text), f"{page}:{block.at}")
        return
    text = block.text if "[site]" in block.text else f"{BASE}{block.text}"
    file = tmp_path / "edge.toml"
    file.write_text(text)
    for name in re.findall(r'password_file = "([^"]+)"', text):
        (tmp_path / name).write_text("0123456789abcdef0123")
        (tmp_path / name).chmod(0o640)
    for name in re.findall(r'profile = "\./([^"]+)"', text):
        (tmp_path / name).write_text(profile_of_the_page(name))
    missing = re.findall(r'(?:cert|key|ca)_file = "([^"]+)"', text)
    _, problems = check(file, known_profiles=frozenset(profile_names()), read_profile=meter_model)
    wrong = [str(one) for one in problems if not any(name in str(one) for name in missing)]
    assert [one for one in wrong if "password_file" not in one or page != "tls.md"] == []


def profile_of_the_page(name: str) -> str:
    return next(
        block.text for page in OURS for block in blocks(page, "toml") if block.note("file") == f"/etc/edge/{name}"
    )


def test_keys_of_the_configuration_in_the_text_are_keys():
    """`key = value` in running text: the key is one of the file, or of a meter profile."""
    known = set(re.findall(r"^\| `(\w+)`", text_of("configuration.md"), re.MULTILINE))
    known |= set(re.findall(r"^\| `(\w+)`", text_of("meter-profiles.md"), re.MULTILINE))
    for page in WRITTEN:
        for key in re.findall(r"`(\w+) = [^`]+`", prose(page)):
            assert key in known, f"{page}: {key}"


# --- words of the program


def test_every_alarm_of_the_program_is_explained_and_no_other():
    raised = set()
    for file in sorted((ROOT / "edge").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Alarm":
                (code, *_) = node.args
                assert isinstance(code, ast.Constant), f"{file}:{node.lineno}: an alarm whose code cannot be looked up"
                raised.add(code.value)
    table = text_of("operation.md").split("## Alarms")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == sorted(raised)


def test_the_levels_of_the_store_are_those_of_the_program():
    table = text_of("operation.md").split("### The store is filling")[1].split("\n### ")[0]
    rows = dict(re.findall(r"^\| (green|yellow|orange|red) \| ?(\d*)", table, re.MULTILINE))
    assert rows == {"green": ""} | {level.name.lower(): f"{100 * share:.0f}" for level, share in BEGINS_AT.items()}
    assert set(rows) == {level.name.lower() for level in Level}


def test_what_the_program_is_said_to_say_it_says():
    """In tables headed `… says`, what is in backticks stands in a text of the program, or of the system."""
    of_the_system = {"address already in use", "cannot assign requested address"}
    texts = {text for _, _, text in all_strings()}
    found = 0
    for page in OURS:
        for table in re.findall(r"(?m)^\|[^|\n]*says \|.*\n(?:\|.*\n)+", text_of(page)):
            for row in table.splitlines()[2:]:
                for words in re.findall(r"`([^`]+)`", row.split("|")[1]):
                    found += 1
                    assert words in of_the_system or any(words in text for text in texts), f"{page}: {words!r}"
    assert found > 10


def test_what_a_meter_profile_may_say_is_explained_and_nothing_else():
    source = (ROOT / "edge/site/profiles.py").read_text(encoding="utf-8")
    allowed = set(re.findall(r"_KEYS = \((.*?)\)", source, re.DOTALL)[0].replace('"', "").replace(",", " ").split())
    for words in re.findall(r"\.allow\(([^)]*)\)", source):
        allowed |= set(re.findall(r'"(\w+)"', words))
    documented = set(re.findall(r"^\| `(\w+)`", text_of("meter-profiles.md"), re.MULTILINE))
    from edge.site.registers import PER_METER, PER_PHASE

    assert documented == allowed | set(PER_PHASE) | set(PER_METER)


def test_the_pages_speak_of_the_clouds_address_that_is_turned_into_the_simulators():
    assert CLOUD in text_of("first-charger.md")


def test_the_meter_profiles_that_come_with_the_program_are_listed():
    table = text_of("meter-profiles.md").split("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE) == list(profile_names())

"""The pages for people, taken apart: scenes, and in each the steps that a reader carries out, one after the other.

What a page needs to be played stands in it as comments, which no reader sees:

    <!-- scene: a depot in operation -->     what is there when the scene begins (`depot.py`)
    <!-- then: a car charges at CP-01 -->    what happens before the next block
    <!-- file: /etc/edge/edge.toml -->       the next block is this file from now on; `added to:`, its end
    <!-- exit: 1 -->                         with which code the last command of the next block ends (else 0)
    <!-- typed: y -->                        what somebody types while the next block runs; ^C is Ctrl-C
    <!-- let: 42 = the parked message -->    what a number of the next block's commands stands for
    <!-- not run: it wants a charger -->     the next block is only looked at

A block of `console` has commands behind `$ ` with what they print below; one of `sh` commands alone. In what is printed
`…` stands for any words, be it alone on its line or not, and within a word for any characters.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITTEN = ("installation.md", "first-charger.md", "first-meter.md", "operation.md", "firmware.md")
"""Pages whose commands are run."""
WIDTH = 80

_NOTE = re.compile(r"<!-- (scene|then|file|added to|exit|typed|let|not run): (.+?) -->")
_FENCE = re.compile(r"(?P<indent> *)```(?P<kind>\w*)")


@dataclass(frozen=True, slots=True)
class Command:
    line: str
    """As it is typed; a line that goes on after a backslash is one."""
    shown: tuple[str, ...]
    """What the page shows below it; empty: it shows nothing of it."""


@dataclass(frozen=True, slots=True)
class Block:
    at: int
    """Line in the page."""
    kind: str
    text: str
    notes: tuple[tuple[str, str], ...] = ()

    def note(self, name: str) -> str | None:
        return next((value for key, value in self.notes if key == name), None)

    @property
    def lets(self) -> list[tuple[str, str]]:
        """(What stands in the page, what it stands for)."""
        pairs = [value.split(" = ", 1) for key, value in self.notes if key == "let"]
        return [(written, meant) for written, meant in pairs]

    @property
    def commands(self) -> list[Command]:
        return list(_commands(self.text, self.kind == "console"))


@dataclass(frozen=True, slots=True)
class Then:
    at: int
    what: str


Step = Block | Then


@dataclass(slots=True)
class Scene:
    page: str
    name: str
    """What it begins with; empty: what stands before the first scene of the page."""
    heading: str = ""
    steps: list[Step] = field(default_factory=list)


def text_of(page: str) -> str:
    return (ROOT / page if page == "README.md" else ROOT / "docs" / page).read_text(encoding="utf-8")


def scenes(page: str) -> list[Scene]:
    return take_apart(page, text_of(page))


def take_apart(page: str, text: str) -> list[Scene]:
    found = [Scene(page, "")]
    notes: list[tuple[str, str]] = []
    heading = ""
    lines = enumerate(text.splitlines(), start=1)
    for at, line in lines:
        if note := _NOTE.fullmatch(line.strip()):
            name, value = note[1], note[2]
            if name == "scene":
                found.append(Scene(page, value, heading))
            elif name == "then":
                found[-1].steps.append(Then(at, value))
            else:
                notes.append((name, value))
        elif line.lstrip().startswith("<!--") and not line.lstrip().startswith("<!-- Written by"):
            raise ValueError(f"{page}:{at}: a comment that nobody understands: {line.strip()}")
        elif fence := _FENCE.fullmatch(line):
            indent = len(fence["indent"])
            content = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                content.append(inner[indent:])
            else:
                raise ValueError(f"{page}:{at}: a block without an end")
            found[-1].steps.append(Block(at, fence["kind"], "\n".join(content), tuple(notes)))
            notes = []
        elif line.startswith("#"):
            heading = line.lstrip("# ")
        elif notes and line.strip():
            raise ValueError(f"{page}:{at}: {notes[-1]} stands before text, not before a block")
    return found


def blocks(page: str, kind: str) -> list[Block]:
    return [step for scene in scenes(page) for step in scene.steps if isinstance(step, Block) and step.kind == kind]


def _commands(text: str, has_output: bool) -> Iterator[Command]:
    line, shown, goes_on = "", [], False
    for each in text.splitlines():
        if goes_on:
            line, goes_on = f"{line} {each.strip()}", False
        elif has_output and not each.startswith("$ "):
            if not line:
                raise ValueError(f"a console block begins with '$ ', not with {each!r}")
            shown.append(each)
            continue
        elif not each.strip() or each.lstrip().startswith("#"):
            continue
        else:
            if line:
                yield Command(line, _trimmed(shown))
            line, shown = each.removeprefix("$ ") if has_output else each, []
        if line.endswith("\\"):
            line, goes_on = line[:-1].rstrip(), True
    if line:
        yield Command(line, _trimmed(shown))


def _trimmed(lines: list[str]) -> tuple[str, ...]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return tuple(lines)

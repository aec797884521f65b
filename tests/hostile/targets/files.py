"""The bytes of a configuration file → a `Config`, or problems that each fit on one line and name a line of the file."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random

from edge.config import Config, check
from tests.hostile.fuzzing import Escape, Tally
from tests.hostile.mutation import ODD_VALUES, broken, damaged

LONGEST_PROBLEM = 2000
"""Characters, beside the names that stand in the file."""
_TOML_VALUES = (
    "1", "0", "-1", "2.5", "nan", "-inf", "9" * 400, "0x7f", "0b1", "1_000", "true", "2026-11-21", "07:32:00",
    "2026-11-21T07:32:00Z", '""', "''", "[]", "{}", "[[]]", '[1, "x", {}]', '{ id = "x" }', "{ a.b = 1, c = [2] }",
    '[{ id = "main" }, 3]', r'"\u0000"', r'"\uFFFF\u202E"', r'"\ud800"', '"' + "x" * 5000 + '"', '"/"', '"."', '".."',
    '"$CREDENTIALS_DIRECTORY/"', '"ws://[/"', '"wss://a:b@c:99999/"', '"tcp://[::]:1"', '"tcp://:0"', '"rtu:///dev/x"',
    '"main"', '"hall-a"', '"0.0.0.0:0"', '"[::]:65536"', '"a:b"', "'''\n'''", '"""\n\n"""', '"/dev/null"', '"L1L2"',
    '"/proc/self/mem"', '"/etc/shadow"', "[" * 2000, '"\x7f"', '"\u00e9"',
)  # fmt: skip


@cache
def _seeds() -> tuple[str, ...]:
    """The full file of the tests of `edge.config`, in whole and table by table."""
    source = Path(__file__).parents[2] / "config" / "conftest.py"
    full = source.read_text().split('FULL = """\\\n')[1].split('"""')[0]
    tables = re.split(r"(?m)^(?=\[)", full)
    least = '[site]\nid = "depot"\n[[listener]]\naddress = "127.0.0.1:0"\nsecurity_profile = 0\n'
    return (full, full, least, *(least + table for table in tables if table.startswith("[")))


@cache
def _words() -> tuple[str, ...]:
    return tuple(re.findall(r'\[\[?\w+\]\]?|"[^"]*"|[\w.]+|\n', _seeds()[0]))


class Files:
    name = "configuration"
    batch = 250
    is_fresh_each_time = True

    def inputs(self, chance: Random) -> Iterator[bytes]:
        while True:
            lines = chance.choice(_seeds()).splitlines()
            for _ in range(chance.choice((1, 1, 2, 3))):
                _spoil(lines, chance)
            text = "\n".join(lines)
            if chance.random() < 0.15:
                text = broken(text, chance)
            data = text.encode("utf-8", "surrogatepass")
            yield damaged(data, chance) if chance.random() < 0.15 else data

    def feed(self, inputs: Iterable[bytes], tally: Tally) -> None:
        memory = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            file = Path(folder) / "edge.toml"
            for data in inputs:
                tally.begin(data)
                file.write_bytes(data)
                tally.end(accepted=_judge(file, data))


def _spoil(lines: list[str], chance: Random) -> None:
    if not lines:
        return
    at = int(chance.random() * len(lines))
    key, equals, _ = lines[at].partition(" = ")
    kind = int(chance.random() * 8)
    if kind < 3 and equals:
        lines[at] = f"{key} = {chance.choice(_TOML_VALUES if chance.random() < 0.8 else ODD_VALUES)}"
    elif kind == 3:
        lines.insert(at, lines[int(chance.random() * len(lines))])
    elif kind == 4:
        del lines[at]
    elif kind == 5:
        lines[at] = lines[at].replace(chance.choice(_words()), chance.choice(_words()), 1)
    elif kind == 6:
        lines.insert(at, chance.choice(("[[charger]]", "[site]", "[a.b.c]", '["".""]', "[[meter]]", "=", "x", '"" = 1', "a.b = 1", "[[site]]", "[uplink.x]", "id = 1")))  # fmt: skip
    else:
        lines[at] = broken(lines[at], chance)


def _judge(file: Path, data: bytes) -> bool:
    config, problems = check(file, known_profiles=("eastron-sdm630",))
    errors = [problem for problem in problems if not problem.warning]
    if config is None and not errors:
        raise Escape("neither a configuration nor a reason")
    if config is not None and not isinstance(config, Config):
        raise Escape(f"no configuration: {config!r}")
    lines = data.count(b"\n") + 1
    for problem in problems:
        said = str(problem)
        if len(said.splitlines()) != 1 or not said.isprintable() or len(said) > LONGEST_PROBLEM + 2 * len(data):
            raise Escape(f"no problem that can be printed: {said[:300]!a}")
        if problem.line is not None and not 1 <= problem.line <= lines:
            raise Escape(f"line {problem.line} of {lines}")
    return config is not None


CONFIGURATION = Files()

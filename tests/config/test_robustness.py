"""No content of a file raises anything but ConfigurationError, and every problem can be printed on one line."""

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config, ConfigurationError, check, load

FULL = (Path(__file__).parent / "conftest.py").read_text().split('FULL = """\\\n')[1].split('"""')[0]
WORDS = re.findall(r'\[\[?\w+\]\]?|"[^"]*"|[\w.]+|\n', FULL)
VALUES = [
    "1", "0", "-1", "2.5", "nan", "-inf", "9" * 400, "true", "2026-11-21", "07:32:00", '""', "''", "[]", "{}", "[[]]",
    '[1, "x", {}]', '{ id = "x" }', '[{ id = "main" }, 3]', r'"\u0000"', r'"\uFFFF\u202E"', '"' + "x" * 5000 + '"',
    '"/"', '"."', '"$CREDENTIALS_DIRECTORY/"', '"ws://[/"', '"tcp://[::]:1"', '"main"', '"hall-a"', "= 1", "]", "[a]",
]  # fmt: skip

many = settings(max_examples=100, deadline=None)  # the first example imports cattrs


def check_bytes(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edge.toml"
        path.write_bytes(content)
        config, problems = check(path, known_profiles=("eastron-sdm630",))
        assert config is not None or any(not problem.warning for problem in problems)
        for problem in problems:
            assert problem.line is None or 1 <= problem.line <= content.count(b"\n") + 1
            assert len(str(problem).splitlines()) == 1
        try:
            assert isinstance(load(path), Config)
        except ConfigurationError as failed:
            assert failed.problems != ()  # noqa: PT017 - either outcome is right


@many
@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_a_configuration_error(content):
    check_bytes(content)


@many
@given(st.lists(st.tuples(st.integers(0, len(FULL.encode())), st.integers(0, 20), st.binary(max_size=6)), max_size=4))
def test_a_file_with_damaged_bytes_is_a_configuration_or_a_configuration_error(damages):
    content = FULL.encode()
    for start, length, replacement in damages:
        content = content[:start] + replacement + content[start + length :]
    check_bytes(content)


@many
@given(
    st.lists(
        st.tuples(st.integers(0, len(WORDS) - 1), st.one_of(st.sampled_from(VALUES), st.sampled_from(WORDS))),
        min_size=1,
        max_size=4,
    )
)
def test_a_file_with_words_in_the_wrong_place_is_a_configuration_or_a_configuration_error(replacements):
    text = FULL
    for number, word in replacements:
        text = text.replace(WORDS[number], word, 1 + number % 3)
    check_bytes(text.encode())


@many
@given(st.lists(st.tuples(st.integers(0, 80), st.sampled_from(VALUES)), min_size=1, max_size=6))
def test_a_file_with_values_of_other_kinds_is_a_configuration_or_a_configuration_error(replacements):
    lines = FULL.splitlines()
    for number, value in replacements:
        key, equals, _ = lines[number % len(lines)].partition(" = ")
        if equals:
            lines[number % len(lines)] = f"{key} = {value}"
    check_bytes("\n".join(lines).encode())


@many
@given(st.lists(st.sampled_from(FULL.splitlines()), max_size=40))
def test_a_file_with_lines_in_another_order_is_a_configuration_or_a_configuration_error(lines):
    check_bytes("\n".join(lines).encode())


@many
@given(
    st.dictionaries(
        st.sampled_from(
            ["site", "listener", "uplink", "store", "chargers", "charger", "circuit", "meter", "api", "sessions"]
        ),
        st.sampled_from(VALUES[:-3]),
    )
)
def test_a_file_with_other_values_for_tables_is_a_configuration_or_a_configuration_error(tables):
    check_bytes("\n".join(f"{name} = {value}" for name, value in tables.items()).encode())

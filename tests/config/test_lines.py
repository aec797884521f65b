import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.config.lines import index

DOCUMENT = '''\
# comment = 1
title = "x" # = [
[a]
b.c = 1
"quoted \\u0065.key" = 'literal # " ]'

  [a.d]
  text = """
  [no.table]
  no = "key" \\""" ""
"""
  other = \'\'\'
[[no]]\'\'\'
list = [ # comment ]
  1,
  [ "]", 2 ], { x = 1, y.z = [
    3 ] },
]
at = 1979-05-27 07:32:00
[[e]]
f = 1
[[e.g]]
h = 1
[[e.g]]
h = 2
[e.i]
j = 1
[[e]]
[[e.g]]
h = 3
[k.l.m]
'''


def test_every_key_has_the_line_on_which_it_stands():
    assert index(DOCUMENT) == {
        ("title",): 2,
        ("a",): 3,
        ("a", "b"): 4,
        ("a", "b", "c"): 4,
        ("a", "quoted e.key"): 5,
        ("a", "d"): 7,
        ("a", "d", "text"): 8,
        ("a", "d", "other"): 12,
        ("a", "d", "list"): 14,
        ("a", "d", "list", 0): 15,
        ("a", "d", "list", 1): 16,
        ("a", "d", "list", 1, 0): 16,
        ("a", "d", "list", 1, 1): 16,
        ("a", "d", "list", 2): 16,
        ("a", "d", "list", 2, "x"): 16,
        ("a", "d", "list", 2, "y"): 16,
        ("a", "d", "list", 2, "y", "z"): 16,
        ("a", "d", "list", 2, "y", "z", 0): 17,
        ("a", "d", "at"): 19,
        ("e",): 20,
        ("e", 0): 20,
        ("e", 0, "f"): 21,
        ("e", 0, "g"): 22,
        ("e", 0, "g", 0): 22,
        ("e", 0, "g", 0, "h"): 23,
        ("e", 0, "g", 1): 24,
        ("e", 0, "g", 1, "h"): 25,
        ("e", 0, "i"): 26,
        ("e", 0, "i", "j"): 27,
        ("e", 1): 28,
        ("e", 1, "g"): 29,
        ("e", 1, "g", 0): 29,
        ("e", 1, "g", 0, "h"): 30,
        ("k",): 31,
        ("k", "l"): 31,
        ("k", "l", "m"): 31,
    }


def paths(value, path=()):
    """Of everything in a parsed document."""
    for step, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield (*path, step)
        yield from paths(inner, (*path, step))


keys = st.sampled_from(["a", "b", "c.d", '"e f"', "'g.h'", r'"\u0069"'])
strings = st.sampled_from(['"x"', r'"\""', "'#'", '"""x\ny\\""""', "'''x\n'y''''", '""""""', '"""a"""""', "''"])
scalars = st.one_of(strings, st.sampled_from(["1", "-1.5e3", "true", "inf", "07:32:00", "1979-05-27 07:32:00Z"]))
blanks = st.sampled_from(["", " ", "\n", "# ]}\n", "\r\n\t"])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(lambda items, blank: f"[{blank}{f'{blank},{blank}'.join(items)}{blank}]", st.lists(inner), blanks),
        st.lists(st.tuples(keys, inner), unique_by=lambda pair: pair[0]).map(
            lambda pairs: "{ " + " , ".join(f"{key} = {value}" for key, value in pairs) + " }"
        ),
    ),
    max_leaves=8,
)
statements = st.one_of(
    st.builds(lambda key, value: f"{key} = {value}", keys, values),
    keys.map(lambda key: f"[ {key} ] # [x]"),
    keys.map(lambda key: f"[[{key}]]"),
    st.builds(lambda outer, key: f"[{outer}.{key}]", keys, keys),
    st.builds(lambda outer, key: f"[[{outer} . {key}]]", keys, keys),
)


@given(st.lists(statements, max_size=12))
@example([DOCUMENT])
def test_the_index_knows_exactly_the_paths_of_the_document(lines):
    accepted: list[str] = []
    for line in lines:  # leave out what contradicts the lines before
        try:
            tomllib.loads("\n".join([*accepted, line]))
        except tomllib.TOMLDecodeError:
            continue
        accepted.append(line)
    text = "\n".join(accepted)

    assert set(index(text)) == set(paths(tomllib.loads(text)))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_are_counted_alike_with_both_line_ends(end):
    assert index(f"a = 1{end}{end}b = '''{end}'''{end}c = 1") == {("a",): 1, ("b",): 3, ("c",): 5}

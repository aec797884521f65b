import copy
import tomllib
from importlib import resources

import pytest

from edge.site.profiles import ProfileInvalid, load_profile, parse_profile, profile_from, profile_names
from edge.site.registers import Group
from edge.site.requests import plan

FILES = resources.files("edge.site").joinpath("meters")


def document_of(name: str) -> dict:
    return tomllib.loads(FILES.joinpath(f"{name}.toml").read_text(encoding="utf-8"))


@pytest.fixture
def sdm630_document() -> dict:
    return document_of("eastron-sdm630")


@pytest.mark.parametrize("name", profile_names())
def test_each_profile_decodes_its_golden_vector_and_the_vector_covers_each_value(name):
    profile = load_profile(name)  # refuses a profile that contradicts its vector
    assert profile.id == name
    assert set(document_of(name)["golden"]["expect"]) == {value.name for value in profile.values}


def test_the_sdm630_is_read_with_one_request_a_second():
    blocks = plan(load_profile("eastron-sdm630"))
    assert [(b.function_code, b.address, b.count) for b in blocks[Group.FAST]] == [(4, 0, 54)]
    assert [(b.function_code, b.address, b.count) for b in blocks[Group.SLOW]] == [(4, 70, 6)]


def test_a_technician_can_bring_his_own_profile(tmp_path):
    own = tmp_path / "mine.toml"
    own.write_text(
        'id="mine"\nvendor="x"\nmodels=[]\nquality="unverified"\nphases=1\n[read]\nfc=3\n[fields]\np={a=[7],t="i32",k=0.1,n=true,wo="little"}\n'
    )
    profile = load_profile(str(own))
    assert profile.id == "mine"
    assert profile.values[0].scale == -0.1


@pytest.mark.parametrize("key", ["23296", '"23296"', "0x5B00", "0x5b00"])
def test_the_addresses_of_an_example_are_written_as_a_manual_does(key):
    text = (
        'id="m"\nvendor="x"\nmodels=[]\nquality="unverified"\nphases=1\n[read]\nfc=3\n'
        f'[fields]\nu={{a=[0x5B00],t="u16"}}\n[golden.regs]\n{key} = [230]\n[golden.expect]\nu1 = '
    )
    assert profile_from(text + "230", "m.toml").id == "m"
    with pytest.raises(ProfileInvalid, match="m.toml: golden.expect.u1: 231 expected, but the registers give 230"):
        profile_from(text + "231", "m.toml")


def test_an_unknown_profile_names_those_that_exist():
    with pytest.raises(ProfileInvalid, match="no meter profile 'eastron'; there are .*eastron-sdm630"):
        load_profile("eastron")


def test_a_file_that_is_missing_or_not_toml_is_named(tmp_path):
    with pytest.raises(ProfileInvalid, match="gone.toml: cannot be read: .*No such file"):
        load_profile(str(tmp_path / "gone.toml"))
    (tmp_path / "bad.toml").write_text("id = ")
    with pytest.raises(ProfileInvalid, match="bad.toml: not TOML: "):
        load_profile(str(tmp_path / "bad.toml"))


MISTAKES = [
    (("id",), None, "m.toml: id: expected a name, it is missing"),
    (("phases",), 4, "m.toml: phases: expected a whole number from 1 to 3, found 4"),
    (("phases",), True, "m.toml: phases: expected a whole number from 1 to 3, found True"),
    (
        ("quality",),
        "good",
        "m.toml: quality: expected one of unverified, single-source, cross-checked, hardware, found 'good'",
    ),
    (("baud",), 9600, "m.toml: baud: unknown; expected one of id, vendor, "),
    (("fields",), None, "m.toml: fields: expected a table, it is missing"),
    (("read", "max_read"), 126, "m.toml: read.max_read: expected a whole number from 1 to 125, found 126"),
    (("read", "max_read"), 1, "m.toml: read.max_read: u1 alone has 2 registers"),
    (("read", "min_gap_ms"), -1, "m.toml: read.min_gap_ms: expected a number from 0 to 10000, found -1"),
    (("read", "turnaround_ms"), 1e6, "m.toml: read.turnaround_ms: expected a number from 0 to 10000, found 1000000"),
    (("max_current",), -5, "m.toml: max_current: expected 0 or more, found -5"),
    (("fields", "u", "k"), float("nan"), "m.toml: fields.u.k: expected a number, found nan"),
    (("fields", "u", "k"), 0, "m.toml: fields.u.k: expected a number other than 0, which would make a reading of any"),
    (
        ("identify", "expect"),
        [{"a": 0, "t": "f32", "min": 300, "max": 80}],
        "m.toml: identify.expect[1].max: expected 300 or more, found 80",
    ),
    (("read", "min_gap_ms"), "1", "m.toml: read.min_gap_ms: expected a number, found '1'"),
    (("read", "word_order"), "middle", "m.toml: read.word_order: expected one of big, little, found 'middle'"),
    (("read", "fc"), None, "m.toml: read.fc: expected a whole number from 3 to 4, it is missing"),
    (("fields", "u", "fc"), 5, "m.toml: fields.u.fc: expected a whole number from 3 to 4, found 5"),
    (
        ("fields", "u", "t"),
        "f16",
        "m.toml: fields.u.t: expected one of i16, u16, i32, u32, i64, u64, f32, f64, found 'f16'",
    ),
    (("fields", "u", "a"), [0, 2], "m.toml: fields.u.a: expected a list of 3 addresses, L1 first, found [0, 2]"),
    (("fields", "u", "a"), [0, 2, 70000], "m.toml: fields.u.a: expected a list of 3 addresses, L1 first, found"),
    (("fields", "i", "a"), [5, 8, 10], "m.toml: fields: u3 at 4 (f32) and i1 at 5 share a register"),
    (("fields", "u", "scale"), 10, "m.toml: fields.u.scale: unknown; expected one of a, sum, minus, t, k"),
    (
        ("fields", "voltage"),
        {},
        "m.toml: fields.voltage: unknown; expected one of u, i, p, p_total, f, e_import, e_export, ct_ratio, vt_ratio",
    ),
    (("fields", "f", "g"), "often", "m.toml: fields.f.g: expected one of fast, slow, found 'often'"),
    (("fields",), {"f": {"a": 70, "t": "f32"}}, "m.toml: fields: expected u, i, p or p_total in the fast group"),
    (("golden", "regs", "x"), [1], "m.toml: golden.regs.x: expected an address as the key, found [1]"),
    (("golden", "regs", "0"), [70000], "m.toml: golden.regs.0: expected a list of 16-bit words, found [70000]"),
    (
        ("golden", "expect", "u1"),
        231.5,
        "m.toml: golden.expect.u1: 231.5 expected, but the registers give 230.5; check address, type, word order",
    ),
    (("golden", "expect", "u4"), 1, "m.toml: golden.expect.u4: 1 expected, but the registers give None"),
]


@pytest.mark.parametrize(
    ("path", "entry", "message"), MISTAKES, ids=lambda each: ".".join(each) if isinstance(each, tuple) else ""
)
def test_a_mistake_in_a_profile_is_refused_with_file_key_and_what_was_expected(sdm630_document, path, entry, message):
    document = copy.deepcopy(sdm630_document)
    table = document
    for key in path[:-1]:
        table = table[key]
    if entry is None:
        del table[path[-1]]
    else:
        table[path[-1]] = entry
    with pytest.raises(ProfileInvalid) as refused:
        parse_profile(document, "m.toml")
    assert str(refused.value).startswith(message)

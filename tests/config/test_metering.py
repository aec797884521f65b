"""What meters, their profiles and circuits have to agree on."""

import pytest

from edge.config.connections import SerialSettings
from edge.config.metering import MeterModel
from edge.domain.ports import EdgeError

MODELS = {
    "sdm630": MeterModel(3, True, SerialSettings(9600, "N", 1)),
    "iem3155": MeterModel(3, True, SerialSettings(19200, "E", 1)),
    "sdm120": MeterModel(1, True, SerialSettings(2400, "N", 1)),
    "sdm72": MeterModel(3, False, SerialSettings(9600, "N", 1)),
}


def read_profile(name: str) -> MeterModel:
    if name not in MODELS:
        raise EdgeError(f"{name}: fields: expected a table, it is missing")
    return MODELS[name]


@pytest.fixture
def problems(checked, minimal):
    """Lines after the smallest file's last one, with the messages that they bring."""

    def of(text: str, **options) -> list[tuple[int, str, str]]:
        options.setdefault("read_profile", read_profile)
        _, found = checked(minimal + text, **options)
        first = minimal.count("\n")
        return [(each.line - first, each.key, each.message) for each in found]

    return of


def meter(name: str, profile: str, connection: str, *more: str, role: str = "sub") -> str:
    keys = (f'id = "{name}"', f'profile = "{profile}"', f'connection = "{connection}"', f'role = "{role}"', *more)
    return "\n".join(["[[meter]]", *keys, ""])


USB = "rtu:///dev/ttyUSB0"


def test_meters_of_one_line_that_are_set_differently_are_refused_with_line_and_both_settings(problems):
    text = meter("a", "sdm630", USB) + meter("b", "iem3155", USB, "unit = 2")
    assert problems(text) == [
        (
            9,
            "meter[b].connection",
            (
                "19200 baud 8E1 on /dev/ttyUSB0, but a speaks 9600 baud 8N1 there; expected all meters of a line to be "
                "set alike: set this one so and write baudrate, parity and stopbits here"
            ),
        )
    ]


def test_what_the_connection_says_counts_more_than_the_profile(problems):
    same = f"{USB}?baudrate=9600&parity=N&stopbits=1"
    assert problems(meter("a", "sdm630", USB) + meter("b", "iem3155", same, "unit = 2")) == []
    assert problems(meter("a", "x", same) + meter("b", "y", f"{USB}?baudrate=9600&parity=E&stopbits=1")) != []


def test_meters_of_different_lines_may_be_set_differently(problems):
    assert problems(meter("a", "sdm630", USB) + meter("b", "iem3155", "rtu:///dev/ttyUSB1")) == []


def test_on_a_serial_line_a_unit_is_1_to_247_and_over_tcp_any_octet(problems):
    assert problems(meter("a", "sdm630", "tcp://h", "unit = 255")) == []
    for connection in (USB, "rtu+tcp://h:1"):
        (found,) = problems(meter("a", "sdm630", connection, "unit = 248"))
        assert found == (6, "meter[a].unit", "expected 1 to 247 on a serial line, got 248")


def test_the_same_unit_read_twice_is_a_remark(problems):
    text = meter("a", "sdm630", "tcp://h:502", "unit = 3") + meter("b", "sdm630", "tcp://h", "unit = 3")
    assert problems(text) == [(10, "meter[b].connection", "the same unit is already read as a; expected another")]


def test_a_meter_has_as_many_phases_as_its_model(problems):
    assert problems(meter("a", "sdm630", USB, 'phases = "L2L3L1"')) == []
    assert problems(meter("a", "sdm120", USB, 'phases = "L3"')) == []
    (found,) = problems(meter("a", "sdm630", USB, 'phases = "L3"'))
    assert found == (6, "meter[a].phases", 'expected 3 phases, as the meter has, got "L3"')
    (found,) = problems(meter("a", "sdm120", USB, 'phases = "L1L2"'))
    assert found == (6, "meter[a].phases", 'expected one phase, as the meter has, got "L1L2"')


def test_a_meter_without_currents_cannot_watch_a_fuse(problems):
    circuit = '[[circuit]]\nid = "main"\nlimit = 63\nmeter = "grid"\n'
    told = problems(meter("grid", "sdm72", "tcp://h", role="grid") + circuit)
    assert (
        9,
        "circuit[main].meter",
        "sdm72 measures no current per phase, which a fuse is about; expected another meter",
    ) in told
    assert problems(meter("grid", "sdm72", "tcp://h", role="grid")) == []


def test_ones_own_profile_is_read_and_what_is_wrong_in_it_is_told(problems, gateway):
    (gateway / "own.toml").write_text("id = 1")
    (found,) = problems(meter("a", "./own.toml", USB))
    assert found[:2] == (3, "meter[a].profile")
    assert found[2].startswith("cannot be used: ")
    assert found[2].endswith("own.toml: fields: expected a table, it is missing")


def test_without_a_reader_of_profiles_only_what_the_file_says_is_judged(problems):
    text = meter("a", "sdm630", USB) + meter("b", "iem3155", USB, "unit = 2") + meter("c", "sdm72", USB, 'phases="L1"')
    assert problems(text, read_profile=None) == []

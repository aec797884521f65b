"""`edge check` and `edge run`, which need no daemon."""

import json

import pytest

from edge.__main__ import read_profile
from edge.console import cli
from edge.console.configuration_check import meter_profiles
from tests.console.canned import edge

GOOD = """\
[site]
id = "depot-7"
name = "Depot Rostock"
timezone = "Europe/Berlin"

[[listener]]
address = "0.0.0.0:8887"
security_profile = 0

[[charger]]
id = "CP-01"

[[charger]]
id = "CP-02"

[[meter]]
id = "grid"
profile = "eastron-sdm630"
connection = "tcp://192.0.2.20:502"

[api]
socket = "edge.sock"
"""
UPLINK = '\n[uplink]\nurl = "ws://csms.example.com/ocpp"\nidentity = "depot-7"\nsecurity_profile = 0\n'


@pytest.fixture
def configuration(folder):
    return folder / "edge.toml"


def test_valid_file_is_summed_up_and_exits_0(configuration, capsys):
    configuration.write_text(GOOD + UPLINK)
    assert edge(["check", "--config", str(configuration)]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[0].startswith(f"{configuration} is valid")
    facts = dict(line.split(maxsplit=1) for line in output.out.splitlines()[2:])
    assert facts["site"] == "Depot Rostock (depot-7), Europe/Berlin"
    assert facts["listener"] == "ws://0.0.0.0:8887/ocpp/IDENTITY, security profile 0"
    assert facts["chargers"] == "2 chargers in the file; others wait to be adopted"
    assert facts["uplink"] == "ws://csms.example.com/ocpp/depot-7, OCPP 1.6, security profile 0"
    assert facts["meter"] == "grid: eastron-sdm630 at tcp://192.0.2.20:502"
    assert facts["socket"] == str(configuration.parent / "edge.sock")


def test_file_without_uplink_says_what_happens_to_the_messages(configuration, capsys):
    configuration.write_text(GOOD)
    assert edge(["check", "--config", str(configuration)]) == 0
    assert "none: everything waits in the queue" in capsys.readouterr().out


def test_every_problem_is_printed_with_its_line_and_the_exit_code_is_2(configuration, capsys):
    configuration.write_text(GOOD.replace("timezone", "timezome").replace("eastron-sdm630", "eastron-sdm63"))
    assert edge(["check", "--config", str(configuration)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"{configuration}:4: " in output.err and f"{configuration}:18: " in output.err
    assert output.err.splitlines()[-1] == f"{configuration} is not valid: 2 errors."


def test_problems_are_one_json_document(configuration, capsys):
    configuration.write_text(GOOD.replace("timezone", "timezome"))
    assert edge(["check", "--config", str(configuration), "--json"]) == 2
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert (found["v"], found["file"], found["valid"], output.err) == (1, str(configuration), False, "")
    errors = [each for each in found["problems"] if each["severity"] == "error"]
    assert [(each["file"], each["line"]) for each in errors] == [(str(configuration), 4)]
    assert set(errors[0]) == {"file", "line", "key", "message", "severity"}


def test_valid_file_is_valid_in_json_whatever_its_warnings(configuration, capsys):
    configuration.write_text(GOOD + '\n[[circuit]]\nid = "main"\nlimit = 250\n')
    assert edge(["check", "--json", "--config", str(configuration)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is True and all(each["severity"] == "warning" for each in found["problems"])


def test_missing_file_exits_2(configuration, capsys):
    assert edge(["check", "--config", str(configuration)]) == 2
    assert str(configuration) in capsys.readouterr().err


OWN_PROFILE = """\
id = "mine"
vendor = "Somebody"
models = ["X1"]
quality = "unverified"
phases = 3
[read]
fc = 3
[fields]
u = { a = [0, 2, 4], t = "f32" }
"""


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        (OWN_PROFILE, None),
        (OWN_PROFILE.replace(", 4]", "]"), "{own}: fields.u.a: expected a list of 3 addresses, L1 first, found [0, 2]"),
        (OWN_PROFILE.replace("[read]", "[reed]"), "{own}: reed: unknown; expected one of id, vendor, models, "),
        ("id", "{own}: not TOML: Expected '=' after a key in a key/value pair (at end of document)"),
        (None, 'no such file "./own.toml"; expected the path of a meter profile'),
    ],
)
def test_a_profile_of_ones_own_counts_from_the_files_folder_and_what_is_wrong_in_it_is_told(
    profile, complaint, configuration, capsys
):
    own = configuration.parent / "own.toml"
    if profile is not None:
        own.write_text(profile)
    configuration.write_text(GOOD.replace('"eastron-sdm630"', '"./own.toml"'))
    handed_in = cli.HandedIn(lambda _: 0, read_profile)
    assert cli.main(["check", "--config", str(configuration)], handed_in) == (0 if complaint is None else 2)
    output = capsys.readouterr()
    if complaint is None:
        assert f"grid: {own} at tcp://192.0.2.20:502" in output.out
    else:
        assert f"{configuration}:18: meter[grid].profile: " in output.err
        assert complaint.format(own=own) in output.err


def test_meter_profiles_that_come_with_the_program_are_known():
    assert "eastron-sdm630" in meter_profiles()


def test_run_hands_the_configuration_to_the_daemon_and_returns_its_exit_code(monkeypatch):
    started: list[str] = []

    def run_daemon(path: str) -> int:
        started.append(path)
        return 7

    assert cli.main(["run"], run_daemon) == 7
    monkeypatch.setenv("EDGE_CONFIG", "/from/environment.toml")
    assert cli.main(["run"], run_daemon) == 7
    assert cli.main(["run", "--config", "/from/option.toml"], run_daemon) == 7
    assert started == ["/etc/edge/edge.toml", "/from/environment.toml", "/from/option.toml"]


def test_run_that_is_interrupted_exits_130(capsys):
    def run_daemon(_: str) -> int:
        raise KeyboardInterrupt

    assert cli.main(["run"], run_daemon) == 130
    assert capsys.readouterr() == ("", "")

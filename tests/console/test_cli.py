"""What a person or a script types, what it gets on stdout and stderr, and the exit code."""

import errno
import json
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from edge.console.arguments import build_parser, parsed, request
from edge.console.cli import socket_path
from edge.console.client import Request, ask, unreachable
from edge.console.errors import CommandError, exit_code
from tests.console.canned import document, edge, on_a_terminal


def requested(*words: str) -> Request:
    return request(parsed(words))


@pytest.mark.parametrize(
    ("words", "args"),
    [
        (["status"], {}),
        (["chargers"], {"charger": None}),
        (["chargers", "CP-01"], {"charger": "CP-01"}),
        (["adopt", "CP-07"], {"charger": "CP-07", "password": None}),
        (["sessions"], {"open": False, "charger": None, "since": None}),
        (["sessions", "--open", "--charger", "CP-01"], {"open": True, "charger": "CP-01", "since": None}),
        (["session", "S42"], {"session": "S42"}),
        (["session", "s042"], {"session": "S42"}),
        (["trace", "S42"], {"subject": "S42", "raw": False, "follow": False}),
        (["trace", "CP-01", "--raw"], {"subject": "CP-01", "raw": True, "follow": False}),
        (["diagnose"], {"subject": None, "since": None}),
        (["diagnose", "S42"], {"subject": "S42", "since": None}),
        (["queue"], {"seq": None}),
        (["queue", "list"], {"seq": None}),
        (["queue", "show", "812"], {"seq": 812}),
        (["uplink"], {}),
        (["uplink", "status"], {}),
        (["outages"], {"since": None}),
        (["meter"], {"meter": None}),
        (["meter", "grid"], {"meter": "grid"}),
        (["start", "CP-01", "--token", "T"], {"charger": "CP-01", "evse": None, "connector": None, "token": "T"}),
        (["start", "CP-01/2", "--token", "T"], {"charger": "CP-01", "evse": 2, "connector": None, "token": "T"}),
        (["start", "CP-01/2/1", "--token", "T"], {"charger": "CP-01", "evse": 2, "connector": 1, "token": "T"}),
        (["stop", "42"], {"session": "S42"}),
        (["forget", "CP-03"], {"charger": "CP-03", "force": False}),
        (["forget", "CP-03", "--force"], {"charger": "CP-03", "force": True}),
        (["replace", "CP-03", "CP-17"], {"old": "CP-03", "new": "CP-17", "password": None, "force": False}),
        (["reset", "CP-01"], {"charger": "CP-01", "hard": False, "force": False}),
        (["reset", "CP-01", "--hard", "--force"], {"charger": "CP-01", "hard": True, "force": True}),
        (["unlock", "CP-01/2"], {"charger": "CP-01", "evse": 2, "connector": None}),
        (["availability", "CP-01", "off"], {"charger": "CP-01", "evse": None, "connector": None, "on": False}),
        (["availability", "CP-01/2/1", "on"], {"charger": "CP-01", "evse": 2, "connector": 1, "on": True}),
        (
            ["trigger", "CP-01", "heartbeat"],
            {"charger": "CP-01", "evse": None, "connector": None, "message": "heartbeat"},
        ),
        (["get"], {"charger": None, "keys": []}),
        (["get", "CP-01"], {"charger": "CP-01", "keys": []}),
        (["get", "CP-01", "A", "B"], {"charger": "CP-01", "keys": ["A", "B"]}),
        (["get", "--station"], {"charger": None, "keys": []}),
        (["get", "A", "--station", "--json"], {"charger": None, "keys": ["A"]}),
        (["set", "CP-01", "A", "-1"], {"charger": "CP-01", "key": "A", "value": "-1", "once": False}),
        (["set", "CP-01", "A", "", "--once"], {"charger": "CP-01", "key": "A", "value": "", "once": True}),
        (["set", "--station", "A", "7"], {"charger": None, "key": "A", "value": "7", "once": False}),
    ],
)
def test_command_line_becomes_its_request(words, args):
    asked = requested(*words)
    assert (asked.command, asked.args, asked.stream) == (words[0], args, False)


@pytest.mark.parametrize(
    ("words", "args"),
    [
        (["status", "--watch"], {"watch": True}),
        (["meter", "grid", "--watch"], {"meter": "grid", "watch": True}),
        (["trace", "S42", "--follow"], {"subject": "S42", "raw": False, "follow": True}),
    ],
)
def test_watch_and_follow_ask_for_the_stream_and_wait_as_long_as_it_takes(words, args):
    assert requested(*words) == Request(words[0], args, stream=True, timeout_s=None)


def test_commands_to_a_charger_wait_45_seconds_and_others_20():
    assert requested("start", "CP-01", "--token", "T").timeout_s == 45.0
    assert requested("stop", "S42").timeout_s == 45.0
    assert requested("status").timeout_s == 20.0


def test_since_is_an_instant_in_utc_whether_written_as_time_or_as_duration():
    assert requested("sessions", "--since", "2026-07-01T08:00").args["since"] == "2026-07-01T06:00:00.000Z"
    assert requested("sessions", "--since", "2026-07-01T08:00:00.25Z").args["since"] == "2026-07-01T08:00:00.250Z"
    assert requested("sessions", "--since", "2026-01-01").args["since"] == "2025-12-31T23:00:00.000Z"
    ages = [requested("sessions", "--since", each).args["since"] for each in ("90s", "15m", "2h", "3d")]
    assert ages == sorted(ages, reverse=True) and all(each.endswith("Z") for each in ages)


def test_password_of_an_adopted_charger_travels_as_base64_without_its_line_end(folder):
    for content in (b"secr\xffet\n", b"secr\xffet\r\n", b"secr\xffet"):
        (folder / "key").write_bytes(content)
        assert requested("adopt", "CP-07", "--password-file", str(folder / "key")).args["password"] == "c2Vjcv9ldA=="


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["stauts"], "invalid choice: 'stauts'"),
        (["session"], "required: ID"),
        (["start", "CP-01"], "required: --token"),
        (["start", "CP-01/x", "--token", "T"], "'CP-01/x' is not CHARGER"),
        (["start", "CP-01/1/1/1", "--token", "T"], "is not CHARGER"),
        (["start", "/1", "--token", "T"], "is not CHARGER"),
        (["sessions", "--since", "yesterday"], "'yesterday' is neither a duration"),
        (["outages", "--since", "last night"], "'last night' is neither a duration"),
        (["outages", "CP-01"], "Unrecognized arguments: CP-01"),
        (["sessions", "--since", "999999999d"], "is neither a duration"),
        (["diagnose", "S42", "S43"], "Unrecognized arguments: S43"),
        (["diagnose", "S42", "--since", "ever"], "'ever' is neither a duration"),
        (["queue", "show", "x"], "invalid int value: 'x'"),
        (["queue", "drop", "x"], "invalid int value: 'x'"),
        (["adopt", "CP-07", "--password-file", "/nonexistent"], "cannot read /nonexistent: No such file"),
        (["status", "--jso"], "Unrecognized arguments: --jso"),
        (["run", "--json"], "Unrecognized arguments: --json"),
        (["--socket", "/x", "run"], "takes its socket from the configuration"),
        (["forget"], "required: ID"),
        (["replace", "CP-03"], "required: NEW"),
        (["reset"], "required: CHARGER"),
        (["unlock", "CP-01/x"], "is not CHARGER"),
        (["availability", "CP-01"], "required: on|off"),
        (["availability", "CP-01", "maybe"], "invalid choice: 'maybe'"),
        (["trigger", "CP-01"], "required: MESSAGE"),
        (["set"], "required: CHARGER KEY VALUE"),
        (["set", "HeartbeatInterval", "60"], "For a key of the station: edge set --station HeartbeatInterval 60"),
        (["set", "CP-01", "A", "1", "2"], "CHARGER KEY VALUE are wanted, not 4 words"),
        (["set", "--station", "A"], "--station takes KEY VALUE, not 1 words"),
        (["set", "--station", "A", "1", "--once"], "--once is for chargers"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong(words, complaint, capsys):
    assert edge(words) == 2
    output = capsys.readouterr()
    assert complaint in output.err and bool(output.out) == ("--json" in words)


def test_wrong_usage_with_json_is_an_error_document_too(capsys):
    assert edge(["session", "--json"]) == 2
    output = capsys.readouterr()
    assert json.loads(output.out)["error"]["code"] == "usage"
    assert output.err.startswith("edge: The following arguments are required: ID.\nTry: edge session --help")


def test_without_a_command_the_help_is_printed_and_the_exit_code_is_2(capsys):
    assert edge([]) == 2
    assert "commands:" in capsys.readouterr().err


def test_version_is_the_installed_one(capsys):
    assert edge(["--version"]) == 0
    assert capsys.readouterr().out == f"edge {version('ocpp-edge')}\n"


COMMANDS = ["run", "check", "status", "uplink", "outages", "meter", "meter probe"]
COMMANDS += ["chargers", "adopt", "forget", "replace", "reset", "unlock", "availability", "trigger"]
COMMANDS += ["get", "set"]
COMMANDS += ["sessions", "session", "start", "stop"]
COMMANDS += ["trace", "diagnose", "queue"]
COMMANDS += ["firmware", "diagnostics"]
COMMANDS += ["backup", "restore"]


def test_help_lists_the_commands_that_work_and_no_other(capsys):
    assert edge(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listing = lines[lines.index("commands:") + 2 : lines.index("examples:") - 1]
    assert [line[4:].split("  ")[0] for line in listing if line[4] != " "] == COMMANDS


@pytest.mark.parametrize("words", [[], *([each] for each in COMMANDS), ["queue", "show"]])
def test_help_fits_80_columns_and_has_an_example(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert edge([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "examples:" in text or len(words) == 2


def test_json_is_printed_exactly_as_the_daemon_sent_it(daemon, capsys):
    sent = '{"v":1, "at" : "x","n":1.50,"ä":"\\u00e4\\ud800"}'.encode()
    daemon.says(sent + b"\n")
    assert edge(["status", "--json"]) == 0
    assert capsys.readouterr().out.encode() == sent + b"\n"


@pytest.mark.parametrize("words", [["--json", "--no-color", "status"], ["status", "--no-color", "--json"]])
def test_global_options_stand_before_or_after_the_command(words, folder, capsys):
    listener = Path(folder / "nobody.sock")
    for order in ([*words, "--socket", str(listener)], ["--socket", str(listener), *words]):
        assert edge(order) == 3
        output = capsys.readouterr()
        assert str(listener) in output.err and json.loads(output.out)["error"]["code"] == "unreachable"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("no_such_session", 4), ("no_such_charger", 4), ("timed_out", 5), ("rejected", 1), ("failed", 1),
        ("unknown_command", 1), ("internal", 1), ("busy", 1), ("usage", 2), ("stopping", 3), ("anything_new", 1),
    ],
)  # fmt: skip
def test_exit_code_follows_from_the_error_code(code, expected, daemon, capsys):
    sent = {"v": 1, "error": {"code": code, "message": "It is so.", "hint": "Do this.\nOr that."}}
    daemon.says(sent)
    assert edge(["session", "S99"]) == expected == exit_code(code)
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "edge: It is so.\nDo this.\nOr that.\n")
    assert edge(["session", "S99", "--json"]) == expected
    output = capsys.readouterr()
    assert json.loads(output.out) == sent and output.err.startswith("edge: It is so.")


def test_request_goes_out_as_one_line_and_the_answer_is_text_for_people(daemon, capsys):
    daemon.says(document("stop-accepted"))
    assert edge(["stop", "S42"]) == 0
    assert daemon.requests == [{"command": "stop", "args": {"session": "S42"}}]
    assert capsys.readouterr().out == "S42: stop accepted.\n"


def test_stream_prints_one_document_per_line_until_the_daemon_closes(daemon, capsys):
    entries = document("trace-session")["entries"]
    daemon.says(*entries)
    assert edge(["trace", "S42", "--follow", "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == entries
    assert daemon.requests[0]["stream"] is True


def test_watch_that_the_daemon_ends_exits_3(daemon, capsys):
    daemon.says(document("status-online"), document("status-online"))
    assert edge(["status", "--watch"]) == 3
    output = capsys.readouterr()
    assert output.out.count("Depot Rostock") == 2 and "\x1b" not in output.out
    assert output.err.startswith("edge: The daemon closed the connection.")


def test_watch_ends_well_when_what_was_watched_is_over(daemon, capsys):
    daemon.says(document("firmware_show-running"), document("firmware_show-failed"))
    assert edge(["firmware", "show", "F1", "--watch"]) == 0
    output = capsys.readouterr()
    assert output.out.count("Rollout F") == 2 and not output.err


def test_watch_on_a_terminal_redraws_and_keeps_to_its_height(daemon):
    tall = document("status-online")
    tall["connectors"] *= 10
    daemon.says(tall, tall)
    _, first, second = on_a_terminal("status", "--watch").split("\x1b[H\x1b[J")
    assert first == second and len(first.splitlines()) == 23 and "more lines" in first


@pytest.mark.parametrize("setting", ["--no-color", "NO_COLOR", "TERM"])
def test_colour_is_for_terminals_and_can_be_switched_off(setting, daemon, monkeypatch):
    daemon.says(document("status-online"))
    assert "\x1b[32maccepted\x1b[0m" in on_a_terminal("status")
    if setting != "--no-color":
        monkeypatch.setenv(setting, "dumb")
    assert "\x1b" not in on_a_terminal("status", *([setting] if setting == "--no-color" else []))


def test_missing_socket_says_where_it_was_looked_for_and_how_to_start_the_daemon(folder, capsys):
    assert edge(["status", "--socket", str(folder / "edge.sock")]) == 3
    text = capsys.readouterr().err
    assert f"there is no socket {folder}/edge.sock" in text
    assert "edge run" in text and "systemctl status edge" in text and "EDGE_SOCKET" in text


def test_dead_socket_says_that_the_daemon_has_ended(folder, capsys):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "edge.sock"))
    dead.close()
    assert edge(["status", "--socket", str(folder / "edge.sock")]) == 3
    assert "it has ended or crashed" in capsys.readouterr().err


def test_socket_without_permission_says_which_group_to_join():
    error = unreachable("/run/edge/edge.sock", PermissionError(errno.EACCES, "Permission denied"))
    assert (error.code, "usermod -aG edge" in error.hint) == ("unreachable", True)
    busy = unreachable("/run/edge/edge.sock", BlockingIOError(errno.EAGAIN, "again"))
    assert "too many clients" in busy.message


def test_socket_path_that_is_too_long_is_not_reachable(capsys):
    assert edge(["status", "--socket", "/tmp/" + "x" * 120]) == 3
    assert "too long" in capsys.readouterr().err


@pytest.mark.parametrize("sent", [b"", b'{"v":1'])
def test_daemon_that_closes_without_a_whole_answer_exits_3(sent, daemon, capsys):
    daemon.says(sent)
    assert edge(["status"]) == 3
    assert "closed the connection" in capsys.readouterr().err


@pytest.mark.parametrize("sent", [b"hello\n", b"[]\n", b"{}\n"])
def test_answer_that_is_no_document_exits_1(sent, daemon, capsys):
    daemon.says(sent)
    assert edge(["status"]) == 1
    assert "The daemon's answer is not" in capsys.readouterr().err


def test_silent_daemon_times_out_with_exit_code_5(folder):
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(folder / "edge.sock"))
    silent.listen()
    with silent, pytest.raises(CommandError) as failure:
        list(ask(str(folder / "edge.sock"), Request("start", {}, timeout_s=0.02)))
    assert exit_code(failure.value.code) == 5 and "did not answer 'start' within 0 s" in failure.value.message


def test_socket_of_the_configuration_is_relative_to_its_folder(folder, capsys):
    (folder / "edge.toml").write_text('[api]\nsocket = "run/edge.sock"\n')
    assert edge(["status", "--config", str(folder / "edge.toml")]) == 3
    assert f"{folder}/run/edge.sock" in capsys.readouterr().err


def test_option_wins_over_environment_and_environment_over_configuration(folder, monkeypatch):
    (folder / "edge.toml").write_text('[api]\nsocket = "/from/configuration"\n')
    monkeypatch.setenv("EDGE_CONFIG", str(folder / "edge.toml"))
    assert socket_path(build_parser().parse_args(["status"])) == "/from/configuration"
    monkeypatch.setenv("EDGE_SOCKET", "/from/environment")
    assert socket_path(build_parser().parse_args(["status"])) == "/from/environment"
    assert socket_path(build_parser().parse_args(["status", "--socket", "/from/option"])) == "/from/option"


@pytest.mark.parametrize("content", [None, "[api", "api = 3", "[api]\nsocket = 3", "[site]\n"])
def test_configuration_that_says_nothing_leaves_the_default_socket(content, folder, monkeypatch):
    monkeypatch.setenv("EDGE_CONFIG", str(folder / "edge.toml"))
    if content is not None:
        (folder / "edge.toml").write_text(content)
    assert socket_path(build_parser().parse_args(["status"])) == "/run/edge/edge.sock"


def test_unreadable_configuration_that_was_asked_for_exits_2(folder, capsys):
    assert edge(["status", "--config", str(folder / "edge.toml"), "--json"]) == 2
    output = capsys.readouterr()
    assert json.loads(output.out)["error"]["code"] == "invalid_configuration"
    assert "No such file or directory" in output.err
    (folder / "edge.toml").write_text("[api")
    assert edge(["status", "--config", str(folder / "edge.toml")]) == 2


def in_a_process(words: list[str], folder: Path, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "EDGE_SOCKET": str(folder / "edge.sock")}
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60, **options)


def test_each_command_is_known_also_when_only_its_subject_is_declared():
    def names(parser):
        return set(parser._subparsers._group_actions[0].choices)

    every = names(build_parser())
    assert len(every) > 20
    for name in every:
        assert name in names(build_parser([name])) < every
    assert not names(build_parser(["--json"]))


@pytest.mark.parametrize(
    "words", [["stauts"], ["chargers", "--open"], ["queue", "retry"], ["stop"], ["stauts", "queue"]]
)
def test_what_is_wrong_is_said_by_the_whole_grammar(words):
    with pytest.raises(CommandError) as of_whole:
        build_parser().parse_args(words)
    with pytest.raises(CommandError) as said:
        parsed(words)
    assert (said.value.message, said.value.hint) == (of_whole.value.message, of_whole.value.hint)


def test_a_word_that_is_a_value_does_not_hide_the_command():
    options = parsed(["--config", "status", "queue"])
    assert (options.config, options.command) == ("status", "queue")


def test_client_loads_nothing_that_is_slow_to_load(daemon, folder):
    daemon.says(document("status-online"))
    done = in_a_process(["-X", "importtime", "-m", "edge", "status"], folder)
    assert done.returncode == 0 and done.stdout.startswith("Depot Rostock")
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "edge.console.render" in loaded
    packages = {name.split(".")[0] for name in loaded}
    slow = {"asyncio", "websockets", "ocpp", "structlog", "sqlite3", "aiosqlite", "cattrs", "attr", "pymodbus"}
    assert not packages & (slow | {"shutil", "lzma", "dataclasses", "inspect", "ssl", "subprocess", "logging"})
    assert not loaded & {"edge.console.grammar_chargers", "edge.console.grammar_messages"}
    assert not loaded & {"edge.config", "edge.domain", "edge.store", "edge.console.server", "edge.daemon"}


def test_broken_pipe_is_quiet(daemon, folder):
    daemon.says(*document("trace-session")["entries"] * 2000)
    script = f"{sys.executable} -m edge trace S42 --follow | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = in_a_process(["-c", f"import subprocess; subprocess.run(['bash', '-c', {script!r}])"], folder)
    assert done.stdout.splitlines() == ["S42 from 21 Nov 2026 06:02:06 CET", "0"]
    assert done.stderr == ""
    script = f"{sys.executable} -m edge session --json 2> /dev/null | true; echo ${{PIPESTATUS[0]}}"
    done = in_a_process(["-c", f"import subprocess; subprocess.run(['bash', '-c', {script!r}])"], folder)
    assert done.stdout in ("0\n", "2\n") and done.stderr == ""

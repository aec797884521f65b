"""`edge meter probe` as a person uses it: words in, text and exit code out, with and without a daemon."""

import asyncio
import json
import os
import pty
import signal
import sys
import termios
from collections.abc import Sequence

import pytest
from serial import Serial
from simulators.meter import MeterSimulator
from simulators.meter_bus import Fault, Image, Meter, MeterBus, golden_image

from edge.__main__ import probe_here
from edge.console import cli
from edge.console.arguments import build_parser
from edge.console.errors import CommandError
from edge.console.grammar_probe import asked, joined
from edge.console.render import printer
from edge.console.table import Page
from edge.probing import Probing, understood
from edge.site.installation import Installation
from tests.console.canned import document, edge
from tests.site.polling import LoopClock, listening

OWN_PROFILE = """\
id = "mine"
vendor = "Somebody"
models = ["X1"]
quality = "unverified"
phases = 1
[read]
fc = 3
[fields]
u = { a = [100], t = "u16", k = 0.1 }
p = { a = [101], t = "i16" }
"""


def requested(*words: str):
    return asked(build_parser().parse_args(joined(("meter", "probe", *words))))


def edge_with_probe(*words: str) -> int:
    """The exit code, in this process, as the real program does it."""

    def run_daemon(_: str) -> int:
        raise AssertionError("no test here may start a daemon")

    return cli.main(["meter", "probe", *words], cli.HandedIn(run_daemon, None, probe_here))


async def edge_process(*words: str, **options) -> tuple[int, str, str]:
    """The exit code, and what was printed on stdout and stderr."""
    process = await started(*words, **options)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def started(*words: str, **options) -> asyncio.subprocess.Process:
    options = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE} | options
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "--socket", "/nonexistent/edge.sock", "meter", "probe", *words, **options
    )


async def on_a_terminal(*words: str) -> tuple[int, str]:
    """The exit code, and what a terminal of 80 columns is sent."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = await started(*words, stdout=theirs, stderr=theirs)
    os.close(theirs)
    printed, is_over = bytearray(), asyncio.Event()

    def readable() -> None:
        try:
            printed.extend(os.read(ours, 65536))
        except OSError:  # EIO: the program has ended
            asyncio.get_running_loop().remove_reader(ours)
            is_over.set()

    asyncio.get_running_loop().add_reader(ours, readable)
    code = await process.wait()
    await is_over.wait()
    os.close(ours)
    return code, printed.decode().replace("\r\n", "\n")


def line_of(*units: int, fault: Fault | None = None) -> MeterBus:
    meters = {}
    for unit in units:
        meter = MeterSimulator()
        meter.set(power_w=(1000.0 * unit, 500.0, -200.0), energy_import_wh=1_000_000.0)
        meters[unit] = Meter(meter, fault)
    return MeterBus(meters).open_serial()


# ── the words ─────────────────────────────────────────────────────────────────────────────────


def test_the_command_line_is_understood(tmp_path):
    assert requested("tcp://192.0.2.20") == {
        "address": "tcp://192.0.2.20",
        "units": None,
        "baudrates": None,
        "profile": None,
        "profile_text": None,
        "within_s": 60.0,
    }
    assert requested("rtu:///dev/ttyUSB0", "--units", "1-3,126", "--baudrates", "9600,19200", "--within", "5m") == {
        "address": "rtu:///dev/ttyUSB0",
        "units": [1, 2, 3, 126],
        "baudrates": [9600, 19200],
        "profile": None,
        "profile_text": None,
        "within_s": 300.0,
    }
    assert requested("rtu:///dev/ttyUSB0")["within_s"] == 180.0
    assert requested("tcp://h", "--unit", "7", "--profile", "abb-ab")["profile"] == "abb-ab"


def test_a_profile_of_ones_own_travels_with_its_text_and_full_name(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(OWN_PROFILE)
    monkeypatch.chdir(tmp_path)
    for written in ("mine.toml", "./mine.toml"):
        said = requested("tcp://h", "--profile", written)
        assert (said["profile"], said["profile_text"]) == (str(tmp_path / "mine.toml"), OWN_PROFILE)


@pytest.mark.parametrize("words", [["--json", "meter", "probe", "tcp://h"], ["meter", "probe", "tcp://h", "--json"]])
def test_global_options_stand_before_or_after_the_command(words):
    options = build_parser().parse_args(joined(words))
    assert (options.command, options.address, options.json) == ("meter probe", "tcp://h", True)


WRONG = [
    ([], "required: ADDRESS"),
    (["192.0.2.20"], "'192.0.2.20' is no address of a meter: it has to begin with"),
    (["http://h"], '"http://" is not known'),
    (["rtu://ttyUSB0"], "three slashes"),
    (["rtu+tcp://h"], "the gateway's port is missing"),
    (["rtu:///dev/ttyUSB0?speed=3"], 'parameter "speed" is not known'),
    (["tcp://h", "--units", "1-"], "'1-' is not a list of numbers such as 1-16 or 1,3,126"),
    (["tcp://h", "--units", "9-1"], "is not a list of numbers"),
    (["tcp://h", "--units", "0-99999"], "is not a list of numbers"),
    (["tcp://h", "--unit", "256"], "There is no unit 256 there. Units are 0 to 255."),
    (["rtu:///dev/ttyUSB0", "--unit", "0"], "There is no unit 0 there. Units are 1 to 247."),
    (["tcp://h", "--unit", "1", "--units", "2"], "not allowed with argument --unit"),
    (["tcp://h", "--baudrates", "9600"], "--baudrates is for serial ports. A gateway's speed is set in the gateway."),
    (["rtu:///dev/ttyUSB0", "--baudrates", "96"], "96 is no baud rate. They are 300 to 4000000."),
    (["tcp://h", "--profile", "abb"], "no meter profile 'abb'; there are abb-ab, "),
    (["tcp://h", "--profile", "./none.toml"], "cannot read ./none.toml: No such file"),
    (["tcp://h", "--profile", "/dev/zero"], "/dev/zero is no profile: it has more than 16384 characters"),
    (["tcp://h", "--within", "0s"], "'0s' is not a duration such as 30s or 5m"),
    (["tcp://h", "--within", "2d"], "That is no time to search for. It is up to 24 hours."),
    (["tcp://h", "--within", "soon"], "'soon' is not a duration"),
    (["tcp://h", "tcp://i"], "Unrecognized arguments: tcp://i"),
]


@pytest.mark.parametrize(("words", "complaint"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_usage_exits_2_and_says_what_is_wrong(words, complaint, capsys, monkeypatch):
    monkeypatch.setenv("EDGE_SOCKET", "/nonexistent")
    assert edge_with_probe(*words) == 2
    output = capsys.readouterr()
    assert complaint in " ".join(output.err.split())
    assert output.out == ""


def test_a_mistake_in_ones_own_profile_is_told_with_file_and_key(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EDGE_SOCKET", "/nonexistent")
    (tmp_path / "mine.toml").write_text(OWN_PROFILE.replace("phases = 1", "phases = 4"))
    assert edge_with_probe("tcp://h", "--profile", str(tmp_path / "mine.toml"), "--json") == 2
    output = capsys.readouterr()
    assert f"{tmp_path}/mine.toml: phases: expected a whole number from 1 to 3, found 4." in output.err
    assert json.loads(output.out)["error"]["code"] == "usage"


@pytest.mark.parametrize("where", ["/", "./", "../"])
def test_a_daemon_opens_no_file_that_a_client_names(where, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    file = {"/": tmp_path / "in", "./": tmp_path / "in", "../": tmp_path}[where] / "mine.toml"
    file.write_text(OWN_PROFILE)
    named = str(file) if where == "/" else f"{where}mine.toml"
    for name in (named, "mine.toml", "../meters/abb-ab", "abb-ab.toml"):
        with pytest.raises(CommandError, match="no meter profile") as refused:
            understood({"address": "tcp://h", "profile": name})
        assert refused.value.code == "usage"
    assert understood({"address": "tcp://h", "profile": named, "profile_text": OWN_PROFILE}).profiles[0].id == named


async def test_a_pipe_that_is_named_as_a_profile_stops_no_daemon(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(CommandError, match="no meter profile"):
        async for _ in Probing(Installation([], LoopClock(), lambda *_: None), LoopClock()).probe(
            {"address": "tcp://h", "profile": str(tmp_path / "pipe.toml")}
        ):
            pass


HOSTILE = {
    "too long": ("#" * 16_385, "longer than a profile may be"),
    "brackets": ("a = " + "[" * 10_000, "too many brackets"),
    "tables": ("a = " + "{b=" * 5000, "too many brackets"),
    "dots": ("phases = 1\na" + ".a" * 8000 + " = 1", "x.toml:2: more than 100 dots in a line"),
    "digits": ("a = " + "9" * 10_000, "not TOML"),
    "address": (OWN_PROFILE + f"[golden.regs]\n{'9' * 5000} = [1]\n[golden.expect]\n", "an address as the key"),
}


@pytest.mark.parametrize(("text", "complaint"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_profile_that_nobody_wrote_in_good_faith_is_refused(text, complaint):
    with pytest.raises(CommandError, match=complaint):
        understood({"address": "tcp://h", "profile": "./x.toml", "profile_text": text})


# ── without a daemon ──────────────────────────────────────────────────────────────────────────


async def test_what_answers_is_shown_with_the_lines_to_paste():
    async with line_of(1) as bus:
        code, out, err = await edge_process(bus.connection, "--unit", "1")
    assert (code, err) == (0, "")
    connection = f"{bus.connection}?baudrate=9600&parity=N&stopbits=1"
    assert out.splitlines()[0] == f"Unit 1 answers at {connection}."
    assert "power 1.0 kW 500 W -200 W 1.3 kW" in " ".join(out.split())
    assert f'[[meter]]\nid = "meter-1"\nprofile = "eastron-sdm630"\nconnection = "{connection}"\nunit = 1\n' in out


async def test_the_pasted_lines_are_a_valid_configuration(folder):
    async with line_of(1) as bus:
        _, out, _ = await edge_process(bus.connection, "--unit", "1")
    file = folder / "edge.toml"
    pasted = out[out.index("[[meter]]") :]
    file.write_text(
        '[site]\nid = "s"\nname = "S"\ntimezone = "UTC"\n[[listener]]\naddress = "127.0.0.1:0"\nsecurity_profile = 0\n'
        + pasted
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "check", "--config", str(file), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert "meter-1: eastron-sdm630" in out.decode()


async def test_json_is_one_document_with_all_members():
    async with line_of(1, 3) as bus:
        code, out, err = await edge_process(bus.connection, "--units", "1-3", "--json")
    found = json.loads(out)
    assert (code, err, found["v"]) == (0, "", 1)
    assert set(found) == {"v", "at", "address", "found", "unclear", "why_incomplete"}
    assert (found["address"], found["unclear"], found["why_incomplete"]) == (bus.connection, [], None)
    one, three = found["found"]
    assert (one["unit"], three["unit"], one["meter"]) == (1, 3, None)
    assert set(one) == {"unit", "connection", "meter", "profiles", "configuration"}
    assert one["profiles"][0] == {
        "profile": "eastron-sdm630", "vendor": "Eastron", "models": ["SDM630 V1-V3", "SDM72D-M-V2"],
        "quality": "cross-checked", "voltage_v": [230.0, 230.0, 230.0], "power_w": [1000.0, 500.0, -200.0],
        "current_a": pytest.approx([1000 / 230, 500 / 230, 200 / 230]), "power_total_w": 1300.0, "frequency_hz": 50.0,
        "energy_import_wh": pytest.approx(1_000_000, abs=2), "energy_export_wh": 0,
    }  # fmt: skip


async def test_a_unit_that_fits_no_profile_is_shown_and_told_what_to_do():
    async with MeterBus({1: Meter(Image(dict.fromkeys(range(100), 0)))}) as bus:
        bus.open_serial()
        code, out, _ = await edge_process(bus.connection, "--unit", "1")
    assert code == 0
    assert "No profile fits it: docs/meter-profiles.md says how to write one." in out
    assert 'profile = "./my-meter.toml"    # none of ours fits it' in out


async def test_ones_own_profile_is_tried_alone_and_pasted_by_its_file(tmp_path):
    own = tmp_path / "mine.toml"
    own.write_text(OWN_PROFILE)
    async with MeterBus({1: Meter(Image({100: 2305, 101: 1234}))}) as bus:
        bus.open_serial()
        code, out, _ = await edge_process(bus.connection, "--unit", "1", "--profile", str(own))
    assert code == 0
    assert f'profile = "{own}"\n' in out
    assert "voltage  230.5 V" in out


NOTHING = {
    "rtu:///dev/pts/": [
        "edge: Nothing answers at rtu:///dev/pts/",
        "Tried: unit 9 with 9600 baud 8N1. Others: --units 1-247",
        "A and B of the RS-485 line exchanged? Is it terminated with 120 ohms at both ends?",
        "what does its display say: unit, baud rate, parity",
    ],
    "rtu+tcp": ["Tried: unit 9. ", "baud rate and parity set in the gateway", "tcp://HOST:PORT", "A and B"],
    "tcp": ["Tried: unit 9. Others: --units 0-255", "Is Modbus TCP switched on", "rtu+tcp://HOST:PORT", "A and B"],
}


@pytest.mark.parametrize("wire", NOTHING)
async def test_where_nothing_answers_it_exits_1_and_says_what_to_check(wire):
    async with MeterBus({1: Meter(golden_image("abb-ab"))}) as bus:
        if wire == "rtu:///dev/pts/":
            address = bus.open_serial().connection + "?baudrate=9600&parity=N&stopbits=1"
        else:
            address = (await (bus.open_tcp() if wire == "tcp" else bus.open_rtu_over_tcp())).connection
        code, out, err = await edge_process(address, "--unit", "9")
    assert (code, out) == (1, "")
    for words in NOTHING[wire]:
        assert words in err


async def test_how_many_settings_were_tried_is_said():
    async with line_of(1) as bus:
        code, _, err = await edge_process(bus.connection, "--unit", "9", "--baudrates", "9600,19200")
    assert code == 1
    assert "Tried: unit 9 with 8 settings from 9600 baud 8N1 on." in err


async def test_nothing_is_an_error_document_with_json():
    async with line_of(1) as bus:
        code, out, err = await edge_process(bus.connection + "?baudrate=9600&parity=N", "--unit", "9", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (1, "nothing_answered")
    assert err.startswith("edge: Nothing answers at ")


async def test_bytes_that_are_no_answer_are_told_apart_from_silence():
    async with line_of(1, fault=Fault.WRONG_CHECKSUM) as bus:
        code, _, err = await edge_process(bus.connection + "?baudrate=9600&parity=N&stopbits=1", "--unit", "1")
    assert code == 1
    assert err.startswith(f"edge: Something is heard that is no answer: 9600 baud 8N1: {bus.connection[6:]} unit 1: ")
    assert "the checksum of the answer is wrong" in err


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rtu:///dev/ttyNone", "/dev/ttyNone: there is no such serial port; is the adapter plugged in?"),
        ("rtu:///dev/null", "/dev/null: is not a serial port."),
        ("tcp://127.0.0.1:1", "127.0.0.1:1: no connection: Connection refused."),
        ("rtu+tcp://127.0.0.1:1", "no connection to the gateway: Connection refused."),
    ],
)
async def test_an_address_that_cannot_be_reached_exits_1_with_the_reason(address, words):
    code, out, err = await edge_process(address)
    assert (code, out) == (1, "")
    assert words in err
    assert "Traceback" not in err


async def test_a_port_that_is_open_elsewhere_is_told():
    async with line_of(1) as bus:
        with Serial(bus.connection.removeprefix("rtu://"), exclusive=True):
            code, _, err = await edge_process(bus.connection, "--unit", "1")
    assert code == 1
    assert "another program, or a meter under another name of the port, has it open" in err


# ── time ──────────────────────────────────────────────────────────────────────────────────────


async def test_within_is_held_and_says_that_not_everything_was_tried():
    async with line_of(1) as bus:
        begun = asyncio.get_running_loop().time()
        code, _, err = await edge_process(bus.connection, "--units", "100-199", "--within", "1s")
        assert asyncio.get_running_loop().time() - begun < 5, "the second, and the start of the program"
    assert code == 5
    assert "Nothing answered at " in err and " within 1 s, and not everything was tried." in err
    assert "--within 10m gives it more time." in err


async def test_what_was_found_when_the_time_is_over_is_shown():
    async with line_of(1) as bus:
        code, out, _ = await edge_process(bus.connection, "--units", "1,100-199", "--within", "4s")
    assert code == 0
    assert out.startswith("Unit 1 answers at ")
    assert "The 4 s were over before everything was tried; --within 5m gives more." in out


async def test_a_device_that_takes_the_connection_and_says_nothing_holds_nobody_longer():
    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass

    async with listening(mute) as port:
        begun = asyncio.get_running_loop().time()
        code, _, _ = await edge_process(f"tcp://127.0.0.1:{port}", "--within", "2s")
        assert asyncio.get_running_loop().time() - begun < 6
    assert code == 5


async def test_ctrl_c_ends_it_at_once_and_frees_the_port():
    async with line_of(1) as bus:
        process = await started(bus.connection, "--units", "100-199")
        async with asyncio.timeout(20):
            while not bus.requests:
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(3):
            out, err = await process.communicate()
        assert (process.returncode, out, err) == (130, b"", b"")
        with Serial(bus.connection.removeprefix("rtu://"), exclusive=True):
            pass


# ── on a terminal ─────────────────────────────────────────────────────────────────────────────


async def test_a_terminal_shows_what_is_being_tried_and_then_the_result_in_80_columns():
    async with line_of(2) as bus:
        code, printed = await on_a_terminal(f"{bus.connection}?baudrate=9600&parity=N&stopbits=1", "--units", "1,2")
    assert code == 0
    *trying, result = printed.split("\r\x1b[K")
    assert trying[1:3] == ["9600 baud 8N1, unit 1: does it answer?", "9600 baud 8N1, unit 2: does it answer?"]
    assert "9600 baud 8N1, unit 2 answers; is it eastron-sdm630?" in trying
    assert result.startswith("Unit 2 answers at ")
    assert max(map(len, [*trying, *result.splitlines()])) <= 80


async def test_a_failure_on_a_terminal_is_wrapped_at_80_columns():
    async with line_of(1) as bus:
        code, printed = await on_a_terminal(bus.connection + "?baudrate=9600&parity=N&stopbits=1", "--unit", "9")
    assert code == 1
    shown = printed.rsplit("\r\x1b[K", 1)[1]
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.startswith("edge: Nothing answers at ")


async def test_through_a_pipe_nothing_is_told_of_the_progress():
    async with line_of(1) as bus:
        _, out, err = await edge_process(bus.connection, "--unit", "1")
    assert err == ""
    assert "\x1b" not in out and "does it answer?" not in out


# ── who does it ───────────────────────────────────────────────────────────────────────────────


def test_a_daemon_that_reads_the_line_does_it(daemon, capsys):
    found = document("meter_probe-found")
    daemon.says({"v": 1, "trying": "unit 1: does it answer?"}, {"v": 1, "trying": "unit 2"}, found)
    assert edge_with_probe("rtu:///dev/ttyNone", "--unit", "5", "--json") == 0
    (request,) = daemon.requests
    assert (request["command"], request["stream"], request["args"]["units"]) == ("meter_probe", True, [5])
    assert json.loads(capsys.readouterr().out) == found


@pytest.mark.parametrize("code", ["not_in_use", "unknown_command"])
def test_where_the_daemon_does_not_read_the_line_the_command_does_it(code, daemon, capsys):
    daemon.says({"v": 1, "error": {"code": code, "message": "It is so.", "hint": ""}})
    assert edge_with_probe("rtu:///dev/ttyNone") == 1
    assert "/dev/ttyNone: there is no such serial port" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "expected"), [("nothing_answered", 1), ("timed_out", 5), ("in_use", 1), ("usage", 2)])
def test_what_the_daemon_says_is_said(code, expected, daemon, capsys):
    daemon.says({"v": 1, "error": {"code": code, "message": "It is so.", "hint": "Do this."}})
    assert edge_with_probe("rtu:///dev/ttyNone") == expected
    assert capsys.readouterr().err == "edge: It is so.\nDo this.\n"


def test_a_daemon_that_ends_meanwhile_is_told_and_its_line_left_alone(daemon, capsys):
    daemon.says({"v": 1, "trying": "unit 1: does it answer?"})
    assert edge_with_probe("rtu:///dev/ttyNone") == 3
    assert "The daemon closed the connection without a result." in capsys.readouterr().err


def test_a_daemon_that_lets_us_not_in_is_not_disturbed(daemon, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may connect everywhere
    daemon.says(b"")
    assert edge_with_probe("rtu:///dev/ttyNone") == 3


def test_without_the_means_to_probe_here_the_daemon_is_missed(capsys):
    assert edge(["--socket", "/nonexistent/edge.sock", "meter", "probe", "tcp://192.0.2.20"]) == 3
    assert "No daemon is reachable" in capsys.readouterr().err


# ── the text ──────────────────────────────────────────────────────────────────────────────────


def shown(name: str, **changes: object) -> list[str]:
    return printer("meter_probe", {})({**document(name), **changes}, Page(80, colour=False)).splitlines()


def words_of(lines: Sequence[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_a_unit_that_the_daemon_reads_already_is_named_and_not_offered_again():
    found = document("meter_probe-found")
    found["found"][0]["meter"] = "grid"
    lines = shown("meter_probe-found", found=found["found"][:1])
    assert "&stopbits=1; it is the meter grid." in words_of(lines)
    assert "To paste into the configuration:" not in lines


def test_a_document_without_its_members_does_not_break_the_client():
    for found in ([], [{}], [{"profiles": [{}]}], None):
        printer("meter_probe", {})({"v": 1, "found": found}, Page(80, colour=False))


def test_what_was_heard_and_is_no_answer_is_shown_below():
    lines = shown("meter_probe-found", unclear=["unit 9: /dev/ttyUSB0 unit 9: the checksum of the answer is wrong"])
    assert "Heard, but no answer: unit 9: /dev/ttyUSB0 unit 9: the checksum of the answer is wrong." in words_of(lines)

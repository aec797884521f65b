"""What the unit says and what the code does are the same: names, paths, times, exit codes."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from edge import process, watchdog
from edge.chargers.door import CLOSE_WITHIN
from edge.config import Api, FirmwareBridge, StoreSettings
from edge.config.files import Files
from edge.console.arguments import build_parser, config_path
from edge.console.grammar import DEFAULT_CONFIG, DEFAULT_SOCKET
from edge.console.server import SOCKET_GROUP
from edge.store.db import CLOSING_TRIES, SETTINGS
from tests.systemd.unit import DROP_INS, EDGE_SERVICE, SYSTEMD, lines, seconds, value, values

ALL = [EDGE_SERVICE, *sorted(DROP_INS.glob("*.conf"))]
PREFIX = Path("/opt/ocpp-edge")
BUSY_TIMEOUT_S = next(wanted for name, _, wanted in SETTINGS if name == "busy_timeout") / 1000


def words_of(file: Path) -> list[list[str]]:
    """The lines of a sysusers.d or tmpfiles.d file."""
    text = file.read_text(encoding="utf-8").splitlines()
    return [shlex.split(line) for line in text if line and not line.startswith("#")]


# --- what is started


def test_the_command_is_one_that_the_command_line_knows_and_it_reads_the_usual_file(monkeypatch):
    monkeypatch.delenv("EDGE_CONFIG", raising=False)
    program, *words = shlex.split(value("ExecStart"))
    options = build_parser().parse_args(words)
    assert options.command == "run"
    assert config_path(options) == DEFAULT_CONFIG
    scripts = tomllib.loads((SYSTEMD.parent / "pyproject.toml").read_text())["project"]["scripts"]
    assert Path(program).name in scripts
    assert Path(program).parent == PREFIX / "bin"


def test_it_may_run_what_it_has_to_and_every_path_is_made_by_somebody():
    assert "/" in value("NoExecPaths")
    runs_from = [Path(path) for path in value("ExecPaths").split()]
    assert any(Path(shlex.split(value("ExecStart"))[0]).is_relative_to(path) for path in runs_from)
    assert Path("/usr") in runs_from  # Python itself, timedatectl, kill
    mentioned = {
        path for file in ALL for line in lines(file) for path in re.findall(r"(?:^|[\s=:])(/[\w./-]*)", line.value)
    }
    assert mentioned == {f"{PREFIX}/bin/edge", str(PREFIX), "/", "/usr"}


# --- users and directories


def test_one_name_is_the_user_the_group_and_the_directories_of_the_contract():
    assert value("User") == value("Group") == SOCKET_GROUP == "edge"
    assert StoreSettings().path.parent == Path("/var/lib") / value("StateDirectory")
    for path in (Path(DEFAULT_SOCKET), Api().socket, FirmwareBridge().socket):
        assert path.parent == Path("/run") / value("RuntimeDirectory")


def test_the_user_is_made_and_so_is_the_folder_of_the_configuration():
    homes = {name: home for kind, name, _number, _what, home in words_of(SYSTEMD / "sysusers.d/edge.conf")}
    assert Path(homes[value("User")]) == StoreSettings().path.parent
    assert set(homes) == {value("User"), "edge-firmware"}
    folders = {path: (kind, mode, *owner) for kind, path, mode, *owner in words_of(SYSTEMD / "tmpfiles.d/edge.conf")}
    # The daemon must not be able to change what it is told to do.
    assert folders[str(Path(DEFAULT_CONFIG).parent)] == ("d", "0750", "root", SOCKET_GROUP, "-")
    assert folders["/etc/credstore"] == ("d", "0700", "root", "root", "-")


def test_technicians_reach_the_socket_and_nothing_else():
    assert value("RuntimeDirectoryMode") == "0750"
    assert value("StateDirectoryMode") == "0700"
    assert value("UMask") == "0077"


# --- life


def test_it_is_started_again_for_ever_unless_the_configuration_is_invalid():
    assert value("Restart") == "always"
    assert value("StartLimitIntervalSec") == "0"
    assert next(line.section for line in lines(EDGE_SERVICE) if line.key == "StartLimitIntervalSec") == "Unit"
    assert value("RestartPreventExitStatus") == str(process.INVALID)
    assert seconds("RestartSec") < 5


def test_it_waits_neither_for_the_uplink_nor_for_the_time():
    assert value("After") == "network.target"
    assert not {"network-online.target", "time-sync.target"} & {line.value for line in lines(EDGE_SERVICE)}
    assert {line.key for line in lines(EDGE_SERVICE) if line.section == "Unit"} == {
        "Description", "After", "StartLimitIntervalSec",
    }  # fmt: skip


def test_the_watchdog_has_the_patience_that_the_daemon_counts_on():
    assert value("Type") == "notify"
    assert value("NotifyAccess") == "main"
    asked = seconds("WatchdogSec")
    assert asked >= watchdog.ANSWERS_WITHIN  # a store may take that long to answer
    assert asked >= 3 * watchdog.STATUS_EVERY  # the daemon pings three times in it, and not more often than that
    assert asked / 3 > 2 * watchdog.LATE  # one ping left out is not the end


def test_an_orderly_end_has_the_time_that_it_needs():
    uplink = console = 5.0
    store = (CLOSING_TRIES + 2) * BUSY_TIMEOUT_S  # with its ends, and the log merged
    assert CLOSE_WITHIN + uplink + console + store < seconds("TimeoutStopSec")
    assert seconds("TimeoutAbortSec") < seconds("TimeoutStopSec")


def test_opening_the_store_has_the_time_that_it_needs_on_a_slow_card():
    looked_through = copied = StoreSettings().max_size_mb / 8  # MB/s of a bad card
    assert looked_through + copied < seconds("TimeoutStartSec")


# --- secrets


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.name)
def test_each_secret_is_found_under_its_name_and_may_be_missing(file, tmp_path):
    loaded = [one for one in values("LoadCredential", file) if one]
    assert bool(loaded) == (file.name != "serial.conf")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for one in loaded:
        name, _, source = one.partition(":")
        (credentials / name).write_text("secret")
        assert Files(tmp_path, credentials).locate(name) == credentials / name
        assert source == f"edge.{name}"  # no path: a file of /etc/credstore, which need not exist


# --- serial ports


def test_serial_ports_are_closed_unless_the_drop_in_opens_them_and_nothing_else():
    serial = DROP_INS / "serial.conf"
    assert value("PrivateDevices") == "yes"
    assert value("PrivateDevices", serial) == "no"
    assert value("DevicePolicy", serial) == "closed"
    assert {each.split()[0] for each in values("DeviceAllow", serial)} == {
        "char-ttyUSB", "char-ttyACM", "char-ttyAMA", "char-ttyS",
    }  # fmt: skip
    assert value("Wants", serial) == value("After", serial)

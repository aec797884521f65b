"""The bridge's units: judged by systemd's own tools, and the same as the code in names, paths and users."""

import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from edge.config import FirmwareBridge
from edge.console.server import SOCKET_GROUP
from firmware_bridge import bridge
from firmware_bridge.__main__ import INVALID
from firmware_bridge.config import Settings
from tests.systemd.test_judged import said
from tests.systemd.unit import EDGE_SERVICE, SYSTEMD, tool, value, values

SERVICE, SOCKET = SYSTEMD / "firmware-bridge.service", SYSTEMD / "firmware-bridge.socket"
MOST_EXPOSURE = 15


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """Both where the tools find them, with a program that is there."""
    program = shlex.split(value("ExecStart", SERVICE))[0]
    for unit in (SERVICE, SOCKET):
        text = unit.read_text().replace(f"ExecStart={program}", f"ExecStart={sys.executable}")
        (tmp_path / unit.name).write_text(text)
    return [str(tmp_path / unit.name) for unit in (SERVICE, SOCKET)]


def test_systemd_has_nothing_to_say_against_them(units):
    assert said(tool("systemd-analyze", "systemd"), "verify", "--man=no", *units) == (0, "")


def test_the_service_is_exposed_as_little_as_the_daemon(units):
    analyze = tool("systemd-analyze", "systemd")
    code, words = said(analyze, "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}", units[0])
    assert code == 0, words
    assert "Overall exposure level" in said(analyze, "security", "--offline=true", "--threshold=5", units[0])[1]


def test_it_starts_a_program_of_the_package_with_the_daemons_file():
    program, *words = shlex.split(value("ExecStart", SERVICE))
    scripts = tomllib.loads((SYSTEMD.parent / "pyproject.toml").read_text())["project"]["scripts"]
    assert Path(program).name in scripts
    assert words == ["--config", "%d/edge.toml", "run"]
    assert value("LoadCredential", SERVICE) == "edge.toml:/etc/edge/edge.toml"
    assert value("RestartPreventExitStatus", SERVICE) == str(INVALID)


def test_names_and_paths_are_those_of_the_code():
    assert value("ListenStream", SOCKET) == str(Settings().socket) == str(FirmwareBridge().socket)
    assert (value("SocketUser", SOCKET), value("SocketGroup", SOCKET)) == (bridge.DAEMON, SOCKET_GROUP)
    assert Path("/var/lib") / value("StateDirectory", SERVICE) == Settings().path
    assert bridge.DAEMON == value("User", EDGE_SERVICE) != value("User", SERVICE)


def test_the_socket_is_only_for_the_daemon_and_outlives_it():
    assert value("SocketMode", SOCKET) == "0660"
    assert value("RuntimeDirectoryPreserve", EDGE_SERVICE) == "yes"
    hidden = value("InaccessiblePaths", SERVICE).split()
    assert {"-/var/lib/edge", "-/run/edge", "-/etc/edge"} <= set(hidden)


def test_it_may_use_less_than_the_daemon_and_goes_first():
    assert int(value("OOMScoreAdjust", SERVICE)) > 0
    assert values("MemoryMax", SERVICE) == ["192M"]

"""What systemd's own tools say of the units."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.systemd.unit import DROP_INS, EDGE_SERVICE, SYSTEMD, tool, value

MOST_EXPOSURE = {(): 15, ("credentials.conf",): 15, ("serial.conf",): 20, ("credentials.conf", "serial.conf"): 20}
"""Tenths, of ten; a unit without any of it has 92. By the drop-ins that are installed."""


@pytest.fixture(params=MOST_EXPOSURE, ids=lambda drop_ins: "+".join(["edge.service", *drop_ins]))
def drop_ins(request) -> tuple[str, ...]:
    return request.param


@pytest.fixture
def unit(tmp_path: Path, drop_ins: tuple[str, ...]) -> Path:
    """The unit where the tools find it, with a program that is there."""
    program = shlex.split(value("ExecStart"))[0]
    unit = tmp_path / EDGE_SERVICE.name
    unit.write_text(EDGE_SERVICE.read_text().replace(f"ExecStart={program}", f"ExecStart={sys.executable}"))
    for name in drop_ins:
        (tmp_path / DROP_INS.name).mkdir(exist_ok=True)
        shutil.copy(DROP_INS / name, tmp_path / DROP_INS.name)
    return unit


def said(*words: str) -> tuple[int, str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_systemd_has_nothing_to_say_against_the_unit(unit):
    assert said(tool("systemd-analyze", "systemd"), "verify", "--man=no", str(unit)) == (0, "")


def test_a_word_that_systemd_does_not_know_would_be_noticed(unit):
    unit.write_text(unit.read_text().replace("\nTasksMax=", "\nTaskMax="))
    _, words = said(tool("systemd-analyze", "systemd"), "verify", "--man=no", str(unit))
    assert "TaskMax" in words


def test_the_service_is_exposed_as_little_as_promised(unit, drop_ins):
    code, words = said(
        tool("systemd-analyze", "systemd"), "security", "--offline=true", "--no-pager",
        f"--threshold={MOST_EXPOSURE[drop_ins]}", str(unit),
    )  # fmt: skip
    assert code == 0, words
    _, words = said(tool("systemd-analyze", "systemd"), "security", "--offline=true", "--threshold=5", str(unit))
    assert "Overall exposure level" in words, "it was judged at all"


def test_the_user_and_the_folders_are_made(tmp_path):
    (tmp_path / "etc").mkdir()
    code, words = said(tool("systemd-sysusers", "systemd"), f"--root={tmp_path}", str(SYSTEMD / "sysusers.d/edge.conf"))
    assert code == 0, words
    users = {user.split(":")[0]: user.split(":")[5] for user in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert users == {"edge": "/var/lib/edge", "edge-firmware": "/var/lib/edge-firmware"}
    groups = {group.split(":")[0] for group in (tmp_path / "etc/group").read_text().splitlines()}
    assert groups == set(users)
    folders = (SYSTEMD / "tmpfiles.d/edge.conf").read_text()
    if os.geteuid() != 0:
        folders = folders.replace(" root edge ", " - - ").replace(" root root ", " - - ")  # only root gives away
    (tmp_path / "edge.conf").write_text(folders)
    code, words = said(
        tool("systemd-tmpfiles", "systemd"), f"--root={tmp_path}", "--create", str(tmp_path / "edge.conf")
    )
    assert (code, words) == (0, "")
    assert (tmp_path / "etc/edge").stat().st_mode & 0o7777 == 0o750
    assert (tmp_path / "etc/credstore").stat().st_mode & 0o7777 == 0o700

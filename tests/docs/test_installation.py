"""What docs/installation.md builds on, and its scene cannot show: the package is whole, and the unit fits the page."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, text_of
from tests.docs.programs import UNIT
from tests.scenarios.site import DaemonProcess, ask, free_port, short_folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The program as `pip install .` puts it somewhere, without what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", folder, "."], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder / "site")
    return folder / "site"


def test_the_package_holds_all_files_of_the_program(installed):
    ours = {
        file.relative_to(ROOT)
        for file in (ROOT / "edge").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {file for file in ours if not (installed / file).is_file()} == set()


async def test_the_package_alone_is_a_working_daemon_and_command(installed):
    environment = {"PYTHONPATH": str(installed)}
    with short_folder() as folder:
        toml = '[site]\nid = "x"\n[store]\npath = "edge.db"\n[api]\nsocket = "edge.sock"\n'
        toml += f'[[listener]]\naddress = "127.0.0.1:{free_port()}"\n'
        daemon = DaemonProcess(folder, toml, **environment)
        # -P: not the folder of the repository, in which the tests are run
        await daemon.start("-P", "-m", "edge", "run", "--config", str(daemon.file))
        try:
            assert (await ask(daemon.socket, "status"))["alarms"] == []
            done = subprocess.run(
                [sys.executable, "-P", "-m", "edge", "check", "--config", daemon.file],
                env=os.environ | environment, capture_output=True, check=False, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            where = [sys.executable, "-P", "-c", "import edge; print(edge.__file__)"]
            shown = subprocess.run(where, env=os.environ | environment, capture_output=True, check=True, text=True)
            assert shown.stdout.startswith(str(installed))
        finally:
            assert await daemon.stop() == 0


def test_the_unit_does_what_the_pages_say_of_it():
    unit = UNIT.read_text(encoding="utf-8")
    page = text_of("installation.md")
    assert re.search(r"(?m)^ExecReload=", unit), "systemctl reload edge"
    assert re.search(r"(?m)^Restart=always$", unit), "starts it again when it fails"
    assert re.search(r"(?m)^RestartPreventExitStatus=2$", unit), "a wrong file is not tried again"
    assert re.search(r"(?m)^User=edge$", unit)
    for number, pattern in (
        (r"more than (\d+) MB", r"(?m)^MemoryMax=(\d+)M$"),
        (r"when it hangs \(after (\d+) s\)", r"(?m)^WatchdogSec=(\d+)$"),
    ):
        assert re.search(number, page)[1] == re.search(pattern, unit)[1]
    for every in re.findall(r"every (\d+) s until", page):
        assert re.search(r"(?m)^RestartSec=(\d+)$", unit)[1] == every


def test_the_folders_have_the_owners_that_the_page_says():
    files = {name: (ROOT / f"systemd/{name}.d/edge.conf").read_text() for name in ("sysusers", "tmpfiles")}
    rows = dict(re.findall(r"^\| `(/\S+)` \| ([^|]+) \|", text_of("installation.md"), re.MULTILINE))
    made = re.findall(r"^d (\S+) (\d+) (\S+) (\S+)", files["tmpfiles"], re.MULTILINE)
    for folder, mode, user, group in made:
        owner = f"{user}:{group}" if user != group else user
        assert rows[folder].strip() == f"{owner} {mode}", folder
    unit = UNIT.read_text()
    state, run = (re.search(rf"(?m)^{name}DirectoryMode=(\d+)$", unit)[1] for name in ("State", "Runtime"))
    assert (rows["/var/lib/edge"].strip(), rows["/run/edge"].strip()) == (f"edge {state}", f"edge {run}")
    assert re.search(r"(?m)^u edge ", files["sysusers"])

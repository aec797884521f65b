"""What is missing is said, and the lock file names packages by their hashes alone."""

import json
import re

import pytest

from tests.independent.runtime import HERE, Missing, must_be_there, provide


def test_a_missing_node_is_named(tmp_path):
    with pytest.raises(Missing, match="node and npm missing: .* need nodejs and npm"):
        provide({"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("environment", "must"), [({}, False), ({"CI": ""}, False), ({"CI": "false"}, False), ({"CI": "true"}, True)]
)
def test_on_a_build_machine_nothing_is_skipped(environment, must):
    assert must_be_there(environment) is must


def test_a_registry_out_of_reach_is_named_once_for_all_processes(tmp_path):
    """An `npm` that fails as it does without a network; the second process of the run does not ask it again."""
    tools, project = tmp_path / "bin", tmp_path / "project"
    tools.mkdir()
    project.mkdir()
    (project / "package-lock.json").write_text("{}")
    asked = tmp_path / "asked"
    for name, script in {
        "node": "echo v18.20.4",
        "npm": f"echo x >> {asked}; echo 'npm error code ENOTFOUND' >&2; echo 'npm error network is down' >&2; exit 1",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "PYTEST_XDIST_TESTRUNUID": "run-1"}
    for _ in range(2):
        with pytest.raises(Missing, match="npm ci could not install it: network is down"):
            provide(environment, project)
    assert asked.read_text() == "x\n"


def test_the_lock_file_holds_hashes_and_no_address():
    text = (HERE / "package-lock.json").read_text()
    assert re.search(r"https?:|\bresolved\b", text) is None
    packages = json.loads(text)["packages"]
    del packages[""]
    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "hasInstallScript" not in package, name

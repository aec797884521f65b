"""Node and the one package of this folder: found, installed once, or missing with a sentence that says what is missing.

`npm ci` checks every package against the hashes in `package-lock.json` and runs no package's own program. Where it
installs to is this folder's `node_modules`, which git ignores; several test processes take turns.
"""

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
OLDEST = 18
INSTALL_WITHIN_S = 90.0
"""Less than the deadline of a test, which the installation counts into."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What the programs of this folder need."""

    node: str


class Missing(Exception):
    """Why there is no stack, as a sentence."""


def provide(environment: Mapping[str, str], here: Path = HERE) -> Stack:
    """The stack, installed if it is not there yet; raises Missing."""
    found = {name: shutil.which(name, path=environment.get("PATH", "")) for name in ("node", "npm")}
    absent = [name for name, path in found.items() if path is None]
    if absent:
        raise Missing(
            f"{' and '.join(absent)} missing: the tests against an independent OCPP stack need nodejs and npm"
        )
    node, npm = str(found["node"]), str(found["npm"])
    version = _output([node, "--version"], environment).strip().removeprefix("v")
    if not version.split(".")[0].isdigit() or int(version.split(".")[0]) < OLDEST:
        raise Missing(f"node {OLDEST} or newer missing: {node} is {version or 'not answering'}")
    digest = hashlib.sha256((here / "package-lock.json").read_bytes()).hexdigest()
    with (here / ".install.lock").open("a+") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _install(npm, digest, environment, here)
    return Stack(node)


def _install(npm: str, digest: str, environment: Mapping[str, str], here: Path) -> None:
    stamp = here / "node_modules" / ".installed"
    if stamp.exists() and stamp.read_text() == digest:
        return
    # All processes of one run wait for one attempt: the second would not fare better, only later.
    note, run = here / ".install.failed", environment.get("PYTEST_XDIST_TESTRUNUID")
    if run is not None and note.exists():
        failed = json.loads(note.read_text())
        if failed["run"] == run:
            raise Missing(failed["why"])
    try:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=here, env=environment, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False
        )
        problem = _complaint(done.stderr) if done.returncode != 0 else None
    except subprocess.TimeoutExpired:
        problem = f"not done within {INSTALL_WITHIN_S:g} s"
    if problem is None:
        stamp.write_text(digest)
        note.unlink(missing_ok=True)
        return
    why = f"the package ocpp-rpc is missing, and npm ci could not install it: {problem}"
    note.write_text(json.dumps({"run": run, "why": why}))
    raise Missing(why)


def _complaint(stderr: str) -> str:
    """The first line in which npm says more than a code."""
    errors = (re.fullmatch(r"npm (?:ERR!|error) *(.*)", line) for line in stderr.splitlines())
    said = [error[1] for error in errors if error is not None]
    return next((line for line in said if not re.match(r"$|(code|errno|syscall|path) ", line)), "it does not say why")


def _output(command: list[str], environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def must_be_there(environment: Mapping[str, str]) -> bool:
    """Whether a missing stack fails the tests instead of skipping them: a build machine installs it (`.ci/run`)."""
    return environment.get("CI", "").lower() in {"1", "true"}

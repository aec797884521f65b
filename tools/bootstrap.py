"""Makes `.venv` ready for tools/demo and tools/test; standard library only.

Runs on any Python from 3.8 on, so that an old interpreter gets a sentence instead of a syntax error.
The environment is rebuilt when a lock file or pyproject.toml has changed, and otherwise left alone.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".stamp"
OLDEST = (3, 11)


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(1)


def find_python():
    """The newest usable interpreter: this one, or one on the PATH."""
    if sys.version_info[:2] >= OLDEST:
        return sys.executable
    for minor in (14, 13, 12, 11):
        found = shutil.which("python3.%d" % minor)
        if found:
            return found
    fail(
        "Python 3.11 or newer is needed, this is %d.%d.\n"
        "On Debian 12 or newer: apt install python3 python3-venv" % sys.version_info[:2]
    )


def wanted_stamp(lock):
    digest = hashlib.sha256()
    for name in (lock, "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return "%s %s" % (lock, digest.hexdigest())


def run(what, command, env=None):
    """One step with its output kept back unless it fails."""
    print("  %s ..." % what, file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        fail("%s failed (exit %d). The lines above say why." % (what, done.returncode))


def ready(lock):
    """Path of an environment's Python in which `lock` and this project are installed.

    The test lock holds all of the run-time lock, so an environment made for the tests serves the demo too.
    """
    python = VENV / "bin" / "python"
    stamps = [wanted_stamp(name) for name in ("requirements-test.lock", lock)]
    if python.exists() and STAMP.exists() and STAMP.read_text() in stamps:
        return str(python)
    found = find_python()
    if subprocess.run([found, "-c", "import venv, ensurepip"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        fail("Python's venv module is missing. On Debian: apt install python3-venv")
    print("Preparing .venv (once, about half a minute)", file=sys.stderr)
    if VENV.exists():
        shutil.rmtree(VENV)
    run("creating the environment", [found, "-m", "venv", str(VENV)])
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    run("installing the locked dependencies", pip + ["--require-hashes", "-r", lock], env)
    run("installing edge", pip + ["--no-deps", "--no-build-isolation", "--editable", "."], env)
    STAMP.write_text(wanted_stamp(lock))
    return str(python)

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


def digest_of(name):
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()


def present():
    """(Lock file, its digest, digest of pyproject.toml) of the environment that is there; Nones when there is none."""
    if not (VENV / "bin" / "python").exists() or not STAMP.exists():
        return None, None, None
    return (STAMP.read_text().split() + [None, None, None])[:3]


def run(what, command, env=None):
    """One step with its output kept back unless it fails."""
    print("  %s ..." % what, file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        fail("%s failed (exit %d). The lines above say why." % (what, done.returncode))


def ready(lock):
    """Path of an environment's Python in which `lock` and this project are installed.

    The test lock holds all of the run-time lock, so an environment made for the tests serves the demo too. Only a
    changed lock makes the environment anew; a changed pyproject.toml installs this project again.
    """
    python = VENV / "bin" / "python"
    present_lock, locked, project = present()
    if present_lock == "requirements-test.lock":
        lock = present_lock
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    if present_lock != lock or locked != digest_of(lock):
        create(pip + ["--require-hashes", "-r", lock], env)
        project = None
    if project != digest_of("pyproject.toml"):
        run("installing edge", pip + ["--no-deps", "--no-build-isolation", "--editable", "."], env)
        STAMP.write_text("%s %s %s" % (lock, digest_of(lock), digest_of("pyproject.toml")))
    return str(python)


def create(install, env):
    """A new environment with the locked dependencies."""
    found = find_python()
    if subprocess.run([found, "-c", "import venv, ensurepip"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        fail("Python's venv module is missing. On Debian: apt install python3-venv")
    print("Preparing .venv (once, about half a minute)", file=sys.stderr)
    if VENV.exists():
        shutil.rmtree(VENV)
    run("creating the environment", [found, "-m", "venv", str(VENV)])
    run("installing the locked dependencies", install, env)

"""The packaged proxies `ocpp-broker` and `ocpp-csms` in an environment of their own, made on demand and kept.

They are no dependencies of ours: `peers.lock` pins them with what they need, and pip puts them below the user's cache
folder. Where that cannot be done, the rows about them say so.
"""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.processes import CACHE, BenchFailed, Child, finished, party, running

LOCK = Path(__file__).with_name("peers.lock")
INSTALLED_WITHIN = 600.0
LISTENS_WITHIN = 30.0


class PeersMissing(Exception):
    """They cannot be installed here; the message says why."""


def python(tell: Callable[[str], None]) -> str:
    """The interpreter of their environment. Raises PeersMissing."""
    home = CACHE / f"peers-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    interpreter, stamp = home / "bin" / "python", home / ".complete"
    if not stamp.exists():
        tell("installing ocpp-broker and ocpp-csms beside us (once)")
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)])
        pip = [str(interpreter), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--require-hashes"]
        _run([*pip, "-r", str(LOCK)])
        stamp.touch()
    return str(interpreter)


def _run(command: list[str]) -> None:
    environment = {name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = finished(command, INSTALLED_WITHIN, environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeersMissing(str(error)) from error
    if done.returncode != 0:
        raise PeersMissing((done.stderr or done.stdout).strip().splitlines()[-1][:200])


@contextlib.contextmanager
def csms_package(interpreter: str, folder: Path) -> Iterator[tuple[Child, str]]:
    """`ocpp-csms` and its URL."""
    with party("csms_package", folder, python=interpreter) as child:
        yield child, f"ws://127.0.0.1:{child.ask('port')['port']}"


@contextlib.contextmanager
def broker_package(interpreter: str, folder: Path, backend: str | None) -> Iterator[tuple[Child, str]]:
    """`ocpp-broker` as its command starts it, and its URL; with a backend it relays, without one it answers itself."""
    name = "relay" if backend else "local"
    place = folder / f"broker-{name}"
    place.mkdir()
    port = _free_port()
    (place / "config.yaml").write_text(_yaml(port, backend), encoding="utf-8")
    command = [interpreter, "-m", "ocpp_broker.server", "-c", str(place / "config.yaml")]
    with running(Child(f"ocpp-broker, {name}", command, place / "log")) as child:
        _listens(child, port)
        yield child, f"ws://127.0.0.1:{port}/yard"


def _listens(child: Child, port: int) -> None:
    deadline = time.perf_counter() + LISTENS_WITHIN
    while time.perf_counter() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if child.process.poll() is not None:
            break
        time.sleep(0.1)
    raise BenchFailed(f"{child.name} does not listen: {child.tail()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _yaml(port: int, backend: str | None) -> str:
    upstream = f'    backends: [{{url: "{backend}", leader: true}}]\n' if backend else ""
    return f"""\
broker: {{host: 127.0.0.1, port: {port}}}
organizations:
  - name: yard
    connect_to_backend: {"true" if backend else "false"}
{upstream}"""

"""The daemon as it is installed, `edge run`, on a store of its own and without a password."""

import contextlib
import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import BenchFailed, Child, running

READY_WITHIN = 120.0
IDENTITY = "measured-site"
SOCKET_PATH_BYTES = 107


class Site:
    """A folder with configuration and store; `running` may be entered again and again."""

    def __init__(self, folder: Path, chargers: int, csms_url: str | None = None, prefix: str = "CP-") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log, self.store = folder / "edge.log", folder / "edge.db"
        self._config = folder / "edge.toml"
        self.socket = folder / "edge.sock"
        self.port = 0
        self.child: Child | None = None
        if len(str(self.socket)) > SOCKET_PATH_BYTES:
            raise BenchFailed(f"{folder}: the name is too long for a UNIX socket; give a shorter --data")
        self.configure(chargers, csms_url, prefix)

    def configure(self, chargers: int, csms_url: str | None, prefix: str = "CP-") -> None:
        """Counts from the next start on."""
        identities = [f"{prefix}{number:03d}" for number in range(chargers)]
        self._config.write_text(_toml(self.store, self.socket, identities, csms_url), encoding="utf-8")

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "edge", "run", "--config", str(self._config)]

    @contextlib.contextmanager
    def running(self, *before: str) -> Iterator["Site"]:
        """The daemon, ready; `before`: a program that runs it, with its arguments."""
        self.log.unlink(missing_ok=True)
        with running(Child("edge", [*before, *self.command], self.log)) as child:
            self.child = child
            self.port = self._ready(child)
            yield self
        self.child = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    @property
    def cpu(self) -> float:
        assert self.child is not None
        return self.child.cpu()

    def ask(self, command: str) -> dict:
        """One question to its console."""
        with socket.socket(socket.AF_UNIX) as console:
            console.settimeout(30)
            console.connect(str(self.socket))
            console.sendall(json.dumps({"command": command, "args": {}}).encode() + b"\n")
            with console.makefile("rb") as answer:
                return json.loads(answer.readline())

    def _ready(self, child: Child) -> int:
        """Its port, once its log says that chargers may connect."""
        deadline = time.perf_counter() + READY_WITHIN
        while time.perf_counter() < deadline:
            for line in self.log.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict) and event.get("event") == "ready":
                        return int(event["ports"][0])
            if child.process.poll() is not None:
                raise BenchFailed(f"the daemon did not start: {child.tail()}")
            time.sleep(0.02)
        raise BenchFailed(f"the daemon was not ready within {READY_WITHIN:g} s: {child.tail()}")


def temporary(parent: Path | None) -> Path:
    """A new folder with a short name on the disk that is measured."""
    return Path(tempfile.mkdtemp(prefix="bench-", dir=parent or "/var/tmp"))


def _toml(store: Path, console: Path, identities: list[str], csms_url: str | None) -> str:
    chargers = "".join(f"\n[[charger]]\nid = {_quoted(one)}\nevses = [1]\n" for one in identities)
    uplink = "" if csms_url is None else f"\n[uplink]\nurl = {_quoted(csms_url)}\nsecurity_profile = 0\n"
    return f"""\
[site]
id = "{IDENTITY}"

[store]
path = {_quoted(store)}
max_size_mb = 100000

[[listener]]
address = "127.0.0.1:0"
path = "/ocpp"
security_profile = 0
{chargers}{uplink}
[authorization]
offline = "everyone"
online_timeout = 1.0

[api]
socket = {_quoted(console)}
"""


def _quoted(text: object) -> str:
    return json.dumps(str(text), ensure_ascii=False)

"""The real daemon as a process of its own: its folder, its configuration, its log, its console socket, its end.

It ends with `running()`, and also when the demo is killed. All waits have a deadline.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from demonstration.party import CHARGERS, STATION

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 60.0
LEAVES_WITHIN = 15.0
ANSWERS_WITHIN = 10.0
SOCKET_PATH_BYTES = 107
TAIL_LINES = 12
NOT_INHERITED = ("NOTIFY_SOCKET", "INVOCATION_ID", "CREDENTIALS_DIRECTORY", "EDGE_CONFIG", "EDGE_SOCKET")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


class Folder:
    """Where everything of this demo stands. A temporary one vanishes with `remove`."""

    def __init__(self, given: Path | None) -> None:
        if given is None:
            self.path = _temporary("edge-demo-")
        else:
            self.path = given.resolve()
            self.path.mkdir(parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise DemoFailed(f"{given} is not empty: give a new folder, or remove it first.")
        self.is_temporary = given is None
        self._socket_folder = self.path
        if len(os.fsencode(self.path / "edge.sock")) > SOCKET_PATH_BYTES:
            self._socket_folder = _temporary("edge-demo-")
        self.socket = self._socket_folder / "edge.sock"
        self.log = self.path / "edge.log"
        self.config = self.path / "edge.toml"
        self.store = self.path / "edge.db"

    def passwords(self) -> dict[str, bytes]:
        """One for each charger and one for the uplink, in files that only their owner reads."""
        made = {identity: secrets.token_hex(16).encode() for identity in (*CHARGERS, STATION)}
        for identity, password in made.items():
            file = self.path / f"{identity}.key"
            file.touch(mode=0o600)
            file.write_bytes(password + b"\n")
        return made

    def remove(self) -> None:
        if self.is_temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._socket_folder != self.path:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    def tail(self) -> list[str]:
        """The end of the daemon's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return [_readable(line) for line in text.splitlines()[-TAIL_LINES:]]


class DaemonProcess:
    def __init__(self, folder: Folder, csms_url: str, meter: str, meter_interval_s: int) -> None:
        self.folder = folder
        folder.config.write_text(_configuration(folder, csms_url, meter, meter_interval_s), encoding="utf-8")
        self.port = 0
        """Where the chargers connect; the daemon picks a free one."""
        self.exit_code: int | None = None
        self._process: asyncio.subprocess.Process | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["DaemonProcess"]:
        command = [sys.executable, "-m", "edge", "run", "--config", str(self.folder.config)]
        demo = os.getpid()
        with self.folder.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name not in NOT_INHERITED},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends the daemon
                preexec_fn=lambda: _end_with(demo),
            )
        try:
            await self._become_ready(self._process)
            yield self
        finally:
            await self._leave(self._process)

    async def watch(self) -> None:
        """Raises DemoFailed when the daemon ends before it was told to."""
        assert self._process is not None
        code = await self._process.wait()
        raise DemoFailed(f"the daemon ended by itself ({_in_words(code)})")

    def kill(self) -> None:
        """For someone who does not want to wait any longer."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def ask(self, command: str, **args: object) -> dict:
        """One question to the console socket, as `edge` asks it. Raises OSError or ValueError without an answer."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            reader, writer = await asyncio.open_unix_connection(self.folder.socket, limit=16_000_000)
            try:
                writer.write(json.dumps({"command": command, "args": args}).encode() + b"\n")
                document = json.loads(await reader.readline())
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        if "error" in document:
            raise DemoFailed(f"the daemon answered `{command}`: {document['error']['message']}")
        return document

    async def _become_ready(self, process: asyncio.subprocess.Process) -> None:
        """Until the log says so; the port stands there too."""
        deadline = asyncio.get_running_loop().time() + READY_WITHIN
        while not (self.port and self.folder.socket.exists()):
            if process.returncode is not None:
                raise DemoFailed(f"the daemon did not start ({_in_words(process.returncode)})")
            if asyncio.get_running_loop().time() > deadline:
                raise DemoFailed(f"the daemon was not ready within {READY_WITHIN:.0f} s")
            await asyncio.sleep(0.05)
            self.port = next((event["ports"][0] for event in self._events() if event.get("event") == "ready"), 0)

    def _events(self) -> list[dict]:
        found = []
        for line in self.folder.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    found.append(event)
        return found

    async def _leave(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(LEAVES_WITHIN):
                self.exit_code = await process.wait()
        except TimeoutError:
            process.kill()
            self.exit_code = await process.wait()


def _temporary(prefix: str) -> Path:
    """A new folder with a short path, for the socket's sake."""
    folder = "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else None
    return Path(tempfile.mkdtemp(prefix=prefix, dir=folder))


def _end_with(demo: int) -> None:
    """In the new process: be told to end when the demo dies without doing so."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != demo:
        os.kill(os.getpid(), signal.SIGTERM)


def _readable(line: str) -> str:
    """An event of the log for people; of a traceback only what was raised."""
    try:
        event = dict(json.loads(line))
    except (ValueError, TypeError):
        return line
    raised = [part.strip(" |+-") for part in str(event.pop("exception", "")).splitlines()]
    event.pop("timestamp", None)
    head = f"{event.pop('level', '')} {event.pop('event', '')}"
    fields = [f"{name}={value}" for name, value in event.items()]
    return " ".join([head, *fields, *[part for part in raised if part][-1:]])


def _in_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _configuration(folder: Folder, csms_url: str, meter: str, meter_interval_s: int) -> str:
    chargers = "".join(
        f"\n[[charger]]\nid = {_quoted(identity)}\npassword_file = {_quoted(identity + '.key')}\nevses = [1, 1]\n"
        for identity in CHARGERS
    )
    return f"""\
# Written by tools/demo. To look at it with `edge check`: --config {shlex.quote(str(folder.config))}

[site]
id = {_quoted(STATION)}
name = "Depot Nord"

[store]
path = {_quoted(folder.store)}

[[listener]]
address = "127.0.0.1:0"             # any free port; the log says which
path = "/ocpp"
security_profile = 1

[chargers]
meter_interval = {meter_interval_s}
{chargers}
[uplink]
url = {_quoted(csms_url)}
security_profile = 1
password_file = {_quoted(STATION + ".key")}

[authorization]
offline = "everyone"
online_timeout = 5.0

[[meter]]
id = "grid"
profile = "eastron-sdm630"
connection = {_quoted(meter)}

[api]
socket = {_quoted(folder.socket)}
"""


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)

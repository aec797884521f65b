"""The depot of the pages: a gateway in a folder, with the daemon as a process, and everything that is connected to it.

The gateway's root is the folder: `/etc/edge/edge.toml` of a page is `FOLDER/etc/edge/edge.toml` here. Addresses,
ports and devices that a page names lead to simulators on loopback, and in what is printed they are turned back.
What becomes of each command is in `programs.py`, what may happen in `happenings.py`.
"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Self

from simulators.charger import Charger
from simulators.csms import Csms
from simulators.meter import MeterSimulator
from simulators.meter_bus import MeterBus
from simulators.updating import image
from simulators.wire import utc_now

from tests.firmware.yard import Internet
from tests.scenarios.site import IDENTITY, DaemonProcess, free_port

CLOUD = "wss://csms.example.com/ocpp"
FOLDERS = (
    "etc/edge", "etc/systemd/system", "etc/cron.daily", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "usr/local/bin",
    "var/lib/edge", "var/backups", "run/edge", "opt", "media/usb", "home", "dev", "programs",
)  # fmt: skip
_PATH = re.compile(r"(?<![\w./])(?=/(?:etc|var|run|usr/local|usr/lib|opt|media|mnt|srv|dev/serial|dev/ttyUSB)\b)")
_ADDRESS = re.compile(r'(?m)^(address = )"([^"]*):(\d+)"')
_CLOUD_LINE = re.compile(rf'(?m)^url = "{CLOUD}".*$')

SHIMS = {
    "edge": f'exec "{sys.executable}" -m edge "$@"',
    # who runs it makes no difference in a folder
    "sudo": 'while [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && shift; shift; done; exec "$@"',
    "chown": "exit 0",
    "chgrp": "exit 0",
    "scp": "exit 0",
    "install": 'a=""; for w in "$@"; do case "$p$w" in -o|-g) p=skip;; skip*) p="";; *) a="$a $w";; esac; done; '
    "exec /usr/bin/install $a",
    "journalctl": (
        'n=+1; while [ $# -gt 0 ]; do case "$1" in -u|--since) shift;; -n) n="$2"; shift;; -o) [ "$2" = cat ] || exit 2; '
        'shift;; -f|-b|--no-pager) ;; *) echo "journalctl: $1?"; exit 2;; esac; shift; done; exec tail -n "$n" "$LOG"'
    ),
}


class Depot:
    """`async with Depot(folder) as depot:`; whatever was begun is ended with it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.file_text = ""
        """The configuration as the page has it."""
        self.csms = Csms(first_transaction_id=1001, dedupe=True)
        self.daemon: DaemonProcess | None = None
        self.chargers: dict[str, Charger] = {}
        self.meter = MeterSimulator()
        self.manufacturer = Internet({"duo22-1.9.bin": image("1.9")})
        self.buses: dict[str, MeterBus] = {}
        self.environment: dict[str, str] = {}
        """More of it for the daemon."""
        self.earlier = timedelta(0)
        """By how much the chargers' messages are dated back, so that a session of a test has lasted a while."""
        self._ports: dict[str, int] = {}
        self.stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True)
        for name, text in SHIMS.items():
            self.add_program(name, text)
        await self.stack.__aenter__()
        await self.stack.enter_async_context(self.csms)
        await self.stack.enter_async_context(self.meter)
        await self.stack.enter_async_context(self.manufacturer.running())
        self.stack.push_async_callback(self.stop)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.stack.aclose()

    def add_program(self, name: str, text: str) -> None:
        program = self.root / "programs" / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    # --- the gateway

    @property
    def file(self) -> Path:
        return self.root / "etc/edge/edge.toml"

    @property
    def shell_environment(self) -> dict[str, str]:
        """Of the technician's terminal."""
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "LS_COLORS")}
        return kept | {
            "PATH": f"{self.root / 'programs'}:{os.environ['PATH']}",
            "EDGE_CONFIG": str(self.file),
            "EDGE_SOCKET": str(self.root / "run/edge/edge.sock"),
            "LOG": str(self.root / "edge.log"),
            "NO_COLOR": "1",
            "TERM": "xterm",
            "TZ": "CET-1CEST,M3.5.0,M10.5.0/3",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.root / "home"),
        }

    def here(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def port(self, number: str) -> int:
        """The port on loopback that stands for one of the page."""
        return self._ports.setdefault(number, free_port())

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port('8887')}/ocpp"

    # --- there and back

    def led_here(self, text: str) -> str:
        """A line of a page with the paths and addresses of this depot."""
        for written, real in self._names():
            text = text.replace(written, real)
        return _PATH.sub(str(self.root), text)

    def led_back(self, text: str) -> str:
        """What is printed here, as it is printed where the page is read."""
        for written, real in self._names():
            text = text.replace(real, written)
        for number, port in self._ports.items():
            text = re.sub(rf"127\.0\.0\.1:{port}\b", f"0.0.0.0:{number}", text)
        return text.replace(str(self.root), "")

    def _names(self) -> list[tuple[str, str]]:
        names = [(CLOUD, self.csms.url), ("tcp://192.0.2.20:502", self.meter.connection)]
        names += [("tcp://192.0.2.20", self.meter.connection)]
        names += [("https://fw.example.com", self.manufacturer.url("").rstrip("/"))]
        return names + [(f"rtu://{device}", bus.connection) for device, bus in self.buses.items()]

    # --- files

    def write(self, path: str, text: str, *, at_end: bool = False) -> None:
        """A file of the page; the daemon's own has to lead to the simulators."""
        real = self.here(path)
        if real != self.file:
            real.parent.mkdir(parents=True, exist_ok=True)
            real.write_text(self.led_here(text) + "\n")
            return
        self.file_text = f"{self.file_text}\n\n{text}" if at_end else text
        real.write_text(self.configuration(self.file_text))

    def configuration(self, text: str) -> str:
        """The page's file with loopback for every network."""
        text = _ADDRESS.sub(lambda found: f'{found[1]}"127.0.0.1:{self.port(found[3])}"', text)
        text = _CLOUD_LINE.sub(f'url = "{self.csms.url}"\nsecurity_profile = 1', text)
        for written, real in self._names():
            text = text.replace(f'"{written}', f'"{real}')
        path = f'path = "{self.root}/var/lib/edge/edge.db"\n'
        text = (
            re.sub(r"(?m)^\[store\]\n", f"[store]\n{path}", text) if "[store]" in text else f"{text}\n[store]\n{path}"
        )
        bridge = (
            f'socket = "{self.root}/run/edge/firmware.sock"\npath = "{self.root}/var/lib/edge-firmware"\n'
            'http = "127.0.0.1:0"\nftp = "127.0.0.1:0"\n'
        )
        if "[firmware_bridge]" not in text:
            text = f"{text}\n[firmware_bridge]\n"
        text = text.replace("[firmware_bridge]\n", f"[firmware_bridge]\n{bridge}")
        return f'{text}\n[api]\nsocket = "{self.root}/run/edge/edge.sock"\n'

    def secret(self, name: str) -> bytes | None:
        """A password as it stands in a file of the gateway."""
        file = self.root / "etc/edge" / name
        return file.read_bytes().strip() if file.exists() else None

    # --- the service

    async def start(self) -> None:
        self.csms.password = self.secret("uplink.key")
        daemon = DaemonProcess(self.root, "", TZ="CET-1CEST,M3.5.0,M10.5.0/3", **self.environment)
        daemon.file, daemon.socket = self.file, self.root / "run/edge/edge.sock"
        self.daemon = daemon
        await daemon.start()
        if "[uplink]" in self.file_text:
            await daemon.until("status", lambda d: d["uplink"]["state"] == "accepted")

    async def start_in_vain(self) -> None:
        """A start that is known to fail; what it says is in the journal."""
        with (self.root / "edge.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge", "run", "--config", str(self.file), stdout=log, stderr=log
            )
            async with asyncio.timeout(30):
                assert await process.wait() == 2

    async def stop(self) -> None:
        daemon, self.daemon = self.daemon, None
        if daemon is not None:
            assert await daemon.stop() == 0, daemon.log.read_text()[-4000:]

    async def start_bridge(self) -> None:
        """Of firmware; it ends with the depot."""
        with (self.root / "bridge.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "firmware_bridge", "--config", str(self.file), "run", stdout=log, stderr=log
            )
        self.stack.push_async_callback(_ended, process)
        async with asyncio.timeout(30):
            while not (self.root / "run/edge/firmware.sock").exists():
                assert process.returncode is None, (self.root / "bridge.log").read_text()
                await asyncio.sleep(0.05)

    async def reload(self) -> None:
        told = ("configuration_reloaded", "configuration_refused")
        before = {name: len(self.running.events(name)) for name in told}
        self.running.signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while all(len(self.running.events(name)) == before[name] for name in told):
                await asyncio.sleep(0.02)

    @property
    def running(self) -> DaemonProcess:
        assert self.daemon is not None, "the daemon does not run"
        return self.daemon

    async def caught_up(self) -> None:
        """The cloud has everything."""
        await self.running.until("status", lambda d: d["backlog"]["messages"] == 0)

    # --- chargers

    async def charger(self, identity: str, password: bytes | None, **options: object) -> Charger:
        """A box that is switched on."""
        usual = {"serial": f"A-10{identity[-2:]}", "vendor": "Acme", "model": "Duo 22", "firmware": "1.8.2"}
        charger = Charger(
            identity, self.url, password=password, meter_interval_s=0, reconnect_s=(0.1, 0.5),
            utc_now=lambda: utc_now() - self.earlier, **usual | options,
        )  # fmt: skip
        self.chargers[identity] = charger
        await self.stack.enter_async_context(charger.running())
        return charger


async def _ended(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    async with asyncio.timeout(20):
        await process.wait()


__all__ = ["IDENTITY", "Depot"]

"""The daemon needs nothing that the unit forbids: its system calls, as `strace` sees them, against the unit's rules."""

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from simulators.charger import Charger
from simulators.csms import Csms
from simulators.meter import MeterSimulator
from simulators.meter_bus import Meter, MeterBus

from edge.process import DONE
from tests.scenarios.site import IDENTITY, free_port, until
from tests.scenarios.test_outage import charge, toml
from tests.scenarios.test_process import edge as command_line
from tests.systemd.service import service
from tests.systemd.unit import tool, value, values

CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(?P<name>\w+)(?:\(| resumed>)(?P<rest>.*)$")
BY_ROOT_ONLY = {"fchown", "chown", "lchown", "fchownat"}
"""SQLite keeps the owner of a file when it is run by root; the service never is."""


def calls(traced: Path) -> list[tuple[str, str]]:
    """Name, and arguments with the result."""
    found = (CALL.match(line) for line in traced.read_text(errors="replace").splitlines())
    return [(call["name"], call["rest"]) for call in found if call is not None]


def members(group: str) -> set[str]:
    """The system calls of one of systemd's groups, such as @system-service."""
    words = subprocess.run(
        [tool("systemd-analyze", "systemd"), "syscall-filter", "--no-pager", group],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    listed = {line.strip() for line in words.splitlines()[1:] if line.strip() and not line.strip().startswith("#")}
    return {call for name in listed for call in (members(name) if name.startswith("@") else {name})}


def allowed() -> set[str]:
    found: set[str] = members("@default")
    for words in values("SystemCallFilter"):
        groups = [members(word) for word in words.removeprefix("~").split()]
        combine = found.difference_update if words.startswith("~") else found.update
        combine(*groups)
    return found


@pytest.fixture
def strace() -> list[str]:
    """The words before a command that is to be watched; the watcher is not its parent (-D)."""
    path = tool("strace", "strace")
    if subprocess.run([path, "-o", os.devnull, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("strace may not trace here (ptrace)")
    return [path, "-D", "-f", "-qq", "-s", "200"]


@pytest.fixture
async def a_day_of_it(folder, strace) -> list[tuple[str, str]]:
    """All that the daemon asked of the kernel: a session, a serial meter, the local API, a backup, a reload, the end."""
    traced = folder / "traced"
    port = free_port()
    async with Csms() as csms, MeterBus({1: Meter(MeterSimulator())}) as bus:
        config = toml(port, csms.url.replace("127.0.0.1", "localhost")) + (
            f'[[meter]]\nid = "grid"\nprofile = "eastron-sdm630"\nconnection = "{bus.open_serial().connection}"\n'
        )
        async with service(folder, config, *strace, "-o", str(traced)) as edge:
            await edge.heard("READY=1", 40)
            ask = partial(until, folder / "edge.sock", within=40)
            await csms.wait_registered(IDENTITY, 40)
            charger = Charger("CP-01", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0)
            async with charger.running():
                await charge(charger, 1, "TAG", values=1)
            await ask("meter", lambda told: told["meters"][0]["quality"] == "good")
            socket = ("--socket", str(folder / "edge.sock"))
            assert (await command_line("backup", str(folder / "copy.db"), *socket))[0] == 0
            await edge.reload()
            await edge.heard("RELOADING=1")
            await edge.heard("READY=1")
            edge.process.send_signal(signal.SIGTERM)
            assert await edge.ended() == DONE
    found = calls(traced)
    assert len(found) > 1000
    return found


async def test_nothing_is_asked_of_the_kernel_that_the_unit_forbids(a_day_of_it, folder):
    used = {name for name, _ in a_day_of_it}
    by_root = BY_ROOT_ONLY if os.geteuid() == 0 else set()
    forbidden = used - allowed() - by_root
    assert not forbidden, [call for call in a_day_of_it if call[0] in forbidden]

    families = {
        family[0] for name, rest in a_day_of_it
        if name in ("socket", "socketpair") and (family := re.match(r"AF_\w+", rest))
    }  # fmt: skip
    # glibc asks for the machine's addresses when it resolves a name, and does without an answer.
    assert families <= {*value("RestrictAddressFamilies").split(), "AF_NETLINK"}
    assert {"AF_UNIX", "AF_INET"} <= families

    assert value("MemoryDenyWriteExecute") == "yes"
    writable_code = [
        rest for name, rest in a_day_of_it
        if "PROT_EXEC" in rest and (name in ("mprotect", "pkey_mprotect") or (name == "mmap" and "PROT_WRITE" in rest))
    ]  # fmt: skip
    assert not writable_code

    written = {
        opened[1] for name, rest in a_day_of_it
        if name in ("open", "openat") and re.search("O_WRONLY|O_RDWR|O_CREAT", rest) and "= -1" not in rest
        if (opened := re.search('"([^"]*)"', rest))
    }  # fmt: skip
    # Here the folder is what StateDirectory= and RuntimeDirectory= are there; a terminal is the serial meter.
    beyond = {path for path in written if not path.startswith((f"{folder}/", "/dev/pts/")) and path != "/dev/null"}
    assert not beyond

    started = {
        Path(words[1]).name for name, rest in a_day_of_it
        if name == "execve" and (words := re.match('"([^"]*)"', rest))
    }  # fmt: skip
    assert started - {Path(sys.executable).name} <= {"timedatectl"}

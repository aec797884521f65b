"""What becomes of a command of the pages: run on a terminal, played by the depot, or only looked at, and how.

Run are `edge`, all that works on files, and pipes of these. `systemctl` starts, stops and reloads the depot's own
process. What would change this machine, or needs another one, is not run; of it is looked at what can be.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.docs.depot import Depot
from tests.docs.pages import ROOT, Command
from tests.docs.terminal import Printed, typed

RUN = {
    "edge", "edge-backup", "install", "mkdir", "cp", "mv", "ln", "chmod", "chown", "chgrp", "ls", "cat", "tee", "grep",
    "tail", "head", "openssl", "journalctl", "sha256sum", "rm", "od", "tr", "echo",
}  # fmt: skip
SYSTEMCTL = {
    ("daemon-reload",), ("start", "edge"), ("stop", "edge"), ("restart", "edge"), ("reload", "edge"),
    ("enable", "--now", "edge"), ("disable", "--now", "edge"),
}  # fmt: skip
UNIT = ROOT / "systemd" / "edge.service"


def require_syntax(line: str) -> None:
    checked = subprocess.run(["bash", "-n", "-c", line], capture_output=True, check=False, text=True)
    assert checked.returncode == 0, f"{line}: {checked.stderr}"


def words_of(line: str) -> list[list[str]]:
    """The commands of a line, without `sudo` and what it takes."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    is_file = False
    for word in lexer:
        if is_file:
            is_file = False
        elif set(word) <= set("<>"):
            is_file = True
        elif set(word) <= set("|&;"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [_without_sudo(command) for command in commands if command]


def _without_sudo(words: list[str]) -> list[str]:
    if words[0] == "sudo":
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[2:] if words[0] == "-u" else words[1:]
    return words


async def carried_out(command: Command, line: str, depot: Depot, answer: str | None) -> Printed | None:
    """What was printed; None for what is only looked at. `line`: with what its numbers stand for."""
    commands = words_of(line)
    programs = {Path(words[0]).name for words in commands}
    if programs == {"systemctl"}:
        return await _service(commands[0][1:], depot)
    if programs <= RUN:
        line = depot.led_here(line)
        for word in shlex.split(line):
            assert not word.startswith("/") or word.startswith(str(depot.root)), f"{word} is outside of the depot"
        return await typed(line, ROOT, depot.shell_environment, answer)
    for words in commands:
        assert words[0] in LOOKED_AT, f"nobody says how {words[0]!r} is checked: {command.line}"
        LOOKED_AT[words[0]](words, depot)
    return None


async def _service(words: list[str], depot: Depot) -> Printed:
    """`systemctl`, played with the daemon's own process."""
    assert tuple(words) in SYSTEMCTL, f"systemctl {' '.join(words)}"
    match words[0]:
        case "enable" | "start":
            await depot.start()
        case "stop" | "disable":
            await depot.stop()
        case "restart":
            await depot.stop()
            await depot.start()
        case "reload":
            await depot.reload()
    return Printed(0, "")


# --- looked at


def _packages(words: list[str], _depot: Depot) -> None:
    """The distribution has them; where its lists are not on this machine, nobody can say."""
    assert words[1] in ("install", "update", "full-upgrade"), words
    if shutil.which("apt-cache") is None or "Filename:" not in _apt("python3"):
        return
    for name in words[2:]:
        assert "Package:" in _apt(name), f"no package {name}"


def _apt(name: str) -> str:
    return subprocess.run(["apt-cache", "show", name], capture_output=True, check=False, text=True).stdout


def _pip(words: list[str], _depot: Depot) -> None:
    """Its options are pip's, and the files are in the repository. What it would fetch is not fetched."""
    done = subprocess.run([sys.executable, "-m", "pip", words[1], "--help"], capture_output=True, check=True, text=True)
    is_given = False
    for word in words[2:]:
        if word.startswith("-"):
            option = word.partition("=")[0]
            assert re.search(rf"(?<![\w-]){re.escape(option)}\b", done.stdout), f"pip {words[1]} {option}"
            is_given = option in ("--find-links", "-d", "-w", "--platform", "--python-version", "--index-url")
        elif not is_given:
            assert (ROOT / word).exists() or word == "ocpp-edge", word
        else:
            is_given = False


def _python(words: list[str], depot: Depot) -> None:
    """An environment is not made, but its folder is: the one that the unit runs."""
    if words[1:3] == ["-m", "pip"]:
        _pip(words[2:], depot)
        return
    assert words[1:3] == ["-m", "venv"], words
    program = f"{words[3]}/bin/edge"
    assert re.search(rf"(?m)^ExecStart={re.escape(program)} run$", UNIT.read_text()), f"{program} is not what is run"
    folder = depot.here(words[3]) / "bin"
    folder.mkdir(parents=True)
    (folder / "edge").touch()


def _on_installed_files(words: list[str], depot: Depot) -> None:
    """Users and folders of this machine are not made. What they are made from has been installed by the page."""
    name = words[0].removeprefix("systemd-")
    assert (depot.root / f"usr/lib/{name}.d/edge.conf").exists(), words
    assert words[1:] in ([], ["--create"]), words


def _by_name_only(_words: list[str], _depot: Depot) -> None:
    """It changes the machine or needs another one."""


LOOKED_AT: dict[str, Callable[[list[str], Depot], None]] = {
    "apt": _packages,
    "/opt/ocpp-edge/bin/pip": _pip,
    "python3": _python,
    "systemd-sysusers": _on_installed_files,
    "systemd-tmpfiles": _on_installed_files,
    **dict.fromkeys(("usermod", "userdel", "nmcli", "git", "dmesg"), _by_name_only),
}

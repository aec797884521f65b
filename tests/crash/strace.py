"""What a process asked of the kernel, as strace saw it.

`OBSERVING` are the words that put strace in front of a program or beside a running one; `calls` reads what it wrote.
Several threads come out as they ran: a call that others overtook has the place of its end, and tells that of its
beginning as well. A string that strace has cut short, or a call that nobody here has heard of, is an error: a trace
with holes proves nothing.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STRACE = shutil.which("strace")
LONGEST = 16 * 1024 * 1024
"""Octets of one write that are shown."""
NAMES = ("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir")
CONTENT = ("write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "truncate", "fallocate")
SYNCS = ("fsync", "fdatasync")
COPIES = ("copy_file_range", "sendfile", "splice", "sync_file_range", "symlink", "symlinkat")
"""Change files in ways that the replay does not model: in a store's folder they are an error."""
OPENS = ("openat", "open", "creat", "lseek")
SENDS = ("sendto", "sendmsg")
TRACED = (*NAMES, *CONTENT, *SYNCS, *COPIES, *OPENS, *SENDS)

OBSERVING = (str(STRACE), "-f", "-y", "-xx", "-s", str(LONGEST), "-e", f"trace={','.join(TRACED)}", "-e", "signal=none")


def why_not() -> str | None:
    """Why strace cannot be used here."""
    if STRACE is None:
        return "strace is not installed: apt-get install strace"
    tried = subprocess.run([STRACE, "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"strace may not watch here: {tried.stderr.strip()}"


@dataclass(frozen=True, slots=True)
class Syscall:
    """One call that has returned, or in which its process died (`result` None)."""

    thread: int
    name: str
    arguments: str
    result: int | None
    error: str | None
    begun: int
    """Line of the trace at which it began; all that ended on a line before was done by then."""
    ended: int


_COMPLETE = re.compile(r"(\d+) +(\w+)\((.*)\) += (\?|-?\d+)(?: (\w+))?")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*?),? *<(?:unfinished|detached) \.\.\.>$")
"""Detached: strace itself was ended, while the process went on."""
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (\?|-?\d+)(?: (\w+))?")
_NEITHER = re.compile(
    r"\d+ +(\+\+\+|---|\?\?\?\?|\?\?\?\( <(detached|unfinished) \.\.\.>$|<\.\.\. (\?+ resumed>|\w+ resumed> <unfinished))"
)
"""With question marks: the thread was gone before strace could see what it was about to ask."""


def calls(trace: Path, *, may_be_cut: bool = False) -> Iterator[Syscall]:
    """In the order in which they ended; those that never did come last."""
    unfinished: dict[int, tuple[str, str, int]] = {}
    with trace.open(encoding="ascii", errors="replace") as lines:
        for number, line in enumerate(lines):
            if found := _RESUMED.match(line):
                thread, name, rest, result, error = found.groups()
                begun_name, arguments, begun = unfinished.pop(int(thread))
                assert begun_name == name, line[:200]
                call = _call(thread, name, arguments + rest, result, error, begun, number)
            elif found := _BEGUN.match(line):
                thread, name, arguments = found.groups()
                unfinished[int(thread)] = (name, arguments, number)
                continue
            elif found := _COMPLETE.match(line):
                thread, name, arguments, result, error = found.groups()
                call = _call(thread, name, arguments, result, error, number, number)
            else:
                assert _NEITHER.match(line), f"{trace}:{number + 1} is not understood: {line[:200]}"
                continue
            assert may_be_cut or '"...' not in call.arguments, f"strace has cut a string short: {line[-200:]}"
            yield call
    for thread_, (name, arguments, begun) in unfinished.items():
        yield Syscall(thread_, name, arguments, None, None, begun, begun)


def _call(thread: str, name: str, arguments: str, result: str, error: str | None, begun: int, ended: int) -> Syscall:
    failed = error if result.startswith("-") else None
    return Syscall(int(thread), name, arguments, None if result == "?" else int(result), failed, begun, ended)


_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HANDLE = re.compile(r"(AT_FDCWD|-?\d+)<((?:\\x[0-9a-f]{2})*)>")


def octets(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def strings(arguments: str) -> list[bytes]:
    """The strings among the arguments."""
    return [octets(one) for one in _STRING.findall(arguments)]


def handles(arguments: str) -> list[tuple[str, str]]:
    """(Number, path) of the file descriptors among the arguments; nothing of sockets and pipes."""
    return [(number, octets(path).decode()) for number, path in _HANDLE.findall(arguments)]


def last_number(arguments: str) -> int:
    """The last argument."""
    return int(arguments.rsplit(",", 1)[1])

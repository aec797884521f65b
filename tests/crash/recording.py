"""One run of the real process as a list of steps: what it did to the files of its folder, and what it promised when.

`read` makes it of the traces of one or more lives. A step stands where it ended; a sync tells besides how much was done
before it began, because it promises nothing of what came later. An acknowledgement stands where it began: from that
moment on the charger may have it.
"""

import json
import posixpath
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from tests.crash import strace
from tests.crash.strace import Syscall


@dataclass(frozen=True, slots=True)
class Write:
    path: str
    offset: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Grow:
    """At least so many octets, zeros where there were none (fallocate)."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Create:
    path: str


@dataclass(frozen=True, slots=True)
class MakeFolder:
    path: str


@dataclass(frozen=True, slots=True)
class Rename:
    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Link:
    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Unlink:
    path: str


@dataclass(frozen=True, slots=True)
class Sync:
    """Of a file or a folder. `since`: so many steps were done when it began. `failed`: the kernel said so."""

    path: str
    since: int
    failed: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The answer to the charger's CALL with this id was handed to the kernel."""

    message_id: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """A line for people: what a command says when it is done."""

    text: str


@dataclass(frozen=True, slots=True)
class Begun:
    """Another life begins; nothing of the machine was lost."""

    life: int


Step: TypeAlias = (
    Write | Resize | Grow | Create | MakeFolder | Rename | Link | Unlink | Sync | Acknowledged | Told | Begun
)


@dataclass(frozen=True, slots=True)
class Recording:
    """`folder`: as the run had it; paths of steps are relative to it. `before`: its files when it began."""

    folder: Path
    before: dict[str, bytes]
    steps: tuple[Step, ...]


def read(folder: Path, before: dict[str, bytes], traces: Iterable[Path]) -> Recording:
    reader = _Reader(folder)
    for number, trace in enumerate(traces, 1):
        reader.life(number, trace)
    return Recording(folder, before, tuple(reader.steps))


_RESULT = re.compile(rb'\[3,"')
_JSON = json.JSONDecoder()
IS_NO_MATTER = re.compile(r"-shm$|\.lock$|\.reserve(\.new)?$| \(deleted\)$")
"""What needs not survive a power cut: SQLite makes the shared memory anew, a lock has no content, and the room that is
kept for starts and stops is taken again. It is 16 MiB of nothing."""


@dataclass(slots=True)
class _Reader:
    folder: Path
    steps: list[Step] = field(default_factory=list)
    positions: dict[tuple[str, str], int] = field(default_factory=dict)
    """Where the next `write` of a handle goes: (handle, path)."""
    appending: set[tuple[str, str]] = field(default_factory=set)

    def life(self, number: int, trace: Path) -> None:
        self.steps.append(Begun(number))
        self.positions.clear()
        done: list[tuple[int, int, Step]] = []
        for call in strace.calls(trace):
            for step in self._of(call):
                at = call.begun if isinstance(step, (Acknowledged, Told)) else call.ended
                done.append((at, call.begun, step))
        done.sort(key=lambda one: one[0])
        ends = [at for at, _, _ in done]
        first = len(self.steps)
        for _, begun, step in done:
            is_sync = isinstance(step, Sync)
            self.steps.append(replace(step, since=first + bisect_left(ends, begun)) if is_sync else step)

    def _of(self, call: Syscall) -> Iterator[Step]:
        read = _READERS.get(call.name)
        if read is not None:
            yield from read(self, call)

    def inside(self, path: str | bytes) -> str | None:
        """The path within the folder; None: elsewhere, or without meaning."""
        text = path.decode() if isinstance(path, bytes) else path
        if IS_NO_MATTER.search(text) or not PurePosixPath(text).is_relative_to(self.folder):
            return None
        return str(PurePosixPath(text).relative_to(self.folder))

    # --- the calls

    def open(self, call: Syscall) -> Iterator[Step]:
        folder = next((path for number, path in strace.handles(call.arguments)), "/")
        path = self.inside(posixpath.join(folder, strace.strings(call.arguments)[0].decode()))
        if path is None or call.error is not None or call.result is None:
            return
        handle = (str(call.result), path)
        self.positions[handle] = 0
        (self.appending.add if "O_APPEND" in call.arguments else self.appending.discard)(handle)
        if "O_CREAT" in call.arguments:
            yield Create(path)
        if "O_TRUNC" in call.arguments:
            yield Resize(path, 0)

    def seek(self, call: Syscall) -> Iterator[Step]:
        for number, path in strace.handles(call.arguments):
            inside = self.inside(path)
            if inside is not None and call.result is not None and call.error is None:
                self.positions[number, inside] = call.result
        return iter(())

    def write(self, call: Syscall) -> Iterator[Step]:
        target = strace.handles(call.arguments)
        text = b"".join(strace.strings(call.arguments))
        inside = self.inside(target[0][1]) if target else None
        if inside is None:
            if call.name == "write" and call.arguments.startswith("1<"):
                yield Told(text.decode(errors="replace"))
            return
        if call.error is not None:
            return
        written = text if call.result is None else text[: call.result]
        if call.name == "pwrite64":
            offset = strace.last_number(call.arguments)
        else:
            handle = (target[0][0], inside)
            assert handle not in self.appending, f"appending is not modelled: {call}"
            offset = self.positions[handle]
            self.positions[handle] = offset + len(written)
        yield Write(inside, offset, written)

    def resize(self, call: Syscall) -> Iterator[Step]:
        inside = self.inside(strace.handles(call.arguments)[0][1])
        if inside is not None and call.error is None:
            yield Resize(inside, strace.last_number(call.arguments))

    def grow(self, call: Syscall) -> Iterator[Step]:
        inside = self.inside(strace.handles(call.arguments)[0][1])
        if inside is not None and call.error is None:
            mode, offset, length = (one.strip() for one in call.arguments.rsplit(",", 3)[1:])
            assert mode == "0", f"this way of fallocate is not modelled: {call}"
            yield Grow(inside, int(offset) + int(length))

    def sync(self, call: Syscall) -> Iterator[Step]:
        inside = self.inside(strace.handles(call.arguments)[0][1])
        if inside is not None and call.result is not None:
            yield Sync(inside, 0, call.error is not None)

    def name(self, call: Syscall) -> Iterator[Step]:
        if call.error is not None:
            return
        named = strace.strings(call.arguments)
        assert all(one.startswith(b"/") for one in named), f"in which folder is this: {call}"
        paths = [self.inside(one) for one in named]
        if paths[0] is None:
            assert all(one is None for one in paths), f"a name from elsewhere: {call}"
            return
        what = call.name.removesuffix("2").removesuffix("at")
        if what in {"rename", "link"}:
            assert paths[1] is not None, f"a name to elsewhere: {call}"
            yield Rename(paths[0], paths[1]) if what == "rename" else Link(paths[0], paths[1])
        else:
            yield MakeFolder(paths[0]) if what == "mkdir" else Unlink(paths[0])

    def send(self, call: Syscall) -> Iterator[Step]:
        for text in strace.strings(call.arguments):
            for found in _RESULT.finditer(text):
                _, message_id, payload = _JSON.raw_decode(text[found.start() :].decode(errors="replace"))[0]
                yield Acknowledged(message_id, payload)

    def forbidden(self, call: Syscall) -> Iterator[Step]:
        touched = [self.inside(path) for _, path in strace.handles(call.arguments)]
        assert not any(touched), f"{call.name} is not modelled: {call}"
        return iter(())


_READERS: dict[str, Callable[[_Reader, Syscall], Iterator[Step]]] = {
    **dict.fromkeys(("openat", "open", "creat"), _Reader.open),
    "lseek": _Reader.seek,
    **dict.fromkeys(("write", "pwrite64"), _Reader.write),
    "ftruncate": _Reader.resize,
    "fallocate": _Reader.grow,
    **dict.fromkeys(strace.SYNCS, _Reader.sync),
    **dict.fromkeys(strace.NAMES, _Reader.name),
    **dict.fromkeys(strace.SENDS, _Reader.send),
    **dict.fromkeys((*strace.COPIES, "writev", "pwritev", "pwritev2", "truncate"), _Reader.forbidden),
}

"""A disk that keeps what was synced, and of the rest whatever it likes.

`Disk.do` follows a recording step by step. At any point `Disk.image` gives what a power cut may have left there: all
that is certain, and of what is pending what a `Choice` says - each pending write wholly, in part or not at all,
each pending change of a name or not.

The model, which is harsher than ext4: nothing but a sync of the file makes its content certain, nothing but a sync of
the folder makes a name certain, and neither waits for the other or for anything that was asked before. A sync that
failed makes certain that its writes are in doubt for ever: the kernel may have dropped them and called them clean
(each image takes one of two sides, `forgets`). Within a write, sectors of 512 octets are kept or lost one by one;
outside of what was written nothing changes (SQLite's "powersafe overwrite").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import dirname
from typing import TypeAlias

from tests.crash.recording import (
    Create,
    Grow,
    Link,
    MakeFolder,
    Recording,
    Rename,
    Resize,
    Step,
    Sync,
    Unlink,
    Write,
)

SECTOR = 512

Content: TypeAlias = Write | Resize | Grow
Naming: TypeAlias = Create | MakeFolder | Rename | Link | Unlink


@dataclass(slots=True, eq=False)
class File:
    number: int
    certain: bytearray = field(default_factory=bytearray)
    forgetful: bytearray | None = None
    """What is certain if the kernel has dropped what it could not sync; None: it never failed."""
    changes: int = 0
    """Of its content so far, pending ones included."""
    pending: dict[int, Content] = field(default_factory=dict)
    """By the step."""
    doubtful: set[int] = field(default_factory=set)
    """Of the pending ones: those that a sync failed to bring to the disk."""


@dataclass(slots=True, eq=False)
class Folder:
    number: int


Node: TypeAlias = File | Folder


@dataclass(frozen=True, slots=True)
class Named:
    """A pending change of names, with what it is about."""

    change: Naming
    node: Node


@dataclass(frozen=True, slots=True)
class Part:
    """What of a write reaches the disk: these sectors (counted from its first), those replaced by noise."""

    sectors: frozenset[int]
    noise: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """Of what is pending, by the step. None: the whole write."""

    contents: Mapping[int, Part | None]
    names: frozenset[int]
    forgets: bool = False


@dataclass(slots=True)
class Disk:
    names: dict[str, Node] = field(default_factory=dict)
    """As the process sees them."""
    certain: dict[str, Node] = field(default_factory=dict)
    pending: dict[int, Named] = field(default_factory=dict)
    done: int = 0
    files: int = 0

    @classmethod
    def of(cls, recording: Recording) -> "Disk":
        disk = cls()
        disk.names["."] = disk._new(Folder)
        for path, text in recording.before.items():
            file = disk.names[path] = disk._new(File)
            assert isinstance(file, File)
            file.certain = bytearray(text)
            if dirname(path) and dirname(path) not in disk.names:
                disk.names[dirname(path)] = disk._new(Folder)
        disk.certain = dict(disk.names)
        return disk

    def _new(self, kind: type[Node]) -> Node:
        self.files += 1
        return kind(self.files)

    # --- what the process does

    def do(self, step: Step) -> bool:
        """The next step; whether it can have changed what a power cut leaves."""
        number, self.done = self.done, self.done + 1
        match step:
            case Write() | Resize() | Grow():
                file = self._file(step.path)
                file.pending[number] = step
                file.changes += 1
            case Sync():
                self._sync(step)
            case Create() if step.path not in self.names:
                self._name(number, step, self._new(File))
            case MakeFolder():
                self._name(number, step, self._new(Folder))
            case Rename() | Link() | Unlink():
                self._name(number, step, self.names[step.path])
            case _:
                return False
        return True

    def _file(self, path: str) -> File:
        found = self.names[path]
        assert isinstance(found, File), path
        return found

    def _name(self, number: int, change: Naming, node: Node) -> None:
        self.pending[number] = Named(change, node)
        _rename(self.names, self.pending[number])

    def _sync(self, step: Sync) -> None:
        node = self.names[step.path]
        if isinstance(node, Folder):
            if not step.failed:
                self._sync_names(step)
            return
        covered = [number for number in node.pending if number < step.since]
        if step.failed:
            node.doubtful |= set(covered)
            return
        if node.doubtful and node.forgetful is None:
            node.forgetful = bytearray(node.certain)
        for number in covered:
            change = node.pending.pop(number)
            _write(node.certain, change)
            if node.forgetful is not None and number not in node.doubtful:
                _write(node.forgetful, change)

    def _sync_names(self, step: Sync) -> None:
        for number in [number for number in self.pending if number < step.since]:
            change = self.pending[number].change
            paths = [change.path, *([change.to] if isinstance(change, (Rename, Link)) else [])]
            if any((dirname(path) or ".") == step.path for path in paths):
                _rename(self.certain, self.pending.pop(number))

    # --- what a power cut leaves

    def written(self) -> dict[int, tuple[File, Content]]:
        """What is pending of files, by the step."""
        nodes = {node.number: node for names in (self.names, self.certain) for node in names.values()}
        found = (
            (number, node, change)
            for node in nodes.values()
            if isinstance(node, File)
            for number, change in node.pending.items()
        )
        return {number: (node, change) for number, node, change in sorted(found, key=lambda one: one[0])}

    def image(self, choice: Choice) -> tuple[dict[str, "Leaf"], tuple[object, ...]]:
        """The files that are found then, and by what this image is known from others."""
        names = dict(self.certain)
        for number in sorted(choice.names):
            _rename(names, self.pending[number])
        found = {
            path: Leaf(
                node,
                {number: part for number, part in choice.contents.items() if number in node.pending},
                choice.forgets,
            )
            for path, node in names.items()
            if isinstance(node, File) and (dirname(path) or ".") in names
        }
        return found, tuple(sorted((path, leaf.identity()) for path, leaf in found.items()))


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file as a power cut leaves it."""

    file: File
    parts: Mapping[int, Part | None]
    forgets: bool

    def identity(self) -> tuple[object, ...]:
        """Equal for equal contents: which file, after how many changes, and what is missing of them."""
        missing = tuple(
            (number, None if number not in self.parts else self._of(number))
            for number in self.file.pending
            if number not in self.parts or self.parts[number] is not None
        )
        return self.file.number, self.file.changes, self.forgets and self.file.forgetful is not None, missing

    def _of(self, number: int) -> tuple[object, ...]:
        part = self.parts[number]
        assert part is not None
        return tuple(sorted(part.sectors)), tuple(sorted(part.noise.items()))

    def content(self) -> bytes | bytearray:
        certain = self.file.certain
        if self.forgets and self.file.forgetful is not None:
            certain = self.file.forgetful
        if not self.parts:
            return certain
        text = bytearray(certain)
        for number in sorted(self.parts):
            change = self.file.pending[number]
            part = self.parts[number]
            if part is None or not isinstance(change, Write):
                _write(text, change)
            else:
                _write_part(text, change, part)
        return text


def _write(text: bytearray, change: Content) -> None:
    match change:
        case Write(offset=offset, text=written):
            _reach(text, offset)
            text[offset : offset + len(written)] = written
        case Resize(size=size):
            del text[size:]
            _reach(text, size)
        case Grow(size=size):
            _reach(text, size)


def _reach(text: bytearray, size: int) -> None:
    if len(text) < size:
        text.extend(bytes(size - len(text)))


def _write_part(text: bytearray, change: Write, part: Part) -> None:
    for index, (begin, stop) in enumerate(sectors(change)):
        if index in part.sectors:
            written = part.noise.get(index, b"") or change.text[begin - change.offset : stop - change.offset]
            _reach(text, begin)
            text[begin:stop] = written[: stop - begin]


def sectors(change: Write) -> list[tuple[int, int]]:
    """Where in the file each sector of this write begins and ends."""
    end = change.offset + len(change.text)
    first = change.offset - change.offset % SECTOR
    return [(max(begin, change.offset), min(begin + SECTOR, end)) for begin in range(first, end, SECTOR)]


def _rename(names: dict[str, Node], named: Named) -> None:
    """A change that reached the disk, whatever became of those before it: an entry of a folder names a file."""
    change, node = named.change, named.node
    match change:
        case Create() | MakeFolder():
            names[change.path] = node
        case Rename() | Link():
            names[change.to] = node
    if isinstance(change, (Unlink, Rename)) and names.get(change.path) is node:
        del names[change.path]

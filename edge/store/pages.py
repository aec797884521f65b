"""The pages of a store's files, read without SQLite: whatever is wrong with the file, what is left of it can be read.

A page may be there more than once: in the file, and in frames of the write-ahead log. Each such *image* comes with a
rank, the newest having the highest, and with whether it is *sure*: a frame whose checksum fits, or a page of the file
that is in use. What is not sure counts only where a row proves itself (`carving.py`, `proving.py`).

Formats: "Database File Format" of SQLite, 1 (file), 1.8 (pointer map), 4 (log).
"""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = 4096
"""Of the files that we make."""
HEADER_BYTES, FRAME_HEADER_BYTES, POINTER_BYTES = 32, 24, 5
TOLD_BYTES = 16
"""Of a frame's header: page, size and salts."""
SECTOR_BYTES = 512
"""The least that a disk writes as one."""
MAGIC = {b"\x37\x7f\x06\x82": "<", b"\x37\x7f\x06\x83": ">"}
FILE_HEADER_BYTES = 100
FREE_PAGE, TREE_PAGES = 2, frozenset({1, 5})
"""In the pointer map."""
TREE_KINDS = frozenset({0x02, 0x05, 0x0A, 0x0D})
"""How a page of rows begins, or of what leads to them."""
OLD_RANK = -1
"""Of frames that were written before the log was begun anew: the file has had them since."""
FRAMES_AT_MOST = 262_144
"""1 GiB of log: far more than it ever grows to."""


@dataclass(frozen=True, slots=True)
class Image:
    number: int
    rank: int
    is_sure: bool
    is_live: bool
    """No newer one of this page is left."""
    content: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """Of the write-ahead log."""

    page: int
    offset: int
    """Of its content."""
    generation: int
    """One more each time that the log is begun anew."""
    is_current: bool
    """Written since it was begun anew for the last time."""
    is_whole: bool
    """Its checksum goes on from that of the frame before it."""
    size: int
    """Pages that the file has after the commit which it ends; 0: it ends none."""

    @property
    def is_commit(self) -> bool:
        return self.size != 0

    @property
    def is_header_in_one_sector(self) -> bool:
        """Page, size and salts are of one writing: a power cut tears a write between sectors, and nowhere else.

        Else the salts may be new, while page and size are noise, or of a frame that stood there before.
        """
        return (self.offset - FRAME_HEADER_BYTES) % SECTOR_BYTES <= SECTOR_BYTES - TOLD_BYTES


@dataclass(frozen=True, slots=True)
class Log:
    has_header: bool
    frames: tuple[Frame, ...]

    @property
    def committed(self) -> int:
        """So many of the frames belong to commits that have an end."""
        return _committed(self.frames)


def _committed(frames: Sequence[Frame]) -> int:
    ends = [number for number, one in enumerate(frames, 1) if one.is_current and one.is_whole and one.is_commit]
    return ends[-1] if ends else 0


def read_log(handle: int) -> Log:
    """Each frame of a log, judged by itself: SQLite would stop at the first that does not fit."""
    header = _read(handle, HEADER_BYTES, 0) or b""
    order = MAGIC.get(header[:4], "<")
    is_ours = len(header) == HEADER_BYTES and header[:4] in MAGIC
    has_header = is_ours and _sum(order, (0, 0), header[:24]) == _pair(header[24:])
    salt = header[16:24] if has_header else None
    before = _pair(header[24:]) if has_header else None
    frames: list[Frame] = []
    offset = HEADER_BYTES
    while len(frames) < FRAMES_AT_MOST:
        frame = _read(handle, FRAME_HEADER_BYTES + PAGE_BYTES, offset)
        if frame is None or len(frame) < FRAME_HEADER_BYTES + PAGE_BYTES:
            break
        page, size = struct.unpack(">II", frame[:8])
        salt = salt or frame[8:16]
        told = _pair(frame[16:24])
        is_whole = before is not None and _sum(order, _sum(order, before, frame[:8]), frame[24:]) == told
        generation = int.from_bytes(frame[8:12], "big")
        frames.append(Frame(page, offset + FRAME_HEADER_BYTES, generation, frame[8:16] == salt, is_whole, size))
        before = told
        offset += FRAME_HEADER_BYTES + PAGE_BYTES
    return Log(has_header, tuple(frames))


def _pair(octets: bytes) -> tuple[int, int]:
    first, second = struct.unpack(">II", octets[:8])
    return int(first), int(second)


def _sum(order: str, before: tuple[int, int], octets: bytes) -> tuple[int, int]:
    """The log's checksum (4.2), which goes on from the one before."""
    first, second = before
    words = struct.unpack(f"{order}{len(octets) // 4}I", octets)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def _read(handle: int, size: int, offset: int) -> bytes | None:
    """None: the disk does not give it."""
    try:
        return os.pread(handle, size, offset)
    except OSError:
        return None


class Pages:
    """Those of the store at `path` and of the log beside it. Close it after use."""

    def __init__(self, path: Path) -> None:
        self._file = _handle(path)
        self._log = _handle(path.with_name(path.name + "-wal"))
        self.log = Log(has_header=False, frames=()) if self._log is None else read_log(self._log)
        size = 0 if self._file is None else os.fstat(self._file).st_size
        self.in_file = -(-size // PAGE_BYTES)
        committed = self.log.committed
        self._newest: dict[int, int] = {
            one.page: number
            for number, one in enumerate(self.log.frames[:committed])
            if one.is_current and one.is_whole
        }

        older = ((number, one) for number, one in enumerate(self.log.frames) if not one.is_current and one.is_whole)
        self._older = {one.page: number for number, one in sorted(older, key=lambda each: each[1].generation)}
        """Newest frames of times before."""

    def close(self) -> None:
        for handle in (self._file, self._log):
            if handle is not None:
                os.close(handle)

    @property
    def count(self) -> int:
        """How many images there are."""
        return self.in_file + len(self.log.frames)

    def page(self, number: int) -> bytes | None:
        """Its newest content, as SQLite would have it."""
        newest = self._newest.get(number)
        return self.in_the_file(number) if newest is None else self.in_the_log(self.log.frames[newest])

    def in_the_log(self, frame: Frame) -> bytes | None:
        return None if self._log is None else self._whole(self._log, frame.offset)

    def in_the_file(self, number: int) -> bytes | None:
        if self._file is None or not 1 <= number <= self.in_file:
            return None
        return self._whole(self._file, (number - 1) * PAGE_BYTES)

    @staticmethod
    def _whole(handle: int, offset: int) -> bytes | None:
        content = _read(handle, PAGE_BYTES, offset)
        return content if content is not None and len(content) == PAGE_BYTES else None

    def images(self, first: int, most: int) -> Iterator[Image]:
        """So many of them from the `first` on."""
        for index in range(first, min(first + most, self.count)):
            image = self._image(index)
            if image is not None:
                yield image

    def _image(self, index: int) -> Image | None:
        if index < self.in_file:
            number = index + 1
            content = self.in_the_file(number)
            is_live = number not in self._newest
            return None if content is None else Image(number, 0, not self._is_free(number), is_live, content)
        frame = self.log.frames[index - self.in_file]
        assert self._log is not None
        content = self._whole(self._log, frame.offset)
        if content is None:
            return None
        position = index - self.in_file + 1
        if not frame.is_current:
            # it counts only where it is all that is left of its page
            is_newest = self._older.get(frame.page) == position - 1 and frame.page not in self._newest
            is_live = is_newest and self._is_lost(frame.page)
            return Image(frame.page, OLD_RANK, is_live and frame.is_whole, is_live, content)
        is_sure = frame.is_whole and position <= self.log.committed
        return Image(frame.page, position, is_sure, self._newest.get(frame.page) == position - 1, content)

    def _is_free(self, number: int) -> bool:
        return self._use(number) == FREE_PAGE

    def _is_lost(self, number: int) -> bool:
        """Whether what stands there in the file is no page of rows although it should be."""
        content = self.in_the_file(number)
        if content is None:
            return True
        kind = content[FILE_HEADER_BYTES if number == 1 else 0]
        return kind not in TREE_KINDS and (self._use(number) in TREE_PAGES or not any(content))

    def _use(self, number: int) -> int | None:
        """What the pointer map says of a page; None: it says nothing."""
        each = PAGE_BYTES // POINTER_BYTES + 1
        if number < 3:
            return FREE_PAGE if number == 2 else None  # the first page of the map itself
        map_page = (number - 2) // each * each + 2
        if map_page == number:
            return FREE_PAGE
        entries = self.page(map_page)
        return None if entries is None else entries[POINTER_BYTES * (number - map_page - 1)]


def _handle(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def log_damage(path: Path) -> str | None:
    """What of a log is damaged that SQLite would drop without a word; None: nothing, but for the last commit.

    A commit is on the disk before the next one is written. So a frame that does not fit was damaged later if two
    commits that belong together come after it, or it is the first of them itself. Anything less may be what a kill,
    a power cut or a sync that failed has left of a commit that nobody was told of, also when a shorter one was begun
    over it: its frames fit among themselves, and it has one end at most.
    """
    pages = Pages(path)
    try:
        log = pages.log
        current = [one for one in log.frames if one.is_current]
        if not current:
            return None
        if not log.has_header:
            return _unmerged(pages)
        wrong = next((number for number, one in enumerate(current) if not one.is_whole), None)
        if wrong is not None and _is_followed(current[wrong:]):
            return f"the write-ahead log is damaged: frame {wrong + 1} of {len(current)}"
    finally:
        pages.close()
    return None


def _is_followed(frames: Sequence[Frame]) -> bool:
    """Whether commits came after the first of these frames, which does not fit: two that belong together."""
    ends = 0
    for one in frames:
        is_commit = one.is_commit and (one.is_whole or one.is_header_in_one_sector)
        ends = is_commit + (ends if one.is_whole else 0)
        if ends > 1:
            return True
    return False


def _unmerged(pages: Pages) -> str | None:
    """Without a header the log may be an old one. It is not if the file lacks something of it.

    Pages that a later commit gave back are not lacked: SQLite merges no page behind the file's end. Nor is what a
    commit that failed has left behind the last one (see `log_damage`). The first frame goes on from the header.
    """
    frames = pages.log.frames
    wrong = next((number for number, one in enumerate(frames) if number and not one.is_whole), len(frames))
    if _is_followed(frames[wrong:]):
        wrong = len(frames)
    committed = frames[: _committed(frames[:wrong])]
    newest = {one.page: one for one in committed if one.is_whole and one.page <= committed[-1].size}
    if any(pages.in_the_log(one) != pages.in_the_file(one.page) for one in newest.values()):
        return "the write-ahead log is damaged: its header is lost"
    return None

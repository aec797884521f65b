"""A damaged store is put aside and never written to: `<folder>/quarantine/<number>-<UTC time>/`.

First a note with the reason, then the files that SQLite put beside it, last the store itself: a log that stayed behind
without its store would be taken for the next one's. Whatever stops us in between is gone on with at the next start.

The note's name says how far it is: `moving.json`, `why.json`, `done.json` once all that could be brought back of it is
in the store that succeeded it (`edge/salvaging.py`), or `cut-short.json` if that ended early. To rename it takes no
room. Numbers go up, whatever the clock says: the newest is the one with the highest.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.store.files import COMPANIONS, remove, to_disk

FOLDER = "quarantine"
MOVING, NOTE, DONE, CUT_SHORT = "moving.json", "why.json", "done.json", "cut-short.json"
OUTLIVED = "outlived"
"""A file that says: the store that came after this one has served for a while."""
FOUND = "found.db"
"""What the salvage has found in it so far (`edge/store/findings.py`). It can be made again."""
FINISHED_KEPT = 3
"""Of those of which all is back, the newest."""
_NUMBERED = re.compile(r"(\d{1,9})-\d{8}T\d{6}Z")


@dataclass(frozen=True, slots=True)
class Quarantined:
    folder: Path
    store: Path
    """Its name there. The file may be missing: then only its log was left."""
    why: str
    at: datetime
    note: str = NOTE
    """The name of its note."""

    @property
    def found(self) -> Path:
        return self.folder / FOUND

    @property
    def is_outlived(self) -> bool:
        return (self.folder / OUTLIVED).exists()


def put_aside(store: Path, why: str, now: datetime) -> Quarantined:
    """Move the store and all that belongs to it. Raises OSError."""
    folder = _new_folder(store.parent / FOLDER, now)
    moving = folder / MOVING
    fresh = moving.with_name(MOVING + ".new")
    try:
        fresh.write_text(json.dumps({"store": store.name, "why": why, "at": now.isoformat()}), encoding="utf-8")
        to_disk(fresh)
        fresh.rename(moving)
    except OSError:
        with suppress(OSError):  # each try would leave a folder
            fresh.unlink(missing_ok=True)
            folder.rmdir()
        raise
    for place in (folder, folder.parent, store.parent):
        to_disk(place)
    _finish(store, folder)
    return Quarantined(folder, folder / store.name, why, now)


def finish(store: Path) -> None:
    """Bring what was begun to its end. Raises OSError."""
    for one in _noted(store, MOVING):
        _finish(store, one.folder)


def all_of(store: Path) -> list[Quarantined]:
    """The quarantines of this store, oldest first."""
    return _noted(store, NOTE, DONE, CUT_SHORT)


def unfinished(store: Path) -> list[Quarantined]:
    """Those of which something may still have to be brought back, oldest first."""
    return _noted(store, NOTE)


def mark_finished(one: Quarantined, *, is_cut_short: bool) -> None:
    """Nothing more is brought back of it. Raises OSError."""
    (one.folder / NOTE).rename(one.folder / (CUT_SHORT if is_cut_short else DONE))
    to_disk(one.folder)
    remove(one.found)


def mark_outlived(store: Path) -> None:
    """The store that is in use has served for a while since the newest quarantine. Raises OSError."""
    newest = next(reversed(all_of(store)), None)
    if newest is not None and not newest.is_outlived:
        (newest.folder / OUTLIVED).touch(mode=0o600)
        to_disk(newest.folder)


def prune(store: Path) -> None:
    """Of those that are done only the newest stay; of the others all do. Raises OSError."""
    for one in _noted(store, DONE, CUT_SHORT):
        remove(one.found)
    for one in _noted(store, DONE)[:-FINISHED_KEPT]:
        remove(one.store)
        (one.folder / OUTLIVED).unlink(missing_ok=True)
        (one.folder / DONE).unlink()
        with suppress(OSError):  # a person may have put something of his own there
            one.folder.rmdir()


def _noted(store: Path, *names: str) -> list[Quarantined]:
    """Those with a note of one of these names."""
    return [one for folder in _folders(store.parent / FOLDER) for one in _read(folder, names) if _is_of(one, store)]


def _folders(root: Path) -> list[Path]:
    return sorted(root.iterdir(), key=lambda folder: (_number(folder), folder.name)) if root.is_dir() else []


def _number(folder: Path) -> int:
    """0: of a time before there were numbers, or not one of ours."""
    match = _NUMBERED.fullmatch(folder.name)
    return 0 if match is None else int(match[1])


def _read(folder: Path, names: tuple[str, ...]) -> Iterator[Quarantined]:
    for name in names:
        # else nothing was moved there, or a person has put something of his own there
        with suppress(OSError, ValueError, LookupError, TypeError):
            note = json.loads((folder / name).read_text(encoding="utf-8"))
            at = datetime.fromisoformat(note["at"])
            yield Quarantined(folder, folder / note["store"], str(note["why"]), at, name)


def _is_of(one: Quarantined, store: Path) -> bool:
    return one.store.name == store.name


def _finish(store: Path, folder: Path) -> None:
    for suffix in reversed(COMPANIONS):
        part = store.with_name(store.name + suffix)
        if part.exists():
            part.rename(folder / part.name)
            to_disk(folder)
            to_disk(store.parent)
    (folder / MOVING).rename(folder / NOTE)
    to_disk(folder)


def _new_folder(root: Path, now: datetime) -> Path:
    root.mkdir(mode=0o700, exist_ok=True)
    to_disk(root.parent)
    number = 1 + max((_number(folder) for folder in root.iterdir()), default=0)
    folder = root / f"{number:04d}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    folder.mkdir(mode=0o700)
    return folder

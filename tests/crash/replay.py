"""Power cuts, replayed: at each step of a recorded run, what the disk may hold then is opened and judged.

What must hold of each image: the store opens as the daemon opens it, SQLite finds it whole, its contents are those of
a moment of the run (so no unit of work is there by half, and none without those before it), they are sound by
themselves (chains, digests, counters), and every message whose answer had left is there as it came.
"""

import asyncio
import math
import os
import pickle
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.crash import journal
from tests.crash.cuts import Mode, ways
from tests.crash.disk import Disk, Leaf
from tests.crash.figures import Figures
from tests.crash.journal import Contents
from tests.crash.recording import (
    Acknowledged,
    Create,
    Grow,
    Link,
    MakeFolder,
    Recording,
    Rename,
    Resize,
    Sync,
    Told,
    Unlink,
    Write,
)
from tests.crash.truth import Said
from tests.crash.yard import Place, place

Identity: TypeAlias = tuple[object, ...]
SURE = frozenset({Mode.ALL, Mode.NOTHING, Mode.ONLY_NAMES, Mode.ONLY_CONTENTS})
CHANGES = (Write, Resize, Grow, Create, MakeFolder, Rename, Link, Unlink, Sync)

_KEPT = re.compile(r"\.before-(migration-\d+|restore-\d+T\d+Z(-\d+)?)$")
"""Copies that are whole as soon as they have their names."""


@dataclass(frozen=True)
class Run:
    """A recording with what was said in it, by message id. `before`: what was promised before it began.

    `thins`: the run itself removes messages; then each must have been there before the moment to which an image goes
    back, but for values that were never stored at all. (That the cloud has got them, or could do without, is known of the run as a whole.)
    """

    name: str
    recording: Recording
    said: Mapping[str, Said]
    before: tuple[str, ...] = ()
    thins: bool = False
    store_name: str = "edge.db"


def replay(run: Run, images: int, *, seed: int = 1, until_wrong: bool = False) -> Figures:
    """About so many different images, spread over the run; `until_wrong`: or until the first that is wrong."""
    figures = Figures()
    began = time.process_time()
    with place(run.store_name) as here, asyncio.Runner() as runner:
        judge = _Judge(run, here, runner, figures)
        for moment in _moments(run, images, random.Random(seed)):
            judge.moment(moment)
            if until_wrong and not figures.is_clean:
                break
        judge.end()
    figures.seconds = time.process_time() - began
    figures.notes["contents told apart"] = len(judge.known)
    return figures


def kept(run: Run, images: int, seed: int) -> Path:
    """A file with the recording: no two runs of a daemon are the same, and what was found in one must not get lost."""
    handle, name = tempfile.mkstemp(prefix="edge-recording-", suffix=".pickle")
    with os.fdopen(handle, "wb") as file:
        pickle.dump((run, images, seed), file)
    return Path(name)


def replay_again(recording: Path) -> Figures:
    """What `kept` has kept, replayed in the same way."""
    run, images, seed = pickle.loads(recording.read_bytes())
    return replay(run, images, seed=seed)


@dataclass(frozen=True)
class Moment:
    """The disk after so many steps, until the next one that changes it."""

    step: int
    promises: int
    """So many answers had begun to leave before that."""
    done: int
    """After this step a command said that it was done: what it did must not be undone."""
    images: tuple[tuple[Mode, Mapping[str, Leaf], Identity], ...]


def _moments(run: Run, images: int, chance: random.Random) -> Iterator[Moment]:
    """With about so many different images in all, in equal shares."""
    disk, seen, steps = Disk.of(run.recording), set[Identity](), run.recording.steps
    promises, done = len(run.before), 0
    for number, step in enumerate(steps, 1):
        is_change = disk.do(step)
        promises += isinstance(step, Acknowledged) and step.message_id in run.said
        done = number if isinstance(step, Told) else done
        is_last = number == len(steps) or isinstance(steps[number], CHANGES)
        if not is_last:
            continue
        due = max(0, images - len(seen)) / (len(steps) + 1 - number)
        times = math.floor(due) + (chance.random() < due % 1)
        found = []
        for mode, choice in ways(disk, chance, times):
            leaves, identity = disk.image(choice)
            is_new = identity not in seen
            if is_new and is_change and mode not in SURE and times <= 0:
                continue
            times -= is_new
            seen.add(identity)
            found.append((mode, leaves, identity))
        yield Moment(number, promises, done, tuple(found))


@dataclass(frozen=True)
class Opened:
    """What an image held: in its store, and in stores that were put aside."""

    fingerprint: int
    contents: tuple[Contents, ...]


@dataclass
class _Judge:
    """Opens images and judges them; what an equal one contained is remembered."""

    run: Run
    here: Place
    runner: asyncio.Runner
    figures: Figures
    known: dict[int, Contents] = field(default_factory=dict)
    """All contents that the run went through so far, by their fingerprint."""
    newest: dict[int, int] = field(default_factory=dict)
    """Step at which the run had them last."""
    oldest: dict[int, int] = field(default_factory=dict)
    """Step at which it had them first."""
    stored: dict[str, int] = field(default_factory=dict)
    """Step at which a message was there first, in a run that removes some."""
    not_yet: dict[str, list[str]] = field(default_factory=dict)
    """Values that were answered and had not been stored so far, in such a run: where."""
    opened: dict[Identity, "Opened | None"] = field(default_factory=dict)
    promised: list[tuple[Said, Mapping[str, Any] | None]] = field(default_factory=list)
    kept: dict[Identity, Contents | str] = field(default_factory=dict)
    """Copies beside the store: what is in them, or what is wrong with them."""

    def __post_init__(self) -> None:
        self.promised = [(self.run.said[one], None) for one in self.run.before] + [
            (self.run.said[step.message_id], step.payload)
            for step in self.run.recording.steps
            if isinstance(step, Acknowledged) and step.message_id in self.run.said
        ]
        self.figures.acknowledged += len(self.promised)

    def moment(self, moment: Moment) -> None:
        self.figures.points += 1
        for mode, leaves, identity in moment.images:
            where = f"{self.run.name}, step {moment.step}, {mode}"
            if identity not in self.opened:
                self.figures.covered[str(mode)] += 1
                self._put(leaves)
                aside = tuple(self._copies(leaves, where))
                self.opened[identity] = self._open(mode, aside, where)
            opened = self.opened[identity]
            if opened is None:
                continue
            if mode is Mode.ALL:
                self.newest[opened.fingerprint] = moment.step
                self._note_what_is_there(opened, moment)
            self._promises(opened, moment, where)
            if self.newest.get(opened.fingerprint, moment.step) < moment.done:
                self.figures.complain("is as before", f"{where}: what a command has said to have done is undone")

    def _open(self, mode: Mode, aside: tuple[Contents, ...], where: str) -> Opened | None:
        try:
            with self.runner.get_loop().run_until_complete(journal.opened(self.here.store)) as connection:
                damage = journal.is_whole(connection)
                fingerprint = journal.fingerprint(connection)
                contents = self.known.get(fingerprint)
                if contents is None:
                    contents = journal.look(connection)
        except journal.UNUSABLE as error:
            self.figures.complain("cannot be opened", f"{where}: {error}")
            return None
        why = journal.why_put_aside(self.here.disk)
        if why is not None:
            self.figures.complain("was put aside", f"{where}: {why}")
        elif damage is not None:
            self.figures.complain("is damaged", f"{where}: {damage}")
        elif contents.unsound is not None:
            self.figures.complain("contradicts itself", f"{where}: {contents.unsound}")
        elif fingerprint not in self.known and mode is not Mode.ALL:
            self.figures.complain("was never so", f"{where}: contents that the run has never had")
        if mode is Mode.ALL:
            self.known[fingerprint] = contents
        return Opened(fingerprint, (contents, *aside))

    def _put(self, leaves: Mapping[str, Leaf]) -> None:
        disk = str(self.here.disk)
        for name in os.listdir(disk):
            path = f"{disk}/{name}"
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        for name, leaf in leaves.items():
            path = f"{disk}/{name}"
            if "/" in name:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(leaf.content())

    def _note_what_is_there(self, opened: Opened, moment: Moment) -> None:
        if opened.fingerprint in self.oldest:
            return
        self.oldest[opened.fingerprint] = moment.step
        for said, answer in self.promised if self.run.thins else ():
            if said.message_id not in self.stored and opened.contents[0].lacks(said, answer) is None:
                self.stored[said.message_id] = moment.step

    def _promises(self, opened: Opened, moment: Moment, where: str) -> None:
        gone = []
        for said, answer in self.promised[: moment.promises]:
            lacks = [contents.lacks(said, answer) for contents in opened.contents]
            if not all(lacks) or self._was_removed(said, opened):
                continue
            if self.run.thins and said.action == "MeterValues" and said.message_id not in self.stored:
                self.not_yet.setdefault(said.message_id, []).append(f"{where}: {lacks[0]}")
            else:
                gone.append(lacks[0])
        self.figures.promises += moment.promises
        if gone:
            self.figures.lose(len(gone), f"{where}: {gone[0]}")

    def end(self) -> None:
        """What a filling store has never stored was left out. What came only after its answer was promised too early."""
        for message_id, places in self.not_yet.items():
            if message_id in self.stored:
                self.figures.lose(len(places), places[0])
            else:
                self.figures.notes["values that a filling store has left out"] += 1

    def _was_removed(self, said: Said, opened: Opened) -> bool:
        """By the run itself, before the moment of these contents."""
        stored = self.stored.get(said.message_id)
        return stored is not None and stored <= self.oldest.get(opened.fingerprint, -1)

    def _copies(self, leaves: Mapping[str, Leaf], where: str) -> Iterator[Contents]:
        """Whatever has the name of a finished copy is one. Those that a restore has put aside."""
        for name, leaf in leaves.items():
            kind = _KEPT.search(name)
            if kind is None:
                continue
            identity = leaf.identity()
            if identity not in self.kept:
                self.kept[identity] = journal.of_copy(self.here.disk / name)
            found = self.kept[identity]
            if isinstance(found, str):
                self.figures.complain("a copy is damaged", f"{where}: {name}: {found}")
            elif kind[1].startswith("restore"):
                yield found

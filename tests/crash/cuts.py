"""The ways in which a power cut takes what is pending: `ways` gives for one moment the choices, by mode.

The modes without chance come once, the others as often as is asked; the same choice may come twice.
"""

import random
from collections.abc import Iterator, Mapping
from enum import StrEnum

from tests.crash.disk import SECTOR, Choice, Content, Disk, File, Part, sectors
from tests.crash.recording import Write


class Mode(StrEnum):
    ALL = "everything was written"
    NOTHING = "nothing unsynced was written"
    ONLY_NAMES = "names were, contents not"
    ONLY_CONTENTS = "contents were, names not"
    PREFIX = "a prefix"
    ONE_FILE = "one file before the others"
    SUBSET = "a subset, in any order"
    NAMES_ANY_ORDER = "names in any order"
    TORN = "torn sectors"
    NOISE = "noise in sectors"
    FORGOTTEN = "what failed to sync was dropped"


def ways(disk: Disk, chance: random.Random, times: int) -> Iterator[tuple[Mode, Choice]]:
    written, names = disk.written(), frozenset(disk.pending)
    all_of = dict.fromkeys(written)
    yield Mode.ALL, Choice(all_of, names)
    yield Mode.NOTHING, Choice({}, frozenset())
    if names:
        yield Mode.ONLY_NAMES, Choice({}, names)
        yield Mode.ONLY_CONTENTS, Choice(all_of, frozenset())
    if any(file.forgetful is not None or file.doubtful for file in _files(disk)):
        yield Mode.FORGOTTEN, Choice({}, names, forgets=True)
        yield Mode.FORGOTTEN, Choice(all_of, names, forgets=True)
        for _ in range(times):
            yield Mode.FORGOTTEN, Choice(_some(all_of, chance), _prefix(names, chance), forgets=True)
    if not written and not names:
        return
    for _ in range(times):
        found = list(_by_chance(all_of, written, names, chance))
        chance.shuffle(found)  # whoever takes only some of them takes of each kind
        yield from found


def _by_chance(
    all_of: Mapping[int, None],
    written: Mapping[int, tuple[File, Content]],
    names: frozenset[int],
    chance: random.Random,
) -> Iterator[tuple[Mode, Choice]]:
    """One of each mode that goes by chance."""
    cut = chance.choice([*written, *names]) + chance.randint(0, 1)
    yield Mode.PREFIX, Choice(_before(all_of, cut), frozenset(one for one in names if one < cut))
    if len({file.number for file, _ in written.values()}) > 1:
        first = chance.choice(list(written.values()))[0]
        of_first = {number: None for number, (file, _) in written.items() if file is first}
        yield Mode.ONE_FILE, Choice(of_first, _prefix(names, chance))
    if len(written) > 1:
        yield Mode.SUBSET, Choice(_some(all_of, chance), _prefix(names, chance))
    if len(names) > 1:
        yield Mode.NAMES_ANY_ORDER, Choice(_some(all_of, chance), frozenset(_some(dict.fromkeys(names), chance)))
    if written:
        yield Mode.TORN, Choice(_torn(written, chance, noise=False), _prefix(names, chance))
        yield Mode.NOISE, Choice(_torn(written, chance, noise=True), _prefix(names, chance))


def _files(disk: Disk) -> list[File]:
    return [node for node in {**disk.certain, **disk.names}.values() if isinstance(node, File)]


def _before(contents: Mapping[int, None], cut: int) -> dict[int, None]:
    return {number: None for number in contents if number < cut}


def _some(contents: Mapping[int, None], chance: random.Random) -> dict[int, None]:
    return {number: None for number in contents if chance.random() < 0.5}


def _prefix(names: frozenset[int], chance: random.Random) -> frozenset[int]:
    ordered = sorted(names)
    return frozenset(ordered[: chance.randint(0, len(ordered))])


def _torn(written: Mapping[int, tuple[File, Content]], chance: random.Random, *, noise: bool) -> dict[int, Part | None]:
    """Most of what is pending, with one to three writes in pieces."""
    chosen: dict[int, Part | None] = {number: None for number in written if chance.random() < 0.7}
    writes = [number for number, (_, change) in written.items() if isinstance(change, Write)]
    for number in chance.sample(writes, min(len(writes), chance.randint(1, 3))):
        change = written[number][1]
        assert isinstance(change, Write)
        count = len(sectors(change))
        kept = frozenset(index for index in range(count) if chance.random() < 0.5)
        spoilt = {chance.randrange(count): chance.randbytes(SECTOR)} if noise else {}
        chosen[number] = Part(kept | spoilt.keys(), spoilt)
    return chosen

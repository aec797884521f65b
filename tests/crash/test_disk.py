"""The disk of the replay forgets what a real one may forget, and nothing else."""

import random
from pathlib import Path

from tests.crash.cuts import Mode, ways
from tests.crash.disk import SECTOR, Choice, Disk, Part
from tests.crash.recording import Create, Grow, Link, MakeFolder, Recording, Rename, Resize, Step, Sync, Unlink, Write

NOTHING = Choice({}, frozenset())


def disk(*steps: Step, **before: bytes) -> Disk:
    made = Disk.of(Recording(Path("/disk"), before, steps))
    for step in steps:
        made.do(step)
    return made


def files(of: Disk, choice: Choice) -> dict[str, bytes]:
    return {path: bytes(leaf.content()) for path, leaf in of.image(choice)[0].items()}


def synced(path: str, since: int = 1000) -> Sync:
    return Sync(path, since, failed=False)


def everything(of: Disk) -> Choice:
    return Choice(dict.fromkeys(of.written()), frozenset(of.pending))


def test_what_was_synced_stays_and_the_rest_may_go():
    here = disk(Write("a", 0, b"12"), synced("a"), Write("a", 2, b"34"), a=b"")
    assert files(here, NOTHING) == {"a": b"12"}
    assert files(here, everything(here)) == {"a": b"1234"}


def test_a_sync_covers_nothing_that_came_after_its_beginning():
    here = disk(Write("a", 0, b"1"), Write("a", 1, b"2"), synced("a", since=1), a=b"")
    assert files(here, NOTHING) == {"a": b"1"}


def test_writes_may_reach_the_disk_in_any_order():
    here = disk(Write("a", 0, b"1"), Write("a", 2, b"3"), a=b"..")
    assert files(here, Choice({1: None}, frozenset())) == {"a": b"..3"}


def test_a_write_may_be_torn_at_sectors_and_leaves_what_is_around_it_alone():
    text = bytes([1]) * SECTOR + bytes([2]) * SECTOR
    here = disk(Write("a", 100, text), a=b"." * 3 * SECTOR)
    (found,) = files(here, Choice({0: Part(frozenset({1}))}, frozenset())).values()
    assert found == b"." * SECTOR + bytes([1]) * 100 + bytes([2]) * (SECTOR - 100) + b"." * SECTOR
    (noisy,) = files(here, Choice({0: Part(frozenset({0}), {0: b"?" * SECTOR})}, frozenset())).values()
    assert noisy == b"." * 100 + b"?" * (SECTOR - 100) + b"." * 2 * SECTOR


def test_sizes_are_contents():
    here = disk(Resize("a", 1), Grow("a", 3), a=b"12")
    assert files(here, everything(here)) == {"a": b"1\0\0"}
    assert files(here, NOTHING) == {"a": b"12"}


def test_a_name_is_certain_only_when_its_folder_was_synced():
    here = disk(Create("a"), Write("a", 0, b"1"), synced("a"))
    assert files(here, NOTHING) == {}
    here.do(synced("."))
    assert files(here, NOTHING) == {"a": b"1"}


def test_a_renamed_file_has_the_old_name_or_the_new_one_with_whatever_contents_are_certain():
    here = disk(Write("new", 0, b"1"), Rename("new", "old"), new=b"", old=b"0")
    assert files(here, NOTHING) == {"new": b"", "old": b"0"}
    assert files(here, Choice({}, frozenset({1}))) == {"old": b""}
    assert files(here, Choice({0: None}, frozenset({1}))) == {"old": b"1"}


def test_two_changes_of_names_may_reach_the_disk_in_either_order():
    here = disk(Link("a", "kept"), Unlink("a"), a=b"1")
    assert files(here, Choice({}, frozenset({1}))) == {}
    assert files(here, Choice({}, frozenset({0}))) == {"a": b"1", "kept": b"1"}


def test_a_folder_that_is_not_on_the_disk_takes_everything_with_it():
    here = disk(MakeFolder("f"), Create("f/a"), Write("f/a", 0, b"1"), synced("f/a"), synced("f"))
    assert files(here, NOTHING) == {}
    here.do(synced("."))
    assert files(here, NOTHING) == {"f/a": b"1"}


def test_after_a_sync_that_failed_its_writes_are_in_doubt_for_ever():
    here = disk(
        Write("a", 0, b"1"), Sync("a", 1, failed=True), Write("a", 1, b"2"), synced("a"), synced("a"), a=b".."
    )  # fmt: skip
    assert files(here, NOTHING) == {"a": b"12"}
    assert files(here, Choice({}, frozenset(), forgets=True)) == {"a": b".2"}
    assert Mode.FORGOTTEN in {mode for mode, _ in ways(here, random.Random(1), 1)}


def test_equal_images_are_known_as_equal_and_others_are_not():
    here = disk(Write("a", 0, b"1"), Write("a", 1, b"2"), a=b"")
    whole = here.image(everything(here))[1]
    assert len({whole, here.image(NOTHING)[1], here.image(Choice({0: None}, frozenset()))[1]}) == 3
    here.do(synced("a"))
    assert here.image(NOTHING)[1] == whole


def test_each_way_is_taken_where_there_is_something_to_lose():
    here = disk(
        Create("b"), Write("b", 0, b"x" * 2000), Write("a", 0, b"1"), Write("a", 1, b"2"), Rename("b", "c"), a=b""
    )  # fmt: skip
    assert {mode for mode, _ in ways(here, random.Random(1), 3)} == set(Mode) - {Mode.FORGOTTEN}
    calm = disk(synced("a"), a=b"")
    assert {mode for mode, _ in ways(calm, random.Random(1), 3)} == {Mode.ALL, Mode.NOTHING}

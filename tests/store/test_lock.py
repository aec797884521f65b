"""Who may touch the store: one process at a time, whatever state the disk is in."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.store.lock import StoreLock, StoreTaken
from edge.store.migration import StoreUnusable

HOLDER = """
import sys
from pathlib import Path
from edge.store.lock import StoreLock
lock = StoreLock(Path(sys.argv[1]))
try:
    lock.hold()
    print("held", flush=True)
except Exception as error:
    print(type(error).__name__, error, flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process that wants the store, until it is killed."""

    def __init__(self, store: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> str:
        return self.process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_of_two_processes_the_second_is_refused_until_the_first_is_dead(path: Path) -> None:
    lock = StoreLock(path)
    first = Holder(path)
    with first as said:
        assert said == "held"
        with pytest.raises(StoreTaken, match=str(path)):
            lock.hold()
    lock.hold()
    with Holder(path) as said:
        assert said.startswith("StoreTaken")
    lock.let_go()
    with Holder(path) as said:
        assert said == "held"


def test_it_can_be_asked_for_again_by_whoever_has_it(path: Path) -> None:
    lock = StoreLock(path)
    lock.hold()
    lock.hold()
    with Holder(path) as said:
        assert said.startswith("StoreTaken")
    lock.let_go()
    lock.let_go()


def test_a_lock_whose_file_is_another_one_now_is_taken_again(path: Path) -> None:
    """Somebody removed it, or the disk was mounted anew: the old one keeps nobody out any more."""
    lock = StoreLock(path)
    lock.hold()
    path.with_name("edge.db.lock").unlink()
    lock.hold()
    with Holder(path) as said:
        assert said.startswith("StoreTaken")
    path.with_name("edge.db.lock").unlink()
    with Holder(path) as said:
        assert said == "held"
        with pytest.raises(StoreTaken):
            lock.hold()
    lock.let_go()


def under_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "edge.db"


def where_nothing_can_be_made(_folder: Path) -> Path:
    return Path("/proc/no-such-folder/edge.db")


def beside_a_link_to_nowhere(folder: Path) -> Path:
    (folder / "edge.db.lock").symlink_to(folder / "unmounted" / "lock")
    return folder / "edge.db"


def beside_a_folder(folder: Path) -> Path:
    (folder / "edge.db.lock").mkdir()
    return folder / "edge.db"


@pytest.mark.parametrize("place", [under_a_file, where_nothing_can_be_made, beside_a_link_to_nowhere, beside_a_folder])
def test_a_disk_on_which_it_cannot_be_had_is_told_with_the_path_and_the_reason(tmp_path: Path, place) -> None:
    store = place(tmp_path)
    lock = StoreLock(store)
    with pytest.raises(StoreUnusable, match=rf"{store}.*(directory|exists)") as refused:
        lock.hold()
    assert not isinstance(refused.value, StoreTaken)
    lock.let_go()


READ_ONLY = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/edge"
: > "$1/edge/edge.db.lock"
mount -o remount,bind,ro "$1"
exec "$2" -c "$3" "$1/$4"
"""


def on_read_only_disk(mountpoint: Path, program: str, store: str) -> str:
    """What the program says of a store there, in a mount namespace of its own."""
    unshare = shutil.which("unshare")
    words = [] if unshare is None else [unshare, "--user", "--map-root-user", "--mount"]
    if (
        not words
        or subprocess.run([*words, sys.executable, "-c", ""], capture_output=True, check=False).returncode != 0
    ):
        pytest.skip("this needs a mount of its own: unshare (package util-linux) and user namespaces")
    done = subprocess.run(
        [*words, "sh", "-c", READ_ONLY, "sh", str(mountpoint), sys.executable, program, store],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout.strip() + done.stderr.strip()


TWO_HOLDERS = """
import os, sys
from pathlib import Path
from edge.store.lock import StoreLock, StoreTaken
StoreLock(Path(sys.argv[1])).hold()
try:
    StoreLock(Path(sys.argv[1])).hold()
except StoreTaken:
    print("one only")
"""


def test_on_a_disk_that_has_become_read_only_it_still_keeps_a_second_one_out(tmp_path: Path) -> None:
    assert on_read_only_disk(tmp_path, TWO_HOLDERS, "edge/edge.db") == "one only"


@pytest.mark.parametrize("store", ["edge/other.db", "elsewhere/edge.db"])
def test_on_a_read_only_disk_where_it_never_was_the_store_is_unusable(tmp_path: Path, store: str) -> None:
    said = on_read_only_disk(tmp_path, HOLDER, store)
    assert said.startswith("StoreUnusable")
    assert said.endswith("Read-only file system")

"""What has a name that counts is on the disk before it gets it: the order of the calls to the kernel, as strace sees it.

A kill does not show this, because the kernel outlives the process; a power cut would.
"""

import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.databases.dump import load
from tests.store.givens import opened
from tests.store.lives import ROOT
from tests.store.restoring import copied
from tests.store.test_backup import sessions

CALLS = "fsync,fdatasync,link,linkat,rename,renameat,renameat2,write,pwrite64,ftruncate"
RESTORE = "from tests.store.restoring import put_back; put_back(Path(sys.argv[1]), Path(sys.argv[2]))"
MIGRATE = "from tests.store.migration_process import work; work(sys.argv[1])"


def traced(tmp_path: Path, program: str, *words: Path) -> list[str]:
    """What the program asked of the kernel, with the names of the files."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("this needs strace (package strace)")
    log = tmp_path / "calls"
    done = subprocess.run(
        [strace, "-f", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(log),
         sys.executable, "-c", f"import sys; from pathlib import Path; {program}", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not look here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return log.read_text().splitlines()


def places(calls: list[str], pattern: str) -> list[int]:
    found = [number for number, call in enumerate(calls) if re.search(pattern, call)]
    assert found, pattern
    return found


def test_a_restored_copy_is_on_the_disk_before_it_has_the_stores_name(path: Path, tmp_path: Path) -> None:
    with closing(opened(path)) as db:
        sessions(db, 3)
    copy = copied(path, tmp_path / "copy.db")
    calls = traced(tmp_path, RESTORE, copy, path)
    staged, folder = rf"<{path}\.restoring>", rf"<{tmp_path}>"
    last_write = places(calls, rf"(write|pwrite64|ftruncate)\(\d+{staged}")[-1]
    on_disk = places(calls, rf"fsync\(\d+{staged}")[-1]
    (kept,) = places(calls, rf"link(at)?\(.*{path}\", .*before-restore")
    (named,) = places(calls, rf"rename(at2?)?\(.*{path}\.restoring\", .*{path}\"")
    first, *_, last = places(calls, rf"fsync\(\d+{folder}")
    assert last_write < on_disk < named < last
    assert kept < first < named


def test_a_copy_before_a_migration_is_on_the_disk_before_the_store_is_changed(path: Path, tmp_path: Path) -> None:
    load((ROOT / "tests/databases/schema-1.sql").read_text(), path)
    calls = traced(tmp_path, MIGRATE, path)
    fresh, folder = rf"<{path}\.before-migration-1\.new>", rf"<{tmp_path}>"
    last_write = places(calls, rf"(write|pwrite64|ftruncate)\(\d+{fresh}")[-1]
    on_disk = places(calls, rf"fsync\(\d+{fresh}")[-1]
    (named,) = places(calls, r"rename(at2?)?\(.*before-migration-1\.new\", .*before-migration-1\"")
    in_folder = places(calls, rf"fsync\(\d+{folder}")
    first_change = places(calls, rf"(write|pwrite64)\(\d+<{path}-wal>")[0]
    assert last_write < on_disk < named
    assert any(named < number < first_change for number in in_folder)

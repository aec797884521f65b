"""`edge restore` by root, where the daemon's user has been taken over: root's rights do not become that user's."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge.console import daemons_user
from edge.console.daemons_user import Untrusted, User
from edge.store import restore
from tests.scenarios.site import free_port
from tests.scenarios.test_backup import NO_CSMS, counts
from tests.scenarios.test_outage import toml
from tests.scenarios.test_process import edge
from tests.store.givens import opened
from tests.store.test_backup import sessions

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = 65534


class Installed:
    """A store of user nobody's, a backup of it that root alone may read, and somebody else's file."""

    def __init__(self, folder: Path) -> None:
        os.chmod(folder, 0o755)
        self.folder = folder
        self.daemons = folder / "of-the-daemon"
        self.daemons.mkdir()
        self.store = self.daemons / "edge.db"
        with closing(opened(self.store)) as db:
            sessions(db, 1)
        self.backup = folder / "of-root" / "copy.db"
        self.backup.parent.mkdir(mode=0o700)
        with closing(sqlite3.connect(self.store)) as db, closing(sqlite3.connect(self.backup)) as to:
            db.backup(to)
        self.backup.chmod(0o600)
        self.config = folder / "edge.toml"
        self.set_store("of-the-daemon/edge.db")
        self.owned()

    def set_store(self, path: str) -> None:
        self.config.write_text(toml(free_port(), NO_CSMS).replace('"edge.db"', f'"{path}"'))

    def owned(self) -> None:
        for one in (self.daemons, *self.daemons.rglob("*")):
            os.chown(one, NOBODY, NOBODY, follow_symlinks=False)

    async def restore(self, file: Path) -> tuple[int, str]:
        code, _, err = await edge("restore", str(file), "--config", str(self.config))
        return code, " ".join(err.split())

    def by_a_link(self) -> Path:
        """What a restore leaves there, in name."""
        link = self.daemons / "edge.db.before-restore-20261121T080211Z"
        link.symlink_to(self.backup)
        return link

    def by_a_folder(self) -> Path:
        (self.daemons / "backups").symlink_to(self.backup.parent)
        return self.daemons / "backups" / "copy.db"

    def by_a_name_of_its_own(self) -> Path:
        """Root's file in the daemon's folder: another one may have got that name."""
        self.backup.rename(self.daemons / "copy.db")
        return self.daemons / "copy.db"

    def in_everybodys_folder(self) -> Path:
        common = self.folder / "common"
        common.mkdir()
        os.chmod(common, 0o1777)
        os.link(self.backup, common / "copy.db")
        return common / "copy.db"

    def of_somebody_else(self) -> Path:
        os.chown(self.backup, 1234, 1234)
        return self.backup


@pytest.fixture
def installed(folder: Path) -> Installed:
    return Installed(folder)


async def test_a_backup_that_root_alone_may_read_is_put_back(installed):
    assert await installed.restore(installed.backup) == (0, "")
    assert counts(installed.store) == (1, 5)


async def test_a_backup_that_the_daemons_user_may_read_is_put_back_from_wherever_it_lies(installed):
    theirs = installed.daemons / "edge.db.before-restore-20261121T080211Z"
    theirs.write_bytes(installed.backup.read_bytes())
    installed.owned()
    assert await installed.restore(theirs) == (0, "")


@pytest.mark.parametrize(
    "place",
    [
        Installed.by_a_link,
        Installed.by_a_folder,
        Installed.by_a_name_of_its_own,
        Installed.in_everybodys_folder,
        Installed.of_somebody_else,
    ],
    ids=lambda place: place.__name__,
)
async def test_what_root_alone_may_read_is_not_handed_to_the_daemons_user_from_where_others_may_write(
    installed: Installed, place: Callable[[Installed], Path]
):
    before = installed.store.stat().st_ino
    code, said = await installed.restore(place(installed))
    assert code == 1
    assert "Copy it to such a one, /root for example, or let the daemon's user read it." in said
    assert installed.store.stat().st_ino == before


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
async def test_what_lies_beside_a_backup_is_not_read_with_roots_rights_either(installed, suffix):
    theirs = installed.daemons / "copy.db"
    theirs.write_bytes(installed.backup.read_bytes())
    installed.owned()
    (installed.daemons / f"copy.db{suffix}").symlink_to(installed.backup)
    code, said = await installed.restore(theirs)
    assert (code, "Copy it to such a one" in said) == (1, True)


async def test_who_called_sudo_may_have_the_backup_in_a_folder_of_ones_own(installed, monkeypatch):
    for one in (installed.backup.parent, installed.backup):
        os.chown(one, 1234, 1234)
    monkeypatch.setenv("SUDO_UID", "1235")
    assert (await installed.restore(installed.backup))[0] == 1
    monkeypatch.setenv("SUDO_UID", "1234")
    assert await installed.restore(installed.backup) == (0, "")


async def test_the_daemons_user_that_may_call_sudo_is_trusted_no_more_for_it(installed, monkeypatch):
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    code, said = await installed.restore(installed.by_a_name_of_its_own())
    assert (code, "Copy it to such a one" in said) == (1, True)


async def test_a_folder_of_roots_in_the_daemons_one_is_not_taken_for_the_stores(installed):
    """`[store] path` two levels below what the daemon's user may change: the inner folder becomes a link."""
    roots = installed.folder / "of-root"
    (installed.daemons / "inner").symlink_to(roots)
    installed.set_store("of-the-daemon/inner/edge.db")
    code, said = await installed.restore(installed.backup)
    assert (code, "Permission denied" in said) == (1, True)
    assert [item.name for item in roots.iterdir()] == ["copy.db"]


async def test_a_link_of_roots_to_the_folder_of_the_store_is_followed(installed):
    (installed.folder / "link").symlink_to("of-the-daemon")
    installed.set_store("link/edge.db")
    assert await installed.restore(installed.backup) == (0, "")
    assert installed.store.stat().st_uid == NOBODY


async def test_a_folder_of_roots_that_others_may_write_to_is_no_place_for_a_store(installed):
    os.chown(installed.daemons, 0, NOBODY)
    os.chmod(installed.daemons, 0o770)
    code, said = await installed.restore(installed.backup)
    assert (code, "Give the folder to the daemon's user" in said) == (1, True)


def test_whose_store_it_is_stands_in_the_first_folder_that_is_not_roots(folder):
    os.chmod(folder, 0o755)
    assert daemons_user.user_of(folder / "edge.db") is None
    assert daemons_user.user_of(folder / "none" / "edge.db") is None
    (folder / "one" / "two").mkdir(parents=True)
    os.chown(folder / "one", 1234, 0)
    for path in ("one/edge.db", "one/two/edge.db", "one/two/../../edge.db", "one/none/edge.db"):
        assert daemons_user.user_of(folder / path) == User(1234, 1234), path
    (folder / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        daemons_user.user_of(folder / "round" / "edge.db")


def test_nothing_else_than_a_file_is_opened_with_roots_rights(folder):
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(Untrusted):
            daemons_user.open_as_root(folder / name, {0})
    with pytest.raises(FileNotFoundError):
        daemons_user.open_as_root(folder / "none", {0})
    with pytest.raises(OSError, match="no file"):
        restore.open_part(folder / "pipe")


def test_after_a_moment_as_the_user_all_is_as_before(folder):
    before = os.getresuid(), os.getresgid(), os.getgroups()
    (folder / "secret").touch(0o600)
    with pytest.raises(PermissionError), daemons_user.acting_as(User(NOBODY, NOBODY)):
        os.open(folder / "secret", os.O_RDONLY)
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before

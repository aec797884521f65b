"""As whom root puts a store back: as the daemon's user, so that nobody who is that user can use root's rights.

In: paths, on which that user may have put links and other files at any moment. Out: who may change what lies there
(`user_of`), this process as that user for a moment or for good, and the files that are read with root's own rights:
only what nobody but root, or the person who called it, can have put in its place (`open_as_root`).
"""

import errno
import os
import pwd
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MOST_LINKS = 40
_HINT_FILE = (
    "For the daemon's user root reads only files of root or of you, by a path without links, in a folder to which "
    "nobody else may write. Copy it to such a one, /root for example, or let the daemon's user read it."
)
_HINT_STORE = "Give the folder to the daemon's user, or restore as that user: sudo -u edge edge restore FILE"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Untrusted(PermissionError):
    """Somebody else than root can have put something else in this place."""

    def __init__(self, why: str, path: Path, hint: str) -> None:
        super().__init__(errno.EPERM, why, str(path))
        self.hint = hint


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int


def user_of(store: Path) -> User | None:
    """Whoever may change what lies at this path, found by going all the way from `/`; None: root alone may.

    Raises Untrusted where root's own folder is open to others: then nobody can say who.
    """
    rest = list(reversed((Path.cwd() / store).parts))
    here, links = Path(rest.pop()), 0
    while True:
        try:
            found = here.lstat()
        except FileNotFoundError:
            return None  # root makes it
        is_link = stat.S_ISLNK(found.st_mode)
        if found.st_uid != 0 and (is_link or stat.S_ISDIR(found.st_mode)):
            return User(found.st_uid, _group_of(found))
        if is_link:  # root's own
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(here))
            target = here.readlink()
            rest += reversed(target.parts)
            here = Path(rest.pop()) if target.is_absolute() else here.parent
        elif stat.S_ISDIR(found.st_mode) and _is_open_to_others(found):
            raise Untrusted("root's folder, and others may write to it", here, _HINT_STORE)
        if not rest:
            return None
        here /= rest.pop()


def _group_of(found: os.stat_result) -> int:
    """The user's own: that of a file would be a right that the user may not have."""
    try:
        return pwd.getpwuid(found.st_uid).pw_gid
    except KeyError:
        return found.st_gid or found.st_uid


def _is_open_to_others(found: os.stat_result) -> bool:
    """In a folder such as `/tmp` nobody can put anything in another's place."""
    writable = found.st_mode & _WRITABLE_BY_OTHERS
    if found.st_gid == 0:
        writable &= ~stat.S_IWGRP
    return writable != 0 and not found.st_mode & stat.S_ISVTX


@contextmanager
def acting_as(user: User) -> Iterator[None]:
    """What is opened meanwhile, the user could open, too."""
    groups, gid = os.getgroups(), os.getegid()
    try:
        os.setgroups([])
        os.setegid(user.gid)
        os.seteuid(user.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def become(user: User) -> None:
    """For good."""
    os.setgroups([])
    os.setgid(user.gid)
    os.setuid(user.uid)


def open_as_root(file: Path, trusted: Collection[int]) -> int:
    """A handle to read from. Raises Untrusted, unless only `trusted` can have put this very file there.

    Each folder on the way is opened in the one before it, so that nothing is exchanged between the look and the step.
    Links are not followed. In the last folder only they may write at all: others might name one of root's files so.
    """
    first, *rest = (Path.cwd() / file).parts
    folder = os.open(first, _FOLDER)
    try:
        for depth, name in enumerate(rest[:-1], start=2):
            step = _opened(name, _FOLDER, folder, Path(first, *rest[: depth - 1]))
            os.close(folder)
            folder = step
            found = os.fstat(folder)
            is_last = depth == len(rest)
            if found.st_uid not in trusted or (_may_others_write(found) if is_last else _is_open_to_others(found)):
                why = "others than root may put something else in this folder"
                raise Untrusted(why, Path(first, *rest[: depth - 1]), _HINT_FILE)
        handle = _opened(rest[-1], _FILE, folder, file)
    finally:
        os.close(folder)
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_uid in trusted:
        return handle
    os.close(handle)
    raise Untrusted("it belongs to neither root nor you, or is no file", file, _HINT_FILE)


def _may_others_write(found: os.stat_result) -> bool:
    return _is_open_to_others(found) or bool(found.st_mode & stat.S_ISVTX and found.st_mode & _WRITABLE_BY_OTHERS)


def _opened(name: str, flags: int, folder: int, shown: Path) -> int:
    """Raises FileNotFoundError, or Untrusted for a link."""
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise Untrusted("a link, or no folder", shown, _HINT_FILE) from error
        raise OSError(error.errno, error.strerror, str(shown)) from error


def caller() -> int | None:
    """Who has become root with sudo."""
    uid = os.environ.get("SUDO_UID", "")
    return int(uid) if uid.isascii() and uid.isdecimal() and len(uid) <= 10 else None

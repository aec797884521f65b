"""`edge restore`: a backup put back in the store's place, in this process, while no daemon runs.

Takes the lock that `edge run` takes; what is done with the files is in `edge/store/restore.py`. Of the configuration
only `[store] path` is read, so that a file with other faults keeps nobody from restoring. Loaded only for this command.
"""

import logging
import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from edge.console import daemons_user
from edge.console.backup_stream import contents_document
from edge.console.daemons_user import Untrusted, User
from edge.console.errors import CommandError
from edge.console.progress import Progress
from edge.console.times import time_ms
from edge.console.units import counted
from edge.domain.ports import EdgeError
from edge.jsontypes import Payload
from edge.store import lock, restore
from edge.store.inspection import Contents
from edge.store.migration import schema_files
from edge.store.restore import Damaged, Opened, Present
from edge.store.succession import Following

DEFAULT_STORE = "/var/lib/edge/edge.db"
_PHASES = {"copying": "is copied", "checking": "is checked"}

Confirm = Callable[[Payload], None]
"""Returns when what the document says may be done; else raises CommandError."""


def put_back(file: str, config: str, *, force: bool, confirm: Confirm) -> Payload:
    """Restore; the document that says what was done. Raises CommandError; then the store is as it was."""
    store = _store_path(config)
    source = Path(file)
    progress = Progress("The backup")
    # what the store has to say while it is looked at; stdout is the document's
    warnings_only = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=warnings_only, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        _require_file(source, store)
        user = daemons_user.user_of(store) if os.geteuid() == 0 else None
        with _opened(source, user) as opened:
            if user is not None:
                schema_files()  # read before: that user need not be allowed to read the program that root uses
                daemons_user.become(user)
            with _locked(store):
                return _restore(source, opened, Path(os.path.realpath(store)), progress, force=force, confirm=confirm)
    except Untrusted as error:
        raise CommandError("not_allowed", f"{error.filename}: {error.strerror}.", error.hint) from error
    except PermissionError as error:
        hint = f"Give it as root, or as the daemon's user: sudo edge restore {file}"
        raise CommandError("not_allowed", f"Permission denied: {error.filename or store}.", hint) from error
    except (EdgeError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CommandError("not_restored", f"{file} is not restored: {reason}.", "The store is as it was.") from error
    finally:
        progress.clear()


def _store_path(config: str) -> Path:
    """`[store] path`, relative to the file's folder."""
    try:
        with open(config, "rb") as content:  # noqa: PTH123 - as it was given
            store = tomllib.load(content).get("store")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        hint = "Which store it is stands in the daemon's configuration: --config FILE"
        raise CommandError("invalid_configuration", f"{config} cannot be read: {reason}.", hint) from error
    path = store.get("path", DEFAULT_STORE) if isinstance(store, dict) else DEFAULT_STORE
    if not isinstance(path, str) or not path:
        raise CommandError("invalid_configuration", f"{config}: [store] path is no path.", "edge check shows more.")
    return Path(config).parent / path


def _require_file(file: Path, store: Path) -> None:
    if not file.is_file():
        what = "is no file" if file.exists() else "does not exist"
        raise CommandError("not_restored", f"{file} {what}.", "Which one did edge backup write?")
    if store.exists() and file.samefile(store):
        raise CommandError("not_restored", f"{file} is the store itself.", "Which one did edge backup write?")


@contextmanager
def _opened(source: Path, user: User | None) -> Iterator[Opened]:
    """What the daemon's user may read is opened as that user; with root's rights, only what is surely root's own.

    Whatever is opened is handed to that user: a link in its folder must not make root hand over a file of root's.
    """
    with ExitStack() as stack:
        if user is None:
            yield stack.enter_context(restore.opened(source))
            return
        try:
            with daemons_user.acting_as(user):
                parts = stack.enter_context(restore.opened(source))
        except PermissionError:
            trusted = {0, daemons_user.caller() or 0} - {user.uid}
            open_part = partial(daemons_user.open_as_root, trusted=trusted)
            parts = stack.enter_context(restore.opened(source, open_part))
        yield parts


@contextmanager
def _locked(store: Path) -> Iterator[None]:
    """Nobody else touches the store meanwhile."""
    handle = lock.take(store)
    if handle is None:
        raise CommandError(
            "daemon_runs",
            f"The daemon runs and uses {store}, or another edge restore does.",
            "Stop it first: systemctl stop edge",
        )
    try:
        if store.exists():
            os.close(os.open(store, os.O_RDWR | os.O_CLOEXEC))  # whether we may, in the kernel's words
        yield
    finally:
        os.close(handle)


def _restore(file: Path, opened: Opened, store: Path, progress: Progress, *, force: bool, confirm: Confirm) -> Payload:
    def tell(phase: str, done: int, of: int) -> None:
        progress.show(_PHASES.get(phase, phase), done, of)

    now = datetime.now(UTC)  # noqa: TID251 - a process of its own; nobody could hand it a Clock
    with restore.staged(opened, store, tell) as (copy, contents):
        if contents.damaged > contents.damaged_when_made and not force:
            damaged = counted(contents.damaged, "message")
            raise CommandError(
                "not_restored",
                f"{file} has changed since it was made: {damaged} to be sent are not what was stored.",
                "Another backup may be whole; --force restores this one, and parks them.",
            )
        before = restore.look(copy, store)
        if isinstance(before, Present) and not force:
            _require_nothing_lost(before, file, contents)
        following = restore.go_on_after(copy, before, store, contents, now)
        kept = restore.free_name(store, now)
        document = _document(file, store, kept, contents, before, following)
        progress.clear()
        confirm(document)
        restore.swap(store, kept)
    return document


def _require_nothing_lost(present: Present, file: Path, contents: Contents) -> None:
    lost = []
    if present.lost_messages:
        lost.append(f"{counted(present.lost_messages, 'message')} that the cloud has not got")
    if present.lost_sessions:
        lost.append(f"{counted(present.lost_sessions, 'session')} that have not ended")
    if not lost:
        return
    made = "" if contents.made_wall_ms is None else f" of {_moment(contents.made_wall_ms)}"
    raise CommandError(
        "would_lose",
        f"The present store holds {' and '.join(lost)}, of which {file}{made} does not know.",
        "Start the daemon and let it send them first (edge status), or give them up: --force",
    )


def _moment(wall_ms: int) -> str:
    return f"{datetime.fromtimestamp(wall_ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"


def _document(
    file: Path,
    store: Path,
    kept: Path,
    contents: Contents,
    before: Present | Damaged | None,
    following: Following,
) -> Payload:
    present = before if isinstance(before, Present) else None
    charger_tx = following.numbers.counters.get("charger_tx")
    return {
        "v": 1,
        "file": str(file),
        "store": str(store),
        "kept_as": None if before is None else str(kept),
        **contents_document(contents),
        "damage": before.why if isinstance(before, Damaged) else None,
        "same_site": None if present is None else present.is_same_site,
        "lost_messages": None if present is None else present.lost_messages,
        "lost_sessions": None if present is None else present.lost_sessions,
        "already_sent": following.already_sent,
        "already_ended": following.already_ended,
        "unknown_since": time_ms(following.unknown_since_ms),
        "next_session": f"S{following.numbers.counters['session'] + 1}",
        "next_charger_transaction_id": None if charger_tx is None else charger_tx + 1,
        "next_seq": following.numbers.seq + 1,
    }

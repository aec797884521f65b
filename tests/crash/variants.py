"""`edge` with something changed, for the proof: `python variants.py VARIANT run --config …`.

`brisk` only waits less and has smaller limits, so that a run of seconds sees what takes a site days: checkpoints, a
store that fills, another try after a failure. What is stored, and when it is answered, is as ever.
"""

import sys
from collections.abc import Callable

CHECKPOINT_EVERY = 40
"""Pages of write-ahead log."""


def brisk() -> None:
    import edge.chargers.intake
    import edge.daemon
    import edge.domain.delivery
    import edge.housekeeping
    import edge.store.db
    import edge.uplink.link

    edge.store.db.SETTINGS += (("wal_autocheckpoint", CHECKPOINT_EVERY, CHECKPOINT_EVERY),)
    edge.store.db.RETRY_PAUSE = 0.05
    edge.chargers.intake.PENDING_INTERVAL = 0
    edge.uplink.link.BACK_OFF_FIRST = edge.uplink.link.BACK_OFF_MOST = 0.03
    edge.domain.delivery.BACK_OFF_FIRST = edge.domain.delivery.BACK_OFF_MOST = 0.05
    edge.daemon.SERVICE_PAUSE = 0.1
    edge.daemon.GUARD_EVERY = 0.05
    edge.daemon.FAILING_FOR = 0.2
    edge.daemon.TRY_DISK_EVERY = 0.2
    edge.housekeeping.GLANCE_EVERY = 0.05
    edge.housekeeping.LOOK_SOON = 0.5


FILLED = 0.91
"""Of what may be used, when the site begins: values that wait are thinned."""


def cramped() -> None:
    """As if the disk had room for hardly more than what is there; how much, stands beside the configuration."""
    from pathlib import Path

    from edge import housekeeping

    told = Path(sys.argv[sys.argv.index("--config") + 1]).with_name("room")

    def most_bytes(pages: "housekeeping.Pages", _space: "housekeeping.Space", _max_size_mb: int) -> int:
        if not told.exists():
            told.write_text(str(round(pages.used * pages.size / FILLED)))
        return int(told.read_text())

    housekeeping.most_bytes = most_bytes
    housekeeping.FREE_PAGES_KEPT = 2
    housekeeping.RELIEVE_AGAIN_AFTER = 0.5
    housekeeping.SHORTEST_PAUSE, housekeeping.PAUSE_PER_WORK = 0.002, 0.0


# --- what must not be, so that the proof is seen to notice it


def commits_are_not_synced() -> None:
    """SQLite's `synchronous = NORMAL`: a commit is whole after a power cut, or gone."""
    from edge.store import db

    db.SETTINGS = tuple(("synchronous", "NORMAL", 1) if one[0] == "synchronous" else one for one in db.SETTINGS)


def answers_come_before_the_commit() -> None:
    """What a unit returned is told as soon as it was written, and the commit follows."""
    import asyncio

    from edge.store import db

    class Uncommitted:
        def __init__(self, connection: "db.sqlite3.Connection") -> None:
            self._connection = connection

        def execute(self, sql: str, *parameters: object) -> object:
            return None if sql == "COMMIT" else self._connection.execute(sql, *parameters)

        def __getattr__(self, name: str) -> object:
            return getattr(self._connection, name)

    run_group, group = db._run_group, db.Store._group

    async def told_first(self: "db.Store", items: "list[db._Waiting]") -> bool:
        stored = await group(self, items)
        for _ in range(5):
            await asyncio.sleep(0)  # the answers leave
        await self._writer.run(lambda connection: connection.execute("COMMIT") if connection.in_transaction else None)
        return stored

    db._run_group = lambda connection, units: run_group(Uncommitted(connection), units)
    db.Store._group = told_first


def a_commit_that_failed_counts_as_one() -> None:
    """What the units returned is told although the disk did not take it."""
    import sqlite3
    from functools import partial

    from edge.store import db

    run_group = db._run_group
    Outcome = tuple[object, Exception | None]

    def keep(unit: "db.Unit[object]", kept: list[Outcome], connection: sqlite3.Connection) -> object:
        result = unit(connection)
        kept.append((result, None))
        return result

    def careless(connection: sqlite3.Connection, units: "list[db.Unit[object]]") -> list[Outcome]:
        kept: list[Outcome] = []
        try:
            return run_group(connection, [partial(keep, unit, kept) for unit in units])
        except sqlite3.Error:
            if len(kept) < len(units):
                raise
            return kept

    db._run_group = careless


def statements_are_committed_one_by_one() -> None:
    """Instead of a unit as a whole."""
    from edge.store import db

    run_group = db._run_group
    left_out = {"BEGIN IMMEDIATE", "SAVEPOINT unit", "RELEASE unit", "ROLLBACK TO unit", "COMMIT"}

    class OneByOne:
        def __init__(self, connection: "db.sqlite3.Connection") -> None:
            self._connection = connection

        def execute(self, sql: str, *parameters: object) -> object:
            return None if sql in left_out else self._connection.execute(sql, *parameters)

        def __getattr__(self, name: str) -> object:
            return getattr(self._connection, name)

    db._run_group = lambda connection, units: run_group(OneByOne(connection), units)


def messages_count_as_delivered_before_they_leave() -> None:
    """When what will be sent is settled, and not when the CSMS has answered."""
    from edge.store import delivery

    bind = delivery.bind

    def bind_and_forget(connection: "delivery.sqlite3.Connection", seq: int, epoch_no: int, payload: str) -> None:
        bind(connection, seq, epoch_no, payload)
        (tx_no,) = connection.execute("SELECT tx_no FROM exchange WHERE seq = ?", (seq,)).fetchone()
        delivery.acknowledge(connection, seq, tx_no, epoch_no)

    delivery.bind = bind_and_forget


def new_names_are_not_synced() -> None:
    """Files get their names, but no folder is ever synced by us."""
    import os
    import stat

    sync = os.fsync
    os.fsync = lambda handle: None if stat.S_ISDIR(os.fstat(handle).st_mode) else sync(handle)


def a_new_store_is_made_under_its_own_name() -> None:
    """Instead of under another one, which it loses when it is whole."""
    import sqlite3

    from edge.store import db

    def prepare_file(path: "db.Path") -> None:
        if not path.exists():
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute(f"PRAGMA application_id = {db.APPLICATION_ID}")
            db.migrate(connection)
            connection.close()

    db.prepare_file = prepare_file


VARIANTS: dict[str, tuple[Callable[[], None], ...]] = {
    "edge": (),
    "brisk": (brisk,),
    "cramped": (brisk, cramped),
    "commits are not synced": (brisk, commits_are_not_synced),
    "answers come before the commit": (brisk, answers_come_before_the_commit),
    "a commit that failed counts as one": (brisk, a_commit_that_failed_counts_as_one),
    "statements are committed one by one": (brisk, statements_are_committed_one_by_one),
    "messages count as delivered before they leave": (brisk, messages_count_as_delivered_before_they_leave),
    "new names are not synced": (brisk, new_names_are_not_synced),
    "a new store is made under its own name": (brisk, a_new_store_is_made_under_its_own_name),
}


def run(variant: str, words: list[str]) -> int:
    from edge.__main__ import main

    sys.argv = ["edge", *words]
    for change in VARIANTS[variant]:
        change()
    return main()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))

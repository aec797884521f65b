"""SIGKILL while backups are made: the store has lost nothing, and what is called a backup is one."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

from edge.store import exchange, inspection
from edge.store.db import open_threaded
from tests.store.givens import opened, running
from tests.store.history import assert_sound
from tests.store.test_backup import backing_up, names_in, sessions
from tests.store.test_kill import killed

PROGRAM = Path(__file__).with_name("backup_process.py")
LIVES = 10
MOST_LIVES = 60
OF_THE_STORE = {"edge.db", "edge.db-wal", "edge.db-shm"}


def assert_whole(path: Path, promised: dict[int, str]) -> None:
    with closing(opened(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for seq, message in promised.items():
            row = exchange.load(db, seq)
            assert row is not None, f"{seq} was promised and is gone"
            assert row.text.startswith(f'[2,"{message}"')


async def test_kills_while_backups_are_made_lose_nothing_and_leave_no_half_backup(path: Path, tmp_path: Path) -> None:
    with closing(opened(path)) as db:
        db.execute("BEGIN")
        sessions(db, 150, "OLD", padding=3000)
        db.execute("COMMIT")
    folder = tmp_path / "backups"
    folder.mkdir()
    chance = random.Random(5)
    promised: dict[int, str] = {}
    finished = interrupted = unfinished = 0
    for life in range(MOST_LIVES):
        if life >= LIVES and min(finished, interrupted) >= 2:
            break
        first = life * 1_000_000
        lines = killed(PROGRAM, [str(path), str(first), str(folder)], chance.uniform(0.05, 0.7))
        before: dict[str, dict[int, str]] = {}
        for line in lines:
            kind, told = line.split()
            if kind == "B":
                before[told] = dict(promised)
            else:
                promised[int(kind)] = told
        beside = names_in(path.parent) - OF_THE_STORE - {"backups"}
        assert beside <= {f"edge.db.copying{suffix}" for suffix in ("", "-journal", "-wal", "-shm")}
        interrupted += bool(beside)
        assert_whole(path, promised)
        for backup in folder.iterdir():
            if backup.suffix == ".db":
                finished += 1
                with closing(sqlite3.connect(backup)) as db:
                    contents = inspection.inspect(db, lambda _done, _of: None)
                assert contents.damaged == 0
                assert_whole(backup, before[backup.stem])
            else:
                unfinished += 1
            backup.unlink()
    assert finished >= 2
    assert interrupted >= 2, "no kill came in the midst of a copy: the test shows less than it says"
    assert unfinished >= 2
    with closing(opened(path)) as db:
        assert_sound(db)
    path.with_name("edge.db.copying").write_bytes(b"half")
    async with running(path, open_threaded) as store, backing_up(store, path):
        async with asyncio.timeout(10):
            while path.with_name("edge.db.copying").exists():
                await asyncio.sleep(0.01)
    assert names_in(path.parent) == {"edge.db", "backups"}

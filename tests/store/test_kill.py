"""SIGKILL at any moment: whatever was confirmed is in the file, whole and in its chains (promise P1)."""

import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

from edge.store import chains, delivery, exchange
from tests.store.givens import opened

LIVES = 20
PROGRAM = Path(__file__).with_name("writer_process.py")
ROOT = PROGRAM.parent.parent.parent


def one_life(path: Path, first: int, seconds: float) -> list[tuple[int, str]]:
    """What the program confirmed before it was killed: number and message id."""
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(path), str(first)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    ) as program:
        assert program.stdout is not None
        first_line = program.stdout.readline()
        assert first_line, "the program has confirmed nothing"
        end = threading.Timer(seconds, lambda: os.kill(program.pid, signal.SIGKILL))
        end.start()
        lines = [first_line, *program.stdout]
        end.join()
    assert program.returncode == -signal.SIGKILL
    return [(int(seq), message) for seq, message in (line.split() for line in lines)]


def test_what_was_confirmed_survives_twenty_kills(path: Path) -> None:
    chance = random.Random(7)
    confirmed: dict[int, str] = {}
    for life in range(LIVES):
        of_this_life = one_life(path, life * 1_000_000, chance.uniform(0.0, 0.15))
        assert not confirmed.keys() & dict(of_this_life).keys()
        confirmed |= dict(of_this_life)
        with closing(opened(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            for seq, message in of_this_life:
                row = exchange.load(connection, seq)
                assert row is not None
                assert row.text.startswith(f'[2,"{message}"')
            assert chains.last_seq(connection) >= max(confirmed)

    with closing(opened(path)) as connection:
        seqs = [seq for (seq,) in connection.execute("SELECT seq FROM exchange ORDER BY seq")]
        assert set(confirmed) <= set(seqs)
        for seq in seqs:
            row = exchange.load(connection, seq)
            assert row is not None
            assert exchange.is_intact(connection, row)
        half = connection.execute(
            "SELECT tx_no FROM tx WHERE rows <> (SELECT count(*) FROM exchange e WHERE e.tx_no = tx.tx_no) OR rows = 0"
        ).fetchall()
        assert half == []
        waiting = [one.seq for lane in delivery.lanes(connection).values() for one in lane]
        acknowledged = connection.execute("SELECT sum(acked_rows) FROM tx").fetchone()[0]
        assert len(waiting) + acknowledged == len(seqs)

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
from tests.store.history import assert_sound

LIVES = 20
PROGRAM = Path(__file__).with_name("writer_process.py")
HOUSEKEEPING = Path(__file__).with_name("housekeeping_process.py")
ROOT = PROGRAM.parent.parent.parent


def killed(program_: Path, arguments: list[str], seconds: float) -> list[str]:
    """What the program told before it was killed, so long after its first line."""
    with subprocess.Popen(
        [sys.executable, str(program_), *arguments],
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
    return lines


def one_life(path: Path, first: int, seconds: float) -> list[tuple[int, str]]:
    """What the program confirmed before it was killed: number and message id."""
    lines = killed(PROGRAM, [str(path), str(first)], seconds)
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


def test_what_waits_survives_kills_while_history_is_removed_and_values_are_thinned(path: Path) -> None:
    chance = random.Random(11)
    promised: dict[int, str] = {}
    delivered: set[int] = set()
    for life in range(LIVES):
        for kind, seq, *message in (
            line.split() for line in killed(HOUSEKEEPING, [str(path), str(life)], chance.uniform(0.1, 0.5))
        ):
            if kind == "D":
                delivered.add(int(seq))
            else:
                assert int(seq) not in promised
                promised[int(seq)] = message[0]
        with closing(opened(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            for seq in promised.keys() - delivered:
                row = exchange.load(connection, seq)
                assert row is not None, f"{seq} waited and is gone"
                assert row.text.startswith(f'[2,"{promised[seq]}"')
            assert_sound(connection)
            waiting = {one.seq for lane in delivery.lanes(connection).values() for one in lane}
            assert promised.keys() - delivered <= waiting

    assert delivered & promised.keys(), "nothing was delivered: the test shows less than it says"
    with closing(opened(path)) as connection:
        assert connection.execute("SELECT sum(thinned) FROM tx").fetchone()[0] > 0
        assert connection.execute("SELECT min(tx_no) FROM tx").fetchone()[0] >= 1
        left = {seq for (seq,) in connection.execute("SELECT seq FROM exchange")}
        assert delivered - left, "nothing was removed: the test shows less than it says"

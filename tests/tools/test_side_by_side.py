"""What several processes work on is given back when nobody wants it any more, and what is queued is not begun."""

import multiprocessing
import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path

import pytest

from tests.side_by_side import LEAVES_WITHIN, QUEUED, side_by_side

PROCESSES = 2


def hold(folder: Path) -> str:
    """For ever, but for the first."""
    if folder.name == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    folder.mkdir()
    try:
        if folder.name != "first":
            while True:
                signal.pause()
    finally:
        folder.rmdir()
    return "done"


def begun(iterator, *folders):
    """The first is done, and these are held."""
    piece, done = next(iterator)
    assert (piece.name, done.result()) == ("first", "done")
    until = time.perf_counter() + 30
    while not all(folder.exists() for folder in folders):
        assert time.perf_counter() < until


@pytest.mark.parametrize(("held", "is_given_back"), [("held", True), ("stubborn", False)])
def test_who_closes_it_waits_for_nothing(held, is_given_back, tmp_path):
    names = ["first", held, "also held", *(f"never begun {number}" for number in range(2 * QUEUED * PROCESSES))]
    with closing(side_by_side(hold, [tmp_path / name for name in names], PROCESSES)) as iterator:
        begun(iterator, tmp_path / held, tmp_path / "also held")
        closes = time.perf_counter()
    assert time.perf_counter() - closes < LEAVES_WITHIN + 5
    assert multiprocessing.active_children() == []
    assert [folder.name for folder in tmp_path.iterdir()] == ([] if is_given_back else [held])


def failing(_piece: int) -> None:
    raise ValueError("it is odd")


def test_what_fails_is_told_of_its_piece():
    with closing(side_by_side(failing, range(3), PROCESSES)) as done:
        assert {piece: str(future.exception()) for piece, future in done} == dict.fromkeys(range(3), "it is odd")


def dying(_piece: int) -> None:
    os._exit(1)


def test_after_a_process_has_died_each_piece_is_told_of():
    with closing(side_by_side(dying, range(9), PROCESSES)) as done:
        told = {piece: type(future.exception()) for piece, future in done}
    assert told == dict.fromkeys(range(9), BrokenProcessPool)

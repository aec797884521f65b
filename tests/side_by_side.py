"""The same work for many pieces, in as many processes as there are cores, until it is done or nobody wants it any more.

Ctrl-C is for whoever began it: the processes that work do not hear it. They are told to leave, give back what they
hold, folders in memory above all, and are killed when that takes long; what is still queued is never begun.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import wait as wait_for_ends
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")

QUEUED = 2
"""Pieces for each process, the one that it works on included."""
LEAVES_WITHIN = 1.0
LEFT = 130


def side_by_side(
    do: Callable[[Piece], Result], pieces: Iterable[Piece], processes: int, begin: Callable[[], None] | None = None
) -> Iterator[tuple[Piece, "Future[Result]"]]:
    """Each piece with what came of it, in the order in which they are done. `begin`: first thing in each process.

    Whoever takes them closes the iterator (`contextlib.closing`): an interrupt may come while it stands still.
    """
    coming = iter(pieces)
    # Fresh processes: what a piece takes over from its parent must not depend on what that has done before.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (begin,)) as pool:
        try:
            waiting: dict[Future[Result], Piece] = {}
            while True:
                for piece in islice(coming, QUEUED * processes - len(waiting)):
                    waiting[_submitted(pool, do, piece)] = piece
                if not waiting:
                    return
                for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(done), done
        except BaseException:
            # Else the pool would wait for what is queued.
            with _interrupt_held():
                _end(multiprocessing.active_children())
            raise


def _submitted(pool: ProcessPoolExecutor, do: Callable[[Piece], Result], piece: Piece) -> "Future[Result]":
    try:
        with _interrupt_held():  # a process that is started now never hears one
            return pool.submit(_do, do, piece)
    except BrokenProcessPool as error:  # one has died: what was done before keeps its word
        failed: Future[Result] = Future()
        failed.set_exception(error)
        return failed


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """Ctrl-C comes at the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(workers: list[multiprocessing.Process]) -> None:
    for worker in workers:
        worker.terminate()
    living, until = {worker.sentinel for worker in workers}, time.perf_counter() + LEAVES_WITHIN
    while living and (left := until - time.perf_counter()) > 0:
        living -= set(wait_for_ends(living, left))
    for worker in workers:
        worker.kill()


# --- in each process


class _Left(SystemExit):
    """Told to."""


def _begin(begin: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGTERM, _leave)
    if begin is not None:
        begin()


def _leave(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the second time would interrupt what the first has begun
    raise _Left(LEFT)


def _do(do: Callable[[Piece], Result], piece: Piece) -> Result:
    try:
        return do(piece)
    except _Left:
        os._exit(LEFT)  # the pool would take it for a result, and go on with the next piece

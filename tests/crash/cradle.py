"""Starts processes of `edge` within milliseconds: one that has imported everything forks the others.

A life is the real daemon, or any other command of `edge`, from `edge.__main__.main` on: its own process, with real
sockets and files. `Order.afresh` starts the interpreter anew as well (`python -m edge`), which takes half a second
more. strace may be put beside a life: to see it, to kill it at a call, or to let a call fail.

As a program this is the one that forks; `Cradle` is the other side.
"""

import asyncio
import contextlib
import ctypes
import gc
import itertools
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}"}
"""What the program needs beside what is there."""
PR_SET_PTRACER = 0x59616D61


@dataclass(frozen=True)
class Order:
    """`words`: of the command line. `variant`: of `variants.py`. `observers`: strace and its words, but for `-p`."""

    words: list[str]
    log: str
    variant: str = "edge"
    observers: list[str] = field(default_factory=list)
    failures: int = 0
    """After so many calls that it has let fail, strace goes: it counts by thread, and new threads would fail again."""
    afresh: bool = False


@dataclass
class Life:
    pid: int
    ended: "asyncio.Future[int]"
    """Its exit code; minus the signal's number when one has killed it."""
    failed_calls: int = 0
    """That strace let fail; known when it has ended."""

    def send(self, number: signal.Signals) -> None:
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):  # it has ended, and nobody has told us yet
                os.kill(self.pid, number)


class Cradle:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._begun: dict[int, asyncio.Future[Life]] = {}
        self._lives: dict[int, Life] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Cradle"]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | ENVIRONMENT,
            start_new_session=True,  # Ctrl-C is for whoever opened it; it leaves when its input ends
        )  # fmt: skip
        cradle = cls(process)
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(cradle._listen())
            try:
                yield cradle
            except Exception as error:  # noqa: BLE001 - raised below as it is, not in a group
                failure = error
            finally:
                process.stdin.close()
                await process.wait()
                listening.cancel()
        if failure is not None:
            raise failure

    async def _listen(self) -> None:
        async for line in self._process.stdout:
            match json.loads(line):
                case {"begun": pid, "order": number}:
                    life = self._lives[number] = Life(pid, asyncio.get_running_loop().create_future())
                    self._begun.pop(number).set_result(life)
                case {"ended": number, "code": code, "failed": failed}:
                    life = self._lives.pop(number)
                    life.failed_calls = failed
                    life.ended.set_result(code)
        for life in self._lives.values():
            life.ended.set_exception(RuntimeError("the cradle has failed"))

    async def begin(self, order: Order) -> Life:
        number = next(self._numbers)
        begun = self._begun[number] = asyncio.get_running_loop().create_future()
        text = json.dumps({"number": number, "order": asdict(order)})
        self._process.stdin.write(text.encode() + b"\n")
        async with asyncio.timeout(60):
            return await begun


def with_cradle(work: Callable[[Cradle], Awaitable[T]]) -> T:
    """What `work` gives, in a loop and with a cradle of its own."""

    async def run() -> T:
        async with Cradle.open() as cradle:
            return await work(cradle)

    return asyncio.run(run())


# --- the program


def _serve() -> None:
    import edge.__main__
    import edge.daemon
    import edge.process  # all that a life needs, the schemas included
    from edge.ocppj.schemas import warm_up

    warm_up("1.6", edge.daemon.WARM)
    gc.collect()
    gc.freeze()
    nest = _Nest()
    try:
        with contextlib.suppress(BrokenPipeError):  # whoever opened it was killed, and hears nothing any more
            _hear_orders(nest)
    finally:
        nest.leave()


def _hear_orders(nest: "_Nest") -> None:
    """Until there are no more."""
    buffer = b""
    while True:
        for key, _ in nest.selector.select():
            if key.data is not None:
                key.data()
                continue
            text = os.read(0, 65536)
            if not text:
                return
            *lines, buffer = (buffer + text).split(b"\n")
            for line in lines:
                told = json.loads(line)
                nest.bear(told["number"], Order(**told["order"]))


@dataclass
class _Child:
    number: int
    pid: int
    observer: "subprocess.Popen[bytes] | None"
    failures: int
    handle: int = -1
    failed: int = 0


class _Nest:
    """The children, and what there is to hear of them."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, None)
        self._children: dict[int, _Child] = {}

    def leave(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def bear(self, number: int, order: Order) -> None:
        waits, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(go)
                _live(order, waits)
            finally:  # it must never come back to the loop
                os._exit(99)
        os.close(waits)
        child = self._children[pid] = _Child(number, pid, _observer(order, pid), order.failures, os.pidfd_open(pid))
        self.selector.register(child.handle, selectors.EVENT_READ, partial(self._bury, child))
        if child.observer is not None and order.failures:
            self.selector.register(child.observer.stderr, selectors.EVENT_READ, partial(self._hear, child))
        _tell({"begun": pid, "order": number})
        os.write(go, b"!")
        os.close(go)

    def _hear(self, child: _Child) -> None:
        """strace says which calls it has let fail."""
        if not child.failures:
            return  # it has ended in the same moment
        text = os.read(child.observer.stderr.fileno(), 65536)
        failed = text.count(b"(INJECTED)")
        child.failed += failed
        child.failures -= failed
        if child.failures <= 0:
            child.observer.terminate()
        if child.failures <= 0 or not text:
            self.selector.unregister(child.observer.stderr)
            child.failures = 0

    def _bury(self, child: _Child) -> None:
        self.selector.unregister(child.handle)
        os.close(child.handle)
        if child.failures:
            self.selector.unregister(child.observer.stderr)
            child.failures = 0
        _, status = os.waitpid(child.pid, 0)
        if child.observer is not None:
            child.failed += child.observer.communicate()[1].count(b"(INJECTED)")
        del self._children[child.pid]
        _tell({"ended": child.number, "code": os.waitstatus_to_exitcode(status), "failed": child.failed})


def _observer(order: Order, pid: int) -> "subprocess.Popen[bytes] | None":
    if not order.observers:
        return None
    observer = subprocess.Popen(
        [*order.observers, "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0
    )
    told = observer.stderr.readline()
    if b"attached" not in told:
        sys.exit(f"strace cannot watch: {told!r}")
    return observer


def _live(order: Order, waits: int) -> None:
    from tests.crash import variants

    # A process that is not its parent may watch it, also where the kernel's Yama is on.
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if not os.read(waits, 1):
        return  # the cradle has ended meanwhile
    os.closerange(3, 64)
    if order.afresh:
        words = ["-m", "edge"] if order.variant == "edge" else [variants.__file__, order.variant]
        os.execv(sys.executable, [sys.executable, *words, *order.words])
    code = variants.run(order.variant, order.words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _tell(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    _serve()

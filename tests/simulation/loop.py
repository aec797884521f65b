"""asyncio on virtual time: the unmodified daemon, its chargers, its cloud and its meter in one deterministic thread.

`run(main, seed=…)` runs a coroutine to its end on a `SimLoop`. When nothing is ready the loop jumps to the next timer;
when there is no timer either, it says who waits for what instead of hanging. Connections are in-memory
(`network.py`, `transport.py`), chance and wall clock follow from the seed (`stillness.py`), and every byte
delivered goes into the trace (`trace.py`). What the daemon needs beside the loop is in `world.py`.
"""

import asyncio
import contextvars
import gc
import heapq
import itertools
import random
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from tests.simulation.incarnation import INCARNATION, SimTask, context_of, unwind, where_it_waits
from tests.simulation.network import SimNetwork
from tests.simulation.refusals import Deadlock, NotSimulated, RanTooLong, Unhandled, refuse_what_needs_a_machine
from tests.simulation.server import Address, SimServer, listening_address
from tests.simulation.stillness import stillness
from tests.simulation.trace import Trace
from tests.simulation.transport import SimTransport

__all__ = ["INCARNATION", "Deadlock", "Finished", "NotSimulated", "RanTooLong", "SimLoop", "Unhandled", "run"]

T = TypeVar("T")

START = 1000.0
"""The virtual time at which a loop begins: not zero, so that nobody mistakes a time for "never"."""

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
MAX_VIRTUAL_TIME = 400 * 24 * 3600.0
MAX_STEPS = 500_000_000
MAX_STEPS_AT_ONE_INSTANT = 500_000
STEPS_BETWEEN_COLLECTIONS = 200_000
FEW_TIMERS = 200


@refuse_what_needs_a_machine
class SimLoop(asyncio.BaseEventLoop):
    def __init__(
        self,
        *,
        seed: int = 0,
        shuffle: random.Random | None = None,
        epoch: datetime = EPOCH,
        max_virtual_time: float = MAX_VIRTUAL_TIME,
        max_steps: int = MAX_STEPS,
    ) -> None:
        super().__init__()
        self.set_debug(False)
        self.set_exception_handler(self._remember)
        self.seed = seed
        self.epoch = epoch
        self.steps = 0
        self.unhandled: list[dict[str, Any]] = []
        self.at_close: list[Callable[[], None]] = []
        self.network = SimNetwork(self, random.Random(f"{seed}/network"))
        self.trace = Trace(self.time)
        self._now = START
        self._shuffle = shuffle
        self._last_instant = START + max_virtual_time
        self._last_step = max_steps
        self._steps_before_instant = 0
        self._next_collection = STEPS_BETWEEN_COLLECTIONS
        self._serials = itertools.count(1)
        self._task_serials = itertools.count(1)
        self._crashed: set[str] = set()
        self._graves: list[SimTask] = []
        self._generators: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()  # in order of their start
        self._ready: deque[asyncio.Handle]
        self._scheduled: list[tuple[float, int, asyncio.TimerHandle]]
        self._timer_cancelled_count: int

    # ── time and turns ──────────────────────────────────────────────────────────

    def time(self) -> float:
        return self._now

    def elapsed(self) -> float:
        """Virtual seconds since the loop began."""
        return self._now - START

    def wall_seconds(self) -> float:
        """What `time.time()` says to libraries; a machine's own, possibly wrong clock is `world.SimClock`."""
        return self.epoch.timestamp() + self.elapsed()

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As asyncio's, but timers of the same instant run in the order in which they were made."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, (when, next(self._serials), timer))
        timer._scheduled = True
        return timer

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if self._thread_id is not None and self._thread_id != threading.get_ident():
            raise NotSimulated("call_soon_threadsafe from another thread: its moment would not follow from the seed")
        return self.call_soon(callback, *args, context=context)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None, **options: Any
    ) -> SimTask:
        if self._closed:
            coro.close()
            raise RuntimeError("Event loop is closed")
        return SimTask(coro, serial=next(self._task_serials), loop=self, name=name, context=context, **options)

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        if self._timer_cancelled_count > FEW_TIMERS and 2 * self._timer_cancelled_count > len(scheduled):
            self._drop_cancelled_timers()
        if not ready and not self._stopping:
            self._jump()
        now = self._now
        while scheduled and scheduled[0][0] <= now:
            timer = heapq.heappop(scheduled)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._timer_cancelled_count -= 1
            else:
                ready.append(timer)
        if self._shuffle is not None and len(ready) > 1:
            self._permute(self._shuffle)
        count = len(ready)
        self._count_steps(count)
        crashed = self._crashed
        for _ in range(count):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            if crashed and handle._context.get(INCARNATION) in crashed:
                handle.cancel()
                continue
            handle._run()

    def _jump(self) -> None:
        """To the next timer."""
        scheduled = self._scheduled
        while scheduled and scheduled[0][2]._cancelled:
            heapq.heappop(scheduled)[2]._scheduled = False
            self._timer_cancelled_count -= 1
        if not scheduled:
            waiting = [where_it_waits(task) for task in self.living_tasks()]
            raise Deadlock(f"nothing is ready or scheduled at {self.elapsed():.3f} s; waiting:\n" + "\n".join(waiting))
        when = scheduled[0][0]
        if when > self._now:
            if when > self._last_instant:
                raise RanTooLong(f"the next timer is {when - START:.3f} s after the start")
            self._now = when
            self._steps_before_instant = self.steps

    def _count_steps(self, count: int) -> None:
        self.steps += count
        if self.steps > self._last_step:
            raise RanTooLong(f"{self.steps} steps in {self.elapsed():.3f} virtual seconds")
        if self.steps - self._steps_before_instant > MAX_STEPS_AT_ONE_INSTANT:
            raise RanTooLong(f"{MAX_STEPS_AT_ONE_INSTANT} steps at {self.elapsed():.3f} s without time passing")
        if self.steps > self._next_collection:
            self._next_collection = self.steps + STEPS_BETWEEN_COLLECTIONS
            gc.collect()  # automatic collection is off, because its moments do not follow from the seed

    def _drop_cancelled_timers(self) -> None:
        for _, _, timer in self._scheduled:
            if timer._cancelled:
                timer._scheduled = False
        self._scheduled[:] = [entry for entry in self._scheduled if not entry[2]._cancelled]
        heapq.heapify(self._scheduled)
        self._timer_cancelled_count = 0

    def shuffle_with(self, chance: random.Random | None) -> None:
        """From now on; None: no more."""
        self._shuffle = chance

    def _permute(self, chance: random.Random) -> None:
        """Another order of what is ready, in which each object's own callbacks keep theirs."""
        of_owner: dict[int, deque[asyncio.Handle]] = {}
        turns: list[int] = []
        for handle in self._ready:
            owner = id(getattr(handle._callback, "__self__", handle))
            of_owner.setdefault(owner, deque()).append(handle)
            turns.append(owner)
        chance.shuffle(turns)
        self._ready.clear()
        self._ready.extend(of_owner[owner].popleft() for owner in turns)

    # ── incarnations ────────────────────────────────────────────────────────────

    def launch(self, tag: str, coroutine: Coroutine[Any, Any, Any]) -> SimTask:
        """Starts a coroutine as this incarnation, for instance "edge#2"; all it makes is of that tag."""
        if tag in self._crashed:
            raise ValueError(f"{tag} has crashed; its next life needs another tag")
        return self.create_task(coroutine, name=tag, context=context_of(tag))

    def crash(self, tag: str) -> None:
        """Ends an incarnation as a power cut would: nothing of it runs again, its peers get a reset.

        For a power cut that nobody notices, `network.cut` comes first. Called by a task of that very incarnation,
        the task still runs up to its next wait.
        """
        self._crashed.add(tag)
        self.trace.note(f"crash {tag}")
        self._graves += [task for task in self._tasks() if task.incarnation == tag]
        for handle in self.callbacks_of(tag):
            handle.cancel()
        self.network.kill(tag)

    def is_dead(self, tag: str) -> bool:
        return tag in self._crashed

    def callbacks_of(self, tag: str) -> list[asyncio.Handle]:
        """What is still to be called in the name of this incarnation."""
        timers = [entry[2] for entry in self._scheduled]
        return [
            handle
            for handle in (*self._ready, *timers)
            if not handle._cancelled and handle._context.get(INCARNATION, "world") == tag
        ]

    def living_tasks(self) -> list[SimTask]:
        return [task for task in self._tasks() if task.incarnation not in self._crashed]

    def _tasks(self) -> list[SimTask]:
        unfinished = (task for task in asyncio.all_tasks(self) if isinstance(task, SimTask))
        return sorted(unfinished, key=lambda task: task.serial)

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        self._generators[agen] = INCARNATION.get()

    def _remember(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self._closed:
            self.unhandled.append(context)

    # ── connections ─────────────────────────────────────────────────────────────

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | str | None = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        **_options: Any,
    ) -> tuple[SimTransport, asyncio.BaseProtocol]:
        _refuse_tls_and_sockets(ssl, sock)
        if host is None or port is None:
            raise ValueError("host and port was not specified and no sock specified")
        return await self.network.connect(protocol_factory, (host, int(port)))

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        path: Any = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        **_options: Any,
    ) -> tuple[SimTransport, asyncio.BaseProtocol]:
        _refuse_tls_and_sockets(ssl, sock)
        return await self.network.connect(protocol_factory, str(path))

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: int | str | None = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        start_serving: bool = True,
        **_options: Any,
    ) -> SimServer:
        """`sock` may be a real socket that the caller has bound: its name is used, nothing else of it."""
        _refuse_tls_and_sockets(ssl, None)
        hosts = host if isinstance(host, list | tuple) else [host]
        addresses: list[Address] = [listening_address(each, port) for each in hosts]
        if sock is not None:
            addresses = [listening_address(*sock.getsockname()[:2])]
        return await self.network.listen(protocol_factory, addresses, start_serving=start_serving, owned=sock)

    async def create_unix_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        path: Any = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        start_serving: bool = True,
        **_options: Any,
    ) -> SimServer:
        _refuse_tls_and_sockets(ssl, None)
        address = str(path if sock is None else sock.getsockname())
        return await self.network.listen(protocol_factory, [address], start_serving=start_serving, owned=sock)

    async def getaddrinfo(self, host: Any, port: Any, **_options: Any) -> list[Any]:
        """Every name is its own address."""
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(host), int(port or 0)))]

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        return str(sockaddr[0]), str(sockaddr[1])

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """There is none."""

    # ── the end ─────────────────────────────────────────────────────────────────

    def wind_down(self) -> None:
        """Cancels what is left and runs until it has ended, as `asyncio.run` does."""
        left = self.living_tasks()
        for task in left:
            task.cancel()
        if left:
            self.run_until_complete(asyncio.wait(left))
        for generator, tag in list(self._generators.items()):
            if tag not in self._crashed:
                self.run_until_complete(generator.aclose())

    def raise_unhandled(self) -> None:
        if self.unhandled:
            first = self.unhandled[0]
            raise Unhandled(f"{first['message']} (1 of {len(self.unhandled)})") from first.get("exception")

    def close(self) -> None:
        if self._closed:
            return
        unfinished = self._tasks()
        graves = {task.serial: task for task in (*self._graves, *unfinished)}
        super().close()
        for end in self.network.everyone():
            end.die()
        for release in self.at_close:
            release()
        for task in graves.values():
            unwind(task)
        self._graves.clear()


def _refuse_tls_and_sockets(ssl: Any, sock: Any) -> None:
    if ssl:
        raise NotSimulated("TLS is not simulated: use ws:// and plain TCP below a SimLoop")
    if sock is not None:
        raise NotSimulated("connecting a given socket is not simulated: pass a host and a port")


@dataclass(frozen=True, slots=True)
class Finished(Generic[T]):
    """A run that came to its end."""

    value: T
    trace: Trace
    virtual_seconds: float
    steps: int


def run(
    main: Callable[[SimLoop], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    shuffle: random.Random | None = None,
    epoch: datetime = EPOCH,
    max_virtual_time: float = MAX_VIRTUAL_TIME,
    max_steps: int = MAX_STEPS,
) -> Finished[T]:
    """Runs `main(loop)` to its end on a fresh loop. Same main, same seed: same trace.

    Raises `Unhandled` when something failed that nobody caught. Must not be called inside another event loop.
    """
    loop = SimLoop(seed=seed, shuffle=shuffle, epoch=epoch, max_virtual_time=max_virtual_time, max_steps=max_steps)
    with stillness(seed, loop.wall_seconds):
        try:
            value = loop.run_until_complete(main(loop))
            finished = Finished(value, loop.trace, loop.elapsed(), loop.steps)
            loop.wind_down()
            gc.collect()  # a failed task that nobody awaited says so when it is collected
            loop.raise_unhandled()
        except BaseException as error:
            error.add_note(f"simulated with seed {seed}; failed {loop.elapsed():.6f} virtual seconds after the start")
            raise
        finally:
            loop.close()
    return finished

"""Who runs a piece of code in a simulation, and how one of them dies.

Every callback, timer, task and transport carries the tag of the incarnation in whose context it was made:
"edge#2" is the second life of the machine "edge". A crash forgets a tag's callbacks; its coroutines stay
suspended, because nothing of a crashed process runs, no `finally` either. They are unwound when the whole
run is over (`loop.py`).
"""

import asyncio
import contextvars
import itertools
from collections.abc import Coroutine
from typing import Any

INCARNATION: contextvars.ContextVar[str] = contextvars.ContextVar("incarnation", default="world")

MOST_THROWS_TO_UNWIND = 1000


class PowerCut(BaseException):
    """Thrown into the coroutines of the dead, after the run; no `except Exception` catches it."""


def machine_of(tag: str) -> str:
    """`edge` for `edge#2`: latency, partitions and hosts belong to the machine, not to one of its lives."""
    return tag.partition("#")[0]


def context_of(tag: str) -> contextvars.Context:
    """A context in which everything made is of this incarnation."""
    context = contextvars.copy_context()
    context.run(INCARNATION.set, tag)
    return context


class SimTask(asyncio.Task[Any]):
    """A task that knows its incarnation, and whose place in a set does not depend on its address in memory.

    `TaskGroup` and `asyncio.wait` keep tasks in sets, so the order in which they cancel them would differ from
    one process to the next.
    """

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        *,
        serial: int,
        loop: asyncio.AbstractEventLoop,
        name: str | None,
        context: contextvars.Context | None,
        **options: Any,
    ) -> None:
        self.serial = serial  # before the task enters asyncio's own sets
        self.incarnation = INCARNATION.get() if context is None else context.get(INCARNATION, "world")
        super().__init__(coroutine, loop=loop, name=name or f"Task-{serial}", context=context, **options)

    def __hash__(self) -> int:
        return self.serial


def where_it_waits(task: asyncio.Task[Any]) -> str:
    """`Task-7 main > Link.run > read (link.py:61)`: for the message of a deadlock."""
    names: list[str] = []
    place = ""
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            break
        names.append(frame.f_code.co_qualname)
        place = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return f"{task.get_name()} {' > '.join(names)} ({place})"


def unwind(task: SimTask) -> None:
    """Ends a coroutine that will never run again, innermost frame first, whatever it does about it.

    Left to the garbage collector it would get GeneratorExit, and each `async with TaskGroup()` would complain.
    """
    task._log_destroy_pending = False
    coroutine: Any = task.get_coro()
    for _ in itertools.repeat(None, MOST_THROWS_TO_UNWIND):
        try:
            coroutine.throw(PowerCut())
        except BaseException:  # noqa: BLE001  # whatever the dead say is of no interest
            return

"""What holds for all tests: nothing is left behind."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

# A shell that runs us in the background has SIGINT ignored, and so would each program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay to the end: searching them for garbage took a seventh of the time."""
    gc.collect()
    gc.freeze()


def _open_files() -> set[str]:
    """What this process holds open, by descriptor and target; the interpreter's own plumbing left out."""
    found = set()
    for handle in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{handle}")
        except OSError:
            continue
        if target.startswith(("socket:", "/")) and not target.startswith(("/dev/", "/proc/")):
            found.add(f"{handle} → {target}")
    return found


@pytest.fixture(autouse=True)
def no_file_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """No socket or file stays open after a test (architecture, "What holds it together")."""
    before = _open_files()
    yield
    left = _open_files() - before
    if left:
        gc.collect()  # asyncio lets go of a transport one turn after it is closed
        left = _open_files() - before
    assert not left, f"{request.node.name} left open: {sorted(left)}"


@pytest.fixture(autouse=True)
async def no_task_left_running(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """No task goes on after a test: each one has an owner that waits for its end."""
    yield
    await asyncio.sleep(0)  # a task that was cancelled as the last thing ends in this turn
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, f"{request.node.name} left tasks: {left}"

"""How much memory the daemon holds: everything that can be reached from it, without the simulation around it."""

import gc
import sys
from collections.abc import Iterable
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

PROGRAM = (type, ModuleType, CodeType, FunctionType, BuiltinFunctionType)
"""What is there once for each process."""
OURS = ("tests.", "simulators.", "_pytest.", "structlog.", "logging")


def weight(roots: Iterable[Any]) -> int:
    """In bytes."""
    gc.collect()
    found: dict[int, Any] = {}
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in found or isinstance(one, PROGRAM) or type(one).__module__.startswith(OURS):
            continue
        found[id(one)] = one
        waiting += gc.get_referents(one)
    return sum(sys.getsizeof(one) for one in found.values())

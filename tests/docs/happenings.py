"""What happens in the pages' scenes beside what the reader does: `<!-- then: … -->` names a function here.

`a car charges at CP-01` is `a_car_charges_at`, which gets the names that follow. A scene is one, too.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any

from tests.docs import scenery, trouble
from tests.docs.depot import Depot

Happening = Callable[..., Awaitable[Any]]


def _all() -> dict[str, Happening]:
    return {
        name: one
        for module in (scenery, trouble)
        for name, one in vars(module).items()
        if inspect.iscoroutinefunction(one) and one.__module__ == module.__name__
    }


def understood(what: str) -> tuple[Happening, list[str]]:
    """The function, and the names of chargers, meters and sessions in the words."""
    names = re.findall(r"\b(?:[A-Z]{2}-\d\d|[a-z]+-\d+|S\d+)\b", what)
    rest = re.sub(r"\b(?:[A-Z]{2}-\d\d|[a-z]+-\d+|S\d+)\b", "", what)
    known = _all()
    function = "_".join(re.findall(r"[a-z0-9]+", rest.lower().replace("'", "")))
    if function not in known:
        raise LookupError(f"nothing like {what!r} can happen; there is: {', '.join(sorted(known))}")
    return known[function], names


async def happens(what: str, depot: Depot) -> Any:
    function, names = understood(what)
    async with asyncio.timeout(60):
        return await function(depot, *names)

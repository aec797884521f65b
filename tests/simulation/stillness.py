"""What a process takes from the machine behind the event loop's back, made a function of the seed for one run.

Libraries below the seam of `edge.world` draw from the operating system: websockets masks frames with
`secrets.token_bytes`, names connections with `uuid4`, fills pings from `random` and dates its handshakes with
`time.time`; it keeps connections in a set, which is ordered by address in memory; the garbage collector ends
forgotten generators when it likes. None of them is modified: what they draw from is, and is put back afterwards.
"""

import asyncio
import contextlib
import gc
import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any


def _hash_by_first_use() -> Callable[[Any], int]:
    serials = itertools.count(1)

    def serial_as_hash(protocol: Any) -> int:
        try:
            return protocol.__dict__["_simulated_hash"]
        except KeyError:
            return protocol.__dict__.setdefault("_simulated_hash", next(serials))

    return serial_as_hash


@contextlib.contextmanager
def stillness(seed: int, wall_seconds: Callable[[], float]) -> Iterator[None]:
    """Chance, wall clock, order of protocols in sets and garbage collection follow from the seed in here."""
    entropy = random.Random(f"{seed}/entropy")
    chance, collects, was_frozen = random.getstate(), gc.isenabled(), gc.get_freeze_count() > 0
    urandom, urandom_of_secrets, wall = os.urandom, random._urandom, time.time  # noqa: TID251  # this is the clock
    protocol_hash = asyncio.BaseProtocol.__hash__
    random.seed(seed)
    os.urandom = random._urandom = entropy.randbytes  # `random._urandom` is what `secrets` draws from
    time.time = wall_seconds  # noqa: TID251
    asyncio.BaseProtocol.__hash__ = _hash_by_first_use()
    gc.collect()
    if not was_frozen:  # else what is there now, the loop above all, would be kept for ever
        gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if not was_frozen:
            gc.unfreeze()
        if collects:
            gc.enable()
        asyncio.BaseProtocol.__hash__ = protocol_hash
        time.time = wall  # noqa: TID251
        os.urandom, random._urandom = urandom, urandom_of_secrets
        random.setstate(chance)

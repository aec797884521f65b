"""Who has come to the listeners and is not served yet: so many, and no more.

Anybody on the network can open connections and say nothing. Each holds a file descriptor until its time is up, and
the daemon that has none left reaches neither the cloud nor a meter, and lets no charger in. So what has not logged in
is counted, by address and over all listeners; one too many is cut off before it costs anything, and where all places
are taken, whoever has waited longest of the busiest address makes room. A charger does not notice: its handshake takes
milliseconds, and one that is cut off comes again. Who is served does not count.
"""

import resource
from collections import Counter, OrderedDict
from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address
from typing import Generic, TypeVar

from edge.domain.ports import Clock

Waiting = TypeVar("Waiting", bound=Hashable)
"""A connection."""

PER_ADDRESS = 64
"""A hundred chargers behind one router get in on their second attempt; a stranger holds no more than this."""
ALTOGETHER = 256
QUIET = 60.0
"""Seconds in which the same of the same address is told once."""
LINES_PER_QUIET = 30
"""So many lines in that time, from however many addresses."""


class Threshold(Generic[Waiting]):
    """Of all listeners together."""

    def __init__(self, altogether: int | None = None) -> None:
        self.altogether = _altogether() if altogether is None else altogether
        self.per_address = min(PER_ADDRESS, max(1, self.altogether // 4))
        self._addresses: dict[Waiting, str] = {}
        """By connection: those that wait."""
        self._waiting: Counter[str] = Counter()

    def enter(self, connection: Waiting, address: str) -> str | None:
        """None: it may wait. Else why it may not."""
        network = network_of(address)
        if self._waiting[network] >= self.per_address:
            return f"{self.per_address} connections of this address have not logged in"
        if len(self._addresses) >= self.altogether:
            return f"{self.altogether} connections have not logged in"
        self._addresses[connection] = network
        self._waiting[network] += 1
        return None

    def in_the_way_of(self, address: str) -> Waiting | None:
        """Who has to go so that somebody of this address may wait, when all places are taken.

        The one that has waited longest of the address that has most waiting; of an address that has no fewer itself
        nobody gets in so. A charger logs in within milliseconds: whoever holds all places does not keep it out.
        """
        if len(self._addresses) < self.altogether:
            return None
        most = max(self._waiting.values())
        if self._waiting[network_of(address)] >= most:
            return None
        return next(one for one, network in self._addresses.items() if self._waiting[network] == most)

    def leave(self, connection: Waiting) -> None:
        """It is served, or gone."""
        network = self._addresses.pop(connection, None)
        if network is None:
            return
        self._waiting[network] -= 1
        if self._waiting[network] == 0:
            del self._waiting[network]

    def waiting(self) -> list[Waiting]:
        return list(self._addresses)


def _altogether() -> int:
    """A quarter of the descriptors that the process may have, where it may have few."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ALTOGETHER if limit == resource.RLIM_INFINITY else max(4, min(ALTOGETHER, limit // 4))


def network_of(address: str) -> str:
    """What one machine can have for itself: an IPv4 address, or the 64 bits that IPv6 gives to each network."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, IPv6Address):
        return str(known.ipv4_mapped or IPv6Address(int(known) >> 64 << 64))
    return address


class Seldom:
    """Lets a scanner not fill the log: the same of the same address once a minute, and not too much of all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: OrderedDict[Hashable, float] = OrderedDict()
        self._untold = 0

    def untold_before(self, what: Hashable) -> int | None:
        """How many have not been told since the last one that was; None: neither is this one."""
        now = self._clock.monotonic()
        while self._told and next(iter(self._told.values())) <= now - QUIET:
            self._told.popitem(last=False)
        if what in self._told or len(self._told) >= LINES_PER_QUIET:
            self._untold += 1
            return None
        self._told[what] = now
        untold, self._untold = self._untold, 0
        return untold

"""The roads between the machines of a simulated site, on which several faults may lie at once.

The network (`network.py`) knows one fault for each road; here each is counted, so that the end of one does not heal
another that still lasts.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from tests.simulation.network import SimNetwork
from tests.simulation.server import Address

Road = tuple[Address, str | None]


class Trouble(Enum):
    CUT = "cut"
    """A black hole: bytes vanish, nobody is told."""
    STALLED = "stalled"
    """Bytes wait and come late."""


class Roads:
    def __init__(self, network: SimNetwork, on_heal: Callable[[Address], None]) -> None:
        self._network = network
        self._on_heal = on_heal
        self._troubles: Counter[tuple[Trouble, Road]] = Counter()

    @contextmanager
    def trouble(self, kind: Trouble, address: Address, client: str | None = None) -> Iterator[None]:
        """As long as the block lasts. `client` None: for everyone who goes there."""
        road = (address, client)
        self._troubles[kind, road] += 1
        self._apply(road)
        try:
            yield
        finally:
            self._troubles[kind, road] -= 1
            self._apply(road)

    def _apply(self, road: Road) -> None:
        address, client = road
        if self._troubles[Trouble.CUT, road]:
            self._network.cut(address, client=client)
        elif self._troubles[Trouble.STALLED, road]:
            self._network.stall(address, client=client)
        else:
            self._network.heal(address, client=client)
            self._on_heal(address)

"""How far each charger is with its file: what has gone over the wire, by ticket, since the bridge was started."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Taken:
    """What has been done with one ticket since the bridge was started."""

    running: list[Callable[[], int]] = field(default_factory=list)
    """Of the transfers that run now: the offset that each has come to."""
    furthest: int = 0
    times: int = 0
    """The whole file, or its end, was taken."""

    @property
    def bytes(self) -> int:
        return max([self.furthest, *(one() for one in self.running)])


class Transfers:
    def __init__(self) -> None:
        self._by_token: dict[str, Taken] = {}

    def of(self, token: str) -> Taken:
        return self._by_token.get(token, Taken())

    def forget(self, token: str) -> None:
        self._by_token.pop(token, None)

    @contextmanager
    def running(self, token: str, offset: Callable[[], int], size: int) -> Iterator[None]:
        """While a transfer runs; `offset` tells how far in the file it is."""
        taken = self._by_token.setdefault(token, Taken())
        taken.running.append(offset)
        try:
            yield
        finally:
            taken.running.remove(offset)
            reached = offset()
            taken.furthest = max(taken.furthest, reached)
            taken.times += reached >= size

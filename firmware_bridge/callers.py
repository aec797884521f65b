"""Who is connected to a door of the bridge: so many in all, so many of one address, and nobody for long without a word.

A LAN has boxes that connect and then say nothing, by a fault or on purpose. They must not keep a charger from its file:
when there is no place left, a newcomer gets that of whoever has waited longest, and only those at work are not sent
away. Used by `lan_http.py` and `lan_ftp.py`.
"""

import asyncio
import logging
from collections.abc import Callable


class Caller:
    """A connection. It waits, at first, until it is told to be at work."""

    def __init__(self, peer: str, seconds: float, hang_up: Callable[[], None]) -> None:
        self.peer = peer
        """Its address."""
        self._seconds = seconds
        self._hang_up = hang_up
        self._waits: asyncio.TimerHandle | None = None
        self.wait()

    @property
    def waits_until(self) -> float | None:
        """By the loop's clock; None: it is at work."""
        return None if self._waits is None else self._waits.when()

    def wait(self) -> None:
        """It has so long to say what it wants; who waits already gets no more time."""
        if self._waits is None:
            self._waits = asyncio.get_running_loop().call_later(self._seconds, self._hang_up)

    def work(self) -> None:
        """It has said what it wants, and stays until that is done."""
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def send_away(self) -> None:
        self.work()
        self._hang_up()


class Callers:
    """All connections of one door. `seconds`: for how long each may wait."""

    def __init__(self, most: int, most_of_one: int, seconds: float) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._seconds = seconds
        self._present: list[Caller] = []

    def come(self, peer: str, hang_up: Callable[[], None]) -> Caller | None:
        """A new connection; None: there is no place for it. `hang_up` ends it."""
        of_peer = [one for one in self._present if one.peer == peer]
        for present, most in ((of_peer, self._most_of_one), (self._present, self._most)):
            if len(present) >= most and not self._make_place(present):
                return None
        caller = Caller(peer, self._seconds, hang_up)
        self._present.append(caller)
        return caller

    def _make_place(self, present: list[Caller]) -> bool:
        waiting = [(one.waits_until, one) for one in present if one.waits_until is not None]
        if not waiting:
            return False
        _, longest = min(waiting, key=lambda pair: pair[0])
        self.go(longest)
        longest.send_away()
        return True

    def go(self, caller: Caller) -> None:
        """It has gone, or goes; told twice is told once."""
        caller.work()
        if caller in self._present:
            self._present.remove(caller)


def tell_of_ours_only(library: str, *theirs: type[BaseException]) -> None:
    """A library's log tells nothing below errors, among which could be a password, and no error that a caller makes.

    Else every box that hangs up or sends nonsense writes a traceback into the journal.
    """
    logger = logging.getLogger(library)
    logger.setLevel(logging.ERROR)
    logger.filters = [lambda record: record.exc_info is None or not isinstance(record.exc_info[1], theirs)]

"""Since when somebody has been silent, by a wall clock that may be set meanwhile.

A gateway without a battery for its clock wakes up years ago, and is told the time minutes later: that is no silence.
"""

from edge.store.exchange import Moment

STEP_MS = 60_000
"""By which the wall clock may run apart from the monotonic one between two looks."""


class Patience:
    """Of one service, as long as the process lives."""

    def __init__(self) -> None:
        self._ahead_ms: int | None = None
        """Of the monotonic clock, when we looked last."""
        self._begins_ms: int | None = None
        """When the clock was set: what was noted before tells nothing of how long ago it was."""

    def since(self, heard_ms: int, at: Moment) -> int:
        """From when on the silence counts of one who was last heard then; `at`: now."""
        ahead_ms = at.wall_ms - at.mono_ms
        if self._ahead_ms is not None and abs(ahead_ms - self._ahead_ms) > STEP_MS:
            self._begins_ms = at.wall_ms
        self._ahead_ms = ahead_ms
        if heard_ms > at.wall_ms:  # the clock was set back before we were started
            self._begins_ms = self._begins_ms or at.wall_ms
            return self._begins_ms
        return max(heard_ms, self._begins_ms or heard_ms)

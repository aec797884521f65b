"""How long something is tried that does not go at the moment."""

import time
from datetime import datetime, timedelta

from firmware_bridge.disk import utc_now

LEAST_SECONDS = 3600.0
"""Of trying, and for each attempt, whatever the wall clock says: a gateway that was without power for long, or has
learned only now what time it is, has had no chance yet."""


class Patience:
    """With one thing, as long as the process lives: `longest` from when it was asked for."""

    def __init__(self, asked_at: str, longest: timedelta) -> None:
        self.longest = longest
        self._until = datetime.fromisoformat(asked_at) + longest
        self._least = time.monotonic() + LEAST_SECONDS  # noqa: TID251 - this process is not simulated

    @property
    def is_over(self) -> bool:
        return utc_now() > self._until and time.monotonic() >= self._least  # noqa: TID251 - see above

    @property
    def attempt_s(self) -> float:
        """Seconds that an attempt may take which begins now."""
        return max((self._until - utc_now()).total_seconds(), LEAST_SECONDS)

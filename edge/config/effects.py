"""When a changed value comes into force: each key of `values.py` has one of these marks, `changes.py` goes by them."""

from enum import StrEnum
from typing import Final


class Effect(StrEnum):
    LIVE = "live"
    ON_RECONNECT = "on reconnect"
    ON_RESTART = "on restart"


LIVE: Final = Effect.LIVE
"""At once, for all that happens from then on."""
ON_RECONNECT: Final = Effect.ON_RECONNECT
"""With the next connection to the CSMS, which the reload brings about."""
ON_RESTART: Final = Effect.ON_RESTART
"""With the next start of the daemon; until then the old value counts."""

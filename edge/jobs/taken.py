"""What chargers take of the file: the bridge sees it, also of those that say nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.domain.ids import ChargerNo
from edge.domain.rollouts import FETCHES
from edge.store.rollouts import Part
from firmware_bridge.api import Bridge, BridgeRefused, BridgeUnreachable


@dataclass(frozen=True, slots=True)
class Took:
    is_whole: bool
    """It has had the last byte of it."""
    is_more: bool
    """Than at the last look."""


class Taken:
    """Of all rollouts, as long as the process lives."""

    def __init__(self) -> None:
        self._bytes: dict[int, dict[str, int]] = {}
        """At the last look, by rollout and ticket."""

    async def look(self, rollout_no: int, parts: Sequence[Part], bridge: Bridge) -> Mapping[ChargerNo, Took]:
        """Of those that may be fetching it, where the bridge tells."""
        before, now, found = self._bytes.get(rollout_no, {}), dict[str, int](), dict[ChargerNo, Took]()
        for part in parts:
            if part.ticket is None or part.progress.step not in FETCHES:
                continue
            try:
                served = await bridge.served(part.ticket, "0.0.0.0")  # noqa: S104 - no URL is wanted
            except BridgeRefused:  # the ticket is over
                continue
            except BridgeUnreachable:  # who needs it tells so
                break
            now[part.ticket] = served.bytes
            found[part.charger_no] = Took(served.times > 0, served.bytes > before.get(part.ticket, served.bytes))
        self._bytes[rollout_no] = now
        return found

    def forget(self, rollout_no: int) -> None:
        """It is over."""
        self._bytes.pop(rollout_no, None)

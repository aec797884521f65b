"""All that goes on for hours through the firmware bridge, as the rest of the daemon sees it."""

from collections.abc import Callable

from edge.config import Config
from edge.domain.ids import ChargerId
from edge.domain.ports import ChargerPort
from edge.jobs.collections import Collections
from edge.jobs.of_csms import CsmsJobs
from edge.jobs.reached import Reached
from edge.jobs.rollouts import Rollouts
from edge.store.db import Store
from edge.store.exchange import Moment


class Jobs:
    """`rollouts` and `collections` each have a `run`; `of_csms` takes what the CSMS wants."""

    def __init__(
        self,
        store: Store,
        chargers: ChargerPort,
        link: Callable[[ChargerId], Reached | None],
        config: Callable[[], Config],
        moment: Callable[[], Moment],
        on_change: Callable[[], None],
        *,
        is_control_only: bool,
    ) -> None:
        self.rollouts = Rollouts(store, chargers, link, config, moment, on_change)
        self.collections = Collections(store, chargers, link, config, moment, on_change)
        self.of_csms = CsmsJobs(store, config, moment, self.wake, is_control_only=is_control_only)

    def wake(self) -> None:
        """There is a new one, or a charger has said something of one."""
        self.rollouts.wake()
        self.collections.wake()

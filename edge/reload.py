"""SIGHUP: the configuration file is read again, judged as a whole, and put in force as far as that goes.

A file that `edge check` refuses changes nothing. Of a good one all live keys come into force together: what must
outlive us (chargers that are known or retired, numbers of connectors) is stored first, in one unit, and only then is
the cell switched that everyone looks into (`config/in_force.py`). Keys of the uplink come into force with a new
connection, which this brings about; others wait for a restart, and the log names them. After a kill at any point the
next start reads the same file.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

import structlog

from edge.chargers.roster import Roster
from edge.chargers.server import ChargerServer
from edge.config import Config, Problem
from edge.config.changes import Changes, changes
from edge.config.in_force import InForce
from edge.domain.delivery import Order
from edge.domain.ids import ConnectorNo
from edge.enrolment import Enrolled, admit, enrol
from edge.store.db import CommitFailed, Store
from edge.tls.contexts import CertificateUnusable
from edge.uplink.lanes import Lanes
from edge.uplink.link import UplinkLink
from edge.uplink.station import Station
from edge.world import World

TO_CHARGERS = ("chargers.heartbeat_interval", "chargers.meter_interval")
"""Live keys that are written into the chargers."""

Read = Callable[[], tuple[Config | None, tuple[Problem, ...]]]
"""The file as it is now, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Request:
    """Outlives the lives of the daemon, as the signal may come at any time."""

    asked: asyncio.Event
    read: Read


@dataclass(frozen=True, slots=True)
class Parts:
    """Those that have something to do when the file changes. All others look when they need it."""

    store: Store
    roster: Roster
    chargers: ChargerServer
    station: Station
    lanes: Lanes
    uplink: UplinkLink
    on_connectors: Callable[[Sequence[ConnectorNo]], None]
    in_background: Callable[[Coroutine[None, None, None]], None]
    gives_numbers: bool
    """False while nothing outlives this process."""


class Reload:
    def __init__(self, request: Request, in_force: InForce, parts: Parts, world: World) -> None:
        self._request = request
        self._in_force = in_force
        self._parts = parts
        self._world = world
        self._log = structlog.get_logger("edge.reload")

    async def run(self) -> None:
        """Each time it is asked for; once more when it was asked for while one was under way."""
        asked = self._request.asked
        while True:
            await asked.wait()
            asked.clear()
            # With Type=notify-reload the service manager waits for these two; else they do no harm.
            now_usec = round(self._world.clock.monotonic() * 1e6)
            self._world.notify(f"RELOADING=1\nMONOTONIC_USEC={now_usec}")
            try:
                await self._once()
            except asyncio.CancelledError:
                asked.set()  # the next life of the daemon does it
                raise
            except Exception:  # noqa: BLE001 - the supervisor of this reload (style 16)
                self._log.exception("reload_failed")
            self._world.notify("READY=1")

    async def _once(self) -> None:
        read, problems = await self._world.offload(self._request.read)
        errors = [str(problem) for problem in problems if not problem.warning]
        if read is None or errors:
            self._refuse(errors)
            return
        found = changes(self._in_force(), read)
        try:
            renewed = self._parts.chargers.renew_certificates(found.config)
            enrolled = await self._parts.store.write(
                lambda db: enrol(db, found.config.charger, gives_numbers=self._parts.gives_numbers)
            )
        except (CertificateUnusable, CommitFailed) as error:
            self._refuse([str(error)])
            return
        self._in_force.switch(found.config, found.on_restart, self._world.clock.utc_now())
        self._tell_parts(found, enrolled)
        self._log.info(
            "configuration_reloaded",
            live=found.live,
            with_new_connection_to_csms=found.on_reconnect,
            after_restart=found.on_restart,
            certificates_renewed=renewed,
        )
        for problem in problems:
            self._log.warning("configuration_questionable", problem=str(problem))

    def _refuse(self, reasons: list[str]) -> None:
        self._in_force.refuse(reasons, self._world.clock.utc_now())
        self._log.error("configuration_refused", problems=reasons, consequence="nothing was changed")

    def _tell_parts(self, found: Changes, enrolled: Enrolled) -> None:
        parts = self._parts
        # Limits come first once they are enforced: a lower one counts at once (decided.md).
        for charger in admit(enrolled, found.config.charger, parts.roster, self._world.ids):
            parts.in_background(parts.roster.dismiss(charger, "no longer in the configuration"))
        for link in parts.roster.pending():
            if parts.roster.enrolment(link.charger) is not None:
                # It may have come in without its password; now it has one.
                parts.in_background(link.close(1012, "known from now on: connect again"))
        if enrolled.new_connectors:
            parts.on_connectors(enrolled.new_connectors)
        parts.station.changed()
        if any(name in TO_CHARGERS for name in found.live):
            for link in parts.roster.links():
                link.commission_again()
        if found.on_reconnect:
            uplink = found.config.uplink
            parts.lanes.reorder(Order.FAIR if uplink is None else Order(uplink.order))
            parts.in_background(parts.uplink.connect_anew())

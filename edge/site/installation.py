"""The meters of a site as they are wired: a poller for each, a bus for each serial port, gateway or host.

In: the `[[meter]]` tables. Out: pollers, which `daemon.py` runs; those of the same place share a bus.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edge.config import Meter
from edge.config.connections import (
    Connection,
    ConnectionInvalid,
    ModbusTcp,
    RtuGateway,
    SerialPort,
    SerialSettings,
    parse_connection,
)
from edge.domain.ports import Clock
from edge.domain.readings import SiteReading
from edge.site.bus import Bus
from edge.site.modbus import Line, TcpLine
from edge.site.poller import MeterPoller
from edge.site.profiles import load_profile
from edge.site.rtu_line import RtuLine
from edge.site.wires import GatewayWire, SerialWire

TCP_PATIENCE_S: Final = 1.0
SHARED_TCP_PATIENCE_S: Final = 0.6
"""Where a silent meter behind a gateway would keep the others waiting."""


@dataclass(frozen=True, slots=True, eq=False)
class InUse:
    """A line that meters are read over."""

    connection: Connection
    bus: Bus
    settings: SerialSettings | None
    """Those of a serial port, as its meters have agreed on."""
    meters: Mapping[int, str]
    """Their ids by unit."""


class Installation:
    def __init__(self, meters: Sequence[Meter], clock: Clock, on_reading: Callable[[str, SiteReading], None]) -> None:
        """Raises ProfileInvalid or ConnectionInvalid. `on_reading` gets the meter's id with each reading."""
        self.lines: list[InUse] = []
        """One for each serial port, gateway or host."""
        profiles = {meter.id: load_profile(meter.profile) for meter in meters}
        at_place: dict[str, list[Meter]] = {}
        for meter in meters:
            at_place.setdefault(_connection(meter).place, []).append(meter)
        poller_of: dict[str, MeterPoller] = {}
        for sharing in at_place.values():
            connections = [_connection(meter) for meter in sharing]
            usual = [profiles[meter.id].serial for meter in sharing]
            bus = Bus(line_to(connections, usual))
            bus.meters = len(sharing)
            pollers = [MeterPoller(meter, profiles[meter.id], bus, clock, on_reading) for meter in sharing]
            poller_of |= {poller.state().id: poller for poller in pollers}
            settings = _agreed(connections, usual) if isinstance(connections[0], SerialPort) else None
            units = {poller.state().unit: poller.state().id for poller in pollers}
            self.lines.append(InUse(connections[0], bus, settings, units))
        self.pollers = [poller_of[meter.id] for meter in meters]
        """In the order of the file."""


def _connection(meter: Meter) -> Connection:
    try:
        return parse_connection(meter.connection)
    except ConnectionInvalid as error:
        raise ConnectionInvalid(f"meter {meter.id}: connection {meter.connection!r}: {error}") from error


def line_to(connections: Sequence[Connection], usual: Sequence[SerialSettings]) -> Line:
    """The line at the one place where these meters are. Raises ConnectionInvalid where they are set differently."""
    match connections[0]:
        case ModbusTcp(host, port):
            return TcpLine(host, port, TCP_PATIENCE_S if len(connections) == 1 else SHARED_TCP_PATIENCE_S)
        case RtuGateway() as gateway:
            # what its serial side is set to is not known: as slow as the slowest meter would have it
            return RtuLine(GatewayWire(gateway), min(settings.baudrate for settings in usual))
        case SerialPort() as port:
            settings = _agreed(connections, usual)
            return RtuLine(SerialWire(port, settings), settings.baudrate)


def _agreed(connections: Iterable[Connection], usual: Sequence[SerialSettings]) -> SerialSettings:
    ports = [each for each in connections if isinstance(each, SerialPort)]
    asked = list(dict.fromkeys(port.settings(theirs) for port, theirs in zip(ports, usual, strict=True)))
    if len(asked) > 1:
        both = " and ".join(map(str, asked))
        raise ConnectionInvalid(f"{ports[0].device}: {both} at once; all meters of a line have to be set alike")
    return asked[0]

"""The meters of a site as they are wired: a poller for each, a bus for each serial port, gateway or host.

In: the `[[meter]]` tables. Out: pollers, which `daemon.py` runs; those of the same place share a bus.
"""

from collections.abc import Callable, Iterable, Sequence
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
from edge.site.registers import MeterProfile
from edge.site.rtu_line import RtuLine
from edge.site.wires import GatewayWire, SerialWire

TCP_PATIENCE_S: Final = 1.0
SHARED_TCP_PATIENCE_S: Final = 0.6
"""Where a silent meter behind a gateway would keep the others waiting."""


class Installation:
    def __init__(self, meters: Sequence[Meter], clock: Clock, on_reading: Callable[[str, SiteReading], None]) -> None:
        """Raises ProfileInvalid or ConnectionInvalid. `on_reading` gets the meter's id with each reading."""
        profiles = {meter.id: load_profile(meter.profile) for meter in meters}
        self._buses: dict[str, Bus] = {}
        self.pollers: list[MeterPoller] = []
        at_place: dict[str, list[Meter]] = {}
        for meter in meters:
            at_place.setdefault(_connection(meter).place, []).append(meter)
        for place, sharing in at_place.items():
            self._buses[place] = _bus(sharing, profiles)
        for meter in meters:
            bus = self._buses[_connection(meter).place]
            self.pollers.append(MeterPoller(meter, profiles[meter.id], bus, clock, on_reading))

    def bus_at(self, connection: Connection) -> Bus | None:
        """The bus that is there already: a second one would talk into it."""
        return self._buses.get(connection.place)


def _connection(meter: Meter) -> Connection:
    try:
        return parse_connection(meter.connection)
    except ConnectionInvalid as error:
        raise ConnectionInvalid(f"meter {meter.id}: connection {meter.connection!r}: {error}") from error


def _bus(sharing: Sequence[Meter], profiles: dict[str, MeterProfile]) -> Bus:
    usual = [profiles[meter.id].serial for meter in sharing]
    bus = Bus(line_to([_connection(meter) for meter in sharing], usual))
    bus.meters = len(sharing)
    return bus


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

"""A search for meters, as `edge meter probe` makes it, and what it found."""

from collections.abc import Sequence
from datetime import UTC, datetime

from edge.config.connections import SerialPort, SerialSettings, parse_connection
from edge.site.bus import Bus
from edge.site.installation import line_to
from edge.site.probe import USUAL_SETTINGS, Place, Search, steps
from edge.site.profiles import load_profile, profile_names

PROFILES = tuple(map(load_profile, profile_names()))
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def places_at(connection: str, settings: Sequence[SerialSettings] = USUAL_SETTINGS) -> list[Place]:
    parsed = parse_connection(connection)
    if not isinstance(parsed, SerialPort):
        return [Place(Bus(line_to([parsed], [SerialSettings()])), None)]
    ports = [SerialPort(parsed.device, each.baudrate, each.parity, each.stopbits) for each in settings]
    return [Place(Bus(line_to([port], [each])), each) for port, each in zip(ports, settings, strict=True)]


async def search(
    connection: str, units: Sequence[int] = (1,), settings: Sequence[SerialSettings] = USUAL_SETTINGS, **more: bool
) -> tuple[Search, list[str]]:
    """What was found, and what was told meanwhile."""
    result, first_only = Search(), more.get("first_only", False)
    places = places_at(connection, settings)
    told = [words async for words in steps(places, units, PROFILES, lambda: NOW, result, first_only=first_only)]
    return result, told

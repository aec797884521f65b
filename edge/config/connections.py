"""How a meter is reached: what stands in its `connection`, taken apart.

`tcp://HOST[:PORT]` is Modbus TCP, `rtu:///dev/…` Modbus RTU on a serial port, `rtu+tcp://HOST:PORT` RTU frames through
a gateway that passes bytes on. Meters with the same `place` share one bus: they take turns (`edge/site/bus.py`).
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from edge.domain.ports import EdgeError

MODBUS_PORT: Final = 502
BAUDRATES: Final = (300, 4_000_000)
EXPECTED: Final = (
    "tcp://HOST[:PORT], rtu:///dev/TTY[?baudrate=9600&parity=N&stopbits=1] or rtu+tcp://HOST:PORT, "
    'such as "tcp://192.0.2.20:502"'
)


class ConnectionInvalid(EdgeError):
    """A meter's `connection` cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """What both ends of a serial line have to agree on. RTU always has eight data bits."""

    baudrate: int = 9600
    parity: str = "N"
    """N, E or O."""
    stopbits: int = 1

    def __str__(self) -> str:
        return f"{self.baudrate} baud 8{self.parity}{self.stopbits}"


@dataclass(frozen=True, slots=True)
class ModbusTcp:
    host: str
    port: int

    @property
    def place(self) -> str:
        return f"tcp://{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class RtuGateway:
    """A converter that passes the bytes of a TCP connection on to its serial side and back."""

    host: str
    port: int

    @property
    def place(self) -> str:
        return f"rtu+tcp://{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class SerialPort:
    device: str
    baudrate: int | None = None
    """None here and below: as the meter's profile says."""
    parity: str | None = None
    stopbits: int | None = None

    @property
    def place(self) -> str:
        return f"rtu://{self.device}"

    def settings(self, usual: SerialSettings) -> SerialSettings:
        """Those of the URL, and for the rest the meter's usual ones."""
        return SerialSettings(
            usual.baudrate if self.baudrate is None else self.baudrate,
            usual.parity if self.parity is None else self.parity,
            usual.stopbits if self.stopbits is None else self.stopbits,
        )


Connection: TypeAlias = ModbusTcp | RtuGateway | SerialPort


def parse_connection(text: str) -> Connection:
    """Raises ConnectionInvalid with what is wrong with it."""
    scheme, found, rest = text.partition("://")
    if not found or not text.isprintable() or " " in text:
        raise ConnectionInvalid('it has to begin with "tcp://", "rtu://" or "rtu+tcp://"')
    match scheme.lower():
        case "tcp":
            return ModbusTcp(*_host_and_port(rest, MODBUS_PORT))
        case "rtu+tcp":
            return RtuGateway(*_host_and_port(rest, None))
        case "rtu":
            return _serial_port(rest)
        case other:
            raise ConnectionInvalid(f'"{other}://" is not known')


def _host_and_port(rest: str, usual_port: int | None) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as error:  # brackets without an end, a port that is no number
        raise ConnectionInvalid(str(error)) from error
    if parts.query and not parts.path:
        raise ConnectionInvalid("only a serial port has parameters; baud rate and parity are set in the gateway")
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConnectionInvalid("nothing may stand around HOST:PORT; the unit has a key of its own")
    if not host or not _is_host(host, is_bracketed="[" in parts.netloc):
        raise ConnectionInvalid(f'"{host or ""}" is neither a host name nor an IP address')
    port = usual_port if port is None else port
    if port is None:
        raise ConnectionInvalid("the gateway's port is missing, such as rtu+tcp://192.0.2.21:4196")
    if port == 0:
        raise ConnectionInvalid("port 0 does not exist")
    return host, port


def _is_host(host: str, *, is_bracketed: bool) -> bool:
    from ipaddress import AddressValueError, IPv4Address, IPv6Address

    try:
        if is_bracketed:
            IPv6Address(host)
        elif re.fullmatch(r"[0-9.]+", host):
            IPv4Address(host)
    except AddressValueError:
        return False
    return is_bracketed or re.fullmatch(r"[A-Za-z0-9._-]+", host) is not None


def _serial_port(rest: str) -> SerialPort:
    device, _, query = rest.partition("?")
    if not device.startswith("/"):
        name = device.removeprefix("dev/") or "ttyUSB0"
        raise ConnectionInvalid(f'the device is a path with three slashes before it, such as "rtu:///dev/{name}"')
    if device.endswith("/"):
        raise ConnectionInvalid("the name of the serial port is missing, such as rtu:///dev/ttyUSB0")
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise ConnectionInvalid(f"{error}; parameters are NAME=VALUE with & between them") from error
    for name, value in pairs:
        if name not in _PARAMETERS:
            raise ConnectionInvalid(f'parameter "{name}" is not known, expected one of {", ".join(_PARAMETERS)}')
        if name in given:
            raise ConnectionInvalid(f"{name} stands there twice")
        expected, pattern = _PARAMETERS[name]
        if re.fullmatch(pattern, value.upper()) is None:
            raise ConnectionInvalid(f'{name} is {expected}, not "{value}"')
        given[name] = value.upper()
    baudrate = int(given["baudrate"]) if "baudrate" in given else None
    if baudrate is not None and not BAUDRATES[0] <= baudrate <= BAUDRATES[1]:
        raise ConnectionInvalid(f"baudrate is a number from {BAUDRATES[0]} to {BAUDRATES[1]}, not {baudrate}")
    stopbits = int(given["stopbits"]) if "stopbits" in given else None
    return SerialPort(device, baudrate, given.get("parity"), stopbits)


_PARAMETERS: Final = {
    "baudrate": ("a number such as 9600", r"[0-9]{1,9}"),
    "parity": ("N, E or O", r"[NEO]"),
    "stopbits": ("1 or 2", r"[12]"),
    "bytesize": ("8, as Modbus RTU wants it", r"8"),
}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""`[firmware_bridge]` of the controller's configuration file: the bridge reads this table of it and no other.

`edge check` judges the whole file, with line numbers (`edge/config/values.py` has the same keys and their meaning; a
test holds both together). Here a value that is none is an error all the same.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge import sources
from firmware_bridge.sources import Allowed


class InvalidConfiguration(Exception):
    """Each line of the message is a problem."""


@dataclass(frozen=True, slots=True)
class Settings:
    socket: Path = Path("/run/edge/firmware.sock")
    path: Path = Path("/var/lib/edge-firmware")
    http: str = "0.0.0.0:8889"
    ftp: str = "0.0.0.0:2121"
    ftp_data_ports: str = "50000-50031"
    address: str = ""
    sources: tuple[str, ...] = ()
    ca_file: Path | None = None
    known_hosts_file: Path | None = None
    manufacturers_file: Path | None = None
    max_size_mb: int = 1024
    max_file_mb: int = 256
    retention_days: int = 90
    upload_max_mb: int = 64
    uploads_max_mb: int = 512

    @property
    def allowed(self) -> tuple[Allowed, ...]:
        return tuple(sources.allowed(one) for one in self.sources)

    @property
    def http_host_and_port(self) -> tuple[str, int]:
        return _host_and_port("http", self.http)

    @property
    def ftp_host_and_port(self) -> tuple[str, int] | None:
        """None: there is no FTP."""
        return _host_and_port("ftp", self.ftp) if self.ftp else None

    @property
    def data_ports(self) -> range:
        """Of FTP, one for each charger that takes or leaves a file."""
        found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", self.ftp_data_ports)
        ports = range(int(found[1]), int(found[2]) + 1) if found else range(0)
        if not ports or ports.start < 1024 or ports.stop > 65536:
            raise ValueError(f"ftp_data_ports: expected FIRST-LAST from 1024 to 65535, got {self.ftp_data_ports!r}")
        return ports


def _host_and_port(key: str, written: str) -> tuple[str, int]:
    host, separator, port = written.rpartition(":")
    if not separator or not port.isdecimal():
        raise ValueError(f"{key}: expected HOST:PORT, got {written!r}")
    return host.strip("[]"), int(port)


def read(path: Path) -> Settings:
    """Raises InvalidConfiguration, also for a file that is not there."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfiguration(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidConfiguration(f"{path}: {error}") from error
    return structured(document.get("firmware_bridge", {}), path)


def structured(table: Any, path: Path) -> Settings:
    """Relative paths count from the folder of the file. Raises InvalidConfiguration."""
    from cattrs import ClassValidationError, Converter, transform_error

    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Path, lambda value, _: _located(value, path.parent))
    for kind in (str, int):
        converter.register_structure_hook(kind, _exactly)
    try:
        settings = converter.structure(table, Settings)
        _ = settings.allowed, settings.http_host_and_port, settings.ftp_host_and_port, settings.data_ports
    except ClassValidationError as error:
        raise InvalidConfiguration("\n".join(transform_error(error, path="firmware_bridge"))) from None
    except ValueError as error:
        raise InvalidConfiguration(f"firmware_bridge: {error}") from None
    return settings


def _located(value: Any, folder: Path) -> Path:
    return folder / str(_exactly(value, str))


def _exactly(value: Any, kind: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, got {value!r}")
    return value

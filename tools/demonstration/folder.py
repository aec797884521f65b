"""Where everything of a demo stands, and the configuration that daemon and firmware bridge read there."""

import json
import os
import secrets
import shlex
import shutil
import tempfile
from pathlib import Path

from demonstration.party import CHARGERS, STATION
from demonstration.process import DemoFailed

SOCKET_PATH_BYTES = 107
BRIDGE_SOCKET = "firmware.sock"


class Folder:
    """A temporary one vanishes with `remove`."""

    def __init__(self, given: Path | None) -> None:
        if given is None:
            self.path = _temporary("edge-demo-")
        else:
            self.path = given.resolve()
            self.path.mkdir(parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise DemoFailed(f"{given} is not empty: give a new folder, or remove it first.")
        self.is_temporary = given is None
        self._socket_folder = self.path
        if len(os.fsencode(self.path / BRIDGE_SOCKET)) > SOCKET_PATH_BYTES:
            self._socket_folder = _temporary("edge-demo-")
        self.socket = self._socket_folder / "edge.sock"
        self.bridge_socket = self._socket_folder / BRIDGE_SOCKET
        self.log = self.path / "edge.log"
        self.bridge_log = self.path / "bridge.log"
        self.config = self.path / "edge.toml"
        self.store = self.path / "edge.db"

    def passwords(self) -> dict[str, bytes]:
        """One for each charger and one for the uplink, in files that only their owner reads."""
        made = {identity: secrets.token_hex(16).encode() for identity in (*CHARGERS, STATION)}
        for identity, password in made.items():
            file = self.path / f"{identity}.key"
            file.touch(mode=0o600)
            file.write_bytes(password + b"\n")
        return made

    def configure(self, *, csms_url: str, meter: str, meter_interval_s: int, firmware_source: str) -> None:
        """Write the configuration."""
        text = _configuration(self, csms_url, meter, meter_interval_s, firmware_source)
        self.config.write_text(text, encoding="utf-8")

    def remove(self) -> None:
        if self.is_temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._socket_folder != self.path:
            shutil.rmtree(self._socket_folder, ignore_errors=True)


def _temporary(prefix: str) -> Path:
    """A new folder with a short path, for the socket's sake."""
    folder = "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else None
    return Path(tempfile.mkdtemp(prefix=prefix, dir=folder))


def _configuration(folder: Folder, csms_url: str, meter: str, meter_interval_s: int, firmware_source: str) -> str:
    chargers = "".join(
        f"\n[[charger]]\nid = {_quoted(identity)}\npassword_file = {_quoted(identity + '.key')}\nevses = [1, 1]\n"
        for identity in CHARGERS
    )
    return f"""\
# Written by tools/demo. To look at it with `edge check`: --config {shlex.quote(str(folder.config))}

[site]
id = {_quoted(STATION)}
name = "Depot Nord"

[store]
path = {_quoted(folder.store)}

[[listener]]
address = "127.0.0.1:0"             # any free port; the log says which
path = "/ocpp"
security_profile = 1

[chargers]
meter_interval = {meter_interval_s}
{chargers}
[uplink]
url = {_quoted(csms_url)}
security_profile = 1
password_file = {_quoted(STATION + ".key")}

[authorization]
offline = "everyone"
online_timeout = 5.0

[[meter]]
id = "grid"
profile = "eastron-sdm630"
connection = {_quoted(meter)}

[api]
socket = {_quoted(folder.socket)}

[firmware_bridge]
socket = {_quoted(folder.bridge_socket)}
path = {_quoted(folder.path / "firmware")}
http = "127.0.0.1:0"
ftp = "127.0.0.1:0"
sources = [{_quoted(firmware_source)}]
"""


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)

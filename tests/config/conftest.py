"""A folder as on a gateway: the configuration file and the files that it names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import Config, Problem, check

MINIMAL = """\
[site]
id = "depot-7"

[[listener]]
address = "127.0.0.1:8887"
security_profile = 0
"""

FULL = """\
[site]
id = "depot-7"                      # default identity towards the cloud
name = "Depot Rostock"
timezone = "Europe/Berlin"

[store]
path = "/var/lib/edge/edge.db"
retention_days = 90
max_size_mb = 2048

[[listener]]                        # where chargers connect: ws://HOST:PORT/PATH/IDENTITY
address = "0.0.0.0:8887"
path = "/ocpp"
security_profile = 1                # 0 and 1: ws · 2: wss + password · 3: wss + client certificate

[chargers]                          # defaults for all
versions = ["1.6"]                  # in order of preference
unknown = "pending"
heartbeat_interval = 300
meter_interval = 30

[[charger]]
id = "CP-01"
password_file = "cp-01.key"         # not at security profile 0
circuit = "hall-a"
max_current = 32                    # ampere per phase
phases = "L1L2L3"
evses = [1, 1]
tolerate = []

[uplink]
url = "wss://csms.example.com/ocpp" # the identity is appended
identity = "depot-7"
versions = ["1.6"]
security_profile = 2
password_file = "uplink.key"
# ca_file, cert_file, key_file
vendor = "…"
model = "…"
order = "fair"
on_change = "reannounce"
boot_on_reconnect = "auto"

[authorization]
offline = "list-and-cache"
online_timeout = 8.0

[sessions]
wait_available = 300
wait_boot = 600
hold = 900

[[circuit]]
id = "main"
limit = 250
meter = "grid"
failsafe = 60

[[circuit]]
id = "hall-a"
parent = "main"
limit = 125

[[meter]]
id = "grid"
profile = "eastron-sdm630"
connection = "tcp://192.0.2.20:502"
unit = 1
poll_interval = 1.0
stale_after = 5.0
role = "grid"

[api]
socket = "/run/edge/edge.sock"
http = ""

[firmware_bridge]
socket = "/run/edge/firmware.sock"
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    """A folder with two good password files."""
    for name in ("cp-01.key", "uplink.key"):
        (tmp_path / name).write_bytes(b"0123456789abcdef\n")
        (tmp_path / name).chmod(0o640)
    return tmp_path


@pytest.fixture
def checked(gateway: Path) -> Callable[..., tuple[Config | None, tuple[Problem, ...]]]:
    """Writes a text as the configuration file and checks it."""

    def check_text(text: str, **options):
        (gateway / "edge.toml").write_text(text, encoding="utf-8")
        return check(gateway / "edge.toml", **options)

    return check_text


@pytest.fixture
def minimal() -> str:
    return MINIMAL


@pytest.fixture
def full() -> str:
    return FULL

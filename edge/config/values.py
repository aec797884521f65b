"""What the configuration says, as frozen values. Nothing behind this package reads the file.

Each field is a key of the file (`Named` where the key differs), its rule stands in `Annotated`, and the text
under it is its meaning in `docs/configuration.md`. Who reads the file: `loading.py`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from edge.config import rules
from edge.config.rules import Each, Named

Seconds: TypeAlias = Annotated[int, rules.integer(1, 86_400)]
Patience: TypeAlias = Annotated[int, rules.integer(0, 604_800)]
Ampere: TypeAlias = Annotated[float, rules.number_above(0, 10_000)]
InputFile: TypeAlias = Annotated[Path | None, rules.READABLE_FILE]
Versions: TypeAlias = Annotated[tuple[str, ...], rules.VERSIONS]


@dataclass(frozen=True, slots=True)
class Site:
    """The site and its name."""

    id: Annotated[str, rules.IDENTITY]
    """The default identity towards the cloud."""
    name: str = ""
    """What people call the site."""
    timezone: Annotated[str, rules.TIMEZONE] = "UTC"
    """In which local times are shown."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The database on disk."""

    path: Annotated[Path, rules.DATABASE] = Path("/var/lib/edge/edge.db")
    """The SQLite file; its `-wal` and `-shm` stand beside it."""
    retention_days: Annotated[int, rules.integer(1, 3650)] = 90
    """For how many days delivered messages are kept."""
    max_size_mb: Annotated[int, rules.integer(1, 1_048_576)] = 2048
    """How large the database may become."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where chargers connect: `ws://HOST:PORT/PATH/IDENTITY`. At least one."""

    host: Annotated[str, Named("address"), rules.ADDRESS_HOST]
    """Interface and port; `0.0.0.0` is every IPv4 interface, `[::]` every interface. Port 0 takes any free one."""
    port: Annotated[int, Named("address"), rules.ADDRESS_PORT]
    path: Annotated[str, rules.URL_PATH] = "/ocpp"
    """What precedes the identity in the charger's URL."""
    security_profile: Annotated[int, rules.LISTENER_PROFILE] = 1
    """0: no password · 1: password · 2: TLS and password · 3: TLS with the charger's certificate."""


@dataclass(frozen=True, slots=True)
class ChargerDefaults:
    """What holds for all chargers."""

    versions: Versions = ("1.6",)
    """In order of preference."""
    unknown: Literal["pending", "accept", "reject"] = "pending"
    """What happens to chargers that are not listed: they wait for `edge adopt`, are served, or are sent away."""
    heartbeat_interval: Seconds = 300
    """Seconds between a charger's Heartbeats."""
    meter_interval: Seconds = 30
    """Seconds between a charger's MeterValues during a transaction."""


@dataclass(frozen=True, slots=True)
class ChargerSettings:
    """One charger. The order in the file gives the order of the connector numbers upstream."""

    id: Annotated[str, rules.IDENTITY]
    """The identity with which it connects, the last part of its URL."""
    password: Annotated[bytes | None, Named("password_file")] = field(default=None, repr=False)
    """The file with its password; the line end after it does not count. Required unless a listener has profile 0."""
    circuit: str | None = None
    """The `id` of the circuit that feeds it."""
    max_current: Ampere | None = None
    """Ampere per phase."""
    phases: Annotated[str, rules.PHASES] = "L1L2L3"
    """How its L1, L2 and L3 are wired to the site's phases."""
    evses: Annotated[tuple[int, ...], Each(rules.integer(1, 99), "a list of integers, each from 1 to 99")] = ()
    """The number of connectors of each EVSE; empty: discovered."""
    tolerate: Annotated[tuple[str, ...], Each(rules.TEXT, "a list of strings")] = ()
    """Named tolerances for the quirks of this charger."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """The cloud CSMS. Without this table everything waits in the queue."""

    url: Annotated[str, rules.WEBSOCKET_URL]
    """Its endpoint; the identity is appended."""
    identity: Annotated[str, rules.IDENTITY] = ""
    """Ours towards the CSMS. Empty: `id` of `[site]`, which is put in its place when the file is read."""
    versions: Versions = ("1.6",)
    """In order of preference."""
    security_profile: Annotated[int, rules.one_of((0, 1, 2, 3))] = 2
    """0: ws · 1: ws and password · 2: wss and password · 3: wss and our certificate."""
    password: Annotated[bytes | None, Named("password_file")] = field(default=None, repr=False)
    """The file with the password. Required at profiles 1 and 2."""
    ca_file: InputFile = None
    """Certificates (PEM) that the CSMS's is checked against; none: the system's."""
    cert_file: InputFile = None
    """Our certificate (PEM). Required at profile 3."""
    key_file: InputFile = None
    """Its private key (PEM). Required at profile 3."""
    vendor: Annotated[str, rules.STATION_WORDS] = "ocpp-edge"
    """`chargePointVendor` of our BootNotification."""
    model: Annotated[str, rules.STATION_WORDS] = "edge"
    """`chargePointModel` of our BootNotification."""
    order: Literal["fair", "chronological"] = "fair"
    """`fair`: a queue per connector, taking turns · `chronological`: one for the station."""
    on_change: Literal["reannounce", "park"] = "reannounce"
    """What happens to started transactions when the cloud's version changes."""
    boot_on_reconnect: Literal["auto", "always", "never"] = "auto"
    """Whether a reconnect sends a BootNotification; `auto`: when the cloud shows that it needs it."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """Who may charge."""

    offline: Literal["list", "list-and-cache", "everyone", "nobody"] = "list-and-cache"
    """Whom the site accepts while the cloud cannot be asked."""
    online_timeout: Annotated[float, rules.number_above(0, 300)] = 8.0
    """Seconds to wait for the cloud's verdict on a token that nobody here knows."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions whose stop never came."""

    wait_available: Patience = 300
    """Seconds from "connector available, no stop" to concluding that the session ended."""
    wait_boot: Patience = 600
    """The same after a charger's reboot."""
    hold: Patience = 900
    """Seconds that a concluded stop waits for a late real one before it goes up."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A fuse of the site and what hangs under it. Read, but not enforced yet."""

    id: Annotated[str, rules.NAME]
    """Its name in `circuit` and `parent`."""
    limit: Ampere
    """Ampere per phase."""
    parent: str | None = None
    """The `id` of the circuit that feeds it."""
    meter: str | None = None
    """The `id` of the meter that measures it."""
    failsafe: Annotated[float | None, rules.number(0, 10_000)] = None
    """Ampere per phase for all its chargers together when the meter is stale."""


@dataclass(frozen=True, slots=True)
class Meter:
    """A Modbus meter."""

    id: Annotated[str, rules.NAME]
    """Its name in `meter` of a circuit."""
    profile: str
    """Its register map: a file of `edge/site/meters` without the ending, or the path of your own (`./my.toml`)."""
    connection: Annotated[str, rules.CONNECTION]
    """How it is reached."""
    unit: Annotated[int, rules.integer(0, 255)] = 1
    """Its Modbus unit."""
    poll_interval: Annotated[float, rules.number_above(0, 3600)] = 1.0
    """Seconds between readings."""
    stale_after: Annotated[float, rules.number_above(0, 3600)] = 5.0
    """Seconds without a good reading after which it no longer counts; more than `poll_interval`."""
    role: Literal["grid", "sub"] = "grid"
    """`grid`: reported as connector 0, one at most · `sub`: all others."""


@dataclass(frozen=True, slots=True)
class Api:
    """How people and programs look inside."""

    socket: Annotated[Path | None, rules.SOCKET] = Path("/run/edge/edge.sock")
    """The UNIX socket that `edge` talks to."""
    http: Annotated[str, rules.HTTP_ADDRESS] = ""
    """Dashboard and metrics; empty: off. Read, but not served yet."""


@dataclass(frozen=True, slots=True)
class FirmwareBridge:
    """The process beside the daemon that handles firmware and diagnostics files."""

    socket: Annotated[Path, rules.SOCKET] = Path("/run/edge/firmware.sock")
    """Its UNIX socket."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    site: Site
    listeners: Annotated[tuple[Listener, ...], Named("listener")]
    uplink: Uplink | None = None
    store: StoreSettings = StoreSettings()
    chargers: ChargerDefaults = ChargerDefaults()
    charger: tuple[ChargerSettings, ...] = ()
    authorization: Authorization = Authorization()
    sessions: Sessions = Sessions()
    circuits: Annotated[tuple[Circuit, ...], Named("circuit")] = ()
    meters: Annotated[tuple[Meter, ...], Named("meter")] = ()
    api: Api = Api()
    firmware_bridge: FirmwareBridge = FirmwareBridge()

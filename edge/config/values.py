"""What the configuration says, as frozen values. Nothing behind this package reads the file.

Each field is a key of the file (`Named` where the key differs), its rule stands in `Annotated`, and the text
under it is its meaning in `docs/configuration.md`. Who reads the file: `loading.py`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from edge.config import rules
from edge.config.effects import LIVE, ON_RECONNECT, ON_RESTART
from edge.config.rules import Each, Named

Seconds: TypeAlias = Annotated[int, rules.integer(1, 86_400)]
Patience: TypeAlias = Annotated[int, rules.integer(0, 604_800)]
Ampere: TypeAlias = Annotated[float, rules.number_above(0, 10_000)]
InputFile: TypeAlias = Annotated[Path | None, rules.READABLE_FILE]
Versions: TypeAlias = Annotated[tuple[str, ...], rules.VERSIONS]


@dataclass(frozen=True, slots=True)
class Site:
    """The site and its name."""

    id: Annotated[str, rules.IDENTITY, ON_RESTART]
    """The default identity towards the cloud."""
    name: Annotated[str, LIVE] = ""
    """What people call the site."""
    timezone: Annotated[str, rules.TIMEZONE, LIVE] = "UTC"
    """The site's time zone. Not in force yet: `edge` shows times in the zone of the machine it runs on."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The database on disk."""

    path: Annotated[Path, rules.DATABASE, ON_RESTART] = Path("/var/lib/edge/edge.db")
    """The SQLite file; its `-wal` and `-shm` stand beside it."""
    retention_days: Annotated[int, rules.integer(1, 3650), LIVE] = 90
    """For how many days delivered messages are kept."""
    max_size_mb: Annotated[int, rules.integer(1, 1_048_576), LIVE] = 2048
    """How large the database may become."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where chargers connect: `ws://HOST:PORT/PATH/IDENTITY`. At least one."""

    host: Annotated[str, Named("address"), rules.ADDRESS_HOST, ON_RESTART]
    """Interface and port; `0.0.0.0` is every IPv4 interface, `[::]` every IPv6 interface. Port 0 takes any free one."""
    port: Annotated[int, Named("address"), rules.ADDRESS_PORT, ON_RESTART]
    path: Annotated[str, rules.URL_PATH, ON_RESTART] = "/ocpp"
    """What precedes the identity in the charger's URL."""
    security_profile: Annotated[int, rules.LISTENER_PROFILE, ON_RESTART] = 1
    """0: for chargers without password · 1: password · 2: TLS and password · 3: TLS with the charger's certificate."""
    cert_file: Annotated[InputFile, LIVE] = None
    """Its certificate (PEM), followed by those that signed it but for the root. Required at profile 2. Chargers
    compare its names with the host in their URL; `edge check` cannot. A reload takes a new one into use
    ([TLS](tls.md)).
    """
    key_file: Annotated[InputFile, LIVE] = None
    """The private key of `cert_file` (PEM, without a passphrase, mode 0640). Required at profile 2."""
    second_cert_file: Annotated[InputFile, LIVE] = None
    """A second certificate whose key is of the other kind: some chargers of OCPP 1.6 need RSA, others ECDSA."""
    second_key_file: Annotated[InputFile, LIVE] = None
    """The private key of `second_cert_file`."""
    client_ca_file: Annotated[InputFile, ON_RESTART] = None
    """For profile 3, which is not built yet."""


@dataclass(frozen=True, slots=True)
class ChargerDefaults:
    """What holds for all chargers."""

    versions: Annotated[Versions, LIVE] = ("1.6",)
    """In order of preference."""
    unknown: Annotated[Literal["pending", "accept", "reject"], LIVE] = "pending"
    """What happens to chargers that are not listed: they wait for `edge adopt`, are served, or are sent away."""
    heartbeat_interval: Annotated[Seconds, LIVE] = 300
    """Seconds between a charger's Heartbeats."""
    meter_interval: Annotated[Seconds, LIVE] = 30
    """Seconds between a charger's MeterValues during a transaction."""


@dataclass(frozen=True, slots=True)
class ChargerSettings:
    """One charger. The order in the file gives the order of the connector numbers upstream."""

    id: Annotated[str, rules.IDENTITY, LIVE]
    """The identity with which it connects, the last part of its URL."""
    password: Annotated[bytes | None, Named("password_file"), LIVE] = field(default=None, repr=False)
    """The file with its password; the line end after it does not count. Required unless a listener has profile 0.
    A charger that has a password shows it on every listener."""
    circuit: Annotated[str | None, LIVE] = None
    """The `id` of the circuit that feeds it."""
    max_current: Annotated[Ampere | None, LIVE] = None
    """Ampere per phase."""
    phases: Annotated[str, rules.PHASES, LIVE] = "L1L2L3"
    """How its L1, L2 and L3 are wired to the site's phases."""
    evses: Annotated[tuple[int, ...], Each(rules.integer(1, 99), "a list of integers, each from 1 to 99"), LIVE] = ()
    """The number of connectors of each EVSE; empty: discovered."""
    tolerate: Annotated[tuple[str, ...], rules.TOLERANCES, LIVE] = ()
    """Named tolerances that this charger needs beyond those that all have ([field guide](field-guide.md))."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """The cloud CSMS. Without this table everything waits in the queue."""

    url: Annotated[str, rules.WEBSOCKET_URL, ON_RECONNECT]
    """Its endpoint; the identity is appended."""
    identity: Annotated[str, rules.IDENTITY, ON_RECONNECT] = ""
    """Ours towards the CSMS. Empty: `id` of `[site]`, which is put in its place when the file is read."""
    versions: Annotated[Versions, ON_RECONNECT] = ("1.6",)
    """In order of preference."""
    security_profile: Annotated[int, rules.one_of((0, 1, 2, 3)), ON_RECONNECT] = 2
    """0: ws · 1: ws and password · 2: wss and password · 3: wss and our certificate."""
    password: Annotated[bytes | None, Named("password_file"), ON_RECONNECT] = field(default=None, repr=False)
    """The file with the password. Required at profiles 1 and 2."""
    ca_file: Annotated[InputFile, ON_RECONNECT] = None
    """Certificates (PEM) that the CSMS's is checked against; none: the system's."""
    cert_file: Annotated[InputFile, ON_RECONNECT] = None
    """Our certificate (PEM). Required at profile 3."""
    key_file: Annotated[InputFile, ON_RECONNECT] = None
    """Its private key (PEM). Required at profile 3."""
    vendor: Annotated[str, rules.STATION_WORDS, ON_RECONNECT] = "ocpp-edge"
    """`chargePointVendor` of our BootNotification."""
    model: Annotated[str, rules.STATION_WORDS, ON_RECONNECT] = "edge"
    """`chargePointModel` of our BootNotification."""
    order: Annotated[Literal["fair", "chronological"], ON_RECONNECT] = "fair"
    """`fair`: a queue per connector, taking turns · `chronological`: one for the station."""
    on_change: Annotated[Literal["reannounce", "park"], ON_RECONNECT] = "reannounce"
    """What happens to started transactions when the cloud's version changes."""
    boot_on_reconnect: Annotated[Literal["auto", "always", "never"], ON_RECONNECT] = "auto"
    """Whether a reconnect sends a BootNotification; `auto`: when the cloud shows that it needs it."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """Who may charge."""

    offline: Annotated[Literal["list", "list-and-cache", "everyone", "nobody"], LIVE] = "list-and-cache"
    """Whom the site accepts while the cloud cannot be asked."""
    online_timeout: Annotated[float, rules.number_above(0, 300), LIVE] = 8.0
    """Seconds to wait for the cloud's verdict on a token that nobody here knows."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions whose stop never came."""

    wait_available: Annotated[Patience, LIVE] = 300
    """Seconds from "connector available, no stop" to concluding that the session ended."""
    wait_boot: Annotated[Patience, LIVE] = 600
    """Seconds after a reboot before the connector is asked for its status; a reboot alone ends nothing."""
    hold: Annotated[Patience, LIVE] = 900
    """Seconds that a concluded stop waits for a late real one before it goes up."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A fuse of the site and what hangs under it. Read, but not enforced yet."""

    id: Annotated[str, rules.NAME, LIVE]
    """Its name in `circuit` and `parent`."""
    limit: Annotated[Ampere, LIVE]
    """Ampere per phase."""
    parent: Annotated[str | None, LIVE] = None
    """The `id` of the circuit that feeds it."""
    meter: Annotated[str | None, LIVE] = None
    """The `id` of the meter that measures it."""
    failsafe: Annotated[float | None, rules.number(0, 10_000), LIVE] = None
    """Ampere per phase for all its chargers together when the meter is stale."""


@dataclass(frozen=True, slots=True)
class Meter:
    """A Modbus meter. Meters on the same serial port or gateway take turns, the grid meter first."""

    id: Annotated[str, rules.METER_NAME, ON_RESTART]
    """Its name in `meter` of a circuit."""
    profile: Annotated[str, ON_RESTART]
    """Its register map: a file of `edge/site/meters` without the ending, or the path of your own (`./my.toml`)."""
    connection: Annotated[str, rules.CONNECTION, ON_RESTART]
    """How it is reached: Modbus TCP, RTU on a serial port (baud rate, parity and stop bits are the profile's unless
    they stand there; better than `/dev/ttyUSB0` is a name of `/dev/serial/by-id`), or RTU through a gateway."""
    unit: Annotated[int | None, rules.integer(0, 255), ON_RESTART] = None
    """Its Modbus unit; none: 1 over `tcp://`, else the usual one of its profile, mostly 1."""
    poll_interval: Annotated[float, rules.number_above(0, 3600), ON_RESTART] = 1.0
    """Seconds between readings."""
    stale_after: Annotated[float, rules.number_above(0, 3600), ON_RESTART] = 5.0
    """Seconds without a good reading after which it no longer counts; more than `poll_interval`."""
    role: Annotated[Literal["grid", "sub"], ON_RESTART] = "grid"
    """`grid`: reported as connector 0, one at most · `sub`: all others."""
    phases: Annotated[str | None, rules.METER_PHASES, ON_RESTART] = None
    """To which of the site's phases its L1, L2 and L3 are wired; none: in order. Of a single-phase meter the one
    phase."""
    ct_ratio: Annotated[float | None, rules.number_above(0, 100_000), ON_RESTART] = None
    """What its currents, powers and energies are multiplied by, where it shows the secondary side of its current
    transformers (250/5 A: 50); none: by what the meter itself is set to, if its profile knows where that stands."""
    invert: Annotated[bool, ON_RESTART] = False
    """Whether it counts the wrong way round: import and export change places."""


@dataclass(frozen=True, slots=True)
class Api:
    """How people and programs look inside."""

    socket: Annotated[Path | None, rules.SOCKET, ON_RESTART] = Path("/run/edge/edge.sock")
    """The UNIX socket that `edge` talks to."""
    http: Annotated[str, rules.HTTP_ADDRESS, ON_RESTART] = ""
    """Dashboard and metrics; empty: off. Read, but not served yet."""


@dataclass(frozen=True, slots=True)
class FirmwareBridge:
    """The process beside the daemon that brings firmware to the chargers: `firmware-bridge run`. It reads this table
    of the same file when it starts.
    """

    socket: Annotated[Path, rules.SOCKET, ON_RESTART] = Path("/run/edge/firmware.sock")
    """Its UNIX socket, where the daemon finds it."""
    path: Annotated[Path, ON_RESTART] = Path("/var/lib/edge-firmware")
    """The folder of its files."""
    http: Annotated[str, rules.ADDRESS, ON_RESTART] = "0.0.0.0:8889"
    """Interface and port of the HTTP server from which chargers take their files, and where they leave diagnostics."""
    ftp: Annotated[str, rules.ADDRESS_OR_NONE, ON_RESTART] = "0.0.0.0:2121"
    """The same by FTP, for chargers that know nothing else."""
    ftp_data_ports: Annotated[str, rules.PORTS, ON_RESTART] = "50000-50031"
    """Ports to which chargers open the data connections of FTP, one for each that is connected: a firewall must let
    them through."""
    address: Annotated[str, rules.IPV4, ON_RESTART] = ""
    """Our address in the URLs that chargers get; empty: the one by which each charger has connected to us."""
    sources: Annotated[tuple[str, ...], rules.SOURCES, ON_RESTART] = ()
    """From where files may be fetched, and to where they may be sent. None: every public address by a secure protocol.
    With entries only those, which may then be plain HTTP or FTP, or a server in the site's own network; a server on
    this machine only by its address."""
    ca_file: Annotated[InputFile, ON_RESTART] = None
    """Further authorities (PEM) that may vouch for the servers."""
    known_hosts_file: Annotated[InputFile, ON_RESTART] = None
    """Host keys of SFTP servers, in lines as `ssh-keyscan` writes them; without its key no such server is asked."""
    manufacturers_file: Annotated[InputFile, ON_RESTART] = None
    """Root certificates (PEM) of manufacturers whose signed firmware is accepted."""
    max_size_mb: Annotated[int, rules.integer(16, 1_000_000), ON_RESTART] = 1024
    """Of all files together; the oldest that nobody uses go first."""
    max_file_mb: Annotated[int, rules.integer(1, 100_000), ON_RESTART] = 256
    """Of one file."""
    retention_days: Annotated[int, rules.integer(1, 3650), ON_RESTART] = 90
    """How long a file is kept that nobody uses, and what a charger has left."""
    upload_max_mb: Annotated[int, rules.integer(1, 100_000), ON_RESTART] = 64
    """How much a charger may leave at a time."""
    uploads_max_mb: Annotated[int, rules.integer(1, 1_000_000), ON_RESTART] = 512
    """How much all that chargers have left may be together; more is refused."""


@dataclass(frozen=True, slots=True)
class FirmwareRule:
    """Which chargers a file is for that the CSMS wants installed: to it the whole site is one station. The first that
    fits counts; `#target=CHARGER` or `#target=VENDOR:MODEL` at the end of the location counts more.
    """

    file: Annotated[str, LIVE]
    """Pattern of the file's name, such as `evb-*.bin`; upper and lower case are the same."""
    vendor: Annotated[str | None, LIVE] = None
    """Chargers of this vendor; none: of any."""
    model: Annotated[str | None, LIVE] = None
    """Chargers of this model; none: of any."""


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
    firmware_rules: Annotated[tuple[FirmwareRule, ...], Named("firmware_rule")] = ()

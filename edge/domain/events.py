"""What was observed on the site: made from a payload by a dialect, never sent anywhere itself.

`None` means that the charger did not say, or not in a way that can be read.
"""

from dataclasses import dataclass
from datetime import datetime

from edge.domain.ids import ChargerTransactionId, IdToken

AVAILABLE = "Available"
CHARGING = "Charging"
FINISHING = "Finishing"
WHILE_CHARGING = frozenset({CHARGING, "SuspendedEV", "SuspendedEVSE"})
"""Statuses that a connector has only inside a session."""


@dataclass(frozen=True, slots=True)
class ChargerBooted:
    vendor: str | None
    model: str | None
    serial: str | None
    firmware: str | None


@dataclass(frozen=True, slots=True)
class ConnectorStatusChanged:
    connector: int
    """0: the charger itself."""
    status: str
    error_code: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TokenPresented:
    token: IdToken


@dataclass(frozen=True, slots=True)
class TransactionStarted:
    connector: int
    token: IdToken
    meter_start_wh: int | None
    at: datetime | None
    identity: str
    """What is equal in a repetition of the same start: token, timestamp and register as the charger wrote them."""


@dataclass(frozen=True, slots=True)
class EnergyMeasured:
    connector: int
    transaction: ChargerTransactionId | None
    """None also for the placeholders 0 and -1 that stand for "none" in the field."""
    at: datetime | None
    """Of the first sample."""
    register_wh: int | None
    """The last Energy.Active.Import.Register of the outlet."""
    last_at: datetime | None = None
    """Of the last sample; the following three are of that sample."""
    power_w: float | None = None
    soc: float | None = None
    """State of charge of the battery, in percent."""
    is_closing: bool = False
    """They are the values of a transaction's end."""


@dataclass(frozen=True, slots=True)
class TransactionEnded:
    transaction: ChargerTransactionId | None
    meter_stop_wh: int | None
    at: datetime | None
    reason: str
    token: IdToken | None


@dataclass(frozen=True, slots=True)
class FirmwareProgressed:
    """How far a charger says that it is with new firmware."""

    status: str
    """FirmwareStatus of 1.6 §7.25, or of its security extension."""


@dataclass(frozen=True, slots=True)
class DiagnosticsProgressed:
    """How far a charger says that it is with uploading diagnostics."""

    status: str
    """DiagnosticsStatus of 1.6 §7.24, or UploadLogStatus of its security extension."""


DomainEvent = (
    ChargerBooted
    | ConnectorStatusChanged
    | TokenPresented
    | TransactionStarted
    | EnergyMeasured
    | TransactionEnded
    | FirmwareProgressed
    | DiagnosticsProgressed
)

"""What the CSMS may ask of the station that goes on for hours: new firmware, and logs."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Signed:
    """By whom a file is signed, and how (1.6 security, FirmwareType)."""

    certificate: str
    """PEM of the signer."""
    signature: str
    """Base64, of the whole file."""


@dataclass(frozen=True, slots=True)
class FirmwareRequest:
    """UpdateFirmware (1.6 §6.57), or SignedUpdateFirmware of the security extension."""

    location: str
    retrieve_at: datetime | None
    install_at: datetime | None = None
    signed: Signed | None = None
    request_id: int | None = None
    """By which its statuses are known; None: there is no such id in UpdateFirmware."""


class LogKind(StrEnum):
    """LogEnumType of the security extension; GetDiagnostics asks for the first."""

    DIAGNOSTICS = "DiagnosticsLog"
    SECURITY = "SecurityLog"


@dataclass(frozen=True, slots=True)
class LogRequest:
    """GetDiagnostics (1.6 §6.25), or GetLog of the security extension."""

    location: str
    since: datetime | None
    until: datetime | None
    kind: LogKind = LogKind.DIAGNOSTICS
    request_id: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What the CSMS is answered. `status`: of the security extension; the older requests have none."""

    status: str
    file_name: str | None = None
    """What will be uploaded; None: there is nothing."""

    @property
    def is_accepted(self) -> bool:
        return self.status in {"Accepted", "AcceptedCanceled"}


class StationJobs(Protocol):
    """Each is on disk when it returns, and goes on by itself. Raises CommitFailed."""

    async def update_firmware(self, request: FirmwareRequest) -> Taken: ...

    async def collect(self, request: LogRequest) -> Taken: ...

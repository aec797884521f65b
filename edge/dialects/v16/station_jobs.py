"""Firmware and logs as the CSMS asks for them and hears of them: 1.6, and its security extension.

The extension ("Improved security for OCPP 1.6-J", edition 3) has a request of its own for each: with an id, by which
its statuses are known, and with an answer that can say no.
"""

from collections.abc import Mapping

from edge.dialects import timestamps
from edge.domain.rollouts import Step
from edge.domain.station_jobs import FirmwareRequest, LogKind, LogRequest, Signed, Taken
from edge.jsontypes import JsonValue, Payload

TELLS_FIRMWARE = {False: "FirmwareStatusNotification", True: "SignedFirmwareStatusNotification"}
"""By whether the request had an id."""
TELLS_LOGS = {False: "DiagnosticsStatusNotification", True: "LogStatusNotification"}


def firmware_request(payload: Payload) -> FirmwareRequest:
    """An UpdateFirmware."""
    return FirmwareRequest(_text(payload.get("location")), timestamps.parse(payload.get("retrieveDate")))


def signed_firmware_request(payload: Payload) -> FirmwareRequest:
    firmware = _object(payload.get("firmware"))
    return FirmwareRequest(
        _text(firmware.get("location")),
        timestamps.parse(firmware.get("retrieveDateTime")),
        timestamps.parse(firmware.get("installDateTime")),
        Signed(_text(firmware.get("signingCertificate")), _text(firmware.get("signature"))),
        _id(payload),
    )


def diagnostics_request(payload: Payload) -> LogRequest:
    """A GetDiagnostics."""
    return LogRequest(
        _text(payload.get("location")),
        timestamps.parse(payload.get("startTime")),
        timestamps.parse(payload.get("stopTime")),
    )


def log_request(payload: Payload) -> LogRequest:
    """A GetLog."""
    log = _object(payload.get("log"))
    return LogRequest(
        _text(log.get("remoteLocation")),
        timestamps.parse(log.get("oldestTimestamp")),
        timestamps.parse(log.get("latestTimestamp")),
        LogKind(_text(payload.get("logType"))),
        _id(payload),
    )


def diagnostics_answer(taken: Taken) -> Payload:
    """GetDiagnostics.conf: without a name there is nothing to upload (1.6 §6.26)."""
    return {} if taken.file_name is None else {"fileName": taken.file_name}


def log_answer(taken: Taken) -> Payload:
    """GetLog.conf."""
    answer: dict[str, JsonValue] = {"status": taken.status}
    return answer if taken.file_name is None else {**answer, "filename": taken.file_name}


def progress(status: str, request_id: int | None) -> Payload:
    """Any of the four statuses."""
    return {"status": status} if request_id is None else {"status": status, "requestId": request_id}


def _object(value: JsonValue) -> Payload:
    return value if isinstance(value, Mapping) else {}


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _id(payload: Payload) -> int | None:
    found = payload.get("requestId")
    return found if isinstance(found, int) and not isinstance(found, bool) else None


PLANNED = "DownloadScheduled"
"""Before its time."""
VERIFIED = ("SignatureVerified", "InstallScheduled")
"""Where it is signed: here, and in the end for a time that was said."""
_OLDER = {
    PLANNED: "Idle",
    "SignatureVerified": "Downloaded",
    "InstallScheduled": "Downloaded",
    "InvalidSignature": "InstallationFailed",
    "UploadFailure": "UploadFailed",
}


def older(status: str) -> str:
    """A status of the security extension in the words of 1.6 itself (ocpp-rules.md H.3)."""
    return _OLDER.get(status, status)


def firmware_status(step: Step, *, is_verified: bool) -> str:
    """Of all chargers together. `is_verified`: the signature has been."""
    match step:
        case Step.WAITING | Step.ASKED | Step.RESTARTED | Step.DOWNLOADING:
            return "SignatureVerified" if is_verified else "Downloading"
        case Step.DOWNLOADED:
            return "SignatureVerified" if is_verified else "Downloaded"
        case Step.INSTALLING:
            return "Installing"
        case Step.INSTALLED:
            return "Installed"
        case Step.FAILED | Step.SKIPPED:
            return "InstallationFailed"

"""Firmware and logs as a charger is asked for them, by 1.6 or by its security extension, and what it answers.

Times are by the charger's own clock.
"""

from edge.dialects import timestamps
from edge.dialects.v16.commands import status_of
from edge.domain.ports import PeerRefused
from edge.domain.station_jobs import FirmwareRequest, LogRequest
from edge.jsontypes import JsonValue, Payload

LONG_AGO = "2020-01-01T00:00:00.000Z"
_UNKNOWN = frozenset({"NotImplemented", "NotSupported"})


def is_unknown(error: PeerRefused) -> bool:
    """Whether the charger does not know the request at all: then an older one may do (OCPP-J 1.6 §4.2.3)."""
    return error.code in _UNKNOWN


def firmware_requests(request: FirmwareRequest) -> list[tuple[str, Payload]]:
    """(Action, payload) of what may be asked, the best first: the next where a charger does not know one.

    With SignedUpdateFirmware of the security extension the charger verifies the manufacturer's signature itself;
    UpdateFirmware is 1.6 §6.57. Without a time it is now.
    """
    at = timestamps.text(request.retrieve_at) if request.retrieve_at is not None else LONG_AGO
    plain: Payload = {"location": request.location, "retrieveDate": at}
    if request.signed is None:
        return [("UpdateFirmware", plain)]
    firmware: dict[str, JsonValue] = {
        "location": request.location,
        "retrieveDateTime": at,
        "signingCertificate": request.signed.certificate,
        "signature": request.signed.signature,
    }
    signed: Payload = {"requestId": request.request_id, "firmware": firmware}
    return [("SignedUpdateFirmware", signed), ("UpdateFirmware", plain)]


def firmware_refusal(action: str, answer: Payload) -> str | None:
    """Why a charger does not take its firmware; None: it does. UpdateFirmware.conf has no way to say no."""
    if action == "UpdateFirmware":
        return None
    status = status_of(answer)
    return None if status in {"Accepted", "AcceptedCanceled"} else f"it answered {action} with {status}"


def get_diagnostics(request: LogRequest) -> Payload:
    """1.6 §6.25."""
    wanted: dict[str, JsonValue] = {"location": request.location}
    if request.since is not None:
        wanted["startTime"] = timestamps.text(request.since)
    if request.until is not None:
        wanted["stopTime"] = timestamps.text(request.until)
    return wanted


def get_log(request: LogRequest) -> Payload:
    """Of the security extension."""
    log: dict[str, JsonValue] = {"remoteLocation": request.location}
    if request.since is not None:
        log["oldestTimestamp"] = timestamps.text(request.since)
    if request.until is not None:
        log["latestTimestamp"] = timestamps.text(request.until)
    return {"logType": request.kind, "requestId": request.request_id, "log": log}


def file_name(action: str, answer: Payload) -> str | None:
    """What will be uploaded, as GetDiagnostics.conf or GetLog.conf says; None: nothing."""
    if action == "GetLog" and status_of(answer) not in {"Accepted", "AcceptedCanceled"}:
        return None
    name = answer.get("fileName" if action == "GetDiagnostics" else "filename")
    if isinstance(name, str) and name:
        return name
    return "log" if action == "GetLog" else None  # there the name is optional, and says nothing by its absence

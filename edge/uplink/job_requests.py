"""Requests of the CSMS for what goes on for hours: firmware and logs, by 1.6 or by its security extension."""

from edge.connection import Refusal, Reply
from edge.dialects.v16 import station as dialect
from edge.dialects.v16 import station_jobs
from edge.domain.station_jobs import StationJobs
from edge.ocppj.frames import Call
from edge.uplink.job_reports import Subject

_SUBJECTS = {
    ("FirmwareStatusNotification", False): Subject.FIRMWARE,
    ("FirmwareStatusNotification", True): Subject.FIRMWARE,
    ("DiagnosticsStatusNotification", False): Subject.LOGS,
    ("LogStatusNotification", True): Subject.LOGS,
}


async def answer(call: Call, jobs: StationJobs) -> Reply:
    """Once it is on disk; of any other request, that it is not supported. Raises CommitFailed."""
    match call.action:
        case "UpdateFirmware":
            await jobs.update_firmware(station_jobs.firmware_request(call.payload))
            return {}
        case "SignedUpdateFirmware":
            taken = await jobs.update_firmware(station_jobs.signed_firmware_request(call.payload))
            return dialect.status(taken.status)
        case "GetDiagnostics":
            return station_jobs.diagnostics_answer(await jobs.collect(station_jobs.diagnostics_request(call.payload)))
        case "GetLog":
            return station_jobs.log_answer(await jobs.collect(station_jobs.log_request(call.payload)))
        case action:
            return Refusal("NotSupported", f"{action} is not supported by this station")


def subject_of(message: str, *, is_extended: bool) -> Subject | None:
    """What a TriggerMessage, or an ExtendedTriggerMessage, wants to hear of."""
    return _SUBJECTS.get((message, is_extended))

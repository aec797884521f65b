"""Per OCPP version: which actions exist, who may send them, and how CALLERROR codes are spelled and judged.

A lookup table without a flow: `edge/ocppj/peer.py` asks it about every CALL, the sender of the outbox about every
CALLERROR. Codes inside this program are *canonical*, the spelling of 1.6 plus the two that only 2.x has; they are
spelled for a version where the text is made.
"""

from enum import StrEnum


class Sender(StrEnum):
    STATION = "station"
    CSMS = "csms"
    BOTH = "both"


_BOTH = frozenset({"DataTransfer"})

UNCONFIRMED = frozenset({"NotifyPeriodicEventStream"})
"""2.1: travel as SEND, never as CALL."""

_STATION_16 = frozenset(
    {
        "Authorize",
        "BootNotification",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    }
)
_CSMS_16 = frozenset(
    {
        "CancelReservation",
        "CertificateSigned",
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "ClearChargingProfile",
        "DeleteCertificate",
        "ExtendedTriggerMessage",
        "GetCompositeSchedule",
        "GetConfiguration",
        "GetDiagnostics",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "InstallCertificate",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "SignedUpdateFirmware",
        "TriggerMessage",
        "UnlockConnector",
        "UpdateFirmware",
    }
)
_STATION_201 = frozenset(
    {
        "Authorize",
        "BootNotification",
        "ClearedChargingLimit",
        "FirmwareStatusNotification",
        "Get15118EVCertificate",
        "GetCertificateStatus",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "NotifyChargingLimit",
        "NotifyCustomerInformation",
        "NotifyDisplayMessages",
        "NotifyEVChargingNeeds",
        "NotifyEVChargingSchedule",
        "NotifyEvent",
        "NotifyMonitoringReport",
        "NotifyReport",
        "PublishFirmwareStatusNotification",
        "ReportChargingProfiles",
        "ReservationStatusUpdate",
        "SecurityEventNotification",
        "SignCertificate",
        "StatusNotification",
        "TransactionEvent",
    }
)
_CSMS_201 = frozenset(
    {
        "CancelReservation",
        "CertificateSigned",
        "ChangeAvailability",
        "ClearCache",
        "ClearChargingProfile",
        "ClearDisplayMessage",
        "ClearVariableMonitoring",
        "CostUpdated",
        "CustomerInformation",
        "DeleteCertificate",
        "GetBaseReport",
        "GetChargingProfiles",
        "GetCompositeSchedule",
        "GetDisplayMessages",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "GetMonitoringReport",
        "GetReport",
        "GetTransactionStatus",
        "GetVariables",
        "InstallCertificate",
        "PublishFirmware",
        "RequestStartTransaction",
        "RequestStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "SetDisplayMessage",
        "SetMonitoringBase",
        "SetMonitoringLevel",
        "SetNetworkProfile",
        "SetVariableMonitoring",
        "SetVariables",
        "TriggerMessage",
        "UnlockConnector",
        "UnpublishFirmware",
        "UpdateFirmware",
    }
)
_STATION_21 = _STATION_201 | frozenset(
    {
        "BatterySwap",
        "ClosePeriodicEventStream",
        "GetCertificateChainStatus",
        "NotifyDERAlarm",
        "NotifyDERStartStop",
        "NotifyPeriodicEventStream",
        "NotifyPriorityCharging",
        "NotifySettlement",
        "OpenPeriodicEventStream",
        "PullDynamicScheduleUpdate",
        "ReportDERControl",
        "VatNumberValidation",
    }
)
_CSMS_21 = _CSMS_201 | frozenset(
    {
        "AFRRSignal",
        "AdjustPeriodicEventStream",
        "ChangeTransactionTariff",
        "ClearDERControl",
        "ClearTariffs",
        "GetDERControl",
        "GetPeriodicEventStream",
        "GetTariffs",
        "NotifyAllowedEnergyTransfer",
        "NotifyWebPaymentStarted",
        "RequestBatterySwap",
        "SetDERControl",
        "SetDefaultTariff",
        "UpdateDynamicSchedule",
        "UsePriorityCharging",
    }
)


def _by_action(station: frozenset[str], csms: frozenset[str]) -> dict[str, Sender]:
    return (
        dict.fromkeys(sorted(station), Sender.STATION)
        | dict.fromkeys(sorted(csms), Sender.CSMS)
        | dict.fromkeys(sorted(_BOTH), Sender.BOTH)
    )


_SENDERS = {
    "1.6": _by_action(_STATION_16, _CSMS_16),
    "2.0.1": _by_action(_STATION_201, _CSMS_201),
    "2.1": _by_action(_STATION_21, _CSMS_21),
}
VERSIONS = tuple(_SENDERS)


def sender(version: str, action: str) -> Sender | None:
    """Who may send this action in this version; None if the version does not know it."""
    return _SENDERS[version].get(action)


_CANONICAL = {
    "FormatViolation": "FormationViolation",
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
}
_SPELLED_16 = {
    "NotImplemented": "NotImplemented",
    "NotSupported": "NotSupported",
    "InternalError": "InternalError",
    "ProtocolError": "ProtocolError",
    "SecurityError": "SecurityError",
    "FormationViolation": "FormationViolation",
    "PropertyConstraintViolation": "PropertyConstraintViolation",
    "OccurenceConstraintViolation": "OccurenceConstraintViolation",
    "TypeConstraintViolation": "TypeConstraintViolation",
    "GenericError": "GenericError",
    # 1.6 knows neither: "syntax incorrect" comes closest.
    "RpcFrameworkError": "FormationViolation",
    "MessageTypeNotSupported": "FormationViolation",
}
# 2.0.1 edition 3 and 2.1 corrected both of 1.6's odd names.
_SPELLED_2X = _SPELLED_16 | {
    "FormationViolation": "FormatViolation",
    "OccurenceConstraintViolation": "OccurrenceConstraintViolation",
    "RpcFrameworkError": "RpcFrameworkError",
    "MessageTypeNotSupported": "MessageTypeNotSupported",
}


def error_code(version: str, canonical: str) -> str:
    """How a version spells a code. Any spelling is understood; a code that OCPP does not know is GenericError."""
    spelled = _SPELLED_16 if version == "1.6" else _SPELLED_2X
    return spelled.get(_CANONICAL.get(canonical, canonical), "GenericError")


_PERMANENT = frozenset(
    {
        "NotImplemented",
        "NotSupported",
        "ProtocolError",
        "FormationViolation",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",
        "TypeConstraintViolation",
    }
)


def is_permanent(code: str) -> bool:
    """Whether the same message, sent again, would be refused again. Unknown codes count as GenericError."""
    return _CANONICAL.get(code, code) in _PERMANENT

"""How the simulated charger obeys OCPP 1.6 commands, built on ocpp's `ChargePoint`.

Each handler decides and returns the answer; what follows from it (a start, a stop, a status, a reset) is
left in the charger's outbox and so is sent after the answer. Requests were recorded and checked against the
schema before they come here. Another OCPP version is another module like this one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocpp.exceptions import NotImplementedError as NotImplementedHere
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import (
    Action,
    AvailabilityStatus,
    ChargingProfileStatus,
    ClearCacheStatus,
    ClearChargingProfileStatus,
    ConfigurationStatus,
    DataTransferStatus,
    GetCompositeScheduleStatus,
    LogStatus,
    MessageTrigger,
    RemoteStartStopStatus,
    ResetStatus,
    TriggerMessageStatus,
    UnlockStatus,
    UpdateFirmwareStatus,
    UpdateStatus,
)

from simulators.outbox import Errand
from simulators.wire import QUIET, Wire

if TYPE_CHECKING:
    from simulators.charger import Charger


@dataclass(slots=True)
class Setting:
    """A configuration key."""

    value: str
    is_readonly: bool = False
    is_number: bool = True


def configuration(connectors: int, meter_interval_s: float) -> dict[str, Setting]:
    """The keys of 1.6 that the simulated charger has."""
    keys = {
        "AuthorizeRemoteTxRequests": Setting("false", is_readonly=True, is_number=False),
        "ChargeProfileMaxStackLevel": Setting("8", is_readonly=True),
        "ChargingScheduleAllowedChargingRateUnit": Setting("Current", is_readonly=True, is_number=False),
        "ClockAlignedDataInterval": Setting("0"),
        "ConnectionTimeOut": Setting("60"),
        "GetConfigurationMaxKeys": Setting("50", is_readonly=True),
        "HeartbeatInterval": Setting("300"),
        "LocalAuthorizeOffline": Setting("true", is_number=False),
        "LocalPreAuthorize": Setting("false", is_number=False),
        "MeterValueSampleInterval": Setting(str(round(meter_interval_s))),
        "MeterValuesAlignedData": Setting("Energy.Active.Import.Register", is_number=False),
        "MeterValuesSampledData": Setting(
            "Energy.Active.Import.Register,Power.Active.Import,Current.Import", is_number=False
        ),
        "NumberOfConnectors": Setting(str(connectors), is_readonly=True),
        "ResetRetries": Setting("1"),
        "StopTransactionOnEVSideDisconnect": Setting("true", is_readonly=True, is_number=False),
        "StopTransactionOnInvalidId": Setting("true", is_number=False),
        "SupportedFeatureProfiles": Setting(
            "Core,FirmwareManagement,LocalAuthListManagement,SmartCharging,RemoteTrigger",
            is_readonly=True,
            is_number=False,
        ),
        "TransactionMessageAttempts": Setting("3"),
        "TransactionMessageRetryInterval": Setting("10"),
        "WebSocketPingInterval": Setting("0"),
    }
    return dict(sorted(keys.items()))


class Obedience16(ChargePoint):
    def __init__(self, charger: "Charger", wire: Wire) -> None:
        super().__init__(charger.identity, wire, logger=QUIET)
        self._charger = charger

    @on(Action.remote_start_transaction, skip_schema_validation=True)
    def on_remote_start(
        self, id_tag: str, connector_id: int | None = None, **_: object
    ) -> call_result.RemoteStartTransaction:
        sessions = self._charger.sessions
        outlet = sessions.free_outlet(connector_id)
        if outlet is None:
            return call_result.RemoteStartTransaction(RemoteStartStopStatus.rejected)
        # 1.6 §5.11 with AuthorizeRemoteTxRequests = false: no Authorize before the start.
        sessions.begin(outlet.connector, id_tag, is_remote=True)
        return call_result.RemoteStartTransaction(RemoteStartStopStatus.accepted)

    @on(Action.remote_stop_transaction, skip_schema_validation=True)
    def on_remote_stop(self, transaction_id: int, **_: object) -> call_result.RemoteStopTransaction:
        sessions = self._charger.sessions
        outlet = sessions.with_transaction(transaction_id)
        if outlet is None:
            return call_result.RemoteStopTransaction(RemoteStartStopStatus.rejected)
        sessions.end(outlet.connector, "Remote")
        return call_result.RemoteStopTransaction(RemoteStartStopStatus.accepted)

    @on(Action.unlock_connector, skip_schema_validation=True)
    def on_unlock_connector(self, connector_id: int, **_: object) -> call_result.UnlockConnector:
        outlet = self._charger.outlets.get(connector_id)
        if outlet is None:
            return call_result.UnlockConnector(UnlockStatus.not_supported)
        if outlet.session is not None:
            self._charger.sessions.end(connector_id, "UnlockCommand")
        return call_result.UnlockConnector(UnlockStatus.unlocked)

    @on(Action.change_availability, skip_schema_validation=True)
    def on_change_availability(
        self,
        connector_id: int,
        type: str,  # noqa: A002  (the name in the message)
        **_: object,
    ) -> call_result.ChangeAvailability:
        outlets = self._charger.outlets
        if connector_id not in (0, *outlets):
            return call_result.ChangeAvailability(AvailabilityStatus.rejected)
        chosen = list(outlets.values()) if connector_id == 0 else [outlets[connector_id]]
        done = [
            self._charger.sessions.set_operative(outlet.connector, operative=type == "Operative") for outlet in chosen
        ]
        return call_result.ChangeAvailability(
            AvailabilityStatus.accepted if all(done) else AvailabilityStatus.scheduled
        )

    @on(Action.get_configuration, skip_schema_validation=True)
    def on_get_configuration(self, key: list[str] | None = None, **_: object) -> call_result.GetConfiguration:
        known = self._charger.configuration
        wanted = key or list(known)
        return call_result.GetConfiguration(
            configuration_key=[
                {"key": name, "readonly": known[name].is_readonly, "value": known[name].value}
                for name in wanted
                if name in known
            ],
            unknown_key=[name for name in wanted if name not in known] or None,
        )

    @on(Action.change_configuration, skip_schema_validation=True)
    def on_change_configuration(self, key: str, value: str, **_: object) -> call_result.ChangeConfiguration:
        setting = self._charger.configuration.get(key)
        if setting is None:
            return call_result.ChangeConfiguration(ConfigurationStatus.not_supported)
        if setting.is_readonly or (setting.is_number and not value.isdecimal()):
            return call_result.ChangeConfiguration(ConfigurationStatus.rejected)
        self._charger.configure(key, value)
        return call_result.ChangeConfiguration(ConfigurationStatus.accepted)

    @on(Action.trigger_message, skip_schema_validation=True)
    def on_trigger_message(
        self, requested_message: str, connector_id: int | None = None, **_: object
    ) -> call_result.TriggerMessage:
        charger = self._charger
        if connector_id is not None and connector_id not in (0, *charger.outlets):
            return call_result.TriggerMessage(TriggerMessageStatus.rejected)
        every = [0, *charger.outlets] if connector_id is None else [connector_id]
        match requested_message:
            case MessageTrigger.boot_notification:
                charger.boot_again()
            case MessageTrigger.heartbeat:
                charger.sessions.put(Errand("Heartbeat", {}))
            case MessageTrigger.status_notification:
                for connector in every:
                    charger.sessions.send_status(connector)
            case MessageTrigger.meter_values:
                for connector in every:
                    if connector != 0:
                        charger.sessions.send_triggered_sample(connector)
            case MessageTrigger.firmware_status_notification | MessageTrigger.diagnostics_status_notification:
                charger.sessions.put(Errand(requested_message, {"status": "Idle"}))
            case _:
                return call_result.TriggerMessage(TriggerMessageStatus.not_implemented)
        return call_result.TriggerMessage(TriggerMessageStatus.accepted)

    @on(Action.reset, skip_schema_validation=True)
    def on_reset(self, type: str, **_: object) -> call_result.Reset:  # noqa: A002  (the name in the message)
        self._charger.reset(type)
        return call_result.Reset(ResetStatus.accepted)

    @on(Action.update_firmware, skip_schema_validation=True)
    def on_update_firmware(self, location: str, retrieve_date: str, **_: object) -> call_result.UpdateFirmware:
        self._charger.updating.ask(location, retrieve_date)
        return call_result.UpdateFirmware()

    @on(Action.signed_update_firmware, skip_schema_validation=True)
    def on_signed_update_firmware(
        self, request_id: int, firmware: dict[str, str], **_: object
    ) -> call_result.SignedUpdateFirmware:
        updating = self._charger.updating
        if not updating.habits.knows_signed:
            raise NotImplementedHere(description="SignedUpdateFirmware is not known here")
        updating.ask(firmware["location"], firmware["retrieve_date_time"], request_id)
        return call_result.SignedUpdateFirmware(UpdateFirmwareStatus.accepted)

    @on(Action.get_diagnostics, skip_schema_validation=True)
    def on_get_diagnostics(self, location: str, **others: object) -> call_result.GetDiagnostics:
        logs = self._charger.logs
        if not logs.habits.knows_diagnostics:
            raise NotImplementedHere(description="GetDiagnostics is not known here")
        logs.ask(location, None, {"location": location, **others})
        return call_result.GetDiagnostics(file_name=logs.habits.name or None)

    @on(Action.get_log, skip_schema_validation=True)
    def on_get_log(self, log: dict[str, str], request_id: int, log_type: str, **_: object) -> call_result.GetLog:
        logs = self._charger.logs
        if not logs.habits.knows_logs:
            raise NotImplementedHere(description="GetLog is not known here")
        location = log.get("remote_location") or log["remoteLocation"]
        logs.ask(location, request_id, {"log_type": log_type, **log})
        return call_result.GetLog(status=LogStatus.accepted, filename=logs.habits.name or None)

    @on(Action.clear_cache, skip_schema_validation=True)
    def on_clear_cache(self, **_: object) -> call_result.ClearCache:
        return call_result.ClearCache(ClearCacheStatus.accepted)

    @on(Action.data_transfer, skip_schema_validation=True)
    def on_data_transfer(self, **_: object) -> call_result.DataTransfer:
        return call_result.DataTransfer(DataTransferStatus.unknown_vendor_id)

    @on(Action.set_charging_profile, skip_schema_validation=True)
    def on_set_charging_profile(self, **_: object) -> call_result.SetChargingProfile:
        return call_result.SetChargingProfile(ChargingProfileStatus.accepted)

    @on(Action.clear_charging_profile, skip_schema_validation=True)
    def on_clear_charging_profile(self, **_: object) -> call_result.ClearChargingProfile:
        return call_result.ClearChargingProfile(ClearChargingProfileStatus.accepted)

    @on(Action.get_composite_schedule, skip_schema_validation=True)
    def on_get_composite_schedule(self, **_: object) -> call_result.GetCompositeSchedule:
        return call_result.GetCompositeSchedule(GetCompositeScheduleStatus.rejected)

    @on(Action.send_local_list, skip_schema_validation=True)
    def on_send_local_list(self, list_version: int, **_: object) -> call_result.SendLocalList:
        self._charger.local_list_version = list_version
        return call_result.SendLocalList(UpdateStatus.accepted)

    @on(Action.get_local_list_version, skip_schema_validation=True)
    def on_get_local_list_version(self, **_: object) -> call_result.GetLocalListVersion:
        return call_result.GetLocalListVersion(self._charger.local_list_version)

"""The right answers of an OCPP 1.6 cloud, built by ocpp's `ChargePoint`.

A CALL comes in through `route_message`, its answer leaves through the connection's `send`, which is
`Station.send`: there it is recorded, or lost, or replaced. ocpp turns keys into snake case and drops what it
does not know, so nothing is read from its arguments: the payload is looked up by message id, as received.
Schemas are checked where the CALL is recorded. Another OCPP version is another module like this one.
"""

from typing import TYPE_CHECKING

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action, DataTransferStatus, GenericStatus

from simulators.ledger import Received
from simulators.wire import QUIET, timestamp

if TYPE_CHECKING:
    from simulators.csms import Csms
    from simulators.station import Station


class Answers16(ChargePoint):
    def __init__(self, csms: "Csms", station: "Station") -> None:
        super().__init__(station.identity, station, logger=QUIET)
        self._csms = csms
        self._station = station

    @on(Action.boot_notification, skip_schema_validation=True)
    def on_boot_notification(self, **_: object) -> call_result.BootNotification:
        return call_result.BootNotification(
            current_time=timestamp(self._csms.utc_now()),
            interval=self._csms.boot_interval_s,
            status=self._csms.boot_status,
        )

    @on(Action.heartbeat, skip_schema_validation=True)
    def on_heartbeat(self, **_: object) -> call_result.Heartbeat:
        return call_result.Heartbeat(current_time=timestamp(self._csms.utc_now()))

    @on(Action.status_notification, skip_schema_validation=True)
    def on_status_notification(self, **_: object) -> call_result.StatusNotification:
        return call_result.StatusNotification()

    @on(Action.authorize, skip_schema_validation=True)
    def on_authorize(self, call_unique_id: str, **_: object) -> call_result.Authorize:
        return call_result.Authorize(id_tag_info=self._csms.verdict(self._received(call_unique_id)))

    @on(Action.start_transaction, skip_schema_validation=True)
    def on_start_transaction(self, call_unique_id: str, **_: object) -> call_result.StartTransaction:
        received = self._received(call_unique_id)
        prescribed = self._station.attended[call_unique_id].effects.answer_with
        wanted_id = None if prescribed is None else prescribed.payload.get("transactionId")
        transaction = self._csms.ledger.start(received, wanted_id)
        return call_result.StartTransaction(transaction_id=transaction.id, id_tag_info=self._csms.verdict(received))

    @on(Action.meter_values, skip_schema_validation=True)
    def on_meter_values(self, call_unique_id: str, **_: object) -> call_result.MeterValues:
        self._csms.ledger.add(self._received(call_unique_id))
        return call_result.MeterValues()

    @on(Action.stop_transaction, skip_schema_validation=True)
    def on_stop_transaction(self, call_unique_id: str, **_: object) -> call_result.StopTransaction:
        received = self._received(call_unique_id)
        self._csms.ledger.add(received)
        names_token = "idTag" in received.payload
        return call_result.StopTransaction(id_tag_info=self._csms.verdict(received) if names_token else None)

    @on(Action.data_transfer, skip_schema_validation=True)
    def on_data_transfer(self, **_: object) -> call_result.DataTransfer:
        return call_result.DataTransfer(status=DataTransferStatus.unknown_vendor_id)

    @on(Action.diagnostics_status_notification, skip_schema_validation=True)
    def on_diagnostics_status_notification(self, **_: object) -> call_result.DiagnosticsStatusNotification:
        return call_result.DiagnosticsStatusNotification()

    @on(Action.firmware_status_notification, skip_schema_validation=True)
    def on_firmware_status_notification(self, **_: object) -> call_result.FirmwareStatusNotification:
        return call_result.FirmwareStatusNotification()

    @on(Action.security_event_notification, skip_schema_validation=True)
    def on_security_event_notification(self, **_: object) -> call_result.SecurityEventNotification:
        return call_result.SecurityEventNotification()

    @on(Action.log_status_notification, skip_schema_validation=True)
    def on_log_status_notification(self, **_: object) -> call_result.LogStatusNotification:
        return call_result.LogStatusNotification()

    @on(Action.signed_firmware_status_notification, skip_schema_validation=True)
    def on_signed_firmware_status_notification(self, **_: object) -> call_result.SignedFirmwareStatusNotification:
        return call_result.SignedFirmwareStatusNotification()

    @on(Action.sign_certificate, skip_schema_validation=True)
    def on_sign_certificate(self, **_: object) -> call_result.SignCertificate:
        return call_result.SignCertificate(status=GenericStatus.accepted)

    def _received(self, message_id: str) -> Received:
        return self._station.attended[message_id].received

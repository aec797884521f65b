"""The charger's own messages in OCPP 1.6, built with ocpp's call classes. Another version is another module."""

from ocpp.charge_point import remove_nones, serialize_as_dict, snake_to_camel_case
from ocpp.v16 import call
from ocpp.v16.enums import ChargePointErrorCode, ChargePointStatus

from simulators.outlet import Outlet, Session
from simulators.wire import Payload

VERSION = "1.6"


def payload_of(request: object) -> Payload:
    """The JSON payload of one of ocpp's call classes."""
    return remove_nones(snake_to_camel_case(serialize_as_dict(request)))


def boot_notification(vendor: str, model: str, firmware: str, serial: str | None) -> Payload:
    return payload_of(
        call.BootNotification(
            charge_point_model=model,
            charge_point_vendor=vendor,
            charge_point_serial_number=serial,
            firmware_version=firmware,
        )
    )


def status_notification(connector: int, outlet: Outlet | None, at: str) -> Payload:
    """Connector 0, the charger itself, has no outlet."""
    return payload_of(
        call.StatusNotification(
            connector_id=connector,
            error_code=str(ChargePointErrorCode.no_error if outlet is None else outlet.error_code),
            status=str(ChargePointStatus.available if outlet is None else outlet.status),
            timestamp=at,
        )
    )


def start_transaction(session: Session, at: str) -> Payload:
    return payload_of(
        call.StartTransaction(
            connector_id=session.connector, id_tag=session.id_tag, meter_start=session.meter_start, timestamp=at
        )
    )


def stop_transaction(session: Session, at: str) -> Payload:
    """Rendered when the transaction id is known; the token only when its owner stopped."""
    return payload_of(
        call.StopTransaction(
            meter_stop=session.meter_stop,
            timestamp=at,
            transaction_id=session.transaction_id,
            reason=session.stop_reason,
            id_tag=session.id_tag if session.stop_reason == "Local" else None,
        )
    )


def meter_values(connector: int, value: Payload, session: Session | None) -> Payload:
    transaction_id = None if session is None else session.transaction_id
    return payload_of(call.MeterValues(connector_id=connector, meter_value=[value], transaction_id=transaction_id))

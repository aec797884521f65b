"""Requests to a charger, and what its answers say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.domain.ids import ChargerTransactionId, IdToken
from edge.jsontypes import JsonValue, Payload

NUMBER_OF_CONNECTORS = "NumberOfConnectors"
HEARTBEAT_INTERVAL = "HeartbeatInterval"
SAMPLE_INTERVAL = "MeterValueSampleInterval"


def remote_start(connector: int, token: IdToken) -> Payload:
    return {"connectorId": connector, "idTag": token}


def remote_start_at(connector: int, request: Payload) -> Payload:
    """A RemoteStartTransaction of the CSMS for the connector that was chosen, also when it named none."""
    return {**request, "connectorId": connector}


def remote_stop(transaction: ChargerTransactionId) -> Payload:
    return {"transactionId": int(transaction)}


def get_configuration(keys: Sequence[str]) -> Payload:
    return {"key": list(keys)}


def change_configuration(key: str, value: str) -> Payload:
    return {"key": key, "value": value}


def change_availability(connector: int, wish: str) -> Payload:
    return {"connectorId": connector, "type": wish}


def trigger_status(connector: int | None) -> Payload:
    """None: for all connectors."""
    if connector is None:
        return {"requestedMessage": "StatusNotification"}
    return {"requestedMessage": "StatusNotification", "connectorId": connector}


def status_of(answer: Payload, *known: str) -> str:
    """The `status` of an answer; one without a status, or with none of the `known` ones, counts as Rejected."""
    status = answer.get("status")
    return status if isinstance(status, str) and (not known or status in known) else "Rejected"


@dataclass(frozen=True, slots=True)
class Setting:
    """One configuration key as a charger reports it."""

    value: str | None
    is_readonly: bool


def settings(answer: Payload) -> dict[str, Setting]:
    """GetConfiguration.conf by key; what cannot be read is left out."""
    entries = answer.get("configurationKey")
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return {}
    found: dict[str, Setting] = {}
    for entry in entries:
        if isinstance(entry, Mapping) and isinstance(key := entry.get("key"), str):
            found[key] = Setting(_text(entry.get("value")), entry.get("readonly") is True)
    return found


def _text(value: JsonValue) -> str | None:
    if isinstance(value, bool) or value is None:
        return None
    return str(value) if isinstance(value, str | int | float) else None

"""We as one station towards the CSMS: what we say of ourselves, and what its requests and answers mean."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.dialects import timestamps, tolerances
from edge.dialects.v16 import aliases
from edge.domain.ids import CsmsTransactionId, IdToken, UpstreamConnector
from edge.domain.readings import UNKNOWN_PHASES, SiteReading
from edge.domain.routing import Target, ToConnector, ToStation, ToTransaction
from edge.jsontypes import JsonValue, Payload

CHARGER_OFFLINE = "charger offline"
SHORTEST_INTERVAL = 1.0
"""Seconds; 1.6 §6.4 has whole ones. Of a CSMS that says less, heartbeats would take the turns of all else."""


def boot(vendor: str, model: str, serial: str, firmware: str, meter: str | None) -> Payload:
    """BootNotification of the station, cut to the lengths of 1.6 §6.3; `meter` is the site meter's model."""
    content: dict[str, JsonValue] = {
        "chargePointVendor": vendor[:20],
        "chargePointModel": model[:20],
        "chargePointSerialNumber": serial[:25],
        "firmwareVersion": firmware[:50],
    }
    if meter is not None:
        content["meterType"] = meter[:25]
    return content


def boot_key(vendor: str, model: str, serial: str, firmware: str, meter: str | None) -> str:
    """What, when changed, makes a new BootNotification due on a reconnect."""
    return repr((vendor, model, serial, firmware, meter))


@dataclass(frozen=True, slots=True)
class Registration:
    status: str
    interval: float
    """Seconds between heartbeats, or until the next BootNotification."""
    current_time: datetime | None


def current_time(answer: Payload) -> datetime | None:
    """What time the CSMS says it is (Heartbeat.conf)."""
    return timestamps.parse(answer.get("currentTime"))


def registration(answer: Payload) -> Registration:
    """BootNotification.conf; an unreadable one counts as Pending."""
    status, interval = answer.get("status"), answer.get("interval")
    return Registration(
        status if isinstance(status, str) and status in {"Accepted", "Pending", "Rejected"} else "Pending",
        max(SHORTEST_INTERVAL, float(interval))
        if isinstance(interval, int | float) and not isinstance(interval, bool) and interval > 0
        else 60.0,
        timestamps.parse(answer.get("currentTime")),
    )


def unavailable(connector: int, now: datetime) -> Payload:
    """StatusNotification of a connector whose charger is away."""
    return {
        "connectorId": connector,
        "errorCode": "NoError",
        "info": CHARGER_OFFLINE,
        "status": "Unavailable",
        "timestamp": timestamps.text(now),
    }


def station_status(status: str, error_code: str, now: datetime, info: str | None) -> Payload:
    """StatusNotification of connector 0: Available, Unavailable or Faulted (1.6 §4.9)."""
    content: dict[str, JsonValue] = {
        "connectorId": 0,
        "errorCode": error_code,
        "status": status,
        "timestamp": timestamps.text(now),
    }
    if info is not None:
        content["info"] = info[:50]
    return content


CONNECTOR_STATUSES = frozenset(
    {
        "Available", "Preparing", "Charging", "SuspendedEVSE", "SuspendedEV", "Finishing", "Reserved", "Unavailable",
        "Faulted",
    }
)  # fmt: skip


def with_connector(payload: Payload, connector: UpstreamConnector) -> Payload:
    """A charger's StatusNotification under its upstream number, else as it is."""
    own = {key for key in payload if aliases.folded(key) == "connectorid"}  # however it spells it (`ids.py`)
    return {**payload, **dict.fromkeys({*own, "connectorId"}, int(connector))}


def reported_status(payload: Payload) -> tuple[str, str]:
    """Status and error code of a stored StatusNotification, which is as received: in the standard's spelling."""
    meant = tolerances.understood("1.6", "StatusNotification", payload)
    status, error = meant.get("status"), meant.get("errorCode")
    return (
        status if isinstance(status, str) and status in CONNECTOR_STATUSES else "Unavailable",
        error if isinstance(error, str) else "NoError",
    )


def stored_status(text: str) -> tuple[str, str]:
    """Status and error code of a StatusNotification that was stored as text."""
    found = json.loads(text)
    return reported_status(found) if isinstance(found, dict) else ("Unavailable", "NoError")


_PHASES = ("L1", "L2", "L3")


def site_meter_values(reading: SiteReading, at: datetime, context: str = "Sample.Clock") -> Payload | None:
    """MeterValues of connector 0: the site meter at the inlet, clock-aligned (1.6 §4.7, interface.md).

    None when the reading has none of the values that are reported.
    """
    sampled: list[JsonValue] = []

    def add(value: str, measurand: str, unit: str, phase: str | None = None) -> None:
        entry = {"value": value, "context": context, "location": "Inlet", "measurand": measurand, "unit": unit}
        sampled.append(entry if phase is None else {**entry, "phase": phase})

    if reading.energy_import_wh is not None:
        add(str(reading.energy_import_wh), "Energy.Active.Import.Register", "Wh")
    if reading.energy_export_wh is not None:
        add(str(reading.energy_export_wh), "Energy.Active.Export.Register", "Wh")
    if reading.power_w == UNKNOWN_PHASES and reading.power_total_w is not None:
        direction = "Import" if reading.power_total_w >= 0 else "Export"
        add(f"{abs(reading.power_total_w):.1f}", f"Power.Active.{direction}", "W")
    for phase, power, current in zip(_PHASES, reading.power_w, reading.current_a, strict=True):
        if power is not None:
            # Power has no sign at 1.6: what flows out of the site is Power.Active.Export (1.6 §7.31).
            add(f"{abs(power):.1f}", f"Power.Active.{'Import' if power >= 0 else 'Export'}", "W", phase)
        if current is not None:
            add(f"{current:.2f}", "Current.Import", "A", phase)
    if not sampled:
        return None  # 1.6 §7.33: at least one sampledValue
    return {"connectorId": 0, "meterValue": [{"timestamp": timestamps.text(at), "sampledValue": sampled}]}


def address(payload: Payload) -> Target:
    """Whom a request of the CSMS concerns."""
    connector, transaction = payload.get("connectorId"), payload.get("transactionId")
    if isinstance(transaction, int) and not isinstance(transaction, bool) and connector is None:
        return ToTransaction(CsmsTransactionId(str(transaction)))
    if isinstance(connector, int) and not isinstance(connector, bool) and connector != 0:
        return ToConnector(connector)
    return ToStation()


def names_connector(payload: Payload) -> bool:
    """Whether the request has a `connectorId` at all: absent and 0 differ in RemoteStartTransaction."""
    return payload.get("connectorId") is not None


def token_of(payload: Payload) -> IdToken:
    """The `idTag` of a request; the schema has made sure that it is there."""
    return IdToken(str(payload.get("idTag", "")))


def shown_token(payload: Payload) -> IdToken | None:
    """The `idTag` of a message that may have none."""
    token = payload.get("idTag")
    return IdToken(token) if isinstance(token, str) and token else None


def authorize(token: IdToken) -> Payload:
    return {"idTag": token}


AUTHORIZATION_STATUSES = frozenset({"Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"})


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """`idTagInfo` of an answer of the CSMS."""

    status: str
    expires_at: datetime | None
    parent: str | None


def token_info(answer: Payload) -> TokenInfo | None:
    """What the CSMS says of the token, None when it says nothing readable."""
    info = answer.get("idTagInfo")
    if not isinstance(info, Mapping) or not isinstance(status := info.get("status"), str):
        return None
    if status not in AUTHORIZATION_STATUSES:
        return None  # neither cached nor told to a charger
    parent = info.get("parentIdTag")
    return TokenInfo(status, timestamps.parse(info.get("expiryDate")), parent if isinstance(parent, str) else None)


def started_transaction(answer: Payload) -> CsmsTransactionId | None:
    """The id in StartTransaction.conf; 0 and negative ones are as good as any (ocpp-rules.md E.4)."""
    transaction = answer.get("transactionId")
    if isinstance(transaction, float) and transaction.is_integer():
        transaction = int(transaction)
    if isinstance(transaction, str) and transaction.isascii() and transaction.removeprefix("-").isdigit():
        transaction = int(transaction[:20])
    if isinstance(transaction, bool) or not isinstance(transaction, int):
        return None
    return CsmsTransactionId(str(transaction))


def status(value: str) -> Payload:
    return {"status": value}


def configuration(known: Sequence[tuple[str, bool, str | None]], unknown: Sequence[str]) -> Payload:
    """GetConfiguration.conf from (key, is read-only, value)."""
    answer: dict[str, JsonValue] = {}
    if known:
        answer["configurationKey"] = [
            {"key": key, "readonly": readonly} if value is None else {"key": key, "readonly": readonly, "value": value}
            for key, readonly, value in known
        ]
    if unknown:
        answer["unknownKey"] = list(unknown)
    return answer


def asked_keys(payload: Payload) -> list[str] | None:
    """The keys of a GetConfiguration, None for all."""
    keys = payload.get("key")
    if not isinstance(keys, Sequence) or isinstance(keys, str) or not keys:
        return None
    return [key for key in keys if isinstance(key, str)]


def requested_message(payload: Payload) -> str:
    """What a TriggerMessage asks for."""
    return member(payload, "requestedMessage")


def member(payload: Payload, name: str) -> str:
    """A string member of a request that the schema has checked."""
    value = payload.get(name)
    return value if isinstance(value, str) else ""

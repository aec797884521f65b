"""Requests to a charger, and what its answers say."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.domain.ids import ChargerTransactionId, IdToken
from edge.jsontypes import JsonValue, Payload
from edge.ocppj.frames import encode_json

NUMBER_OF_CONNECTORS = "NumberOfConnectors"
HEARTBEAT_INTERVAL = "HeartbeatInterval"
MOST_KEYS = "GetConfigurationMaxKeys"
SAMPLE_INTERVAL = "MeterValueSampleInterval"


def remote_start(connector: int, token: IdToken) -> Payload:
    return {"connectorId": connector, "idTag": token}


def remote_start_at(connector: int, request: Payload) -> Payload:
    """A RemoteStartTransaction of the CSMS for the connector that was chosen, also when it named none."""
    return {**request, "connectorId": connector}


def remote_stop(transaction: ChargerTransactionId) -> Payload:
    return {"transactionId": int(transaction)}


def get_configuration(keys: Sequence[str]) -> Payload:
    """None at all: for every key that it has."""
    return {"key": list(keys)} if keys else {}


def change_configuration(key: str, value: str) -> Payload:
    return {"key": key, "value": value}


def change_availability(connector: int, wish: str) -> Payload:
    return {"connectorId": connector, "type": wish}


def reset(*, is_hard: bool) -> Payload:
    return {"type": "Hard" if is_hard else "Soft"}


def unlock(connector: int) -> Payload:
    return {"connectorId": connector}


TRIGGERS = (
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "StatusNotification",
)
"""What a TriggerMessage may ask for (1.6 §7.34, MessageTrigger)."""


def trigger_named(written: str) -> str | None:
    """The message that a person means, however it is spelled; None: a charger cannot be asked for that."""
    return next((name for name in TRIGGERS if name.casefold() == written.casefold()), None)


def trigger(message: str, connector: int | None) -> Payload:
    """None: the charger as a whole, or all its connectors."""
    if connector is None:
        return {"requestedMessage": message}
    return {"requestedMessage": message, "connectorId": connector}


LONGEST_TOKEN = 20


def is_token(written: str) -> bool:
    """Whether it can stand in an `idTag`: 1.6 §7.28 allows 20 characters."""
    return 0 < len(written) <= LONGEST_TOKEN and written.isprintable()


def trigger_status(connector: int | None) -> Payload:
    """None: for all connectors."""
    if connector is None:
        return {"requestedMessage": "StatusNotification"}
    return {"requestedMessage": "StatusNotification", "connectorId": connector}


LONGEST_KEY, LONGEST_VALUE = 50, 500


def is_setting(key: str, value: str) -> bool:
    """Whether ChangeConfiguration can carry them (1.6 §6.7)."""
    return 0 < len(key) <= LONGEST_KEY and len(value) <= LONGEST_VALUE


ONLY_COMMISSIONED = frozenset({"authorizationkey", "securityprofile"})
"""Keys that a charger can lock itself out with: its password and the way in which it connects (C.6)."""


def is_secret(key: str) -> bool:
    """Whether its value must not be shown, not even where a charger tells it: AuthorizationKey is write-only."""
    folded = key.casefold()
    return "authorizationkey" in folded or "password" in folded or "passphrase" in folded


_WITHHELD = "not stored: a text that could not be read and may hold a secret"


def without_secrets(action: str, text: str) -> str:
    """A command or its answer as it may be stored: without the values of secrets, else as it is."""
    if action not in {"GetConfiguration", "ChangeConfiguration"}:
        return text
    try:
        frame = json.loads(text)
    except ValueError:
        return without_any_secret(text)  # a broken text that was repaired
    payload = frame[-1]
    if not isinstance(payload, dict):
        return text
    entries = payload.get("configurationKey", [payload])
    secrets = [entry for entry in entries if _has_secret(entry)] if isinstance(entries, list) else []
    for entry in secrets:
        entry["value"] = "***"
    return encode_json(frame) if secrets else text


def without_any_secret(text: str) -> str:
    """A text that nobody could read, as it may be stored: where its values begin and end is anybody's guess."""
    return _WITHHELD if is_secret("".join(character for character in text if character.isalpha())) else text


def _has_secret(entry: JsonValue) -> bool:
    return isinstance(entry, dict) and "value" in entry and isinstance(key := entry.get("key"), str) and is_secret(key)


def unknown_keys(answer: Payload) -> list[str]:
    """Keys of a GetConfiguration that the charger does not have."""
    keys = answer.get("unknownKey")
    if not isinstance(keys, Sequence) or isinstance(keys, str):
        return []
    return [key for key in keys if isinstance(key, str)]


def status_of(answer: Payload, *known: str) -> str:
    """The `status` of an answer; one without a status, or with none of the `known` ones, counts as Rejected."""
    status = answer.get("status")
    return status if isinstance(status, str) and (not known or status in known) else "Rejected"


def is_stop_accepted(action: str, answer: str) -> bool | None:
    """What a charger says to a remote stop, by the text of its answer; None: it was another command."""
    if action != "RemoteStopTransaction":
        return None
    try:
        frame = json.loads(answer)
    except ValueError:
        return None  # it had to be repaired
    return frame[0] == 3 and isinstance(frame[-1], Mapping) and status_of(frame[-1]) == "Accepted"


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

"""How a simulated charger answers the controller's commands. What follows from one is said after the answer."""

from typing import TYPE_CHECKING

from tests.simulation.truth import Obeyed, Payload

if TYPE_CHECKING:
    from tests.simulation.field_charger import FieldCharger

ACCEPTED, REJECTED = {"status": "Accepted"}, {"status": "Rejected"}


def note(now: float, charger: str, action: str, payload: Payload) -> Obeyed:
    return Obeyed(now, charger, action, payload)


def obey(charger: "FieldCharger", action: str, payload: Payload) -> Payload:
    """The answer."""
    match action:
        case "GetConfiguration":
            return _configuration(charger, payload.get("key", []))
        case "ChangeConfiguration":
            if payload["key"] not in charger.settings:
                return {"status": "NotSupported"}
            charger.settings[payload["key"]] = float(payload["value"])
            return ACCEPTED
        case "TriggerMessage":
            return _trigger(charger, payload["requestedMessage"], payload.get("connectorId"))
        case "RemoteStartTransaction":
            return _remote_start(charger, payload)
        case "RemoteStopTransaction":
            space = charger.parking.of_transaction(payload["transactionId"])
            if space is None or not charger.has_power:
                return REJECTED
            charger.parking.end(space, "Remote")
            return ACCEPTED
        case "ClearCache" | "Reset":
            return ACCEPTED
        case "ChangeAvailability":
            return ACCEPTED
        case "UnlockConnector":
            return {"status": "UnlockFailed"}
        case _:
            raise AssertionError(f"{charger.name} was asked for {action}")


def _configuration(charger: "FieldCharger", keys: list[str]) -> Payload:
    known = {name: str(int(value)) for name, value in charger.settings.items()}
    known |= {"NumberOfConnectors": str(len(charger.parking.spaces)), "GetConfigurationMaxKeys": "10"}
    return {
        "configurationKey": [{"key": key, "readonly": False, "value": known[key]} for key in keys if key in known],
        "unknownKey": [key for key in keys if key not in known],
    }


def _trigger(charger: "FieldCharger", message: str, connector: int | None) -> Payload:
    spaces = charger.parking.spaces
    every = [connector] if connector is not None else [0, *spaces]
    if any(one != 0 and one not in spaces for one in every):
        return REJECTED
    match message:
        case "StatusNotification":
            for one in every:
                charger.errand("StatusNotification", charger.parking.status(one))
        case "Heartbeat":
            charger.errand("Heartbeat", {})
        case "BootNotification":
            charger.boot_again()
        case "MeterValues":
            charging = [spaces[one] for one in every if one != 0 and spaces[one].session is not None]
            if not charging:
                return REJECTED
            for space in charging:
                charger.parking.sample(space)
        case _:
            return {"status": "NotImplemented"}
    return ACCEPTED


def _remote_start(charger: "FieldCharger", payload: Payload) -> Payload:
    space = charger.parking.spaces.get(payload["connectorId"])
    is_free = space is not None and space.session is None and space.status in ("Available", "Preparing")
    if not is_free or not charger.has_power or charger.is_closing:
        return REJECTED
    charger.start_remotely(space, payload["idTag"])
    return ACCEPTED

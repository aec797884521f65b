"""`edge get` and `edge set`: configuration keys of a charger, and of the station that we are."""

from collections.abc import Sequence

from edge.console.actions import text, told
from edge.console.errors import CommandError
from edge.console.operating import KeyAccess, KeyNow, Keys, NoSuchCharger, NoSuchKey
from edge.jsontypes import JsonValue, Payload

STATION = "the station"


class KeyActions:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(self, keys: KeyAccess) -> None:
        self._keys = keys

    async def get(self, args: Payload) -> Payload:
        charger, wanted = args.get("charger"), _keys(args)
        if charger is None:
            with told("--station"):
                return _document(None, self._keys.of_station(wanted))
        name = text(args, "charger")
        with told(name):
            try:
                return _document(name, await self._keys.of_charger(name, wanted))
            except NoSuchCharger as error:
                raise self._was_it_a_key(name, error) from error

    def _was_it_a_key(self, name: str, error: NoSuchCharger) -> Exception:
        """`edge get KEY` means a charger of that name: the station's keys need a word more."""
        try:
            self._keys.of_station([name])
        except NoSuchKey:
            return error
        return CommandError("no_such_charger", str(error), f"For the station's own key: edge get --station {name}")

    async def set(self, args: Payload) -> Payload:
        charger, key = args.get("charger"), text(args, "key")
        value = args.get("value")
        if not isinstance(value, str):
            raise CommandError("usage", "value is missing.")
        subject = STATION if charger is None else text(args, "charger")
        if charger is None:
            with told("--station"):
                status = await self._keys.set_in_station(key, value)
        else:
            with told(subject):
                once = args.get("once") is True
                status = await self._keys.set_in_charger(subject, key, value, once=once)
        if status not in {"Accepted", "RebootRequired"}:
            raise CommandError("rejected", *_refused(subject, key, value, status))
        return {"v": 1, "charger": charger, "key": key, "value": value, "status": status}


def _refused(subject: str, key: str, value: str, status: str) -> tuple[str, str]:
    """What and why not; what helps."""
    named = f"{subject[:1].upper()}{subject[1:]}"
    listing = "edge get" if subject == STATION else f"edge get {subject}"
    if status == "NotSupported":
        return f"{named} does not know the key {key}.", f"{listing} lists those that it has."
    return (
        f"{named} rejected {value!r} for {key}.",
        f"{listing} shows what it is now; a read-only key cannot be changed.",
    )


def _document(charger: str | None, keys: Keys) -> Payload:
    return {"v": 1, "charger": charger, "keys": [_key(one) for one in keys.found], "unknown": list(keys.unknown)}


def _key(one: KeyNow) -> JsonValue:
    return {
        "key": one.key,
        "value": one.value,
        "readonly": one.readonly,
        "source": one.source,
        "desired": one.desired,
    }


def _keys(args: Payload) -> list[str]:
    keys = args.get("keys", [])
    if not isinstance(keys, Sequence) or isinstance(keys, str):
        raise CommandError("usage", "keys is a list of names.")
    return [key for key in keys if isinstance(key, str) and key]

"""What a technician can set off: adopt, start, stop. They work without the uplink."""

import base64
import binascii

from edge.console.errors import CommandError
from edge.console.operating import NoSuchConnector, NotPending, Operating, PasswordNeeded
from edge.console.views_sessions import no_such_session, session_number
from edge.domain.ports import ChargerOffline
from edge.jsontypes import JsonValue, Payload


class Actions:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(self, operating: Operating) -> None:
        self._operating = operating

    async def adopt(self, args: Payload) -> Payload:
        charger, password = _text(args, "charger"), args.get("password")
        try:
            secret = None if password is None else base64.b64decode(str(password), validate=True)
        except binascii.Error as error:
            raise CommandError("usage", "The password is not base64.") from error
        try:
            numbers = await self._operating.adopt(charger, secret)
        except NotPending as error:
            raise CommandError("no_such_charger", str(error), "edge chargers lists the pending ones.") from error
        except PasswordNeeded as error:
            hint = f"edge adopt {charger} --password-file FILE, or set a password in the charger first."
            raise CommandError("rejected", str(error), hint) from error
        return {"v": 1, "charger": charger, "state": "online", "upstream_connectors": list(numbers)}

    async def start(self, args: Payload) -> Payload:
        charger = _text(args, "charger")
        try:
            connector, result = await self._operating.start(
                charger, _number(args.get("evse")), _number(args.get("connector")), _text(args, "token")
            )
        except NoSuchConnector as error:
            raise CommandError("no_such_connector", str(error), "edge chargers and edge status list them.") from error
        except ChargerOffline as error:
            raise CommandError("rejected", str(error), "edge chargers shows when it was last seen.") from error
        if result == "TimedOut":
            hint = f"edge sessions --charger {charger} shows whether it did."
            raise CommandError("timed_out", f"{charger} did not answer; it may still start.", hint)
        if result != "Accepted":
            hint = f"edge trace {charger} shows what it answered."
            raise CommandError("rejected", f"{charger} rejected the start on connector {connector}.", hint)
        return {"v": 1, "charger": charger, "connector": connector, "result": result}

    async def stop(self, args: Payload) -> Payload:
        number = session_number(args.get("session"))
        result = await self._operating.stop(number)
        if result is None:
            raise no_such_session(args.get("session"))
        if result == "Ended":
            raise CommandError("rejected", f"S{number} has ended already.", f"edge session S{number} shows when.")
        if result == "TimedOut":
            hint = f"edge session S{number} shows whether it did."
            raise CommandError("timed_out", f"The charger of S{number} did not answer; it may still stop.", hint)
        if result != "Accepted":
            raise CommandError("rejected", f"The charger did not stop S{number}.", f"edge trace S{number} shows why.")
        return {"v": 1, "session": f"S{number}", "result": result}


def _text(args: Payload, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise CommandError("usage", f"{name} is missing.")
    return value


def _number(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

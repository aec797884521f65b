"""What a technician can set off, at once and without the uplink: the chargers of the site, and what they are told."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

from edge.console.errors import CommandError
from edge.console.operating import (
    FleetKeeping,
    NoSuchCharger,
    NoSuchConnector,
    NoSuchKey,
    NotAllowed,
    Operating,
    WrongWord,
)
from edge.console.views_sessions import no_such_session, session_number
from edge.domain.ports import CallTimedOut, ChargerOffline, PeerRefused
from edge.jsontypes import JsonValue, Payload
from edge.store.db import CommitFailed


class FleetActions:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(self, fleet: FleetKeeping) -> None:
        self._fleet = fleet

    async def adopt(self, args: Payload) -> Payload:
        charger, password = text(args, "charger"), _password(args)
        with told(charger):
            done = await self._fleet.adopt(charger, password)
        return {
            "v": 1,
            "charger": charger,
            "state": "online" if done.is_online else "offline",
            "upstream_connectors": list(done.upstream_connectors),
            "acknowledged_serial": done.acknowledged_serial,
        }

    async def forget(self, args: Payload) -> Payload:
        charger = text(args, "charger")
        with told(charger):
            done = await self._fleet.forget(charger, force=args.get("force") is True)
        return {
            "v": 1,
            "charger": charger,
            "state": "retired",
            "upstream_connectors": list(done.upstream_connectors),
            "open_sessions": list(done.open_sessions),
            "note": done.note,
        }

    async def replace(self, args: Payload) -> Payload:
        old, new = text(args, "old"), text(args, "new")
        with told(new):
            done = await self._fleet.replace(old, new, _password(args), force=args.get("force") is True)
        moved: list[JsonValue] = [
            {"upstream_connector": one.upstream, "connector": one.connector} for one in done.moved
        ]
        return {
            "v": 1,
            "old": old,
            "new": new,
            "state": "online" if done.is_online else "offline",
            "moved": moved,
            "open_sessions": list(done.open_sessions),
            "note": done.note,
        }


class Actions:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(self, operating: Operating) -> None:
        self._operating = operating

    async def start(self, args: Payload) -> Payload:
        charger, evse, connector = _target(args)
        with told(charger):
            conn, result = await self._operating.start(charger, evse, connector, text(args, "token"))
        if result == "TimedOut":
            hint = f"edge sessions --charger {charger} shows whether it did."
            raise CommandError("timed_out", f"{charger} did not answer; it may still start.", hint)
        if result != "Accepted":
            raise CommandError("rejected", f"{charger} rejected the start on connector {conn}.", _traced(charger))
        return {"v": 1, "charger": charger, "connector": conn, "result": result}

    async def stop(self, args: Payload) -> Payload:
        number = session_number(args.get("session"))
        with told(f"S{number}"):
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

    async def reset(self, args: Payload) -> Payload:
        charger, is_hard = text(args, "charger"), args.get("hard") is True
        with told(charger):
            status = await self._operating.reset(charger, is_hard=is_hard, force=args.get("force") is True)
        if status != "Accepted":
            raise CommandError("rejected", f"{charger} rejected the reset.", _traced(charger))
        return {"v": 1, "charger": charger, "kind": "hard" if is_hard else "soft", "status": status}

    async def unlock(self, args: Payload) -> Payload:
        charger, evse, connector = _target(args)
        with told(charger):
            conn, status = await self._operating.unlock(charger, evse, connector)
        if status == "NotSupported":
            raise CommandError(
                "rejected", f"{charger} cannot unlock connector {conn} (NotSupported).", _traced(charger)
            )
        if status != "Unlocked":
            hint = "Is the plug under tension, or still charging? edge status shows it."
            raise CommandError("rejected", f"Connector {conn} of {charger} did not unlock ({status}).", hint)
        return {"v": 1, "charger": charger, "connector": conn, "status": status}

    async def availability(self, args: Payload) -> Payload:
        charger, evse, connector = _target(args)
        is_on = args.get("on") is True
        with told(charger):
            concerned, status = await self._operating.availability(charger, evse, connector, is_on=is_on)
        if status == "TimedOut":
            hint = "It is kept, and asked for again when the charger connects or boots the next time."
            raise CommandError("timed_out", f"{charger} did not answer.", hint)
        if status == "Rejected":
            word = "on" if is_on else "off"
            raise CommandError("rejected", f"{charger} refused to switch {word}.", _traced(charger))
        return {
            "v": 1,
            "charger": charger,
            "connectors": list(concerned),
            "available": is_on,
            "status": status,
        }

    async def trigger(self, args: Payload) -> Payload:
        charger, evse, connector = _target(args)
        with told(charger):
            message, conn, status = await self._operating.trigger(charger, evse, connector, text(args, "message"))
        if status != "Accepted":
            raise CommandError("rejected", f"{charger} does not send {message} now ({status}).", _traced(charger))
        return {"v": 1, "charger": charger, "connector": conn, "message": message, "status": status}


@contextmanager
def told(subject: str) -> Iterator[None]:
    """What goes wrong outside, as the person who gave the command is to be told."""
    try:
        yield
    except NoSuchCharger as error:
        raise CommandError("no_such_charger", str(error), "edge chargers lists them, the pending ones too.") from error
    except NoSuchConnector as error:
        raise CommandError("no_such_connector", str(error), "edge chargers and edge status list them.") from error
    except NoSuchKey as error:
        raise CommandError("no_such_key", str(error), f"edge get {subject} lists all.") from error
    except WrongWord as error:
        raise CommandError("usage", str(error), error.hint) from error
    except NotAllowed as error:
        raise CommandError("rejected", str(error), error.hint) from error
    except ChargerOffline as error:
        raise CommandError("rejected", _sentence(error), "edge chargers shows when it was last seen.") from error
    except CallTimedOut as error:
        raise CommandError(
            "timed_out", f"{subject}: {_sentence(error)}", f"It may still do it. {_traced(subject)}"
        ) from error
    except PeerRefused as error:
        raise CommandError("rejected", f"{subject} refused: {error}.", _traced(subject)) from error
    except CommitFailed as error:
        raise CommandError("failed", f"It could not be stored: {error}.", "Is the disk full? edge status") from error


def _sentence(error: Exception) -> str:
    words = str(error)
    return words if words.endswith(".") else f"{words}."


def _traced(subject: str) -> str:
    return f"edge trace {subject} shows what it answered."


def _password(args: Payload) -> bytes | None:
    password = args.get("password")
    try:
        return None if password is None else base64.b64decode(str(password), validate=True)
    except ValueError as error:
        raise CommandError("usage", "The password is not base64.") from error


def _target(args: Payload) -> tuple[str, int | None, int | None]:
    return text(args, "charger"), _number(args.get("evse")), _number(args.get("connector"))


def text(args: Payload, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise CommandError("usage", f"{name} is missing.")
    return value


def _number(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

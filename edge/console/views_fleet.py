"""What is to be told of the life of chargers: who took whose place, who says whose serial, and what a person must do.

Pure: chargers as the store and the running parts know them → members of `edge chargers`, alarms of `edge status`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from edge.console.live import Alarm, ChargerNow
from edge.domain.ids import ChargerNo
from edge.jsontypes import Payload
from edge.store.connectors import KNOWN, RETIRED, Charger


def of_known(charger: Charger, by_no: Mapping[ChargerNo, Charger]) -> Payload:
    """Beside the fixed members: the charger in its place, and the serial that it had before it said another one."""
    successor = None if charger.replaced_by is None else by_no.get(charger.replaced_by)
    return {
        "replaced_by": None if successor is None else successor.id,
        "serial_was": None if charger.other_serial is None else charger.own_serial,
        "same_serial_as": None,
    }


def of_pending(now: ChargerNow, known: Sequence[Charger]) -> Payload:
    """The same of a charger that nobody has adopted."""
    return {"replaced_by": None, "serial_was": None, "same_serial_as": same_serial(now, known)}


def same_serial(now: ChargerNow, known: Sequence[Charger]) -> str | None:
    """The known charger that says the same serial, if there is exactly one: the box itself under another identity.

    A serial says little without its make: where both tell vendor or model, these must be equal too.
    """
    if now.serial is None:
        return None
    same = [
        one.id
        for one in known
        if now.serial in {one.serial, one.own_serial}
        and one.id != now.id
        and one.replaced_by is None
        and _fit(now.vendor, one.vendor)
        and _fit(now.model, one.model)
    ]
    return same[0] if len(same) == 1 else None


def _fit(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one.casefold() == other.casefold()


def alarms(known: Sequence[Charger], listed: Collection[str], since: datetime) -> list[Alarm]:
    """What a person must settle; `listed`: the chargers of the configuration file, in force `since`."""
    by_no = {one.no: one for one in known}
    found = []
    for one in known:
        if one.state == KNOWN and one.other_serial is not None:
            at = since if one.other_serial_wall_ms is None else _time(one.other_serial_wall_ms)
            found.append(Alarm("serial_changed", one.id, at, _serial_words(one)))
        successor = None if one.replaced_by is None else by_no.get(one.replaced_by)
        if one.state == RETIRED and one.id in listed and successor is not None:
            message = (
                f"the configuration file lists {one.id}, whose place {successor.id} has taken: "
                f"write {successor.id} there instead"
            )
            found.append(Alarm("replaced_still_listed", one.id, since, message))
    return found


def _serial_words(one: Charger) -> str:
    what_now = "an exchanged box, or two devices with one identity"
    if one.serial == one.own_serial:
        what_now = f"now {one.own_serial} again: two devices with one identity, or a box on trial"
    return f"says serial {one.other_serial}, was {one.own_serial}; {what_now} (edge adopt {one.id} acknowledges it)"


def _time(wall_ms: int) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC)

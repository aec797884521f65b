"""What was done to chargers at a person's word, and what they are set to, as text."""

from edge.console.document import UNKNOWN, flag, items, parts, text
from edge.console.table import Column, Page, table, wrapped
from edge.jsontypes import Payload

_KEYS = (
    Column("KEY", gives=True),
    Column("VALUE", gives=True),
    Column("", gives=False),
    Column("SOURCE"),
)


def adopt(document: Payload, page: Page) -> list[str]:
    charger, state = text(document, "charger"), page.state(text(document, "state"))
    serial = document.get("acknowledged_serial")
    if serial is not None:
        return wrapped(f"{charger} is known by serial {serial} from now on; it is {state}.", 0, page)
    numbers = items(document, "upstream_connectors")
    known = "Its connectors get their numbers as soon as it has named them."
    if numbers:
        known = f"Upstream {'connector' if len(numbers) == 1 else 'connectors'}: {', '.join(map(str, numbers))}."
    return wrapped(f"{charger} is adopted and {state}. {known}", 0, page)


def forget(document: Payload, page: Page) -> list[str]:
    charger, numbers = text(document, "charger"), items(document, "upstream_connectors")
    words = f"{charger} is {page.state('retired')}."
    if numbers:
        verb = "is" if len(numbers) == 1 else "are"
        words += f" Upstream {_connectors(numbers)} {verb} Unavailable and kept for it."
    return [*wrapped(words, 0, page), *_still_open(document, charger, page), *_note(document, page)]


def replace(document: Payload, page: Page) -> list[str]:
    old, new = text(document, "old"), text(document, "new")
    rows = [
        [text(each, "upstream_connector"), f"{old}/{text(each, 'connector')}", f"{new}/{text(each, 'connector')}"]
        for each in parts(document, "moved")
    ]
    columns = [Column("#", right=True), Column("WAS", gives=True), Column("IS", gives=True)]
    state = page.state(text(document, "state"))
    return [
        *wrapped(f"{new} has taken the place of {old} and is {state}; {old} is {page.state('retired')}.", 0, page),
        "",
        *table(columns, rows, page),
        *_still_open(document, old, page),
        *_note(document, page),
    ]


def _connectors(numbers: object) -> str:
    listed = list(numbers) if isinstance(numbers, list | tuple) else []
    return f"{'connector' if len(listed) == 1 else 'connectors'} {', '.join(map(str, listed))}"


def _still_open(document: Payload, charger: str, page: Page) -> list[str]:
    sessions = [str(each) for each in items(document, "open_sessions")]
    if not sessions:
        return []
    many = "is still open and stays" if len(sessions) == 1 else "are still open and stay"
    return ["", *wrapped(f"{', '.join(sessions)} of {charger} {many} so until its stop comes.", 2, page)]


def _note(document: Payload, page: Page) -> list[str]:
    note = document.get("note")
    return [] if note is None else ["", *wrapped(f"{page.alarm('!')} {note}", 2, page)]


def reset(document: Payload, page: Page) -> list[str]:
    how = "resets now" if document.get("kind") == "hard" else "ends its sessions and resets"
    return wrapped(
        f"{text(document, 'charger')} {how} ({_status(document, page)}). It is back when edge chargers says online.",
        0,
        page,
    )


def unlock(document: Payload, page: Page) -> list[str]:
    return wrapped(f"{_place(document)} is unlocked ({_status(document, page)}).", 0, page)


def availability(document: Payload, page: Page) -> list[str]:
    is_on, status = flag(document, "available"), document.get("status")
    what = "in service" if is_on else "out of service"
    conns = [str(each) for each in items(document, "connectors")]
    name = text(document, "charger")
    where = f"{name}, connector{'' if len(conns) == 1 else 's'} {', '.join(conns)}" if conns else name
    if status == "Scheduled":
        words = f"{where}: {what} as soon as the session there has ended ({_status(document, page)})."
    elif status == "Kept":
        words = f"{name} is not connected: {what} when it is back. Until then this is kept."
    else:
        words = f"{where}: {what} ({_status(document, page)})."
    return wrapped(words, 0, page)


def trigger(document: Payload, page: Page) -> list[str]:
    words = f"{_place(document)} sends {text(document, 'message')} ({_status(document, page)})."
    return [*wrapped(words, 0, page), f"It appears in: edge trace {text(document, 'charger')}"]


def _place(document: Payload) -> str:
    conn = document.get("connector")
    return text(document, "charger") if conn is None else f"{text(document, 'charger')}, connector {conn},"


def _status(document: Payload, page: Page) -> str:
    return page.state(text(document, "status"))


def get(document: Payload, page: Page) -> list[str]:
    keys = parts(document, "keys")
    is_station = document.get("charger") is None
    rows = [
        [
            text(each, "key"),
            text(each, "value", UNKNOWN if each.get("value") is None else ""),
            "read-only" if flag(each, "readonly") else "",
            text(each, "source") if is_station else _wanted(each),
        ]
        for each in keys
    ]
    columns = _KEYS if is_station else (*_KEYS[:3], Column("KEPT", gives=True))
    lines = table(columns, rows, page) if rows else [f"{text(document, 'charger')} tells no keys."]
    unknown = [str(each) for each in items(document, "unknown")]
    return [*lines, "", *wrapped(f"Not known: {', '.join(unknown)}", 2, page)] if unknown else lines


def _wanted(each: Payload) -> str:
    """What a person wants a charger's key to be, where that is not what it is."""
    desired = each.get("desired")
    if desired is None:
        return ""
    return "yes" if desired == each.get("value") else f"as {desired}, not so now"


def set_(document: Payload, page: Page) -> list[str]:
    subject = text(document, "charger", "The station")
    words = f"{subject}: {text(document, 'key')} = {text(document, 'value', '(empty)')} ({_status(document, page)})."
    if document.get("status") != "RebootRequired":
        return wrapped(words, 0, page)
    return wrapped(f"{words} It counts after a restart of the charger: edge reset {subject}", 0, page)

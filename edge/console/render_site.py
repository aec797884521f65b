"""The site at a glance and its chargers, as text."""

from datetime import datetime

from edge.console.document import UNKNOWN, as_number, count, flag, instant, items, number, part, parts, text
from edge.console.table import Column, Page, labelled, table, wrapped
from edge.console.units import between, counted, duration, full_moment, moment, power, quantity
from edge.jsontypes import Payload

_CONNECTORS = (
    Column("#", right=True),
    Column("CONNECTOR", gives=True),
    Column("STATUS", is_state=True, gives=True),
    Column("SINCE"),
    Column("SESSION"),
    Column("ERROR", gives=True),
)
_METERS = (
    Column("METER", gives=True),
    Column("QUALITY", is_state=True),
    Column("AGE", right=True),
    Column("POWER", right=True),
    Column("L1", right=True),
    Column("L2", right=True),
    Column("L3", right=True),
)
_CHARGERS = (
    Column("CHARGER", gives=True),
    Column("STATE", is_state=True),
    Column("#"),
    Column("OCPP"),
    Column("MODEL", gives=True),
    Column("FIRMWARE", gives=True),
    Column("LAST SEEN"),
    Column("ADDRESS", gives=True),
)
_PECULIARITIES = (
    Column("RULE"),
    Column("KIND"),
    Column("TIMES", right=True),
    Column("ALL OF ITS MODEL", right=True),
)


def status(document: Payload, page: Page) -> list[str]:
    now, site = instant(document, "at"), part(document, "site")
    name = f"{text(site, 'name', text(site, 'id'))} ({text(site, 'id')})" if site.get("name") else text(site, "id")
    up = between(instant(document, "started_at"), now)
    return [
        *wrapped(f"{name} · edge {text(document, 'version')} · up {up} · {full_moment(now)}", 2, page),
        "",
        *labelled(_glance(document, now, page), page),
        *_alarms(document, now, page),
        *_connectors(document, now, page),
        *_meters(document, page),
    ]


def _glance(document: Payload, now: datetime | None, page: Page) -> list[tuple[str, str]]:
    link, chargers_, open_ = (
        part(document, "uplink"),
        part(document, "chargers"),
        count(part(document, "sessions"), "open"),
    )
    pairs = [
        ("uplink", uplink_words(link, now, page)),
        ("", f"identity {text(link, 'identity')} · OCPP {text(link, 'ocpp')}"),
    ]
    if link.get("last_error") is not None:
        pairs.append(("", f"last error: {text(link, 'last_error')}"))
    known, online, pending = (count(chargers_, each) for each in ("known", "online", "pending"))
    adopt = f" · {page.state('pending', f'{pending} pending')} (edge chargers)" if pending else ""
    enforced = flag(part(document, "limits"), "enforced")
    if _is_control_only(document):
        backlog, sessions = "not known", "not known"
        store = [("store", f"{page.state('control-only mode')}: nothing is stored")]
    else:
        backlog, sessions = backlog_words(part(document, "backlog"), page), f"{open_} open"
        store = _store(document, page)
    return [
        *pairs,
        ("backlog", backlog),
        ("chargers", f"{online} of {known} online{adopt}" if known or pending else "none yet"),
        ("sessions", sessions),
        *store,
        (
            "limits",
            "enforced" if enforced else f"{page.state('not enforced')}: circuits are read, but do not limit yet",
        ),
    ]


def _is_control_only(document: Payload) -> bool:
    return any(each.get("code") == "store_unusable" for each in parts(document, "alarms"))


def _store(document: Payload, page: Page) -> list[tuple[str, str]]:
    """How full it is; nothing when that is not known."""
    store = part(document, "store")
    used, limit = number(store, "bytes"), number(store, "limit_bytes")
    if used is None or not limit:
        return []
    level = text(store, "level")
    words = f"{used / 2**20:.0f} of {limit / 2**20:.0f} MB"
    thinned = count(store, "thinned")
    left_out = f" · {counted(thinned, 'meter value')} left out" if thinned else ""
    return [("store", f"{words if level == 'green' else f'{words} · {page.state(level)}'}{left_out}")]


def uplink_words(link: Payload, now: datetime | None, page: Page) -> str:
    since = instant(link, "since")
    words = f"{page.state(text(link, 'state'))} since {moment(since, now)} ({between(since, now)})"
    next_attempt = instant(link, "next_attempt_at")
    return words if next_attempt is None else f"{words} · next attempt in {between(now, next_attempt)}"


def backlog_words(backlog: Payload, page: Page) -> str:
    messages, parked = count(backlog, "messages"), count(backlog, "parked")
    words = counted(messages, "message") if messages else "empty"
    if messages:
        age, drain = number(backlog, "oldest_age_s"), number(backlog, "drain_s")
        words += f", the oldest {duration(age)} old" if age is not None else ""
        words += f" · drains in about {duration(drain)}" if drain is not None else " · time to drain not known"
    return f"{words} · {page.state('parked', f'{parked} parked')} (edge queue)" if parked else words


def _alarms(document: Payload, now: datetime | None, page: Page) -> list[str]:
    alarms = parts(document, "alarms")
    if not alarms:
        return ["alarms    none"]
    lines = ["", "ALARMS"]
    for each in alarms:
        since = moment(instant(each, "since"), now)
        words = f"{text(each, 'subject')}: {text(each, 'message')} ({text(each, 'code')}, since {since})"
        lines += wrapped(f"{page.alarm('!')} {words}", 2, page)
    return lines


def _connectors(document: Payload, now: datetime | None, page: Page) -> list[str]:
    connectors = parts(document, "connectors")
    if not connectors:
        if _is_control_only(document):
            return ["", "Connectors are not shown in control-only mode: their numbers are in the store."]
        return ["", "No connectors yet. Chargers appear here once they have named theirs."]
    rows = [
        [
            text(each, "upstream_connector"),
            connector_name(each),
            text(each, "status"),
            moment(instant(each, "status_at"), now),
            text(each, "session", ""),
            "" if each.get("error_code") == "NoError" else text(each, "error_code", ""),
        ]
        for each in connectors
    ]
    return ["", *table(_CONNECTORS, rows, page)]


def connector_name(each: Payload) -> str:
    """`CHARGER/EVSE/CONNECTOR`, as `edge start` takes it."""
    return f"{text(each, 'charger')}/{text(each, 'evse')}/{text(each, 'connector')}"


def _meters(document: Payload, page: Page) -> list[str]:
    meters = parts(document, "meters")
    if not meters:
        return ["", "No meters are configured."]
    rows = [
        [
            text(each, "id"),
            text(each, "quality"),
            duration(number(each, "age_s")),
            power(number(each, "power_w")),
            *(quantity(as_number(value), "A") for value in [*items(each, "current_a"), None, None, None][:3]),
        ]
        for each in meters
    ]
    return ["", *table(_METERS, rows, page)]


def chargers(document: Payload, page: Page) -> list[str]:
    now, fleet = instant(document, "at"), parts(document, "chargers")
    if not fleet:
        hint = "No chargers yet. Point one at ws://THIS-HOST:PORT/PATH/IDENTITY (see [[listener]])."
        return [*wrapped(hint, 0, page), *_failed_handshakes(document, now, page)]
    rows = [
        [
            text(each, "id"),
            text(each, "state"),
            ",".join(map(str, items(each, "upstream_connectors"))) or UNKNOWN,
            text(each, "ocpp"),
            _model(each),
            text(each, "firmware"),
            moment(instant(each, "last_seen"), now),
            text(each, "address"),
        ]
        for each in fleet
    ]
    return [*table(_CHARGERS, rows, page), *_remarks(fleet, page), *_failed_handshakes(document, now, page)]


def _model(each: Payload) -> str:
    return " ".join(text(each, name, "") for name in ("vendor", "model")).strip() or UNKNOWN


def _remarks(fleet: list[Payload], page: Page) -> list[str]:
    """Below the table: who was refused and why, and what to do about those that wait."""
    lines = [
        line
        for each in fleet
        if each.get("refused_because") is not None
        for line in wrapped(f"{text(each, 'id')} was refused: {text(each, 'refused_because')}", 2, page)
    ]
    lines += [line for each in fleet for line in wrapped(_identity_words(each), 2, page) if line]
    pending = [
        text(each, "id") for each in fleet if each.get("state") == "pending" and each.get("same_serial_as") is None
    ]
    if pending:
        waits = "waits" if len(pending) == 1 else "wait"
        lines += wrapped(f"{counted(len(pending), 'charger')} {waits} to be accepted: edge adopt {pending[0]}", 2, page)
    return ["", *lines] if lines else []


def _identity_words(each: Payload) -> str:
    """Who is whose box: what a person has to settle; empty when there is nothing."""
    name = text(each, "id")
    if (known := each.get("same_serial_as")) is not None:
        return f"{name} has the same serial as {known}: edge replace {known} {name} puts it in its place"
    if (was := each.get("serial_was")) is not None:
        serial = text(each, "serial")
        return f"{name} says serial {serial}, was {was}: edge adopt {name} if its box was exchanged"
    if (successor := each.get("replaced_by")) is not None:
        return f"{name} was replaced by {successor}"
    return ""


def _failed_handshakes(document: Payload, now: datetime | None, page: Page) -> list[str]:
    """Those who knock and get no further than TLS: they have told no identity, only their address."""
    lines = []
    for each in parts(document, "listeners"):
        causes, last = part(each, "failed_handshakes"), part(each, "last_failure")
        failed = counted(sum(count(causes, cause) for cause in causes), "handshake")
        if causes:
            when = moment(instant(last, "at"), now)
            words = f"{failed} failed at {text(each, 'address')}; the last one, {when} from {text(last, 'address')}"
            lines += wrapped(f"{words}: {text(last, 'message')}", 2, page)
    return ["", *lines] if lines else []


def charger(document: Payload, page: Page) -> list[str]:
    """The one charger that was asked for."""
    fleet, now = parts(document, "chargers"), instant(document, "at")
    if len(fleet) != 1:
        return chargers(document, page)
    each = fleet[0]
    seen, offset = instant(each, "last_seen"), number(each, "clock_offset_s")
    upstream = items(each, "upstream_connectors")
    numbers = f"connector{'' if len(upstream) == 1 else 's'} {', '.join(map(str, upstream))}"
    pairs = [
        ("charger", text(each, "id")),
        ("state", page.state(text(each, "state"))),
        ("model", _model(each)),
        ("serial", text(each, "serial")),
        ("firmware", text(each, "firmware")),
        ("OCPP", text(each, "ocpp")),
        ("address", text(each, "address")),
        ("last seen", f"{full_moment(seen)} ({between(seen, now)} ago)" if seen is not None else "never"),
        ("clock", _clock_words(offset)),
        ("upstream", numbers if upstream else "no connectors yet"),
    ]
    if refused := part(each, "refused_messages"):
        by_code = ", ".join(f"{code} {times}" for code, times in sorted(refused.items()))
        pairs.append(("refused", f"{by_code} (edge trace {text(each, 'id')} shows them)"))
    return [*labelled(pairs, page), *_peculiarities(each, page), *_remarks(fleet, page)]


def _peculiarities(each: Payload, page: Page) -> list[str]:
    """What had to be tolerated and what was found, with the figure of all chargers of the same kind beside it."""
    rows = [
        [rule, kind, str(times), text(part(each, f"model_{kind}s"), rule, "0")]
        for kind in ("tolerance", "finding")
        for rule, times in sorted(part(each, f"{kind}s").items())
    ]
    return ["", *table(_PECULIARITIES, rows, page)] if rows else []


def _clock_words(offset: float | None) -> str:
    if offset is None:
        return UNKNOWN
    if abs(offset) < 1:
        return "right"
    return f"{duration(abs(offset))} {'ahead' if offset > 0 else 'behind'}"

"""Charging sessions as text: the list, and one with its messages, intervals and notes."""

from datetime import datetime

from edge.console.document import UNKNOWN, count, flag, instant, items, number, part, parts, text
from edge.console.render_site import connector_name
from edge.console.table import Column, Page, labelled, table, wrapped
from edge.console.units import between, counted, duration, energy, full_moment, moment
from edge.jsontypes import Payload

_SESSIONS = (
    Column("ID"),
    Column("CONNECTOR", gives=True),
    Column("STARTED"),
    Column("LASTED", right=True),
    Column("ENERGY", right=True),
    Column("END", is_state=True, gives=True),
    Column("DELIVERY", is_state=True),
    Column("TOKEN", gives=True),
)
_MESSAGES = (
    Column("SEQ", right=True),
    Column("ACTION", gives=True),
    Column("OBSERVED"),
    Column("SENT"),
    Column("ANSWERED"),
    Column("TRIES", right=True),
    Column("STATE", is_state=True),
    Column("RESULT", gives=True),
)


SOURCES = {
    "list": "the local list",
    "cache": "the cache",
    "csms": "the cloud",
    "policy": "the offline policy",
    "operator": "the operator",
}


def sessions(document: Payload, page: Page, nothing: str = "No sessions yet.") -> list[str]:
    now, found = instant(document, "at"), parts(document, "sessions")
    if not found:
        return [nothing]
    rows = [
        [
            text(each, "session"),
            connector_name(each),
            moment(instant(each, "started_at"), now),
            _lasted(each, now),
            energy(number(each, "energy_wh")),
            _end(each),
            text(part(each, "delivery"), "state"),
            text(each, "id_token"),
        ]
        for each in found
    ]
    return table(_SESSIONS, rows, page)


def _lasted(each: Payload, now: datetime | None) -> str:
    return between(instant(each, "started_at"), instant(each, "ended_at") or now)


def _end(each: Payload) -> str:
    if each.get("state") == "open":
        return "open"
    reason = text(each, "end_reason", "ended")
    return f"concluded: {reason}" if each.get("end_cause") == "synthetic" else reason


def session(document: Payload, page: Page) -> list[str]:
    now, each = instant(document, "at"), part(document, "session")
    return [
        *labelled(_facts(each, now, page), page),
        *_messages(each, now, page),
        *_intervals(each, now, page),
        *_notes(each, now, page),
    ]


def _facts(each: Payload, now: datetime | None, page: Page) -> list[tuple[str, str]]:
    started = [full_moment(instant(each, "started_at"))]
    started += ["by a remote start"] if flag(each, "remote_start") else []
    started += ["while the uplink was offline"] if flag(each, "started_offline") else []
    idle = number(each, "idle_s")
    lasted = _lasted(each, now) + (f" · idle {duration(idle)}" if idle else "")
    upstream = text(each, "upstream_connector")
    charger_id, csms_id = text(each, "charger_transaction_id"), text(each, "csms_transaction_id", "not known yet")
    return [
        ("session", f"{text(each, 'session')} · {page.state(text(each, 'state'))}"),
        (
            "connector",
            f"{connector_name(each)} · upstream connector {upstream} · OCPP {text(each, 'ocpp')}",
        ),
        ("token", text(each, "id_token")),
        ("authorised", _authorization(part(each, "authorization"), now, page)),
        ("started", " · ".join(started)),
        ("ended", _ended(each)),
        ("lasted", lasted),
        ("energy", _energy(each)),
        *_certainty(each),
        ("transaction", f"{charger_id} at the charger · {csms_id} at the cloud"),
        ("delivery", _delivery(part(each, "delivery"), page)),
    ]


def _energy(each: Payload) -> str:
    used, first, last = (number(each, name) for name in ("energy_wh", "meter_start_wh", "meter_stop_wh"))
    if first is None and last is None:
        return energy(used)
    return f"{energy(used)} (register {energy(first)} → {energy(last)})"


def _certainty(each: Payload) -> list[tuple[str, str]]:
    """What is to be known of the energy beside its figure, and of what became of the session."""
    found, lines = part(each, "energy"), []
    if found.get("certain") is False:
        upper = number(found, "upper_wh")
        most = "" if upper is None else f"; {energy(upper)} at most"
        lines.append(("", f"not certain: {text(found, 'why_not')}{most}"))
    if found.get("said_stop_wh") is not None:
        said = f"the charger's stop has register {number(found, 'said_stop_wh')} Wh ({text(found, 'rule')})"
        lines.append(("put right", said))
    doubt = part(each, "doubt")
    if doubt and text(each, "state") == "open":
        lines.append(("doubt", f"it may have ended: {text(doubt, 'what')} ({text(doubt, 'entry')})"))
    for name, words in (("goes_on_from", "is the rest of"), ("goes_on_as", "goes on as")):
        if each.get(name) is not None:
            lines.append(("session", f"{words} {text(each, name)}"))
    return lines


def _authorization(decision: Payload, now: datetime | None, page: Page) -> str:
    if not decision:
        return UNKNOWN
    at = moment(instant(decision, "at"), now)
    source = SOURCES.get(text(decision, "source"), text(decision, "source"))
    words = f"{page.state(text(decision, 'decision'))} by {source} at {at}"
    if decision.get("csms_verdict") is None:
        return f"{words} · the cloud has not said"
    verdict_at = moment(instant(decision, "csms_verdict_at"), now)
    return f"{words} · the cloud said {text(decision, 'csms_verdict')} at {verdict_at}"


def _ended(each: Payload) -> str:
    if each.get("ended_at") is None:
        return "not yet"
    cause = {"charger": "reported by the charger", "synthetic": "concluded, the charger sent no stop"}
    words = [full_moment(instant(each, "ended_at")), text(each, "end_reason", "no reason given")]
    return " · ".join([*words, cause.get(text(each, "end_cause"), "cause not known")])


def _delivery(delivery: Payload, page: Page) -> str:
    words = [page.state(text(delivery, "state"))]
    dropped = count(delivery, "dropped")  # of those that are parked
    counts = [("acked", count(delivery, "acked")), ("waiting", count(delivery, "waiting"))]
    counts += [("parked", count(delivery, "parked") - dropped), ("dropped", dropped)]
    words += [f"{amount} {name}" for name, amount in counts if amount]
    return " · ".join(words)


def _messages(each: Payload, now: datetime | None, page: Page) -> list[str]:
    messages = parts(each, "messages")
    if not messages:
        return ["", "No messages are stored for this session."]
    rows = [
        [
            text(message, "seq"),
            text(message, "action"),
            moment(instant(message, "observed_at"), now),
            moment(instant(message, "sent_at"), now),
            moment(instant(message, "acked_at"), now),
            text(message, "attempts"),
            text(message, "state"),
            text(message, "result", ""),
        ]
        for message in messages
    ]
    return ["", *table(_MESSAGES, rows, page)]


def _intervals(each: Payload, now: datetime | None, page: Page) -> list[str]:
    intervals = parts(each, "intervals")
    if not intervals:
        return []
    columns = (
        Column("INTERVAL"),
        Column("FROM"),
        Column("UNTIL"),
        Column("LASTED", right=True),
        Column("BILLED", gives=True),
    )
    rows = []
    for interval in intervals:
        start, end = instant(interval, "from"), instant(interval, "until")
        rows.append(
            [
                text(interval, "kind").replace("_", " "),
                moment(start, now),
                moment(end, now) if end is not None else "goes on",
                between(start, end or now),
                "as idle" if flag(interval, "billable_idle") else "",
            ]
        )
    return ["", *table(columns, rows, page)]


def _notes(each: Payload, now: datetime | None, page: Page) -> list[str]:
    notes = parts(each, "notes")
    if not notes:
        return []
    lines = ["", f"NOTES ({counted(len(notes), 'note')})"]
    for note in notes:
        evidence = ", ".join(map(str, items(note, "evidence")))
        seen = f" (evidence: {evidence} of edge trace {text(each, 'session')})" if evidence else ""
        words = f"{moment(instant(note, 'at'), now)}  {text(note, 'rule')}: {text(note, 'message')}{seen}"
        lines += wrapped(words, 10, page)
    return lines

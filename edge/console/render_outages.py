"""Outages of the uplink as text: a line for each, then why it was, and what a person may have to look at."""

from datetime import datetime

from edge.console.document import UNKNOWN, count, instant, number, parts, text
from edge.console.render_sessions import SOURCES
from edge.console.table import Column, Page, table, wrapped
from edge.console.units import counted, duration, energy, moment
from edge.jsontypes import Payload

_OUTAGES = (
    Column("FROM"),
    Column("LASTED", right=True),
    Column("SESSIONS", right=True),
    Column("ENERGY", right=True),
    Column("TOKENS", right=True),
    Column("MESSAGES", right=True),
    Column("ANSWERED", right=True),
    Column("REPLAY", right=True, is_state=True),
)
_AGREED = "Accepted"


def outages(document: Payload, page: Page) -> list[str]:
    now, since, found = instant(document, "at"), instant(document, "since"), parts(document, "outages")
    if not found and since is None:
        return ["Nothing is known of the uplink yet."]
    if not found:
        return [f"No outage since {moment(since, now)}."]
    lines = [*table(_OUTAGES, [_row(each, now) for each in found], page), ""]
    for each in found:
        lines += _told(each, now, page)
    return lines


def _row(each: Payload, now: datetime | None) -> list[str]:
    return [
        moment(instant(each, "from"), now),
        duration(number(each, "lasted_s")),
        text(each, "sessions_served"),
        energy(number(each, "energy_wh")),
        str(len(parts(each, "tokens"))),
        text(each, "messages"),
        text(each, "acknowledged"),
        _replay(each),
    ]


def _replay(each: Payload) -> str:
    if number(each, "messages") is None:
        return UNKNOWN
    if count(each, "waiting"):
        return "waiting"
    if count(each, "parked"):
        return "parked"
    if not count(each, "acknowledged"):
        return ""
    return duration(number(each, "replay_s"))


def _told(each: Payload, now: datetime | None, page: Page) -> list[str]:
    """Until when and why, and what a person may have to look at."""
    until = instant(each, "until")
    end = page.state("offline", "goes on") if until is None else f"until {moment(until, now)}"
    words = f"{moment(instant(each, 'from'), now)}  {end}: {text(each, 'why', 'why is not known')}"
    if each.get("last_error") is not None:
        words += f"; then: {text(each, 'last_error')}"
    told = [_token(one, now) for one in parts(each, "tokens") if one.get("csms_verdict") not in {None, _AGREED}]
    unsaid = sum(one.get("csms_verdict") is None for one in parts(each, "tokens"))
    told += [f"{counted(unsaid, 'token')} let in without the cloud, which has not said anything yet"] if unsaid else []
    told += _not_there(each)
    lines = wrapped(words, 2, page)
    for one in told:
        lines += wrapped(f"  {one}", 4, page)
    return lines


def _token(one: Payload, now: datetime | None) -> str:
    source = SOURCES.get(text(one, "source"), text(one, "source"))
    verdict = f"the cloud said {text(one, 'csms_verdict')} at {moment(instant(one, 'csms_verdict_at'), now)}"
    return f"{text(one, 'session')}: token {text(one, 'id_token')} was let in by {source}; {verdict}"


def _not_there(each: Payload) -> list[str]:
    """What the cloud has not got of it."""
    waiting, parked, dropped = (count(each, name) for name in ("waiting", "parked", "dropped"))
    told = []
    if waiting:
        told.append(f"{counted(waiting, 'message')} to be answered yet")
    if parked:
        told.append(f"{counted(parked, 'message')} parked: edge queue shows why")
    if dropped:
        told.append(f"{counted(dropped, 'message')} dropped by an operator: the cloud never gets that")
    return told

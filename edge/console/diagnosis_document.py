"""Findings as the JSON of `edge diagnose`: the five answers, what was found, and which make has the most of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge.console import sightings
from edge.console.live import ChargerNow
from edge.console.sightings import Read
from edge.console.times import time
from edge.console.units import counted, offset
from edge.console.verdict import verdict
from edge.domain import diagnosis
from edge.domain.advice import ONLY_COUNTED, judgement, meaning
from edge.domain.diagnosis import Finding, MakeRank, Present, Recurrence, Share, Sighting, Tie
from edge.domain.ids import Make, TransactionNo, session_name
from edge.domain.obedience import Fate
from edge.jsontypes import JsonValue, Payload
from edge.store.exchange import Exchange
from edge.store.report import Session

COMMANDS_AT_MOST = 50
HAPPENED_AT_MOST = 12
NAMES_AT_MOST = 20


@dataclass(slots=True)
class Site:
    """What all chargers that were looked at tell."""

    of_station: Read
    read: dict[str, Read] = field(default_factory=dict)
    makes: dict[str, Make] = field(default_factory=dict)
    parked: list[Sighting] = field(default_factory=list)
    is_cut: bool = False

    def sightings(self) -> list[Sighting]:
        everything = (*self.read.values(), self.of_station)
        return [*(one for read in everything for one in read.sightings), *self.parked]

    def present(self) -> list[Present]:
        return [one for read in self.read.values() for one in read.present]


@dataclass(frozen=True, slots=True)
class About:
    """What the question is about, and what was seen of it."""

    session: Session | None
    charger: str | None
    sightings: Sequence[Sighting]
    fates: Sequence[Fate]
    read: Sequence[Read]
    rows: Sequence[Exchange] = ()
    is_cut: bool = False


def document(about: About, site: Site, there: Mapping[str, ChargerNow], online: Collection[str]) -> Payload:
    """Without `v`, `at` and `since`."""
    present = site.present()
    findings = diagnosis.diagnose(about.sightings, site.sightings(), present)
    top = findings[0] if findings else None
    failed_at = None if top is None else top.first_at if about.session is not None else top.last_at
    makes = [] if about.charger is not None else diagnosis.rank_makes(findings, present)
    make = site.makes.get(about.charger or "", Make())
    commands = sorted(about.fates, key=lambda one: (one.at, one.entries))
    return {
        "subject": {
            "session": None if about.session is None else session_name(about.session.tx_no),
            "charger": about.charger,
            **_make(make),
        },
        "answers": {
            "what_happened": _happened(about, site, findings, online),
            "when_it_failed": None if failed_at is None else time(failed_at),
            "commands": [_command(one) for one in commands[-COMMANDS_AT_MOST:]],
            "recurring": None if top is None else _recurring(top.recurrence),
            "tied_to": None if top is None else _tied(top.tied_to),
        },
        "findings": [_finding(one) for one in findings],
        "makes": [_rank(one) for one in makes],
        "counted": [] if about.session is not None else list(_counted(there.values(), about.charger)),
        "truncated": site.is_cut or about.is_cut or len(commands) > COMMANDS_AT_MOST,
    }


def _make(make: Make) -> Payload:
    return {"vendor": make.vendor, "model": make.model, "firmware": make.firmware}


def _command(one: Fate) -> Payload:
    return {
        "action": one.action,
        "at": time(one.at),
        "outcome": str(one.outcome),
        "why": one.why,
        "session": one.session,
        "entries": list(one.entries),
    }


def _finding(one: Finding) -> Payload:
    return {
        "rule": one.rule,
        "cause": str(one.cause),
        "weight": one.weight,
        "what": one.what,
        "first_at": time(one.first_at),
        "last_at": time(one.last_at),
        "times": one.times,
        "sessions": list(one.sessions[-NAMES_AT_MOST:]),
        "session_count": len(one.sessions),
        "chargers": list(one.chargers[-NAMES_AT_MOST:]),
        "charger_count": len(one.chargers),
        "recurring": _recurring(one.recurrence),
        "tied_to": _tied(one.tied_to),
        "makes": [_share(each) for each in one.makes[:NAMES_AT_MOST]],
        "advice": _named(one.advice, one.chargers),
        "entries": list(one.evidence),
    }


def _named(advice: str, chargers: Sequence[str]) -> str:
    """Ready to be typed, if there is only one charger that it can mean."""
    return advice.replace("CHARGER", chargers[0]) if len(chargers) == 1 else advice


def _recurring(one: Recurrence | None) -> Payload | None:
    if one is None:
        return None
    return {"times": one.times, "sessions": one.sessions, "chargers": one.chargers, "since": time(one.since)}


def _tied(one: Tie | None) -> Payload | None:
    if one is None:
        return None
    return {
        "kind": str(one.common),
        **_make(one.make),
        "charger": one.charger,
        "seen_on": one.seen,
        "of": one.of,
        "others": one.others,
    }


def _share(one: Share) -> Payload:
    return {**_make(one.make), "seen_on": one.seen, "of": one.of}


def _rank(one: MakeRank) -> Payload:
    return {**_make(one.make), "chargers": one.chargers, "affected": one.affected, "rules": list(one.rules)}


def _counted(there: Iterable[ChargerNow], charger: str | None) -> Iterable[Payload]:
    """Rules that leave nothing in the journal, from the counters of the running daemon."""
    for one in there:
        if one.is_pending or charger not in {None, one.id}:
            continue
        for rule, times in sorted((dict(one.tolerances) | dict(one.findings)).items()):
            judged = judgement(rule)
            if rule in ONLY_COUNTED and judged is not None:
                yield {
                    "charger": one.id,
                    "rule": rule,
                    "cause": str(judged.cause),
                    "weight": int(judged.weight),
                    "what": meaning(rule),
                    "times": times,
                    "advice": _named(judged.advice, (one.id,)),
                }


# --- what happened


def _happened(about: About, site: Site, findings: Sequence[Finding], online: Collection[str]) -> list[JsonValue]:
    if about.session is not None:
        return list(_story(about.session, about, online))
    if about.charger is not None:
        read = about.read[0]
        did = f"{counted(len(read.began), 'session')} begun, {counted(read.boots, 'boot')}"
        is_there = "connected" if about.charger in online else "not connected"
        lost = f"{counted(read.losses, 'connection')} lost"
        return [f"{about.charger} is {is_there}; in the time looked at: {did}, {lost}."]
    affected = {name for one in findings for name in one.chargers}
    words = f"{len(affected)} of {counted(len(site.read), 'charger')}"
    return [f"{words} {'shows' if len(affected) == 1 else 'show'} something; {counted(len(findings), 'finding')}."]


def _story(session: Session, about: About, online: Collection[str]) -> Iterable[str]:
    """The session in a few lines, each with the time since its start and what shows it."""
    name = session_name(session.tx_no)
    read = about.read[0]
    start = read.began.get(name)
    begin_ms = session.started_wall_ms or 0 if start is None else start.at_wall_ms
    begin = sightings.at(begin_ms)
    offline = ", while the uplink was offline" if session.started_offline else ""
    by = " by a remote start" if session.remote_start else ""
    who = session.charger if session.continues is None else "The controller, as the rest of "
    who += "" if session.continues is None else session_name(TransactionNo(session.continues))
    place = f"connector {session.connector}" if session.connector is not None else "a connector that is not known"
    told = "" if session.decision is None else f"; the driver was told {session.decision}"
    yield f"{offset(begin, begin)} {who} began it on {place}{by}{offline}{told} · {session.begin_seq}"
    weightiest = sorted(about.sightings, key=_weight, reverse=True)[:HAPPENED_AT_MOST]
    for one in sorted(weightiest, key=lambda one: (one.at, one.evidence)):
        words = diagnosis.in_words(one).removesuffix(".")
        yield f"{offset(begin, one.at)} {words} · {', '.join(one.evidence)}"
    if len(about.sightings) > HAPPENED_AT_MOST:
        yield f"… and {len(about.sightings) - HAPPENED_AT_MOST} more, all of them in edge trace {name}"
    stop = read.ended.get(name)
    if stop is not None:
        yield f"{offset(begin, sightings.at(stop.at_wall_ms))} the charger's stop came · {stop.seq}"
    elif session.state == "open":
        yield f"{session.charger} is {'connected' if session.charger in online else 'not connected'}"
    yield from verdict(session)


def _weight(one: Sighting) -> int:
    judged = judgement(one.rule, one.about)
    return 0 if judged is None else int(judged.weight)

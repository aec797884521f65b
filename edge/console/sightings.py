"""Rows of the journal → what was found in them, for `edge diagnose`.

One `Read` is what the rows of one charger (or of the station) tell. `views_diagnosis.py` fetches the rows,
`edge/domain/diagnosis.py` ranks what was found.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from edge.dialects import tolerances
from edge.dialects.v16 import observe, outcomes
from edge.domain import obedience
from edge.domain.advice import Sign, judgement
from edge.domain.diagnosis import CHARGING, Present, Sighting
from edge.domain.events import ChargerBooted
from edge.domain.ids import Make, TransactionNo, session_name
from edge.domain.obedience import Asked, Began, Fate, Linked, Outcome, Reply, Seen, Sent
from edge.jsontypes import JsonValue, Payload
from edge.store import exchange, report
from edge.store.diagnosis import ParkedMessage
from edge.store.exchange import STATION, Exchange, Kind
from edge.store.report import Session
from edge.store.transactions import FIRST_STREAM

ORDERLY = frozenset({"code 1000", "code 1001"})
"""A connection that somebody ended on purpose: the charger, a newer connection, or our own end."""
BOOT, START, STOP = "BootNotification", "StartTransaction", "StopTransaction"
_SIGN_OF = {
    Outcome.NOT_SENT: Sign.COMMAND_NOT_SENT,
    Outcome.UNANSWERED: Sign.COMMAND_UNANSWERED,
    Outcome.REFUSED: Sign.COMMAND_REFUSED,
    Outcome.NOT_OBEYED: Sign.COMMAND_NOT_OBEYED,
}


@dataclass(slots=True)
class Read:
    """What the rows of one charger tell."""

    charger: str | None
    sightings: list[Sighting] = field(default_factory=list)
    present: list[Present] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    sessions: set[int] = field(default_factory=set)
    """Numbers of those that the rows name."""
    boots: int = 0
    losses: int = 0
    closed: Exchange | None = None
    """The row that says that its connection ended, if that is the last word."""
    began: dict[str, Exchange] = field(default_factory=dict)
    ended: dict[str, Exchange] = field(default_factory=dict)
    """By session, its own start and its own stop."""


def read(
    rows: Sequence[Exchange], charger: str | None, make: Make, connectors: Mapping[int, int], now: datetime
) -> Read:
    """`make`: as its last boot said; `connectors`: its own numbers by ours."""
    found = Read(charger)
    makes = _Makes(rows, make)
    conversation = _Conversation(rows, connectors)
    for row in rows:
        if row.tx_no is not None and row.tx_no < FIRST_STREAM:
            found.sessions.add(int(row.tx_no))
        name = session_of(row)
        if row.kind is Kind.CHARGER_CALL and _refused(row) is None:
            found.boots += row.action == BOOT
            if name is not None and row.action == START:
                found.began.setdefault(name, row)
            elif name is not None and row.action == STOP:
                found.ended[name] = row
        found.sightings += [_with_make(one, makes.of(row.seq)) for one in _of_row(row, charger)]
    losses = list(_losses(rows, charger))
    found.losses = len(losses)
    links = [row for row in rows if _link(row) is not None]
    found.closed = links[-1] if links and not _is_open(links[-1]) else None
    found.fates = obedience.fates(conversation.seen(found.ended), now)
    for one in (*losses, *(_of_fate(fate, charger) for fate in found.fates)):
        found.sightings.append(_with_make(one, makes.of(int(one.evidence[0]))))
    if charger is not None and rows:
        found.present = [Present(charger, one, frozenset(did)) for one, did in makes.did(rows).items()]
    return found


def session_of(row: Exchange) -> str | None:
    """Its session; values outside of one have a number, too, but it is no session's."""
    return None if row.tx_no is None or row.tx_no >= FIRST_STREAM else session_name(row.tx_no)


def at(wall_ms: int) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC)


def _with_make(one: Sighting, make: Make) -> Sighting:
    return replace(one, make=make)


class _Makes:
    """What a charger was at each row: its firmware may have changed meanwhile."""

    def __init__(self, rows: Iterable[Exchange], make: Make) -> None:
        self._boots: list[tuple[int, Make]] = []
        for row in rows:
            if row.kind is Kind.CHARGER_CALL and row.action == BOOT:
                event = observe.observe(BOOT, tolerances.understood("1.6", BOOT, exchange.payload(row)))
                if isinstance(event, ChargerBooted):
                    self._boots.append((row.seq, Make.said(event.vendor, event.model, event.firmware)))
        # Before the first boot that is seen it was, as far as anybody knows, the same.
        self._first = self._boots[0][1] if self._boots else make

    def of(self, seq: int) -> Make:
        return next((make for booted, make in reversed(self._boots) if booted <= seq), self._first)

    def did(self, rows: Iterable[Exchange]) -> dict[Make, set[str]]:
        """By make, what it did."""
        by_make: dict[Make, set[str]] = {}
        for row in rows:
            did = by_make.setdefault(self.of(row.seq), set())
            if row.kind is Kind.OUR_CALL and row.action is not None:
                did.add(row.action)
            elif session_of(row) is not None:
                did.add(CHARGING)
        return by_make


# --- single rows


def _of_row(row: Exchange, charger: str | None) -> Iterator[Sighting]:
    name, when = session_of(row), at(row.at_wall_ms)
    refusal = _refused(row)
    entries = (str(row.seq),) if refusal is None else (str(row.seq), f"{row.seq}a")
    if row.kind is Kind.CSMS_ANSWER:
        why = outcomes.refusal(row.text)
        if why is not None:
            caused = () if row.cause_seq is None else (str(row.cause_seq),)
            yield Sighting(Sign.CSMS_REFUSED, when, charger, (*caused, f"{row.seq}a"), name, row.action or "", why)
        return
    is_judged = False
    for note in _notes(row):
        rule, message = str(note.get("rule", "")), str(note.get("message", ""))
        if rule and judgement(rule) is not None:
            is_judged = True
            yield Sighting(rule, when, charger, entries, name, detail=message)
    if refusal is not None and not is_judged:
        yield Sighting(Sign.CALL_REFUSED, when, charger, entries, name, row.action or "", refusal)


def _refused(row: Exchange) -> str | None:
    """With which words a CALL of the charger was refused."""
    return outcomes.refusal(row.answer) if row.kind is Kind.CHARGER_CALL else None


def _notes(row: Exchange) -> list[Payload]:
    """The remarks of a row that may have been damaged on the disk."""
    try:
        found: object = report.notes_of(row)
    except ValueError:
        return []
    return [note for note in found if isinstance(note, dict)] if isinstance(found, list) else []


def _said(row: Exchange) -> dict[str, JsonValue]:
    """One of our own texts."""
    try:
        found = json.loads(row.text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _link(row: Exchange) -> tuple[str, str] | None:
    """("opened" or "closed", detail) of a charger's connection."""
    if row.kind is not Kind.LINK or row.peer == STATION:
        return None
    said = _said(row)
    return (str(said["connection"]), str(said.get("detail", ""))) if "connection" in said else None


def _is_open(row: Exchange) -> bool:
    link = _link(row)
    return link is not None and link[0] == "opened"


def _losses(rows: Sequence[Exchange], charger: str | None) -> Iterator[Sighting]:
    """Connections that broke, each with how long the charger was away."""
    links = [(row, link) for row in rows if (link := _link(row)) is not None]
    for index, (row, (event, detail)) in enumerate(links):
        if event != "closed" or detail in ORDERLY:
            continue
        back = next((later for later, (what, _) in links[index + 1 :] if what == "opened"), None)
        away_ms = None if back is None else max(0, back.at_wall_ms - row.at_wall_ms)
        away = "not back yet" if away_ms is None else f"back after {away_ms / 1000:.0f} s"
        entries = (str(row.seq),) if back is None else (str(row.seq), str(back.seq))
        yield Sighting(
            Sign.CONNECTION_LOST, at(row.at_wall_ms), charger, entries, session_of(row), "", f"{detail}, {away}"
        )


# --- commands


class _Conversation:
    """Commands, their answers, and what followed them."""

    def __init__(self, rows: Sequence[Exchange], connectors: Mapping[int, int]) -> None:
        self._rows = rows
        self._connectors = connectors
        self._late = {
            row.cause_seq: row.answer
            for row in rows
            if row.kind is Kind.DECISION and row.message_id is not None and row.answer is not None
        }

    def seen(self, ended: Mapping[str, Exchange]) -> Seen:
        return Seen(
            asked=[asked for row in self._rows if (asked := self._asked(row)) is not None],
            sent=[self._sent(row) for row in self._rows if row.kind is Kind.OUR_CALL and not _is_our_question(row)],
            began=[self._began(row) for row in self._rows if row.kind is Kind.CHARGER_CALL and row.action == START],
            stopped={name: at(row.at_wall_ms) for name, row in ended.items()},
            links=[Linked(at(row.at_wall_ms), _is_open(row)) for row in self._rows if _link(row) is not None],
        )

    def _asked(self, row: Exchange) -> Asked | None:
        when, connector = at(row.at_wall_ms), self._connectors.get(row.connector_no or 0)
        if row.kind is Kind.CSMS_CALL and row.action is not None:
            answer = row.answer if row.answer is not None else self._late.get(row.seq)
            reply = None if answer is None else outcomes.reply(row.action, answer)
            return Asked(row.seq, when, row.action, "the cloud", row.peer != STATION, reply, session_of(row), connector)
        if row.kind is Kind.DECISION and row.message_id is None:
            action = outcomes.ordered(_said(row).get("operator"))
            if action is not None:
                return Asked(row.seq, when, action, "the operator", session=session_of(row), connector=connector)
        return None

    def _sent(self, row: Exchange) -> Sent:
        action = row.action or ""
        reply: Reply | None = None if row.answer is None else outcomes.reply(action, row.answer)
        connector, token = outcomes.place(exchange.payload(row))
        return Sent(
            row.seq, at(row.at_wall_ms), action, row.cause_seq, reply, session_of(row), connector, token
        )  # fmt: skip

    def _began(self, row: Exchange) -> Began:
        connector, token = outcomes.place(tolerances.understood("1.6", START, exchange.payload(row)))
        return Began(at(row.at_wall_ms), connector, token)


def _is_our_question(row: Exchange) -> bool:
    """How its connector stands was asked because of a session in doubt: nobody waits for that."""
    return row.action == "TriggerMessage" and row.tx_no is not None  # of the cloud's none has


def _of_fate(fate: Fate, charger: str | None) -> Sighting:
    sign = Sign.COMMAND_DECLINED if fate.is_declined else _SIGN_OF[fate.outcome]
    return Sighting(sign, fate.at, charger, fate.entries, fate.session, fate.action, fate.why)


# --- sessions


def of_sessions(
    sessions: Iterable[Session], found: Read, make: Make, *, last_seen: datetime | None, is_online: bool
) -> Iterator[Sighting]:
    """What the state of sessions says, beside their messages."""
    for one in sessions:
        name, start = session_name(one.tx_no), str(one.begin_seq)
        if one.csms_verdict is not None and one.decision is not None and one.csms_verdict != one.decision:
            when = one.csms_verdict_wall_ms or one.decided_wall_ms or one.started_wall_ms or 0
            told = f"told {one.decision} by {one.decision_source or 'nobody'}, the cloud said {one.csms_verdict}"
            yield Sighting(
                Sign.VERDICT_DIFFERS, at(when), one.charger, (start, f"{start}a"), name, detail=told, make=make
            )
        doubt = one.doubt
        if one.state == "open" and doubt is not None and not doubt.is_concluded:
            yield Sighting(
                Sign.SESSION_IN_DOUBT, at(doubt.at_ms), one.charger, (str(doubt.seq),), name,
                detail=doubt.evidence.words, make=make,
            )  # fmt: skip
        if one.state == "open" and not is_online and last_seen is not None:
            closed = () if found.closed is None else (str(found.closed.seq),)
            yield Sighting(Sign.OPEN_AND_OFFLINE, last_seen, one.charger, (start, *closed), name, make=make)


def of_parked(
    parked: Iterable[ParkedMessage],
    chargers: Mapping[int, str],
    makes: Mapping[str, Make],
    refusals: Sequence[Sighting],
) -> list[Sighting]:
    """What the cloud does not get. A stop that belongs to nothing is found by its own rule already."""
    found = []
    for one in parked:
        if one.is_orphan:
            continue
        charger = None if one.charger_no is None else chargers.get(one.charger_no)
        session = session_name(TransactionNo(one.tx_no)) if one.is_session else None
        answers = [each.evidence[-1] for each in refusals if each.evidence[0] == str(one.seq)]
        why = ": ".join(part for part in (one.code, one.description) if part)
        make = Make() if charger is None else makes.get(charger, Make())
        found.append(
            Sighting(Sign.MESSAGE_PARKED, at(one.wall_ms), charger, (str(one.seq), *answers), session, "", why, make)
        )
    return found

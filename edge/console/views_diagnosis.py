"""`edge diagnose`: what went wrong with a session, a charger or the site, whose fault it is, and whom it is tied to.

Reads only. The rows come from `edge/store/diagnosis.py`, `sightings.py` beside this file reads them,
`edge/domain/diagnosis.py` ranks what was found, and `diagnosis_document.py` writes it down. The others of the site are
always looked at, too: only they tell whether something recurs, and on whom. All of it is one bounded read, off the
event loop.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from edge.console import diagnosis_document, sightings
from edge.console.diagnosis_document import About, Site
from edge.console.errors import CommandError
from edge.console.live import ChargerNow, Live
from edge.console.sightings import Read
from edge.dialects import timestamps
from edge.domain.advice import HARMLESS, Sign
from edge.domain.diagnosis import Present, Sighting
from edge.domain.ids import Make, session_name, transaction_named
from edge.jsontypes import Payload
from edge.store import Connection, connectors, diagnosis, report
from edge.store.connectors import Charger
from edge.store.db import Store
from edge.store.exchange import Exchange
from edge.store.report import Session

BY_DEFAULT = timedelta(days=7)
ROWS_OF_SUBJECT = 5000
"""Of the session or charger that is asked about."""
ROWS_OF_OTHERS = 2000
ROWS_OF_ALL = 40_000
"""Shared by the chargers that it is compared with."""
LEAST_ROWS = 200
BEFORE_A_SESSION = timedelta(milliseconds=diagnosis.AROUND_MS)
"""So long before its start a command may have led to it."""


class DiagnosisViews:
    """Answers one command. Raises CommandError for what the person is to be told."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def diagnose(self, args: Payload) -> Payload:
        now, there = self._live.now(), self._live.chargers()
        since = timestamps.parse(args.get("since")) or now - BY_DEFAULT
        name = args.get("subject")
        subject = name if isinstance(name, str) else None
        found = await self._store.read(lambda db: _Look(db, since, now, there).document(subject))
        if found is None:
            raise CommandError(
                "no_such_subject",
                f"There is no session and no charger {name!r}.",
                "edge sessions and edge chargers list them.",
            )
        return found


class _Look:
    """One look at the store, for one question."""

    def __init__(self, db: Connection, since: datetime, now: datetime, there: Sequence[ChargerNow]) -> None:
        self._db = db
        self._since = since
        self._since_ms = round(since.timestamp() * 1000)
        self._now = now
        self._there = {one.id: one for one in there}
        self._online = frozenset(one.id for one in there if one.is_online)
        self._numbers: Mapping[int, int] = report.connector_numbers(db)
        self._chargers = connectors.chargers(db)

    def document(self, name: str | None) -> Payload | None:
        """None: neither a session nor a charger has this name."""
        session = None if name is None else self._session(name)
        charger = name if session is None else session.charger
        if charger is not None and charger not in {str(one.id) for one in self._chargers}:
            return None
        site = self._site(charger)
        if session is not None:
            about = self._of_session(session, site)
        elif charger is not None:
            read = site.read[charger]
            mine = [*read.sightings, *(one for one in site.parked if one.charger == charger)]
            about = About(None, charger, mine, read.fates, [read])
        else:
            everything = [*site.read.values(), site.of_station]
            about = About(None, None, site.sightings(), [one for read in everything for one in read.fates], everything)
        return {
            "v": 1,
            "at": timestamps.text(self._now),
            "since": timestamps.text(self._since),
            **diagnosis_document.document(about, site, self._there, self._online),
        }

    def _session(self, name: str) -> Session | None:
        number = transaction_named(name)
        return None if number is None else report.session(self._db, number)

    # --- the site

    def _site(self, subject: str | None) -> Site:
        share = max(LEAST_ROWS, min(ROWS_OF_OTHERS, ROWS_OF_ALL // max(1, len(self._chargers))))
        end = diagnosis.station_end(self._db)
        looked = diagnosis.of_peer(self._db, end, self._since_ms, share, HARMLESS)
        site = Site(of_station=sightings.read(looked.rows, None, Make(), self._numbers, self._now))
        site.is_cut = looked.is_cut and subject is None
        for one in self._chargers:
            is_subject = one.id == subject
            is_cut = self._add(site, one, ROWS_OF_SUBJECT if is_subject else share)
            site.is_cut = site.is_cut or (is_cut and (subject is None or is_subject))
        self._add_parked(site)
        return site

    def _add(self, site: Site, one: Charger, most: int) -> bool:
        """What this charger's rows tell; whether some were left out."""
        make = Make.said(one.vendor, one.model, one.firmware)
        looked = diagnosis.of_peer(self._db, one.last_seq, self._since_ms, most, HARMLESS)
        read = sightings.read(looked.rows, one.id, make, self._numbers, self._now)
        if not read.present and one.id in self._online:
            read.present.append(Present(one.id, make))
        sessions = diagnosis.sessions(self._db, read.sessions | set(diagnosis.open_of(self._db, one.no)))
        read.sightings += self._of_sessions(sessions, read, make, one.id, one.last_seen_wall_ms)
        site.read[one.id], site.makes[one.id] = read, make
        return looked.is_cut

    def _of_sessions(
        self, sessions: Sequence[Session], read: Read, make: Make, charger: str, last_seen_ms: int | None
    ) -> list[Sighting]:
        now = self._there.get(charger)
        last_seen = None if last_seen_ms is None else sightings.at(last_seen_ms)
        last_seen = last_seen if now is None or now.last_seen is None else now.last_seen
        is_online = charger in self._online
        return list(sightings.of_sessions(sessions, read, make, last_seen=last_seen, is_online=is_online))

    def _add_parked(self, site: Site) -> None:
        """A parked message is one finding, with what the cloud said of it."""
        recent = [one for one in diagnosis.parked(self._db) if one.wall_ms >= self._since_ms or one.is_session]
        refusals = [one for one in site.sightings() if one.rule == Sign.CSMS_REFUSED]
        names = {int(one.no): str(one.id) for one in self._chargers}
        site.parked = sightings.of_parked(recent, names, site.makes, refusals)
        held = {one.evidence[0] for one in site.parked}
        for read in (*site.read.values(), site.of_station):
            read.sightings = [one for one in read.sightings if not _is_refusal_of(held, one)]

    # --- a session

    def _of_session(self, session: Session, site: Site) -> About:
        looked = diagnosis.of_session(self._db, session, ROWS_OF_SUBJECT, HARMLESS)
        name, charger = session_name(session.tx_no), session.charger
        make = site.makes[charger]
        rows = [row for row in looked.rows if row.tx_no is None or row.tx_no == session.tx_no]
        read = sightings.read(rows, charger, make, self._numbers, self._now)
        known = next(one for one in self._chargers if one.id == charger)
        parked = [one for one in site.parked if one.session == name]
        held = {one.evidence[0] for one in parked}
        span = _Span(session, read, rows)
        fates = [one for one in read.fates if span.has(one.session, one.at, one.connector, is_command=True)]
        of_fates = {one.entries for one in read.fates}
        its = {one.entries for one in fates}
        mine = [
            one
            for one in read.sightings
            if (one.evidence in its if one.evidence in of_fates else span.has(one.session, one.at))
            and not _is_refusal_of(held, one)
        ]
        mine += [*parked, *self._of_sessions([session], read, make, charger, known.last_seen_wall_ms)]
        return About(session, charger, mine, fates, [read], tuple(rows), looked.is_cut)


def _is_refusal_of(held: Collection[str], one: Sighting) -> bool:
    return one.rule == Sign.CSMS_REFUSED and one.evidence[0] in held


class _Span:
    """What belongs to a session, and what its charger did beside it from its begin to its end."""

    def __init__(self, session: Session, read: Read, rows: Sequence[Exchange]) -> None:
        self._name = session_name(session.tx_no)
        self._connector = session.connector
        own = [row for row in rows if row.tx_no == session.tx_no]
        first = read.began.get(self._name) or (own[0] if own else None)
        last = read.ended.get(self._name) or (own[-1] if own else None)
        self._from = None if first is None else sightings.at(first.at_wall_ms)
        self._until = None if last is None or session.state == "open" else sightings.at(last.at_wall_ms)

    def has(self, session: str | None, at: datetime, connector: int | None = None, *, is_command: bool = False) -> bool:
        if session is not None:
            return session == self._name
        if connector is not None and self._connector is not None and connector != self._connector:
            return False
        earlier = BEFORE_A_SESSION if is_command else timedelta(0)
        return (self._from is None or at >= self._from - earlier) and (self._until is None or at <= self._until)

"""Which chargers may connect: those of the file, in file order, and the adopted ones.

`enrol` is the unit that makes the file's chargers known for good and gives their connectors their numbers
(interface.md, "Connector numbers"); `admit` then lets them in. At the start (`assembly.py`), and at each reload
(`reload.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.chargers.roster import Enrolment, Roster
from edge.config import ChargerSettings
from edge.domain.connectors import layout
from edge.domain.ids import ChargerId, ConnectorNo, Make
from edge.domain.ports import Ids
from edge.fleet import secrets_of
from edge.store import Connection, connectors


@dataclass(frozen=True, slots=True)
class Enrolled:
    known: tuple[connectors.Charger, ...]
    retired: tuple[ChargerId, ...]
    new_connectors: tuple[ConnectorNo, ...]
    """Those that have got their number just now."""


def enrol(db: Connection, listed: Sequence[ChargerSettings], *, gives_numbers: bool) -> Enrolled:
    """The chargers of the file are known from now on; those that have left it are retired, their numbers stay."""
    before = {one.no for one in connectors.numbered(db)}
    for settings in listed:
        no = connectors.enrol_listed(db, ChargerId(settings.id))
        if no is not None and settings.evses and gives_numbers:
            connectors.lay_out(db, no, layout(settings.evses))
            connectors.count(db, no, sum(settings.evses))
    names = {settings.id for settings in listed}
    for charger in connectors.chargers(db):
        if charger.origin == "file" and charger.id not in names and charger.state == connectors.KNOWN:
            connectors.enrol(db, charger.id, connectors.RETIRED, "file")
    now = connectors.chargers(db)
    return Enrolled(
        tuple(charger for charger in now if charger.state == connectors.KNOWN),
        tuple(charger.id for charger in now if charger.state == connectors.RETIRED),
        tuple(one.no for one in connectors.numbered(db) if one.no not in before),
    )


def admit(enrolled: Enrolled, listed: Sequence[ChargerSettings], roster: Roster, ids: Ids) -> list[ChargerId]:
    """Let the known ones in, with the passwords of now; those that may not come any more."""
    from_file = {settings.id: settings for settings in listed}
    for charger in enrolled.known:
        settings = from_file.get(charger.id)
        if settings is not None and settings.password is not None:
            hashes = secrets_of(settings.password, ids)
        else:
            hashes = () if charger.secret_hash is None else tuple(charger.secret_hash.split(b"\n"))
        roster.enrol(charger.id, Enrolment(charger.no, hashes))
        roster.presence(charger.id).make = Make.said(charger.vendor, charger.model, charger.firmware)
    gone = [name for name in enrolled.retired if roster.enrolment(name) is not None]
    for name in enrolled.retired:
        roster.retire(name)
    return gone

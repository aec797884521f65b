"""What a technician can set off in the running daemon; works without the uplink.

Implements `console.operating.Operating`: what each command means is here, what it says is in `console/actions.py`.
"""

import json
from dataclasses import dataclass

from edge.chargers.roster import Enrolment, Roster
from edge.config import Config
from edge.console.operating import NoSuchConnector, NotPending, PasswordNeeded
from edge.dialects.v16 import commands as to_charger
from edge.dialects.v16 import station
from edge.domain.ids import ChargerId, ChargerNo, IdToken, TransactionNo
from edge.domain.ports import ChargerOffline, Ids
from edge.ocppj.handshake import accepted_forms, hash_password
from edge.store import Connection, connectors, remote_starts, report, transactions
from edge.store.db import Store
from edge.uplink.commands import Commands

SALT_BYTES = 16


def secrets_of(password: bytes, ids: Ids) -> tuple[bytes, ...]:
    """Hashes of the forms in which a charger may show this password; only they are kept."""
    return tuple(hash_password(form, salt(ids)) for form in accepted_forms(password))


def salt(ids: Ids) -> bytes:
    return ids.number(0, 2 ** (8 * SALT_BYTES) - 1).to_bytes(SALT_BYTES, "big")


@dataclass(frozen=True, slots=True)
class Operations:
    """Implements `console.operating.Operating`."""

    config: Config
    store: Store
    ids: Ids
    roster: Roster
    commands: Commands

    async def adopt(self, charger: str, password: bytes | None) -> list[int]:
        link = self.roster.link(ChargerId(charger))
        if link is None or not link.is_pending:
            raise NotPending(f"{charger} does not wait to be adopted.")
        shown = password or link.knocked_with
        if shown is None and all(one.security_profile > 0 for one in self.config.listeners):
            raise PasswordNeeded(f"{charger} has shown no password, and every listener asks for one.")
        no = await adopt(self.store, self.roster, self.ids, ChargerId(charger), shown)
        link.adopt(no)
        return await self.store.write(
            lambda db: [one.upstream for one in connectors.connectors_of(db, no) if one.upstream is not None]
        )

    async def start(self, charger: str, evse: int | None, connector: int | None, token: str) -> tuple[int, str]:
        place = await self.store.write(lambda db: _place(db, ChargerId(charger), evse, connector))
        if not self.roster.is_online(place.charger):
            raise ChargerOffline(f"{charger} is not connected.")
        request = self.ids.message_id()
        payload = to_charger.remote_start(place.conn, IdToken(token))
        status = await self.commands.start_at(place, IdToken(token), payload, remote_starts.OPERATOR, request)
        return place.conn, status

    async def stop(self, session: int) -> str | None:
        tx_no = TransactionNo(session)
        if await self.store.write(lambda db: transactions.stoppable(db, tx_no)) is None:
            known = await self.store.read(lambda db: report.session(db, session))
            return None if known is None else "Ended"
        return await self.commands.stop(tx_no)


async def adopt(store: Store, roster: Roster, ids: Ids, charger: ChargerId, password: bytes | None) -> ChargerNo:
    """Make a charger known for good, with the password that it shows from now on."""
    hashes = () if password is None else secrets_of(password, ids)

    def unit(db: Connection) -> ChargerNo:
        no = connectors.enrol(db, charger, connectors.KNOWN, "adopted")
        if hashes:
            connectors.set_secret(db, no, b"\n".join(hashes))
        return no

    no = await store.write(unit)
    roster.enrol(charger, Enrolment(no, hashes))
    return no


def _place(db: Connection, charger: ChargerId, evse: int | None, connector: int | None) -> connectors.Connector:
    """The connector that is meant; without a number the only one, or the only one where a car waits."""
    known = connectors.charger(db, charger)
    if known is None:
        raise NoSuchConnector(f"There is no charger {charger!r}.")
    theirs = connectors.connectors_of(db, known.no)
    matching = [one for one in theirs if evse in {None, one.evse} and connector in {None, one.conn}] or [
        one for one in theirs if evse == one.conn and connector is None
    ]
    if len(matching) > 1:
        waiting = [one for one in matching if one.status is not None and _is_preparing(one.status)]
        matching = waiting if len(waiting) == 1 else matching
    if len(matching) != 1:
        have = ", ".join(str(one.conn) for one in theirs) or "none yet"
        which = "no such connector" if not matching else "more than one connector that could be meant"
        raise NoSuchConnector(f"{charger} has {which}; it has: {have}.")
    return matching[0]


def _is_preparing(status: str) -> bool:
    return station.reported_status(json.loads(status))[0] == "Preparing"

"""Who belongs to the site: chargers adopted, retired, and put in another's place. Works without the uplink.

Implements `console.operating.FleetKeeping`. What is decided is one unit of work and survives a crash whole; the links
follow after the commit. Upstream numbers are never taken back: they stay with a retired charger, or move.
"""

from collections.abc import Callable
from dataclasses import dataclass

from edge.chargers.link import ChargerLink
from edge.chargers.roster import Enrolment, Roster
from edge.config import ChargerSettings, Config
from edge.console.operating import Adopted, Forgotten, MovedConnector, NoSuchCharger, NotAllowed, Replaced
from edge.domain.ids import ChargerId, ChargerNo, ConnectorNo, session_name
from edge.domain.ports import Ids
from edge.ocppj.handshake import accepted_forms, hash_password, password_matches
from edge.store import Connection, connectors, fleet, orders
from edge.store.connectors import Charger
from edge.store.db import Store
from edge.store.exchange import Moment

SALT_BYTES = 16


def secrets_of(password: bytes, ids: Ids) -> tuple[bytes, ...]:
    """Hashes of the forms in which a charger may show this password; only they are kept."""
    return tuple(hash_password(form, salt(ids)) for form in accepted_forms(password))


def salt(ids: Ids) -> bytes:
    return ids.number(0, 2 ** (8 * SALT_BYTES) - 1).to_bytes(SALT_BYTES, "big")


async def adopt(store: Store, roster: Roster, ids: Ids, charger: ChargerId, password: bytes | None) -> ChargerNo:
    """Make a charger known for good, with the password that it shows from now on."""
    hashes = () if password is None else secrets_of(password, ids)
    no = await store.write(lambda db: _make_known(db, charger, hashes, "adopted"))
    roster.enrol(charger, Enrolment(no, hashes))
    return no


def _make_known(db: Connection, charger: ChargerId, hashes: tuple[bytes, ...], origin: str) -> ChargerNo:
    no = connectors.enrol(db, charger, connectors.KNOWN, origin)
    fleet.begin_anew(db, no)
    if hashes:
        connectors.set_secret(db, no, b"\n".join(hashes))
    return no


@dataclass(frozen=True, slots=True)
class Fleet:
    """Implements `console.operating.FleetKeeping`."""

    config: Callable[[], Config]
    """The one in force."""
    store: Store
    ids: Ids
    roster: Roster
    moment: Callable[[], Moment]
    on_change: Callable[[], None]
    """Connectors are served by others than before, or by nobody."""
    on_moved: Callable[[list[ConnectorNo]], None]
    """What waits on these connectors may have come from elsewhere."""
    why_control_only: str | None

    # --- adopt

    async def adopt(self, charger: str, password: bytes | None) -> Adopted:
        self._must_be_stored()
        name = ChargerId(charger)
        known = await self.store.write(lambda db: connectors.charger(db, name))
        knocking = self._knocking(name)
        if known is not None and known.state == connectors.KNOWN and knocking is None:
            return await self._acknowledge(known)
        if knocking is None and (known is None or known.state != connectors.RETIRED):
            raise NoSuchCharger(f"{charger} does not wait to be adopted.")
        secrets = self._secrets(name, known, password, knocking)
        origin = "file" if self._listed(name) is not None else "adopted"
        at = self.moment()

        def unit(db: Connection) -> ChargerNo:
            no = _make_known(db, name, secrets, origin)
            orders.given(db, at, no, "adopt")
            return no

        no = await self.store.write(unit)
        await self._let_in(name, no, secrets, knocking)
        self.on_change()
        return Adopted(charger, self.roster.is_online(name), await self._numbers(no), None)

    async def _acknowledge(self, known: Charger) -> Adopted:
        """`edge adopt` of a known charger: the serial that it says now is right."""
        if known.other_serial is None:
            raise NotAllowed(f"{known.id} is adopted already.", f"edge chargers {known.id} shows it.")
        at = self.moment()

        def unit(db: Connection) -> None:
            fleet.acknowledge_serial(db, known.no)
            orders.given(db, at, known.no, "acknowledge_serial", serial=known.serial, was=known.own_serial)

        await self.store.write(unit)
        return Adopted(known.id, self.roster.is_online(known.id), await self._numbers(known.no), known.serial)

    # --- forget

    async def forget(self, charger: str, *, force: bool) -> Forgotten:
        self._must_be_stored()
        name, at = ChargerId(charger), self.moment()

        def unit(db: Connection) -> tuple[ChargerNo, list[str]]:
            known = self._known(db, name)
            if known.state == connectors.RETIRED:
                raise NotAllowed(f"{charger} is retired already.", f"edge adopt {charger} takes it back.")
            running = _sessions(db, known.no)
            if running and not force:
                raise NotAllowed(
                    f"{charger} is charging: {', '.join(running)} is open.",
                    f"edge stop {running[0]} ends it first; edge forget {charger} --force does not wait for that.",
                )
            fleet.retire(db, known.no)
            orders.given(db, at, known.no, "forget")
            return known.no, running

        no, running = await self.store.write(unit)
        await self._leave(name, "retired by the operator")
        note = None
        if self._listed(name) is not None:
            note = (
                f"The configuration file lists {charger}: take it out there, or it is back at the next start or reload."
            )
        return Forgotten(charger, await self._numbers(no), running, note)

    # --- replace

    async def replace(self, old: str, new: str, password: bytes | None, *, force: bool) -> Replaced:
        self._must_be_stored()
        before, after, at = ChargerId(old), ChargerId(new), self.moment()
        knocking = self._knocking(after)
        is_knocking = knocking is not None
        known = await self.store.write(lambda db: self._may_replace(db, before, after, is_knocking=is_knocking))
        if self.roster.is_online(before) and not force:
            raise NotAllowed(
                f"{old} is connected.", f"Is it {new} that takes its place? Then: edge replace {old} {new} --force"
            )
        secrets = self._secrets(after, known, password, knocking)
        origin = "adopted" if self._listed(after) is None else "file"

        def unit(db: Connection) -> tuple[ChargerNo, list[fleet.Moved], list[str]]:
            self._may_replace(db, before, after, is_knocking=is_knocking)
            leaving = self._known(db, before)
            no = _make_known(db, after, secrets, origin)
            moved = fleet.take_place(db, leaving.no, no)
            fleet.retire(db, leaving.no, replaced_by=no)
            numbers = [one.upstream for one in moved]
            for charger_no in (leaving.no, no):
                orders.given(db, at, charger_no, "replace", old=old, new=new, upstream_connectors=numbers)
            return no, moved, _sessions(db, leaving.no)

        no, moved, running = await self.store.write(unit)
        await self._let_in(after, no, secrets, knocking)
        await self._leave(before, f"replaced by {new}"[:100])
        self.on_moved([one.no for one in moved])
        places = [MovedConnector(one.upstream, one.conn) for one in moved]
        return Replaced(old, new, self.roster.is_online(after), places, running, self._note_on_files(old, new))

    def _may_replace(self, db: Connection, old: ChargerId, new: ChargerId, *, is_knocking: bool) -> Charger | None:
        """What is known of the new one. Raises NoSuchCharger or NotAllowed."""
        if old == new:
            raise NotAllowed(
                f"{old} cannot take its own place.",
                f"A new box under the old identity is acknowledged with: edge adopt {old}",
            )
        leaving = self._known(db, old)
        if not any(one.upstream is not None for one in connectors.connectors_of(db, leaving.no)):
            by = None if leaving.replaced_by is None else connectors.charger_by_no(db, leaving.replaced_by)
            why = "" if by is None else f": {by.id} has taken them over"
            raise NotAllowed(f"{old} has no upstream numbers{why}.", f"edge adopt {new} adds it to the site.")
        known = connectors.charger(db, new)
        if known is None:
            if not is_knocking:
                raise NoSuchCharger(f"{new} is not known and does not wait to be adopted.")
            return None
        numbers = [str(one.upstream) for one in connectors.connectors_of(db, known.no) if one.upstream is not None]
        if numbers:
            raise NotAllowed(
                f"{new} has upstream numbers of its own ({', '.join(numbers)}), which are for ever.",
                f"Only a charger without numbers can take {old}'s place. Let the new box connect under an identity "
                "that is not in use, and keep it out of the file (or list it without evses) until it has done so.",
            )
        if fleet.has_sessions_of_its_own(db, known.no):
            raise NotAllowed(f"{new} has charged already, on connectors of its own.", f"edge sessions --charger {new}")
        return known

    def _note_on_files(self, old: str, new: str) -> str | None:
        if self._listed(ChargerId(old)) is None:
            return None
        if self._listed(ChargerId(new)) is not None:
            return f"The configuration file still lists {old}: take it out there."
        return f"The configuration file lists {old}: write {new} there instead, with its own password."

    # --- of all of them

    def _must_be_stored(self) -> None:
        if self.why_control_only is not None:
            raise NotAllowed(
                f"Nothing can be stored now, so the fleet stays as it is: {self.why_control_only}", "edge status"
            )

    def _known(self, db: Connection, charger: ChargerId) -> Charger:
        known = connectors.charger(db, charger)
        if known is None:
            raise NoSuchCharger(
                f"{charger} has not been adopted yet."
                if self._knocking(charger) is not None
                else f"There is no charger {charger!r}."
            )
        return known

    def _listed(self, charger: ChargerId) -> ChargerSettings | None:
        return next((one for one in self.config().charger if one.id == charger), None)

    def _knocking(self, charger: ChargerId) -> ChargerLink | None:
        """Who waits under this name to be adopted."""
        link = self.roster.link(charger)
        return link if link is not None and link.is_pending else None

    def _secrets(
        self, charger: ChargerId, known: Charger | None, password: bytes | None, knocking: ChargerLink | None
    ) -> tuple[bytes, ...]:
        """Of the password that it is to show: the given one, the file's, the one that it knocks with, or the stored."""
        listed = self._listed(charger)
        wanted = password if password is not None or listed is None else listed.password
        if wanted is not None:
            return secrets_of(wanted, self.ids)
        if knocking is not None:
            self._must_be_the_only_one(knocking)
            if knocking.knocked_with is not None:
                return secrets_of(knocking.knocked_with, self.ids)
        if known is not None and known.secret_hash is not None:
            return tuple(known.secret_hash.split(b"\n"))
        if all(one.security_profile > 0 for one in self.config().listeners):
            raise NotAllowed(
                f"{charger} has shown no password, and every listener asks for one.",
                "--password-file FILE names it, or set a password in the charger first.",
            )
        return ()

    def _must_be_the_only_one(self, knocking: ChargerLink) -> None:
        """Only a person can say which of two devices is meant. Raises NotAllowed."""
        rival = self.roster.rival(knocking.charger)
        if rival is not None:
            raise NotAllowed(
                f"Two devices knock as {knocking.charger}: the one that waits, at {knocking.address}, and one at "
                f"{rival.host} that was turned away.",
                "--password-file FILE with the password of the right one lets in only that; or take the other one "
                "off the network and try again in ten minutes.",
            )

    async def _let_in(
        self, charger: ChargerId, no: ChargerNo, secrets: tuple[bytes, ...], shown: ChargerLink | None
    ) -> None:
        """It may connect from now on. `shown`, which this was about, is served at once if its password is right.

        Any other that waits, and one with another password, is sent away: it comes again and is asked for it.
        """
        self.roster.enrol(charger, Enrolment(no, secrets))
        waiting = self._knocking(charger)
        if waiting is None:
            return
        if waiting is shown and self._may_stay(waiting, secrets):
            waiting.adopt(no)
        else:
            await waiting.close(1012, "known from now on: connect again")

    def _may_stay(self, waiting: ChargerLink, secrets: tuple[bytes, ...]) -> bool:
        """Whether it would come in if it connected now, through whichever listener it has come."""
        if not secrets:
            return all(one.security_profile == 0 for one in self.config().listeners)
        password = waiting.knocked_with
        return password is not None and any(password_matches(one, password) for one in secrets)

    async def _leave(self, charger: ChargerId, reason: str) -> None:
        """It is stored that it may not connect any more: so it is."""
        self.roster.retire(charger)
        self.on_change()
        await self.roster.dismiss(charger, reason)

    async def _numbers(self, no: ChargerNo) -> list[int]:
        found = await self.store.write(lambda db: connectors.connectors_of(db, no))
        return [one.upstream for one in found if one.upstream is not None]


def _sessions(db: Connection, charger: ChargerNo) -> list[str]:
    return [session_name(one) for one in fleet.open_sessions(db, charger)]

"""What a technician can set off in chargers, at once and without the uplink.

Implements `console.operating.Operating`: what each command means is here, what it says is in `console/actions.py`.
Each order is a row of the journal, and the cause of the CALLs that come of it (`edge trace`). Who belongs to the site
is in `edge/fleet.py`, what chargers are set to in `edge/settings.py`.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from edge.console.operating import NoSuchCharger, NoSuchConnector, NotAllowed, WrongWord
from edge.dialects.v16 import commands as to_charger
from edge.dialects.v16 import station
from edge.domain.ids import ChargerId, ConnectorNo, IdToken, TransactionNo, session_name
from edge.domain.ports import ChargerOffline, ChargerPort, Ids
from edge.jsontypes import JsonValue
from edge.store import Connection, connectors, fleet, orders, remote_starts, report, transactions
from edge.store.db import CommitFailed, Store
from edge.store.exchange import Moment
from edge.uplink.availability import Availability
from edge.uplink.commands import Commands

ANSWER_WITHIN = 20.0
"""Seconds that a charger has for its answer; the person at the terminal waits for it."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Implements `console.operating.Operating`."""

    store: Store
    ids: Ids
    chargers: ChargerPort
    commands: Commands
    availabilities: Availability
    moment: Callable[[], Moment]

    async def start(self, charger: str, evse: int | None, connector: int | None, token: str) -> tuple[int, str]:
        if not to_charger.is_token(token):
            raise WrongWord(f"A token has 1 to {to_charger.LONGEST_TOKEN} characters; this one has {len(token)}.")
        known, matching = await self._find(charger, evse, connector)
        place = _only(known, _where_a_car_waits(matching))
        must_be_online(self.chargers, known)
        cause = await self._order(known, "start", connector=place.no, token=token)
        request = self.ids.message_id()
        payload = to_charger.remote_start(place.conn, IdToken(token))
        status = await self.commands.start_at(place, IdToken(token), payload, remote_starts.OPERATOR, request, cause)
        return place.conn, status

    async def stop(self, session: int) -> str | None:
        tx_no = TransactionNo(session)
        target = await self.store.write(lambda db: transactions.stoppable(db, tx_no))
        if target is None:
            known = await self.store.read(lambda db: report.session(db, session))
            return None if known is None else "Ended"
        charger, _ = await self._find(target.charger, None, None)
        cause = await self._order(charger, "stop", transaction=tx_no)
        return await self.commands.stop(tx_no, cause)

    async def reset(self, charger: str, *, is_hard: bool, force: bool) -> str:
        known, _ = await self._find(charger, None, None)
        must_be_online(self.chargers, known)
        running = await self.store.write(lambda db: fleet.open_sessions(db, known.no))
        if is_hard and running and not force:
            # 1.6 §5.14: a soft reset stops transactions first; a hard one need not even report them.
            name = session_name(running[0])
            raise NotAllowed(
                f"{charger} is charging ({name}), and a hard reset does not end sessions properly.",
                f"Without --hard it ends them first; edge stop {name} does that now; --force resets all the same.",
            )
        cause = await self._order(known, "reset", kind="hard" if is_hard else "soft")
        answer = await self.chargers.call(
            known.id, "Reset", to_charger.reset(is_hard=is_hard), within=ANSWER_WITHIN, cause=cause
        )
        return to_charger.status_of(answer, "Accepted")

    async def unlock(self, charger: str, evse: int | None, connector: int | None) -> tuple[int, str]:
        known, matching = await self._find(charger, evse, connector)
        place = _only(known, matching)
        must_be_online(self.chargers, known)
        cause = await self._order(known, "unlock", connector=place.no)
        answer = await self.chargers.call(
            known.id, "UnlockConnector", to_charger.unlock(place.conn), within=ANSWER_WITHIN, cause=cause
        )
        status = to_charger.status_of(answer, "Unlocked", "UnlockFailed", "NotSupported")
        return place.conn, "UnlockFailed" if status == "Rejected" else status

    async def availability(
        self, charger: str, evse: int | None, connector: int | None, *, is_on: bool
    ) -> tuple[Sequence[int], str]:
        known, matching = await self._find(charger, evse, connector)
        wish = "Operative" if is_on else "Inoperative"
        if not matching:
            must_be_online(self.chargers, known)  # nothing is known of it yet that a wish could be kept for
        cause = await self._order(known, "availability", to=wish)
        concerned = [one.conn for one in matching]
        if evse is None:
            return concerned, await self.availabilities.change(known.id, 0, matching, wish, ANSWER_WITHIN, cause)
        async with asyncio.TaskGroup() as tasks:
            answers = [
                tasks.create_task(self.availabilities.change(known.id, one.conn, [one], wish, ANSWER_WITHIN, cause))
                for one in matching
            ]
        worst = ("Rejected", "TimedOut", "Kept", "Scheduled", "Accepted")
        return concerned, min((answer.result() for answer in answers), key=worst.index)

    async def trigger(
        self, charger: str, evse: int | None, connector: int | None, message: str
    ) -> tuple[str, int | None, str]:
        named = to_charger.trigger_named(message)
        if named is None:
            raise WrongWord(f"No charger can be asked for {message!r}.", f"One of {', '.join(to_charger.TRIGGERS)}.")
        known, matching = await self._find(charger, evse, connector)
        place = None if evse is None else _only(known, matching)
        must_be_online(self.chargers, known)
        no = None if place is None else place.no
        cause = await self._order(known, "trigger", connector=no, message=named)
        conn = None if place is None else place.conn
        answer = await self.chargers.call(
            known.id, "TriggerMessage", to_charger.trigger(named, conn), within=ANSWER_WITHIN, cause=cause
        )
        return named, conn, to_charger.status_of(answer, "Accepted", "NotImplemented")

    # --- of all of them

    async def _find(
        self, charger: str, evse: int | None, connector: int | None
    ) -> tuple[connectors.Charger, list[connectors.Connector]]:
        """The charger and those of its connectors that fit. Raises NoSuchCharger or NoSuchConnector."""
        return await self.store.write(lambda db: find(db, ChargerId(charger), evse, connector))

    async def _order(
        self,
        charger: connectors.Charger,
        order: str,
        *,
        connector: ConnectorNo | None = None,
        transaction: TransactionNo | None = None,
        **details: JsonValue,
    ) -> int | None:
        """The row of the order; None when nothing can be stored: the charger is asked all the same."""
        return await ordered(
            self.store, self.moment(), charger, order, connector=connector, transaction=transaction, **details
        )


def must_be_online(chargers: ChargerPort, charger: connectors.Charger) -> None:
    """Raises ChargerOffline, for a person."""
    if not chargers.is_online(charger.id):
        raise ChargerOffline(_retired(charger.id) if _is_retired(charger) else f"{charger.id} is not connected.")


def _is_retired(charger: connectors.Charger) -> bool:
    return charger.state == connectors.RETIRED


def _retired(charger: ChargerId) -> str:
    return f"{charger} is retired; edge adopt {charger} takes it back."


async def ordered(
    store: Store,
    at: Moment,
    charger: connectors.Charger,
    order: str,
    *,
    connector: ConnectorNo | None = None,
    transaction: TransactionNo | None = None,
    **details: JsonValue,
) -> int | None:
    """An operator's order in the journal, stored before it is carried out; None when nothing can be stored."""
    try:
        return await store.write(
            lambda db: orders.given(db, at, charger.no, order, connector=connector, transaction=transaction, **details)
        )
    except CommitFailed as error:
        structlog.get_logger("edge.operations").error("order_not_journalled", order=order, why=str(error))
        return None


def find(
    db: Connection, charger: ChargerId, evse: int | None, connector: int | None
) -> tuple[connectors.Charger, list[connectors.Connector]]:
    """A charger and those of its connectors that a person means. Raises NoSuchCharger or NoSuchConnector."""
    known = connectors.charger(db, charger)
    if known is None:
        raise NoSuchCharger(f"There is no charger {charger!r}.")
    theirs = connectors.connectors_of(db, known.no)
    if not theirs and _is_retired(known):
        raise NoSuchConnector(_retired(charger))
    matching = [one for one in theirs if evse in {None, one.evse} and connector in {None, one.conn}]
    if not matching and evse is not None and connector is None:
        matching = [one for one in theirs if one.conn == evse]  # CP-01/2 for connector 2 of a charger with one EVSE
    if not matching and evse is not None:
        raise NoSuchConnector(f"{charger} has no such connector; it has: {_listed(theirs)}.")
    return known, matching


def _only(charger: connectors.Charger, matching: list[connectors.Connector]) -> connectors.Connector:
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise NoSuchConnector(f"{charger.id} has named no connector yet.")
    raise NoSuchConnector(f"{charger.id} has more than one connector that could be meant: {_listed(matching)}.")


def _where_a_car_waits(matching: list[connectors.Connector]) -> list[connectors.Connector]:
    """The only one of them that is Preparing, if there is only one."""
    waiting = [one for one in matching if one.status is not None and _is_preparing(one.status)]
    return waiting if len(waiting) == 1 else matching


def _is_preparing(status: str) -> bool:
    return station.reported_status(json.loads(status))[0] == "Preparing"


def _listed(some: list[connectors.Connector]) -> str:
    """As they are written on the command line: CHARGER/EVSE/CONNECTOR."""
    return ", ".join(f"{one.charger}/{one.evse}/{one.conn}" for one in some) or "none yet"

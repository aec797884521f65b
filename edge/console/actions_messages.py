"""`edge queue retry` and `edge queue drop`: what a person makes of a parked message. They work without the uplink."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from edge.console import peer
from edge.console.errors import CommandError
from edge.console.views_messages import not_in_queue
from edge.domain.ids import ConnectorNo
from edge.jsontypes import Payload
from edge.store import Connection, parked
from edge.store.db import CommitFailed, Store
from edge.store.delivery import Waiting
from edge.store.exchange import Moment
from edge.store.parked import Decided, Parked, Reason, Refused

T = TypeVar("T")

OfferAgain = Callable[[ConnectorNo | None, Sequence[Waiting]], None]
"""These messages of that connector (None: of the station) wait for the CSMS again."""


class MessageActions:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(
        self, store: Store, moment: Callable[[], Moment], epoch: Callable[[], int], offer_again: OfferAgain
    ) -> None:
        self._store = store
        self._moment = moment
        self._epoch = epoch
        self._offer_again = offer_again

    async def retry(self, args: Payload) -> Payload:
        seq, by = _seq(args), peer.operator()
        decided = await self._decide(
            seq, lambda db: parked.retry(db, seq, self._epoch(), self._moment(), by), "Nothing was changed."
        )
        return {**_of(decided.parked), "waiting": len(decided.waiting)}

    async def drop(self, args: Payload) -> Payload:
        seq, by = _seq(args), peer.operator()
        if args.get("only_look") is True:
            one = await self._write(partial(parked.look, seq=seq))
            if isinstance(one, Refused):
                raise _refusal(seq, one)
            return {**_of(one), **_consequence(one), "is_done": False}
        decided = await self._decide(seq, lambda db: parked.drop(db, seq, self._moment(), by), "Nothing was dropped.")
        return {**_of(decided.parked), **_consequence(decided.parked), "is_done": True}

    async def _decide(self, seq: int, unit: Callable[[Connection], Decided | Refused], otherwise: str) -> Decided:
        decided = await self._write(unit, otherwise)
        if isinstance(decided, Refused):
            raise _refusal(seq, decided)
        if decided.waiting:
            self._offer_again(decided.parked.connector_no, decided.waiting)
        return decided

    async def _write(self, unit: Callable[[Connection], T], otherwise: str = "Nothing was changed.") -> T:
        try:
            return await self._store.write(unit)
        except CommitFailed as error:
            raise CommandError("not_stored", f"{otherwise} {error}.", "Is the disk full? edge status") from error


def _seq(args: Payload) -> int:
    seq = args.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool):
        raise CommandError("usage", "The message's number is missing.", "edge queue lists them.")
    return seq


def _of(one: Parked) -> Payload:
    return {"v": 1, "seq": one.row.seq, "action": one.row.action, "session": one.session}


def _consequence(one: Parked) -> Payload:
    """What dropping it means: how many messages, and how many that stand behind it go on."""
    return {
        "is_start": one.is_start,
        "is_stop": one.row.action == "StopTransaction" and one.session is not None,
        "dropped": 1 + (len(one.later) if one.is_start else 0),
        "waiting": 0 if one.is_start else len(one.later),
    }


def _refusal(seq: int, refused: Refused) -> CommandError:
    """Why not, and what else can be done."""
    drop = f"Without it: edge queue drop {seq}"
    match refused.reason:
        case Reason.UNKNOWN:
            return not_in_queue(seq, is_dropped=False)
        case Reason.DELIVERED:
            why, hint = f"Message {seq} is delivered: the cloud has answered it.", "edge queue lists the others."
        case Reason.DROPPED:
            why, hint = f"Message {seq} was dropped already.", "edge trace of its charger shows when, and by whom."
        case Reason.WAITING:
            why = f"Message {seq} is not parked: it waits, and goes to the cloud when its turn comes."
            hint = f"edge queue show {seq} shows how it fared so far."
        case Reason.BEHIND:
            first = refused.first
            why = f"Message {seq} is parked only because message {first} of its transaction is."
            hint = f"Decide about that one: edge queue retry {first}, or edge queue drop {first}"
        case Reason.ORPHAN:
            why = f"Message {seq} belongs to no session: the cloud could not know which transaction it ends."
            hint = f"edge queue show {seq} shows what the charger said. {drop}"
        case Reason.NO_CONNECTOR:
            why = f"Message {seq} names no connector of its charger: it cannot be said where it happened."
            hint = f"edge queue show {seq} shows what the charger said. {drop}"
        case Reason.DAMAGED:
            why = f"Message {seq} is damaged on the disk: what is stored is not what the charger said."
            hint = f"A backup may have it. {drop}"
        case Reason.OTHER_CSMS:
            why = f"The session of message {seq} was begun at another cloud or under another identity."
            hint = f"Only that cloud knows its transaction; set its [uplink] url and identity again. {drop}"
    return CommandError("rejected", why, hint)

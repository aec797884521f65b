"""A charger's CALL as it came in, what is noted of it, and what became of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from edge.domain import plausibility
from edge.domain.field_guide import NAMED_ONLY
from edge.domain.ids import ChargerNo, ConnectorNo
from edge.domain.peculiarities import Peculiarity, Rule
from edge.jsontypes import JsonValue, Payload
from edge.ocppj.frames import Call, encode_json, without_blanks
from edge.store import Connection, exchange, shares
from edge.store.delivery import Stored
from edge.store.exchange import Kind, Moment, NewExchange


@dataclass(frozen=True, slots=True)
class Said:
    """A charger's CALL as it came in."""

    charger: ChargerNo
    version: str
    call: Call
    at: Moment
    peculiar: tuple[Peculiarity, ...] = ()
    """What was odd about it before it was looked at here; counted already."""
    is_mended: bool = False
    """Its text was no JSON before it was repaired."""
    most_watts: float = plausibility.MOST_WATTS
    """What the connector can deliver."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a CALL."""

    answer: Payload
    stored: tuple[Stored, ...] = ()
    is_repeat: bool = False
    rules: tuple[str, ...] = ()
    """Rules that had to help (domain/transactions.py)."""
    new_connectors: tuple[ConnectorNo, ...] = ()
    """Connectors that got their upstream number just now."""


@dataclass(slots=True)
class Notes:
    """What is peculiar of a message, for the journal and the counters."""

    entries: list[Payload] = field(default_factory=list)

    def add(self, rule: Rule, message: str) -> None:
        self.entries.append({"rule": str(rule), "message": message})

    def add_all(self, peculiar: Iterable[Peculiarity]) -> None:
        for one in peculiar:
            self.add(one.rule, one.message)

    def correct(self, why: Peculiarity, **put: JsonValue) -> None:
        """The CSMS gets this instead of what the charger said (`edge/store/exchange.py`, `put_right`)."""
        self.entries.append({"rule": str(why.rule), "message": why.message, exchange.PUT: put})

    def replace_by(self, rule: Rule, message: str) -> None:
        """Only this is to be said of it."""
        self.entries.clear()
        self.add(rule, message)

    def rules(self) -> tuple[str, ...]:
        return tuple(str(entry["rule"]) for entry in self.entries)

    def text_with(self, said: Said) -> str | None:
        """For the row: what is found here, and what was odd before."""
        found = [*self.entries, *({"rule": str(one.rule), "message": one.message} for one in said.peculiar)]
        if said.is_mended:  # what was read is kept: a later release may read it differently
            first = next(entry for entry in found if entry["rule"] in NAMED_ONLY)
            found[found.index(first)] = {**first, exchange.READ_AS: said.call.payload}
        return encode_json(found) if found else None


PADDED = 2, 1024
"""A text is stored without its blanks when it is more than twice as long as without them, and 1,024 characters more."""


def kept_text(said: Said, notes: Notes) -> str:
    """The text as received; without the blanks between its tokens when most of it is blanks."""
    text = said.call.text
    factor, more = PADDED
    if said.is_mended or len(text) <= more:
        return text
    compact = without_blanks(text)
    if len(text) <= factor * len(compact) + more:
        return text
    digest = blake2b(text.encode(), digest_size=16).hexdigest()
    notes.add(Rule.TEXT_PADDED, f"{len(text)} characters with the blanks between its tokens, blake2b {digest}")
    return compact


def row_of(said: Said, notes: Notes, **more: object) -> NewExchange:
    text = kept_text(said, notes)
    return NewExchange(
        at=said.at,
        peer=said.charger,
        kind=Kind.CHARGER_CALL,
        text=text,
        action=said.call.action,
        message_id=said.call.message_id,
        version=said.version,
        notes=notes.text_with(said),
        **more,  # type: ignore[arg-type]  # the remaining columns by name
    )


def take_extra(connection: Connection, said: Said) -> None:
    """It is one of what no honest charger sends much of. Raises BeyondRoom: then there must be no answer."""
    shares.take_extra(connection, said.charger, kept_text(said, Notes()), said.at.mono_ms)

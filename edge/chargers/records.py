"""The units of work behind a charger's CALLs: what is read, decided and written in one commit.

Each is a plain function of a connection (architecture, law 2); `intake.py` submits them and answers the charger with
what they return. Starts are in `starts.py`. The CSMS gets what they mark `relay`; `Stored` tells the sender where it
waits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

from edge.dialects import tolerances
from edge.dialects.v16 import observe, replies, station
from edge.domain import plausibility
from edge.domain.connectors import MOST as MOST_CONNECTORS
from edge.domain.events import (
    AVAILABLE,
    WHILE_CHARGING,
    ChargerBooted,
    ConnectorStatusChanged,
    EnergyMeasured,
    TransactionEnded,
)
from edge.domain.field_guide import NAMED_ONLY
from edge.domain.ids import ChargerNo, ConnectorNo, TransactionNo, session_name
from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.plausibility import Measured
from edge.domain.transactions import Transaction, attribute_stop, attribute_values
from edge.jsontypes import Payload
from edge.ocppj.frames import Call, encode_json, result_text, without_blanks
from edge.store import (
    Connection,
    connectors,
    delivery,
    exchange,
    measured,
    repeats,
    shares,
    thinning,
    tokens,
    transactions,
)
from edge.store.exchange import Kind, Moment, NewExchange
from edge.store.transactions import NewTransaction


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


class Stored(NamedTuple):
    """A row that waits for the CSMS."""

    connector: ConnectorNo
    waiting: delivery.Waiting


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a CALL."""

    answer: Payload
    stored: Stored | None = None
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


def connector_named(
    connection: Connection, charger: ChargerNo, conn: int
) -> tuple[connectors.Connector | None, tuple[ConnectorNo, ...]]:
    """The charger's connector, made when it is named for the first time, and those that got a number by this.

    A connector that appears after the charger's connectors were counted is appended (interface.md). None: no charger
    has such a connector.
    """
    found = connectors.connector(connection, charger, conn)
    if found is not None or not 1 <= conn <= MOST_CONNECTORS:
        return found, ()
    known = connectors.charger_by_no(connection, charger)
    added = connectors.add(connection, charger, conn, conn)
    if known is not None and known.connectors is not None:
        connectors.give_numbers(connection, charger)
        return connectors.connector(connection, charger, conn), (added,)
    return connectors.connector(connection, charger, conn), ()


def record_values(connection: Connection, said: Said, values: EnergyMeasured) -> Recorded:
    """A MeterValues: of its transaction, of the connector's open one, or of none."""
    connector, numbered = connector_named(connection, said.charger, values.connector)
    named = (
        None if values.transaction is None else transactions.by_charger_tx(connection, said.charger, values.transaction)
    )
    open_here = None if connector is None or named is not None else transactions.open_on(connection, connector.no)
    belongs = attribute_values(values, named, open_here)
    notes = Notes()
    if belongs.rule is not None:
        notes.add(belongs.rule, f"transaction as sent: {observe.transaction_as_sent(said.call.payload)}")
    what = repeats.content(said.call.action, encode_json(said.call.payload))
    connector_no = None if connector is None else connector.no
    if belongs.transaction is not None:
        tx_no, connector_no = belongs.transaction.no, belongs.transaction.connector_no
    elif belongs.relay and connector_no is not None:
        tx_no = transactions.meter_stream(connection, said.charger, connector_no, exchange.peek_seq(connection))
    else:
        row = row_of(said, notes, connector_no=connector_no, answer=result_text(said.call.message_id, replies.EMPTY))
        exchange.append(connection, row)
        return Recorded(replies.EMPTY, rules=notes.rules(), new_connectors=numbered)
    if repeats.is_known(connection, tx_no, what):
        return Recorded(replies.EMPTY, is_repeat=True)
    if belongs.transaction is None:
        repeats.forget(connection, tx_no)  # of a stream without an end only the newest is remembered
    repeats.remember(connection, tx_no, what)
    if not thinning.admits(connection, tx_no, said.call.payload, said.at):
        return Recorded(replies.EMPTY, rules=notes.rules(), new_connectors=numbered)
    stored = None
    if belongs.relay and connector_no is not None:
        notes.add_all(_compared(connection, said, connector_no, belongs.transaction, values))
        stored = Stored(connector_no, delivery.Waiting(exchange.peek_seq(connection), is_start_or_stop=False))
    row = row_of(
        said,
        notes,
        connector_no=connector_no,
        tx_no=tx_no,
        relay=belongs.relay,
        answer=result_text(said.call.message_id, replies.EMPTY),
    )
    exchange.append(connection, row)
    return Recorded(replies.EMPTY, stored, rules=notes.rules(), new_connectors=numbered)


def _compared(
    connection: Connection, said: Said, connector_no: ConnectorNo, tx: Transaction | None, values: EnergyMeasured
) -> Iterator[Peculiarity]:
    """What cannot be true of these values after those before; they are the last ones now."""
    before = measured.last(connection, connector_no)
    tx_no = None if tx is None else tx.no
    now = Measured(tx_no, values.last_at, said.at.wall_ms, values.register_wh, values.soc, values.power_w)
    now = plausibility.with_window(before, now)
    measured.remember(connection, connector_no, now)
    if tx is not None:
        yield from plausibility.of_values(before, now, values.power_w, said.most_watts)


def record_stop(connection: Connection, said: Said, ended: TransactionEnded) -> Recorded:
    """A StopTransaction: never refused; without a match it is kept as an orphan (E.2)."""
    named = (
        None if ended.transaction is None else transactions.by_charger_tx(connection, said.charger, ended.transaction)
    )
    could_be = transactions.open_of(connection, said.charger, CANDIDATES)
    needs_meter = named is None and ended.token is None
    last_measured = {one.no: _last_measured(connection, one) for one in could_be} if needs_meter else {}
    belongs = attribute_stop(ended, named, could_be, last_measured, said.most_watts)
    answer = replies.stop(_stop_status(connection, ended, said))
    text = result_text(said.call.message_id, answer)
    notes = Notes()
    if belongs.rule is not None:
        notes.add(belongs.rule, f"transaction as sent: {observe.transaction_as_sent(said.call.payload)}")
    if belongs.transaction is None:
        what = repeats.content(said.call.action, f"{said.charger} {encode_json(said.call.payload)}")
        if transactions.by_start_key(connection, what) is not None:
            return Recorded(answer, is_repeat=True)
        take_extra(connection, said)
        new = NewTransaction(
            transactions.ORPHAN,
            said.charger,
            None,
            exchange.peek_seq(connection),
            start_key=what,
            id_token=ended.token,
            started_at=ended.at or said.at.wall,
        )
        why = "no transaction of this charger matches the stop"
        delivery.park_orphan(connection, new, row_of(said, notes, answer=text, relay=True), "orphan_stop", why)
        return Recorded(answer, rules=notes.rules())
    tx = belongs.transaction
    if not belongs.relay and _is_the_stored_stop(connection, tx.no, said):
        return Recorded(answer, is_repeat=True)
    if not belongs.relay:
        take_extra(connection, said)
    if belongs.relay and tx.connector_no is not None:
        register = EnergyMeasured(0, None, ended.at, ended.meter_stop_wh, last_at=ended.at)
        notes.add_all(_compared(connection, said, tx.connector_no, tx, register))
    row = row_of(said, notes, connector_no=tx.connector_no, tx_no=tx.no, relay=belongs.relay, answer=text)
    seq = exchange.append(connection, row)
    if not belongs.relay:
        return Recorded(answer, rules=notes.rules())
    transactions.end(connection, tx.no, ended.at or said.at.wall, ended.meter_stop_wh, ended.reason, seq)
    repeats.forget(connection, tx.no)
    stored = None if tx.connector_no is None else Stored(tx.connector_no, delivery.Waiting(seq, is_start_or_stop=True))
    return Recorded(answer, stored, rules=notes.rules())


ROWS_SEARCHED = 100
"""How far back in a transaction its last register is looked for."""
CANDIDATES = 16
"""So many of a charger's newest open sessions a stop without a known id may end: it has no more connectors."""
STOPS_SEARCHED = 16
"""How far back in an ended transaction a further stop is looked for; the one that ended it is known by its number."""
NAMED_AT_MOST = 8
"""Sessions that a boot's note names."""


def take_extra(connection: Connection, said: Said) -> None:
    """It is one of what no honest charger sends much of. Raises BeyondRoom: then there must be no answer."""
    shares.take_extra(connection, said.charger, kept_text(said, Notes()), said.at.mono_ms)


def _last_measured(connection: Connection, tx: Transaction) -> Measured:
    """The last register of an open transaction, from its rows: it must be right after a restart too."""
    received_ms = 0
    rows = exchange.of_transaction(connection, tx.no, exchange.end_of(connection, tx.no)[0])
    for row in islice(rows, ROWS_SEARCHED):
        if row.kind is Kind.CHARGER_CALL and row.action == "MeterValues":
            meant = tolerances.understood(row.version or "1.6", "MeterValues", exchange.payload(row))
            event = observe.observe("MeterValues", meant)
            if isinstance(event, EnergyMeasured) and event.register_wh is not None:
                return Measured(tx.no, event.last_at, row.at_wall_ms, event.register_wh)
        received_ms = row.at_wall_ms
    return Measured(tx.no, tx.started_at, received_ms, tx.meter_start_wh)


def _stop_status(connection: Connection, ended: TransactionEnded, said: Said) -> str | None:
    """What is known of the token that stopped; a stop is accepted all the same."""
    if ended.token is None:
        return None
    for source in (tokens.LIST, tokens.CACHE):
        entry = tokens.entry(connection, ended.token, source)
        if entry is not None:
            return entry.status_at(said.at.wall)
    return None


def _is_the_stored_stop(connection: Connection, tx_no: TransactionNo, said: Said) -> bool:
    last_seq, _ = exchange.end_of(connection, tx_no)
    stop_seq = transactions.stop_seq(connection, tx_no)
    ending = None if stop_seq is None else exchange.load(connection, stop_seq)
    newest = islice(exchange.of_transaction(connection, tx_no, last_seq), STOPS_SEARCHED)
    for row in newest if ending is None else (ending, *newest):
        is_stop = row.action == "StopTransaction" and row.kind is Kind.CHARGER_CALL
        if is_stop and exchange.payload_text(row) == encode_json(said.call.payload):
            return True
    return False


def record_status(connection: Connection, said: Said, changed: ConnectorStatusChanged) -> Recorded:
    """A StatusNotification: the latest counts, an identical one is not stored again (1.6 §4.9)."""
    connector, numbered = connector_named(connection, said.charger, changed.connector)
    notes = Notes()
    if connector is not None:
        text = encode_json(said.call.payload)
        if connector.status is not None and _same_status(connector.status, said.call.payload):
            return Recorded(replies.EMPTY, is_repeat=True, new_connectors=numbered)
        connectors.set_status(connection, connector.no, text, said.at.wall_ms)
    elif _is_said_again(connection, said):
        return Recorded(replies.EMPTY, is_repeat=True)
    open_here = None if connector is None else transactions.open_on(connection, connector.no)
    if connector is not None and changed.status == AVAILABLE:
        if open_here is not None:
            notes.add(Rule.AVAILABLE_WHILE_OPEN, f"{session_name(open_here.no)} has not ended")
        if connector.status is not None and station.stored_status(connector.status)[0] in WHILE_CHARGING:
            notes.add(Rule.FINISHING_SKIPPED, "charging until now")
    row = row_of(
        said,
        notes,
        connector_no=None if connector is None else connector.no,
        tx_no=None if open_here is None else open_here.no,
        answer=result_text(said.call.message_id, replies.EMPTY),
    )
    exchange.append(connection, row)
    return Recorded(replies.EMPTY, rules=notes.rules(), new_connectors=numbered)


def _is_said_again(connection: Connection, said: Said) -> bool:
    """Whether the charger itself (connector 0) said the same before; remembered for this run of the daemon."""
    of_charger = TransactionNo(-said.charger)
    what = repeats.content("status", str(exchange.without_timestamp(encode_json(said.call.payload))))
    if repeats.is_known(connection, of_charger, what):
        return True
    repeats.forget(connection, of_charger)
    repeats.remember(connection, of_charger, what)
    return False


def _same_status(stored: str, payload: Payload) -> bool:
    return exchange.without_timestamp(stored) == exchange.without_timestamp(encode_json(payload))


def record_boot(connection: Connection, said: Said, boot: ChargerBooted, answer: Payload) -> Recorded:
    """A BootNotification: the inventory. Open transactions stay open (E.9 rule 6)."""
    own_serial = connectors.booted(connection, said.charger, boot, said.version, said.at.wall_ms)
    notes = Notes()
    if own_serial is not None:
        notes.add(Rule.SERIAL_CHANGED, f"says serial {boot.serial}, was {own_serial}")
    still_open = transactions.open_of(connection, said.charger, NAMED_AT_MOST)
    if still_open:
        names = ", ".join(session_name(one.no) for one in still_open)
        more = transactions.count_open_of(connection, said.charger) - len(still_open)
        names += f" and {more} more" if more else ""
        notes.add(Rule.BOOT_WHILE_OPEN, f"{names} {'has' if len(still_open) == 1 else 'have'} not ended")
    exchange.append(connection, row_of(said, notes, answer=result_text(said.call.message_id, answer)))
    return Recorded(answer, rules=notes.rules())


def record_plain(connection: Connection, said: Said, answer: Payload) -> Recorded:
    """Anything else that is answered at once."""
    exchange.append(connection, row_of(said, Notes(), answer=result_text(said.call.message_id, answer)))
    return Recorded(answer)

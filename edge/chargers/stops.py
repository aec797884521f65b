"""The units of work behind a charger's StopTransaction: which session it ends, and what the CSMS is told of it.

A stop is never refused. One that fits no session is kept as an orphan, one that comes after another is kept and
compared (E.2, E.9); `intake.py` submits these units.
"""

from itertools import islice

from edge.chargers import endings, figures, timing
from edge.chargers.records import compared, note_signature
from edge.chargers.said import Notes, Recorded, Said, row_of, take_extra
from edge.dialects.v16 import observe, replies
from edge.domain.events import EnergyMeasured, TransactionEnded
from edge.domain.ids import TransactionNo
from edge.domain.transactions import Attribution, Transaction, attribute_stop
from edge.jsontypes import Payload
from edge.ocppj.frames import encode_json, result_text
from edge.store import Connection, charger_clocks, delivery, exchange, repeats, tokens, transactions
from edge.store.delivery import Stored
from edge.store.exchange import Kind
from edge.store.transactions import NewTransaction

CANDIDATES = 16
"""So many of a charger's newest open sessions a stop without a known id may end: it has no more connectors."""
STOPS_SEARCHED = 16
"""How far back in an ended transaction a further stop is looked for; the one that ended it is known by its number."""


def record_stop(connection: Connection, said: Said, ended: TransactionEnded) -> Recorded:
    """A StopTransaction."""
    note_signature(connection, said)
    belongs = _whose(connection, said, ended)
    answer, notes = replies.stop(_stop_status(connection, ended, said)), Notes()
    if belongs.rule is not None:
        notes.add(belongs.rule, f"transaction as sent: {observe.transaction_as_sent(said.call.payload)}")
    if belongs.transaction is None:
        return _orphan(connection, said, ended, answer, notes)
    if not belongs.relay:
        return _further(connection, said, ended, belongs.transaction, answer, notes)
    return _end(connection, said, ended, belongs.transaction, answer, notes)


def _whose(connection: Connection, said: Said, ended: TransactionEnded) -> Attribution:
    named = (
        None if ended.transaction is None else transactions.by_charger_tx(connection, said.charger, ended.transaction)
    )
    could_be = transactions.open_of(connection, said.charger, CANDIDATES)
    needs_meter = named is None and ended.token is None
    last_measured = {one.no: endings.last_measured(connection, one) for one in could_be} if needs_meter else {}
    return attribute_stop(ended, named, could_be, last_measured, said.most_watts)


def _orphan(connection: Connection, said: Said, ended: TransactionEnded, answer: Payload, notes: Notes) -> Recorded:
    """It fits no session: kept where `edge queue` shows it."""
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
    row = row_of(said, notes, answer=result_text(said.call.message_id, answer), relay=True)
    delivery.park_orphan(connection, new, row, "orphan_stop", why)
    return Recorded(answer, rules=notes.rules())


def _further(
    connection: Connection, said: Said, ended: TransactionEnded, tx: Transaction, answer: Payload, notes: Notes
) -> Recorded:
    """The session has ended before: by this very stop, by another, or by ours."""
    if _is_the_stored_stop(connection, tx.no, said):
        return Recorded(answer, is_repeat=True)
    late = endings.late_stop(connection, said, tx.no, ended)
    if late is None:
        take_extra(connection, said)
    else:
        notes.replace_by(late.rule, late.message)
    text = result_text(said.call.message_id, answer)
    row = row_of(said, notes, connector_no=tx.connector_no, tx_no=tx.no, relay=False, answer=text)
    seq = exchange.append(connection, row)
    if late is not None:
        endings.late_stop_came(connection, tx.no, seq, late.rule, said.at)
    return Recorded(answer, rules=notes.rules())


def _end(
    connection: Connection, said: Said, ended: TransactionEnded, tx: Transaction, answer: Payload, notes: Notes
) -> Recorded:
    """The session's own stop."""
    if tx.connector_no is not None:
        register = EnergyMeasured(0, None, ended.at, ended.meter_stop_wh, last_at=ended.at)
        notes.add_all(compared(connection, said, tx.connector_no, tx, register))
    _learn_whether_it_signs(connection, said, tx.no)
    meter_stop = figures.of_stop(connection, said, tx, ended, notes)
    by = timing.moved(connection, said, tx, notes)
    text = result_text(said.call.message_id, answer)
    row = row_of(said, notes, connector_no=tx.connector_no, tx_no=tx.no, relay=True, answer=text)
    seq = exchange.append(connection, row)
    at = said.at.wall if ended.at is None else ended.at + by
    transactions.end(connection, tx.no, at, meter_stop, ended.reason, seq)
    repeats.forget(connection, tx.no)
    waiting = delivery.Waiting(seq, is_start_or_stop=True)
    stored = () if tx.connector_no is None else (Stored(tx.connector_no, waiting),)
    counted = {one.rule for one in said.peculiar}
    return Recorded(answer, stored, rules=tuple(rule for rule in notes.rules() if rule not in counted))


def _learn_whether_it_signs(connection: Connection, said: Said, tx_no: TransactionNo) -> None:
    """Who has told values of a whole session without signing one does not sign."""
    if exchange.end_of(connection, tx_no)[1] > 1 and charger_clocks.signs(connection, said.charger) is None:
        charger_clocks.keep_signs(connection, said.charger, signs=False)


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

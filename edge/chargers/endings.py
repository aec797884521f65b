"""The units by which an open session comes into doubt, is concluded, gets its stop from us, or proves to live.

What the evidence means is decided in `edge/domain/reconciliation.py`; `records.py` and `starts.py` call these units
with what a charger says, `reconciler.py` when time has passed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from edge.chargers import figures
from edge.chargers.said import Said
from edge.dialects import timestamps
from edge.dialects.v16 import station, synthetic
from edge.domain import reconciliation, registers
from edge.domain.events import ConnectorStatusChanged, EnergyMeasured, TransactionEnded, TransactionStarted
from edge.domain.ids import ChargerNo, ChargerTransactionId, ConnectorNo, TransactionNo, session_name
from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.plausibility import Measured
from edge.domain.reconciliation import Doubt, Evidence
from edge.domain.transactions import Transaction
from edge.jsontypes import JsonValue, Payload
from edge.ocppj.frames import call_text, encode_json
from edge.store import Connection, charger_clocks, connectors, endings, exchange, repeats, transactions
from edge.store import figures as store_figures
from edge.store.delivery import Stored, Waiting
from edge.store.endings import End
from edge.store.exchange import Exchange, Kind, Moment, NewExchange
from edge.store.transactions import NewTransaction

VERSION = "1.6"
LATE_MS = 30_000
"""A message that comes so long after its time was replayed."""
ROWS_SEARCHED = 1000
"""How far back in a transaction its last register is looked for."""

# --- what a charger says


def status_seen(
    connection: Connection, said: Said, open_here: Sequence[Transaction], changed: ConnectorStatusChanged, seq: int
) -> bool:
    """Whether a status of their connector changes what is thought of one of the sessions that are open there."""
    is_news = False
    for one in open_here:
        is_news = _status_seen(connection, said, one, changed, seq) or is_news
    return is_news


def _status_seen(
    connection: Connection, said: Said, open_here: Transaction, changed: ConnectorStatusChanged, seq: int
) -> bool:
    """Whether it changes what is thought of this one.

    `seq`: the row that is to tell of the status. One that is older than the session only is a reason to ask.
    """
    doubt = endings.doubt(connection, open_here.no)
    at_ms = _when_ms(connection, said, changed.at)
    is_late = _is_late(said, at_ms)
    if is_late and at_ms is not None and at_ms < _begun_ms(connection, open_here, said.at.wall_ms):
        after = reconciliation.after_old_status(doubt, changed.status, seq, said.at.wall_ms)
        return _changed(connection, open_here.no, doubt, after)
    seen_ms = said.at.wall_ms if at_ms is None else at_ms
    is_replayed = is_late and charger_clocks.of_charger(connection, said.charger).ahead_ms is not None
    after = reconciliation.after_status(doubt, changed.status, seq, seen_ms, is_replayed=is_replayed)
    return _changed(connection, open_here.no, doubt, after)


def values_seen(connection: Connection, said: Said, tx: Transaction, values: EnergyMeasured) -> None:
    """Meter values of an open session."""
    doubt = endings.doubt(connection, tx.no) if tx.is_doubted else None
    if doubt is not None:
        at_ms = _when_ms(connection, said, values.last_at)
        is_named = values.transaction == tx.charger_tx
        after = reconciliation.after_values(doubt, values.register_wh, at_ms, said.at.wall_ms, is_named=is_named)
        _changed(connection, tx.no, doubt, after)
        if after is None and doubt.has_rivals and tx.connector_no is not None:
            seq = exchange.peek_seq(connection)
            for other in transactions.all_open_on(connection, tx.connector_no):
                if other.no != tx.no:
                    _has_evidence(connection, other.no, Evidence.FOLLOWED, seq, said.at.wall_ms)


def meant(connection: Connection, connector: ConnectorNo, values: EnergyMeasured) -> Transaction | None:
    """The open session that values without a transaction belong to: of several the one whose register they continue."""
    open_here, wh = transactions.all_open_on(connection, connector), values.register_wh
    if len(open_here) < 2 or wh is None:
        return open_here[-1] if open_here else None
    before = [(last_measured(connection, one).register_wh, one) for one in open_here]
    could_be = [(last, one.no, one) for last, one in before if last is not None and last <= wh]
    return max(could_be, key=lambda one: one[:2])[2] if could_be else None


def has_booted(connection: Connection, charger: ChargerNo, seq: int, at_ms: int) -> None:
    """Many a register begins anew with a boot, and the clock as well: its sessions are looked at as a whole."""
    for tx in transactions.open_of(connection, charger):
        _has_evidence(connection, tx.no, Evidence.BOOT, seq, at_ms)
        store_figures.mark_odd(connection, tx.no, Rule.BOOT_WHILE_OPEN)


def begun(
    connection: Connection, said: Said, started: TransactionStarted, tx_no: TransactionNo, seq: int, status: str
) -> None:
    """A start out of a queue, in row `seq`, after a status by which its connector was free, is a reason to ask.

    A charger that has lost a session with its power tells of the connector first, and then of the start. One that is
    not of now by its charger's clock may come from a queue: that clock may have been set meanwhile.
    """
    at_ms = _when_ms(connection, said, started.at)
    if at_ms is None or _is_late(said, at_ms):
        _changed(connection, tx_no, None, reconciliation.after_old_status(None, status, seq, said.at.wall_ms))


def stop_answered(connection: Connection, tx_no: TransactionNo, *, is_accepted: bool, at: Moment) -> None:
    """A charger has answered our RemoteStopTransaction, which is the newest row of the session."""
    if not transactions.has_ended(connection, tx_no):
        evidence = Evidence.STOP_PROMISED if is_accepted else Evidence.STOP_REFUSED
        seq = exchange.end_of(connection, tx_no)[0] or 0
        _has_evidence(connection, tx_no, evidence, seq, at.wall_ms)


def is_before(connection: Connection, said: Said, at: datetime | None, open_here: Transaction) -> bool:
    """Whether a start is older than the session that is open on its connector: it was replayed, and began before that.

    Only by a clock that has been measured; a session has begun when its start came, at the latest.
    """
    at_ms = _when_ms(connection, said, at)
    if at_ms is None or at_ms > said.at.wall_ms - LATE_MS:
        return False
    if charger_clocks.of_charger(connection, said.charger).ahead_ms is None:
        return False
    return at_ms < _begun_ms(connection, open_here, said.at.wall_ms)


def _begun_ms(connection: Connection, tx: Transaction, now_ms: int) -> int:
    """When a session had begun at the latest: its charger's clock may be ahead."""
    row = exchange.load(connection, transactions.begin_seq(connection, tx.no))
    came_ms, said_ms = now_ms if row is None else row.at_wall_ms, transactions.wall_ms(tx.started_at)
    return came_ms if said_ms is None else min(came_ms, said_ms)


def are_rivals(connection: Connection, open_here: Sequence[TransactionNo], seq: int, at_ms: int) -> None:
    """More than one session is open on a connector: which of them goes on, their values will tell."""
    for tx_no in open_here:
        _has_evidence(connection, tx_no, Evidence.RIVAL, seq, at_ms)


def is_replaced(connection: Connection, connector: ConnectorNo, seq: int, at_ms: int) -> None:
    """Something was heard of the box that stands there now: another's open sessions here have ended."""
    for tx_no in endings.left_by_another(connection, connector):
        _has_evidence(connection, tx_no, Evidence.REPLACED, seq, at_ms)


def _has_evidence(connection: Connection, tx_no: TransactionNo, evidence: Evidence, seq: int, at_ms: int) -> None:
    doubt = endings.doubt(connection, tx_no)
    _changed(connection, tx_no, doubt, reconciliation.after(doubt, evidence, seq, at_ms))


def _changed(connection: Connection, tx_no: TransactionNo, before: Doubt | None, after: Doubt | None) -> bool:
    if after == before:
        return False
    endings.set_doubt(connection, tx_no, after)
    if before is not None and before.is_concluded and after is None:
        endings.announce(connection, tx_no, None)
        store_figures.forget(connection, tx_no)
    return True


# --- what the time brings


def conclude(connection: Connection, tx_no: TransactionNo, doubt: Doubt, at: Moment, most_watts: float) -> bool:
    """People are told that it has ended; the CSMS is not yet. False: the doubt is another one meanwhile."""
    if endings.doubt(connection, tx_no) != doubt or transactions.has_ended(connection, tx_no):
        return False
    tx = transactions.by_no(connection, tx_no)
    assert tx is not None
    end = _end(connection, tx, doubt, at, most_watts, None)
    endings.set_doubt(connection, tx_no, replace(doubt, concluded_ms=at.wall_ms))
    endings.announce(connection, tx_no, end)
    text: dict[str, JsonValue] = {
        "concluded": f"{session_name(tx_no)} has ended without a stop",
        "because": doubt.evidence.words,
        "ended": timestamps.text(transactions.instant(end.at_ms)),
        "register_wh": end.register_wh,
    }
    exchange.append(connection, _row(connection, tx, Kind.DECISION, encode_json(text), at, cause_seq=doubt.seq))
    return True


def send(connection: Connection, tx_no: TransactionNo, doubt: Doubt, at: Moment, most_watts: float) -> Stored | None:
    """The CSMS gets a stop from us. None: not now, because the doubt is another one meanwhile."""
    if endings.doubt(connection, tx_no) != doubt or transactions.has_ended(connection, tx_no):
        return None
    return _stop(connection, tx_no, doubt, at, most_watts, None)


def next_has_started(
    connection: Connection, said: Said, older: Transaction, at: datetime | None, register: int | None
) -> Stored | None:
    """Another session begins on the connector, with the row after the stop that this one gets first."""
    doubt = endings.doubt(connection, older.no)
    seq, at_ms = exchange.peek_seq(connection) + 1, _when_ms(connection, said, at)
    doubt = reconciliation.after(doubt, Evidence.NEXT_START, seq, said.at.wall_ms if at_ms is None else at_ms)
    return _stop(connection, older.no, doubt, said.at, said.most_watts, register)


def _is_late(said: Said, at_ms: int | None) -> bool:
    """Whether it was replayed, by its time."""
    return at_ms is not None and at_ms < said.at.wall_ms - LATE_MS


def _when_ms(connection: Connection, said: Said, at: datetime | None) -> int | None:
    return charger_clocks.believed_ms(connection, said.charger, at, said.at.wall_ms) if said.at.is_known else None


def _stop(
    connection: Connection, tx_no: TransactionNo, doubt: Doubt, at: Moment, most_watts: float, next_register: int | None
) -> Stored | None:
    tx = transactions.by_no(connection, tx_no)
    assert tx is not None
    end = _announced(connection, tx, doubt) or _end(connection, tx, doubt, at, most_watts, next_register)
    payload = synthetic.stop(tx.charger_tx, end.register_wh, end.at_ms, end.reason)
    notes: Payload = {
        "rule": str(Rule.STOP_NEVER_CAME),
        "message": f"{session_name(tx_no)} ended without a stop: {doubt.evidence.words}",
    }
    text = call_text(f"{session_name(tx_no)}-stop", "StopTransaction", payload)
    row = _row(connection, tx, Kind.SYNTHETIC, text, at, cause_seq=doubt.seq or None)
    row = replace(row, action="StopTransaction", version=VERSION, relay=True, notes=encode_json([notes]))
    seq = exchange.append(connection, row)
    endings.set_doubt(connection, tx_no, replace(doubt, first_wh=None, concluded_ms=at.wall_ms))
    endings.end(connection, tx_no, end, doubt, seq)
    repeats.forget(connection, tx_no)
    return None if tx.connector_no is None else Stored(tx.connector_no, Waiting(seq, is_start_or_stop=True))


def _announced(connection: Connection, tx: Transaction, doubt: Doubt) -> End | None:
    """What people were told of this doubt, as long as nothing has come since; None: it is to be found out.

    Only while the charger's clock is not known: it may have been then. It is forgotten for a while when ours is set.
    """
    if charger_clocks.of_session(connection, tx.no).ahead_ms is not None:
        return None
    for row in _newest_first(connection, tx):
        if row.kind is Kind.CHARGER_CALL:
            return None
        if row.kind is Kind.DECISION and row.cause_seq == doubt.seq:
            return endings.announced(connection, tx.no)
    return None


def _end(
    connection: Connection, tx: Transaction, doubt: Doubt, at: Moment, most_watts: float, next_register: int | None
) -> End:
    """At the evidence, with the energy that is known to have flowed."""
    # By our clock until it is told, which is by that of the start.
    ahead_ms = charger_clocks.told_ahead_ms(connection, tx.no)
    started_ms = (transactions.wall_ms(tx.started_at) or at.wall_ms) - ahead_ms
    heard_ms = max(started_ms, _last_values_ms(connection, tx) or 0)
    ended_ms = reconciliation.ended_at_ms(doubt, started_ms, heard_ms, at.wall_ms)
    energy = figures.of_unfinished(connection, tx, ended_ms, most_watts, next_register)
    if energy is not None:
        figures.keep(connection, tx.no, energy, None, is_put_right=False)
    register = last_measured(connection, tx).register_wh or 0 if energy is None else energy.stop_wh
    return End(ended_ms + ahead_ms, register, reconciliation.reason(doubt))


def _row(
    connection: Connection, tx: Transaction, kind: Kind, text: str, at: Moment, *, cause_seq: int | None
) -> NewExchange:
    peer = transactions.charger_of(connection, tx.no)
    return NewExchange(at, peer, kind, text, connector_no=tx.connector_no, tx_no=tx.no, cause_seq=cause_seq)


# --- what comes after our stop


def late_stop(connection: Connection, said: Said, tx_no: TransactionNo, ended: TransactionEnded) -> Peculiarity | None:
    """What a real stop is that comes after ours; None: it is no such stop, but a second one."""
    ours = endings.ended_by_us(connection, tx_no)
    if ours is None or ours.late_stop_seq is not None:
        return None
    said_wh = ended.meter_stop_wh if registers.is_register(ended.meter_stop_wh) else None
    said_ms, ours_ms = _when_ms(connection, said, ended.at), ours.ended_wall_ms
    ours_ms = None if ours_ms is None else ours_ms - charger_clocks.told_ahead_ms(connection, tx_no)
    is_same = reconciliation.agrees(ours.meter_stop_wh, ours_ms, said_wh, said_ms)
    both = f"ours says {_at(ours_ms)} and {ours.meter_stop_wh} Wh, this one {_at(said_ms)} and {said_wh} Wh"
    rule = Rule.STOP_CAME_LATE if is_same else Rule.STOP_CONTRADICTS
    return Peculiarity(rule, f"{session_name(tx_no)} had been ended without it: {both}")


def _at(wall_ms: int | None) -> str:
    return "no time" if wall_ms is None else timestamps.text(transactions.instant(wall_ms))


def late_stop_came(connection: Connection, tx_no: TransactionNo, seq: int, rule: Rule, at: Moment) -> None:
    """It is kept in this row; never sent (E.9)."""
    endings.late_stop(connection, tx_no, seq, at.wall_ms if rule is Rule.STOP_CONTRADICTS else None)


def went_on(
    connection: Connection, said: Said, tx: Transaction, values: EnergyMeasured
) -> tuple[Transaction, Stored] | None:
    """Values show that a session lives on to which we had sent a stop: the rest of it is another session.

    None: they do not, or somebody else charges there meanwhile.
    """
    ended = endings.ended_by_us(connection, tx.no)
    doubt = endings.doubt(connection, tx.no)
    if ended is None or ended.connector_no is None or ended.late_stop_seq is not None or doubt is None:
        return None
    if values.transaction != tx.charger_tx or endings.has_follower(connection, tx.no):
        return None
    at_ms = _when_ms(connection, said, values.last_at)
    after = reconciliation.after_values(doubt, values.register_wh, at_ms, said.at.wall_ms, is_named=True)
    if after is not None:
        _changed(connection, tx.no, doubt, after)
        return None
    endings.set_doubt(connection, tx.no, None)
    return _continued(connection, tx, ended, said.charger, said.at)


def _continued(
    connection: Connection, tx: Transaction, ended: endings.Ended, charger: ChargerNo, at: Moment
) -> tuple[Transaction, Stored]:
    connector = None if ended.connector_no is None else connectors.by_no(connection, ended.connector_no)
    assert connector is not None
    assert tx.id_token is not None
    begins_ms, register = (ended.ended_wall_ms or at.wall_ms) + 1000, ended.meter_stop_wh or 0
    seq = exchange.peek_seq(connection)
    new = NewTransaction(
        transactions.TRANSACTION,
        charger,
        connector.no,
        seq,
        charger_tx=ChargerTransactionId(tx.charger_tx),
        id_token=tx.id_token,
        started_at=transactions.instant(begins_ms),
        meter_start_wh=register,
    )
    tx_no = transactions.begin(connection, new)
    endings.goes_on_as(connection, tx.no, tx_no)
    transactions.decide_as(connection, tx_no, tx.no)
    status = None if connector.status is None else station.stored_status(connector.status)[0]
    endings.set_doubt(connection, tx_no, reconciliation.after_status(None, status or "", seq, at.wall_ms))
    payload = synthetic.start(connector.conn, tx.id_token, register, begins_ms)
    note = {
        "rule": str(Rule.SESSION_WENT_ON),
        "message": f"{session_name(tx.no)} had been ended without a stop, and goes on as {session_name(tx_no)}",
    }
    row = NewExchange(
        at,
        charger,
        Kind.SYNTHETIC,
        call_text(f"{session_name(tx_no)}-start", "StartTransaction", payload),
        action="StartTransaction",
        version=VERSION,
        connector_no=connector.no,
        tx_no=tx_no,
        relay=True,
        notes=encode_json([note]),
        cause_seq=transactions.stop_seq(connection, tx.no),
    )
    exchange.append(connection, row)
    begun = transactions.by_no(connection, tx_no)
    assert begun is not None
    return begun, Stored(connector.no, Waiting(seq, is_start_or_stop=True))


# --- the last that is known


def _newest_first(connection: Connection, tx: Transaction) -> Iterator[Exchange]:
    """Rows of a transaction, no further back than is searched."""
    return islice(exchange.of_transaction(connection, tx.no, exchange.end_of(connection, tx.no)[0]), ROWS_SEARCHED)


def _last_values_ms(connection: Connection, tx: Transaction) -> int | None:
    """When the last values of a transaction were taken, whatever they measure; None: there are none."""
    clock = charger_clocks.of_session(connection, tx.no)
    for row in _newest_first(connection, tx):
        if figures.is_values(row):
            values = figures.values_of(row)
            at = None if values is None else values.last_at
            return charger_clocks.when_ms(clock, at, received_ms=row.at_wall_ms, shift_ms=None)
    return None


def last_measured(connection: Connection, tx: Transaction) -> Measured:
    """The last register of a transaction, from its rows: it must be right after a restart too."""
    received_ms = 0
    for row in _newest_first(connection, tx):
        values = figures.values_of(row)
        if values is not None and values.register_wh is not None:
            return Measured(tx.no, values.last_at, row.at_wall_ms, values.register_wh)
        received_ms = row.at_wall_ms
    return Measured(tx.no, tx.started_at, received_ms, tx.meter_start_wh)
